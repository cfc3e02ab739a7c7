"""What a trial has stored: its attributions, and the motifs that were discovered in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.components import registry
from priorbench.evaluation.modisco import unpack_motifs
from priorbench.evaluation.stored_arrays import read_arrays, stored_attribution
from priorbench.metrics.motif_set import MotifSet
from priorbench.run_directory import RunDirectory


def arrays_file(run: RunDirectory, trial: str) -> Path:
    """Return where a trial has stored its arrays; it is not there if the trial failed."""
    return run.trial(trial) / "arrays.npz"


def trial_attribution(run: RunDirectory, trial: str, spec: str) -> NDArray[np.float32]:
    """Return the (M, L) attributions, by their spec, of a trial that has stored them."""
    return stored_attribution(read_arrays(arrays_file(run, trial)), spec)


def trial_motifs(run: RunDirectory, trial: str, spec: str, task: str) -> MotifSet | None:
    """Return the motifs in attributions of a trial, or None if nobody has looked for them.

    The trial's task, a spec, says whether both strands count.
    """
    stored = read_arrays(arrays_file(run, trial))
    return unpack_motifs(stored, spec, both_strands=registry.build("task", task).reverse_complement)
