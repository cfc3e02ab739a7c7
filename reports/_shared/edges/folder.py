"""Folder that `priorbench edges` writes: a page, its figures and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import priorbench
from priorbench import UserError
from priorbench.components import registry
from priorbench.edges.penalty_effects import effects_of
from priorbench.edges.summary import curve_tables, summary_table, trained_table
from priorbench.edges.trained_models import TrainedEdges, trained_edges
from priorbench.results.finished_run import load_run
from priorbench.storage.files import write_text

from ..figures.files import save, stem_of
from ..figures.svg import handed_to
from ..page import render
from .page_body import body

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(folder: Path, *, priors: Sequence[str], length: int, run: Path | None) -> list[Path]:
    """Write the folder, as :func:`priorbench.reports.write_edges` says."""
    effects = effects_of([(spec, registry.load_prior(spec)) for spec in priors], length)
    trained = _trained(run, length) if run else []
    figures: list[Path] = []
    (folder / "figures").mkdir(parents=True, exist_ok=True)

    def keep(figure: Figure, label: str) -> None:
        stem = stem_of(len(figures) // 2 + 1, label)
        figures.extend(save(figure, folder / "figures" / stem))

    with handed_to(keep):
        content = body(effects, trained)
    page = folder / "edges.html"
    version = priorbench.__version__
    write_text(page, f"{render('edges_page', length=length, body=content, version=version)}\n")
    tables = {"effects": summary_table(effects), **curve_tables(effects)}
    if trained:
        tables["trained"] = trained_table(trained)
    for name, table in tables.items():
        path = folder / "tables" / f"{name}.csv"
        write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return [page, *figures, *(folder / "tables" / f"{name}.csv" for name in tables)]


def _trained(root: Path, length: int) -> list[TrainedEdges]:
    settings = trained_edges(load_run(root))
    if not settings:
        raise UserError(
            f"{root}: no task of this run says where motifs stand; give a run of the study edges"
        )
    fitting = [setting for setting in settings if setting.length == length]
    if not fitting:
        lengths = ", ".join(str(n) for n in sorted({setting.length for setting in settings}))
        raise UserError(
            f"{root}: has windows of {lengths} bp, not {length}; give --length {lengths}"
        )
    return fitting
