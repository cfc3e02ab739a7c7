"""Options and arguments that are missing, unknown or too many: one line in our words."""

from __future__ import annotations

from inspect import Parameter, signature

import pytest
from fixtures.runs import run_smoke

from priorbench import UserError
from priorbench.cli.app import _COMMANDS, execute_command
from priorbench.errors import in_one_line
from priorbench.storage.run_directory import RunDirectory

COMMANDS = {name: command for part in _COMMANDS.values() for name, command in part.items()}
NOT_OURS = (
    "No such", "Missing", "Option", "Got unexpected", "Choose", "requires", "Possible", "argument("
)  # fmt: skip
"""words of typer"""


def line_of(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        execute_command([*arguments])
    line = in_one_line(str(caught.value))
    assert not [words for words in NOT_OURS if words in line], line
    assert "\t" not in str(caught.value)
    return line


def options_of(command: str) -> list[tuple[str, bool]]:
    """Every option of a command, and whether it takes a value."""
    return [
        (f"--{name.replace('_', '-')}", not isinstance(parameter.default, bool))
        for name, parameter in signature(COMMANDS[command]).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_without_its_value(command):
    for option, takes_value in options_of(command):
        if takes_value:
            assert line_of(command, option).startswith(f"{option}: its value is missing; give one")
        else:
            assert (
                line_of(command, f"{option}=x") == f"{option}: takes no value; write {option} alone"
            )


@pytest.mark.parametrize("follower", ["--no-report", "--help", "-h", "--nonsense", "--out=x", "-j"])
def test_an_option_is_not_the_value_of_another(follower):
    line = line_of("run", "--priors", follower)
    assert line.startswith(f"--priors: its value is missing, as {follower} is the next option")


def test_a_value_may_begin_with_dashes():
    assert "unknown prior '--x'" in line_of("run", "--priors=--x")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_there_is_not(command):
    line = line_of(command, "--nonsense")
    assert line.startswith("unknown option '--nonsense'")
    assert "known: " in line or f"`priorbench {command} --help` lists all" in line


def test_a_slip_in_an_option_or_a_command_is_told():
    assert "did you mean '--priors'?" in line_of("run", "--prior", "x")
    assert line_of("valdate", "x").startswith("unknown command 'valdate'; did you mean 'validate'?")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fetch", "x"], "--to: is missing; give it, as `priorbench fetch --help` shows"),
        (["show"], "NAME: is missing; give it, as `priorbench show --help` shows"),
        (
            ["new"],
            "KIND: is missing; give one of prior, task, architecture, metric, as `priorbench new "
            "--help` shows",
        ),
        (
            ["export", "x"],
            "--format: is missing; give one of csv, latex, parquet, bigwig, modisco, figures, as "
            "`priorbench export --help` shows",
        ),
        (["run", "a", "b c"], "b c: more than this command takes; `priorbench run --help` shows"),
    ],
)
def test_what_is_missing_or_too_much(arguments, line):
    assert line_of(*arguments).startswith(line)


@pytest.mark.parametrize("command", ["report", "status", "score", "compare", "export", "runs"])
def test_a_file_in_the_place_of_a_run(command, tmp_path):
    (tmp_path / "x").touch()
    more = {"compare": ["--metric", "auroc"], "export": ["--format", "csv"]}.get(command, [])
    line = line_of(command, str(tmp_path / "x"), *more)
    assert line == f"{tmp_path / 'x'}: is a file; name a folder"


def test_a_very_long_value_does_not_hide_what_is_wrong():
    line = line_of("show", "x" * 100_000)
    assert len(line) < 1000
    assert "`priorbench list` lists all" in line


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_folder_that_is_in_use_names_no_option_that_a_command_lacks(command, tmp_path):
    root = tmp_path / "x"
    run_smoke(root, "--priors", "l1", "--seeds", "1")
    with RunDirectory(root).lock():
        line = line_of(command, str(root))
    assert line == f"{root}: another priorbench run is using this folder; wait for it to end"
