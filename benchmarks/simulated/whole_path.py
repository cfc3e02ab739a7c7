"""Simulated results of studies, carried through everything that a run's results go through.

Pairs, comparisons, comparisons over datasets and the answer are made by the functions that a run
calls; what is simulated is results.csv and the agreement of every two trials.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from unittest import mock

import numpy as np
import pandas as pd

from priorbench.answer.run_answer import RunAnswer, answer_run
from priorbench.comparison import over_datasets
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.components.metric import Metric
from priorbench.evaluation.scoring import ORACLE, RANDOM
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.statistics.agreement import leave_one_out
from priorbench.storage.run_directory import DONE
from priorbench.study.declared import DeclaredClaims
from priorbench.study.study import BASELINE
from priorbench.study.trial import EVALUATE, REFERENCE

from .laws import NORMAL, TIES, UNEQUAL, Array, shaped


@dataclass(frozen=True)
class AxisScale:
    """A metric with the scores of chance, of the baseline and of the oracle."""

    metric: str
    floor: float
    level: float
    ceiling: float

    @property
    def margin(self) -> float:
        """Expected margin, in units of the metric, by the default claims."""
        margin = DeclaredClaims().margin(METRICS[self.metric], self.floor, self.ceiling)
        assert margin is not None
        return float(margin.allowance(np.array([self.level]))[0])


_STABLE = next(name for name in ("seed-cosine-corrected", "seed-cosine") if name in METRICS)
AXES = (
    AxisScale("auroc", 0.5, 0.9, 1.0),
    AxisScale("motif-auprc", 0.1, 0.5, 0.9),
    AxisScale(_STABLE, 0.0, 0.6, 1.0),
    AxisScale("mutagenesis-correlation", 0.0, 0.5, 1.0),
)
"""primary metrics, one an axis; that of stability is a mean over pairs of trials"""
STABILITY = 2
"""place of the axis whose tests are of pseudo-values"""
GAIN = 2.0
"""a true gain, in standard deviations of the paired differences"""
SHARED = 0.5
"""correlation of the runs of a seed, and of the axes of a trial, as normal values"""
PAIR_NOISE = 0.25
"""deviation of what only two trials share in their agreement, in deviations of a trial's own"""
TASK, NETWORK, ATTRIBUTION = "binary", "three-conv", "input-x-gradient"
NOTHING, GAINS, LOSSES = "nothing", "half gain", "half lose the margin"
HARM, TEMPTATION = "gain and harm", "three gains and harm"
TRUTHS = (NOTHING, GAINS, LOSSES, HARM)


@dataclass(frozen=True)
class StudyKind:
    """A kind of simulated study.

    Attributes:
        truth: what truly differs. ``nothing``; ``half gain``: half of the cells of priors and axes
            gain GAIN; ``half lose the margin``: half lose exactly the margin; ``gain and harm``:
            every prior gains GAIN on one axis and loses ``harm`` margins on another; ``three gains
            and harm``: the same, but that it gains on all the others.
        law: law of a run's scores.
        seeds: number of seeds.
        datasets: number of datasets.
        priors: number of priors beside the baseline.
        margin: smallest loss that matters, in standard deviations of the paired differences.
        harm: true loss of a harmful prior, in margins.
    """

    truth: str
    law: str = NORMAL
    seeds: int = 8
    datasets: int = 1
    priors: int = 3
    margin: float = 1.0
    harm: float = 1.5

    @property
    def effects(self) -> Array:
        """(priors, axes) true gains in standard deviations of the paired differences."""
        prior, axis = np.indices((self.priors, len(AXES)))
        half = (prior + axis) % 2 == 0
        if self.truth == GAINS:
            return np.where(half, GAIN, 0.0)
        if self.truth == LOSSES:
            return np.where(half, -self.margin, 0.0)
        if self.truth in (HARM, TEMPTATION):
            gaining, losing = ((prior + axis + shift) % len(AXES) == 0 for shift in (0, 1))
            others = np.where(gaining | (self.truth == TEMPTATION), GAIN, 0.0)
            return np.where(losing, -self.harm * self.margin, others)
        return np.zeros(prior.shape)

    @property
    def units(self) -> Array:
        """(axes,) standard deviation of the paired differences in units of the metric."""
        return np.array([axis.margin for axis in AXES]) / self.margin

    def generator(self) -> np.random.Generator:
        """Return a generator of its own for this kind of study."""
        words = (self.truth, self.law, self.seeds, self.datasets, self.priors)
        text = f"{words} {self.margin:g} {self.harm:g}"
        return np.random.default_rng(list(text.encode()))


def scores(kind: StudyKind, studies: int, generator: np.random.Generator) -> Array:
    """Return (studies, datasets, axes, arms, seeds) scores in units of the metric, baseline first.

    A seed moves all arms alike; what is left is each trial's own, with the law of the kind, and
    correlated between the axes of a trial. With the law ``ties`` scores are rounded to the
    standard deviation of what is a trial's own.
    """
    shape = (studies, kind.datasets, len(AXES), 1 + kind.priors, kind.seeds)
    common = generator.standard_normal((*shape[:2], 1, *shape[3:]))
    normal = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * generator.standard_normal(shape)
    own = shaped(normal, kind.law)
    # rounding adds a twelfth of a variance to each of the two trials of a pair
    unit = 1 / np.sqrt(2 + 2 / 12 * (kind.law == TIES))
    if kind.law == UNEQUAL:
        own[..., 1:, :], own[..., :1, :] = -shaped(normal[..., 1:, :], "skewed"), 0.0
        unit = 1.0
    moved = own + generator.standard_normal((*shape[:3], 1, kind.seeds))
    moved[..., 1:, :] += kind.effects.T[:, :, None] / unit
    levels = np.array([axis.level for axis in AXES])[:, None, None]
    steps = unit * kind.units[:, None, None]
    offset = levels / steps + generator.standard_normal((*shape[:3], 1, 1))
    moved = np.rint(moved + offset) - offset if kind.law == TIES else moved
    return levels + steps * moved


