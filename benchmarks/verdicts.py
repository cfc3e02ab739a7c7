"""Whether two ways of training a study give the same scores and verdicts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measuring import Row

from priorbench.metrics import get_metric
from priorbench.results.tables import read_table
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.signflip import sign_flip_p
from priorbench.storage.run_directory import RunDirectory

KEY = ["task", "dataset", "architecture", "prior", "attribution", "metric"]


def verdicts(run: Path, other: Path) -> Iterator[Row]:
    """Compare two runs of one study, such as one with `--ensemble 10` and one without.

    Scores are compared arm by arm over the seeds (sign-flip test, Holm's method over all), those of
    agreement between seeds without a test: they share trials. Verdicts are in comparisons.csv.
    """
    pairs = paired_verdicts(run, other)
    for table in (paired_scores(run, other, set(pairs["metric"])), pairs):
        yield from table.drop(columns=KEY[:3]).to_dict("records")
    same = int((pairs["verdict_run"] == pairs["verdict_other"]).sum())
    yield {"same verdicts": f"{same} of {len(pairs)}"}


def paired_verdicts(run: Path, other: Path) -> pd.DataFrame:
    """Return primary comparisons with both differences, adjusted p and verdicts."""
    tables = [_read(folder, "comparisons", "family == 'primary'") for folder in (run, other)]
    columns = [*KEY, "difference", "p_adjusted", "verdict"]
    pairs = tables[0][columns].merge(
        tables[1][columns], on=KEY, suffixes=("_run", "_other"), validate="one_to_one"
    )
    if len(pairs) < max(map(len, tables)):
        sys.exit(f"{run} and {other} hold different comparisons; give two runs of one study")
    return pairs


def paired_scores(run: Path, other: Path, metrics: set[str]) -> pd.DataFrame:
    """Return means, differences and p of every arm and metric, over the seeds."""
    tables = [_read(folder, "results", "stage == 'evaluate'") for folder in (run, other)]
    both = tables[0].merge(tables[1], on=[*KEY, "seed"], suffixes=("_run", "_other"))
    both = both[both["metric"].isin(metrics)]
    arms = both.assign(difference=both["value_other"] - both["value_run"]).groupby(KEY, sort=False)
    scores = arms.agg(
        seeds=("seed", "size"),
        run=("value_run", "mean"),
        other=("value_other", "mean"),
        difference=("difference", "mean"),
        deviation=("difference", "std"),
        deviation_of_seeds=("value_run", "std"),
        p=("difference", lambda values: sign_flip_p(values.to_numpy())),
    ).reset_index()
    scores["p"] = scores["p"].where([not get_metric(name).of_arm for name in scores["metric"]])
    return scores.assign(p_adjusted=adjust(scores["p"].to_numpy(dtype=float), HOLM))


def _read(folder: Path, name: str, rows: str) -> pd.DataFrame:
    return read_table(RunDirectory(folder), f"{name}.csv").query(rows)
