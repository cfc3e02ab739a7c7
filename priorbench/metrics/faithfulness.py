"""Whether attributions say what the model does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from priorbench.components.metric import Metric, TrialArrays

from .seed_agreement import Track
from .stability import centred, cosine
from .tools.definition import define

if TYPE_CHECKING:
    from priorbench.components.metric import Probe

_STEPS = 10
_SHUFFLES = 4


METRICS: list[Metric] = []
_metric = partial(define, METRICS, axis="faithfulness", higher_is_better=True, scope="model")


@_metric(
    "mutagenesis-correlation",
    "correlation of attribution and in-silico mutagenesis over positions",
    floor=0.0,
    perfect=1.0,
    main=True,
)
def mutagenesis_correlation(probe: Probe) -> float:
    """Mean over sequences of Pearson's correlation of a and in-silico mutagenesis over positions.

    0 where either is constant up to 1e-6 of its size, as float32 rounds.
    """
    return float(_correlation(probe.attribution, probe.mutagenesis).mean())


def _correlation(first: Track, second: Track) -> Track:
    """Return the (k,) Pearson's correlation of every two rows of (k, L); 0 for constant rows."""
    return cosine(*(centred(track, of=track) for track in (first, second)))


@_metric(
    "perturbation-gap",
    "area between replacing the least and the most relevant positions first",
    floor=0.0,
)
def perturbation_gap(probe: Probe) -> float:
    """Area between two curves: f as positions are replaced, those of least a or largest a first.

    A tenth of the positions at a time takes the base of a dinucleotide-shuffled sequence, four
    shuffles of each; f is the target. The gap is the mean of f(least first) - f(largest first)
    over the steps, the shuffles and the sequences, divided by the mean of |f(x) - f(all replaced)|;
    0 is what chance gives. Replacing the least relevant first is the same as inserting the most
    relevant into the shuffled sequence, so that the gap covers both deletion and insertion (Samek
    et al. 2017).
    """
    track = probe.attribution
    # among equal values, positions in a random order
    draws = np.random.default_rng(0).random(track.shape)
    ranks = np.lexsort((draws, track), axis=1).argsort(axis=1)
    length = track.shape[1]
    own = probe.values()
    gap, change = 0.0, 0.0
    for shuffle in range(_SHUFFLES):
        for step in range(1, _STEPS):
            count = round(step * length / _STEPS)
            least = probe.values(ranks < count, shuffle)
            most = probe.values(ranks >= length - count, shuffle)
            gap += float((least - most).mean()) / (_STEPS - 1)
        change += float(np.abs(own - probe.values(np.ones_like(ranks, dtype=bool), shuffle)).mean())
    return gap / change if change > 0 else 0.0


@_metric(
    "completeness-error",
    "by how much attributions miss the sum that their method promises",
    higher_is_better=False,
    scope="trial",
    perfect=0.0,
)
def completeness_error(arrays: TrialArrays) -> float:
    """Mean over sequences of |sum_i a_i - e|, divided by the mean of |e|.

    e is what a should add up to: the change of the target from the reference (Sundararajan, Taly
    & Yan 2017). NaN for methods that do not promise that.
    """
    if arrays.sums is None:
        return float("nan")
    total, expected = arrays.sums
    size = np.abs(expected).mean()
    return float(np.abs(total - expected).mean() / size) if size > 0 else float("nan")


@_metric(
    "randomised-similarity",
    "rank correlation of |attribution| with that of the network with random weights",
    higher_is_better=None,
    floor=0.0,
)
def randomised_similarity(probe: Probe) -> float:
    """Mean over sequences of Spearman's correlation of |a| with that of an untrained network.

    All layers are initialised anew. An attribution that hardly changes does not show what
    was learnt (Adebayo et al. 2018): the correlation should be near 0, and it is 0 where either is
    constant up to 1e-6 of its size. It is shown as a check, and never ranked.
    """
    sizes = (np.abs(track) for track in (probe.own, probe.of_random_weights()))
    ranks = (centred(rankdata(size, axis=1), of=size) for size in sizes)
    return float(cosine(*ranks).mean())
