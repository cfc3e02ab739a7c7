"""One process at a time in a folder, whoever removes the file that is locked."""

import fcntl

import pytest

from priorbench import UserError
from priorbench.storage.locks import locked


def test_a_folder_is_for_one_at_a_time_and_free_again(tmp_path):
    for kept in (True, False):
        with (
            locked(tmp_path, "in use", kept=kept),
            pytest.raises(UserError, match="in use"),
            locked(tmp_path, "in use"),
        ):
            pass
        assert (tmp_path / ".lock").exists() is kept


def test_a_lock_whose_file_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    lock = fcntl.flock

    def last_one_leaves(file, how):
        lock(file, how)
        (tmp_path / ".lock").unlink()

    monkeypatch.setattr(fcntl, "flock", last_one_leaves)
    with pytest.raises(UserError, match="in use"), locked(tmp_path, "in use"):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def cannot(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", cannot)
    with (
        pytest.raises(UserError, match=r"cannot lock files \(Operation not supported\)"),
        locked(tmp_path, "in use"),
    ):
        pass
