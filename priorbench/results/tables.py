"""From trial folders to results.csv and comparisons.csv, and back for the report."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components import registry
from priorbench.evaluation.modisco import unpack_motifs
from priorbench.evaluation.stored_arrays import (
    read_arrays,
    stored_attribution,
)
from priorbench.metrics.motif_set import MotifSet
from priorbench.run_directory import RunDirectory

_CACHED_TRIALS = 64


def _attribution(run: RunDirectory, trial: str, spec: str) -> NDArray[np.float32]:
    return stored_attribution(read_arrays(run.trial(trial) / "arrays.npz"), spec)


def _motifs(run: RunDirectory, trial: str, spec: str, task: str) -> MotifSet | None:
    stored = read_arrays(run.trial(trial) / "arrays.npz")
    return unpack_motifs(stored, spec, both_strands=registry.build("task", task).reverse_complement)


def task_options(spec: str) -> dict[str, Any]:
    """Every option of a task, by name."""
    return dataclasses.asdict(registry.build("task", spec))


def as_csv(table: pd.DataFrame) -> str:
    """A table as text, numbers to the last bit."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _read_optional(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table that not every run has."""
    return _read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)


def _read_csv(path: Path) -> pd.DataFrame:
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    words = ["attribution", "verdict", "family", "correction", "interval", "missing", "held"]
    kinds = dict.fromkeys(["trial", *words], str)
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=kinds, low_memory=False)
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table
