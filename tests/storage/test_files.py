"""Files are whole or not there, and names make no paths."""

import json
import math

import pytest

from priorbench.storage.files import slug, write_json, write_text


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
