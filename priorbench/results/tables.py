"""How tables are written as CSV and read back."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as text, numbers to the last bit."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def read_table(path: Path) -> pd.DataFrame:
    """Read one of a run's tables; columns of words have "" where a cell is empty."""
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    words = ["attribution", "verdict", "family", "correction", "interval", "missing", "held"]
    kinds = dict.fromkeys(["trial", *words], str)
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=kinds, low_memory=False)
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table


def read_optional_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table that not every run has; without the file, one without rows."""
    return read_table(path) if path.is_file() else pd.DataFrame(columns=columns)
