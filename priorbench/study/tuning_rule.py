"""Equal tuning: the budget, the weights that are tried, and the written rule that picks one.

The budget. Every prior with a strength gets the same number of weights (``--tune N``), each of
them trained once on every tuning seed, for as many epochs and with the same patience as in
evaluation. Baselines such as dropout are tuned like any other prior; ``none`` is trained on the
tuning seeds once, as the reference. Tuning seeds are never evaluation seeds, and all scores of
tuning trials are of validation data: they never see the test split. Validation data also choose
the epoch inside every training, for all priors alike.

The rule, ``best-localisation``, for every dataset, architecture and prior:

1. A weight qualifies if its validation prediction loss is non-inferior to that of ``none``: the
   mean over the tuning seeds of the paired difference is at most the margin times the mean loss
   of ``none``. So few seeds allow no test, so the rule goes by the point estimate; whether the
   chosen weight costs accuracy is tested afterwards, on the evaluation seeds.
2. Of those that qualify, the one with the best validation localisation (motif-auprc) where motif
   positions are known, else the one whose attributions agree best across the tuning seeds
   (seed-cosine), or, with one tuning seed, the one with the lowest loss.
3. If none qualifies, the smallest weight.

A failed or collapsed trial is the worst outcome: its weight does not qualify. Seeds on which
``none`` itself failed give no difference. Ties go to the smaller weight. ``best-prediction``
takes the lowest mean validation loss instead, ``fixed`` the weight that the study has without
tuning, which is the documented default unless ``weights`` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FIRST_SEED = 1000
"""tuning seeds that are chosen by count start here, out of the way of evaluation seeds"""
MOST_WEIGHTS = 50
LOCALISATION, STABILITY, LOSS = "motif-auprc", "seed-cosine", "validation loss"
"""what a rule may go by; the first two are names of metrics"""
BEST_LOCALISATION, BEST_PREDICTION, FIXED = "best-localisation", "best-prediction", "fixed"
_STEP, _SPAN = 0.5, 2.0  # decades
_DIGITS = 3


def choose_seeds(count: int, taken: Collection[int]) -> list[int]:
    """The first seeds from ``FIRST_SEED`` on that evaluation does not use.

    Args:
        count: how many.
        taken: the evaluation seeds.
    """
    found: list[int] = []
    seed = FIRST_SEED
    while len(found) < count:
        if seed not in taken:
            found.append(seed)
        seed += 1
    return found


def weight_grid(centre: float, count: int, bound: float = math.inf) -> list[float]:
    """Weights around a default, ascending, at equal ratios.

    Neighbours differ by half a decade, a factor of 3.16, so that five weights span two decades:
    the published weights of a prior and those that suit other data lie within a decade of the
    default, and a factor of three is about what tells a weight that works from one that fails
    (docs/default-weights.md). More than five weights share the same two decades. The default is
    among them; an even number has one more weight below it than above, as too strong a prior fails
    to train and too weak a one only does nothing. Weights below a bound b are spaced evenly in
    w / (1 - w / b), the odds of a probability where b is 1, which never reaches it and is w itself
    for weights that are small.

    Args:
        centre: the default, > 0 and below the bound.
        count: how many, at least 1.
        bound: what every weight must lie below.

    Returns:
        the weights, the centre as it is and the others rounded to three digits.
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
    distinct = all(one < other for one, other in zip(rounded, [*rounded[1:], bound], strict=True))
    return rounded if distinct else exact


@dataclass(frozen=True)
class TriedWeight:
    """What the trials of one weight left behind.

    Attributes:
        weight: of the prior; 0 for ``none``.
        losses: (S,) float64 validation prediction loss on every tuning seed, in the task's unit;
            infinite where the trial failed or collapsed.
        score: by the criterion, higher is better, mean over the seeds; NaN if it is the loss, or
            not known.
    """

    weight: float
    losses: NDArray[np.float64]
    score: float

    @property
    def failed(self) -> int:
        """How many trials failed or collapsed."""
        return int(np.count_nonzero(~np.isfinite(self.losses)))

    @property
    def loss(self) -> float:
        """Mean loss; infinite if a trial failed, NaN if none was run."""
        return float(self.losses.mean()) if len(self.losses) else math.nan


@dataclass(frozen=True)
class AssessedWeight:
    """One weight of a prior as the rule sees it.

    Attributes:
        weight: of the prior.
        trials: on how many tuning seeds it was tried.
        failed: how many of these failed or collapsed.
        loss: mean validation prediction loss; infinite if a trial failed.
        difference: mean paired difference of the loss to ``none``.
        allowed: the largest difference at which a weight qualifies.
        criterion: what the rule goes by.
        value: by the criterion.
        qualifies: whether the loss is non-inferior to that of ``none``.
        chosen: whether evaluation uses this weight.
        edge: whether it was chosen at the edge of the weights that were tried, so that a better
            one may lie beyond.
        note: why it was chosen, or what else to know.
    """

    weight: float
    trials: int
    failed: int
    loss: float
    difference: float
    allowed: float
    criterion: str
    value: float
    qualifies: bool
    chosen: bool = False
    edge: bool = False
    note: str = ""


