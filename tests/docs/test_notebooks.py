"""Notebooks hold what can be compared and nothing of the machine, and other output is noticed."""

import json
import re
import subprocess
import sys

import pytest
from fixtures.places import DOCS, PROGRAMS, docs_program

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((DOCS / "tutorial" / "notebooks").glob("*.ipynb"))
MOST_BYTES = 60_000
"""of a notebook with its outputs, of which figures are about half"""


@pytest.fixture(scope="module")
def program():
    for name in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    return docs_program("notebooks")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    assert request.param.stat().st_size < MOST_BYTES
    return json.loads(request.param.read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_the_two_that_the_tutorial_names():
    assert [path.stem for path in NOTEBOOKS] == ["first-comparison", "own-prior"]


def test_outputs_are_text_and_figures_without_counts_or_times(notebook):
    assert set(notebook["metadata"]) == {"kernelspec", "language_info", "machine"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z-]+", name) for name in ids)  # made by hand, and stay
    for cell in code_cells(notebook):
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}
        for output in cell["outputs"]:
            assert output.get("execution_count") is None
            assert output.get("name", "stdout") == "stdout", "a warning or a message"
            assert set(output.get("data", ["text/plain"])) <= {"text/plain", "image/svg+xml"}
            assert output["output_type"] != "error"


def test_outputs_name_no_place_and_no_date(notebook):
    for cell in code_cells(notebook):
        text = json.dumps(cell["outputs"])
        assert not re.search(r"/(tmp|home|root|Users)/|site-packages|\\u001b|20\d\d-\d\d", text)


def test_every_cell_of_code_is_read_by_a_text(notebook):
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == kinds[-1] == "markdown"
    assert notebook["cells"][0]["source"][0].startswith("# ")
    assert any("assert " in "".join(cell["source"]) for cell in code_cells(notebook))


def cells(*outputs):
    return {"cells": [{"id": "a", "outputs": [{"text": text} for text in outputs]}]}


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [("p 0.031\n", "p  0.032\n"), ("x 1234.5", "x 1235.5"), ("-0.00 a", "0.00 a"), ("a", "a")],
)
def test_numbers_may_differ_in_the_last_digit_and_spaces_in_number(program, stored, fresh):
    assert list(program.differences(cells(stored), cells(fresh))) == []


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("p 0.031", "p 0.035"),
        ("better 1", "worse 1"),
        ("a", "a b"),
        ("n 6", "n 7"),
        ("1.0", "-1.0"),
    ],
)
def test_other_words_and_numbers_are_a_difference(program, stored, fresh):
    (line,) = program.differences(cells(stored), cells(fresh))
    assert line.startswith("cell a: ")


def test_an_output_that_is_missing_is_a_difference(program):
    assert list(program.differences(cells("a", "b"), cells("a")))


def run(path, *options):
    command = [sys.executable, str(PROGRAMS / "notebooks.py"), *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_notebook_is_executed_stored_and_compared(program, tmp_path):
    import nbformat

    code = nbformat.v4.new_code_cell(
        "from pathlib import Path\n\nPath('left').touch()\n1 + 1", id="a"
    )
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[code]), path)
    assert run(path, "--write").returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["small.ipynb"]
    stored = path.read_text(encoding="utf-8")
    assert run(path).returncode == 0
    path.write_text(stored.replace('"2"', '"3"'))
    other = run(path)
    assert other.returncode == 1
    assert "small.ipynb: cell a: '2', stored is '3'" in other.stderr
    path.write_text(stored.replace('"2"', '"3"').replace(program.machine()["torch"], "0.1"))
    assert "executed, and not compared" in run(path).stdout
    path.write_text(stored.replace("1 + 1", "1 / 0"))
    failed = run(path)
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr
