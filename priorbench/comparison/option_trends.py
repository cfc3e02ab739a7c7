"""Does what a prior does depend on an option of the task? From paired runs to trends.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.specs import split_spec
from priorbench.statistics import (
    ALPHA,
    EXACT_UP_TO,
    INCONCLUSIVE,
    NO_INTERVAL,
    adjust,
    agreement_interval,
    mean_interval,
    sign_flip_p,
)
from priorbench.study.declared import CORRECTION, PRIMARY, DeclaredClaims

from .paired_runs import PairedRuns

TREND_COLUMNS = [
    "task",
    "dataset",
    "architecture",
    "option",
    "held",
    "values",
    "metric",
    "axis",
    "attribution",
    "prior",
    "baseline",
    "n",
    "change",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
    "test",
    "tests",
    "verdict",
]
GROWS, SHRINKS = "grows", "shrinks"
TREND_DEFINITIONS = {
    GROWS: "the gain over the baseline rises with the option, or a loss shrinks, adjusted p at "
    "most .05",
    SHRINKS: "the gain over the baseline falls with the option, or turns into a loss, adjusted p "
    "at most .05",
    INCONCLUSIVE: "neither could be shown",
}
FEWEST = 3
"""so many values make a sweep"""
Options = Mapping[str, Any]


@dataclass(frozen=True)
class OptionSweep:
    """Specs of one component that differ in one number.

    Attributes:
        option: the one that varies.
        held: the other options that vary among the specs, at their values here, as text.
        points: value and spec, ascending.
    """

    option: str
    held: str
    points: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class SweptTask(OptionSweep):
    """A sweep along an option of a task.

    Attributes:
        task: its name.
        dataset: name.
        architecture: spec.
    """

    task: str
    dataset: str
    architecture: str


def swept_tasks(
    settings: Sequence[tuple[str, str, str]], options: Mapping[str, Options]
) -> list[SweptTask]:
    """Every option along which there are three values or more.

    Args:
        settings: task, dataset and architecture, each once.
        options: of every task, by its spec; settings of others are passed over.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for task, dataset, architecture in settings:
        if task in options:
            groups.setdefault((split_spec(task)[0], dataset, architecture), []).append(task)
    return [
        SweptTask(one.option, one.held, one.points, *key)
        for key, specs in groups.items()
        for one in sweeps(specs, options)
    ]


def sweeps(specs: Sequence[str], options: Mapping[str, Options]) -> Iterator[OptionSweep]:
    """Along each option of one component, with the others held at their values.

    Args:
        specs: of one component, each once.
        options: by spec.
    """
    varying = [
        name
        for name in options[specs[0]]
        if len({str(options[spec].get(name)) for spec in specs}) > 1
    ]
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
    pairs: Sequence[PairedRuns], options: Mapping[str, Options], claims: DeclaredClaims
) -> pd.DataFrame:
    """One row per sweep, primary metric and prior; a sweep is one family of tests.

    What is tested is whether the paired difference changes with the option, seed by seed, by
    :func:`rank_contrast`: if differences are distributed alike at all values, its sign is a coin's.
    What is drawn anew with a seed is the training. Each value has one dataset, so that a trend may
    be that of these datasets.

    Args:
        pairs: of all settings, as ``pairs.paired_runs`` gives them.
        options: of every task, by its spec.
        claims: what was declared.
    """
    primary = [p for p in pairs if claims.family(p.setting[0], p.attribution, p.metric) == PRIMARY]
    by_place = {(p.setting, p.metric.name, p.prior): p for p in primary}
    settings = list(dict.fromkeys(p.setting for p in primary))
    rows = []
    for swept in swept_tasks(settings, options):
        family = [
            _row(swept, [one for one in along if one is not None], claims)
            for along in _along(swept, by_place)
        ]
        adjusted = adjust([row["p"] for row in family], CORRECTION[PRIMARY])
        tests = int(np.isfinite(adjusted).sum())
        rows += [
            row | {"p_adjusted": p, "tests": tests, "verdict": _verdict(row["gain"], p)}
            for row, p in zip(family, map(float, adjusted), strict=True)
        ]
    return pd.DataFrame(rows, columns=TREND_COLUMNS)


def _along(
    swept: SweptTask, by_place: Mapping[tuple[tuple[str, str, str], str, str], PairedRuns]
) -> Iterator[list[PairedRuns]]:
    """Pairs at every value, by metric and prior; those that lack at one value are left out."""
    settings = [(spec, swept.dataset, swept.architecture) for _, spec in swept.points]
    names = [key[1:] for key in by_place if key[0] == settings[0]]
    for metric, prior in names:
        found = [by_place.get((setting, metric, prior)) for setting in settings]
        known = [one for one in found if one is not None]
        if len(known) == len(settings):
            yield known


def rank_contrast(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) by how much each seed's difference changes from the first value to the last.

    By the least-squares line through its differences over the ranks of the values: an option's
    values are rarely spaced in a way that means anything.

    Args:
        differences: (k, n) of k values and n seeds.
    """
    rank = np.arange(len(differences)) - (len(differences) - 1) / 2
    slope = rank @ differences / (rank @ rank)
    result: NDArray[np.float64] = slope * (len(differences) - 1)
    return result


def _row(swept: SweptTask, along: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, Any]:
    first = along[0]
    seeds = sorted(set.intersection(*(set(one.seeds) for one in along)))
    differences = np.array([_of_seeds(one, seeds) for one in along])
    contrast = rank_contrast(differences)
    if first.metric.of_pairs and len({one.seeds for one in along}) > 1:
        contrast = np.full(len(seeds), np.nan)  # pseudo-values are of all seeds or of none
    interval = NO_INTERVAL
    known = np.isfinite(contrast).all()
    if known and len(contrast) > 1 and not any(one.nothing_ran for one in along):
        interval = (agreement_interval if first.metric.of_pairs else mean_interval)(contrast)
    p = sign_flip_p(contrast) if len(contrast) else float("nan")
    exact = "exact" if len(contrast) <= EXACT_UP_TO else "Monte Carlo"
    change = float(contrast.mean()) if len(contrast) else float("nan")
    return {
        "task": swept.task,
        "dataset": swept.dataset,
        "architecture": swept.architecture,
        "option": swept.option,
        "held": swept.held,
        "values": " ".join(f"{value:g}" for value, _ in swept.points),
        "metric": first.metric.name,
        "axis": first.metric.axis,
        "attribution": first.attribution,
        "prior": first.prior,
        "baseline": claims.baseline,
        "n": len(seeds),
        "change": change,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "p": p,
        "test": f"sign-flip of a line over ranks, {exact}" if np.isfinite(p) else "",
        "gain": first.sign * change,
    }


def _of_seeds(pairs: PairedRuns, seeds: Sequence[int]) -> NDArray[np.float64]:
    place = {seed: i for i, seed in enumerate(pairs.seeds)}
    return pairs.differences[[place[seed] for seed in seeds]]


def _verdict(gain: float, p: float) -> str:
    if not np.isfinite(p):
        return ""
    if p > ALPHA:
        return INCONCLUSIVE
    return GROWS if gain > 0 else SHRINKS
