"""The page of a run's files: columns from the code, their meanings from run-files.toml."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from priorbench.data import dataset

_TEXTS = Path(__file__).resolve().parents[1] / "run-files.toml"
_HEAD = """\
# Files of a run

Made from the code by `make docs`; do not edit. A run has a folder, `runs/NAME-HASH` or the one
that `--out` names. Tables are CSV, which `pandas.read_csv` reads; a cell that says nothing is
empty. Files that are read back are compared with the digests that were written with them ([damaged
files](how-to/resume.md)).

| file | what it holds |
|---|---|
"""


def texts() -> dict[str, Any]:
    """Return the contents of run-files.toml."""
    return tomllib.loads(_TEXTS.read_text(encoding="utf-8"))


def columns_of(entry: dict[str, str]) -> list[str]:
    """Return the columns of a table, as the code has them."""
    module, _, name = entry["columns"].partition(":")
    return list(getattr(importlib.import_module(module), name))


def run_files_page() -> str:
    """Return the text of docs/run-files.md.

    Raises:
        KeyError: if a column has no meaning.
    """
    files, meanings = texts()["file"], texts()["columns"]
    lines = [_HEAD.rstrip()]
    for entry in files:
        name = f"`{entry['name']}`"
        shown = f"[{name}](#{_anchor(entry['name'])})" if "columns" in entry else name
        lines.append(f"| {shown} | {entry['text']} |")
    lines.append("")
    for entry in files:
        if "columns" in entry:
            own = {**meanings, **meanings.get(entry["name"], {})}
            lines += [f"## {entry['name']}", "", f"{_sentence(entry['text'])}", ""]
            lines += ["| column | meaning |", "|---|---|"]
            lines += [f"| `{column}` | {own[column]} |" for column in columns_of(entry)]
            lines.append("")
    lines += [*_dataset_files(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _anchor(title: str) -> str:
    return title.replace(".", "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _dataset_files() -> Iterator[str]:
    """Yield the section on datasets, which is what the engine's module says of them."""
    yield from ("## Datasets", "")
    for part in inspect.cleandoc(dataset.__doc__ or "").split("\n\n")[1:]:
        if not part.startswith("==="):
            yield from (part.replace("``", "`"), "")
            continue
        yield from ("| file | what it holds |", "|---|---|")
        rows = part.partition("\n")[2].rpartition("\n")[0]  # without the rules
        for entry in re.split(r"\n(?=``)", rows):
            name, text = re.split(r"(?<=``)\s", entry, maxsplit=1)
            yield f"| {name} | {' '.join(text.split())} |".replace("``", "`")
        yield ""
