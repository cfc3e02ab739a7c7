"""How tables are written as CSV and read back."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from priorbench.storage.run_directory import RunDirectory

_BEFORE_3_1 = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
_EXACTLY = {"float_precision": "round_trip"} if _BEFORE_3_1 else {}
"""option by which older pandas reads the digits that were written, as newer does by default"""


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
    options: dict[str, Any] = {"dtype": kinds, "low_memory": False, **_EXACTLY}
    table: pd.DataFrame = pd.read_csv(text, keep_default_na=False, na_values=[""], **options)
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table
