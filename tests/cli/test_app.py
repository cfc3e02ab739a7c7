"""`check`, `new`, packages of plug-ins, and what a study says of compositions and attributions."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from fixtures.run_directories import seal_again
from fixtures.runs import records, run_smoke

from priorbench import UserError
from priorbench.authoring.prior_checks import CHECKS
from priorbench.cli import options
from priorbench.cli.app import execute_command
from priorbench.components import registry
from priorbench.data.downloads.listing import CHECKSUMS
from priorbench.study.resolve import resolve, seen_by
from priorbench.study.study import Study

BROKEN = """
from dataclasses import dataclass
from typing import ClassVar
from priorbench import AttributionPrior

@dataclass(frozen=True)
class Broken(AttributionPrior):
    summary: ClassVar[str] = "turns a zero attribution into NaN"
    citation: ClassVar[str] = "none"
    default_weights: ClassVar[dict] = {"*": 0.5}

    def penalty(self, attribution, batch):
        track = self.track(attribution)
        return track.max(dim=1).values / track.sum(dim=1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_new_writes_passes_its_checks_and_trains(folder, capsys):
    assert execute_command(["new", "prior", "my-prior"]) == 0
    assert capsys.readouterr().out == "my_prior.py\n"
    assert execute_command(["check", "my_prior.py"]) == 0
    printed = capsys.readouterr().out
    assert "FAILED" not in printed
    assert "gradgradcheck" in printed
    assert "x the time" in printed
    arguments = ["--plugin", "my_prior.py", "--priors", "my-prior", "--seeds", "1"]
    assert run_smoke(folder / "out", *arguments) == 0
    registry.forget_plugins()


def test_new_never_overwrites_and_refuses_names_that_cannot_be(folder):
    execute_command(["new", "prior", "my-prior"])
    before = Path("my_prior.py").read_text()
    for name, message in [
        ("my-prior", "my_prior.py: exists already"),
        ("my_prior", "my_prior.py: exists already"),
        ("fourier", "'fourier' exists already"),
        ("weight_l1", "'weight-l1' exists already"),
        ("9lives", "cannot be the name"),
        ("a--b", "cannot be the name"),
        ("../up", "cannot be the name"),
        ("binary", "task 'binary' exists already"),
        ("torch", "would hide the Python module 'torch'"),
    ]:
        with pytest.raises(UserError, match=message):
            execute_command(["new", "prior", name])
    assert Path("my_prior.py").read_text() == before
    assert [path.name for path in folder.iterdir()] == ["my_prior.py"]


def test_check_takes_names_with_options_and_compositions(capsys):
    assert execute_command(["check", "fourier:boundary=reflect"]) == 0
    assert "fourier:boundary=reflect" in capsys.readouterr().out
    assert execute_command(["check", "l1+dropout"]) == 0


def test_check_says_what_is_broken_and_fails(folder, capsys):
    Path("broken.py").write_text(BROKEN)
    assert execute_command(["check", "broken.py"]) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "value is not finite: zero" in " ".join(printed.out.replace("│", " ").split())
    assert f"1 of {len(CHECKS)} checks failed" in printed.err


def test_check_refuses_what_is_no_prior(folder):
    Path("task.py").write_text("x = 1")
    for name, message in [
        ("nowhere.py", "nowhere.py: no such file"),
        ("task.py", "must define exactly one subclass"),
        ("furier", "did you mean 'fourier'"),
    ]:
        with pytest.raises(UserError, match=message):
            execute_command(["check", name])


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder in which a package may be installed while the test runs."""
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield tmp_path
    registry._installed.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "lab_priors"]:
        del sys.modules[name]


def test_a_package_with_an_entry_point_brings_its_priors(site, capsys):
    package, info = site / "lab_priors", site / "lab_priors-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_shared.py").write_text("FACTOR = 2.0\n")
    text = BROKEN.replace("class Broken", "class Ours").replace("/ track.sum(dim=1)", "* FACTOR")
    (package / "our_prior.py").write_text("from ._shared import FACTOR\n" + text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-priors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[priorbench.priors]\nlab = lab_priors\n")
    assert execute_command(["list", "priors", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "our-prior" in [row["name"] for row in listed]
    assert execute_command(["check", "our-prior"]) == 0


@pytest.mark.slow
def test_a_study_of_compositions_and_another_attribution(tmp_path):
    out = tmp_path / "out"
    spec = "fourier=1+weight-l2=1e-05"
    arguments = ["--priors", f"fourier+dropout,{spec}", "--weights", "fourier+dropout=2"]
    attribution = ["--train-attribution", "integrated-gradients:steps=2:reference=zero"]
    assert run_smoke(out, *arguments, *attribution, "--seeds", "2") == 0
    study = tomllib.loads((out / "study.toml").read_text())
    assert study["train_attribution"] == "integrated-gradients:steps=2"
    assert study["priors"] == ["none", "fourier+dropout", spec]
    assert study["weights"]["fourier+dropout"] == {"binary": 2.0}
    results = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert set(results.loc[results["stage"] == "evaluate", "prior"]) == set(study["priors"])
    found = records(out).values()
    parts = {
        record["prior"]: [(part["prior"], part["weight"]) for part in record["parts"]]
        for record in found
    }
    assert parts == {
        "none": [("none", 0.0)],
        "fourier+dropout": [("fourier", 0.6), ("dropout", 0.2)],
        spec: [("fourier", 1.0), ("weight-l2", 1e-5)],
    }
    assert {record["train_attribution"] for record in found} == {"integrated-gradients:steps=2"}
    for seed in (0, 1):
        of_seed = [record for record in found if record["seed"] == seed]
        assert len({record["initial_weights"] for record in of_seed}) == 1
    # the study's file repeats it: nothing is left to do
    before = {p: p.stat().st_mtime_ns for p in out.glob("trials/*/record.json")}
    assert execute_command(["run", str(out / "study.toml"), "--out", str(out), "--no-report"]) == 0
    assert {p: p.stat().st_mtime_ns for p in out.glob("trials/*/record.json")} == before


@pytest.mark.slow
def test_the_attribution_that_penalties_see_decides_the_trial(tmp_path):
    ids = []
    for name in ("gradient", "input-x-gradient"):
        out = tmp_path / name
        assert run_smoke(out, "--priors", "l2", "--seeds", "1", "--train-attribution", name) == 0
        results = pd.read_csv(out / "results.csv", keep_default_na=False)
        rows = results[(results["prior"] == "l2") & (results["metric"] == "cross-entropy")]
        ids.append((rows["trial"].item(), rows["value"].item()))
    assert ids[0][0] != ids[1][0]
    assert ids[0][1] != ids[1][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--priors", "fourier=much"], "write fourier=WEIGHT, a number"),
        (["--priors", "fourier+none"], "'none' adds nothing"),
        (["--priors", "fourier", "--weights", "fourier=1,fourier=2"], "'fourier' twice"),
        (["--priors", "fourier+dropout", "--weights", "fourier+dropout=10"], "not a probability"),
        (["--priors", "l1", "--weights", "l1=1,l1:every=1=2"], "'l1' is written twice"),
        (
            ["--priors", "fourier", "--train-attribution", "ism"],
            "train_attribution: unknown attribution 'ism'",
        ),
        (["--priors", "l1", "--train-attribution", "integrated-gradients:steps=9999"], "to 1000"),
        (
            ["--priors", "l1+off-simplex", "--train-attribution", "simplex-gradient"],
            r"its penalty is constant for the training attribution simplex-gradient",
        ),
        (
            ["--priors", "off-simplex:form=published+l1"],
            r"attributions \(study, gradient:through_statistics=true\); write the same train_attr",
        ),
    ],
)
def test_wrong_compositions_and_attributions_leave_nothing(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        run_smoke(tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_version_and_module(capsys):
    assert execute_command(["--version"]) == 0
    assert capsys.readouterr().out == "priorbench 0.1.0\n"
    done = subprocess.run(
        [sys.executable, "-m", "priorbench", "list", "attributions"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "expected-gradients" in done.stdout


def test_show_describes_options_inherited_ones_too(capsys, tmp_path):
    assert execute_command(["show", "fourier"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "every = 1 (int) number K of steps from one application of" in printed
    assert "boundary = periodic (periodic | reflect | zero | taper)" in printed
    assert execute_command(["show", "integrated-gradients"]) == 0
    assert "midpoint rule" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text(BROKEN)
    assert execute_command(["show", "mine", "--plugin", str(tmp_path / "mine.py")]) == 0
    assert "turns a zero attribution into NaN" in capsys.readouterr().out


SEEING = (
    BROKEN.replace("class Broken", "class Seeing")
    + """
    @property
    def sees(self):
        return "gradient:through_statisticOPTION"
"""
)


def test_what_a_prior_of_ones_own_sees_is_read_before_anything_is_trained(tmp_path):
    plugin = tmp_path / "seeing.py"
    plugin.write_text(SEEING.replace("OPTION", "=true"))
    arguments = ["--plugin", str(plugin), "--priors", "seeing", "--seeds", "1"]
    with pytest.raises(UserError, match=r"'seeing': .*unknown option .*'through_statistic';"):
        run_smoke(tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()
    registry.forget_plugins()
    plugin.write_text(SEEING.replace("OPTION", "s=TRUE"))
    study = resolve(Study(priors=["seeing"], plugins=[plugin]), "cpu")
    assert seen_by("seeing", study) == "gradient:through_statistics=true"
    registry.forget_plugins()


def test_compositions_in_another_order_are_one_prior(tmp_path):
    priors = "weight-l1+weight-l2,weight-l2+weight-l1"
    with pytest.raises(UserError, match=r"'weight-l2\+weight-l1' is written twice"):
        run_smoke(tmp_path / "out", "--priors", priors, "--seeds", "1")


def test_forms_have_their_own_default(capsys):
    execute_command(["show", "tv"])
    assert "default weight: 0.1, 0.01 with form=published" in capsys.readouterr().out


@pytest.mark.slow
def test_a_report_of_a_run_that_knows_fewer_options_can_be_made(tmp_path):
    out = tmp_path / "out"
    assert run_smoke(out, "--priors", "l1+weight-l2", "--seeds", "1") == 0
    study = out / "study.toml"
    lines = [x for x in study.read_text().splitlines() if not x.startswith("train_attribution")]
    study.write_text("\n".join(lines))
    seal_again(out)
    assert execute_command(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "Penalties on attributions were computed from <code>input-x-gradient</code>" in page
    assert "weight × 1" in page


@pytest.mark.slow
def test_a_published_training_is_run_and_described_as_such(tmp_path):
    out, more = tmp_path / "out", ("--seeds", "2", "--ensemble", "2")
    assert run_smoke(out, "--priors", "l1,off-simplex:form=published", *more) == 0
    seen = {record["prior"]: record["train_attribution"] for record in records(out).values()}
    assert seen["l1"] == "input-x-gradient"
    assert seen["off-simplex:form=published"] == "gradient:through_statistics=true"
    assert {record["ensemble"] for record in records(out).values()} == {2}
    assert execute_command(["report", str(out)]) == 0
    assert "held fixed, except where through_statistics=true" in (out / "report.html").read_text()


def test_a_study_of_public_data_says_how_to_get_them(folder):
    with pytest.raises(UserError, match=r"`priorbench fetch neurips2020 --to DIR`.*`--data DIR`"):
        execute_command(["run", "neurips2020", "--no-report"])


def test_a_study_of_public_data_runs_on_what_there_is_of_them(folder):
    (folder / "data").mkdir()
    for name, base in (("pos", "ACGTTGCA"), ("neg", "TTTTAAAA")):
        lines = [f">{name}{i}\n{base * 12}\n" for i in range(60)]
        (folder / "data" / f"{name}.fa").write_text("".join(lines))
    (folder / "data" / "x.toml").write_text(
        'task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n'
    )
    study = options.read_study("neurips2020", {"data": ["data/x.toml"], "scale": "smoke"})[0]
    resolved = resolve(study, "cpu")
    # the paper's weight of the task that is there; that of the other is passed over
    assert resolved.weights["fourier"] == {"binary": 1.0}
    assert not resolved.tasks


def test_a_folder_of_data_files_is_each_of_them(tmp_path):
    for name in ("b.toml", "a.toml", "a.fa", CHECKSUMS):
        (tmp_path / name).touch()
    data_files = options.find_data([tmp_path, tmp_path / "a.fa"])
    assert [path.name for path in data_files] == ["a.toml", "b.toml", "a.fa"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no TOML file in this folder"):
        options.find_data([tmp_path / "empty"])


def test_studies_are_listed_with_their_minutes(capsys, monkeypatch):
    rows = [{"name": "one", "summary": "why?", "minutes": {"smoke": 0.5, "paper": 18000.0}}]
    monkeypatch.setattr("priorbench.cli.look_up.list_and_show.listing", lambda kind: rows)
    assert execute_command(["list", "studies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["one  why?", "     minutes on one core: smoke 0.5, paper 18,000"]
