"""Files are whole or not there, names make no paths, and full disks are named."""

import errno
import json
import math
import os
import pickle
from pathlib import Path

import pytest

from priorbench.storage.files import (
    DiskError,
    explain,
    is_disk_error,
    slug,
    write_json,
    write_text,
    writing,
)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("binary", "binary"),
        ("my peaks (2)", "my-peaks-2"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden-", "hidden"),
        ("", "unnamed"),
        ("../", "unnamed"),
        ("a" * 200, "a" * 80),
    ],
)
def test_a_name_becomes_a_part_of_a_folders_name(name, part):
    assert slug(name) == part


def test_json_has_null_where_numbers_are_not_finite(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": math.nan, "b": [1.5, (math.inf, -math.inf)], "c": {"d": "é"}})
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {"a": None, "b": [1.5, [None, None]], "c": {"d": "é"}}
    assert text.endswith("}\n")


def test_json_makes_no_folder_and_text_does(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "no" / "x.json", {})
    write_text(tmp_path / "made" / "x.txt", "one")
    assert (tmp_path / "made" / "x.txt").read_text() == "one"


@pytest.mark.parametrize("write", [write_text, write_json])
def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, write):
    path = tmp_path / "x"
    path.write_text("old")

    def refuse(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no space left"):
        write(path, "new" if write is write_text else {"new": 1})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_and_can_be_read_by_all(tmp_path):
    path = tmp_path / "x"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


class SafetensorError(Exception):
    """What safetensors raises, which is no OSError."""


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.ENOSPC, "No space left on device", ".x-12345"),
    OSError("100000 requested and 25584 written"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=repr)
def test_a_full_disk_is_named_with_what_helps(error):
    with pytest.raises(DiskError) as caught, writing(Path("out/x")):
        raise error
    assert is_disk_error(caught.value)
    assert is_disk_error(error)
    back = pickle.loads(pickle.dumps(caught.value))  # it comes from a worker process
    assert isinstance(back, DiskError)
    line = "out/x: No space left on device; free some"
    assert explain(back) == line
    assert explain(back, "--out") == f"{line}, or choose another --out"


def test_a_limit_and_a_quota_are_full_disks_too():
    for number, what in ((errno.EFBIG, "ulimit -f"), (errno.EDQUOT, "free some")):
        with pytest.raises(DiskError) as caught, writing(Path("out/x")):
            raise OSError(number, "text")
        assert what in explain(caught.value)


def test_other_errors_of_the_system_keep_their_file_and_what_is_no_error_of_it_its_kind():
    with pytest.raises(DiskError) as caught, writing(Path("out/x")):
        raise PermissionError(errno.EACCES, "Permission denied", "out")
    assert explain(caught.value, "--out") == "out: Permission denied; choose another --out"
    assert explain(caught.value) == "out: Permission denied"
    for error in (FileNotFoundError(errno.ENOENT, "gone", "out"), ValueError("28"), OSError("x")):
        with pytest.raises(type(error)) as other, writing(Path("out/x")):
            raise error
        assert other.value is error


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_is_closed_names_the_file_and_the_option(tmp_path, monkeypatch, number):
    def closed(*, dir, prefix):
        raise OSError(number, os.strerror(number), f"{dir}/{prefix}a1b2c3")

    monkeypatch.setattr("tempfile.mkstemp", closed)
    with pytest.raises(DiskError) as caught:
        write_text(tmp_path / "report.html", "x")
    line = f"{tmp_path}/report.html: {os.strerror(number)}"
    assert explain(caught.value) == line
    assert explain(caught.value, "--out") == f"{line}; choose another --out"


def test_the_folder_above_is_named_where_it_could_not_be_made():
    error = FileNotFoundError(errno.ENOENT, "gone", "runs/x")
    error.__context__ = PermissionError(errno.EACCES, "Permission denied", "runs")
    assert explain(error, "--out") == "runs: Permission denied; choose another --out"
    alone = FileNotFoundError(errno.ENOENT, "gone", "x")
    assert explain(alone, "--out") == "x: nothing can be made here; choose another --out"
    assert explain(alone) == "x: gone"
    long = OSError(errno.ENAMETOOLONG, "File name too long", "x")
    assert explain(long, "--to") == "x: the name is too long; choose another --to"
    assert "place of a folder" in explain(NotADirectoryError(errno.ENOTDIR, "no", "x/y"), "--to")


def test_names_fit_into_file_systems_that_count_bytes():
    for name in ("é" * 300, "a" * 300, "名" * 300):
        assert 0 < len(slug(name).encode()) <= 80
        assert slug(name) == slug(name).encode().decode()
    assert slug("é: x") == "é-x"


def test_text_may_hold_the_bytes_of_a_folders_name(tmp_path):
    write_text(tmp_path / "x", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "x").read_text(encoding="utf-8") == "caf\\udce9"
