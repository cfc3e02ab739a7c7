"""Figures of a report as files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from priorbench.results.finished_run import Run
from priorbench.storage.files import write_text

from ..page import sections
from .style import style
from .svg import handed_to

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 200
_LONGEST = 60
"""letters of a file's name, beside the section and the number"""


def write(run: Run, folder: Path) -> list[Path]:
    """Write every figure of a run's report, as :func:`priorbench.reports.write_figures` says."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    rows: list[tuple[str, str, str]] = []
    for name, section in sections().items():

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


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as ``stem.svg`` and ``stem.png``, on white; the same bytes every time.

    Curves that have labels get a legend: on a page the key stands beside the figure.

    Args:
        figure: figure that was drawn within :func:`~.style.style`.
        stem: path without an ending.

    Returns:
        The two files.
    """
    import matplotlib

    handles = [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    if handles:
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a dollar in a name is no formula
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "png")]
    with style(), matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        figure.savefig(paths[0], facecolor="white", metadata={"Date": None})
        figure.savefig(paths[1], facecolor="white", dpi=_DPI)
    return paths


def stem_of(number: int, label: str) -> str:
    """Return a file name without an ending: the figure's number and the beginning of its label."""
    beginning = re.split(r"[:;,] ", label)[0].lower()
    words = re.sub(r"[^a-z0-9]+", "-", beginning).strip("-")
    # cut between words, unless there is only one
    short = words if len(words) <= _LONGEST else words[: _LONGEST + 1].rpartition("-")[0]
    return f"{number:02d}-{short or words[:_LONGEST]}".rstrip("-")
