"""The folder for caches, wherever something can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from priorbench.machine import caches
from priorbench.machine.caches import LIBRARIES, VARIABLE, cache_folder, use_caches


@pytest.fixture(autouse=True)
def nothing_chosen(tmp_path, monkeypatch) -> Path:
    """A home of its own, a folder of temporary files, and no variable that is set."""
    for variable in (VARIABLE, "XDG_CACHE_HOME", *LIBRARIES):
        monkeypatch.delenv(variable, raising=False)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    # what use_caches sets is taken back in the end
    for variable in (VARIABLE, "TMPDIR", *LIBRARIES):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    return tmp_path


def own_temporary(root: Path) -> Path:
    return root / "temporary" / f"priorbench-{os.getuid()}"


def close(folder: Path, monkeypatch) -> None:
    """Let nothing be written to a folder, though the tests may run as root."""
    real = caches._problem
    monkeypatch.setattr(
        caches,
        "_problem",
        lambda path: "Read-only file system" if path.is_relative_to(folder) else real(path),
    )


def test_the_variables_and_the_home_come_first(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "home" / ".cache" / "priorbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "priorbench"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("home", ["/proc/none", None])
def test_without_a_home_it_is_among_the_temporary_files(tmp_path, monkeypatch, home):
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user without an entry
    else:
        monkeypatch.setenv("HOME", home)
        monkeypatch.chdir(tmp_path)
    assert cache_folder() == own_temporary(tmp_path)
    assert cache_folder().stat().st_mode & 0o777 == 0o700


def test_a_home_that_is_missing_is_none_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    assert cache_folder() == own_temporary(tmp_path)
    assert not (tmp_path / "missing").exists()


def test_a_full_home_is_passed_over(tmp_path, monkeypatch):
    def full(dir, **_):
        if Path(dir).is_relative_to(tmp_path / "home"):
            raise OSError(28, "No space left on device")
        return real(dir=dir)

    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert cache_folder() == own_temporary(tmp_path)


def test_a_folder_that_another_user_may_write_to_is_refused(tmp_path, monkeypatch):
    close(tmp_path / "home", monkeypatch)
    own_temporary(tmp_path).mkdir(mode=0o700)
    own_temporary(tmp_path).chmod(0o777)
    with pytest.raises(OSError, match=r"not of this user alone.*set PRIORBENCH_CACHE"):
        cache_folder()


def test_a_folder_that_was_chosen_and_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "below"))
    with pytest.raises(OSError, match=r"file/below \(Not a directory\); set PRIORBENCH_CACHE"):
        cache_folder()


def test_libraries_get_folders_below_unless_the_user_has_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    use_caches()
    folder = tmp_path / "home" / ".cache" / "priorbench"
    assert os.environ[VARIABLE] == str(folder)
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder / "numba")
    assert os.environ["MPLCONFIGDIR"] == "/mine"
    assert "TMPDIR" not in os.environ


def test_temporary_files_go_to_the_caches_where_there_is_no_other_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "_get_default_tempdir", lambda: os.stat("/proc/none"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    use_caches()
    assert os.environ["TMPDIR"] == tempfile.gettempdir()
    assert Path(tempfile.gettempdir()).parent == cache_folder()


def test_nowhere_is_one_line(tmp_path, monkeypatch):
    close(tmp_path, monkeypatch)
    with pytest.raises(OSError, match=r"no caches can be written to .* or to .*set PRIORBENCH_CA"):
        cache_folder()
