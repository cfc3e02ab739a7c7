"""Choice of the test sequences that are shown: typical, best, worst, most different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import TrialArrays
from priorbench.data.codes import NEUTRAL
from priorbench.data.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS
from priorbench.metrics.tools.rankings import average_precision
from priorbench.number_text import counted, fixed, listed
from priorbench.results.finished_run import Run

LOCALISATION, AGREEMENT, PREDICTION = "motif-auprc", "seed-cosine", "predicted logit"
"""scores that sequences are ranked by: the first where motifs are known, the second where there are
two seeds or more, else the third"""
TYPICAL = "typical"


@dataclass(frozen=True)
class FinishedTrials:
    """Trials of a setting that ended well.

    Attributes:
        run: run of the trials.
        trials: ids by prior and seed, the priors in the order of the setting.
        seeds: seeds that sequences are chosen by, ascending.
    """

    run: Run
    trials: Mapping[tuple[str, int], str]
    seeds: Sequence[int]

    @property
    def priors(self) -> list[str]:
        """Priors with a trial."""
        return list(dict.fromkeys(prior for prior, _ in self.trials))

    def arrays(self, prior: str) -> Iterator[tuple[int, TrialArrays]]:
        """Yield seed and arrays of the trials of a prior."""
        for seed in self.seeds:
            trial = self.trials.get((prior, seed))
            arrays = None if trial is None else self.run.arrays(trial)
            if arrays is not None:
                yield seed, arrays


@dataclass(frozen=True)
class SequenceRanking:
    """Scores of single sequences, by which examples are chosen.

    Attributes:
        score: LOCALISATION, AGREEMENT or PREDICTION.
        rows: (K,) places of the sequences with a score among the attributed ones.
        values: (K,) scores by prior, means over seeds; empty where nothing can be scored.
    """

    score: str
    rows: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(K,) mean scores over priors."""
        result: NDArray[np.float64] = np.mean(list(self.values.values()), axis=0)
        return result


@dataclass(frozen=True)
class ShownSequence:
    """A test sequence to show.

    Attributes:
        row: place of the sequence among the attributed ones.
        names: what the sequence is an example of: ``typical``, ``the best``, ...
        rules: rules that chose the sequence, in words, one a name.
    """

    row: int
    names: Sequence[str]
    rules: Sequence[str]


def rank_sequences(finished: FinishedTrials, dataset: Dataset) -> SequenceRanking:
    """Return scores of the attributed sequences of a setting, by prior."""
    truth = dataset.truth
    if truth is not None and np.isin(truth, MOTIFS).any():
        rows = np.flatnonzero(np.isin(truth, MOTIFS).any(axis=1))
        scores = {
            prior: [
                motif_auprc(a.attribution[rows], truth[rows]) for _, a in finished.arrays(prior)
            ]
            for prior in finished.priors
        }
        means = {prior: np.mean(values, axis=0) for prior, values in scores.items() if values}
        return SequenceRanking(LOCALISATION, rows, means)
    every = np.arange(len(dataset.attributed))
    if len(finished.seeds) > 1:
        cosines = {prior: _agreements(finished, prior) for prior in finished.priors}
        known = {prior: values for prior, values in cosines.items() if values is not None}
        return SequenceRanking(AGREEMENT, every, known)
    tested = np.searchsorted(dataset.scored_rows, dataset.attributed)
    logits = {
        prior: a.prediction["logit"].reshape(len(a.label), -1)[tested].mean(axis=1)
        for prior in finished.priors
        for _, a in finished.arrays(prior)
        if "logit" in a.prediction
    }
    return SequenceRanking(PREDICTION, every, logits)


def motif_auprc(attribution: NDArray[np.floating], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the (k,) motif-auprc of single sequences, as the metric averages it.

    Args:
        attribution: (k, L) attributions.
        truth: (k, L) position codes.
    """
    size = np.where(truth == NEUTRAL, -1.0, np.abs(attribution.astype(np.float64)))
    scores: NDArray[np.float64] = average_precision(size, np.isin(truth, MOTIFS))
    return scores


def _agreements(finished: FinishedTrials, prior: str) -> NDArray[np.float64] | None:
    """Return the (M,) mean cosine of every two seeds, by sequence; None for fewer than two."""
    total, count = np.zeros(()), 0
    for _, arrays in finished.arrays(prior):
        total, count = total + unit_vectors(arrays.attribution), count + 1
    return mean_cosine(total, count) if count > 1 else None


def unit_vectors(tracks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (..., L) tracks scaled to a norm of one; zero stays zero."""
    norm = np.linalg.norm(tracks.astype(np.float64), axis=-1, keepdims=True)
    units: NDArray[np.float64] = np.divide(tracks, norm, out=np.zeros(tracks.shape), where=norm > 0)
    return units


def mean_cosine(total: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the (...) mean cosine of every two tracks, from the sum of their unit vectors.

    (|sum u|^2 - n) / (n (n - 1)): the square holds every track with itself and all ordered pairs.

    Args:
        total: (..., L) sum of the unit vectors.
        count: number of tracks, at least 2.
    """
    result: NDArray[np.float64] = ((total**2).sum(axis=-1) - count) / (count * (count - 1))
    return result


def chosen_sequences(
    ranking: SequenceRanking, baseline: str, seeds: Sequence[int]
) -> list[ShownSequence]:
    """Return the typical, best and worst sequences, and those where a prior gains or loses most.

    A sequence that is an example of several things is returned once.

    Args:
        ranking: scores of all sequences.
        baseline: prior that gains and losses are measured against.
        seeds: seeds of the ranking, which the rules name.
    """
    by_row: dict[int, list[ShownSequence]] = {}
    for example in (
        typical_sequence(ranking, seeds),
        *_best_and_worst(ranking),
        *_most_different(ranking, baseline),
    ):
        by_row.setdefault(example.row, []).append(example)
    return [
        ShownSequence(row, [n for e in same for n in e.names], [r for e in same for r in e.rules])
        for row, same in by_row.items()
    ]


def typical_sequence(ranking: SequenceRanking, seeds: Sequence[int]) -> ShownSequence:
    """Return the sequence whose mean score is the (lower) median."""
    if not ranking.values:
        return ShownSequence(0, [TYPICAL], ["the first of the attributed test sequences"])
    mean = ranking.mean
    place = int(np.argsort(mean, kind="stable")[(len(mean) - 1) // 2])
    over = f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"
    rule = (
        f"its {ranking.score}, averaged over all priors and {over}, is the median of the "
        f"{counted(len(mean), 'attributed test sequence')}"
        f"{' with a motif' if ranking.score == LOCALISATION else ''}: "
        f"{fixed(float(mean[place]), 2)}"
    )
    return ShownSequence(int(ranking.rows[place]), [TYPICAL], [rule])


def _best_and_worst(ranking: SequenceRanking) -> Iterator[ShownSequence]:
    """Yield the sequences with the largest and the smallest mean score."""
    if ranking.values:
        mean = ranking.mean
        for name, size, place in (
            ("the best", "largest", int(mean.argmax())),
            ("the worst", "smallest", int(mean.argmin())),
        ):
            rule = f"the {size} mean {ranking.score} of all: {fixed(float(mean[place]), 2)}"
            yield ShownSequence(int(ranking.rows[place]), [name], [rule])


def _most_different(ranking: SequenceRanking, baseline: str) -> Iterator[ShownSequence]:
    """Yield the sequences on which some prior gains and loses the most against the baseline."""
    others = [prior for prior in ranking.values if prior != baseline]
    if not others or baseline not in ranking.values or ranking.score == PREDICTION:
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
