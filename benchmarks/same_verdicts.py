"""Do two ways of training the same study give the same scores and verdicts?

`python benchmarks/same_verdicts.py RUN OTHER` compares two run directories of one study, such as
one with `--ensemble 10` or `--precision bf16` and one without. Scores are compared arm by arm over
the seeds (sign-flip test, Holm's method over all arms and metrics); scores of agreement between
seeds share trials, so that there is no such test of them. Verdicts are those of comparisons.csv.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from priorbench.metrics import get_metric
from priorbench.statistics.multiplicity import HOLM, adjust
from priorbench.statistics.signflip import sign_flip_p

KEY = ["task", "dataset", "architecture", "prior", "attribution", "metric"]


@dataclass(frozen=True)
class Agreement:
    """What came of it.

    Attributes:
        scores: a row per arm and metric: mean of either way, mean difference, its standard
            deviation over the seeds and that of the scores themselves, p and adjusted p.
        verdicts: a row per primary comparison, with both differences, adjusted p and verdicts.
    """

    scores: pd.DataFrame
    verdicts: pd.DataFrame

    @property
    def same(self) -> int:
        """How many verdicts are the same."""
        return int((self.verdicts["verdict_one"] == self.verdicts["verdict_other"]).sum())


def compare(one: Path, other: Path) -> Agreement:
    tables = [_read(folder, "comparisons.csv") for folder in (one, other)]
    primary = [table[table["family"] == "primary"] for table in tables]
    columns = [*KEY, "difference", "p_adjusted", "verdict"]
    verdicts = primary[0][columns].merge(
        primary[1][columns], on=KEY, suffixes=("_one", "_other"), validate="one_to_one"
    )
    if len(verdicts) < max(map(len, primary)):
        sys.exit(f"{one} and {other} hold different comparisons; give two runs of one study")
    metrics = set(verdicts["metric"])
    scores = pd.DataFrame(_scores(one, other, metrics))
    scores["p_adjusted"] = adjust(scores["p"].to_numpy(dtype=float), HOLM)
    return Agreement(scores, verdicts)


def _scores(one: Path, other: Path, metrics: set[str]) -> Iterator[dict[str, object]]:
    tables = []
    for folder in (one, other):
        table = _read(folder, "results.csv")
        kept = table[(table["stage"] == "evaluate") & table["metric"].isin(metrics)]
        tables.append(kept[[*KEY, "seed", "value"]])
    merged = tables[0].merge(tables[1], on=[*KEY, "seed"], suffixes=("_one", "_other"))
    for key, rows in merged.groupby(KEY, sort=False):
        values, others = rows["value_one"].to_numpy(), rows["value_other"].to_numpy()
        difference = others - values
        tested = not get_metric(str(key[-1])).of_arm
        yield {
            **dict(zip(KEY, key, strict=True)),
            "seeds": len(rows),
            "one": values.mean(),
            "other": others.mean(),
            "difference": difference.mean(),
            "deviation": difference.std(ddof=1),
            "deviation_of_seeds": values.std(ddof=1),
            "p": sign_flip_p(difference) if tested else np.nan,
        }


def _read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, dtype={"attribution": str}).fillna({"attribution": ""})


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    columns = ["prior", "metric", "seeds", "one", "other", "difference", "deviation"]
    columns += ["deviation_of_seeds", "p", "p_adjusted"]
    print(found.scores[columns].round(4).to_string(index=False))
    print()
    print(found.verdicts.drop(columns=KEY[:3]).round(4).to_string(index=False))
    print(f"\n{found.same} of {len(found.verdicts)} verdicts are the same.")


if __name__ == "__main__":
    main()
