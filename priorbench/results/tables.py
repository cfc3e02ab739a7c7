"""How tables are written as CSV and read back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as text, numbers to the last bit."""
    return table.to_csv(index=False, lineterminator="\n")


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read one of a run's tables; columns of words have "" where a cell is empty.

    Where columns are named, a missing file is a table of these without rows.
    """
    if columns is not None and not path.is_file():
        return pd.DataFrame(columns=columns)
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    words = ["attribution", "verdict", "family", "correction", "interval", "missing", "held"]
    words += ["note", "criterion"]
    kinds = dict.fromkeys(["trial", *words], str)
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=kinds, low_memory=False)
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table
