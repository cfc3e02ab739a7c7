"""Writes a run's tables as files: CSV, LaTeX, Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from priorbench.comparison.paired_runs import counted_scores
from priorbench.comparison.skill import UNKNOWN_RANGE, score_ranges
from priorbench.errors import UserError
from priorbench.metrics import METRICS
from priorbench.results.finished_run import Run
from priorbench.results.tables import as_csv
from priorbench.storage.files import write_text, writing
from priorbench.storage.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

_GROUP = [*SETTING_COLUMNS, "attribution", "metric", "axis"]
_LATEX_DIGITS = 3
_IN_LATEX = {
    "means": ["dataset", "prior", "metric", "n", "failed", "mean", "sd"],
    "comparisons": [
        *("dataset", "prior", "metric", "n", "difference", "ci_low", "ci_high"),
        *("p_adjusted", "verdict"),
    ],
    "published": [
        *("dataset", "prior", "metric", "published_mean", "published_sd", "n", "mean"),
        *("ci_low", "ci_high", "verdict"),
    ],
}
"""columns that fit a page, beside those that vary in the run"""


def means_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return n, failed, mean and sd over seeds by setting, attribution, metric and prior.

    Failed trials count as the worst outcome of all priors; a comparison counts them as the worst of
    its two arms.

    Args:
        results: a table with the columns of results.csv.
    """
    ranges = score_ranges(results)
    rows = []
    evaluated = results[results["stage"] == EVALUATE]
    for key, group in evaluated.groupby(_GROUP, sort=False):
        names = dict(zip(_GROUP, map(str, key), strict=True))
        place = tuple(names[column] for column in (*SETTING_COLUMNS, "metric"))
        floor = ranges.get(place, UNKNOWN_RANGE).floor
        values = counted_scores(group, METRICS[names["metric"]], floor)
        for prior, of_prior in group.assign(value=values).groupby("prior", sort=False):
            known = of_prior["value"].dropna()
            failed = int((of_prior["status"] != DONE).sum())
            summary = (prior, len(of_prior), failed, known.mean(), known.std(ddof=1))
            rows.append((*names.values(), *summary))
    columns = [*_GROUP, "prior", "n", "failed", "mean", "sd"]
    return pd.DataFrame(rows, columns=columns)


def export_tables(run: Run, folder: Path, kind: str) -> list[Path]:
    """Write results, comparisons and means; LaTeX leaves the long results out.

    Published values are written beside ours where the study names any.

    Args:
        run: a finished run.
        folder: folder to write to; it is made if it is missing.
        kind: ``csv``, ``latex`` or ``parquet``.

    Raises:
        UserError: if ``parquet`` is requested and no package can write it.
    """
    if kind == "parquet" and not any(map(importlib.util.find_spec, ("pyarrow", "fastparquet"))):
        raise UserError(
            "--format parquet: needs pyarrow, which is not installed; "
            "pip install 'priorbench[parquet]', or take --format csv"
        )
    results = run.results
    tables = {"comparisons": run.comparisons, "means": means_table(results), "results": results}
    if not run.published.empty:
        tables["published"] = run.published
    folder.mkdir(parents=True, exist_ok=True)
    ending = "tex" if kind == "latex" else kind
    names = [name for name in (_IN_LATEX if kind == "latex" else tables) if name in tables]
    paths = [folder / f"{name}.{ending}" for name in names]
    for path in paths:
        with writing(path):
            _WRITERS[kind](tables[path.stem], path)
    return paths


def latex_table(table: pd.DataFrame, columns: list[str]) -> str:
    """Return a booktabs longtable, for ``\\usepackage{booktabs,longtable}``; names are escaped.

    Args:
        table: what to show.
        columns: columns to show; task, architecture and attribution come before them where they
            vary.
    """
    beside = ("task", "architecture", "attribution")
    # metrics of no attribution leave it empty
    first = [c for c in beside if table.loc[~table[c].isin(["", None]), c].nunique() > 1]
    shown = table[[*first, *columns]]
    text = shown.to_latex(
        index=False,
        escape=True,
        longtable=True,
        na_rep="--",
        float_format=lambda value: f"{value:.{_LATEX_DIGITS}f}",
    )
    return f"% \\usepackage{{booktabs,longtable}}\n{text}"


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": lambda table, path: write_text(path, as_csv(table)),
    "latex": lambda table, path: write_text(path, latex_table(table, _IN_LATEX[path.stem])),
    "parquet": lambda table, path: table.to_parquet(path, index=False),
}
