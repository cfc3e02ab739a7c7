"""Equal tuning: the budget, the weights that are tried, and the written rule that picks one.

The budget. Every prior with a strength gets the same number of weights (``--tune N``), each of
them trained once on every tuning seed, for as many epochs and with the same patience as in
evaluation. Baselines such as dropout are tuned like any other prior; ``none`` is trained on the
tuning seeds once, as the reference. Tuning seeds are never evaluation seeds, and all scores of
tuning trials are of validation data: they never see the test split. Validation data also choose
the epoch inside every training, for all priors alike.

The rule, ``best-localisation``, for every dataset, architecture and prior:

1. A weight qualifies if its validation prediction loss is non-inferior to that of ``none``: both
   the mean and the median over the tuning seeds of the paired difference are at most the margin
   times the mean loss of ``none``. A mean alone would hide a weight that loses on most seeds behind
   one seed on which ``none`` learns little, and a median alone a weight that fails on one. So few
   seeds allow no test, so the rule goes by the estimates; whether the chosen weight costs accuracy
   is tested afterwards, on the evaluation seeds.
2. Of those that qualify, the one with the best validation localisation (motif-auprc) where motif
   positions are known, else the one whose attributions agree best across the tuning seeds, beyond
   chance (seed-cosine-corrected), or, with one tuning seed, the one with the lowest loss.
3. If none qualifies, the smallest weight.

A failed or collapsed trial is the worst outcome: its weight does not qualify. Seeds on which
``none`` itself failed give no difference. Ties go to the smaller weight. ``best-prediction``
takes the lowest mean validation loss instead, ``fixed`` the weight that the study has without
tuning, which is the documented default unless ``weights`` says otherwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FIRST_SEED = 1000
"""tuning seeds that are chosen by count start here, out of the way of evaluation seeds"""
MOST_WEIGHTS = 50
"""largest number of weights that a study tries of each prior"""
LOCALISATION, STABILITY, LOSS = "motif-auprc", "seed-cosine-corrected", "validation loss"
"""criteria of a rule; the first two are names of metrics"""
BEST_LOCALISATION, BEST_PREDICTION, FIXED = "best-localisation", "best-prediction", "fixed"
_STEP, _SPAN = 0.5, 2.0
"""decades between neighbours of a grid, and from its smallest weight to its largest"""
_DIGITS = 3


def choose_seeds(count: int, taken: Collection[int]) -> list[int]:
    """Return the first seeds from ``FIRST_SEED`` on that evaluation has not taken."""
    free = (seed for seed in itertools.count(FIRST_SEED) if seed not in taken)
    return list(itertools.islice(free, count))


def weight_grid(centre: float, count: int, bound: float = math.inf) -> list[float]:
    """Return ``count`` weights around a default, ascending, at equal ratios.

    Neighbours differ by half a decade, a factor of 3.16, so that five weights span two decades:
    the published weights of a prior and those that suit other data lie within a decade of the
    default, and a factor of three is about what tells a weight that works from one that fails
    (docs/default-weights.md). More than five weights share the same two decades. The default is
    among them; an even number has one more weight below it than above, as too strong a prior fails
    to train and too weak a one only does nothing. Weights below a bound b are spaced evenly in
    w / (1 - w / b), the odds of a probability where b is 1, which never reaches it and is w itself
    for weights that are small.

    Args:
        centre: the default, above 0 and below the bound; it stays as it is, and the others are
            rounded to three digits where they stay distinct.
        count: number of weights, at least 1.
        bound: what every weight lies below.
    """
    step = min(_STEP, _SPAN / max(count - 1, 1))
    steps = np.arange(count) - count // 2
    odds = centre / (1 - centre / bound) * 10.0 ** (step * steps)
    exact = (odds / (1 + odds / bound)).tolist()
    exact[count // 2] = centre
    rounded = [
        weight if place == count // 2 else float(f"{weight:.{_DIGITS - 1}e}")
        for place, weight in enumerate(exact)
    ]
    distinct = all(low < high for low, high in itertools.pairwise([*rounded, bound]))
    return rounded if distinct else exact


@dataclass(frozen=True)
class TriedWeight:
    """A weight of a prior, and the scores of its tuning trials.

    Attributes:
        weight: weight of the prior; 0 for ``none``.
        losses: (S,) float64 validation prediction loss on every tuning seed, in the task's unit;
            infinite where the trial failed or collapsed.
        score: mean over the seeds of the criterion, higher is better; NaN if the criterion is the
            loss, or its value is not known.
    """

    weight: float
    losses: NDArray[np.float64]
    score: float

    @property
    def failed(self) -> int:
        """Number of trials that failed or collapsed."""
        return int(np.count_nonzero(~np.isfinite(self.losses)))

    @property
    def loss(self) -> float:
        """Mean loss; infinite if a trial failed, NaN if there was no trial."""
        return float(self.losses.mean()) if len(self.losses) else math.nan


@dataclass(frozen=True)
class AssessedWeight:
    """A weight of a prior, and what the rule makes of it.

    Attributes:
        weight: weight of the prior.
        trials: number of tuning seeds on which the weight was tried.
        failed: number of these trials that failed or collapsed.
        loss: mean validation prediction loss; infinite if a trial failed.
        difference: mean paired difference of the loss to ``none``.
        median_difference: its median.
        allowed: the largest mean and median difference at which a weight qualifies.
        criterion: name of the criterion by which the rule chooses.
        value: value of the criterion.
        qualifies: whether the loss is non-inferior to that of ``none``.
        chosen: whether evaluation uses this weight.
        edge: whether the weight is chosen and at the edge of those that were tried, so that a
            better one may lie beyond.
        note: why the weight was chosen, and what else to know.
    """

    weight: float
    trials: int = 0
    failed: int = 0
    loss: float = math.nan
    difference: float = math.nan
    median_difference: float = math.nan
    allowed: float = math.nan
    criterion: str = ""
    value: float = math.nan
    qualifies: bool = False
    chosen: bool = False
    edge: bool = False
    note: str = ""


def criterion_of(rule: str, *, localised: bool, seeds: int) -> str:
    """Return the criterion by which a rule chooses among the weights that qualify.

    Localisation needs known motif positions, agreement two tuning seeds.
    """
    if rule == BEST_PREDICTION:
        return LOSS
    if localised:
        return LOCALISATION
    return STABILITY if seeds > 1 else LOSS


def choose(
    tried: Sequence[TriedWeight],
    baseline: TriedWeight,
    *,
    rule: str,
    criterion: str,
    margin: float,
    centre: float,
) -> list[AssessedWeight]:
    """Assess the weights of a prior and choose one.

    Args:
        tried: at least one weight, all tried on the same seeds.
        baseline: ``none`` on these seeds.
        rule: a name in ``RULES``.
        criterion: criterion of the rule, from :func:`criterion_of`.
        margin: share of the loss of ``none`` by which a weight may be worse.
        centre: weight that the study has without tuning.

    Returns:
        An entry for each weight, ascending, one of them chosen; ``fixed`` adds its weight where
        that was not tried.
    """
    weights = list(tried)
    if rule == FIXED and centre not in [weight.weight for weight in tried]:
        weights.append(TriedWeight(centre, np.empty(0), math.nan))
    weights.sort(key=lambda weight: weight.weight)
    rows = [_assess(weight, baseline, criterion, margin) for weight in weights]
    place, reason = RULES[rule](rows, centre)
    edge = rule != FIXED and len(rows) > 1 and place in (0, len(rows) - 1)
    note = "; ".join(filter(None, [reason, rows[place].note]))
    rows[place] = replace(rows[place], chosen=True, edge=edge, note=note)
    return rows


def _assess(
    tried: TriedWeight, baseline: TriedWeight, criterion: str, margin: float
) -> AssessedWeight:
    paired = np.isfinite(baseline.losses)
    mean, median, allowed = math.nan, math.nan, math.nan
    notes = []
    if paired.any():
        allowed = margin * abs(float(baseline.losses[paired].mean()))
        if tried.failed:
            mean = median = math.inf
        elif len(tried.losses):
            differences = (tried.losses - baseline.losses)[paired]
            mean, median = float(differences.mean()), float(np.median(differences))
            if mean <= allowed < median:
                notes.append("loses more than the margin in the median of the seeds")
    if tried.failed:
        notes.append(f"{tried.failed} of {len(tried.losses)} trials failed or collapsed")
    if not len(tried.losses):
        notes.append("not tried")
    elif baseline.failed:
        notes.append(f"none failed on {baseline.failed} of {len(baseline.losses)} seeds")
    return AssessedWeight(
        tried.weight,
        trials=len(tried.losses),
        failed=tried.failed,
        loss=tried.loss,
        difference=mean,
        median_difference=median,
        allowed=allowed,
        criterion=criterion,
        value=tried.loss if criterion == LOSS else tried.score,
        qualifies=max(mean, median) <= allowed,
        note="; ".join(notes),
    )


def reference(baseline: TriedWeight, *, criterion: str, margin: float) -> AssessedWeight:
    """Return the entry of ``none``, against which all others are measured."""
    row = _assess(baseline, baseline, criterion, margin)
    return replace(row, chosen=True, note="; ".join(filter(None, ["the reference", row.note])))


def untuned(weight: float) -> AssessedWeight:
    """Return the entry of a prior that has no strength to tune."""
    return AssessedWeight(weight, chosen=True, note="has no strength to tune")


def _best(rows: Sequence[AssessedWeight], places: Sequence[int]) -> int:
    """Return the place with the best value; the smallest weight of those that tie."""

    def merit(place: int) -> float:
        row = rows[place]
        value = -row.value if row.criterion == LOSS else row.value
        return -math.inf if math.isnan(value) else value

    return max(places, key=merit)  # the first of equals


def _best_localisation(rows: Sequence[AssessedWeight], centre: float) -> tuple[int, str]:
    places = [place for place, row in enumerate(rows) if row.qualifies]
    if not places:
        return 0, "none qualifies: the smallest weight"
    if len(places) == 1:
        return places[0], "the only one that qualifies"
    return _best(rows, places), f"best {rows[0].criterion} of the {len(places)} that qualify"


def _best_prediction(rows: Sequence[AssessedWeight], centre: float) -> tuple[int, str]:
    places = [place for place, row in enumerate(rows) if math.isfinite(row.loss)]
    if not places:
        return 0, "every weight failed: the smallest weight"
    return _best(rows, places), "lowest validation loss"


def _fixed(rows: Sequence[AssessedWeight], centre: float) -> tuple[int, str]:
    place = [row.weight for row in rows].index(centre)
    return place, "the weight without tuning, whatever the trials say"


RULES: Mapping[str, Callable[[Sequence[AssessedWeight], float], tuple[int, str]]] = {
    BEST_LOCALISATION: _best_localisation,
    BEST_PREDICTION: _best_prediction,
    FIXED: _fixed,
}
"""rules by name: from the weights, ascending, and the weight without tuning, the place of the
chosen weight and the reason"""
