"""`priorbench score --model`: networks that were trained elsewhere, as any user would have them."""

import hashlib
import re
import shutil
import sys

import pandas as pd
import pytest
import torch
from fixtures.networks import build_network
from fixtures.places import DOCS
from fixtures.runs import records, run_smoke
from fixtures.variants import write_data
from safetensors.torch import load_file, save_file

from priorbench import UserError
from priorbench.cli.app import execute_command, main
from priorbench.components.architecture import NetworkShape
from priorbench.results.finished_run import load_run
from priorbench.results.stored_trials import trial_arrays
from priorbench.storage.run_directory import RunDirectory

pytestmark = pytest.mark.slow

SHAPED = "fixtures.user_networks:of_shape"
SPECS = "input-x-gradient,deep-lift-shap:shuffles=2"
MEASURED = ("--attributions", SPECS, "--keep-hypothetical")
SMOKE = ("--scale", "smoke", "--device", "cpu", "--jobs", "1", "--no-report")
WHAT = ["prior", "seed", "stage", "status", "attribution", "metric"]


def score(*arguments):
    return execute_command(["score", *map(str, arguments)])


def given(out, *weights, model=SHAPED, data=("--tasks", "binary"), more=()):
    """Exit status of scoring networks into a folder."""
    named = [part for text in weights for part in ("--weights", str(text))]
    return score("--model", model, *named, *data, *SMOKE, "--out", out, *more)


def rows_of(out):
    table = pd.read_csv(out / "results.csv", keep_default_na=False, dtype=str)
    kept = table[table["axis"] != "cost"].set_index(WHAT)["value"]
    return kept.sort_index()


