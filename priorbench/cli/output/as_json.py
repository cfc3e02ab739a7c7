"""JSON on standard output: the same keys always, and null where there is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from json import dumps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinity are null, paths are text."""
    print(dumps(_plain(value), indent=1, allow_nan=False))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by column; what is missing is None."""
    values = table.astype(object)
    return [
        {str(key): value for key, value in row.items()}
        for row in values.where(values.notna(), None).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """Return a value made of what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, type(None))) else str(value)
