"""The report: one section per file, assembled into one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_report(directories: Sequence[Path], page: Path) -> None:
    """Write one self-contained HTML page about one or several finished runs.

    Args:
        directories: run directories, shown one after the other.
        page: the file to write; it is replaced whole or not at all.

    Raises:
        UserError: if a directory holds no finished run.
    """
    # found through an entry point by every command: plotting libraries are imported on use
    from priorbench import registry
    from priorbench.results import load_run
    from priorbench.store import write_text

    from ._page import assemble

    runs = [load_run(directory) for directory in directories]
    sections = [registry.load("report", name)() for name in registry.components("report")]
    write_text(page, assemble(runs, sorted(sections, key=lambda section: section.position)))
