"""Wrong values of every key and option: one line that names them and the fix, in our words."""

from __future__ import annotations

import os
import re
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from fixtures.runs import run_smoke

from priorbench import UserError
from priorbench.backends.local import LocalEngine
from priorbench.cli import app as command_line
from priorbench.cli.app import execute_command
from priorbench.components import registry, specs
from priorbench.data.downloads.listing import DataText, Download, DownloadList, load_list
from priorbench.data.readers.data_file import DataFile, load_data_file
from priorbench.errors import in_one_line
from priorbench.inputs import problem_of_file
from priorbench.machine.memory import memory_at_hand
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, load_study

WRONG: dict[str, Any] = {
    "true": True,
    "text": "5",
    "empty": "",
    "half": 5.5,
    "negative": -1,
    "twenty digits": 10**19,
    "nan": float("nan"),
    "infinite": float("inf"),
    "list": [[1]],
    "texts": ["a\nb", ""],
    "table": {"a": {"b": {"c": 1}}},
    "newline": "a\nb",
    "NUL": "a\0b",
    "long": "a" * 5000,
    "unknown home": "~nobody-of-this-name/x",
}
NOT_OURS = re.compile(
    r"Input should|Value error|Extra inputs|Field required|valid (string|integer|number|list)"
    r"|pydantic|Traceback|Errno|_type\b|list\[|dict\[|constrained"
)
"""words of pydantic and of Python"""
ACCEPTED = object()


def line_of(load, *arguments) -> str | object:
    """The line of an error, checked; ACCEPTED where nothing is wrong."""
    try:
        load(*arguments)
    except UserError as error:
        line = in_one_line(str(error))
        assert line.isprintable()
        assert len(line) < 1000
        assert not NOT_OURS.search(line), line
        return line
    return ACCEPTED


def write(path: Path, table: dict[str, Any]) -> Path:
    path.write_text(tomli_w.dumps(table))
    return path


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", [k for k in DataFile.model_fields if k != "source"])
def test_every_key_of_a_data_file(tmp_path, key, wrong):
    good = {"task": "binary", "positives": "p.fa", "negatives": "p.fa"}
    (tmp_path / "p.fa").touch()
    path = write(tmp_path / "x.toml", {**good, key: WRONG[wrong]})
    line = line_of(load_data_file, path)
    if line is ACCEPTED:  # a name may be anything that is one line, and a task of a plug-in too
        assert key in ("name", "task")
        assert isinstance(WRONG[wrong], str)
    else:
        assert line.startswith(f"{path}: ")
        assert key in line


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", list(Study.model_fields))
def test_every_key_of_a_study(tmp_path, key, wrong):
    path = write(tmp_path / "x.toml", {key: WRONG[wrong]})
    line = line_of(load_study, path)
    if line is ACCEPTED:
        kept = getattr(load_study(path), key)
        assert type(WRONG[wrong]) in (str, int, float, bool), kept
        switches = ("discovery", "keep_hypothetical", "own_data")
        assert isinstance(WRONG[wrong], bool) == (key in switches)
    else:
        assert line.startswith(f"{path}: {key}")


@pytest.mark.parametrize("value", [True, "5", 5.5, -1, 0, [], [1, "a"], [1, 1], [-1], [10**19]])
@pytest.mark.parametrize("key", ["seeds", "tuning_seeds"])
def test_seeds_are_whole_numbers(tmp_path, key, value):
    line = line_of(load_study, write(tmp_path / "x.toml", {key: value}))
    assert line is not ACCEPTED
    assert re.search(rf"{key}(\[\d\])? = .*: .*(give|name)", line)


LIST = {"summary": "x", "files": [{"name": "x", "what": "y", "url": "https://z"}]}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("where", "key"),
    [
        *(((), key) for key in DownloadList.model_fields),
        *((("files",), key) for key in Download.model_fields),
        *((("data",), key) for key in DataText.model_fields),
    ],
)
def test_every_key_of_a_list_of_downloads(tmp_path, where, key, wrong):
    table = {**LIST, "data": [{"file": "a.toml", "keys": {}}]}
    if where:
        table[where[0]] = [{**table[where[0]][0], key: WRONG[wrong]}]
    else:
        table[key] = WRONG[wrong]
    path = write(tmp_path / "x.toml", table)
    line = line_of(load_list, str(path))
    if line is ACCEPTED:
        assert isinstance(WRONG[wrong], str) or key in ("keys", "output_types")
    else:
        assert line.startswith(f"{path}: ")


@pytest.mark.parametrize("load", [load_data_file, load_study, lambda path: load_list(str(path))])
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, "no such file; check the path"),
        ("folder", "is a folder; give a file"),
        ("dangling", "is a link to nowhere, which is not there; mend the link"),
        (b"\xff\xfe\x00", r"not a text file in UTF-8 \(byte 1\)"),
        (b"x = ", "not valid TOML"),
        (b"x = " + b"[" * 100_000, "not valid TOML: lists or tables are nested too deep"),
        (b"x = " + b"9" * 10_000, "has a number of too many digits; give a smaller one"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, load, contents, message):
    path = tmp_path / "x y é.toml"
    if contents == "folder":
        path.mkdir()
    elif contents == "dangling":
        path.symlink_to("nowhere")
    elif contents is not None:
        path.write_bytes(contents)
    line = line_of(load, path)
    assert re.match(f"{re.escape(str(path))}: {message}", line)


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfseeds = 3\n")
    assert load_study(path).seed_list == [0, 1, 2]


