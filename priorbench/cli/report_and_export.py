"""The commands `report` and `export`: a run as a page, or as files for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from .console import print_message
from .options import RunPath, argument, option


class Formats(StrEnum):
    """Formats that a run can be exported in."""

    csv = "csv"
    latex = "latex"
    parquet = "parquet"
    bigwig = "bigwig"
    modisco = "modisco"
    figures = "figures"


def report(
    directory: Annotated[
        list[Path],
        argument(
            does="Run directories; several are reported as one run.",
            example="runs/default-1a2b3c4d",
        ),
    ],
    out: Annotated[
        Path | None,
        option(
            does="File to write the page to.",
            default="report.html in the first run directory",
            example="all.html",
        ),
    ] = None,
) -> None:
    """Write the report of a run again, or one of several runs together.

    Trials that share task, data and network are compared as those of one run.

    Runs that do not agree on what decides their trials are refused.

    Example: priorbench report runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_study import report_writer

    page = out or directory[0] / "report.html"
    report_writer()(directory, page)
    print(page)


def export(
    directory: RunPath,
    kind: Annotated[
        Formats,
        option(
            "--format",
            does="What to write: tables (csv, latex, parquet), attributions (bigwig, modisco) or "
            "the report's figures.",
            default="",
        ),
    ],
    to: Annotated[
        Path | None,
        option(
            does="Folder to write to.",
            default="export/FORMAT in the run directory",
            example="for-paper",
        ),
    ] = None,
    attribution: Annotated[
        str | None,
        option(
            does="Attribution to write as bigwig or modisco, one that was scored.",
            default="the first of the run's study",
            example="deep-lift-shap",
        ),
    ] = None,
    each_trial: Annotated[
        bool,
        option(
            "--each-trial",
            does="Write the attributions of every seed too.",
            default="off, which writes their mean over seeds only",
        ),
    ] = False,
) -> None:
    """Write a run's tables, attributions or figures for other programs.

    Example: priorbench export runs/default-1a2b3c4d --format latex
    """
    from priorbench.export.formats import export_run

    folder = to or directory / "export" / str(kind)
    written = export_run(
        directory, folder, str(kind), attribution=attribution, each_trial=each_trial
    )
    for line in written.hints:
        print_message(line)
    for path in written.paths:
        print(path)
