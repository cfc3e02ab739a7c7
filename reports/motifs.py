"""Motifs that TF-MoDISco discovered in the attributions, where a run searched for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench import Section
from priorbench.evaluation.motif_recovery import BestMatch, MotifRecovery, best_matches, recovered
from priorbench.metrics.tools.motif_set import FoundMotif, MotifSet
from priorbench.number_text import MISSING, exact_p
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE

from ._shared.figures.colours import BASE_COLOURS, INK, SOFT
from ._shared.figures.style import spec_lines, style
from ._shared.figures.svg import to_svg
from ._shared.page import not_drawn, render
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Matrices = Mapping[str, NDArray[np.float64]]
_SEEDS, _LISTED, _LOGOS = 20, 20, 3
"""largest numbers of seeds that are read, of known motifs that are listed, of logos of a prior"""
_COLUMN, _ROW = 2.5, 1.15  # inches
_BITS = 2.0


class Motifs(Section):
    """A table of the known motifs that were discovered, and logos of one seed."""

    title: ClassVar[str] = "Discovered motifs"
    position: ClassVar[int] = 42

    def render(self, run: Run) -> str:
        """Return a table and logos, setting by setting; empty for a run without discovery."""
        if not run.study.get("discovery"):
            return ""
        settings = settings_of(run)
        parts = [part for setting in settings[:MANY_SETTINGS] if (part := _setting(run, setting))]
        if not parts:
            return ""
        key = render("motifs_key", logos=_LOGOS)
        return Markup("").join([key, *parts, not_drawn(settings)])


def discovered(run: Run, setting: ComparedSetting) -> dict[str, dict[int, MotifSet]]:
    """Return the motifs of the lowest seeds by prior and seed; failed trials are left out."""
    rows = setting.rows[
        (setting.rows["status"] == DONE) & setting.rows["seed"].isin(setting.seeds[:_SEEDS])
    ]
    sets: dict[str, dict[int, MotifSet]] = {prior: {} for prior in setting.priors}
    for row in rows.drop_duplicates("trial").to_dict("records"):
        motifs = run.motifs(str(row["trial"]))
        if motifs is not None:
            sets[str(row["prior"])][int(row["seed"])] = motifs
    return sets


def chosen_seed(sets: Mapping[str, Mapping[int, MotifSet]]) -> int | None:
    """Return the seed whose logos are drawn: the lowest of those that most priors have.

    Args:
        sets: discovered motifs by prior and seed; the result is None if there are none.
    """
    counts = Counter(seed for of_prior in sets.values() for seed in of_prior)
    return min(counts, key=lambda seed: (-counts[seed], seed)) if counts else None


def _setting(run: Run, setting: ComparedSetting) -> Markup:
    dataset = run.datasets.get(setting.key)
    all_sets = discovered(run, setting)
    seed = chosen_seed(all_sets)
    if dataset is None or seed is None:
        return Markup("")
    known = dataset.motifs or dataset.database
    by_prior = {prior: recovered(sets, known) for prior, sets in all_sets.items()}
    names = _listed(known, by_prior)
    drawn = {prior: of_seed[seed] for prior, of_seed in all_sets.items() if seed in of_seed}
    return render(
        "motifs",
        setting=setting,
        names=names,
        more=len(known) - len(names),
        true=bool(dataset.motifs),
        rows=[_row(prior, by_prior[prior], names, all_sets[prior]) for prior in setting.priors],
        seed=seed,
        seeds=min(len(setting.seeds), _SEEDS),
        all_seeds=len(setting.seeds),
        svg=_draw(drawn, known, setting, seed) if any(s.motifs for s in drawn.values()) else "",
    )


def _listed(known: _Matrices, by_prior: Mapping[str, Sequence[MotifRecovery]]) -> list[str]:
    """Return all known motifs, or, of many, those that were discovered most often."""
    if len(known) <= _LISTED:
        return list(known)
    trials = dict.fromkeys(known, 0)
    for recoveries in by_prior.values():
        for recovery in recoveries:
            trials[recovery.motif] += len(recovery.seeds)
    often = sorted((name for name in known if trials[name]), key=lambda name: -trials[name])
    return often[:_LISTED]


def _row(
    prior: str,
    recoveries: Sequence[MotifRecovery],
    names: Sequence[str],
    sets: Mapping[int, MotifSet],
) -> dict[str, Any]:
    by_name = {recovery.motif: recovery for recovery in recoveries}
    return {
        "prior": prior,
        "seeds": len(sets),
        "motifs": f"{np.mean([len(s.motifs) for s in sets.values()]):.1f}" if sets else MISSING,
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
    """Return a row of logos for every prior: the motifs of most seqlets, with what they match."""
    from matplotlib.figure import Figure

    descriptions = []
    with style():
        figure = Figure(figsize=(_COLUMN * (_LOGOS + 0.4), _ROW * len(sets)), layout="constrained")
        grid = figure.subplots(len(sets), _LOGOS, squeeze=False)
        for row, (prior, motifs) in zip(grid, sets.items(), strict=True):
            matches = best_matches(motifs, known)
            shown = list(zip(motifs.motifs, matches, strict=True))[:_LOGOS]
            for axes, (motif, match) in zip(row, shown, strict=False):
                _logo(axes, motif, match)
            for axes in row[len(shown) :]:
                axes.axis("off")
            _name(row[0], prior, empty=not shown)
            names = ", ".join(match.motif if match.matches else "unknown" for _, match in shown)
            descriptions.append(f"{prior}: {names or 'nothing'}")
        return to_svg(
            figure, f"Motifs found in seed {seed} of {setting.title}; {'; '.join(descriptions)}"
        )


def _name(axes: Axes, prior: str, *, empty: bool) -> None:
    axes.annotate(
        spec_lines(prior) + ("\nnothing found" if empty else ""),
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
    """Return (4, width) heights of letters in bits: p (2 + sum p log2 p).

    The formula is that of Schneider & Stephens 1990, for a uniform background.

    Args:
        matrix: (4, width) probabilities.
    """
    logs = np.log2(matrix, where=matrix > 0, out=np.zeros_like(matrix))
    heights: NDArray[np.float64] = matrix * (_BITS + (matrix * logs).sum(axis=0))
    return heights
