"""Docstrings can be read without the name of what they describe, and variables are nouns."""

import ast
import json
import re
from collections import defaultdict

import pytest
from fixtures.places import DOCS, ROOT

FOLDERS = ("priorbench", "priors", "tasks", "reports", "benchmarks", "docs/programs")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
NEEDS_A_NAME = re.compile(r"(Of|As|With|See|That|Those|Whom)\b")
NO_NOUNS = {"found", "one", "told", "asked"}


def trees() -> dict:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def python_of(path) -> str:
    """The Python of a file; of a notebook without its shell, one cell after the other."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    python = [cell for cell in cells if not cell.startswith("%%bash")]
    return re.sub(r"^(!|%%writefile).*$", "", "\n".join(python), flags=re.MULTILINE)


@pytest.mark.parametrize("path", [*FILES, *NOTEBOOKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_and_variables(path):
    for node in ast.walk(ast.parse(python_of(path))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            words = ast.get_docstring(node) or ""
            where = f"{path.name}:{getattr(node, 'lineno', 1)}"
            assert not NEEDS_A_NAME.match(words), f"{where}: {words.splitlines()[0]}"
        name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", "")
        stored = isinstance(node, ast.arg) or isinstance(getattr(node, "ctx", None), ast.Store)
        assert not (stored and name in NO_NOUNS), f"{path.name}:{node.lineno}: {name}"


def test_no_two_modules_say_the_same_of_themselves():
    sayings = defaultdict(list)
    for path, tree in trees().items():
        sayings[ast.get_docstring(tree)].append(str(path.relative_to(ROOT)))
    sayings.pop(None, None)
    assert not [paths for paths in sayings.values() if len(paths) > 1]
