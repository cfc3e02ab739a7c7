"""Losses are handed on once a trial, whatever trained it, and change nothing else."""

import csv
import errno
import os
import shutil
import sys
import types
from pathlib import Path
from typing import ClassVar

import pytest
from fixtures.runs import records, run_smoke

from priorbench import UserError
from priorbench.results import training_log
from priorbench.results.logs.base import ABOUT, LOG_COLUMNS, LOSSES
from priorbench.results.logs.csv_log import CsvLog
from priorbench.results.logs.marked_logs import TensorboardLog, WandbLog
from priorbench.results.training_log import RunLog, require_log
from priorbench.storage.run_directory import RunDirectory

pytestmark = pytest.mark.slow

TWO = ("--priors", "l1", "--seeds", "2")


def rows(out):
    with (out / "losses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    out = tmp_path_factory.mktemp("logged") / "out"
    assert run_smoke(out, *TWO, "--log", "csv") == 0
    return out


def test_every_epoch_of_every_trial_has_a_row(logged):
    written, found = rows(logged), records(logged)
    assert list(written[0]) == LOG_COLUMNS
    for trial, record in found.items():
        own = [row for row in written if row["trial"] == trial]
        assert [int(row["epoch"]) for row in own] == list(range(1, len(record["history"]) + 1))
        for row, epoch in zip(own, record["history"], strict=True):
            assert {name: float(row[name]) for name in LOSSES} == {
                name: epoch[old] for name, old in LOSSES.items()
            }
        assert {row["prior"] for row in own} == {record["prior"]}
    assert len({row["trial"] for row in written}) == len(found) == 4


def test_a_log_changes_no_trial_and_is_written_for_trials_that_had_ended(logged, tmp_path):
    plain = tmp_path / "plain"
    assert run_smoke(plain, *TWO) == 0
    timed = ("seconds", "costs", "history", "metrics", "sha256", "files", "host")
    kept = [
        {
            trial: {key: value for key, value in record.items() if key not in timed}
            for trial, record in records(out).items()
        }
        for out in (plain, logged)
    ]
    assert kept[0] == kept[1]
    assert not (plain / "losses.csv").exists()
    assert run_smoke(plain, *TWO, "--log", "csv") == 0  # nothing is trained

    def sorted_rows(out):
        return sorted(tuple(row.values()) for row in rows(out))

    assert sorted_rows(plain) == sorted_rows(logged)
    before = (plain / "losses.csv").read_bytes()
    assert run_smoke(plain, *TWO, "--log", "csv") == 0
    assert (plain / "losses.csv").read_bytes() == before


class Writer:
    """Stands in for TensorBoard's; fails after so many values, if that is said."""

    made, fails_after = {}, None

    def __init__(self, folder):
        self.values = self.made.setdefault(folder, [])
        Path(folder).mkdir(parents=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def add_scalar(self, *values):
        if self.fails_after == len(self.values):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.values.append(values)


class WandbRun:
    """Stands in for a run of Weights & Biases."""

    made: ClassVar[list] = []

    def __init__(self, **about):
        self.about, self.steps, self.finished = about, [], False
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        self.finished = kind is None

    def log(self, values, step):
        self.steps.append((step, values))


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.setattr(Writer, "made", {})
    stand_in = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    return Writer


@pytest.fixture
def wandb_runs(monkeypatch):
    monkeypatch.setattr(WandbRun, "made", [])
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=WandbRun))
    return WandbRun.made


@pytest.fixture
def run_folder(logged, tmp_path):
    """A copy of a finished run."""
    return Path(shutil.copytree(logged, tmp_path / "copy"))


def hand_on(out, kind, *, debug=False):
    """Hand on all trials of a run, and return what was said."""
    lines = []
    log = RunLog(RunDirectory(out), kind, lines.append, debug=debug)
    for trial in records(out):
        log.add(trial)
    return lines


def cuts(data):
    """Ways in which a full disk or a kill may leave a file, and copies of it that are wrong."""
    lines = data.splitlines(keepends=True)
    middle = len(data) // 2
    return {
        "empty": b"",
        "half a header": data[:9],
        "header only": lines[0],
        "half a row": lines[0] + lines[1][:30],
        "no end of line": data[:-1],
        "half a trial": b"".join(lines[:3]),
        "half a row of many": data[:middle],
        "glued": data[:middle] + b"".join(lines[-4:]),
        "row lost": b"".join(lines[:4] + lines[5:]),
        "row twice": b"".join(lines[:4] + lines[3:]),
        "row in the place of another": b"".join(lines[:4] + lines[3:4] + lines[5:]),
    }


