"""Paired comparisons of priors over several datasets and tasks: across.csv, and ranks.

`paired_runs.py` makes the pairs before; `standing.py` reads the verdicts afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.specs import TRAINING_OPTIONS, name_of, without
from priorbench.statistics.confidence import NO_INTERVAL
from priorbench.statistics.equivalence import equivalence_p, noninferiority_p
from priorbench.statistics.families.verdicts import Evidence
from priorbench.statistics.graded import graded_answer
from priorbench.statistics.paired import wilcoxon_p
from priorbench.statistics.several_datasets import (
    blocked,
    blocked_interval,
    interquartile_difference,
    mean_improvement,
    mixed_model,
)
from priorbench.statistics.signflip import EXACT_UP_TO, sign_flip_p
from priorbench.study.declared import PRIMARY, DeclaredClaims
from priorbench.study.trial import SettingKey

from .paired_runs import PairedRuns
from .within_dataset import GRADED_COLUMNS, MARGIN_COLUMNS, judged_rows

_MODEL_COLUMNS = (
    *("mixed_effect", "mixed_low", "mixed_high", "p_mixed", "iqm_difference", "iqm_low"),
    *("iqm_high", "improvement", "improvement_low", "improvement_high"),
)
ACROSS_COLUMNS = [
    *("metric", "metrics", "axis", "attribution", "prior", "baseline"),
    *("settings", "datasets", "runs", "better_in", "difference", "ci_low", "ci_high", "interval"),
    *("ci_low_alone", "ci_high_alone", "p", "p_adjusted", "p_adjusted_own", "test"),
    *("family", "correction", "level", "tests", "margin", *MARGIN_COLUMNS, "margin_tests"),
    *("verdict", *GRADED_COLUMNS, "p_wilcoxon", *_MODEL_COLUMNS),
]
SKILL = "skill"
"""name of the common unit of settings that have different metrics on an axis"""
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class _AxisRuns:
    """Paired runs of one setting in the unit that all settings of an axis share.

    Attributes:
        pairs: the runs in units of their own metric.
        scale: factor that turns these units into the common one.
        allowance: (n,) what the prior may lose, in the common unit; None where it is unknown.
    """

    pairs: PairedRuns
    scale: float
    allowance: NDArray[np.float64] | None

    @property
    def gain(self) -> NDArray[np.float64]:
        """(n,) gains in the common unit."""
        return abs(self.scale) * self.pairs.gain

    @property
    def mean_gain(self) -> float:
        """Mean gain in the common unit, also where too few seeds allow a test of it."""
        return abs(self.scale) * self.pairs.sign * self.pairs.difference

    @property
    def scores(self) -> NDArray[np.float64]:
        """(2, n) runs of the baseline and of the prior in the common unit."""
        return self.scale * np.stack([self.pairs.baseline, self.pairs.values])


def compare_across(all_pairs: Sequence[PairedRuns], claims: DeclaredClaims) -> pd.DataFrame:
    """Compare priors over all settings on each axis that has a primary metric; one family of tests.

    What is tested is the mean over the settings of the difference in each. Settings that share the
    metric of an axis are compared in its unit, others in skill: the share of the way from chance to
    a perfect score. Whether other datasets would show the same is the question of the column
    ``p_wilcoxon``, for which all settings of one dataset are one: other options and architectures
    are no further data. Settings that differ only in how much or how long a network is trained
    share what a seed draws, and so are no independent runs: seed by seed they are averaged first.

    Args:
        all_pairs: the pairs of all settings.
        claims: what was declared.

    Returns:
        a table with ACROSS_COLUMNS, one row per axis and prior; empty for a single setting.
    """
    groups: dict[tuple[str, str], list[PairedRuns]] = {}
    for pairs in all_pairs:
        if claims.family(pairs.setting[0], pairs.attribution, pairs.metric) == PRIMARY:
            groups.setdefault((pairs.metric.axis, pairs.prior), []).append(pairs)
    if len({pairs.setting for group in groups.values() for pairs in group}) < 2:
        return pd.DataFrame(columns=ACROSS_COLUMNS)
    members = [_in_common_unit(group, claims) for group in groups.values()]
    rows = [_row(group, runs, claims) for group, runs in zip(groups.values(), members, strict=True)]
    units = _units(members)
    evidence = [_evidence(runs, row, units) for runs, row in zip(members, rows, strict=True)]
    signs = [_sign(runs) for runs in members]
    judged = judged_rows(rows, signs, evidence, correction=claims.correction, level=claims.level)
    return pd.DataFrame(judged, columns=ACROSS_COLUMNS)


def _in_common_unit(group: Sequence[PairedRuns], claims: DeclaredClaims) -> list[_AxisRuns]:
    """Return the runs of independent settings, in units of their metric or in skill.

    A setting whose range of scores is unknown has no skill, and is left out of a mean of skills.
    """
    own = _has_common_unit(group)
    runs = []
    for pairs in _independent(_comparable(group)):
        scale = 1.0 if own else pairs.sign / pairs.score_range.width
        allowance = pairs.allowance(claims)
        runs.append(_AxisRuns(pairs, scale, None if allowance is None else abs(scale) * allowance))
    return runs


def _has_common_unit(group: Sequence[PairedRuns]) -> bool:
    """Return whether settings share a metric whose unit means the same in each.

    The sizes of losses and enrichments depend on the data; they are compared in skill, where the
    range of scores is known.
    """
    metric = group[0].metric
    if any(pairs.metric.name != metric.name for pairs in group):
        return False
    bounded = metric.perfect is not None and not metric.unit
    return bounded or not all(math.isfinite(pairs.score_range.width) for pairs in group)


def _comparable(group: Sequence[PairedRuns]) -> list[PairedRuns]:
    """Return the settings that have a value in the common unit."""
    own = _has_common_unit(group)
    return [pairs for pairs in group if own or math.isfinite(pairs.score_range.width)]


def _sign(runs: Sequence[_AxisRuns]) -> float:
    """Return 1 where a higher value in the common unit is better, else -1."""
    return runs[0].pairs.sign * math.copysign(1.0, runs[0].scale) if runs else 1.0


def _row(
    group: Sequence[PairedRuns], runs: Sequence[_AxisRuns], claims: DeclaredClaims
) -> dict[str, Any]:
    metrics = tuple(dict.fromkeys(pairs.metric.name for pairs in _comparable(group)))
    gains = [run.gain for run in runs]
    by_dataset: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        by_dataset.setdefault(dataset_of(run.pairs.setting), []).append(run.mean_gain)
    means = np.array([np.mean(settings) for settings in by_dataset.values()])
    together = blocked(gains) if runs else np.empty(0)
    exact = "exact" if len(together) <= EXACT_UP_TO else "Monte Carlo"
    return {
        **group[0].columns,
        "metric": metrics[0] if _has_common_unit(group) else SKILL,
        "metrics": " ".join(metrics),
        "baseline": claims.baseline,
        "settings": len(_comparable(group)),
        "datasets": len(means),
        "runs": len(together),
        "better_in": int((means > 0).sum()),
        "difference": _sign(runs) * float(np.mean([run.mean_gain for run in runs] or [_NAN])),
        **_interval_alone(runs),
        "p": sign_flip_p(together),
        "test": f"sign-flip within datasets, {exact}",
        "family": PRIMARY,
        "correction": claims.correction,
        "level": claims.level,
        "p_wilcoxon": wilcoxon_p(means),
        **_against_margin(group, runs),
        **_models(runs),
    }


def _interval_alone(runs: Sequence[_AxisRuns]) -> dict[str, Any]:
    """Return the interval of this comparison alone; none where nothing ran."""
    interval = NO_INTERVAL
    if not all(run.pairs.nothing_ran for run in runs):
        interval = blocked_interval([run.gain for run in runs])
    ends = sorted((_sign(runs) * interval.low, _sign(runs) * interval.high))
    return {
        **dict(zip(("ci_low_alone", "ci_high_alone"), ends, strict=True)),
        "interval": interval.method,
    }


def _against_margin(group: Sequence[PairedRuns], runs: Sequence[_AxisRuns]) -> dict[str, float]:
    """Return the mean margin in the common unit, p against it and a graded answer."""
    allowances = [run.allowance for run in runs if run.allowance is not None]
    names = ("margin", "p_noninferior", "p_equivalent", *GRADED_COLUMNS)
    # a setting whose margin is unknown may hide any loss
    if not runs or len(allowances) < len(runs) or len(_comparable(group)) < len(group):
        return dict.fromkeys(names, _NAN)
    gains = [run.gain for run in runs]
    together, allowed = blocked(gains), blocked(allowances)
    values = (
        float(np.mean([allowance.mean() for allowance in allowances])),
        noninferiority_p(together, allowed),
        equivalence_p(together, allowed),
        *vars(graded_answer(together, allowed)).values(),
    )
    return dict(zip(names, values, strict=True))


_Unit = tuple[SettingKey, int]


def _units(members: Sequence[Sequence[_AxisRuns]]) -> dict[_Unit, int]:
    """Return the place of every setting and seed: what is flipped together in all tests."""
    keys = (
        (run.pairs.setting, seed) for runs in members for run in runs for seed in run.pairs.seeds
    )
    return {unit: place for place, unit in enumerate(dict.fromkeys(keys))}


def _evidence(
    runs: Sequence[_AxisRuns], row: Mapping[str, Any], units: Mapping[_Unit, int]
) -> Evidence:
    """Return the test of one axis and prior, weighted so that every setting counts alike."""
    places = [units[run.pairs.setting, seed] for run in runs for seed in run.pairs.seeds]

    def spread_out(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        result = np.full(len(units), np.nan)
        if values:
            result[places] = blocked(values)
        return result

    allowances = [run.allowance for run in runs if run.allowance is not None]
    tested = math.isfinite(row["p_noninferior"])
    return Evidence(
        gains=spread_out([run.gain for run in runs]),
        p=row["p"],
        allowance=spread_out(allowances) if tested else None,
        p_noninferior=row["p_noninferior"],
        p_equivalent=row["p_equivalent"],
        prior=row["prior"],
        weights=spread_out([np.ones(len(run.pairs.seeds)) for run in runs]),
    )


def _independent(group: Sequence[PairedRuns]) -> list[PairedRuns]:
    """Average the pairs of settings that draw the same with a seed, seed by seed."""
    together: dict[SettingKey, list[PairedRuns]] = {}
    for pairs in group:
        task, dataset, architecture = pairs.setting
        key = (without(task, TRAINING_OPTIONS), dataset, architecture)
        together.setdefault(key, []).append(pairs)
    return [pairs for members in together.values() for pairs in _averaged(members)]


def _averaged(group: Sequence[PairedRuns]) -> Sequence[PairedRuns]:
    """Return the mean over settings of each seed that all of them have; as they are if none."""
    seeds = sorted(set.intersection(*(set(pairs.seeds) for pairs in group)))
    if len(group) == 1 or not seeds:
        return group
    places = [[pairs.seeds.index(seed) for seed in seeds] for pairs in group]

    def shared(name: str) -> list[NDArray[Any]]:
        return [getattr(pairs, name)[place] for pairs, place in zip(group, places, strict=True)]

    mean = replace(
        group[0],
        seeds=tuple(seeds),
        missing=tuple(sorted({seed for pairs in group for seed in pairs.missing})),
        both_failed=np.all(shared("both_failed"), axis=0),
        **{name: np.mean(shared(name), axis=0) for name in ("baseline", "values", "differences")},
    )
    return [mean]


def dataset_of(setting: Sequence[str]) -> tuple[str, str]:
    """Return the name of the task, without its options, and of the dataset."""
    return name_of(setting[0]), setting[1]


def _models(runs: Sequence[_AxisRuns]) -> dict[str, float]:
    """Return what is computed from each run's own score; NaN for metrics of pairs of runs."""
    if not runs or any(run.pairs.metric.of_pairs for run in runs):
        return dict.fromkeys(_MODEL_COLUMNS, _NAN)
    scores = [run.scores for run in runs]
    mixed, middle = mixed_model(scores), interquartile_difference(scores)
    improvement = mean_improvement([_sign(runs) * pairs for pairs in scores])
    values = [mixed.effect, mixed.low, mixed.high, mixed.p]
    for statistic in (middle, improvement):
        values += [statistic.value, statistic.interval.low, statistic.interval.high]
    return dict(zip(_MODEL_COLUMNS, values, strict=True))
