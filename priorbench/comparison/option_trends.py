"""Whether what a prior does depends on an option of the task: trends.csv.

`paired_runs.py` makes the pairs before; the report's sweeps show the trends afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components import registry
from priorbench.components.specs import name_of
from priorbench.statistics.confidence import NO_INTERVAL, agreement_interval, mean_interval
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.families.verdicts import INCONCLUSIVE
from priorbench.statistics.signflip import EXACT_UP_TO, sign_flip_p
from priorbench.study.declared import PRIMARY, DeclaredClaims
from priorbench.study.trial import SETTING_COLUMNS, SettingKey

from .paired_runs import PairedRuns

TREND_COLUMNS = [
    *(*SETTING_COLUMNS, "option", "held", "values"),
    *("metric", "axis", "attribution", "prior", "baseline", "n", "change", "ci_low", "ci_high"),
    *("p", "p_adjusted", "test", "tests", "verdict"),
]
GROWS, SHRINKS = "grows", "shrinks"
TREND_DEFINITIONS = {
    GROWS: "the gain over the baseline rises with the option, or a loss shrinks, adjusted p at "
    "most the level",
    SHRINKS: "the gain over the baseline falls with the option, or turns into a loss, adjusted p "
    "at most the level",
    INCONCLUSIVE: "neither could be shown",
}
FEWEST = 3
"""the fewest values that make a sweep"""
Options = Mapping[str, Any]
"""the options of a component by name"""


@dataclass(frozen=True)
class OptionSweep:
    """Specs of one component that differ in one number.

    Attributes:
        option: name of the option that varies.
        held: the other options that vary among the specs, at their values here, as text.
        points: value and spec, ascending.
    """

    option: str
    held: str
    points: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class SweptTask(OptionSweep):
    """A sweep along an option of a task, named without options, on one dataset."""

    task: str
    dataset: str
    architecture: str


def task_options(spec: str) -> dict[str, Any]:
    """Return every option of a task, by name."""
    return dataclasses.asdict(registry.build("task", spec))


def swept_tasks(settings: Sequence[SettingKey], options: Mapping[str, Options]) -> list[SweptTask]:
    """Return the sweeps along every option of a task that has three values or more.

    Args:
        settings: the settings, each once; those of tasks without options are passed over.
        options: the options of every task, by its spec.
    """
    groups: dict[SettingKey, list[str]] = {}
    for task, dataset, architecture in settings:
        if task in options:
            groups.setdefault((name_of(task), dataset, architecture), []).append(task)
    return [
        SweptTask(sweep.option, sweep.held, sweep.points, *key)
        for key, specs in groups.items()
        for sweep in sweeps(specs, options)
    ]


def sweeps(specs: Sequence[str], options: Mapping[str, Options]) -> Iterator[OptionSweep]:
    """Yield the sweeps along each option of one component, the others held at their values.

    Args:
        specs: specs of one component, each once.
        options: the options by spec.
    """
    values_of = {
        name: {str(options[spec].get(name)) for spec in specs} for name in options[specs[0]]
    }
    varying = [name for name, values in values_of.items() if len(values) > 1]
    for option in varying:
        held: dict[str, list[str]] = {}
        for spec in specs:
            others = [f"{name}={options[spec][name]}" for name in varying if name != option]
            held.setdefault(", ".join(others), []).append(spec)
        for text, some in held.items():
            values = [options[spec][option] for spec in some]
            numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
            if len(values) >= FEWEST and numbers:
                points = sorted(zip(map(float, values), some, strict=True))
                yield OptionSweep(option, text, tuple(points))


def trends(
    all_pairs: Sequence[PairedRuns], options: Mapping[str, Options], claims: DeclaredClaims
) -> pd.DataFrame:
    """Test along every sweep whether a prior's effect changes; a sweep is one family of tests.

    What is tested is whether the paired difference changes with the option, seed by seed, by
    :func:`rank_contrast`: if differences have the same distribution at all values, the sign of the
    change is a coin's. What is drawn anew with a seed is the training. Each value has one dataset,
    so a trend may be one of these datasets alone.

    Args:
        all_pairs: the pairs of all settings.
        options: the options of every task, by its spec.
        claims: what was declared.

    Returns:
        a table with TREND_COLUMNS, one row per sweep, primary metric and prior.
    """
    primary = [
        pairs
        for pairs in all_pairs
        if claims.family(pairs.setting[0], pairs.attribution, pairs.metric) == PRIMARY
    ]
    by_place = {(pairs.setting, pairs.metric.name, pairs.prior): pairs for pairs in primary}
    settings = list(dict.fromkeys(pairs.setting for pairs in primary))
    rows = []
    for swept in swept_tasks(settings, options):
        family = [_row(swept, along, claims) for along in _along(swept, by_place)]
        adjusted = adjust([row["p"] for row in family], HOLM)
        tests = int(np.isfinite(adjusted).sum())
        rows += [
            row
            | {"p_adjusted": p, "tests": tests, "verdict": _verdict(row["gain"], p, claims.level)}
            for row, p in zip(family, map(float, adjusted), strict=True)
        ]
    return pd.DataFrame(rows, columns=TREND_COLUMNS)


def _along(
    swept: SweptTask, by_place: Mapping[tuple[SettingKey, str, str], PairedRuns]
) -> Iterator[list[PairedRuns]]:
    """Yield the pairs at every value, by metric and prior, where no value lacks them."""
    settings = [(spec, swept.dataset, swept.architecture) for _, spec in swept.points]
    for first, metric, prior in by_place:
        keys = [(setting, metric, prior) for setting in settings]
        if first == settings[0] and by_place.keys() >= set(keys):
            yield [by_place[key] for key in keys]


def _row(swept: SweptTask, along: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, Any]:
    first = along[0]
    seeds = sorted(set.intersection(*(set(pairs.seeds) for pairs in along)))
    places = [[pairs.seeds.index(seed) for seed in seeds] for pairs in along]
    contrast = rank_contrast(
        np.array([pairs.differences[place] for pairs, place in zip(along, places, strict=True)])
    )
    if first.metric.of_pairs and len({pairs.seeds for pairs in along}) > 1:
        contrast = np.full(len(seeds), np.nan)  # pseudo-values are of all seeds or of none
    interval = NO_INTERVAL
    known = np.isfinite(contrast).all()
    if known and len(contrast) > 1 and not any(pairs.nothing_ran for pairs in along):
        interval = (agreement_interval if first.metric.of_pairs else mean_interval)(contrast)
    p = sign_flip_p(contrast) if len(contrast) else float("nan")
    exact = "exact" if len(contrast) <= EXACT_UP_TO else "Monte Carlo"
    change = float(contrast.mean()) if len(contrast) else float("nan")
    return {
        **dict(zip(SETTING_COLUMNS, (swept.task, swept.dataset, swept.architecture), strict=True)),
        "option": swept.option,
        "held": swept.held,
        "values": " ".join(f"{value:g}" for value, _ in swept.points),
        **first.columns,
        "baseline": claims.baseline,
        "n": len(seeds),
        "change": change,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "p": p,
        "test": f"sign-flip of a line over ranks, {exact}" if np.isfinite(p) else "",
        "gain": first.sign * change,
    }


def rank_contrast(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,) by how much each seed's difference changes from the first value to the last.

    The change is that of the least-squares line through its differences over the ranks of the
    values: an option's values are rarely spaced in a way that means anything.

    Args:
        differences: (k, n) differences at k values with n seeds.
    """
    rank = np.arange(len(differences)) - (len(differences) - 1) / 2
    slope = rank @ differences / (rank @ rank)
    result: NDArray[np.float64] = slope * (len(differences) - 1)
    return result


def _verdict(gain: float, p: float, level: float) -> str:
    if not np.isfinite(p):
        return ""
    if p > level:
        return INCONCLUSIVE
    return GROWS if gain > 0 else SHRINKS
