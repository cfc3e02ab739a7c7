"""Writes a finished run in one of the formats of `priorbench export`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    return ExportedFiles(paths, [*map(_modisco_command, _first_pairs(paths))])


def _first_pairs(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return the sequences of every setting, with the first attributions that belong to them."""
    by_folder: dict[Path, list[Path]] = {}
    for path in paths:
        by_folder.setdefault(path.parent, []).append(path)
    return [(files[0], files[1]) for files in by_folder.values()]


def _modisco_command(pair: tuple[Path, Path]) -> str:
    """Return the line that says how TF-MoDISco reads files, with a window that fits into them."""
    sequences, attributions = pair
    with np.load(sequences) as arrays:
        length = arrays["arr_0"].shape[2]
    motifs = sequences.parent / "modisco.h5"
    files = " ".join(
        f"{option} {shlex.quote(str(path))}"
        for option, path in (("-s", sequences), ("-a", attributions), ("-o", motifs))
    )
    return f"next: modisco motifs {files} -n 2000 -w {min(_MODISCO_WINDOW, length)}"
