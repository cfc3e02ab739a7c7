"""What a trial has stored: its attributions, and the motifs that were discovered in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components import registry
from priorbench.evaluation.modisco import unpack_motifs
from priorbench.evaluation.stored_arrays import read_arrays, stored_attribution
from priorbench.metrics.tools.motif_set import MotifSet
from priorbench.storage.run_directory import ARRAYS, RunDirectory


def has_arrays(run: RunDirectory, trial: str) -> bool:
    """Return whether a trial has stored its arrays, which one that failed may not."""
    return ARRAYS in run.files_of(trial)


def trial_arrays(run: RunDirectory, trial: str) -> dict[str, NDArray[Any]]:
    """Return all arrays that a trial has stored, by name.

    Raises:
        DamagedFile: if they are not as they were written.
    """
    return read_arrays(run.read_file(trial, ARRAYS))


def trial_attribution(run: RunDirectory, trial: str, spec: str) -> NDArray[np.float32]:
    """Return the (M, L) attributions, by their spec, of a trial that has stored them."""
    return stored_attribution(trial_arrays(run, trial), spec)


def trial_motifs(run: RunDirectory, trial: str, spec: str, task: str) -> MotifSet | None:
    """Return the motifs in attributions of a trial, or None if nobody has looked for them.

    The trial's task, a spec, says whether both strands count.
    """
    stored = trial_arrays(run, trial)
    return unpack_motifs(stored, spec, both_strands=registry.build("task", task).reverse_complement)


def digest_of_results(run: RunDirectory, results: pd.DataFrame) -> str:
    """Return the digest of the records that results.csv, a table, was made of.

    Raises:
        DamagedFile: if one of them is missing, or not as it was written.
    """
    return run.digest_of_records(map(str, pd.unique(results["trial"].dropna())))
