"""Every kind of file of a run, damaged in every way, under every command.

Allowed are a repair that says so, one line and exit status 2, or the same words as without the
damage where a command does not read the file. PRIORBENCH_DAMAGE=all tries every way under every
command; by default each file meets each way, and each command, once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
from fixtures.runs import in_this_process, results_without_times, run_smoke

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.storage.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("one_epoch", "sketches")

QUIET = "--no-report"
READING = {
    "status": ["status"],
    "report": ["report"],
    "compare": ["compare", "--metric", "auroc"],
    "power": ["power", "--metric", "auroc"],
    "export": ["export", "--format", "csv"],
}
COMMANDS = {**READING, "score": ["score", QUIET], "run": ["run", QUIET]}
TOML, TABLES = "study.toml", ("plan", "tuning", "results", "comparisons", "across")
RECORD = "trials/*/record.json"
KINDS = [
    *(TOML, "environment.json", "answer.json", "manifest.json", "claims.json"),
    *(f"{name}.csv" for name in TABLES),
    *(RECORD, "trials/*/arrays.npz", "trials/*/model.safetensors"),
    *("data/*/meta.json", "data/*/references-*.json"),
    *(f"data/*/{name}.npy" for name in ("attributed", "label", "oracle", "sequence", "split")),
    "data/*/instance.npy",
    "data/*/truth.npy",
]
"""a pattern for each kind of file; of several that match, the first is damaged"""


def keep_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_one_byte(path):
    contents = bytearray(path.read_bytes())
    contents[len(contents) * 2 // 3] ^= 1
    path.write_bytes(contents)


WAYS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": keep_half,
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "one byte": change_one_byte,
    "a list": lambda path: path.write_text("[]"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    tasks = ["--tasks", "binary,binary:fidelity=0.7", "--architectures", "three-conv"]
    chosen = ["--tune", "1", "--tuning-seeds", "1"]
    with in_this_process():
        assert run_smoke(out, "--priors", "l1", "--seeds", "2", *tasks, *chosen) == 0
    return out


@pytest.mark.slow
def test_every_kind_of_file_is_damaged(finished):
    files = [path for path in finished.rglob("*") if path.is_file() and path.name != ".lock"]
    for path in files:
        assert any(path.match(str(finished / kind)) for kind in KINDS), path
    for kind in KINDS:
        assert list(finished.glob(kind)), kind


class Ended:
    """How a command in a folder ended, with what it printed and changed."""

    def __init__(self, name, root, capsys):
        command, *options = COMMANDS[name]
        before = contents(root)
        capsys.readouterr()
        try:
            with in_this_process():
                self.status = execute_command([command, str(root), *options])
        except UserError as error:
            self.status, self.error = 2, str(error)
        self.words, self.messages = capsys.readouterr()
        self.changed = {name for name, text in contents(root).items() if before.get(name) != text}


def contents(root):
    """The files of a run by name, less what is written for readers only."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".html" and "export" not in path.parts
    }


@pytest.fixture(scope="module")
def expected(finished):
    return {"results": results_without_times(finished), "words": {}}


def tried_cases():
    cases = list(itertools.product(KINDS, WAYS, COMMANDS))
    if os.environ.get("PRIORBENCH_DAMAGE") == "all":
        return cases
    places = {name: k for names in (KINDS, WAYS, COMMANDS) for k, name in enumerate(names)}
    once = [case for case in cases if sum(places[name] for name in case) % len(WAYS) == 0]
    # a page takes seconds
    return [case for case in once if case[2] != "report" or "/" in case[0]]


def damaged_copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "way", "name"), tried_cases())
def test_damage_is_repaired_or_named(finished, expected, tmp_path, capsys, kind, way, name):
    root = damaged_copy(finished, tmp_path)
    if name not in expected["words"]:
        expected["words"][name] = Ended(name, root, capsys).words.replace(str(tmp_path), "")
    path = sorted(root.glob(kind))[0]
    WAYS[way](path)
    check(Ended(name, root, capsys), name, root, path, expected)


def check(ended, name, root, path, expected):
    if ended.status == 2:
        assert "\n" not in ended.error
        assert str(root) in ended.error
        remedies = (f"`priorbench run {root}`", f"`priorbench score {root}`", "move it away")
        assert any(text in ended.error for text in remedies)
        assert not ended.changed
        assert "Traceback" not in ended.messages
        return
    assert ended.status == 0, ended.messages
    if name in READING:
        assert not ended.changed
        words = ended.words.replace(str(root.parent), "")
        doubt = "claims.json is missing or was edited" in " ".join((words + ended.messages).split())
        assert doubt or words == expected["words"][name]
        return
    assert results_without_times(root) == expected["results"]
    unsaid = path.name.startswith("references-") and not path.exists()
    says = (f"{path}: ", "claims.json is missing or was edited")
    assert unsaid or any(text in ended.messages for text in says), ended.messages


