"""Which test sequences are shown: the typical, the best, the worst, the most different; by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.components.contracts import TrialArrays
from priorbench.data.codes import NEUTRAL
from priorbench.data.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS, average_precision
from priorbench.results.finished_run import Run

from ..numbers import counted, fixed, listed

LOCATED, AGREED, PREDICTED = "motif-auprc", "seed-cosine", "predicted logit"
"""what sequences are ranked by: where motifs are known; else with two seeds or more; else"""
TYPICAL = "typical"


@dataclass(frozen=True)
class FinishedTrials:
    """Trials of a setting that ended well.

    Attributes:
        run: that they are of.
        trials: ids by prior and seed, the priors in the order of the setting.
        seeds: that are looked at, ascending.
    """

    run: Run
    trials: Mapping[tuple[str, int], str]
    seeds: Sequence[int]

    @property
    def priors(self) -> list[str]:
        """Those with a trial."""
        return list(dict.fromkeys(prior for prior, _ in self.trials))

    def arrays(self, prior: str) -> Iterator[tuple[int, TrialArrays]]:
        """What the trials of a prior left behind, by seed."""
        for seed in self.seeds:
            trial = self.trials.get((prior, seed))
            arrays = None if trial is None else self.run.arrays(trial)
            if arrays is not None:
                yield seed, arrays


@dataclass(frozen=True)
class SequenceRanking:
    """Scores of single sequences, by which examples are chosen.

    Attributes:
        score: LOCATED, AGREED or PREDICTED.
        rows: (K,) places among the attributed sequences of those that have a score.
        values: (K,) by prior, means over seeds; none where nothing can be scored.
    """

    score: str
    rows: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(K,) mean over priors."""
        result: NDArray[np.float64] = np.mean(list(self.values.values()), axis=0)
        return result


@dataclass(frozen=True)
class ShownSequence:
    """A test sequence to show.

    Attributes:
        row: its place among the attributed sequences.
        names: what it is an example of: ``typical``, ``the best``, ...
        rules: how it was chosen, in words, one a name.
    """

    row: int
    names: Sequence[str]
    rules: Sequence[str]


def rank_sequences(finished: FinishedTrials, dataset: Dataset) -> SequenceRanking:
    """Scores of the attributed sequences of a setting, by prior."""
    truth = dataset.truth
    if truth is not None and np.isin(truth, MOTIFS).any():
        rows = np.flatnonzero(np.isin(truth, MOTIFS).any(axis=1))
        found = {
            prior: [located(a.attribution[rows], truth[rows]) for _, a in finished.arrays(prior)]
            for prior in finished.priors
        }
        return SequenceRanking(
            LOCATED, rows, {p: np.mean(v, axis=0) for p, v in found.items() if v}
        )
    every = np.arange(len(dataset.attributed))
    if len(finished.seeds) > 1:
        agreed = {prior: _agreements(finished, prior) for prior in finished.priors}
        return SequenceRanking(AGREED, every, {p: v for p, v in agreed.items() if v is not None})
    tested = np.searchsorted(dataset.scored_rows, dataset.attributed)
    predicted = {
        prior: a.prediction["logit"].reshape(len(a.label), -1)[tested].mean(axis=1)
        for prior in finished.priors
        for _, a in finished.arrays(prior)
        if "logit" in a.prediction
    }
    return SequenceRanking(PREDICTED, every, predicted)


