"""Trial folders are there whole or not at all, whoever dies when."""

from __future__ import annotations

import errno
import json

import pytest

from priorbench import UserError
from priorbench.storage.files import write_json
from priorbench.storage.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path)


def fill(run, trial, **record):
    with run.new_trial(trial) as folder:
        write_json(folder / "record.json", {"status": "done", **record})


def test_a_trial_is_in_flight_until_it_is_whole(run):
    with run.new_trial("a") as folder:
        write_json(folder / "record.json", {"status": "done"})
        assert run.in_flight() == ["a"]
        assert run.record("a") is None
    assert run.in_flight() == []
    assert run.record("a") == {"status": "done"}


def test_a_trial_that_fails_to_be_written_leaves_nothing(run):
    def interrupted():
        with run.new_trial("a") as folder:
            write_json(folder / "record.json", {"status": "done"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert run.in_flight() == []
    assert run.record("a") is None


def test_a_trial_that_is_run_again_takes_the_place_of_the_old_one(run):
    fill(run, "a", seed=1)
    (run.trial("a") / "old").touch()
    fill(run, "a", seed=2)
    assert run.record("a")["seed"] == 2
    assert not (run.trial("a") / "old").exists()


def test_who_was_cleared_away_finishes_nothing_and_harms_nothing(run):
    fill(run, "a", seed=1)

    def late():
        with run.new_trial("a") as folder:
            run.clear_in_flight()
            # nor does writing make the folder anew
            with pytest.raises(FileNotFoundError):
                write_json(folder / "record.json", {"status": "failed"})

    with pytest.raises(FileNotFoundError):
        late()
    assert run.record("a")["seed"] == 1
    assert run.in_flight() == []


def test_two_that_finish_the_same_trial_leave_one_whole(run):
    with run.new_trial("a") as late:
        write_json(late / "record.json", {"status": "done", "seed": 2})
        assert run.in_flight() == ["a"]
        fill(run, "a", seed=1)
    assert run.record("a")["seed"] == 2
    assert sorted(path.name for path in run.trial("a").iterdir()) == ["record.json"]


def test_records_are_those_that_are_there_in_the_order_asked_for(run):
    assert list(run.records(["a"])) == [("a", None)]
    fill(run, "b", seed=1)
    fill(run, "a", seed=2)
    records = dict(run.records(["a", "c", "b"]))
    assert list(records) == ["a", "c", "b"]
    assert (records["a"]["seed"], records["c"], records["b"]["seed"]) == (2, None, 1)
    (run.trial("b") / "record.json").write_text("{")
    assert dict(run.records(["b"])) == {"b": None}


def test_every_record_is_opened_once_and_only_where_there_is_one(run, monkeypatch):
    fill(run, "a")
    opened = []
    loads = json.loads
    monkeypatch.setattr("json.loads", lambda text: opened.append(text) or loads(text))
    assert len(list(run.records(["a", "b", "c"]))) == 3
    assert len(opened) == 1


def test_a_file_system_without_locks_is_named(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"cannot lock files \(No locks available\)"), run.lock():
        pass
