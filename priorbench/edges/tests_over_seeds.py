"""Tests of contrasts over seeds: priors against none, and boundaries against the default.

Priors are compared by the number that a contrast gives a trial (`contrasts.py`), seed by seed, so
that what is tested is a difference in differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from priorbench.comparison.within_dataset import DIFFERENCE_COLUMNS, judged_rows
from priorbench.components.specs import split_spec
from priorbench.statistics.families.multiplicity import HOLM
from priorbench.statistics.families.verdicts import Evidence
from priorbench.statistics.paired import impute_failures, paired_difference
from priorbench.study.study import BASELINE

from .contrasts import CONTRASTS

TABLE_COLUMNS = ("contrast", "prior", "baseline", "failed", *DIFFERENCE_COLUMNS)


def edge_table(values: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Test the paired difference of each prior to its baseline, contrast by contrast.

    Failed and collapsed trials count as the worst of all values of a contrast and of 0, which is
    what a random attribution has. p is adjusted by Holm's method over the priors with the same
    baseline, contrast by contrast.

    Args:
        values: one row per trial, with the columns prior, seed, failed, and one for each contrast.
        pairs: priors, each with its baseline.

    Returns:
        a table with TABLE_COLUMNS, one row per contrast and prior; verdicts are ``better``,
        ``worse`` and ``inconclusive``, or "" where a single pair gives no p.
    """
    rows: list[dict[str, Any]] = []
    for contrast in CONTRASTS:
        if contrast.name in values and values[contrast.name].notna().any():
            counted = impute_failures(
                values[contrast.name].to_numpy(dtype=float),
                values["failed"].to_numpy(dtype=bool),
                higher_is_better=contrast.higher_is_better,
                floor=0.0,  # a random attribution is the same at all places
            )
            table = values.assign(value=counted)
            wide, failed = (
                table.pivot_table(index="seed", columns="prior", values=name)
                for name in ("value", "failed")
            )
            for baseline in dict.fromkeys(base for _, base in pairs):
                arms = [prior for prior, base in pairs if base == baseline]
                family = list(_differences(wide, failed, arms, baseline))
                signs = [1.0 if contrast.higher_is_better else -1.0] * len(family)
                evidence = [
                    Evidence(sign * row.pop("differences"), row["p"])
                    for sign, row in zip(signs, family, strict=True)
                ]
                judged = judged_rows(family, signs, evidence, correction=HOLM)
                rows += [{"contrast": contrast.name, **row} for row in judged]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _differences(
    wide: pd.DataFrame, failed: pd.DataFrame, arms: Sequence[str], baseline: str
) -> Iterator[dict[str, Any]]:
    for prior in arms:
        pairs = wide.reindex(columns=[baseline, prior]).dropna()
        if len(pairs):
            base, own = (pairs[arm].to_numpy(dtype=float) for arm in (baseline, prior))
            lost = failed.loc[pairs.index, [baseline, prior]].sum().sum()
            arm = {"prior": prior, "baseline": baseline, "failed": int(lost)}
            differences = pd.Series(own - base, index=pairs.index).reindex(wide.index)
            tested = {"differences": differences.to_numpy(dtype=float)}
            yield {**arm, **tested, **vars(paired_difference(base, own))}


def pairs_of(priors: Sequence[str]) -> list[tuple[str, str]]:
    """Pair every prior with none, and every boundary with the same prior's default."""
    against_none = [(prior, BASELINE) for prior in priors if prior != BASELINE]
    return against_none + [
        (prior, default)
        for prior in priors
        if (default := without_boundary(prior)) != prior and default in priors
    ]


def without_boundary(spec: str) -> str:
    """Return a prior's spec without its option ``boundary``; a composition as it is."""
    if "+" in spec:
        return spec
    name, options = split_spec(spec)
    kept = [f"{key}={value}" for key, value in options.items() if key != "boundary"]
    return ":".join([name, *kept])
