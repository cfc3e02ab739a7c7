"""The tracks of the sequences that are shown, under every prior and several seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.data.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from ..settings import ComparedSetting
from .choice import (
    FinishedTrials,
    ShownSequence,
    cases,
    located,
    mean_cosine,
    rank_sequences,
    typical,
    units,
)

SHOWN = 200
"""at most this many bp are shown"""
ASKED_SEEDS = 5
"""so many seeds, the lowest, choose the sequences and are shown: a run may have hundreds"""


@dataclass(frozen=True)
class PriorTracks:
    """One sequence under one prior.

    Attributes:
        of_seed: (L,) attributions by seed, not normalised; without trials that did not finish.
        located: the smallest and the largest motif-auprc of these; None where motifs are unknown.
        agreement: mean cosine of every two of these; NaN for fewer than two.
    """

    of_seed: Mapping[int, NDArray[np.float32]]
    located: tuple[float, float] | None
    agreement: float


@dataclass(frozen=True)
class SequenceExample:
    """A test sequence under every prior and several seeds.

    Attributes:
        case: which, and why.
        tracks: by prior, the baseline first.
        start: first position shown, 0-based.
        stop: one past the last.
    """

    case: ShownSequence
    tracks: Mapping[str, PriorTracks]
    start: int
    stop: int


@dataclass(frozen=True)
class SettingExamples:
    """What is shown of a setting.

    Attributes:
        examples: the typical one first.
        seeds: that are shown, ascending.
        lettered: the one of them that is drawn in letters: the lowest that most priors finished.
        missing: priors without a finished trial of that seed.
        passed_over: seeds below the largest of these that not all priors finished.
    """

    examples: Sequence[SequenceExample]
    seeds: Sequence[int]
    lettered: int
    missing: Sequence[str]
    passed_over: Sequence[int]


def typical_example(run: Run, setting: ComparedSetting) -> SettingExamples | None:
    """The typical sequence of a setting alone; None if no trial finished."""
    return _examples(run, setting, only_typical=True)


def all_examples(run: Run, setting: ComparedSetting) -> SettingExamples | None:
    """The typical sequence of a setting, and its extremes; None if no trial finished."""
    return _examples(run, setting, only_typical=False)


def _examples(run: Run, setting: ComparedSetting, *, only_typical: bool) -> SettingExamples | None:
    rows = setting.rows[setting.rows["status"] == DONE].drop_duplicates("trial")
    found = zip(rows["prior"], rows["seed"], rows["trial"], strict=True)
    done = {(str(prior), int(seed)): str(trial) for prior, seed, trial in found}
    dataset = run.datasets.get(setting.key)
    if dataset is None or not done or not len(dataset.attributed):
        return None
    seeds = _asked(setting, set(done))
    in_order = sorted(done, key=lambda key: (setting.priors.index(key[0]), key[1]))
    finished = FinishedTrials(run, {key: done[key] for key in in_order}, seeds)
    ranking = rank_sequences(finished, dataset)
    chosen = [typical(ranking, seeds)] if only_typical else cases(ranking, setting.priors[0], seeds)
    lettered = max(seeds, key=lambda s: (sum((p, s) in done for p in setting.priors), -s))
    return SettingExamples(
        [
            SequenceExample(case, tracks, *_stretch(dataset, case.row, tracks))
            for case, tracks in zip(
                chosen, _tracks(finished, setting, dataset, chosen), strict=True
            )
        ],
        seeds,
        lettered,
        [prior for prior in setting.priors if (prior, lettered) not in done],
        [seed for seed in setting.seeds if seed < seeds[-1] and seed not in seeds],
    )


def _asked(setting: ComparedSetting, done: Collection[tuple[str, int]]) -> list[int]:
    """The lowest seeds that all priors finished, so that they are compared on the same ones.

    All seeds that some prior finished, where there are no two of these.
    """
    of_all = [
        seed for seed in setting.seeds if all((prior, seed) in done for prior in setting.priors)
    ]
    some = sorted({seed for _, seed in done})
    return (of_all if len(of_all) > 1 else some)[:ASKED_SEEDS]


def _tracks(
    finished: FinishedTrials,
    setting: ComparedSetting,
    dataset: Dataset,
    chosen: Sequence[ShownSequence],
) -> list[dict[str, PriorTracks]]:
    """The tracks of every case, by prior."""
    rows = [case.row for case in chosen]
    found: list[dict[str, PriorTracks]] = [{} for _ in chosen]
    for prior in setting.priors:
        # a list of rows makes copies: views would keep the attributions of all sequences
        stored = {seed: arrays.attribution[rows] for seed, arrays in finished.arrays(prior)}
        for i, row in enumerate(rows):
            truth = dataset.truth[row] if dataset.truth is not None else None
            found[i][prior] = _described({s: some[i] for s, some in stored.items()}, truth)
    return found


def _described(
    of_seed: Mapping[int, NDArray[np.float32]], truth: NDArray[np.uint8] | None
) -> PriorTracks:
    every = np.array(list(of_seed.values()))
    scores = None
    if len(every) and truth is not None and np.isin(truth, MOTIFS).any():
        values = located(every, np.broadcast_to(truth, every.shape))
        scores = (float(values.min()), float(values.max()))
    agreement = float("nan")
    if len(every) > 1:
        agreement = float(mean_cosine(units(every).sum(axis=0), len(every)))
    return PriorTracks(of_seed, scores, agreement)


def _stretch(dataset: Dataset, row: int, tracks: Mapping[str, PriorTracks]) -> tuple[int, int]:
    """The whole window, or ``SHOWN`` bp around most motifs or, without one, most attribution."""
    if dataset.length <= SHOWN:
        return 0, dataset.length
    weight = np.zeros(dataset.length)
    if dataset.truth is not None:
        weight += np.isin(dataset.truth[row], MOTIFS)
    if not weight.any():
        for of_prior in tracks.values():
            for track in of_prior.of_seed.values():
                weight += np.abs(normalised(track))
    # what is near the middle counts more; rounded, so that equals are equal
    near = np.convolve(weight, np.bartlett(SHOWN + 2)[1:-1], mode="valid").round(9)
    best = np.flatnonzero(near == near.max())
    start = int(best[(len(best) - 1) // 2])
    return start, start + SHOWN


def normalised(track: NDArray[np.float32]) -> NDArray[np.float64]:
    """A track over its largest absolute value; zero stays zero."""
    largest = float(np.abs(track).max(initial=0))
    return track.astype(np.float64) / (largest or 1.0)
