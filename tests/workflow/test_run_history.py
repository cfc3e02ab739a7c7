"""Why trials that are done are trained again is said, by `run` and by `status`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.runs import SMOKE, records, run_smoke

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.storage import source_code
from priorbench.storage.run_directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from own_package.scale import SCALE
from priorbench import AttributionPrior

@dataclass(frozen=True)
class Mine(AttributionPrior):
    summary: ClassVar[str] = "reads a number from a module of its author"
    citation: ClassVar[str] = "none"
    default_weights: ClassVar[dict] = {"*": 0.5}

    def penalty(self, attribution, batch):
        return SCALE * self.track(attribution).square().mean(dim=1)
"""
DATA = """
task = "binary"
name = "mine"
positives = "positives.fa"
negatives = "negatives.fa"
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a plug-in, a package that it imports, and data files."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "own_package").mkdir()
    (folder / "own_package" / "__init__.py").touch()
    (folder / "own_package" / "numbers.py").write_text("TWO = 2.0\n")
    (folder / "own_package" / "scale.py").write_text("from .numbers import TWO as SCALE\n")
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "data.toml").write_text(DATA)
    generator = np.random.default_rng(0)
    for name in ("positives", "negatives"):
        drawn = generator.choice(list("ACGT"), (60, 50))
        lines = [f">{name}{k}\n{''.join(bases)}" for k, bases in enumerate(drawn)]
        (folder / f"{name}.fa").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def place(source, tmp_path, monkeypatch):
    copied = Path(shutil.copytree(source, tmp_path / "source"))
    monkeypatch.syspath_prepend(copied)
    forget_package()  # that of another test
    yield copied
    forget_package()


def forget_package():
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        del sys.modules[name]


def study(place, *more):
    return ["--priors", "mine", "--seeds", "1", "--plugin", str(place / "mine.py"), *more]


def said(capsys):
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_a_module_that_a_plug_in_imports_trains_its_trials_again(place, tmp_path, capsys):
    out = tmp_path / "out"
    run_smoke(out, *study(place))
    before = set(records(out))
    capsys.readouterr()
    (place / "own_package" / "numbers.py").write_text("TWO = 3.0\n")
    execute_command(["status", str(out)])
    text = "the code of prior mine changed (own_package/numbers.py)"
    assert f"1 trial would be trained again: {text}" in said(capsys)
    run_smoke(out, *study(place))
    words = said(capsys)
    assert f"1 trial that had been done is trained again: {text}" in words
    assert "2 trials, 1 to run" in words
    assert len(set(records(out)) - before) == 1
    execute_command(["status", str(out)])
    assert "again" not in said(capsys)


def test_a_comment_in_a_module_of_the_plug_in_changes_nothing(place, tmp_path, capsys):
    out = tmp_path / "out"
    run_smoke(out, *study(place))
    capsys.readouterr()
    (place / "own_package" / "scale.py").write_text("# mine\nfrom .numbers import TWO as SCALE\n")
    run_smoke(out, *study(place))
    assert "2 trials, 0 to run" in said(capsys)


def test_code_of_the_engine_that_changed_is_named(tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    run_smoke(out, "--priors", "l2", "--seeds", "1")
    capsys.readouterr()
    digest = source_code.source_digest

    def edited(*paths):
        return digest(*paths) + "x" * any(path.name == "schedules.py" for path in paths)

    monkeypatch.setattr(source_code, "source_digest", edited)
    from priorbench.study.trial import engine_digest

    engine_digest.cache_clear()
    try:
        execute_command(["status", str(out)])
        assert (
            "2 trials would be trained again: the engine changed (training/schedules.py)"
            in said(capsys)
        )
        run_smoke(out, "--priors", "l2", "--seeds", "1")
        text = "2 trials that had been done are trained again: the engine changed (training/"
        assert text in said(capsys)
    finally:
        engine_digest.cache_clear()


def test_data_that_changed_are_named(place, tmp_path, capsys):
    out, data = tmp_path / "out", ["--data", str(place / "data.toml")]
    network = ["--architectures", "three-conv", "--priors", "l2", "--seeds", "1"]
    run_smoke(out, *data, *network)
    capsys.readouterr()
    lines = (place / "positives.fa").read_text().splitlines()
    (place / "positives.fa").write_text("\n".join(lines[2:]) + "\n")
    execute_command(["status", str(out)])
    text = "the data file of binary/mine, or a file that it names, changed"
    assert f"2 trials may be trained again: {text}" in said(capsys)
    run_smoke(out, *data, *network)
    assert f"2 trials that had been done are trained again: {text}" in said(capsys)


def test_status_goes_on_without_the_plug_in(place, tmp_path, capsys):
    out = tmp_path / "out"
    run_smoke(out, *study(place))
    (place / "mine.py").unlink()
    capsys.readouterr()
    execute_command(["status", str(out)])
    words = said(capsys)
    assert "2 trials: 2 done" in words
    assert "cannot be told: plug-in" in words


class TestOwnImports:
    def test_a_users_modules_are_followed_and_others_are_not(self, place):
        names = {path.name for path in source_code.own_imports(place / "mine.py")}
        assert names == {"__init__.py", "scale.py", "numbers.py"}

    def test_circles_end(self, place):
        text = "from .scale import SCALE\nimport own_package.numbers\nTWO = 2.0\n"
        (place / "own_package" / "numbers.py").write_text(text)
        names = {path.name for path in source_code.own_imports(place / "mine.py")}
        assert names == {"__init__.py", "scale.py", "numbers.py"}

    @pytest.mark.parametrize(
        "contents",
        [b"print 'of Python 2'\n", b"# -*- coding: latin-1 -*-\nNAME = '\xe9'\n", b"\xff"],
    )
    def test_a_module_that_cannot_be_parsed_still_counts(self, place, contents):
        (place / "own_package" / "scale.py").write_text(
            "try:\n    from . import odd\nexcept SyntaxError:\n    pass\nSCALE = 1\n"
        )
        odd = place / "own_package" / "odd.py"
        odd.write_bytes(contents)
        assert odd in source_code.own_imports(place / "mine.py")
        before = source_code.component_digest(place / "mine.py")
        odd.write_bytes(contents + b"x = 1\n")
        assert source_code.component_digest(place / "mine.py") != before

    def test_a_module_that_is_not_there_is_left_to_the_import(self, place):
        (place / "own_package" / "scale.py").write_text("import missing_here\nSCALE = 1\n")
        assert source_code.own_imports(place / "mine.py")


def test_a_run_goes_on_by_the_name_of_its_folder(tmp_path, capsys):
    out = tmp_path / "out"
    run_smoke(out, "--priors", "l2", "--seeds", "2")
    shutil.rmtree(sorted(out.glob("trials/*"))[0])
    capsys.readouterr()
    assert execute_command(["run", str(out), *SMOKE[-1:], "--jobs", "1"]) == 0
    assert "4 trials, 1 to run" in said(capsys)
    assert execute_command(["run", str(out), *SMOKE[-1:], "--seeds", "3"]) == 0
    assert f"6 trials, 2 to run, in {out}" in said(capsys)


def test_a_folder_that_is_no_run_is_no_study(tmp_path):
    with pytest.raises(UserError, match=r"neither a run directory nor a study"):
        execute_command(["run", str(tmp_path)])


def test_code_that_lies_elsewhere_is_the_same(place, tmp_path, capsys):
    out = tmp_path / "out"
    run_smoke(out, *study(place))
    moved = place.rename(tmp_path / "moved")
    forget_package()
    sys.path.insert(0, str(moved))
    try:
        facts = json.loads((out / "environment.json").read_text())
        text = (out / "study.toml").read_text().replace(str(place), str(moved))
        facts["study"]["plugins"] = [str(moved / "mine.py")]
        manifest = {"study.toml": text, "environment.json": json.dumps(facts)}
        RunDirectory(out).manifest.write(manifest)
        capsys.readouterr()
        execute_command(["status", str(out)])
        assert "again" not in said(capsys)
    finally:
        sys.path.remove(str(moved))
