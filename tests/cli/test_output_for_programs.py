"""`--json` and `--csv`: every command that has them prints what docs/json.md says, and no more."""

import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from fixtures.places import DOCS, ROOT
from fixtures.runs import run_smoke

import priorbench
from priorbench import UserError
from priorbench.cli.app import app, execute_command
from priorbench.comparison.seeds_needed import POWER_COLUMNS
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS

pytestmark = pytest.mark.usefixtures("one_epoch", "sketches")

COMMANDS = typer.main.get_command(app).commands
PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
CALLS = {
    "runs": [["RUNS"]],
    "status": [["RUN"]],
    "compare": [["RUN", "--metric", "auroc"], ["RUN", "--metric", "peak-memory"]],
    "power": [["RUN", "--metric", "auroc"], ["RUN", "--metric", "auroc", "--effect", "1e-9"]],
    "list": [[], ["metrics"], ["studies"], ["priors"]],
    "show": [["fourier"], ["edges"], ["auroc"], ["deep-lift-shap"], ["neurips2020"], ["real-data"]],
    "validate": [[str(ROOT / "studies" / "default.toml"), "--scale", "smoke"]],
    "check": [
        ["dropout"],
        ["--length", "80", "--batch", "6", "--model", "fixtures.networks:build_network"],
    ],
}
"""arguments with which each command has something to print"""
EVERY = [
    pytest.param(name, arguments, id=" ".join([name, *arguments[-1:]]).replace(str(ROOT), ""))
    for name, calls in CALLS.items()
    for arguments in calls
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    assert run_smoke(out, "--priors", "fourier,tv", "--seeds", "2") == 0
    return out


def placed(arguments, run):
    places = {"RUN": str(run), "RUNS": str(run.parent)}
    return [places.get(argument, argument) for argument in arguments]


def printed(capsys, *arguments):
    """What a command prints to standard output alone."""
    capsys.readouterr()
    assert execute_command(list(arguments)) == 0
    return capsys.readouterr().out


def no_constant(name):
    raise AssertionError(f"{name} is not JSON")


def test_every_command_with_json_is_called_here_and_described():
    with_json = [name for name, c in COMMANDS.items() if "json" in {p.name for p in c.params}]
    assert sorted(CALLS) == sorted(with_json)
    running = " ".join((DOCS / "how-to/running.md").read_text(encoding="utf-8").split())
    (listed,) = re.findall(r"((?:`\w+`(?:, | and )?)+) have `--json`", running)
    assert sorted(re.findall(r"\w+", listed.replace(" and ", " "))) == sorted(with_json)


def texts_of_the_wheel():
    """What an installed program says of itself: of commands, their options, and public names."""
    for name, command in COMMANDS.items():
        yield name, command.help or ""
        yield from ((f"{name} {p.name}", getattr(p, "help", None) or "") for p in command.params)
    for name in priorbench.__all__:
        thing = getattr(priorbench, name)
        yield name, inspect.getdoc(thing) or ""
        if inspect.isclass(thing):
            yield from ((f"{name}.{k}", inspect.getdoc(v) or "") for k, v in vars(thing).items())


def test_no_help_names_a_page_of_the_source():
    texts = dict(texts_of_the_wheel())
    assert 'page "Output for programs"' in texts["runs json"]
    pattern = re.compile(
        r"\b(docs|tests|benchmarks)/|\b(priors|tasks|studies|reports|priorbench)/\w+\."
    )
    assert [name for name, text in texts.items() if pattern.search(text)] == []
    assert PAGE.startswith("# Output for programs\n")
    assert (DOCS / "metrics.md").read_text(encoding="utf-8").startswith("# Metrics\n")
    assert re.findall(r"^## (\w+)", PAGE, re.M) == list(CALLS)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_json_is_all_that_is_printed_and_its_keys_are_described(name, arguments, run, capsys):
    text = printed(capsys, name, *placed(arguments, run), "--json")
    value = json.loads(text, parse_constant=no_constant)
    section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", PAGE, re.M | re.DOTALL)[1]
    if name == "power":
        section += re.search(r"^## compare$(.*?)^## ", PAGE, re.M | re.DOTALL)[1]
    described = set(re.findall(r"`([\w-]+)`", section))
    for item in value if isinstance(value, list) else [value]:
        assert item
        assert set(item) <= described
        assert set(item.get("facts", {})) <= described
    if name == "power":
        told = {*described, *COMPARISON_COLUMNS, "task", "dataset", "architecture"}
        assert all(set(row) <= told for row in value["rows"])


@pytest.mark.parametrize("name", ["compare", "power"])
def test_csv_holds_the_rows_of_json(name, run, capsys):
    arguments = [name, str(run), "--metric", "motif-auprc"]
    rows = json.loads(printed(capsys, *arguments, "--json"))["rows"]
    text = printed(capsys, *arguments, "--csv")
    table = pd.read_csv(io.StringIO(text))
    assert list(table) == {"compare": COMPARISON_COLUMNS, "power": POWER_COLUMNS}[name]
    assert list(table["prior"]) == [row["prior"] for row in rows]
    number = {"compare": "difference", "power": "spread"}[name]
    assert list(table[number]) == pytest.approx([row[number] for row in rows])
    if name == "power":
        counts = [row["seeds_80"] for row in rows]
        assert all(count is None or isinstance(count, int) for count in counts)


@pytest.mark.parametrize("name", ["compare", "power"])
def test_one_form_at_a_time(name):
    with pytest.raises(UserError, match="one of the two"):
        execute_command([name, "nowhere", "--metric", "auroc", "--json", "--csv"])


INTERNAL = re.compile(
    r"\b(mean_prior|ci_low|p_adjusted|seeds_80|cautious_80|pilot_seeds|visible)\b"
)


@pytest.mark.parametrize("name", ["compare", "power"])
@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal_in_the_words_of_the_field(name, columns, run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed(capsys, name, str(run), "--metric", "motif-auprc")
    assert max(map(len, text.splitlines())) <= columns
    assert not INTERNAL.search(text)
    assert "\x1b" not in text  # no colours where there is no terminal


def test_a_narrow_terminal_breaks_no_number(run, capsys, monkeypatch):
    arguments = ["compare", str(run), "--metric", "auroc"]
    monkeypatch.setenv("COLUMNS", "30")
    narrow = printed(capsys, *arguments)
    monkeypatch.setenv("COLUMNS", "100")
    numbers = set(re.findall(r"[−+]?\d?\.\d{3}", printed(capsys, *arguments)))
    assert numbers
    assert numbers <= set(re.findall(r"[−+]?\d?\.\d{3}", narrow))


@pytest.mark.slow
def test_a_terminal_without_a_minus_sign_gets_the_numbers_all_the_same(run):
    command = [sys.executable, "-m", "priorbench", "compare", str(run), "--metric", "auroc"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "inconclusive" in done.stdout


def test_the_next_step_follows_from_the_numbers(run, capsys):
    few = " ".join(printed(capsys, "compare", str(run), "--metric", "auroc").split())
    assert "--seeds 100-107 --out NEW" in few
    assert f"priorbench power {run} --metric auroc" in few
    shown_only = printed(capsys, "compare", str(run), "--metric", "high-frequency")
    assert "Next:" not in shown_only
    arguments = ["power", str(run), "--metric", "auroc", "--effect"]
    large = json.loads(printed(capsys, *arguments, "0.9", "--json"))
    counts = {
        row["seeds_80"]
        for row in large["rows"]
        if row["tests"] > 1 and row["claim"] == "difference"
    }
    new = [f"{count} seeds of a new run (--seeds 100-{99 + count} --out NEW)" for count in counts]
    assert all(any(line in step for step in large["next"]) for line in new)
    assert all("a difference of 0.900" in step for step in large["next"])
    assert len(large["next"]) == 2
    assert (large["look"], large["level"]) == (1, pytest.approx(0.04))
    tiny = json.loads(printed(capsys, *arguments, "1e-9", "--json"))
    assert tiny["next"][-1].endswith("give a larger --effect.")
