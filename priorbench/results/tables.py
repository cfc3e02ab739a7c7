"""How tables are written as CSV and read back."""

from __future__ import annotations

import io

import pandas as pd

from priorbench.storage.run_directory import RunDirectory


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as text, numbers to the last bit."""
    return table.to_csv(index=False, lineterminator="\n")


def read_table(run: RunDirectory, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read one of a run's tables; columns of words have "" where a cell is empty.

    Where columns are named, a table that was not written is one of these without rows.

    Raises:
        DamagedFile: if the file is not as it was written.
    """
    if columns is not None and name not in run.manifest:
        return pd.DataFrame(columns=columns)
    text = io.BytesIO(run.manifest.read(name))
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    words = ["attribution", "verdict", "family", "correction", "interval", "missing", "held"]
    words += ["note", "criterion"]
    kinds = dict.fromkeys(["trial", *words], str)
    table = pd.read_csv(
        text,
        keep_default_na=False,
        na_values=[""],
        dtype=kinds,
        low_memory=False,
        float_precision="round_trip",  # the default may read another last digit than was written
    )
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table