EDITS = {
    "status": (RECORD, '"status": "done"', '"status": "great"'),
    "renamed key": (RECORD, '"metrics"', '"scores"'),
    "metric": (RECORD, '"auroc": ', '"auroc": 0.9999, "was": '),
    "scale": (TOML, 'scale = "smoke"', 'scale = "quick"'),
    "verdict": ("comparisons.csv", ",", ",,"),
    "line": ("results.csv", "\n", "\n\n"),
    "comment": (TOML, "name", "# mine\nname"),
    "another format": (RECORD, '"format": 2', '"format": 3'),
}
"""kind of file, text in it, and what takes its place"""


@pytest.mark.slow
class TestEdits:
    """Edits that leave a file of the right form."""

    @pytest.fixture
    def root(self, finished, tmp_path):
        return damaged_copy(finished, tmp_path)

    def edit(self, path, old, new):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    def record(self, root):
        return sorted(root.glob(RECORD))[0]

    @pytest.mark.parametrize("name", COMMANDS)
    @pytest.mark.parametrize("edit", EDITS)
    def test_no_edit_passes(self, root, expected, capsys, edit, name):
        kind, old, new = EDITS[edit]
        path = self.edit(sorted(root.glob(kind))[0], old, new)
        ended = Ended(name, root, capsys)
        makes_tables = name == "score" and path.suffix == ".csv"
        assert ended.status == (0 if name == "run" or makes_tables else 2)
        check(ended, name, root, path, expected)

    def test_a_record_of_another_trial_is_not_taken(self, root, expected, capsys):
        one, other, *_ = sorted(root.glob(RECORD))
        one.write_bytes(other.read_bytes())
        assert Ended("report", root, capsys).error.startswith(f"{one}: is the record of")
        ended = Ended("run", root, capsys)
        assert results_without_times(root) == expected["results"]
        assert f"{one}: is the record of" in ended.messages

    def test_tables_of_other_records_are_not_taken(self, root, capsys):
        """Tables that are whole, and were made of the trials before they were scored again."""
        tables = {name: (root / name).read_bytes() for name in ("results.csv", "comparisons.csv")}
        manifest = (root / "manifest.json").read_bytes()
        record = self.record(root)
        contents = json.loads(record.read_text())
        RunDirectory(root).seal_trial(record.parent, {**contents, "seconds": 1.0})
        for name, text in {**tables, "manifest.json": manifest}.items():
            (root / name).write_bytes(text)
        for name in ("report", "compare", "power", "export"):
            error = Ended(name, root, capsys).error
            assert error.startswith(f"{root / 'results.csv'}: was made of other records of trials")
            assert f"`priorbench score {root}` makes it anew" in error
        assert Ended("score", root, capsys).status == 0
        assert Ended("report", root, capsys).status == 0


@pytest.mark.slow
class TestScoreNeverShrinks:
    @pytest.fixture
    def root(self, finished, tmp_path):
        return damaged_copy(finished, tmp_path)

    @pytest.mark.parametrize("lost", [1, 2, None], ids=["one", "two", "all"])
    def test_lost_trials_are_named(self, root, expected, capsys, lost):
        trials = sorted(root.glob("trials/*"))[:lost]
        if lost:
            for folder in trials:
                shutil.rmtree(folder)
        else:
            shutil.rmtree(root / "trials")
        before = contents(root)
        with pytest.raises(UserError, match="missing or damaged") as caught:
            execute_command(["score", str(root), "--attributions", "gradient", QUIET])
        assert any(str(folder) in str(caught.value) for folder in trials)
        assert f"{len(trials)} trial" in str(caught.value)
        assert contents(root) == before
        ended = Ended("run", root, capsys)
        assert f"{trials[0]}: is missing; its trial is trained again" in ended.messages
        assert results_without_times(root) == expected["results"]


def test_both_copies_of_the_study_gone_is_one_line(finished, tmp_path, capsys):
    root = damaged_copy(finished, tmp_path)
    for name in (TOML, "environment.json"):
        (root / name).write_text("")
    assert "nobody can tell which study this was" in Ended("run", root, capsys).error


def test_a_folder_of_an_earlier_version_is_refused_in_one_line(finished, tmp_path, capsys):
    root = damaged_copy(finished, tmp_path)
    (root / "manifest.json").unlink()
    study = (root / TOML).read_text().replace("format = 2\n", "")
    (root / TOML).write_text(study)
    for name in COMMANDS:
        error = Ended(name, root, capsys).error
        assert "was written by an earlier version of priorbench" in error
        assert "\n" not in error


def test_an_edited_study_is_not_run_under_the_old_name(finished, tmp_path):
    root = damaged_copy(finished, tmp_path)
    (root / TOML).write_text((root / TOML).read_text().replace("smoke", "quick"))
    with pytest.raises(UserError, match=r"study\.toml: was edited.*restores the study"):
        execute_command(["run", str(root / TOML), "--out", str(root)])


class DiedError(BaseException):
    """Stands for the end of a process, which no code of the run handles."""