def networks(folder, *groups, numbers=(0, 1), shape=None):
    """Files of untrained networks, each of its own."""
    folder.mkdir(exist_ok=True)
    for place, group in enumerate(groups):
        for number in numbers:
            network = build_network(
                "three-conv", shape or NetworkShape(80), seed=10 * place + number
            )
            save_file(network.state_dict(), folder / f"{group}_seed{number}.safetensors")
    return folder


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A run that trained its networks, beside copies of their weights under other names."""
    folder = tmp_path_factory.mktemp("ours")
    assert run_smoke(folder / "run", "--priors", "l2", "--seeds", "2", *MEASURED) == 0
    for trial, record in records(folder / "run").items():
        name = f"{record['prior']}_seed{record['seed']}"
        path = folder / "run" / "trials" / trial / "model.safetensors"
        shutil.copy(path, folder / f"{name}.safetensors")
        torch.save(
            {"state_dict": {f"module.{k}": v for k, v in load_file(path).items()}},
            folder / f"{name}.pt",
        )
    return folder


@pytest.fixture(scope="module")
def scored(ours, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "run"
    weights = (ours / "none_*.safetensors", f"l2={ours}/l2_*.pt")
    assert given(out, *weights, more=MEASURED) == 0
    return out


@pytest.fixture
def copied(scored, tmp_path):
    return shutil.copytree(scored, tmp_path / "run")


def test_a_trial_of_ours_scored_as_one_from_elsewhere_has_the_same_rows(ours, scored):
    before, after = rows_of(ours / "run"), rows_of(scored)
    assert len(after) > 200
    pd.testing.assert_series_equal(after, before)
    pairs = {}
    for root in (ours / "run", scored):
        for trial, record in records(root).items():
            arrays = trial_arrays(RunDirectory(root), trial)
            pairs.setdefault((record["prior"], record["seed"]), []).append(arrays)
    for first, second in pairs.values():
        assert first.keys() == second.keys()
        assert len(first) > 7
        assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_nothing_is_invented_of_their_training(scored):
    table = pd.read_csv(scored / "results.csv")
    assert "cost" not in set(table["axis"])
    run = load_run(scored)
    for record in run.records.values():
        assert not record.keys() & {"history", "costs", "best_epoch", "initial_weights", "parts"}
        assert record["train_attribution"] == ""
    assert run.study["networks"]["model"] == SHAPED
    assert run.study["baseline"] == "none"
    assert run.study["priors"] == ["none", "l2"]
    assert any("trained elsewhere" in note for note in run.answer.notes)
    assert "Train with" not in " ".join(run.answer.lines)


def test_records_say_which_file_it_was(ours, scored):
    for record in records(scored).values():
        name = f"{record['prior']}_seed{record['seed']}"
        path = ours / f"{name}{'.pt' if record['prior'] == 'l2' else '.safetensors'}"
        assert record["given"]["file"] == str(path)
        assert record["given"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_command_reads_the_run_like_any_other(copied, capsys):
    for command in (
        ["status"],
        ["compare", "--metric", "auroc"],
        ["power", "--metric", "auroc", "--effect", "0.1"],
        ["report"],
        ["export", "--format", "csv"],
        ["export", "--format", "modisco"],
    ):
        name, *rest = command
        assert execute_command([name, str(copied), *rest]) == 0, command
    assert "would be trained again" not in capsys.readouterr().out
    text = (copied / "report.html").read_text()
    assert "How the networks were trained is not known" in text
    assert "none_seed0.safetensors" in text
    for invented in (
        "Adam",
        "same initial weights",
        "same batches",
        "training again",
        "before training",
        "not tuned",
        "--tune",
        "The prior applies",
        "penalties used in training",
        "Costs are measured",
        "their weights (λ)",
        "trainings failed",
        "★",
    ):
        assert invented not in text, invented
    with pytest.raises(UserError, match="trained elsewhere, and trains none"):
        execute_command(["run", str(copied)])


def test_further_measurements_and_networks_are_added(ours, tmp_path, capsys):
    out = tmp_path / "run"
    assert given(out, ours / "none_seed0.safetensors") == 0
    said = capsys.readouterr().err
    assert "only one group is scored, so nothing is compared" in said
    first = records(out)
    assert (
        score(
            out,
            "--weights",
            ours / "none_seed1.safetensors",
            "--weights",
            ours / "l2_seed1.pt",
            "--jobs",
            "1",
            "--no-report",
        )
        == 0
    )
    said = capsys.readouterr().err
    assert "none: networks 0, 1; l2: network 1" in said
    assert "none: no partner in l2 for network 0, which is scored and not compared" in said
    assert "3 trained trials, 2 to score" in said
    assert records(out).items() >= first.items()
    compared = pd.read_csv(out / "comparisons.csv")
    assert set(compared["n"]) == {1}
    # the same command does what is missing, by the model and the data
    assert given(out, ours / "l2_seed0.safetensors", ours / "none_seed0.safetensors") == 0
    said = capsys.readouterr().err
    assert "4 trained trials, 1 to score" in said
    assert f"the baseline is 'none', as in {out} before" in said
    assert score(out, *MEASURED, "--jobs", "1", "--no-report") == 0
    pd.testing.assert_series_equal(rows_of(out), rows_of(ours / "run"))


def test_what_is_lost_or_damaged_is_read_again_from_its_file(ours, copied):
    before = {path: path.read_bytes() for path in copied.glob("*.csv")}
    by_name = {f"{r['prior']}:{r['seed']}": trial for trial, r in records(copied).items()}
    shutil.rmtree(copied / "trials" / by_name["none:0"])
    with (copied / "trials" / by_name["l2:1"] / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match="with their --weights reads them again"):
        score(copied)
    weights = ("--weights", ours / "none_seed0.pt")
    with pytest.raises(UserError, match="what was stored of l2:1 is missing or damaged; give its"):
        score(copied, *weights)
    assert {path: path.read_bytes() for path in copied.glob("*.csv")} == before
    assert score(copied, *weights, "--weights", ours / "l2_seed1.pt", "--no-report") == 0
    assert {path: path.read_bytes() for path in copied.glob("*.csv")} == before
    (copied / "plan.csv").write_text("nothing")
    (copied / "study.toml").write_text("nothing")
    assert score(copied, *weights, "--no-report") == 0
    assert {path: path.read_bytes() for path in copied.glob("*.csv")} == before


def test_other_networks_data_or_code_are_not_mixed_into_a_run(ours, copied, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    other = networks(tmp_path / "other", "none")
    for arguments, message in (
        (["--weights", other], "another network as number 0 of group 'none'"),
        (["--weights", f"none:7={ours}/none_seed0.safetensors"], "numbers 7 and 0|numbers 0 and 7"),
    ):
        with pytest.raises(UserError, match=message):
            score(copied, *arguments)
    with pytest.raises(UserError, match=r"model was .* there and is .*of_sizes"):
        given(copied, ours / "none_*.pt", model="fixtures.user_networks:of_sizes")
    with pytest.raises(UserError, match="scale was 'smoke' there"):
        score("--model", SHAPED, "--weights", other, "--tasks", "binary", "--out", copied)
    with pytest.raises(UserError, match="holds networks that were trained there"):
        given(ours / "run", ours / "none_*.pt")
    with pytest.raises(UserError, match="its networks were trained there"):
        score(ours / "run", "--weights", ours / "none_seed0.pt")
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_run_whose_model_changed_says_so(ours, tmp_path, monkeypatch, capsys):
    text = "from fixtures.user_networks import of_shape\ndef make(shape): return of_shape(shape)\n"
    (tmp_path / "changing_nets.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    assert given(out, ours / "none_seed0.pt", model="changing_nets:make") == 0
    (tmp_path / "changing_nets.py").write_text(text + "OTHER = 1\n")
    with pytest.raises(UserError, match="the code of the model changed since"):
        score(out, "--weights", ours / "l2_seed0.pt")
    assert score(out, "--attributions", "gradient", "--jobs", "1", "--no-report") == 1
    assert "code of changing_nets:make changed" in capsys.readouterr().err
    (tmp_path / "changing_nets.py").unlink()
    sys.modules.pop("changing_nets")
    assert score(out, "--attributions", "gradient", "--jobs", "1", "--no-report") == 1
    assert "'changing_nets' cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Lettered", "Noisy"])
def test_every_layout_and_models_in_training_mode_are_scored(ours, tmp_path, name):
    """A network that is turned, or made in training mode, has the rows of the one inside it."""
    state = load_file(ours / "none_seed0.safetensors")
    save_file(
        {f"inner.{key}": value for key, value in state.items()}, tmp_path / "none_0.safetensors"
    )
    layout = ("--layout", "BL4") if name == "Lettered" else ()
    out = tmp_path / "run"
    model = f"fixtures.user_networks:{name}"
    assert given(out, tmp_path / "none_0.safetensors", model=model, more=layout) == 0
    found, wanted = rows_of(out), rows_of(ours / "run")
    shared = found.index.intersection(wanted.index)
    shared = shared[shared.get_level_values("seed") == "0"]
    assert len(shared) > 25
    assert found[shared].astype(float).to_numpy() == pytest.approx(
        wanted[shared].astype(float).to_numpy(), abs=1e-5
    )


def test_probabilities_and_copies_are_warned_of(tmp_path, capsys):
    folder = networks(tmp_path / "nets", "a", numbers=(0,))
    state = load_file(folder / "a_seed0.safetensors")
    (folder / "a_seed0.safetensors").unlink()
    save_file({f"inner.{key}": value for key, value in state.items()}, folder / "a_0.safetensors")
    shutil.copy(folder / "a_0.safetensors", folder / "b_0.safetensors")
    assert given(tmp_path / "run", folder, model="fixtures.user_networks:Probable") == 0
    said = capsys.readouterr().err
    assert "lie between 0 and 1, and are read as logits" in said
    assert "warning: a 0 and b 0 are the same network" in said
    assert "cannot show that any group is better or worse" in said


def test_data_files_with_variants_and_other_forms_of_a_task(tmp_path, capsys):
    data = write_data(tmp_path)
    folder = networks(tmp_path / "nets", "a", "b", shape=NetworkShape(40))
    for task in ("binary", "binary:attributed=probability"):
        out = tmp_path / task.replace(":", "-")
        assert given(out, folder, data=("--data", data, "--tasks", task)) == 0
        table = pd.read_csv(out / "results.csv")
        function = table[(table["axis"] == "function") & (table["stage"] == "evaluate")]
        assert set(function["prior"]) == {"a", "b"}
        assert function["metric"].nunique() >= 4
        assert set(table["task"]) == {task}
    assert "wide" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "model", "architecture", "metric"),
    [
        ("multitask", SHAPED, "three-conv", "auroc"),
        ("profile", "fixtures.user_networks:profiles", "bpnet", "profile-nll"),
        ("profile:controls=true", "fixtures.user_networks:profiles", "bpnet", "profile-nll"),
    ],
)
def test_outputs_of_other_tasks_are_those_of_ours(tmp_path, task, model, architecture, metric):
    out = tmp_path / "ours"
    arguments = ("--tasks", task, "--architectures", architecture, "--seeds", "1")
    arguments = (*arguments, "--priors", "none")
    assert run_smoke(out, *arguments) == 0
    (trial,) = records(out)
    weights = f"none:0={out}/trials/{trial}/model.safetensors"
    assert given(tmp_path / "theirs", weights, model=model, data=("--tasks", task)) == 0
    found = rows_of(tmp_path / "theirs")
    pd.testing.assert_series_equal(found, rows_of(out))
    assert metric in found.index.get_level_values("metric")


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    folder = networks(tmp_path / "nets", "a", "b")
    state = load_file(folder / "a_seed0.safetensors")
    first = max(state, key=lambda name: state[name].numel())
    save_file({k: v for k, v in state.items() if k != first}, tmp_path / "lacks_1.safetensors")
    save_file({**state, "more": state[first].clone()}, tmp_path / "more_1.safetensors")
    shutil.copy(folder / "a_seed0.safetensors", tmp_path / "a_seed5.safetensors")
    (tmp_path / "broken_1.pt").write_text("nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


NETS = ["--weights", "nets"]
BINARY = ["--tasks", "binary"]
WIDE = ["--model", "fixtures.user_networks:wide"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "DIRECTORY: is missing; name a run directory, or --model"),
        (NETS, "DIRECTORY: is missing"),
        (["--model", SHAPED, *BINARY], "--weights: is missing"),
        (["--model", SHAPED, *NETS], "no data to score networks on"),
        (["--model", SHAPED, *NETS, "--tasks", "binry"], "did you mean 'binary'"),
        (["--model", SHAPED, *NETS, "--data", "no.toml"], "no.toml"),
        (["--model", SHAPED, *BINARY, "--weights", "no.pt"], "no.pt: no such file"),
        (["--model", SHAPED, *BINARY, "--weights", "broken_1.pt"], "broken_1.pt: is damaged"),
        (
            ["--model", SHAPED, *BINARY, "--weights", "lacks_1.safetensors"],
            "lacks_1.safetensors: does not fit the model: lacks",
        ),
        (
            ["--model", SHAPED, *BINARY, "--weights", "more_1.safetensors"],
            "has more, which the model has not",
        ),
        (["--model", SHAPED, *BINARY, *NETS, *NETS], "is given twice"),
        (
            ["--model", SHAPED, *BINARY, *NETS, "--weights", "a_seed5.safetensors"],
            "are the same network",
        ),
        (["--model", "my_nets", *BINARY, *NETS], "write module:factory"),
        (["--model", "no_nets:make", *BINARY, *NETS], "module 'no_nets' cannot be imported"),
        (["--model", "fixtures.user_networks:of_shap", *BINARY, *NETS], "did you mean 'of_shape'"),
        (
            ["--model", "fixtures.user_networks:failing", *BINARY, *NETS],
            "raises RuntimeError: two lines",
        ),
        (["--model", "fixtures.user_networks:demanding", *BINARY, *NETS], "needs width"),
        ([*WIDE, *BINARY, *NETS], r"does not fit the model: \S+ \(1,\) \(the model's: \(3,"),
        (["--model", SHAPED, "--layout", "BL4", *BINARY, *NETS], "the model does not take"),
        (["--model", SHAPED, *BINARY, *NETS, "--attributions", "deep-lift-shp"], "deep-lift-shap"),
        (["nets", *NETS], "no run directory"),
        (["nets", "--model", SHAPED, *NETS, *BINARY], "--model: does not go with a run directory"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(
    wrong, monkeypatch, capsys, arguments, message
):
    scale = ["--scale", "smoke"] if "--model" in arguments else []
    monkeypatch.setattr("sys.argv", ["priorbench", "score", *arguments, *scale])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    errors = [text for text in lines if "error: " in text]
    assert errors == lines[-1:]
    assert re.search(message, errors[0]), errors[0]
    assert not list(wrong.glob("runs/*"))


def test_wrong_shapes_of_outputs_are_one_line(tmp_path):
    folder = networks(tmp_path / "nets", "a", shape=NetworkShape(80, 3))
    with pytest.raises(UserError, match=r"on binary/simulated: the model returns \(64, 3\)"):
        given(tmp_path / "run", folder, model="fixtures.user_networks:wide")
    assert not (tmp_path / "run").exists()


def test_the_code_of_the_page_on_running_scores_networks(tmp_path, monkeypatch, capsys):
    page = (DOCS / "how-to/running.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    write_data(tmp_path, variants=False).rename(tmp_path / "my.toml")
    (tmp_path / "my_models.py").write_text("from fixtures.user_networks import of_shape\n")
    networks(tmp_path / "models", "plain", "fourier", shape=NetworkShape(40))
    monkeypatch.chdir(tmp_path)
    block = block.replace("my_models:make_model", "my_models:of_shape")
    exec(block.replace("*.pt", "*.safetensors"), {})
    root, *lines = capsys.readouterr().out.splitlines()
    assert root.startswith("runs/my_models.of_shape_my-")
    assert any("`plain`" in line for line in lines)
    assert load_run(tmp_path / root).study["networks"]["folder"] == str(tmp_path)
    # from another folder, what builds them is still found
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert score(tmp_path / root, "--attributions", "gradient", "--jobs", "1", "--no-report") == 0
