"""Writes a run's tables as files: CSV, LaTeX, Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from priorbench.comparison.paired_runs import counted_scores, floors_of
from priorbench.errors import UserError
from priorbench.files import write_text
from priorbench.metrics import METRICS
from priorbench.results.finished_run import Run
from priorbench.results.tables import as_csv
from priorbench.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

_GROUP = [*SETTING_COLUMNS, "attribution", "metric", "axis"]
_LATEX_DIGITS = 3
_IN_LATEX = {
    "means": ["dataset", "prior", "metric", "n", "failed", "mean", "sd"],
    "comparisons": [
        *("dataset", "prior", "metric", "n", "difference", "ci_low", "ci_high"),
        *("p_adjusted", "verdict"),
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
    floors = floors_of(results)
    rows = []
    evaluated = results[results["stage"] == EVALUATE]
    for key, group in evaluated.groupby(_GROUP, sort=False):
        names = dict(zip(_GROUP, map(str, key), strict=True))
        floor = floors.get(tuple(names[column] for column in (*SETTING_COLUMNS, "metric")))
        values = counted_scores(group, METRICS[names["metric"]], floor)
        for prior, of_prior in group.assign(value=values).groupby("prior", sort=False):
            known = of_prior["value"].dropna()
            rows.append(
                {
                    **names,
                    "prior": prior,
                    "n": len(of_prior),
                    "failed": int((of_prior["status"] != DONE).sum()),
                    "mean": known.mean(),
                    "sd": known.std(ddof=1),
                }
            )
    columns = [*_GROUP, "prior", "n", "failed", "mean", "sd"]
    return pd.DataFrame(rows, columns=columns)


def export_tables(run: Run, folder: Path, kind: str) -> list[Path]:
    """Write results, comparisons and means; LaTeX leaves the long results out.

    Args:
        run: a finished run.
        folder: folder to write to; it is made if it is missing.
        kind: ``csv``, ``latex`` or ``parquet``.

    Raises:
        UserError: if ``parquet`` is requested and no package can write it.
    """
    tables = {
        "comparisons": run.comparisons,
        "means": means_table(run.results),
        "results": run.results,
    }
    folder.mkdir(parents=True, exist_ok=True)
    return _WRITERS[kind](tables, folder)


def _csv(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.csv")
        write_text(paths[-1], as_csv(table))
    return paths


def _parquet(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    if not any(importlib.util.find_spec(name) for name in ("pyarrow", "fastparquet")):
        raise UserError(
            "--format parquet: needs pyarrow, which is not installed; `pip install pyarrow`, or "
            "take --format csv"
        )
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.parquet")
        table.to_parquet(paths[-1], index=False)
    return paths


def _latex(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    paths = []
    for name, columns in _IN_LATEX.items():
        paths.append(folder / f"{name}.tex")
        write_text(paths[-1], latex_table(tables[name], columns))
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


_WRITERS: dict[str, Callable[[dict[str, pd.DataFrame], Path], list[Path]]] = {
    "csv": _csv,
    "latex": _latex,
    "parquet": _parquet,
}
