"""`runs`: every run of a folder with how far it is, damaged ones too, from a few small files."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from fixtures.run_directories import make_run

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.storage.run_directory import RunDirectory

ANSWER = {
    "together": None,
    "settings": [{"sentences": ["Train with `tv`: it is better.", "More."]}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "runs").mkdir()
    make_run(tmp_path / "runs" / "first", ["none", "fourier"], [0, 1])
    return tmp_path / "runs"


def set_time(run, seconds):
    for path in run.rglob("*"):
        os.utime(path, (seconds, seconds))


def listed(capsys, *arguments):
    capsys.readouterr()
    assert execute_command(["runs", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_says_what_it_compares_and_how_far_it_is(folder, capsys):
    run = folder / "first"
    RunDirectory(run).manifest.write({"answer.json": json.dumps(ANSWER)})
    shutil.rmtree(next(path for path in (run / "trials").iterdir()))
    (run / "trials" / ".running").mkdir()
    (run / "trials" / "of-an-earlier-version").mkdir()
    assert execute_command(["runs"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("runs/first ")
    assert "3 of 4 trials: fourier on binary, 2 seeds, scale smoke" in printed
    assert printed.endswith("So far: Train with tv: it is better.")
    (row,) = listed(capsys)
    assert (row["planned"], row["ended"], row["seeds"]) == (4, 3, [0, 1])
    assert row["answer"] == "So far: Train with tv: it is better."
    assert row["problem"] is None
    assert listed(capsys, "runs/first")[0]["compared"] == row["compared"]


def test_the_last_changed_run_comes_first_and_what_is_no_run_is_left_out(folder, capsys):
    for name in ("second", "third"):
        shutil.copytree(folder / "first", folder / name)
    for name, seconds in (("first", 3e8), ("second", 1e8), ("third", 2e8)):
        set_time(folder / name, seconds)
    (folder / "notes").mkdir()
    (folder / "notes" / "answer.json").write_text("{}")
    (folder / "a file").write_text("")
    (folder / "gone").symlink_to(folder / "nowhere")
    # a study of the user's, beside its runs
    (folder / "study.toml").write_text('priors = ["tv"]')
    (folder / "notes" / "manifest.json").write_text('{"name": "my app"}')
    (folder / "third" / "manifest.json").unlink()
    (folder / "third" / "plan.csv").unlink()
    rows = listed(capsys)
    assert {row["path"] for row in rows} == {"runs/first", "runs/third", "runs/second"}
    assert [row["path"] for row in rows if not row["problem"]] == ["runs/first", "runs/second"]
    assert rows[0]["changed"] == "1979-07-05T05:20:00+00:00"


@pytest.mark.parametrize(
    ("name", "contents", "problem"),
    [
        ("study.toml", None, "study.toml: is missing"),
        ("study.toml", b"priors = [", "study.toml: was edited by hand or damaged"),
        ("plan.csv", b"", "plan.csv: was edited by hand or damaged"),
        ("answer.json", b"{", "answer.json: was edited by hand or damaged"),
        ("answer.json", None, "answer.json: is missing"),
        ("manifest.json", b"[]", "manifest.json: is damaged"),
        ("trials", b"no folder", "Not a directory"),
    ],
)
def test_a_damaged_run_says_what_is_wrong(folder, capsys, name, contents, problem):
    run = folder / "first"
    RunDirectory(run).manifest.write({"answer.json": json.dumps(ANSWER)})
    if name == "trials":
        shutil.rmtree(run / name)
    if contents is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(contents)
    assert execute_command(["runs"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "runs/first"
    assert lines[1].startswith("  damaged: ")
    assert problem in " ".join(printed.out.split())
    assert printed.err == ""
    assert problem in listed(capsys)[0]["problem"]


def test_the_answer_of_a_whole_run_is_no_answer_so_far(folder, capsys):
    RunDirectory(folder / "first").manifest.write({"answer.json": json.dumps(ANSWER)})
    assert listed(capsys)[0]["answer"] == "Train with tv: it is better."


def test_a_run_that_has_just_begun_is_listed(folder, capsys):
    run = folder / "first"
    RunDirectory(run).manifest.write({"plan.csv": None})
    shutil.rmtree(run / "trials")
    assert execute_command(["runs"]) == 0
    printed = capsys.readouterr().out
    assert "nothing planned yet" in printed
    assert "no answer yet" in printed


def test_without_runs_it_says_how_to_begin_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute_command(["runs"]) == 0
    assert "`priorbench run` begins one" in capsys.readouterr().err
    assert listed(capsys) == []
    with pytest.raises(UserError, match="nowhere: no such folder"):
        execute_command(["runs", "nowhere"])


def test_lines_fit_the_terminal(folder, capsys, monkeypatch):
    shutil.copytree(folder / "first", folder / ("x" * 79))
    for columns in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        execute_command(["runs"])
        lines = [x for x in capsys.readouterr().out.splitlines() if not x.startswith("runs/")]
        assert max(map(len, lines)) <= columns


def test_many_runs_are_listed_at_once_and_without_torch(folder):
    for number in range(200):
        copy = folder / f"run-{number}"
        shutil.copytree(folder / "first", copy, ignore=shutil.ignore_patterns("data", "*.npz"))
    code = (
        "import sys\n"
        "from priorbench.cli.app import execute_command\n"
        "execute_command(['runs'])\n"
        "assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.count("4 of 4 trials") == 201
