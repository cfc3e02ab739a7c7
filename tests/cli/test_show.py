"""`show`: studies with what they take, names of two kinds, names that are slightly wrong."""

import json
import subprocess
import sys

import pytest

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.cli.look_up.listing import builtin_studies, listing
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.plan import make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import load_study


def shown(capsys, *arguments):
    assert execute_command(["show", *arguments]) == 0
    return capsys.readouterr().out


def test_a_study_says_what_it_compares_claims_and_takes(capsys):
    text = " ".join(shown(capsys, "default").split())
    for words in (
        "default (study): Do attribution priors give better attributions",
        "priors: none, fourier, tv, l1, l2, dropout",
        "tasks: binary",
        "primary metrics: binary (prediction auroc, localisation motif-auprc",
        "prediction 0.02",
        "trials: 48",
        "minutes on one core: smoke 0.2, quick 2.4, standard 93, paper 6,200",
        "run it with: priorbench run default",
    ):
        assert words in text
    fetched = " ".join(shown(capsys, "neurips2020").split())
    assert "`priorbench fetch neurips2020 --to DIR`" in fetched
    assert "priorbench run neurips2020 --data DIR" in fetched
    assert "trials for each dataset: 20" in fetched
    assert "tuned" not in fetched
    tuned = " ".join(shown(capsys, "regularisers").split())
    assert "tuned: 5 weights of every prior, on seeds 1000, 1001, 1002;" in tuned


STUDIES = {name: load_study(path) for name, path in builtin_studies().items()}
NEED_DATA = [name for name, study in STUDIES.items() if study.needs_data]


@pytest.mark.parametrize("name", NEED_DATA)
def test_a_study_that_needs_data_says_so_and_trains_nothing_without(name, tmp_path, capsys):
    text = " ".join(shown(capsys, name).split())
    assert "tasks:" not in text
    assert f"run it with: priorbench run {name} --data" in text
    with pytest.raises(UserError, match="add `--data"):
        execute_command(["run", name, "--out", str(tmp_path / "run")])
    with pytest.raises(UserError, match="add `--data"):
        execute_command(["validate", str(builtin_studies()[name])])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in NEED_DATA])
def test_the_trials_of_a_study_are_as_many_as_it_has(name, capsys):
    (facts,) = (
        row["facts"] for row in json.loads(shown(capsys, name, "--json")) if row["kind"] == "study"
    )
    study = resolve(STUDIES[name], "cpu")
    networks = study.architectures or ["default"]
    count = len(study.priors) * len(study.tasks) * len(networks) * len(study.seed_list)
    assert facts["trials"] == count
    assert facts["primary"] == study.primary
    assert len(facts["priors"]) == len(study.priors)


def test_the_trials_that_are_told_are_those_of_the_plan(tmp_path, capsys):
    (facts,) = (row["facts"] for row in json.loads(shown(capsys, "default", "--json")))
    study = STUDIES["default"].model_copy(update={"scale": "smoke"})
    plan = make_plan(resolve(study, "cpu"), RunDirectory(tmp_path / "run"), lambda line: None)
    assert len(plan.trials) == facts["trials"]


def test_a_name_of_two_kinds_is_shown_as_both(capsys):
    text = shown(capsys, "edges")
    assert "edges (task): " in text
    assert "edges (study): " in text
    kinds = [row["kind"] for row in json.loads(shown(capsys, "gradient", "--json"))]
    assert kinds == ["attribution that penalties see", "attribution that is scored"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["priors", "tasks", "architectures", "attributions", "metrics", "studies"]
)
def test_everything_that_is_listed_can_be_shown(kind, capsys):
    for row in listing(kind):
        assert f"{row['name']} (" in shown(capsys, row["name"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Fourier", "fourier"), ("weight_l2", "weight-l2"), ("AUROC", "auroc"), ("bpnt", "bpnet")],
)
def test_a_name_that_is_slightly_wrong_is_suggested(name, meant):
    with pytest.raises(UserError, match=f"did you mean '{meant}'"):
        execute_command(["show", name])


def test_what_is_no_metric_costs_no_metrics():
    program = (
        "import sys; from priorbench.cli.app import execute_command; "
        "execute_command(['show', 'default']); "
        "print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("command", [["list"], ["show", "default"], ["show", "auroc"]])
@pytest.mark.parametrize("columns", [60, 100])
def test_lines_fit_the_terminal(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert execute_command(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns


def test_facts_for_programs_are_numbers(capsys):
    (prior,) = json.loads(shown(capsys, "dropout", "--json"))
    assert all(isinstance(value, float) for value in prior["facts"]["default_weights"].values())
    assert "default_weights" not in shown(capsys, "dropout")
    (study,) = json.loads(shown(capsys, "neurips2020", "--json"))
    assert study["facts"]["trials_by_dataset"] == 20
