"""The scores of joined runs: every trial once, and the agreement of seeds that meet.

`joined_run.py` joins the runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from priorbench.evaluation.scoring import score_seeds
from priorbench.metrics import METRICS
from priorbench.study.trial import EVALUATE, REFERENCE, SETTING_COLUMNS

from .collect import RESULT_COLUMNS
from .finished_run import Run


def rows_of_all(runs: Sequence[Run], attributions: Sequence[str]) -> pd.DataFrame:
    """Return the rows of all runs, every trial once; in shared settings, the common scores."""
    known: set[str] = set()
    parts = []
    for run in runs:
        rows = run.results[run.results["attribution"].isin(["", *attributions])]
        parts.append(rows[(rows["stage"] == REFERENCE) | ~rows["trial"].isin(known)])
        known |= set(run.records)
    table = pd.concat(parts, ignore_index=True)
    once = [*SETTING_COLUMNS, "prior", "attribution", "metric"]
    repeated = (table["stage"] == REFERENCE) & table.duplicated(["stage", *once])
    return _with_common_scores(table[~repeated], runs).astype({"seed": "Int64"})


def _with_common_scores(table: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """Leave out the scores of evaluated trials that some run of their setting lacks."""
    key = [*SETTING_COLUMNS, "attribution", "metric"]
    measured = [
        run.results.loc[run.results["stage"] == EVALUATE, key].drop_duplicates() for run in runs
    ]
    counts = pd.concat(measured).value_counts()
    held = pd.concat([rows[SETTING_COLUMNS].drop_duplicates() for rows in measured]).value_counts()
    by_metric = pd.MultiIndex.from_frame(table[key])
    by_setting = pd.MultiIndex.from_frame(table[SETTING_COLUMNS])
    complete = counts.reindex(by_metric).to_numpy() == held.reindex(by_setting).to_numpy()
    kept: pd.DataFrame = table[complete | (table["stage"] != EVALUATE).to_numpy()]
    return kept.reset_index(drop=True)


def with_agreement(joined: Run) -> pd.DataFrame:
    """Return the results with the agreement of seeds anew, where seeds of several runs meet."""
    table = joined.results
    of_arm = table["metric"].map(lambda name: METRICS[name].of_arm)
    renewed, rows = pd.Series(False, index=table.index), []
    evaluated = table[table["stage"] == EVALUATE]
    for key, arm in evaluated.groupby([*SETTING_COLUMNS, "prior"], sort=False):
        # all arms of a setting: a run of one seed has no agreement for the others either
        if len(joined.runs_of(tuple(map(str, key[:-1])))) > 1:
            trials = arm.drop_duplicates("trial")
            renewed |= of_arm & table.index.isin(arm.index)
            for spec in joined.attributions:
                rows += _agreement_rows(joined, trials, spec)
    parts = [table[~renewed], pd.DataFrame(rows, columns=RESULT_COLUMNS)]
    return _in_order(pd.concat(parts, ignore_index=True)).astype({"seed": "Int64"})


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each trial together, by attribution and metric as in results.csv."""
    specs = ["", *dict.fromkeys(spec for spec in table["attribution"] if spec)]
    ranks = (
        ("trial", {trial: i for i, trial in enumerate(table["trial"].dropna().unique())}),
        ("attribution", {spec: i for i, spec in enumerate(specs)}),
        ("metric", {name: i for i, name in enumerate(METRICS)}),
    )
    keys = pd.DataFrame({column: table[column].map(rank) for column, rank in ranks})
    # rows of references have no trial, and come last in the order that they have
    keys.loc[keys["trial"].isna(), ["attribution", "metric"]] = 0
    order = keys.sort_values(["trial", "attribution", "metric"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _agreement_rows(joined: Run, trials: pd.DataFrame, spec: str) -> list[dict[str, Any]]:
    """Make one row per trial of an arm and metric of agreement; NaN for trials that failed."""
    tracks = {
        trial: arrays.attribution
        for trial in trials["trial"]
        if (arrays := joined.arrays(trial, spec)) is not None
    }
    scores = dict(zip(tracks, score_seeds(list(tracks.values())), strict=True))
    known = set(joined.results.loc[joined.results["stage"] == EVALUATE, "metric"])
    every = [metric for metric in METRICS.values() if metric.scope == "seeds"]
    # runs of one seed have none of them
    names = [metric for metric in every if metric.name in known] or every
    return [
        {
            **{str(key): row[key] for key in row},
            "attribution": spec,
            "metric": metric.name,
            "axis": metric.axis,
            "value": scores.get(row["trial"], {}).get(metric.name, float("nan")),
            "higher_is_better": metric.higher_is_better,
        }
        for row in trials.to_dict("records")
        for metric in names
    ]
