"""Names that are empty, files where folders are needed, and output that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest
from fixtures.runs import SMOKE

from priorbench import UserError
from priorbench.cli import app as command_line
from priorbench.cli.app import execute_command

COMMANDS = {
    name: command for part in command_line._COMMANDS.values() for name, command in part.items()
}
PROGRAM = [sys.executable, "-m", "priorbench"]


def positional() -> list[str]:
    """Commands that take a name or a path by its position."""
    kinds = {
        name: {parameter.kind for parameter in signature(command).parameters.values()}
        for name, command in COMMANDS.items()
    }
    return [name for name, found in kinds.items() if len(found) > 1 or "edges" not in name]


@pytest.mark.parametrize("command", positional())
def test_an_empty_name_is_refused(command):
    with pytest.raises(UserError, match=f"^{command} '': an empty text names nothing"):
        execute_command([command, ""])


@pytest.mark.parametrize("arguments", [["--out", ""], ["--out="], ["--baseline", ""]])
def test_an_empty_option_is_refused(arguments):
    with pytest.raises(UserError, match=r"^--\w+ '': an empty text"):
        execute_command(["run", *arguments])


def folders() -> Iterator[list[str]]:
    """Commands with FILE where each of them takes a folder."""
    needed = {
        "compare": ["--metric", "auroc"],
        "power": ["--metric", "auroc"],
        "export": ["--format", "csv"],
        "fetch": ["neurips2020"],
    }
    for name, command in COMMANDS.items():
        for option, parameter in signature(command).parameters.items():
            more = needed.get(name, [])
            if option in ("directory", "folder") and name != "report":
                yield [name, "FILE", *more]
            elif option in ("out", "to", "run") and name != "report":
                assert parameter.kind is parameter.KEYWORD_ONLY
                before = ["DIR"] if name == "export" else []
                yield [name, *before, f"--{option}", "FILE", *more]


@pytest.mark.parametrize("arguments", list(folders()), ids=" ".join)
def test_a_file_in_the_place_of_a_folder_is_named(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("x")
    with pytest.raises(UserError, match=r"^FILE: is a file; name a folder$"):
        execute_command(arguments)
    assert os.listdir(tmp_path) == ["FILE"]


def test_a_folder_that_is_no_run_is_called_so(tmp_path):
    with pytest.raises(UserError, match="neither a run directory nor a study"):
        execute_command(["run", str(tmp_path)])


def test_a_folder_that_cannot_be_made_is_named_with_the_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = os.mkdir

    def refuse(path, *more, **names):
        if str(path).startswith("runs/"):  # as mkdir does where the folder above is not there
            raise FileNotFoundError(2, "No such file or directory", str(path))
        if str(path) == "runs":
            raise PermissionError(13, "Permission denied", str(path))
        real(path, *more, **names)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(UserError, match=r"^runs: Permission denied; choose another --out$"):
        execute_command(["run", *SMOKE, "--priors", "l1", "--seeds", "1"])


def test_what_was_to_be_read_names_no_option_of_a_place():
    assert command_line._option_of_place(["run", "x.toml"], "x.toml") == ""
    assert command_line._option_of_place(["run", "--out", "x"], "x") == "--out"
    assert command_line._option_of_place(["export", "x"], "x/export") == "--to"


def program(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True, check=False, **how
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
def test_output_that_takes_no_more_is_called_so():
    with open("/dev/full", "w") as full:
        done = program("list", "priors", stdout=full)
    line = "priorbench: error: standard output takes no more: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_path_is_printed_as_it_is(tmp_path, encoding):
    run = tmp_path / os.fsdecode(b"caf\xe9") / "run"
    run.mkdir(parents=True)
    (run / "study.toml").write_text("")
    (run / "trials").mkdir()
    done = subprocess.run(
        [*PROGRAM, "runs", str(run.parent)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.stdout.splitlines()[0] == os.fsencode(run)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_only_tells_needs_no_caches(tmp_path, option):
    (tmp_path / "file").touch()
    environment = {**os.environ, "PRIORBENCH_CACHE": str(tmp_path / "file" / "x")}
    done = program(option, stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "priorbench" in done.stdout


def test_a_study_of_the_baseline_alone_says_that_nothing_is_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.toml").write_text("")

    def stop(*_, **__):
        raise UserError("stopped")

    monkeypatch.setattr("priorbench.workflow.run_study.run_study", stop)
    with pytest.raises(UserError, match="stopped"):
        execute_command(["run", "empty.toml"])
    assert "nothing is compared" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--data", "--plugin"])
def test_a_file_whose_name_is_no_text_is_refused_at_once(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.toml")
    Path(name).write_text("")
    with pytest.raises(UserError, match=r"no UTF-8, which study.toml needs"):
        execute_command(["run", option, name])
    assert os.listdir(tmp_path) == [name]
