"""Conclusions from the effects at the ends of the window: a boundary to use, and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.signflip import smallest_p
from priorbench.study.study import BASELINE
from priorbench.study.trial import SETTING_COLUMNS

from .penalty_effects import GradientEffects, PenaltyEffects
from .tests_over_seeds import TABLE_COLUMNS, without_boundary
from .trained_models import TrainedEdges

Effects = Mapping[str, tuple[PenaltyEffects, GradientEffects]]
"""both kinds of effects, by the spec of the prior"""
NOTABLE = 0.05
"""share of what separates noise from one motif from which an effect is called notable"""


@dataclass(frozen=True)
class EdgeConclusion:
    """Which boundary to use for one prior, and why.

    Attributes:
        default: spec of the prior whose boundary is the default, which is periodic for Fourier.
        boundaries: specs that differ from it in the boundary, itself included.
        gentlest: spec of the boundary whose largest effect on the penalty is the smallest, of
            those whose effects have a scale; the default where its own have none.
        unscaled: boundaries whose effects have no scale, as noise and one motif cost the same.
        notable: whether the largest effect of the default reaches NOTABLE.
        tests: number of tests of a boundary against the default in trained models.
        seeds: largest number of paired seeds in those tests.
        reachable: whether so many seeds can give a significant difference at all.
        better: boundary and contrast of the tests that call a boundary better than the default.
        worse: boundary and contrast of the tests that call a boundary worse than the default.
        advised: spec of the gentlest boundary that no test calls worse than the default; ""
            where the default's effects have no scale.
        own: contrast and verdict of the tests that call the default different from the baseline.
        shared: items of ``own`` in which every boundary has the same verdict, so that it is not
            the boundary's doing.
    """

    default: str
    boundaries: Sequence[str]
    gentlest: str
    unscaled: Sequence[str]
    notable: bool
    tests: int
    seeds: int
    reachable: bool
    better: Sequence[tuple[str, str]]
    worse: Sequence[tuple[str, str]]
    advised: str
    own: Sequence[tuple[str, str]]
    shared: Sequence[tuple[str, str]]


def conclusions(effects: Effects, trained: Sequence[TrainedEdges]) -> list[EdgeConclusion]:
    """Return a conclusion for every prior of which several boundaries were examined."""
    groups: dict[str, list[str]] = {}
    for spec in effects:
        groups.setdefault(without_boundary(spec), []).append(spec)
    return [
        _conclusion(default, specs, effects, trained)
        for default, specs in groups.items()
        if len(specs) > 1 and default in specs
    ]


def _conclusion(
    default: str, specs: Sequence[str], effects: Effects, trained: Sequence[TrainedEdges]
) -> EdgeConclusion:
    table = trained_table(trained)
    rows = table[(table["baseline"] == default) & table["prior"].isin(specs)]
    own, shared = _against_baseline(default, specs, table)
    seeds = int(rows["n"].max()) if len(rows) else 0
    called: dict[str, list[tuple[str, str]]] = {"better": [], "worse": []}
    for prior, contrast, verdict in rows[["prior", "contrast", "verdict"]].to_numpy():
        called.get(verdict, []).append((str(prior), str(contrast)))
    size = {spec: effects[spec][0].largest for spec in specs}
    scaled = [spec for spec in specs if math.isfinite(size[spec])]
    if default not in scaled:  # there is nothing that another boundary could be gentler than
        scaled = []
    left = [spec for spec in scaled if spec not in dict(called["worse"])]
    return EdgeConclusion(
        default=default,
        boundaries=specs,
        gentlest=min(scaled, key=size.__getitem__, default=default),
        unscaled=[spec for spec in specs if math.isnan(size[spec])],
        notable=size[default] >= NOTABLE,
        tests=len(rows),
        seeds=seeds,
        reachable=seeds > 1 and rows["prior"].nunique() * smallest_p(seeds) <= ALPHA,
        better=called["better"],
        worse=called["worse"],
        advised=min(left, key=size.__getitem__, default=""),
        own=own,
        shared=shared,
    )


def _against_baseline(
    default: str, specs: Sequence[str], rows: pd.DataFrame
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the contrasts in which the default differs from none, and those in which all do."""
    called = rows[(rows["baseline"] == BASELINE) & rows["verdict"].isin(["better", "worse"])]
    own, shared = [], []
    for _, row in called[called["prior"] == default].iterrows():
        own.append((str(row["contrast"]), str(row["verdict"])))
        columns = ["task", "contrast", "verdict"]
        alike = called[(called[columns] == row[columns]).all(axis=1)]
        if set(specs) <= set(alike["prior"]):
            shared.append(own[-1])
    return own, shared


def summary_table(effects: Effects) -> pd.DataFrame:
    """Return one row per prior: its effects as single numbers."""
    return pd.DataFrame(
        {
            "prior": prior,
            "length": penalty.length,
            "noise_less_motif": penalty.noise - penalty.centre,
            "end_cost": penalty.end_cost,
            "wrap_gain": penalty.wrap_gain,
            "jump_cost": penalty.jump_cost,
            "noise_end_push": gradient.end_push,
            "noise_end_size": gradient.end_size,
            "far_end_push": gradient.far_push,
        }
        for prior, (penalty, gradient) in effects.items()
    )


def curve_tables(effects: Effects) -> dict[str, pd.DataFrame]:
    """Return every curve in full, long, by name: position, pairs, ramp, noise and pushes."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for prior, (penalty, gradient) in effects.items():
        columns: dict[str, dict[str, Any]] = {
            "position": {"start": penalty.start, "penalty": penalty.lone},
            "pairs": {
                name: getattr(penalty, name)
                for name in ("gap", "inside", "across", "gain_inside", "gain_across")
            },
            "ramp": {name: getattr(penalty, name) for name in ("level", "ramp", "tent")},
            "noise": {
                "distance": gradient.distance,
                "push": gradient.noise_push,
                "size": gradient.noise_size,
            },
            "pushes": {
                "position": np.arange(penalty.length),
                "ramp": gradient.ramp_push,
                "motif_at_start": gradient.start_push,
                "motif_in_middle": gradient.middle_push,
            },
        }
        for name, values in columns.items():
            tables.setdefault(name, []).append(pd.DataFrame({"prior": prior, **values}))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def trained_table(trained: Sequence[TrainedEdges]) -> pd.DataFrame:
    """Return the tests of every setting, one below the other."""
    if not trained:
        return pd.DataFrame(columns=[*TABLE_COLUMNS, *SETTING_COLUMNS])
    tables = [
        setting.table.assign(**{name: getattr(setting, name) for name in SETTING_COLUMNS})
        for setting in trained
    ]
    return pd.concat(tables, ignore_index=True)