def located(attribution: NDArray[np.floating], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(k,) motif-auprc of single sequences, as the metric averages it; (k, L) each."""
    size = np.where(truth == NEUTRAL, -1.0, np.abs(attribution.astype(np.float64)))
    scores: NDArray[np.float64] = average_precision(size, np.isin(truth, MOTIFS))
    return scores


def _agreements(finished: FinishedTrials, prior: str) -> NDArray[np.float64] | None:
    """(M,) mean cosine of every two seeds, sequence by sequence; None for fewer than two."""
    total, count = np.zeros(()), 0
    for _, arrays in finished.arrays(prior):
        total, count = total + units(arrays.attribution), count + 1
    return mean_cosine(total, count) if count > 1 else None


def units(tracks: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., L) tracks of length one; zero stays zero."""
    size = np.linalg.norm(tracks.astype(np.float64), axis=-1, keepdims=True)
    found: NDArray[np.float64] = np.divide(tracks, size, out=np.zeros(tracks.shape), where=size > 0)
    return found


def mean_cosine(total: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean cosine of every two of ``count`` >= 2 tracks, from the sum of their units.

    (|sum u|^2 - n) / (n (n - 1)): the square holds every track with itself and all ordered pairs.

    Args:
        total: (..., L).
        count: of tracks.
    """
    result: NDArray[np.float64] = ((total**2).sum(axis=-1) - count) / (count * (count - 1))
    return result


def cases(ranking: SequenceRanking, baseline: str, seeds: Sequence[int]) -> list[ShownSequence]:
    """The typical sequence, the best, the worst, and those where a prior gains and loses most.

    A sequence that is an example of several is there once.

    Args:
        ranking: of all sequences.
        baseline: the prior that gains and losses are against.
        seeds: of the ranking, to be named.
    """
    found: dict[int, list[ShownSequence]] = {}
    for case in (
        typical(ranking, seeds),
        *_ends(ranking),
        *_differences(ranking, baseline),
    ):
        found.setdefault(case.row, []).append(case)
    return [
        ShownSequence(row, [n for c in some for n in c.names], [r for c in some for r in c.rules])
        for row, some in found.items()
    ]


def typical(ranking: SequenceRanking, seeds: Sequence[int]) -> ShownSequence:
    """The sequence whose mean score is the (lower) median."""
    if not ranking.values:
        return ShownSequence(0, [TYPICAL], ["the first of the attributed test sequences"])
    mean = ranking.mean
    place = int(np.argsort(mean, kind="stable")[(len(mean) - 1) // 2])
    over = f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"
    rule = (
        f"its {ranking.score}, averaged over all priors and {over}, is the median of the "
        f"{counted(len(mean), 'attributed test sequence')}"
        f"{' with a motif' if ranking.score == LOCATED else ''}: {fixed(float(mean[place]), 2)}"
    )
    return ShownSequence(int(ranking.rows[place]), [TYPICAL], [rule])


def _ends(ranking: SequenceRanking) -> Iterator[ShownSequence]:
    """The sequences with the largest and the smallest mean score."""
    if ranking.values:
        mean = ranking.mean
        for name, size, place in (
            ("the best", "largest", int(mean.argmax())),
            ("the worst", "smallest", int(mean.argmin())),
        ):
            rule = f"the {size} mean {ranking.score} of all: {fixed(float(mean[place]), 2)}"
            yield ShownSequence(int(ranking.rows[place]), [name], [rule])


def _differences(ranking: SequenceRanking, baseline: str) -> Iterator[ShownSequence]:
    """The sequences on which some prior gains and loses the most against the baseline."""
    others = [prior for prior in ranking.values if prior != baseline]
    if not others or baseline not in ranking.values or ranking.score == PREDICTED:
        return
    table = np.stack([ranking.values[prior] - ranking.values[baseline] for prior in others])
    for sign, verb, size in ((1, "gains", "largest"), (-1, "loses", "smallest")):
        arm, place = (int(i) for i in np.unravel_index((sign * table).argmax(), table.shape))
        if sign * table[arm, place] > 0:
            difference = fixed(float(table[arm, place]), 2, signed=True)
            rule = (
                f"of the {table.size:,} differences in mean {ranking.score} to {baseline}, over "
                f"all priors and sequences, that of {others[arm]} here is the {size}: "
                f"{difference}. Of so many, one is as extreme by luck too"
            )
            name = f"where {others[arm]} {verb} most"
            yield ShownSequence(int(ranking.rows[place]), [name], [rule])
