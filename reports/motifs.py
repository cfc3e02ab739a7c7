"""Motifs that TF-MoDISco found in the attributions, where a run has looked for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench import Section
from priorbench.evaluation.motif_recovery import BestMatch, MotifRecovery, best_matches, recovered
from priorbench.metrics.motif_set import FoundMotif, MotifSet
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from ._shared.figures.colours import BASE_COLOURS, INK, SOFT, style
from ._shared.figures.svg import to_svg
from ._shared.numbers import MISSING, exact_p
from ._shared.page import render
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Matrices = Mapping[str, NDArray[np.float64]]
_SEEDS, _LISTED, _LOGOS = 20, 20, 3
"""at most so many seeds are read, known motifs listed, and logos drawn a prior"""
_COLUMN, _ROW = 2.5, 1.15  # inches
_BITS = 2.0


class Motifs(Section):
    """A table of the known motifs found, and logos of one seed."""

    title: ClassVar[str] = "Discovered motifs"
    position: ClassVar[int] = 42

    def render(self, run: Run) -> str:
        """See Section."""
        if not run.study.get("discovery"):
            return ""
        found = settings_of(run)
        parts = [part for setting in found[:MANY_SETTINGS] if (part := _setting(run, setting))]
        if not parts:
            return ""
        parts.insert(0, render("motifs_key", logos=_LOGOS))
        rest = found[MANY_SETTINGS:]
        more = [render("not_drawn", settings=rest, many=MANY_SETTINGS)] if rest else []
        return Markup("").join([*parts, *more])


def discovered(run: Run, setting: ComparedSetting) -> dict[str, dict[int, MotifSet]]:
    """What was found, by prior and seed, in the lowest seeds; failed trials are left out."""
    rows = setting.rows[
        (setting.rows["status"] == DONE) & setting.rows["seed"].isin(setting.seeds[:_SEEDS])
    ]
    found: dict[str, dict[int, MotifSet]] = {prior: {} for prior in setting.priors}
    for row in rows.drop_duplicates("trial").to_dict("records"):
        motifs = run.motifs(str(row["trial"]))
        if motifs is not None:
            found[str(row["prior"])][int(row["seed"])] = motifs
    return found


def chosen_seed(found: Mapping[str, Mapping[int, MotifSet]]) -> int | None:
    """The seed whose logos are drawn: the lowest of those that most priors have; None if none."""
    counts: dict[int, int] = {}
    for sets in found.values():
        for seed in sets:
            counts[seed] = counts.get(seed, 0) + 1
    return min(counts, key=lambda seed: (-counts[seed], seed)) if counts else None


def _setting(run: Run, setting: ComparedSetting) -> Markup:
    dataset = run.datasets.get(setting.key)
    found = discovered(run, setting)
    seed = chosen_seed(found)
    if dataset is None or seed is None:
        return Markup("")
    known = dataset.motifs or dataset.database
    by_prior = {prior: recovered(sets, known) for prior, sets in found.items()}
    names = _listed(known, by_prior)
    sets = {prior: of_seed[seed] for prior, of_seed in found.items() if seed in of_seed}
    return render(
        "motifs",
        setting=setting,
        names=names,
        more=len(known) - len(names),
        true=bool(dataset.motifs),
        rows=[_row(prior, by_prior[prior], names, found[prior]) for prior in setting.priors],
        seed=seed,
        seeds=min(len(setting.seeds), _SEEDS),
        all_seeds=len(setting.seeds),
        svg=_draw(sets, known, setting, seed) if any(one.motifs for one in sets.values()) else "",
    )


def _listed(known: _Matrices, by_prior: Mapping[str, Sequence[MotifRecovery]]) -> list[str]:
    """All known motifs, or, of a database of many, those that some trial found."""
    if len(known) <= _LISTED:
        return list(known)
    best = dict.fromkeys(known, 0)
    for found in by_prior.values():
        for one in found:
            best[one.motif] += len(one.seeds)
    often = sorted((name for name in known if best[name]), key=lambda name: -best[name])
    return often[:_LISTED]


def _row(
    prior: str, found: Sequence[MotifRecovery], names: Sequence[str], sets: Mapping[int, MotifSet]
) -> dict[str, Any]:
    by_name = {one.motif: one for one in found}
    return {
        "prior": prior,
        "seeds": len(sets),
        "motifs": f"{np.mean([len(one.motifs) for one in sets.values()]):.1f}" if sets else MISSING,
        "cells": [
            {"count": len(by_name[name].seeds), "q": _q_text(by_name[name].smallest_q)}
            for name in names
        ],
    }


def _q_text(q: float) -> str:
    return f"{q:.0e}" if q < 0.001 else exact_p(q)


def _draw(
    sets: Mapping[str, MotifSet], known: _Matrices, setting: ComparedSetting, seed: int
) -> Markup:
    """A row a prior: the motifs of most seqlets, with what they match."""
    from matplotlib.figure import Figure

    told = []
    with style():
        figure = Figure(figsize=(_COLUMN * (_LOGOS + 0.4), _ROW * len(sets)), layout="constrained")
        grid = figure.subplots(len(sets), _LOGOS, squeeze=False)
        for row, (prior, found) in zip(grid, sets.items(), strict=True):
            matches = best_matches(found, known)
            shown = list(zip(found.motifs, matches, strict=True))[:_LOGOS]
            for axes, (motif, match) in zip(row, shown, strict=False):
                _logo(axes, motif, match)
            for axes in row[len(shown) :]:
                axes.axis("off")
            _name(row[0], prior, empty=not shown)
            names = ", ".join(match.motif if match.matches else "unknown" for _, match in shown)
            told.append(f"{prior}: {names or 'nothing'}")
        return to_svg(figure, f"Motifs found in seed {seed} of {setting.title}; {'; '.join(told)}")


def _name(axes: Axes, prior: str, *, empty: bool) -> None:
    text = prior.replace(":", "\n").replace("+", "\n+") + ("\nnothing found" if empty else "")
    axes.annotate(
        text,
        (-0.16, 0.5),
        xycoords="axes fraction",
        ha="right",
        va="center",
        fontsize=9,
        color=INK,
        parse_math=False,
    )


def _logo(axes: Axes, motif: FoundMotif, match: BestMatch) -> None:
    from tangermeme.plot import plot_logo

    plot_logo(information(motif.matrix), ax=axes, color=BASE_COLOURS)
    axes.set_ylim(0, _BITS)
    axes.set_yticks([0, _BITS])
    axes.set_xticks([])
    axes.tick_params(length=0)
    sign = "" if motif.sign > 0 else "negative, "
    like = f"{match.motif}, q {_q_text(match.q)}" if match.matches else "no known motif"
    axes.set_title(
        f"{like} ({sign}{motif.seqlets} seqlets)", fontsize=7.5, color=SOFT, parse_math=False
    )


def information(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, width) heights of letters in bits: p (2 + sum p log2 p) (Schneider & Stephens 1990)."""
    logs = np.log2(matrix, where=matrix > 0, out=np.zeros_like(matrix))
    heights: NDArray[np.float64] = matrix * (_BITS + (matrix * logs).sum(axis=0))
    return heights
