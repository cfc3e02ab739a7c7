"""The commands `report`, `export` and `publish`: a run as a page, as files, on a site of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .console import print_answer, print_message


def report(directory: list[Path], *, out: Path | None = None) -> None:
    """Write the report of a run again, or one of several runs together.

    Trials that share task, data and network are compared as those of one run.

    Runs that do not agree on what decides their trials are refused.

    Example: priorbench report runs/default-1a2b3c4d

    Args:
        directory: Run directories; several are reported as one run. Example: runs/default-1a2b3c4d
        out: File to write the page to. Default: report.html in the first run directory. Example:
            all.html
    """
    from priorbench.components.registry import reports_package

    page = out or directory[0] / "report.html"
    print_answer(reports_package().write_report(directory, page))
    print(page)


def export(
    directory: Path,
    *,
    format: Literal["csv", "latex", "parquet", "bigwig", "modisco", "figures"],
    to: Path | None = None,
    attribution: str | None = None,
    each_trial: bool = False,
) -> None:
    """Write a run's tables, attributions or figures for other programs.

    Example: priorbench export runs/default-1a2b3c4d --format latex

    Args:
        format: What to write: tables (csv, latex, parquet), attributions (bigwig, modisco) or the
            report's figures.
        to: Folder to write to. Default: export/FORMAT in the run directory. Example: for-paper
        attribution: Attribution to write as bigwig or modisco, one that was scored. Default: the
            first of the run's study. Example: deep-lift-shap
        each_trial: Write the attributions of every seed too. Default: off, which writes their mean
            over seeds only.
    """
    from priorbench.export.formats import export_run

    folder = to or directory / "export" / format
    written = export_run(directory, folder, format, attribution=attribution, each_trial=each_trial)
    for line in written.hints:
        print_message(line)
    for path in written.paths:
        print(path)


def publish(
    directory: list[Path], *, to: Path, apart: bool = False, entries_only: bool = False
) -> None:
    """Publish runs to a folder: a table over all of them, and a page and the tables of each.

    The pages work from a disk as well as from a server, and load nothing. Runs
    that the folder has stay. Runs of one study are pooled, and refused where
    they cannot be compared.

    Example: priorbench publish runs/default-1a2b3c4d --to site

    Args:
        directory: Run directories, or folders that others have published, all of whose runs are
            taken over. Example: runs/default-1a2b3c4d
        to: Folder to publish to, one that is empty or was published to before. Example: site
        apart: Publish every run by itself, also those of one study. Default: off.
        entries_only: Write what pages are made of, compressed, and no page, to keep it beside code.
            Default: off.
    """
    from priorbench.publish.publish_runs import publish_runs

    site = publish_runs(directory, to, apart=apart, entries_only=entries_only, say=print_message)
    for name in site.replaced:
        print_message(f"replaced: {name}")
    for name in site.new:
        print_message(f"new: {name}")
    print(to if entries_only else to / "index.html")
