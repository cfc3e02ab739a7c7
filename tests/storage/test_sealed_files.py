"""Files say whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
import math
import pickle

import pytest

from priorbench.errors import UserError
from priorbench.storage import sealed_files
from priorbench.storage.sealed_files import (
    FORMAT,
    DamagedFile,
    check_listed,
    digest_of,
    digests_of,
    read_listed,
    read_sealed,
    sealed_text,
    write_sealed,
)

VALUE = {"a": 1, "b": [0.1, {"c": "é\n"}], "": None}


class TestSealedJson:
    def test_is_read_back(self, tmp_path):
        path = tmp_path / "x.json"
        write_sealed(path, VALUE)
        found = read_sealed(path)
        assert len(found.pop("sha256")) == 64
        assert found == {"format": FORMAT, **VALUE}
        assert json.loads(path.read_text()).keys() == {"format", "sha256", *VALUE}
        assert [item.name for item in tmp_path.iterdir()] == ["x.json"]

    def test_what_was_read_can_be_sealed_again(self, tmp_path):
        path = tmp_path / "x.json"
        write_sealed(path, VALUE)
        before = path.read_bytes()
        write_sealed(path, read_sealed(path))
        assert path.read_bytes() == before
        write_sealed(path, {**read_sealed(path), "a": 2})
        assert read_sealed(path)["a"] == 2

    def test_numbers_that_json_has_not_are_null(self, tmp_path):
        write_sealed(tmp_path / "x.json", {"a": math.nan, "b": [math.inf]})
        found = read_sealed(tmp_path / "x.json")
        assert (found["a"], found["b"]) == (None, [None])

    def test_the_digest_is_of_all_before_the_last_line(self, tmp_path):
        """So that `head -c` and `sha256sum` tell, without this program."""
        text = sealed_text(VALUE)
        body, _, seal = text.rpartition(',\n "sha256": "')
        assert seal == f'{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'

    def test_nothing_is_sealed_too(self, tmp_path):
        write_sealed(tmp_path / "x.json", {})
        assert read_sealed(tmp_path / "x.json").keys() == {"format", "sha256"}

    def test_any_flipped_bit_is_noticed(self, tmp_path):
        path, whole = tmp_path / "x.json", sealed_text(VALUE).encode()
        for place in range(len(whole)):
            contents = bytearray(whole)
            contents[place] ^= 1
            path.write_bytes(contents)
            with pytest.raises(DamagedFile):
                read_sealed(path)

    def test_any_part_of_a_file_is_noticed(self, tmp_path):
        path, whole = tmp_path / "x.json", sealed_text(VALUE).encode()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DamagedFile):
                read_sealed(path)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "is damaged"),
            ("{", "is damaged"),
            ("[1]", "is damaged"),
            ("null", "is damaged"),
            (b"\xff\xfe{}", "is damaged"),
            ("{}", "was written by an earlier version of priorbench, whose files cannot"),
            ('{"format": 1}', "was written by another version of priorbench (format 1, not 2)"),
            ('{"format": "two"}', "was written by another version of priorbench (format two"),
            (f'{{"format": {FORMAT + 1}}}', f"later version of priorbench (format {FORMAT + 1}, "),
            (f'{{"format": {FORMAT}}}', "was edited by hand or damaged"),
            (sealed_text(VALUE) + "\n", "was edited by hand or damaged"),
            (sealed_text(VALUE).replace('"a": 1', '"a": 2'), "was edited by hand or damaged"),
            (json.dumps(json.loads(sealed_text(VALUE))), "was edited by hand or damaged"),
        ],
    )
    def test_each_damage_is_named(self, tmp_path, text, problem):
        path = tmp_path / "x.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(DamagedFile) as caught:
            read_sealed(path)
        assert caught.value.path == path
        assert problem in caught.value.problem
        assert "\n" not in str(caught.value)

    def test_a_later_format_that_is_sealed_is_named(self, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(sealed_files, "FORMAT", FORMAT + 1)
            write_sealed(tmp_path / "x.json", VALUE)
        with pytest.raises(DamagedFile, match="by a later version of priorbench"):
            read_sealed(tmp_path / "x.json")

    @pytest.mark.parametrize("read", [read_sealed, digest_of, lambda path: read_listed(path, {})])
    def test_a_file_that_is_missing_or_none_is_named(self, tmp_path, read):
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        for name, problem in (
            ("x.json", "is missing"),
            ("file/x.json", "is missing"),
            ("folder", "is a folder"),
        ):
            with pytest.raises(DamagedFile, match=problem):
                read(tmp_path / name)


class TestDamagedFile:
    @pytest.mark.parametrize(
        "place", ["results.csv", "trials/a/record.json", "data/d/meta.json", "data/d/y.npy"]
    )
    def test_says_which_command_repairs_it(self, tmp_path, place):
        path = tmp_path / "run" / place
        error = DamagedFile(path, "is missing")
        assert isinstance(error, UserError)
        assert str(error) == f"{path}: is missing; `priorbench run {tmp_path / 'run'}` repairs it"

    def test_of_a_worker_reaches_the_driver(self, tmp_path):
        error = DamagedFile(tmp_path / "x", "is missing")
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.path, copy.problem) == (DamagedFile, error.path, error.problem)
        assert str(copy) == str(error)

    def test_with_a_remedy_reaches_the_driver(self, tmp_path):
        error = DamagedFile(tmp_path / "x", "is old", "make it anew")
        assert str(error) == f"{tmp_path / 'x'}: is old; make it anew"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


class TestListed:
    def test_large_and_small_files_have_their_digests(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sealed_files, "_CHUNK", 3)
        (tmp_path / "b").write_bytes(b"0123456")
        (tmp_path / "a").write_bytes(b"")
        listed = digests_of(tmp_path, ["b", "a"])
        assert list(listed) == ["a", "b"]
        for name, contents in (("a", b""), ("b", b"0123456")):
            assert read_listed(tmp_path / name, listed) == contents
            check_listed(tmp_path / name, listed)

    def test_either_of_two_digests_is_right_and_no_other(self, tmp_path):
        path, digests = tmp_path / "a", []
        for text in ("new", "old"):
            path.write_text(text)
            digests += digests_of(tmp_path, ["a"])["a"]
        for text in ("new", "old"):
            path.write_text(text)
            check_listed(path, {"a": digests})
            assert read_listed(path, {"a": digests}) == text.encode()
        path.write_text("other")
        for read in (read_listed, check_listed):
            for listed in ({"a": digests}, {"a": []}, {}):
                with pytest.raises(DamagedFile, match="was edited by hand or damaged"):
                    read(path, listed)