@pytest.mark.parametrize("way", cuts(b"x,y\n" * 9))
def test_what_is_partial_in_a_csv_file_is_written_anew(run_folder, way):
    path = run_folder / "losses.csv"
    whole = path.read_bytes()
    path.write_bytes(cuts(whole)[way])
    assert hand_on(run_folder, "csv") == []
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert path.read_bytes().startswith(whole[:20])
    assert path.read_bytes().endswith(b"\n")
    before = path.read_bytes()
    assert hand_on(run_folder, "csv") == []
    assert path.read_bytes() == before


def test_a_line_that_was_cut_within_a_letter_is_written_anew(run_folder):
    path = run_folder / "losses.csv"
    whole = path.read_bytes()
    path.write_bytes(whole + "0123456789abcdef,binary,日".encode()[:-1])
    assert hand_on(run_folder, "csv") == []
    assert path.read_bytes() == whole


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"\xff\xfe", b"trial\nx\n"])
def test_a_file_of_another_kind_is_left_alone_and_said_by_the_command(data, run_folder, capsys):
    path = run_folder / "losses.csv"
    path.write_bytes(data)
    assert run_smoke(run_folder, *TWO, "--log", "csv") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "--log csv" in line]
    assert len(said) == 1
    assert "losses.csv: " in said[0]
    assert said[0].endswith(
        "move it away; the run goes on without it, and the same command hands "
        "on later what is missing"
    )
    assert path.read_bytes() == data


def test_tensorboard_has_a_folder_a_trial(run_folder, writer):
    found = records(run_folder)
    for _ in range(2):  # the second time nothing is left to hand on
        assert hand_on(run_folder, "tensorboard") == []
    assert len(writer.made) == len(found)
    for folder, values in writer.made.items():
        record = found[folder.rpartition("-")[2]]
        assert f"-{record['prior']}-" in folder
        epochs = range(1, len(record["history"]) + 1)
        assert [number for name, _, number in values if name == "penalty"] == list(epochs)


def test_a_folder_that_was_half_written_is_written_anew(run_folder, writer, monkeypatch):
    monkeypatch.setattr(writer, "fails_after", 2)
    (line,) = hand_on(run_folder, "tensorboard")
    assert line.startswith("--log tensorboard: No space left on device")
    (half,) = (run_folder / "tensorboard").iterdir()
    monkeypatch.setattr(writer, "fails_after", None)
    (half / "old").touch()
    writer.made.clear()
    assert hand_on(run_folder, "tensorboard") == []
    assert len(writer.made) == len(records(run_folder))
    assert not (half / "old").exists()


def test_a_folder_is_listed_once(run_folder, writer, monkeypatch):
    hand_on(run_folder, "tensorboard")
    listings, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listings.append(path) or listdir(path))
    log = TensorboardLog(run_folder)
    assert [log.has(trial, 1) for trial in records(run_folder)] == [True] * 4
    assert [path for path in listings if Path(path).name == "tensorboard"] == [log.folder]


@pytest.mark.parametrize(("log", "kind"), [(TensorboardLog, "folder"), (WandbLog, "run")])
def test_names_are_as_short_as_names_of_files_must_be(log, kind, tmp_path, writer, wandb_runs):
    prior = "+".join(f"fourier:boundary=reflect:softness=0.{n}:ä=1={n}.5" for n in range(1, 5))
    record = dict.fromkeys(ABOUT, "x") | {"prior": prior, "weight": 0.125, "seed": 7}
    log(tmp_path).write(record | {"trial": "0" * 16}, [{"penalty": 0.5}])
    made = {"folder": writer.made, "run": [run.about["name"] for run in wandb_runs]}[kind]
    (name,) = (Path(each).name for each in made)
    assert len(name.encode()) <= 128
    assert name.endswith(f"-0.125-seed7-{'0' * 16}")


def test_a_real_event_file_can_be_read_back(logged, tmp_path):
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard"
    )
    record = next(iter(records(logged).values()))
    log = TensorboardLog(tmp_path)
    log.write(record, [{"penalty": 0.5}, {"penalty": 0.25}])
    (folder,) = (path for path in (tmp_path / "tensorboard").iterdir() if path.is_dir())
    read = events.EventAccumulator(str(folder)).Reload().Scalars("penalty")
    assert [(event.step, event.value) for event in read] == [(1, 0.5), (2, 0.25)]


def test_wandb_has_a_run_a_trial(run_folder, wandb_runs):
    found = records(run_folder)
    for _ in range(2):
        assert hand_on(run_folder, "wandb") == []
    assert [run.about["id"].split("-")[0] for run in wandb_runs] == list(found)
    for run, record in zip(wandb_runs, found.values(), strict=True):
        assert run.finished
        assert run.about["config"]["seed"] == record["seed"]
        assert [set(values) for _, values in run.steps] == [set(LOSSES)] * len(record["history"])


