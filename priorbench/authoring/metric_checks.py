"""The checks that every metric must pass: what it says of itself, and which arrays it prefers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays
from priorbench.components.task import Axis
from priorbench.data.codes import BACKGROUND, DECOY, MOTIF
from priorbench.data.instances import instance_table

from .check_tools import LENGTH, CheckFailed, CheckResult, NotApplicable, run_check

_SEQUENCES, _EXAMPLES, _WIDTH = 40, 200, 10
_NOISE = 1.0
"""standard deviation of what is added to the oracle, in units of its largest value"""
_SURE = 20.0
"""logit of a prediction that is right and sure"""
_AS_PUBLISHED = "a published form is what its paper says"
_NO_VALUE = "has no value for made-up arrays"
Check = Callable[[Metric], str]


def made_arrays(quality: float = 1.0) -> TrialArrays:
    """Return arrays of a made-up trial with known motifs and decoys.

    Args:
        quality: 1 for the oracle's attribution and labels as predictions, 0 for noise alone.
    """
    fixed, noise = np.random.default_rng(7), np.random.default_rng(11)
    codes = fixed.integers(0, 4, (_SEQUENCES, LENGTH)).astype(np.uint8)
    starts = fixed.integers(0, LENGTH - _WIDTH, _SEQUENCES)
    inside = np.abs(np.arange(LENGTH) - starts[:, None] - (_WIDTH - 1) / 2) < _WIDTH / 2
    decoy = np.roll(inside, LENGTH // 2, axis=1)
    truth = np.select([inside, decoy], [MOTIF, DECOY], BACKGROUND).astype(np.uint8)
    matrices = np.full((_SEQUENCES, 4, LENGTH), 0.25, dtype=np.float32)
    of_motif = np.where(np.arange(4)[:, None] == codes[:, None], 0.97, 0.01)
    matrices[:] = np.where(inside[:, None], of_motif, matrices)
    best = matrices - 0.25
    drawn = noise.normal(size=best.shape) * _NOISE * float(best.max())
    every_base = (quality * best + (1 - quality) * drawn).astype(np.float32)
    oracle = np.where(inside, np.float32(1), np.float32(0))
    label = (np.arange(_EXAMPLES) % 2).astype(np.float32)
    logit = _SURE * (quality * (2 * label - 1) + (1 - quality) * noise.normal(size=_EXAMPLES))
    rows = [(i, int(s), int(s) + _WIDTH, "target", 1) for i, s in enumerate(starts)]
    return TrialArrays(
        prediction={"logit": logit.astype(np.float32)},
        label=label,
        attribution=np.take_along_axis(every_base, codes[:, None], axis=1)[:, 0],
        truth=truth,
        oracle=oracle,
        costs={"seconds_per_step": 0.01, "peak_memory_mib": 100.0, "epochs_to_best": 3.0},
        sums=np.ones((2, _SEQUENCES)),
        codes=codes,
        instances=instance_table(rows, ["target"]).rows,
        matrices=matrices,
        hypothetical=every_base,
    )


def describes_itself(metric: Metric) -> str:
    """Check that there are a summary, an axis that exists and a formula in the docstring."""
    if not metric.summary:
        raise CheckFailed("has no summary: say in one line what the score tells")
    if metric.axis not in get_args(Axis):
        raise CheckFailed(f"axis {metric.axis!r} is none of {', '.join(get_args(Axis))}")
    if not (metric.function.__doc__ or "").strip():
        raise CheckFailed("its function has no docstring: write the formula there")
    return metric.summary


def gives_a_number(metric: Metric) -> str:
    """Check that noise, the oracle and an attribution of zeros have a value, or NaN."""
    noise, oracle = made_arrays(0.0), made_arrays()
    nothing = replace(oracle, attribution=np.zeros_like(oracle.attribution))
    values = [_value(metric, arrays) for arrays in (noise, oracle, nothing)]
    if any(math.isinf(value) for value in values):
        raise CheckFailed("is infinite: return NaN where there is no value")
    if math.isnan(values[0]):
        raise NotApplicable("NaN for made-up arrays with a logit, motifs, decoys and all bases")
    return f"{values[0]:.3g} of noise, {values[1]:.3g} of the oracle"


def works_without_truth(metric: Metric) -> str:
    """Check that data without known motifs have a value, or NaN."""
    arrays = replace(made_arrays(), truth=None, oracle=None, instances=None, matrices=None)
    return f"{_value(metric, replace(arrays, hypothetical=None)):.3g} where motifs are not known"


def leaves_arrays_alone(metric: Metric) -> str:
    """Check that a second call sees what the first one saw, and gives the same."""
    arrays = made_arrays(0.5)
    before = copy.deepcopy(arrays)
    first, second = _value(metric, arrays), _value(metric, arrays)
    kept = all(
        np.array_equal(getattr(arrays, name), getattr(before, name))
        for name in ("label", "attribution", "truth", "oracle", "codes", "hypothetical")
    )
    if not kept:
        raise CheckFailed("changes the arrays that it is given: copy what you change")
    if not np.array_equal(first, second, equal_nan=True):
        raise CheckFailed(f"gives {first:g}, then {second:g}: draw nothing at random")
    return "the same twice"


def ignores_scale(metric: Metric) -> str:
    """Check that attributions three times as large have the same score."""
    _needs_attribution(metric)
    arrays = made_arrays(0.5)
    assert arrays.hypothetical is not None
    larger = replace(
        arrays, attribution=3 * arrays.attribution, hypothetical=3 * arrays.hypothetical
    )
    return _same(metric, arrays, larger, "scale: divide by what the attributions add up to")


def ignores_strand(metric: Metric) -> str:
    """Check that reverse complements have the same score."""
    arrays = made_arrays(0.5)
    assert arrays.truth is not None
    assert arrays.oracle is not None
    assert arrays.codes is not None
    turned = replace(
        arrays,
        attribution=arrays.attribution[:, ::-1].copy(),
        truth=arrays.truth[:, ::-1].copy(),
        oracle=arrays.oracle[:, ::-1].copy(),
        codes=3 - arrays.codes[:, ::-1],
        instances=_turned(arrays.instances),
        matrices=_turned_bases(arrays.matrices),
        hypothetical=_turned_bases(arrays.hypothetical),
    )
    return _same(metric, arrays, turned, "strand")


def ignores_order(metric: Metric) -> str:
    """Check that the order of the examples does not matter."""
    arrays = made_arrays(0.5)
    label, logit = arrays.label[::-1].copy(), arrays.prediction["logit"][::-1].copy()
    other = replace(arrays, label=label, prediction={"logit": logit})
    return _same(metric, arrays, other, "order of the examples")


def prefers_what_is_better(metric: Metric) -> str:
    """Check that the oracle is better than a noisy oracle, and that better than noise."""
    if metric.higher_is_better is None:
        raise NotApplicable("has no direction")
    if metric.published:
        raise NotApplicable(_AS_PUBLISHED)
    if metric.axis not in ("prediction", "localisation"):
        raise NotApplicable(f"what is best on the axis {metric.axis} is not known beforehand")
    values = [_value(metric, made_arrays(quality)) for quality in (0.0, 0.5, 1.0)]
    if any(map(math.isnan, values)):
        raise NotApplicable(_NO_VALUE)
    signed = values if metric.higher_is_better else [-value for value in values]
    if not signed[0] < signed[1] < signed[2]:
        text = ", ".join(f"{value:.3g}" for value in values)
        raise CheckFailed(f"noise, a noisy oracle and the oracle have {text}, not in this order")
    if metric.perfect is not None and not math.isclose(values[2], metric.perfect, abs_tol=1e-6):
        raise CheckFailed(f"the oracle has {values[2]:.6g}, but `perfect` is {metric.perfect:g}")
    return ", ".join(f"{value:.3g}" for value in values) + " of noise, a noisy oracle, the oracle"


CHECKS: tuple[Check, ...] = (
    describes_itself,
    gives_a_number,
    works_without_truth,
    leaves_arrays_alone,
    ignores_scale,
    ignores_strand,
    ignores_order,
    prefers_what_is_better,
)


def check_metric(metric: Metric) -> Iterator[CheckResult]:
    """Run every check on a metric, one after the other; those of its arrays need scope trial."""
    for check in CHECKS:
        if metric.scope != "trial" and check is not describes_itself:
            name = check.__name__.replace("_", " ")
            reason = f"arrays are made up for the scope trial, this is {metric.scope}"
            yield CheckResult(name, "not applicable", reason)
        else:
            yield run_check(check, metric)


def _value(metric: Metric, arrays: TrialArrays) -> float:
    value: Any = metric.function(arrays)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        raise CheckFailed(f"returns a {type(value).__name__}, wanted a float")
    return float(value)


def _needs_attribution(metric: Metric) -> None:
    if not metric.of_attribution:
        raise NotApplicable("does not depend on attributions")
    if metric.axis == "smoothness":
        raise NotApplicable("what priors optimise may depend on the scale")


def _same(metric: Metric, arrays: TrialArrays, other: TrialArrays, what: str) -> str:
    if metric.published:
        raise NotApplicable(_AS_PUBLISHED)
    first, second = _value(metric, arrays), _value(metric, other)
    if math.isnan(first):
        raise NotApplicable(_NO_VALUE)
    if not math.isclose(first, second, rel_tol=1e-5, abs_tol=1e-7):
        raise CheckFailed(f"{first:.6g} becomes {second:.6g} with another {what}")
    return f"{first:.3g} both times"


def _turned(instances: NDArray[np.int64] | None) -> NDArray[np.int64]:
    assert instances is not None
    turned = instances.copy()
    turned[:, 1], turned[:, 2] = LENGTH - instances[:, 2], LENGTH - instances[:, 1]
    turned[:, 4] = -instances[:, 4]
    return turned


def _turned_bases(values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert values is not None
    return values[:, ::-1, ::-1].copy()
