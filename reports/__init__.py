"""The report: one section per file, assembled into one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from priorbench.results.finished_run import Run


def write_report(directories: Sequence[Path], page: Path) -> None:
    """Write one self-contained HTML page about a finished run, or several as one.

    Args:
        directories: run directories.
        page: the file to write; it is replaced whole or not at all.

    Raises:
        UserError: if a directory holds no finished run, or runs cannot be joined.
    """
    # found through an entry point by every command: plotting libraries are imported on use
    from priorbench.components import registry
    from priorbench.files import write_text
    from priorbench.results.finished_run import load_run
    from priorbench.results.joined_run import join

    from ._shared.page import assemble

    run = join([load_run(directory) for directory in directories])
    sections = [registry.load("report", name)() for name in registry.components("report")]
    write_text(page, assemble(run, sorted(sections, key=lambda section: section.position)))


def write_edges(
    folder: Path, *, priors: Sequence[str], length: int, run: Path | None = None
) -> list[Path]:
    """Write edges.html, its figures as SVG and PNG, and its numbers as CSV.

    Args:
        folder: is made if it is missing; files of the same names are replaced.
        priors: specs of priors that have a penalty on attributions.
        length: of the window in bp.
        run: a finished run of the task edges, for the part about trained models.

    Returns:
        the files, the page first.

    Raises:
        UserError: for a window that is too short, a prior without such a penalty, or a run
            that has nothing to say about windows of that length.
    """
    from ._shared.edges.folder import write

    return write(folder, priors=priors, length=length, run=run)


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Write every figure of a run's report as SVG and PNG, and figures.csv that describes them.

    Args:
        run: a finished run.
        folder: is made if it is missing; files of the same names are replaced.
    """
    from ._shared.figures.files import write

    return write(run, folder)