@dataclass(frozen=True)
class ChosenWeight:
    """What a rule chose: the place among the weights in ascending order, and why."""

    place: int
    reason: str


def criterion_of(rule: str, *, localised: bool, seeds: int) -> str:
    """What a rule goes by.

    Args:
        rule: its name.
        localised: whether localisation could be scored, that is, motif positions are known.
        seeds: how many tuning seeds there are; agreement needs two.
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
        tried: at least one weight, all on the same seeds.
        baseline: ``none`` on these seeds.
        rule: a name in ``RULES``.
        criterion: of :func:`criterion_of`.
        margin: relative to the loss of ``none``.
        centre: the weight of the study without tuning.

    Returns:
        one entry a weight, ascending, one of them chosen; ``fixed`` adds its weight where that
        was not tried.
    """
    found = list(tried)
    if rule == FIXED and centre not in [one.weight for one in tried]:
        found.append(TriedWeight(centre, np.empty(0), math.nan))
    found.sort(key=lambda one: one.weight)
    rows = [_assess(one, baseline, criterion, margin) for one in found]
    pick = RULES[rule](rows, centre)
    edge = rule != FIXED and len(rows) > 1 and pick.place in (0, len(rows) - 1)
    chosen = rows[pick.place]
    reason = "; ".join(filter(None, [pick.reason, chosen.note]))
    rows[pick.place] = replace(chosen, chosen=True, edge=edge, note=reason)
    return rows


def _assess(
    one: TriedWeight, baseline: TriedWeight, criterion: str, margin: float
) -> AssessedWeight:
    paired = np.isfinite(baseline.losses)
    difference, allowed = math.nan, math.nan
    if paired.any():
        allowed = margin * abs(float(baseline.losses[paired].mean()))
        if one.failed:
            difference = math.inf
        elif len(one.losses):
            difference = float((one.losses - baseline.losses)[paired].mean())
    notes = []
    if one.failed:
        notes.append(f"{one.failed} of {len(one.losses)} trials failed or collapsed")
    if not len(one.losses):
        notes.append("not tried")
    elif baseline.failed:
        notes.append(f"none failed on {baseline.failed} of {len(baseline.losses)} seeds")
    return AssessedWeight(
        one.weight,
        trials=len(one.losses),
        failed=one.failed,
        loss=one.loss,
        difference=difference,
        allowed=allowed,
        criterion=criterion,
        value=one.loss if criterion == LOSS else one.score,
        qualifies=difference <= allowed,
        note="; ".join(notes),
    )


def reference(baseline: TriedWeight, *, criterion: str, margin: float) -> AssessedWeight:
    """The entry of ``none``, which all others are measured against."""
    row = _assess(baseline, baseline, criterion, margin)
    return replace(row, chosen=True, note="; ".join(filter(None, ["the reference", row.note])))


def untuned(weight: float) -> AssessedWeight:
    """The entry of a prior that has no strength to tune."""
    nothing = math.nan
    return AssessedWeight(
        weight,
        trials=0,
        failed=0,
        loss=nothing,
        difference=nothing,
        allowed=nothing,
        criterion="",
        value=nothing,
        qualifies=False,
        chosen=True,
        note="has no strength to tune",
    )


def _best(rows: Sequence[AssessedWeight], places: Sequence[int]) -> int:
    """The place with the best value; the smallest weight of those that tie."""

    def merit(place: int) -> float:
        row = rows[place]
        value = -row.value if row.criterion == LOSS else row.value
        return -math.inf if math.isnan(value) else value

    return max(places, key=merit)  # the first of equals


def _best_localisation(rows: Sequence[AssessedWeight], centre: float) -> ChosenWeight:
    places = [place for place, row in enumerate(rows) if row.qualifies]
    if not places:
        return ChosenWeight(0, "none qualifies: the smallest weight")
    reason = f"best {rows[0].criterion} of the {len(places)} that qualify"
    return ChosenWeight(
        _best(rows, places), reason if len(places) > 1 else "the only one that qualifies"
    )


def _best_prediction(rows: Sequence[AssessedWeight], centre: float) -> ChosenWeight:
    places = [place for place, row in enumerate(rows) if math.isfinite(row.loss)]
    if not places:
        return ChosenWeight(0, "every weight failed: the smallest weight")
    return ChosenWeight(_best(rows, places), "lowest validation loss")


def _fixed(rows: Sequence[AssessedWeight], centre: float) -> ChosenWeight:
    place = [row.weight for row in rows].index(centre)
    return ChosenWeight(place, "the weight without tuning, whatever the trials say")


RULES: Mapping[str, Callable[[Sequence[AssessedWeight], float], ChosenWeight]] = {
    BEST_LOCALISATION: _best_localisation,
    BEST_PREDICTION: _best_prediction,
    FIXED: _fixed,
}
"""rules by name: from the weights, ascending, and the weight without tuning to the chosen one"""