def test_a_run_of_wandb_is_found_again_by_its_folder_and_by_no_other(run_folder, wandb_runs):
    other = Path(shutil.copytree(run_folder, run_folder.with_name("other")))
    for folder in (run_folder, other):
        hand_on(folder, "wandb")
        for mark in (folder / "wandb").glob("*.sent"):  # as if it had been killed before
            mark.unlink()
        moved = folder.rename(folder.with_name(f"{folder.name}-moved"))
        hand_on(moved, "wandb")
    ids, count = [run.about["id"] for run in wandb_runs], len(records(moved))
    first, again, others, others_again = (ids[n * count : (n + 1) * count] for n in range(4))
    assert first == again
    assert others == others_again
    assert not set(first) & set(others)


@pytest.mark.parametrize("kind", ["csv", "tensorboard", "wandb"])
@pytest.mark.parametrize("error", [RuntimeError("no\nlogin"), OSError(errno.ENOSPC, "no\nlogin")])
@pytest.mark.parametrize("where", ["__init__", "write"])
def test_a_log_that_fails_is_said_once(kind, error, where, run_folder, monkeypatch):
    calls = []

    def failing(*arguments, **options):
        calls.append(arguments)
        raise error

    (run_folder / "losses.csv").unlink()
    monkeypatch.setattr(training_log._LOGS[kind].log, where, failing)
    (line,) = hand_on(run_folder, kind)
    assert line.startswith(f"--log {kind}: ")
    assert "no login" in line
    assert len(calls) == 1


def test_a_log_that_fails_ends_no_run_and_is_not_opened_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["priorbench", "run", "--debug"])

    def failing(log, root):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root / "losses.csv"))

    monkeypatch.setattr(CsvLog, "__init__", failing)
    out, tuned = tmp_path / "out", ("--tune", "2", "--tuning-seeds", "1")
    assert run_smoke(out, *TWO, *tuned, "--log", "csv") == 0
    captured = capsys.readouterr().err
    (line,) = (line for line in captured.splitlines() if "--log csv: " in line)
    assert "losses.csv: No space left on device; free some; the run goes on without it" in line
    assert "Traceback" in captured
    assert {"tune", "evaluate"} == {record["stage"] for record in records(out).values()}


def test_a_log_that_fails_shows_no_traceback_unless_asked(run_folder, writer, monkeypatch):
    monkeypatch.setattr(writer, "fails_after", 0)
    assert len(hand_on(run_folder, "tensorboard")) == 1
    said = hand_on(run_folder, "tensorboard", debug=True)
    assert ["Traceback" in line for line in said] == [False, True]


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_line_before_anything_is_done(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(training_log.importlib.util, "find_spec", lambda name: None)
    line = rf"--log {kind} needs the package {kind}, which is not installed; `pip install"
    with pytest.raises(UserError, match=line):
        run_smoke(tmp_path / "out", "--log", kind)
    assert not (tmp_path / "out").exists()
    require_log("csv")


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
@pytest.mark.parametrize("text", [None, "", "raise RuntimeError('broken\\nhere')"])
def test_a_folder_of_the_name_of_a_package_is_none(kind, text, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / kind).mkdir()
    if text is not None:
        (tmp_path / kind / "__init__.py").write_text(text)
    line = rf"--log {kind} needs the package {kind}, and what is found by that name, {tmp_path}/"
    with pytest.raises(UserError, match=line) as problem:
        run_smoke(tmp_path / "out", "--log", kind)
    assert "\n" not in str(problem.value)
    assert not (tmp_path / "out").exists()
    sys.modules.pop(kind, None)


def test_a_package_that_offers_what_is_needed_is_taken(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "wandb.py").write_text("def init(**about): ...")
    require_log("wandb")
    sys.modules.pop("wandb")


def test_losses_that_are_no_number_and_trials_without_any_are_taken(tmp_path):
    run, names = RunDirectory(tmp_path), dict.fromkeys(ABOUT, "x")
    for trial, history in {"bad": [dict.fromkeys(LOSSES.values())], "none": []}.items():
        with run.new_trial(trial) as folder:
            run.seal_trial(folder, {"trial": trial, **names, "history": history})
        RunLog(run, "csv", pytest.fail).add(trial)
    (row,) = rows(tmp_path)
    assert (row["trial"], row["epoch"], row["penalty"]) == ("bad", "1", "nan")
