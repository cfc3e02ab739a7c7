"""A run's tables as files: CSV, LaTeX, Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from priorbench.comparison.paired_runs import REFERENCE, SETTING_COLUMNS, counted_scores
from priorbench.errors import UserError
from priorbench.evaluation import scoring
from priorbench.files import write_text
from priorbench.metrics import METRICS
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE
from priorbench.study.trial import EVALUATE

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
    """One row per setting, attribution, metric and prior: n, failed, mean and sd over seeds.

    Failed trials count as the worst outcome of all priors; a comparison counts them as the worst of
    its two arms.

    Args:
        results: with the columns of results.csv.
    """
    floors = results[(results["stage"] == REFERENCE) & (results["prior"] == scoring.RANDOM)]
    rows = []
    evaluated = results[results["stage"] == EVALUATE]
    for key, group in evaluated.groupby(_GROUP, sort=False):
        names = dict(zip(_GROUP, map(str, key), strict=True))
        of_setting = (floors[SETTING_COLUMNS].astype(str) == list(names.values())[:3]).all(axis=1)
        floor = floors.loc[of_setting & (floors["metric"] == names["metric"]), "value"]
        metric = METRICS[names["metric"]]
        values = counted_scores(group, metric, float(floor.iloc[0]) if len(floor) else None)
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
        folder: where to; is made if it is missing.
        kind: ``csv``, ``latex`` or ``parquet``.

    Raises:
        UserError: for ``parquet`` where nothing can write it.
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
        write_text(paths[-1], table.to_csv(index=False, lineterminator="\n"))
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
    for name, wanted in _IN_LATEX.items():
        paths.append(folder / f"{name}.tex")
        write_text(paths[-1], latex_table(tables[name], wanted))
    return paths


def latex_table(table: pd.DataFrame, wanted: list[str]) -> str:
    """A booktabs longtable, for ``\\usepackage{booktabs,longtable}``; all names are escaped.

    Args:
        table: what to show.
        wanted: columns; task, architecture and attribution come before them where they vary.
    """
    beside = ("task", "architecture", "attribution")
    # metrics of no attribution leave it empty
    first = [c for c in beside if table.loc[~table[c].isin(["", None]), c].nunique() > 1]
    shown = table[[*first, *wanted]]
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
