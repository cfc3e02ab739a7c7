"""Writes a finished run in one of the formats of `priorbench export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from priorbench.components.registry import reports_package
from priorbench.errors import UserError
from priorbench.results.finished_run import load_run

from .tables import export_tables
from .tracks import export_bigwig, export_modisco

_TRACKS = {"bigwig": export_bigwig, "modisco": export_modisco}
_MODISCO_WINDOW = 400
"""the default of modisco's -w; no sequence may be shorter"""


@dataclass(frozen=True)
class ExportedFiles:
    """What an export has written.

    Attributes:
        paths: paths of the files.
        hints: lines that tell the user how to go on.
    """

    paths: Sequence[Path]
    hints: Sequence[str]


def export_run(
    root: Path, folder: Path, kind: str, *, attribution: str | None, each_trial: bool
) -> ExportedFiles:
    """Write a run in one format.

    Args:
        root: the run directory.
        folder: folder to write to.
        kind: ``csv``, ``latex``, ``parquet``, ``bigwig``, ``modisco`` or ``figures``.
        attribution: spec of an attribution that was scored, None for the first; for bigwig and
            modisco only.
        each_trial: whether every trial is written too; for bigwig and modisco only.

    Raises:
        UserError: if the run cannot be written in this format.
    """
    run = load_run(root)
    if kind not in _TRACKS:
        if attribution is not None or each_trial:
            raise UserError(
                f"--format {kind} writes no attributions; leave --attribution and --each-trial out"
            )
        if kind == "figures":
            return ExportedFiles(reports_package().write_figures(run, folder), [])
        return ExportedFiles(export_tables(run, folder, kind), [])
    spec = attribution or run.attributions[0]
    paths = _TRACKS[kind](run, folder, spec, each_trial=each_trial)
    if kind != "modisco":
        return ExportedFiles(paths, [])
    shortest = min(dataset.length for dataset in run.datasets.values())
    hint = (
        f"next: modisco motifs -s {paths[0]} -a {paths[1]} -n 2000 "
        f"-w {min(_MODISCO_WINDOW, shortest)} -o modisco.h5"
    )
    return ExportedFiles(paths, [hint])
