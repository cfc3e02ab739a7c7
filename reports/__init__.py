"""The report: one section per file, assembled into one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from priorbench.answer.run_answer import RunAnswer
    from priorbench.publish.entry import Entry
    from priorbench.results.finished_run import Run

    from ._shared.site.pages import SitePages


def write_report(directories: Sequence[Path], page: Path) -> RunAnswer:
    """Write one self-contained HTML page about a finished run, or several as one.

    Args:
        directories: run directories.
        page: the file to write; it is replaced whole or not at all.

    Returns:
        The answer at the top of the page.

    Raises:
        UserError: if a directory holds no finished run, or runs cannot be joined.
    """
    # every command finds this package through an entry point: plotting libraries wait for their use
    from priorbench.results.finished_run import load_run
    from priorbench.results.joined_run import join
    from priorbench.storage.files import write_text

    from ._shared.page import assemble

    run = join([load_run(directory) for directory in directories])
    write_text(page, assemble(run))
    return run.answer


def write_edges(
    folder: Path, *, priors: Sequence[str], length: int, run: Path | None = None
) -> list[Path]:
    """Write edges.html, its figures as SVG and PNG, and its numbers as CSV.

    Args:
        folder: folder to write to; it is made if missing, and files of the same names are replaced.
        priors: specs of priors that have a penalty on attributions.
        length: length of the window in bp.
        run: directory of a finished run of the task edges, for the part about trained models.

    Returns:
        The files, the page first.

    Raises:
        UserError: where the window is too short, a prior has no such penalty, or the run has no
            windows of that length.
    """
    from ._shared.edges.folder import write

    return write(folder, priors=priors, length=length, run=run)


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Write every figure of a run's report as SVG and PNG, and figures.csv that describes them.

    Args:
        run: a finished run.
        folder: folder to write to; it is made if missing, and files of the same names are replaced.

    Returns:
        The files, the table last.
    """
    from ._shared.figures.files import write

    return write(run, folder)


def site_pages(entries: Sequence[Entry]) -> SitePages:
    """Return the pages of a published folder: the table over all runs, and a page for each.

    Args:
        entries: the entries of the folder.
    """
    from ._shared.site.pages import site_pages as pages_of

    return pages_of(entries)
