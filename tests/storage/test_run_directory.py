"""Trial folders are there whole or not at all, whoever dies when, and as they were written."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from priorbench import UserError
from priorbench.storage import sealed_files
from priorbench.storage.run_directory import ARRAYS, MODEL, RECORD, RunDirectory
from priorbench.storage.sealed_files import DamagedFile


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path)


def fill(run, trial, files=(), **record):
    with run.new_trial(trial) as folder:
        for name in files:
            (folder / name).write_text(f"{name} of {trial}")
        run.seal_trial(folder, {"trial": trial, "status": "done", **record})


def edit(path, text="edited"):
    path.write_text(text)


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


def turn_into_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [edit, empty, cut, flip, Path.unlink, turn_into_folder]


def test_a_trial_is_in_flight_until_it_is_whole(run):
    with run.new_trial("a") as folder:
        run.seal_trial(folder, {"trial": "a", "status": "done"})
        assert run.in_flight() == ["a"]
        assert run.record("a") is None
    assert run.in_flight() == []
    assert run.record("a")["status"] == "done"


def test_a_trial_that_fails_to_be_written_leaves_nothing(run):
    def interrupted():
        with run.new_trial("a") as folder:
            run.seal_trial(folder, {"trial": "a", "status": "done"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert run.in_flight() == []
    assert run.record("a") is None


def test_a_trial_that_is_run_again_takes_the_place_of_the_old_one(run):
    fill(run, "a", [ARRAYS], seed=1)
    (run.trial("a") / "old").touch()
    run.check_files("a")
    fill(run, "a", [MODEL], seed=2)
    assert run.record("a")["seed"] == 2
    assert list(run.files_of("a")) == [MODEL]
    assert sorted(path.name for path in run.trial("a").iterdir()) == [MODEL, RECORD]


def test_who_was_cleared_away_finishes_nothing_and_harms_nothing(run):
    fill(run, "a", seed=1)

    def late():
        with run.new_trial("a") as folder:
            run.clear_in_flight()
            # nor does writing make the folder anew
            with pytest.raises(FileNotFoundError):
                run.seal_trial(folder, {"trial": "a", "status": "failed"})

    with pytest.raises(FileNotFoundError):
        late()
    assert run.record("a")["seed"] == 1
    assert run.in_flight() == []


def test_two_that_finish_the_same_trial_leave_one_whole(run):
    with run.new_trial("a") as late:
        run.seal_trial(late, {"trial": "a", "status": "done", "seed": 2})
        assert run.in_flight() == ["a"]
        fill(run, "a", seed=1)
    assert run.record("a")["seed"] == 2
    assert sorted(path.name for path in run.trial("a").iterdir()) == [RECORD]


def test_records_are_those_that_are_there_in_the_order_asked_for(run):
    assert list(run.records(["a"])) == [("a", None)]
    fill(run, "b", seed=1)
    fill(run, "a", seed=2)
    records = dict(run.records(["a", "c", "b"]))
    assert list(records) == ["a", "c", "b"]
    assert (records["a"]["seed"], records["c"], records["b"]["seed"]) == (2, None, 1)


def test_every_record_is_opened_once_and_only_where_there_is_one(run, monkeypatch):
    fill(run, "a")
    opened = []
    loads = json.loads
    monkeypatch.setattr("json.loads", lambda text: opened.append(text) or loads(text))
    assert len(list(run.records(["a", "b", "c"]))) == 3
    assert len(opened) == 1


class TestRecords:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_one_that_is_not_as_it_was_written_is_an_error_or_is_told(self, run, damage):
        fill(run, "a", seed=1)
        fill(run, "b", seed=2)
        path = run.trial("a") / RECORD
        damage(path)
        with pytest.raises(DamagedFile) as caught:
            run.record("a")
        assert caught.value.path == path
        assert f"`priorbench run {run.root}` repairs it" in str(caught.value)
        with pytest.raises(DamagedFile):
            list(run.records(["a", "b"]))
        told = []
        records = dict(run.records(["a", "b", "c"], told.append))
        assert [problem.path for problem in told] == [path]
        assert (records["a"], records["b"]["seed"], records["c"]) == (None, 2, None)
        with pytest.raises(DamagedFile):
            run.digest_of_records(["b", "a"])

    def test_that_of_another_trial_is_none(self, run):
        fill(run, "a")
        fill(run, "b")
        (run.trial("a") / RECORD).replace(run.trial("b") / RECORD)
        with pytest.raises(DamagedFile, match="is the record of 'a'"):
            run.record("b")

    def test_their_digest_is_of_all_of_them_in_any_order(self, run):
        fill(run, "a", seed=1)
        fill(run, "b", seed=2)
        both = run.digest_of_records(["a", "b"])
        assert both == run.digest_of_records(iter(["b", "a"]))
        assert both == RunDirectory(run.root).digest_of_records(["a", "b"])
        assert both != run.digest_of_records(["a"])
        assert run.digest_of_records([]) != run.digest_of_records(["a"])
        fill(run, "b", seed=3)
        assert run.digest_of_records(["a", "b"]) != both
        with pytest.raises(DamagedFile, match="is missing"):
            run.digest_of_records(["a", "c"])

    def test_their_digest_follows_the_files_beside_them(self, run):
        fill(run, "a", [ARRAYS])
        before = run.digest_of_records(["a"])
        edit(run.trial("a") / ARRAYS)
        record = run.record("a")
        run.seal_trial(run.trial("a"), record)
        assert RunDirectory(run.root).digest_of_records(["a"]) != before


class TestFilesBeside:
    def test_are_listed_and_read_back(self, run):
        fill(run, "a", [ARRAYS, MODEL])
        (run.trial("a") / ".half-written").touch()
        assert sorted(run.files_of("a")) == [ARRAYS, MODEL]
        assert run.read_file("a", ARRAYS) == b"arrays.npz of a"
        run.check_files("a")

    def test_half_written_ones_are_not_listed(self, run):
        with run.new_trial("a") as folder:
            (folder / f".{ARRAYS}.new").touch()
            run.seal_trial(folder, {"trial": "a"})
        assert run.files_of("a") == {}

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_one_that_is_not_as_it_was_written_is_an_error(self, run, damage):
        fill(run, "a", [ARRAYS, MODEL])
        path = run.trial("a") / MODEL
        damage(path)
        for read in (lambda: run.read_file("a", MODEL), lambda: run.check_files("a")):
            with pytest.raises(DamagedFile) as caught:
                read()
            assert caught.value.path == path
        assert run.read_file("a", ARRAYS) == b"arrays.npz of a"

    def test_one_that_is_not_listed_is_not_read(self, run):
        fill(run, "a")
        edit(run.trial("a") / ARRAYS)
        with pytest.raises(DamagedFile):
            run.read_file("a", ARRAYS)
        with pytest.raises(DamagedFile, match=r"record\.json: is missing"):
            run.files_of("b")

    def test_is_compared_once(self, run, monkeypatch):
        fill(run, "a", [ARRAYS])
        run.check_files("a")
        for name in ("check_listed", "read_listed"):
            monkeypatch.setattr(f"priorbench.storage.run_directory.{name}", None)
        run.check_files("a")
        assert run.read_file("a", ARRAYS) == b"arrays.npz of a"

    def test_one_that_was_replaced_since_the_record_was_read_is_right(self, run):
        fill(run, "a", [ARRAYS])
        run.record("a")
        replace_arrays(RunDirectory(run.root), "second")
        assert run.read_file("a", ARRAYS) == b"second"


def replace_arrays(run, text):
    new = run.trial("a") / f".{ARRAYS}.new"
    new.write_text(text)
    run.replace_file("a", ARRAYS, new)


def score_again(run, text, record, *, replaced=False):
    if not replaced:
        replace_arrays(run, text)
    run.seal_trial(run.trial("a"), record)


class TestReplacing:
    def test_a_file_takes_the_place_and_is_listed(self, run):
        fill(run, "a", [ARRAYS, MODEL], seed=1)
        replace_arrays(run, "second")
        assert run.read_file("a", ARRAYS) == b"second"
        run.check_files("a")
        assert run.record("a")["seed"] == 1
        run.seal_trial(run.trial("a"), {**run.record("a"), "seed": 2})
        assert run.record("a")["seed"] == 2
        assert len(run.files_of("a")[ARRAYS]) == 1
        assert sorted(path.name for path in run.trial("a").iterdir()) == [ARRAYS, MODEL, RECORD]

    def test_a_file_that_was_not_there_is_added(self, run):
        fill(run, "a")
        replace_arrays(run, "first")
        assert run.read_file("a", ARRAYS) == b"first"

    @pytest.mark.parametrize("step", ["record", "file", "seal"])
    def test_a_process_that_dies_at_any_step_leaves_a_listed_file(self, run, monkeypatch, step):
        fill(run, "a", [ARRAYS], seed=1)
        record = run.record("a")

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if step == "seal":
                replace_arrays(run, "second")
            place = (Path, "replace") if step == "file" else (sealed_files, "put_text")
            patch.setattr(*place, die)
            with pytest.raises(KeyboardInterrupt):
                score_again(run, "second", {**record, "seed": 2}, replaced=step == "seal")
        again = RunDirectory(run.root)
        assert again.record("a")["seed"] == 1
        expected = b"second" if step == "seal" else b"arrays.npz of a"
        assert again.read_file("a", ARRAYS) == expected
        # it is scored again, and what was left behind does no harm
        score_again(again, "third", {**record, "seed": 3})
        assert RunDirectory(run.root).read_file("a", ARRAYS) == b"third"


def test_a_file_system_without_locks_is_named(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"cannot lock files \(No locks available\)"), run.lock():
        pass
