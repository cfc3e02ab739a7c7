"""The figures of a report as files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from priorbench.components import registry
from priorbench.files import write_text
from priorbench.results.finished_run import Run

from ._figures import handed_to, save, stem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(run: Run, folder: Path) -> list[Path]:
    """See :func:`priorbench.reports.write_figures`."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = {name: registry.load("report", name)() for name in registry.components("report")}
    paths: list[Path] = []
    rows: list[tuple[str, str, str]] = []
    for name, section in sorted(sections.items(), key=lambda item: item[1].position):

        def keep(figure: Figure, label: str, name: str = name) -> None:
            stem = f"{name}-{stem_of(len(rows) + 1, label)}"
            rows.append((stem, name, label))
            paths.extend(save(figure, folder / stem))

        with handed_to(keep):
            section.render(run)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([("figure", "section", "shows"), *rows])
    write_text(folder / "figures.csv", buffer.getvalue())
    return [*paths, folder / "figures.csv"]
