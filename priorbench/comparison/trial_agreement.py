"""How well trials agree with each other, for metrics whose values are those of pairs of trials."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.metric import Metric
from priorbench.metrics.motif_set import NOTHING_FOUND, MotifSet
from priorbench.storage.run_directory import DONE

Agreement = Callable[[pd.DataFrame, Metric, str], NDArray[np.float64]]
"""(k, k) agreement of the k trials in a table with columns prior and seed, in its order, by a
metric on one attribution"""


def agreement_of(
    results: pd.DataFrame,
    attribution_of: Callable[[str, str], NDArray[np.float32] | None],
    motifs_of: Callable[[str, str], MotifSet | None],
) -> Agreement:
    """Return the agreement of trials by what they have stored.

    A trial that failed, or stored nothing, agrees with no other.

    Args:
        results: a table with the columns of results.csv.
        attribution_of: gives (M, L) attributions by a trial's id and the attribution's spec.
        motifs_of: gives the motifs that were discovered, likewise.
    """
    done = set(results.loc[results["status"] == DONE, "trial"])
    cached_attribution = lru_cache(maxsize=64)(attribution_of)

    def agreement(trials: pd.DataFrame, metric: Metric, spec: str) -> NDArray[np.float64]:
        ids = [trial if trial in done else None for trial in trials["trial"]]
        if metric.scope == "motif-sets":
            sets = [motifs_of(trial, spec) if trial else None for trial in ids]
            matched: NDArray[np.float64] = metric.function([s or NOTHING_FOUND for s in sets])
            return matched
        stored = [cached_attribution(trial, spec) if trial else None for trial in ids]
        shape = next((a.shape for a in stored if a is not None), (1, 1))
        nothing = np.zeros(shape, dtype=np.float32)
        matrix: NDArray[np.float64] = metric.function([nothing if a is None else a for a in stored])
        return matrix

    return agreement
