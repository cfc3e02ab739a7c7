"""Losses are handed on once a trial, whatever trained it, and change nothing else."""

import csv
import sys
import types
from pathlib import Path

import pytest
from fixtures.runs import records, run_smoke

from priorbench import UserError
from priorbench.results import training_log
from priorbench.results.training_log import LOG_COLUMNS, LOSSES, RunLog, require_log
from priorbench.storage.run_directory import RunDirectory

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


@pytest.mark.usefixtures("worker_processes")
def test_trials_of_workers_and_ensembles_are_logged(tmp_path):
    out = tmp_path / "out"
    assert run_smoke(out, *TWO, "--ensemble", "2", "--log", "csv") == 0
    assert {row["trial"] for row in rows(out)} == set(records(out))


def test_tensorboard_has_a_folder_a_trial(logged, monkeypatch):
    made = {}

    class Writer:
        def __init__(self, folder):
            self.values = made.setdefault(folder, [])
            Path(folder).mkdir(parents=True)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def add_scalar(self, *values):
            self.values.append(values)

    stand_in = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    log, found = RunLog(RunDirectory(logged), "tensorboard"), records(logged)
    for trial in [*found, *found]:  # the second time nothing is left to hand on
        log.add(trial)
    assert len(made) == len(found)
    for folder, values in made.items():
        record = found[folder.rpartition("-")[2]]
        assert f"-{record['prior']}-" in folder
        epochs = range(1, len(record["history"]) + 1)
        assert [number for name, _, number in values if name == "penalty"] == list(epochs)


def test_a_real_event_file_can_be_read_back(logged, tmp_path):
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard"
    )
    record = next(iter(records(logged).values()))
    log = training_log.TensorboardLog(tmp_path)
    log.write(record, [{"penalty": 0.5}, {"penalty": 0.25}])
    (folder,) = (tmp_path / "tensorboard").iterdir()
    read = events.EventAccumulator(str(folder)).Reload().Scalars("penalty")
    assert [(event.step, event.value) for event in read] == [(1, 0.5), (2, 0.25)]


def test_wandb_has_a_run_a_trial(logged, monkeypatch):
    runs = []

    class Run:
        def __init__(self, **about):
            self.about, self.steps, self.finished = about, [], False
            runs.append(self)

        def log(self, values, step):
            self.steps.append((step, values))

        def finish(self):
            self.finished = True

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=Run))
    log, found = RunLog(RunDirectory(logged), "wandb"), records(logged)
    for trial in [*found, *found]:
        log.add(trial)
    assert [run.about["id"] for run in runs] == list(found)
    for run, record in zip(runs, found.values(), strict=True):
        assert run.finished
        assert run.about["config"]["seed"] == record["seed"]
        assert [set(values) for _, values in run.steps] == [set(LOSSES)] * len(record["history"])


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_line_before_anything_is_done(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(training_log.importlib.util, "find_spec", lambda name: None)
    line = rf"--log {kind} needs the package {kind}, which is not installed; `pip install"
    with pytest.raises(UserError, match=line):
        run_smoke(tmp_path / "out", "--log", kind)
    assert not (tmp_path / "out").exists()
    require_log("csv")


def test_losses_that_are_no_number_and_trials_without_any_are_taken(tmp_path):
    run, names = RunDirectory(tmp_path), dict.fromkeys(training_log._ABOUT, "x")
    for trial, history in {"bad": [dict.fromkeys(LOSSES.values())], "none": []}.items():
        with run.new_trial(trial) as folder:
            run.seal_trial(folder, {"trial": trial, **names, "history": history})
        RunLog(run, "csv").add(trial)
    (row,) = rows(tmp_path)
    assert (row["trial"], row["epoch"], row["penalty"]) == ("bad", "1", "nan")