class TrialAgreement:
    """Agreement of every two trials, whose values of a trial are its scores on stability.

    The agreement of two trials is the mean of their scores, and noise that only these two share.
    """

    def __init__(self, values: Array, deviation: float, generator: np.random.Generator) -> None:
        """Draw the noise of every two trials of a dataset.

        Args:
            values: (datasets, arms, seeds) scores of trials.
            deviation: standard deviation of the noise.
            generator: source of the noise.
        """
        flat = values.reshape(len(values), -1)
        self.trials = flat.shape[1]
        noise = np.triu(generator.standard_normal((*flat.shape, self.trials)), 1)
        means = (flat[:, :, None] + flat[:, None]) / 2
        self.matrices = means + deviation * (noise + noise.swapaxes(1, 2))

    def __call__(self, trials: pd.DataFrame, metric: Metric, spec: str) -> Array:
        """Return the agreement of an arm's trials, whose ids are their numbers, with its others."""
        dataset, place = np.divmod(trials["trial"].to_numpy(dtype=np.int64), self.trials)
        return leave_one_out(self.matrices[dataset[0]][np.ix_(place, place)])


def agreement_of_scores(
    kind: StudyKind, values: Array, generator: np.random.Generator
) -> TrialAgreement:
    """Return the agreement of trials with these (datasets, axes, arms, seeds) scores."""
    noise = PAIR_NOISE * kind.units[STABILITY] / np.sqrt(2)
    return TrialAgreement(values[:, STABILITY], noise, generator)


CLAIMS = DeclaredClaims(
    primary={TASK: {METRICS[axis.metric].axis: axis.metric for axis in AXES}},
    attribution=ATTRIBUTION,
)


@lru_cache(maxsize=8)
def _rows(datasets: int, arms: int, seeds: int) -> tuple[pd.DataFrame, int]:
    """Return results.csv without values, and how many of its rows are of trials.

    These come first: dataset by dataset, in it axis by axis, arm by arm and seed by seed.
    """
    rows = []
    for dataset, axis, arm, seed in np.ndindex(datasets, len(AXES), arms, seeds):
        metric = METRICS[AXES[axis].metric]
        trial = str((dataset * arms + arm) * seeds + seed)
        prior, weight = (f"prior-{arm}", 1.0) if arm else (BASELINE, np.nan)
        about = (trial, EVALUATE, DONE, TASK, f"data-{dataset}", NETWORK, prior, weight, seed)
        spec = ATTRIBUTION if metric.of_attribution else ""
        rows.append((*about, spec, metric.name, metric.axis, np.nan, metric.higher_is_better))
    count = len(rows)
    for dataset, axis in np.ndindex(datasets, len(AXES)):
        metric = METRICS[AXES[axis].metric]
        for name, value in ((RANDOM, AXES[axis].floor), (ORACLE, AXES[axis].ceiling)):
            about = (np.nan, REFERENCE, DONE, TASK, f"data-{dataset}", NETWORK, name, np.nan, None)
            rows.append((*about, "", metric.name, metric.axis, value, metric.higher_is_better))
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype({"seed": "Int64"}), count


def results_table(values: Array) -> pd.DataFrame:
    """Return results.csv of (datasets, axes, arms, seeds) scores."""
    template, count = _rows(values.shape[0], *values.shape[2:])
    column = template["value"].to_numpy(dtype=float).copy()
    column[:count] = values.reshape(-1)
    return template.assign(value=column)


@dataclass(frozen=True)
class CarriedOut:
    """What a run writes of one study: comparisons.csv, across.csv and the answer."""

    comparisons: pd.DataFrame
    across: pd.DataFrame
    answer: RunAnswer


def _undescribed(runs: object) -> dict[str, float]:
    return {}


def carried_out(values: Array, agreement: TrialAgreement, *, described: bool = False) -> CarriedOut:
    """Return what a run makes of (datasets, axes, arms, seeds) scores.

    Mixed models and bootstraps over datasets are left out unless it is ``described``.
    """
    claims = CLAIMS
    results = results_table(values)
    pairs = paired_runs(results, agreement, claims.baseline)
    comparisons = compare_pairs(pairs, claims)
    # they only describe, no verdict and no advice reads them, and they take most of the time
    with nullcontext() if described else mock.patch.object(over_datasets, "_models", _undescribed):
        across = over_datasets.compare_across(pairs, claims)
    answer = answer_run(results, comparisons, across, claims=claims, networks={}, warnings={})
    return CarriedOut(comparisons, across, answer)


def all_carried_out(kind: StudyKind, studies: int) -> Iterator[CarriedOut]:
    """Yield what a run makes of each of so many studies of a kind."""
    generator = kind.generator()
    for values in scores(kind, studies, generator):
        yield carried_out(values, agreement_of_scores(kind, values, generator))