def run_small(out):
    return run_smoke(out, "--priors", "l2", "--seeds", "1")


def score_more(out):
    return execute_command(["score", str(out), "--attributions", "gradient", QUIET])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    """A small run that nobody ended early, and a copy in which one attribution more is scored."""
    root = tmp_path_factory.mktemp("whole")
    with in_this_process():
        assert run_small(root / "run") == 0
        assert score_more(shutil.copytree(root / "run", root / "score")) == 0
    return {"run": root / "run", "score": root / "score"}


WRITES = {"run": (run_small, 11), "score": (score_more, 7)}
"""commands that write a run, and the writes at which they are ended"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "after"), [(c, n + 1) for c, (_, most) in WRITES.items() for n in range(most)]
)
def test_a_process_that_dies_at_any_write_leaves_a_run_that_goes_on(
    whole, tmp_path, monkeypatch, capsys, command, after
):
    out, (begin, _) = tmp_path / "out", WRITES[command]
    if command == "score":
        shutil.copytree(whole["run"], out)
    count = itertools.count(1)
    put = os.replace

    def dying(source, target):
        if next(count) == after:
            shutil.copy(source, f"{source}-left")  # nobody removes it either
            raise DiedError
        put(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("priorbench.storage.files.os.replace", dying)
        with pytest.raises(DiedError):
            begin(out)
    capsys.readouterr()
    assert begin(out) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert results_without_times(out) == results_without_times(whole[command])
    assert (out / "claims.json").read_bytes() == (whole[command] / "claims.json").read_bytes()
    assert execute_command(["compare", str(out), "--metric", "auroc"]) == 0


class TestPlaces:
    """Files and links where folders should be, and folders whose names mislead."""

    @pytest.fixture
    def root(self, finished, tmp_path):
        return damaged_copy(finished, tmp_path)

    @pytest.mark.parametrize("kind", ["trials/*", "data/*"])
    @pytest.mark.parametrize("link", [True, False], ids=["link", "file"])
    def test_a_file_or_a_link_in_the_place_of_a_folder_is_replaced(
        self, root, expected, tmp_path, kind, link
    ):
        folder = sorted(root.glob(kind))[0]
        elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
        damaged = next(path for path in elsewhere.iterdir() if path.suffix in (".npz", ".npy"))
        keep_half(damaged)
        shutil.rmtree(folder)
        if link:
            folder.symlink_to(elsewhere)
        else:
            folder.write_text("")
        assert run_again(root) == 0
        assert folder.is_dir()
        assert not folder.is_symlink()
        assert damaged.exists()
        assert results_without_times(root) == expected["results"]

    def test_a_run_in_a_folder_called_data_is_named(self, finished, tmp_path, capsys):
        root = Path(shutil.copytree(finished, tmp_path / "data" / "my run"))
        (root / "results.csv").write_text("")
        keep_half(sorted(root.glob("trials/*/arrays.npz"))[0])
        error = Ended("report", root, capsys).error
        assert f"`priorbench run '{root}'` repairs it" in error

    def test_trials_of_a_study_that_nobody_knows_are_not_run_on(self, root):
        for path in [path for path in root.iterdir() if path.is_file()]:
            path.unlink()
        with pytest.raises(UserError, match="nobody can tell which study this was"):
            run_smoke(root, "--priors", "fourier", "--seeds", "2")

    def test_score_with_a_damaged_table_knows_what_is_lost(self, root):
        shutil.rmtree(sorted(root.glob("trials/*"))[0])
        (root / "results.csv").write_text("")
        before = contents(root)
        with pytest.raises(UserError, match="1 trial of 12 is missing or damaged"):
            execute_command(["score", str(root), QUIET])
        assert contents(root) == before

    def test_who_reads_while_another_writes_is_told(self, root, capsys):
        record = sorted(root.glob(RECORD))[0]
        run = RunDirectory(root)
        run.seal_trial(record.parent, {**json.loads(record.read_text()), "seconds": 1.0})
        with run.lock():
            error = Ended("report", root, capsys).error
        assert error == f"{root}: another priorbench run or score is writing here; wait for it"


def run_again(root):
    with in_this_process():
        return execute_command(["run", str(root), QUIET])


@pytest.mark.slow
def test_tables_of_which_some_are_old_are_not_taken(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert run_smoke(out, "--priors", "l2", "--seeds", "2") == 0
    put, dead = os.replace, []

    def dying(source, target):
        if dead:
            raise DiedError
        put(source, target)
        dead.extend([True] * (Path(target).name == "results.csv"))

    with monkeypatch.context() as patch:
        patch.setattr("priorbench.storage.files.os.replace", dying)
        with pytest.raises(DiedError):
            run_smoke(out, "--priors", "l2", "--seeds", "3")
    for name in ("report", "compare", "power"):
        assert "comparisons.csv: was made of other records" in Ended(name, out, capsys).error
    assert run_again(out) == 0
    assert Ended("compare", out, capsys).status == 0
