"""Whether the filters of the first layer are motifs."""

from __future__ import annotations

from functools import partial

from priorbench.components.metric import Metric, Probe

from ..tools.definition import define
from ..tools.motif_matching import Q_VALUE, match_q

METRICS: list[Metric] = []
_metric = partial(define, METRICS, axis="localisation", higher_is_better=True, scope="model")


@_metric(
    "filter-matches",
    "share of first-layer filters that match a true motif",
    floor=Q_VALUE,
    perfect=1.0,
    published="Koo & Ploenzke, Nature Machine Intelligence 2021",
)
def filter_matches(probe: Probe) -> float:
    """Share of the first convolution's filters whose matrix matches a true motif by TOMTOM.

    A filter's matrix has the frequencies of bases in the windows of the probed sequences where its
    response, without bias, is above half its largest. It matches where q is at most 0.05, Benjamini
    & Hochberg over the true motifs, against random matrices (see ``motif-recall``); the paper takes
    q below 0.1 against a database. A filter that responds nowhere matches nothing. By chance 5% of
    filters match. NaN where no motif is known, or the network does not begin with a convolution.
    """
    motifs = list(probe.motifs.values())
    filters = probe.filter_matrices()
    if not motifs or not filters:
        return float("nan")
    responding = [matrix for matrix in filters if matrix is not None]
    q = match_q(responding, motifs, both_strands=type(probe.task).reverse_complement)
    return float((q <= Q_VALUE).any(axis=1).sum() / len(filters))
