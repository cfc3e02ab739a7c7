"""Simulated studies whose truth is known: are verdicts false, do intervals hold, is power true?

Scores are simulated, not trained. Everything is deterministic. The functions take the number of
studies, so that the tests run a small version of each; `make calibrate` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import t as student

from priorbench.statistics.agreement import agreement_pseudo_values
from priorbench.statistics.confidence import (
    SIGN_FLIP_FROM,
    Interval,
    bca_interval,
    mean_interval,
    t_interval,
)
from priorbench.statistics.effects import IMPROVEMENT_FROM, improvement_interval
from priorbench.statistics.multiplicity import HOLM, adjust
from priorbench.statistics.power import (
    ClaimKind,
    cautious_spread,
    needed_runs,
    sign_flip_power,
    smallest_effect,
)
from priorbench.statistics.several_datasets import (
    blocked_interval,
    interquartile_difference,
    mean_improvement,
    mixed_model,
)
from priorbench.statistics.signflip import (
    sign_flip_bounds,
    sign_flip_greater_p,
    sign_flip_greater_ps,
    sign_flip_p,
    sign_flip_ps,
)
from priorbench.statistics.verdicts import ALPHA, Evidence, Judgement, judge

STUDIES = 1_000
SHAPES = ("normal", "heavy tails", "skewed")
CORRELATIONS = (0.0, 0.7)
SEEDS = (5, 8, 20)
DATASETS = (1, 6)
PRIORS = 3
MARGIN = 1.0
"""in standard deviations of a score; what matters in simulation"""


@dataclass(frozen=True)
class Cell:
    """A kind of study.

    Attributes:
        shape: of the scores: normal, Student's t with 3 degrees of freedom, or log-normal.
        correlation: of the normal scores of a seed that the shapes are made of.
        seeds: a dataset.
        datasets: how many.
    """

    shape: str
    correlation: float
    seeds: int
    datasets: int = 1


def scores(
    cell: Cell, arms: int, studies: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """(studies, datasets, arms, seeds) scores of arms that do not differ, with deviation 1.

    Datasets have levels of their own, and seeds too, which is what correlates the arms. Heavy
    tails are scaled by their true deviation, sqrt(3).
    """
    shape = (studies, cell.datasets, arms, cell.seeds)
    shared = generator.standard_normal((studies, cell.datasets, 1, cell.seeds))
    own = generator.standard_normal(shape)
    normal = np.sqrt(cell.correlation) * shared + np.sqrt(1 - cell.correlation) * own
    levels = 5 * generator.standard_normal((studies, cell.datasets, 1, 1))
    if cell.shape == "heavy tails":
        return student.ppf(ndtr(normal), 3) / np.sqrt(3) + levels
    if cell.shape == "skewed":
        skewed = np.exp(normal)
        return (skewed - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e) + levels
    return normal + levels


def cells(seeds: Sequence[int] = SEEDS, datasets: Sequence[int] = DATASETS) -> Iterator[Cell]:
    """All kinds of study."""
    for count, n, shape, correlation in product(datasets, seeds, SHAPES, CORRELATIONS):
        yield Cell(shape, correlation, n, count)


def _generator(purpose: int, cell: Cell) -> np.random.Generator:
    kind = (SHAPES.index(cell.shape), round(100 * cell.correlation), cell.seeds, cell.datasets)
    return np.random.default_rng([purpose, *kind])


# --- false verdicts ---------------------------------------------------------------------------


def judged(gains: NDArray[np.float64]) -> Iterator[list[Judgement]]:
    """Every study's family: its priors, with the margin, corrected by Holm's method.

    Args:
        gains: (studies, priors, pairs) differences to the baseline; pairs of all datasets.
    """
    shape = gains.shape[:2]
    flat = gains.reshape(-1, gains.shape[2])
    p = sign_flip_ps(flat).reshape(shape)
    down = sign_flip_greater_ps(flat + MARGIN).reshape(shape)
    up = sign_flip_greater_ps(MARGIN - flat).reshape(shape)
    columns = (gains.mean(axis=2), p, down, np.maximum(down, up))
    for study in zip(*columns, strict=True):
        family = [Evidence(*map(float, one)) for one in zip(*study, strict=True)]
        yield judge(family, HOLM)


@dataclass(frozen=True)
class FalseVerdicts:
    """How often a family has a false verdict, at the truth where it is likeliest.

    Attributes:
        cell: kind of study.
        different: ``better`` or ``worse`` where nothing differs.
        equivalent: equivalence shown where every prior gains exactly the margin.
        noninferior: non-inferiority shown where every prior loses exactly the margin. Where nothing
            differs it would be true.

    The last two count what the tests show, also where the verdict is ``better`` or ``worse``.
    """

    cell: Cell
    different: float
    equivalent: float
    noninferior: float

    @property
    def worst(self) -> float:
        """The largest of them."""
        return max(self.different, self.equivalent, self.noninferior)


def false_verdicts(cell: Cell, studies: int) -> FalseVerdicts:
    """Rates over simulated studies of three priors that are all the same."""
    generator = _generator(1, cell)
    drawn = scores(cell, PRIORS + 1, studies, generator).transpose(0, 2, 1, 3)
    gains = (drawn[:, 1:] - drawn[:, :1]).reshape(studies, PRIORS, -1)

    def rate(effect: float, column: str) -> float:
        families = judged(gains + effect)
        return float(
            np.mean([any(getattr(one, column) <= ALPHA for one in family) for family in families])
        )

    return FalseVerdicts(
        cell,
        rate(0.0, "p_adjusted"),
        rate(MARGIN, "p_equivalent_adjusted"),
        rate(-MARGIN, "p_noninferior_adjusted"),
    )


# --- power ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """How often a planted effect is found, and how often it was predicted to be.

    Attributes:
        claim: what was to be shown, in words.
        seeds: pairs.
        effect: in standard deviations of the differences.
        tests: in the family.
        predicted: power.
        found: share of studies.
    """

    claim: str
    seeds: int
    effect: float
    tests: int
    predicted: float
    found: float


def planted(n: int, power: float, tests: int, *, studies: int) -> list[Found]:
    """A difference and a non-inferiority at the effect that n seeds should see with that power.

    In a family the other tests are of nothing: Holm's first step, for which power is predicted.
    """
    generator = np.random.default_rng([2, n, tests])
    found = []
    for name, sides in (("difference", 2), ("non-inferiority", 1)):
        claim = ClaimKind(sides=sides, tests=tests)
        effect = smallest_effect(n, power, claim)
        if not np.isfinite(effect):
            continue
        test = sign_flip_p if sides == 2 else sign_flip_greater_p
        draws = generator.standard_normal((studies, n)) + effect
        hits = np.mean([adjust([test(d), *[1.0] * (tests - 1)], HOLM)[0] <= ALPHA for d in draws])
        predicted = sign_flip_power(effect, n, claim)
        found.append(Found(name, n, effect, tests, predicted, float(hits)))
    return found


def piloted(studies: int) -> list[Found]:
    """The way users go: a pilot of 8 seeds, the seeds that it says are needed, a new study.

    The effect is one standard deviation of the differences. Pilots estimate the deviation, so
    what is found is an average over lucky and unlucky pilots; ``cautious`` plans with its upper
    limit.
    """
    generator = np.random.default_rng(3)
    claim, found = ClaimKind(), []
    for name in ("as estimated", "cautious"):
        counts, hits = [], []
        for _ in range(studies):
            spread = float(generator.standard_normal(8).std(ddof=1))
            spread = cautious_spread(spread, 8) if name == "cautious" else spread
            n = needed_runs(round(20 / spread) / 20, 0.8, claim) or 1_000
            counts.append(n)
            hits.append(sign_flip_p(generator.standard_normal(n) + 1) <= ALPHA)
        found.append(Found(name, int(np.median(counts)), 1.0, 1, 0.8, float(np.mean(hits))))
    return found


# --- intervals --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """How often an interval at 95% holds the truth.

    Attributes:
        interval: its name.
        cell: kind of study.
        offered: whether reports offer it for so many seeds.
        covered: share of studies.
        studies: how many.
    """

    interval: str
    cell: Cell
    offered: bool
    covered: float
    studies: int


Interval = Callable[[NDArray[np.float64]], Interval]
MEAN_INTERVALS: dict[str, tuple[Interval, Callable[[int], bool]]] = {
    "sign-flip": (
        lambda d: Interval(*sign_flip_bounds(d, 1 - 0.95), "sign-flip"),
        lambda n: n >= SIGN_FLIP_FROM,
    ),
    "paired t": (t_interval, lambda n: n < SIGN_FLIP_FROM),
    "BCa bootstrap": (bca_interval, lambda n: False),
}


def mean_coverage(cell: Cell, studies: int, *, bootstraps: int) -> list[Coverage]:
    """Intervals of the mean difference between two arms of the same shape."""
    generator = _generator(4, cell)
    drawn = scores(cell, 2, studies, generator)[:, 0]
    return _coverage(drawn[:, 1] - drawn[:, 0], cell, bootstraps)


def skewed_coverage(n: int, sigma: float, studies: int, *, bootstraps: int) -> list[Coverage]:
    """The same where the differences themselves are skewed: log-normal with deviation sigma of log.

    So they are if a prior changes the shape of the scores, not only their place. No interval of the
    mean that was tried covers 95% of such with few seeds.
    """
    generator = np.random.default_rng([5, n, round(10 * sigma)])
    drawn = np.exp(sigma * generator.standard_normal((studies, n))) - np.exp(sigma**2 / 2)
    return _coverage(drawn, Cell(f"log-normal, sigma {sigma:g}", 0.0, n), bootstraps)


@dataclass(frozen=True)
class RareRuns:
    """What tests say of a prior that loses much in a few runs, as much on average as the margin.

    Attributes:
        seeds: pairs.
        share: of the runs that are bad.
        loss: of a bad run, in standard deviations of the differences.
        noninferior: share of studies that show non-inferiority, falsely; one test, not corrected.
        covered: share of the intervals of the mean difference that hold the truth.
    """

    seeds: int
    share: float
    loss: float
    noninferior: float
    covered: float


def rare_bad_runs(n: int, share: float, loss: float, studies: int) -> RareRuns:
    """Normal differences of which a share is lower by ``loss``; the mean loss is the margin."""
    generator = np.random.default_rng([11, n, round(100 * share)])
    bad = generator.random((studies, n)) < share
    beyond = generator.standard_normal((studies, n)) - loss * bad + share * loss
    shown = float(np.mean(sign_flip_greater_ps(beyond) <= ALPHA))
    intervals = [mean_interval(one) for one in beyond]
    covered = float(np.mean([one.low <= 0 <= one.high for one in intervals]))
    return RareRuns(n, share, loss, shown, covered)


def _coverage(drawn: NDArray[np.float64], cell: Cell, bootstraps: int) -> list[Coverage]:
    found = []
    for name, (interval, offered) in MEAN_INTERVALS.items():
        some = drawn[:bootstraps] if name == "BCa bootstrap" else drawn
        held = [(one.low <= 0 <= one.high) for one in map(interval, some)]
        covered = float(np.mean(held))
        found.append(Coverage(name, cell, offered(cell.seeds), covered, len(held)))
    return found


def improvement_coverage(cell: Cell, shift: float, studies: int) -> Coverage:
    """The interval of the probability of improvement, where the prior gains ``shift``."""
    generator = _generator(6, cell)
    truth = _superiority(cell, shift, generator)
    drawn = scores(cell, 2, studies, generator)[:, 0]
    held = []
    for baseline, prior in drawn:
        found = improvement_interval(baseline, prior + shift)
        held.append(found.low <= truth <= found.high)
    told = replace(cell, shape=f"{cell.shape}, truth {truth:.2f}")
    offered = cell.seeds >= IMPROVEMENT_FROM
    return Coverage("probability of improvement", told, offered, float(np.mean(held)), studies)


@dataclass(frozen=True)
class AttributionArms:
    """Two arms of attributions of 100 positions: a signal each, and noise half shared by a seed.

    Attributes:
        seeds: an arm.
        heavy: whether trials differ in how noisy they are.
        gain: of the prior's signal over the baseline's; above 1 its trials agree better.
        cosine: of the two signals; below 1 the arms attribute different things.
    """

    seeds: int
    heavy: bool
    gain: float = 1.0
    cosine: float = 1.0

    @property
    def told(self) -> str:
        """The kind in words."""
        noise = "noise differs by trial" if self.heavy else "noise alike"
        return f"{noise}, gain {self.gain:g}, cosine {self.cosine:g}"

    def generator(self, purpose: int) -> np.random.Generator:
        """Draws of this kind and purpose."""
        kind = (self.seeds, self.heavy, round(100 * self.gain), round(100 * self.cosine))
        return np.random.default_rng([purpose, *map(int, kind)])

    def signals(self, generator: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
        """The two arms' signals, of length 10 but for the gain."""
        one, other = np.linalg.qr(generator.standard_normal((100, 2)))[0].T
        second = self.cosine * one + np.sqrt(1 - self.cosine**2) * other
        return 10 * one, 10 * self.gain * second

    def agreement(
        self, count: int, signals: Sequence[NDArray[np.float64]], generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """(2 count, 2 count) cosines between the trials of ``count`` seeds."""
        shared = generator.standard_normal((count, 100))
        arms = []
        for signal in signals:
            size = generator.gamma(2, 1, (count, 1)) if self.heavy else 1.5
            own = generator.standard_normal((count, 100))
            track = signal + size * np.sqrt(0.5) * (shared + own)
            arms.append(track / np.linalg.norm(track, axis=1, keepdims=True))
        both = np.concatenate(arms)
        return both @ both.T


def agreement_coverage(kind: AttributionArms, studies: int) -> Coverage:
    """The interval of a difference in agreement between attributions."""
    generator = kind.generator(7)
    signals = kind.signals(generator)
    truth = agreement_pseudo_values(kind.agreement(2_000, signals, generator)).mean()
    held = []
    for _ in range(studies):
        pseudo = agreement_pseudo_values(kind.agreement(kind.seeds, signals, generator))
        low, high = sign_flip_bounds(pseudo, 1 - 0.95)
        held.append(low <= truth <= high)
    cell = Cell(kind.told, 0.5, kind.seeds)
    offered = kind.seeds >= SIGN_FLIP_FROM
    name = "agreement, sign-flip of pseudo-values"
    return Coverage(name, cell, offered, float(np.mean(held)), studies)


@dataclass(frozen=True)
class FalseAgreement:
    """How often two arms that agree equally well are told apart.

    Attributes:
        told: kind of study.
        seeds: an arm and dataset.
        datasets: how many.
        different: share of studies with p of at most .05.
        studies: how many.
    """

    told: str
    seeds: int
    datasets: int
    different: float
    studies: int


def false_agreement(kind: AttributionArms, studies: int, datasets: int = 1) -> FalseAgreement:
    """False verdicts on stability; ``kind`` has a gain of 1, so that nothing differs in it."""
    generator = kind.generator(10)
    signals = kind.signals(generator)
    rows = [
        np.concatenate(
            [
                agreement_pseudo_values(kind.agreement(kind.seeds, signals, generator))
                for _ in range(datasets)
            ]
        )
        for _ in range(studies)
    ]
    different = float(np.mean(sign_flip_ps(np.stack(rows)) <= ALPHA))
    return FalseAgreement(kind.told, kind.seeds, datasets, different, studies)


def across_coverage(cell: Cell, studies: int, *, models: int, shift: float = 0.0) -> list[Coverage]:
    """Intervals over several datasets: of the mean, the mixed model, and the two bootstraps.

    Args:
        cell: kind of study.
        studies: how many.
        models: in how many of them the mixed model is fitted.
        shift: what the prior gains, in standard deviations of a score.
    """
    generator = _generator(8, cell)
    superior = _superiority(cell, shift, generator)
    held: dict[str, list[bool]] = {}
    for i, one in enumerate(scores(cell, 2, studies, generator)):
        arms = [pairs + np.array([[0.0], [shift]]) for pairs in one]
        middle, better = interquartile_difference(arms), mean_improvement(arms)
        mean = blocked_interval([pairs[1] - pairs[0] for pairs in arms])
        found = {
            "mean over datasets": (mean.low, mean.high, shift),
            "interquartile mean": (middle.interval.low, middle.interval.high, shift),
            "improvement over datasets": (better.interval.low, better.interval.high, superior),
        }
        if i < models:
            mixed = mixed_model(arms)
            found["mixed model"] = (mixed.low, mixed.high, shift)
        for name, (low, high, truth) in found.items():
            if np.isfinite(low):
                held.setdefault(name, []).append(low <= truth <= high)
    told = replace(cell, shape=f"{cell.shape}, gain {shift:g}")
    return [Coverage(name, told, True, float(np.mean(of)), len(of)) for name, of in held.items()]


def _superiority(cell: Cell, shift: float, generator: np.random.Generator) -> float:
    """P(a run of the prior is above one of the baseline), if the prior gains ``shift``."""
    many = scores(Cell(cell.shape, cell.correlation, 20_000), 2, 1, generator)[0, 0]
    order = np.sort(many[0])
    return float(np.searchsorted(order, many[1] + shift).mean() / len(order))


# --- scores of real trainings -----------------------------------------------------------------


def split_null(values: NDArray[np.float64], studies: int) -> float:
    """Share of random splits of one arm's trainings into two whose difference is significant.

    Args:
        values: (n,) one metric of n trainings that differ in their seed alone.
        studies: how many splits.
    """
    generator = np.random.default_rng(9)
    half = len(values) // 2
    order = np.stack([generator.permutation(len(values)) for _ in range(studies)])
    gains = values[order[:, :half]] - values[order[:, half : 2 * half]]
    return float(np.mean(sign_flip_ps(gains) <= ALPHA))