def test_a_pipe_and_a_file_without_rights_are_no_input(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    assert "copy it to a file" in problem_of_file(tmp_path / "pipe")
    (tmp_path / "closed").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert problem_of_file(tmp_path / "closed") == (
        "cannot be read (Permission denied); give yourself the right to read it"
    )


COMMANDS = {name: c for part in command_line._COMMANDS.values() for name, c in part.items()}
NEEDED = {
    "compare": ["--metric", "auroc"],
    "power": ["--metric", "auroc"],
    "export": ["--format", "csv"],
    "fetch": ["neurips2020", "--to", "x", "--dry-run"],
    "check": ["none"],
    "show": ["none"],
    "validate": ["x.toml"],
    "status": ["x"],
    "report": ["x"],
    "score": ["x"],
    "new": ["prior", "a"],
}


def options() -> list[tuple[str, str]]:
    """Every option of every command that takes a value."""
    return [
        (name, option)
        for name, command in COMMANDS.items()
        for option, parameter in signature(command).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY and not isinstance(parameter.default, bool)
    ]


@pytest.mark.parametrize(("command", "option"), options())
def test_an_option_in_the_place_of_a_value_is_noticed(command, option):
    written = f"--{option.replace('_', '-')}"
    other = f"--{options_of(command, option)}"
    with pytest.raises(
        UserError, match=f"^{written}: its value is missing, as {other} is the next"
    ):
        execute_command([command, written, other])


def options_of(command: str, option: str) -> str:
    parameters = signature(COMMANDS[command]).parameters.values()
    known = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
    return next((name for name in known if name != option), option).replace("_", "-")


@pytest.mark.parametrize("text", ["x", "1.5", "-1", "9" * 20, "nan", "a\nb", "~nobody/x", "/"])
@pytest.mark.parametrize(("command", "option"), options())
def test_every_option_of_every_command(command, option, text, tmp_path, monkeypatch):
    """What is no value is refused in one line; nothing is trained, and nothing is written."""
    monkeypatch.chdir(tmp_path)

    def stop(*_, **__):
        raise UserError("stopped")

    monkeypatch.setattr("priorbench.workflow.run_study.run_study", stop)
    monkeypatch.setattr(registry, "reports_package", stop)
    needed = list(NEEDED.get(command, ()))
    if command in ("compare", "power", "export"):
        needed = ["x", *needed]
    line = line_of(execute_command, [command, *needed, f"--{option.replace('_', '-')}", text])
    assert line is ACCEPTED or len(line) > 5
    if text == "x" and line is not ACCEPTED and option in ("tune", "jobs", "ensemble", "root_seed"):
        assert line == f"--{option.replace('_', '-')} 'x': give a whole number"


def numbers() -> list[tuple[str, str, str]]:
    """Kind, name and option of every component with an option that is a whole number."""
    found = []
    for kind in ("prior", "task", "architecture"):
        for name in registry.components(kind):
            for option, field in getattr(
                registry.load(kind, name), "__dataclass_fields__", {}
            ).items():
                if field.type in ("int", int):
                    found.append((kind, name, option))
    return found


@pytest.mark.parametrize(("kind", "name", "option"), numbers())
def test_whole_numbers_of_twenty_digits_are_refused(kind, name, option):
    with pytest.raises(UserError, match=f"option '{option}': 9+ is too large"):
        registry.build(kind, f"{name}:{option}={'9' * 20}")


def test_a_prior_has_one_weight():
    with pytest.raises(UserError, match=r"has several weights; write one, fourier=WEIGHT"):
        specs.split_composition("fourier=0.3=0.4")


def test_a_data_file_without_a_task_is_no_study(tmp_path):
    path = write(tmp_path / "x.toml", {"positives": "p.fa", "negatives": "n.fa"})
    for command in (["validate"], ["run", "--data"]):
        with pytest.raises(UserError, match=r"key 'task' is missing; write task = \"binary\""):
            execute_command([*command, str(path)])
    with pytest.raises(UserError, match=r"'positives' belongs to a data file.*with --data"):
        execute_command(["run", str(path)])


def test_an_empty_file_is_called_so(tmp_path):
    (tmp_path / "x.toml").touch()
    with pytest.raises(UserError, match="is empty; a data file names its task"):
        execute_command(["validate", str(tmp_path / "x.toml")])


@pytest.mark.parametrize("effect", ["-1", "0", "nan", "inf"])
def test_an_effect_is_above_zero(effect):
    from priorbench.workflow.metric_answers import power_of_metric

    with pytest.raises(UserError, match=r"--effect .*: give the least difference .* above 0"):
        power_of_metric(None, "auroc", None, float(effect))


def test_a_window_that_does_not_fit_into_memory_is_refused():
    with pytest.raises(UserError, match=r"length 100000000: takes .* GiB .* at hand; give \d+ bp"):
        execute_command(["edges", "--length", "100000000", "--priors", "tv"])


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        (["fourier", "fourier"], "priors: 'fourier' is written twice; write it once"),
        (["tv+l1", "l1+tv"], r"'l1\+tv' is written twice, as tv\+l1 and as l1\+tv"),
        (["l1", "l1:every=1"], "'l1' is written twice, as l1 and as l1:every=1"),
    ],
)
def test_a_prior_is_written_once(priors, message):
    with pytest.raises(UserError, match=message):
        resolve(Study(priors=priors), "cpu")


