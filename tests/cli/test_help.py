"""`--help`: every command and option says what it does, what its default is, and is not cut."""

import re
import subprocess
import sys
import tomllib

import pytest
import typer
from fixtures.places import ROOT

from priorbench.cli.app import app, execute_command

PROGRAM = typer.main.get_command(app)
COMMANDS = PROGRAM.commands
PARAMETERS = [
    pytest.param(parameter, id=f"{name} {parameter.name}")
    for name, command in COMMANDS.items()
    for parameter in command.params
]
MOST_OPTIONS_WITHOUT_HEADINGS = 5


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def words(capsys, *arguments: str) -> str:
    """What a command prints, without colours, frames and line breaks."""
    assert execute_command(list(arguments)) == 0
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_option_says_what_it_does_and_its_default(parameter):
    assert len(parameter.help.split()) >= 3
    assert re.match(r"[A-Z].*?\.( |$)", parameter.help), "no sentence"
    assert parameter.required != ("Default: " in parameter.help)
    assert "[" not in parameter.help, "square brackets are markup"
    if parameter.default and not isinstance(parameter.default, bool):
        assert re.search(rf"Default: .*\b{parameter.default}\b", parameter.help)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_it_understands(name):
    (example,) = re.findall(r"Example: priorbench (.*)", COMMANDS[name].help)
    arguments = example.split()
    assert arguments.pop(0) == name
    with COMMANDS[name].make_context(name, arguments):
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_option_prints_all_of_the_help(name, capsys):
    text = words(capsys, name, "-h")
    assert text == words(capsys, name, "--help")
    for parameter in COMMANDS[name].params:
        for word in parameter.help.split():
            assert word in text


def test_the_overview_cuts_no_help(capsys):
    text = words(capsys, "-h")
    assert text == words(capsys, "--help")
    assert "..." not in text.replace("[ARGS]...", "")
    for name, command in COMMANDS.items():
        summary = command.help.partition("\n\n")[0]
        assert summary.endswith("."), name
        assert f"{name} {summary}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_many_options_are_under_headings(name):
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    if len(options) > MOST_OPTIONS_WITHOUT_HEADINGS:
        assert all(option.rich_help_panel for option in options)


def test_the_defaults_of_run_are_those_of_the_default_study():
    study = tomllib.loads((ROOT / "studies" / "default.toml").read_text())
    helps = {parameter.name: parameter.help for parameter in COMMANDS["run"].params}
    priors = ",".join(prior for prior in study["priors"] if prior != "none")
    assert f"Default: the study's, or {priors}." in helps["priors"]
    assert f"or {study['tasks'][0]} without --data." in helps["tasks"]
    for key in ("seeds", "scale"):
        assert f"Default: the study's, or {study[key]}." in helps[key]


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from priorbench.cli.app import execute_command\n"
        "execute_command(['run', '-h'])\n"
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
