"""The command lines in README.md and docs/ are ones that the program understands."""

import re
import shlex

import pytest
import typer
from fixtures.places import DOCS, ROOT

from priorbench.cli.app import app, execute_command
from priorbench.study.resolve import resolve

PLACEHOLDERS = re.compile(r"my[-_.]|\bDIR\b|\bHOST\b|\bNAME\b|\.\.\.|\.toml\b|/shared/|neurips2020")
"""what stands for something of the reader's"""
COMMANDS = typer.main.get_command(app).commands


def command_lines() -> list[str]:
    """Return the lines of code blocks, and the code in the text, that call the program."""
    lines = []
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for number, part in enumerate(text.split("```")):
            code = part.splitlines() if number % 2 else re.findall(r"`([^`]+)`", part)
            code = (line.strip().removeprefix("$ ") for line in code)
            lines += [" ".join(line.split()) for line in code if line.startswith("priorbench ")]
    return list(dict.fromkeys(line for line in lines if "[OPTIONS]" not in line))


LINES = command_lines()
RUNS = [line for line in LINES if line.split()[1] == "run" and not PLACEHOLDERS.search(line)]


class Read(Exception):
    """A study was read, and is not to be run."""


@pytest.mark.parametrize("line", RUNS)
def test_the_study_of_a_line_can_be_planned(line, monkeypatch):
    studies = []

    def read_only(study, *arguments, **more):
        studies.append(study)
        raise Read

    monkeypatch.setattr("priorbench.workflow.run_study.run_study", read_only)
    if "--log wandb" in line:
        pytest.importorskip("wandb")
    with pytest.raises(Read):
        execute_command(shlex.split(line, comments=True)[1:])
    (study,) = studies
    if study.discovery:
        pytest.importorskip("modiscolite")
    resolve(study, "cpu")


@pytest.mark.parametrize("line", [x for x in LINES if len(x.split()) > 2 and "..." not in x])
def test_the_options_of_a_line_exist(line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    with COMMANDS[name].make_context(name, arguments):
        pass


def test_the_page_on_running_has_every_command():
    page = (DOCS / "how-to/running.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"^priorbench {name}\b", page, re.M)] == []
    assert len(RUNS) > 20