def test_the_baseline_may_be_named():
    assert resolve(Study(priors=["none", "l1"]), "cpu").priors == ["none", "l1"]


def test_more_workers_than_there_is_memory_for_are_refused(monkeypatch):
    monkeypatch.setattr("priorbench.backends.local.memory_at_hand", lambda: 2**30)
    with pytest.raises(UserError, match=r"--jobs 1000: each worker takes .* give 3 or fewer"):
        LocalEngine(1000)
    LocalEngine(3)
    LocalEngine(None)


def test_memory_at_hand_is_within_that_of_the_machine():
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_at_hand() <= there


READERS = {
    "report": [],
    "status": [],
    "score": [],
    "compare": ["--metric", "auroc"],
    "power": ["--metric", "auroc"],
    "export": ["--format", "csv"],
}
"""commands that read a run"""


@pytest.mark.parametrize("command", READERS)
def test_a_folder_that_is_no_run_is_called_so(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    with pytest.raises(UserError, match=r"no study.toml here, .*`priorbench runs x` lists"):
        execute_command([command, "x", *READERS[command]])
    Path("x/study.toml").write_text("seeds = 3")
    with pytest.raises(UserError, match=r"was not run; `priorbench run x/study.toml` runs it"):
        execute_command([command, "x", *READERS[command]])
    assert os.listdir("x") == ["study.toml"]


def test_a_page_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    with pytest.raises(UserError, match=r"^x: is a folder; name a file, such as x/report.html"):
        execute_command(["report", "x", "--out", "x"])


PLUGINS = {
    "nul": (b"x = '\0'", "null bytes; write Python, in UTF-8"),
    "latin": (b"x = '\xff'", "write Python, in UTF-8"),
    "wrong": (b"def (:", "line 1: invalid syntax"),
    "empty": (b"", "must define exactly one subclass"),
    "raises": (b"raise KeyError('a\\nb')", "KeyError"),
    "nothing": (None, "no such file; check the path"),
    "folder": ("folder", "is a folder; give a file"),
}


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("command", ["list", "show", "check", "validate", "run"])
def test_a_plug_in_that_is_none(command, name, tmp_path):
    contents, message = PLUGINS[name]
    path = tmp_path / f"{name}.py"
    if contents == "folder":
        path.mkdir()
    elif contents is not None:
        path.write_bytes(contents)
    study = write(tmp_path / "x.toml", {"priors": ["l1"]})
    written = {"show": ["none"], "validate": [str(study)], "check": ["none"]}
    arguments = [command, *written.get(command, []), "--plugin", str(path)]
    line = line_of(execute_command, arguments)
    assert line.startswith(f"plug-in {path}")
    assert message in line


FINITE = "whether the penalty of mine is finite"
LATIN = """# -*- coding: latin-1 -*-
from dataclasses import dataclass
from priorbench import AttributionPrior

@dataclass(frozen=True)
class Mine(AttributionPrior):
    summary = "caf\xe9"
    citation = "none"
    default_weights = {"*": 0.5}

    def penalty(self, attribution, batch):
        return PENALTY
"""


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_plug_in_may_declare_its_encoding(tmp_path, mark):
    text = LATIN.replace("latin-1", "utf-8") if mark else LATIN
    encoded = text.encode("utf-8" if mark else "latin-1")
    (tmp_path / "mine.py").write_bytes(mark + encoded)
    found = registry.add_plugin(tmp_path / "mine.py")
    assert registry.describe(found)["summary"] == "café"


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (
            "self.track(attribution).sum(dim=1) * float('nan')",
            FINITE,
        ),
        (
            "self.track(attribution).sum(dim=1) * float('inf')",
            FINITE,
        ),
        ("self.track(attribution).sum()", "penalty has shape (), wanted ("),
        ("self.track(attribution)", "one per example"),
    ],
)
def test_a_penalty_that_is_none_is_told(tmp_path, penalty, message, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text(LATIN.replace("PENALTY", penalty), encoding="latin-1")
    arguments = ("--plugin", str(plugin), "--priors", "mine", "--seeds", "1")
    run_smoke(tmp_path / "run", *arguments)
    capsys.readouterr()
    assert execute_command(["status", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert message in printed
    assert "Traceback" not in printed
