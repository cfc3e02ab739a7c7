"""The list of the files at the root of a run: right after every step, whoever dies or reads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from priorbench.storage import sealed_files
from priorbench.storage.files import put_text
from priorbench.storage.sealed_files import MANIFEST, DamagedFile, Manifest, read_sealed


class TestManifest:
    def test_files_are_read_back(self, tmp_path):
        manifest = Manifest(tmp_path / "run")
        assert not manifest.exists()
        manifest.write({"a.csv": "one\r\n", "b.json": "é"}, made_of="d")
        manifest.write({"c.csv": ""})
        assert manifest.exists()
        again = Manifest(tmp_path / "run")
        assert [again.read(name) for name in ("a.csv", "b.json", "c.csv")] == [
            b"one\r\n",
            "é".encode(),
            b"",
        ]
        assert [again.made_of(name) for name in ("a.csv", "c.csv")] == ["d", ""]
        assert ("a.csv" in again, "d.csv" in again) == (True, False)
        assert again.problems() == []
        assert read_sealed(tmp_path / "run" / MANIFEST)["version"]

    def test_a_file_without_text_is_removed(self, tmp_path):
        manifest = Manifest(tmp_path)
        manifest.write({"a": "1", "b": "2"})
        manifest.write({"a": None, "b": "3", "never": None})
        assert not (tmp_path / "a").exists()
        assert "a" not in manifest
        assert manifest.read("b") == b"3"
        with pytest.raises(DamagedFile, match="a: is missing"):
            manifest.read("a")
        assert manifest.problems() == []

    def test_an_old_text_is_not_right_after_it_was_replaced(self, tmp_path):
        manifest = Manifest(tmp_path)
        manifest.write({"a": "1"})
        manifest.write({"a": "2"})
        (tmp_path / "a").write_text("1")
        with pytest.raises(DamagedFile, match="was edited by hand or damaged"):
            manifest.read("a")

    def test_damaged_files_are_named_each(self, tmp_path):
        manifest = Manifest(tmp_path)
        manifest.write({"a": "1", "b": "2", "c": "3"})
        (tmp_path / "a").write_text("9")
        (tmp_path / "c").unlink()
        found = [(problem.path.name, problem.problem) for problem in manifest.problems()]
        assert found == [("a", "was edited by hand or damaged"), ("c", "is missing")]

    @pytest.mark.parametrize("damage", ["", "{}", None])
    def test_one_that_is_damaged_itself_is_named_and_written_anew(self, tmp_path, damage):
        manifest = Manifest(tmp_path)
        manifest.write({"a": "1", "b": "2"})
        text = manifest.path.read_text()
        manifest.path.write_text(text.replace('"a"', '"z"') if damage is None else damage)
        assert manifest.exists()
        (problem,) = manifest.problems()
        assert problem.path == manifest.path
        for ask in (lambda: manifest.read("a"), lambda: "a" in manifest):
            with pytest.raises(DamagedFile, match=MANIFEST):
                ask()
        manifest.write({"a": "3"})
        assert manifest.read("a") == b"3"
        assert "b" not in manifest  # nobody can tell any more whether it is as it was written


BEFORE = {"a": "old a", "b": "old b", "gone": "old gone"}
AFTER = {"a": "new a", "b": "new b", "gone": None, "c": "new c"}
STEPS = 2 + 3
"""files that a change from BEFORE to AFTER puts: the list twice, and every file with a text"""


class _Died(BaseException):
    pass


def dies_at(monkeypatch, count, half_written=False):
    """Let the process die at its n-th file, before or while it writes it."""
    written = iter(range(count))

    def put(path, text):
        if next(written, None) is None:
            if half_written:
                (path.parent / f".{path.name}-half").write_text(text[:3])
            raise _Died
        put_text(path, text)

    monkeypatch.setattr(sealed_files, "put_text", put)


class TestAProcessThatDies:
    @pytest.mark.parametrize("count", range(STEPS))
    @pytest.mark.parametrize("half_written", [False, True])
    def test_leaves_every_file_with_a_listed_digest(
        self, tmp_path, monkeypatch, count, half_written
    ):
        Manifest(tmp_path).write(BEFORE, made_of="old")
        with monkeypatch.context() as patch:
            dies_at(patch, count, half_written)
            with pytest.raises(_Died):
                Manifest(tmp_path).write(AFTER, made_of="new")
        manifest = Manifest(tmp_path)
        for name in BEFORE:
            texts = {texts[name] and texts[name].encode() for texts in (BEFORE, AFTER)}
            assert manifest.read(name) in texts
        # of what was not there before, at most that it is missing can be said
        assert {problem.path.name for problem in manifest.problems()} <= {"c"}
        manifest.write(AFTER, made_of="new")
        assert Manifest(tmp_path).problems() == []
        assert {name: manifest.read(name).decode() for name in "abc"} == {
            name: AFTER[name] for name in "abc"
        }
        assert not (tmp_path / "gone").exists()

    def test_steps_are_all_there_are(self, tmp_path, monkeypatch):
        Manifest(tmp_path).write(BEFORE)
        dies_at(monkeypatch, STEPS)
        Manifest(tmp_path).write(AFTER)
        assert Manifest(tmp_path).problems() == []

    def test_before_a_file_is_removed_leaves_one_that_is_not_listed(self, tmp_path, monkeypatch):
        Manifest(tmp_path).write(BEFORE)

        def die(*_, **__):
            raise _Died

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", die)
            with pytest.raises(_Died):
                Manifest(tmp_path).write(AFTER)
        manifest = Manifest(tmp_path)
        assert manifest.problems() == []
        assert "gone" not in manifest

    @pytest.mark.parametrize("count", range(STEPS))
    def test_and_one_that_was_never_written_leaves_nothing_that_is_taken_for_whole(
        self, tmp_path, monkeypatch, count
    ):
        with monkeypatch.context() as patch:
            dies_at(patch, count)
            with pytest.raises(_Died):
                Manifest(tmp_path).write(AFTER)
        manifest = Manifest(tmp_path)
        assert manifest.exists() == (count > 0)
        for name in "abc":
            if (tmp_path / name).exists():
                assert manifest.read(name).decode() == AFTER[name]


class TestAReaderInBetween:
    def test_sees_the_old_or_the_new_text_after_every_step(self, tmp_path, monkeypatch):
        Manifest(tmp_path).write(BEFORE)
        seen = []

        def put(path, text):
            put_text(path, text)
            reader = Manifest(tmp_path)
            seen.append({name: reader.read(name).decode() for name in "ab"})

        monkeypatch.setattr(sealed_files, "put_text", put)
        Manifest(tmp_path).write(AFTER)
        states = [[found[name].split()[0] for name in "ab"] for found in seen]
        assert states[0] == ["old", "old"]
        assert states[-1] == ["new", "new"]
        assert len(states) == STEPS

    def test_that_has_read_the_list_before_the_file_was_replaced_reads_it_again(
        self, tmp_path, monkeypatch
    ):
        reader = Manifest(tmp_path)
        reader.write(BEFORE)
        entries, lists = Manifest._entries, []

        def listed_then_replaced(manifest):
            found = entries(manifest)
            if manifest is reader and not lists:
                lists.append(found)
                Manifest(tmp_path).write({"a": "new a"})
            return found

        monkeypatch.setattr(Manifest, "_entries", listed_then_replaced)
        assert reader.read("a") == b"new a"

    def test_of_another_thread_never_sees_a_damaged_file(self, tmp_path):
        manifest, failures, ended = Manifest(tmp_path), [], threading.Event()
        manifest.write({"a": "0"})

        def read():
            try:
                while not ended.is_set():
                    int(Manifest(tmp_path).read("a"))
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(1, 16):
            manifest.write({"a": str(number)})
        ended.set()
        thread.join()
        assert failures == []
