"""Whether the filters of the first layer are motifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from priorbench.components.metric import Metric

from ..tools.definition import define
from ..tools.motif_matching import Q_VALUE, Matrix, match_q

METRICS: list[Metric] = []
_metric = partial(define, METRICS, axis="localisation", higher_is_better=True, scope="filters")


@dataclass(frozen=True)
class FirstFilters:
    """The filters of a network's first layer.

    Attributes:
        matrices: (4, width) frequencies of the bases that each filter responds to, None for one
            that responds nowhere; none at all if the network does not begin with a convolution.
        both_strands: whether a motif and its reverse complement are the same.
    """

    matrices: Sequence[Matrix | None]
    both_strands: bool


@_metric(
    "filter-matches",
    "share of first-layer filters that match a true motif",
    floor=0.0,
    perfect=1.0,
    published="Koo & Ploenzke, Nature Machine Intelligence 2021",
)
def filter_matches(filters: FirstFilters, known: Mapping[str, Matrix]) -> float:
    """Share of the first convolution's filters whose matrix matches a true motif by TOMTOM.

    A filter's matrix has the frequencies of bases in the windows of the probed sequences where its
    activation, behind batch norm, is above half its largest (Koo & Ploenzke 2021). It matches where
    q is at most 0.05, Benjamini & Hochberg over the true motifs, against random matrices (see
    ``motif-recall``); the paper takes q below 0.1 against a database, so that shares do not compare
    with its own. A filter that responds nowhere matches nothing. At most 5% of filters would match
    by chance; those of networks that were not trained are seldom like any motif. NaN where no motif
    is known, or the network does not begin with a convolution.
    """
    if not known or not filters.matrices:
        return float("nan")
    responding = [matrix for matrix in filters.matrices if matrix is not None]
    q = match_q(responding, list(known.values()), both_strands=filters.both_strands)
    return float((q <= Q_VALUE).any(axis=1).sum() / len(filters.matrices))
