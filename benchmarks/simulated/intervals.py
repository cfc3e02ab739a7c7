"""How often intervals of single comparisons, without correction, hold the truth."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from measuring import Row

from priorbench.statistics import confidence
from priorbench.statistics import several_datasets as several
from priorbench.statistics import signflip as flips
from priorbench.statistics.confidence import SIGN_FLIP_FROM, Interval
from priorbench.statistics.effects import IMPROVEMENT_FROM, improvement_interval
from priorbench.statistics.families.verdicts import ALPHA

from .laws import CORRELATIONS, NORMAL, SHAPES, Array, AttributionArms, Cell, null_scores

CAUTIOUS = "improvement over datasets"
"""an interval that may cover more than 97%: too wide where runs of a seed are all but equal"""


def coverage(
    name: str,
    about: Row,
    intervals: Iterable[Interval],
    truth: float,
    *,
    offered: bool = True,
) -> Row:
    """Return how often a 95% interval holds the truth, where there is one."""
    held = [i.low <= truth <= i.high for i in intervals if not np.isnan(i.low)]
    row = {"interval": name, **about, "offered": "yes" if offered else "no"}
    return {**row, "studies": len(held), "covered": np.mean(held)}


def sign_flip_interval(differences: Array) -> Interval:
    return Interval(*flips.sign_flip_bounds(differences, 1 - 0.95), "sign-flip")


def _mean_intervals(drawn: Array, about: Row, bootstraps: int) -> Iterator[Row]:
    few = drawn.shape[1] < SIGN_FLIP_FROM
    yield coverage("sign-flip", about, map(sign_flip_interval, drawn), 0, offered=not few)
    yield coverage("paired t", about, map(confidence.t_interval, drawn), 0, offered=few)
    resampled = map(confidence.bca_interval, drawn[:bootstraps])
    yield coverage("BCa bootstrap", about, resampled, 0, offered=False)


def mean_coverage(cell: Cell, studies: int, *, bootstraps: int) -> Iterator[Row]:
    """Return the coverage of intervals of the mean difference between two arms of one shape."""
    drawn = null_scores(cell, 2, studies, cell.generator(4))[:, 0]
    return _mean_intervals(drawn[:, 1] - drawn[:, 0], cell.row(), bootstraps)


def skewed_coverage(sigma: float, n: int, studies: int, *, bootstraps: int) -> Iterator[Row]:
    """Return the coverage where differences are log-normal with deviation sigma of the logarithm.

    So they are if a prior changes the shape of the scores, not only their place.
    """
    generator = np.random.default_rng([5, n, round(10 * sigma)])
    drawn = np.exp(sigma * generator.standard_normal((studies, n))) - np.exp(sigma**2 / 2)
    about = {"seeds": n, "differences": f"log-normal, sigma {sigma:g}"}
    for row in _mean_intervals(drawn, about, bootstraps):
        yield {column: row[column] for column in (*about, "interval", "covered")}


def rare_bad_runs(n: int, share: float, loss: float, studies: int) -> Row:
    """Return how often non-inferiority is shown, falsely, of a prior that loses much in few runs.

    Differences are normal but for a share that is lower by ``loss`` standard deviations; the mean
    loss is the margin. One test, not corrected.
    """
    generator = np.random.default_rng([11, n, round(100 * share)])
    bad = generator.random((studies, n)) < share
    beyond = generator.standard_normal((studies, n)) - loss * bad + share * loss
    row = {"seeds": n, "bad runs": share, "their loss (sd)": loss}
    row["non-inferior"] = np.mean(flips.sign_flip_greater_ps(beyond) <= ALPHA)
    intervals = map(confidence.mean_interval, beyond)
    return row | {"interval covers": coverage("", {}, intervals, 0)["covered"]}


def improvement_coverage(cell: Cell, shift: float, studies: int) -> Row:
    """Return the coverage of the probability of improvement, where the prior gains ``shift``."""
    generator = cell.generator(6)
    truth = _superiority(cell, shift, generator)
    drawn = null_scores(cell, 2, studies, generator)[:, 0]
    intervals = (improvement_interval(baseline, prior + shift) for baseline, prior in drawn)
    offered, about = cell.seeds >= IMPROVEMENT_FROM, cell.row(f", truth {truth:.2f}")
    return coverage("probability of improvement", about, intervals, truth, offered=offered)


def _superiority(cell: Cell, shift: float, generator: np.random.Generator) -> float:
    """Return P(a run of the prior is above one of the baseline), if the prior gains ``shift``."""
    many = null_scores(Cell(cell.shape, cell.correlation, 20_000), 2, 1, generator)[0, 0]
    return float(np.searchsorted(np.sort(many[0]), many[1] + shift).mean() / many.shape[1])


def agreement_coverage(arms: AttributionArms, studies: int) -> Row:
    """Return the coverage of the interval of a difference in agreement between attributions."""
    truth, n = arms.pseudo_values(2_000).mean(), arms.seeds
    intervals = (sign_flip_interval(arms.pseudo_values(n)) for _ in range(studies))
    about = {"datasets": 1, "seeds": n, "scores": arms.text, "r": 0.5}
    name, offered = "agreement, sign-flip of pseudo-values", n >= SIGN_FLIP_FROM
    return coverage(name, about, intervals, truth, offered=offered)


def false_agreement(arms: AttributionArms, studies: int, datasets: int = 1) -> Row:
    """Return how often arms of the same gain, which agree equally well, are called different."""
    shape = (studies, datasets * arms.seeds)
    drawn = [arms.pseudo_values(arms.seeds) for _ in range(studies * datasets)]
    different = np.mean(flips.sign_flip_ps(np.reshape(drawn, shape)) <= ALPHA)
    about = {"datasets": datasets, "seeds": arms.seeds, "attributions": arms.text}
    return {**about, "studies": studies, "better or worse": different}


def across_coverage(cell: Cell, studies: int, *, models: int, shift: float = 0.0) -> Iterator[Row]:
    """Return the coverage of intervals over several datasets, where the prior gains ``shift``.

    The mixed model is fitted in the first ``models`` studies.
    """
    generator, about = cell.generator(8), cell.row(f", gain {shift:g}")
    superior = _superiority(cell, shift, generator)
    arms = [
        [pairs + np.array([[0.0], [shift]]) for pairs in study]
        for study in null_scores(cell, 2, studies, generator)
    ]
    means = (several.blocked_interval([pairs[1] - pairs[0] for pairs in study]) for study in arms)
    yield coverage("mean over datasets", about, means, shift)
    middle = (several.interquartile_difference(study).interval for study in arms)
    yield coverage("interquartile mean", about, middle, shift)
    yield coverage(CAUTIOUS, about, (several.mean_improvement(a).interval for a in arms), superior)
    if models:
        yield coverage("mixed model", about, map(several.mixed_model, arms[:models]), shift)


def coverages(n: int) -> Iterator[Row]:
    """Return the coverage of every interval in every kind of study."""
    for seeds, shape, r in product((5, 6, 8, 10, 20), SHAPES, CORRELATIONS):
        yield from mean_coverage(Cell(shape, r, seeds), n, bootstraps=n // 5)
    for shift, seeds, shape, r in product((0.0, 1.0, 2.0), (15, 20, 40), SHAPES, CORRELATIONS):
        yield improvement_coverage(Cell(shape, r, seeds), shift, n)
    kinds = [*product((1.0, 1.5, 3.0), (1.0,), (6, 8, 20)), (1.5, 0.4, 10)]
    for (gain, cosine, seeds), heavy in product(kinds, (False, True)):
        yield agreement_coverage(AttributionArms(7, seeds, heavy, gain=gain, cosine=cosine), n)
    for seeds, shape in product((8, 20), SHAPES):
        yield from across_coverage(Cell(shape, 0.7, seeds, 6), 2 * n // 5, models=n // 10)
    for seeds, r, shift in product((5, 8, 20), (0.0, 0.95), (0.0, 1.5)):
        yield from across_coverage(Cell(NORMAL, r, seeds, 6), n // 5, models=0, shift=shift)
