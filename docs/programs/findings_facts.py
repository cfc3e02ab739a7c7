"""Facts of a run directory for docs/findings.md, as plain values: numbers and names, no prose."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from priorbench.comparison.option_trends import task_options, trends
from priorbench.comparison.paired_runs import PairedRuns, paired_runs
from priorbench.comparison.skill import UNKNOWN_RANGE, score_ranges
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.components.registry import load_prior
from priorbench.edges.penalty_effects import effects_of
from priorbench.edges.summary import conclusions, summary_table, trained_table
from priorbench.edges.trained_models import trained_edges
from priorbench.errors import UserError
from priorbench.metrics import METRICS
from priorbench.publish.portable import portable_command
from priorbench.reports._shared.seed_gains import seed_gains
from priorbench.reports._shared.settings import settings_of
from priorbench.results.finished_run import Run, load_run
from priorbench.study.declared import PRIMARY, DeclaredClaims, claims_of
from priorbench.study.trial import REFERENCE, SETTING_COLUMNS

_DIGITS = 7  # more than any page shows, which rounds once
_COMPARED = (
    *SETTING_COLUMNS,
    "prior",
    "baseline",
    "metric",
    "axis",
    "n",
    "seeds_better",
    "seeds_worse",
    "mean_baseline",
    "difference",
    "ci_low",
    "ci_high",
    "p_adjusted",
    "tests",
    "verdict",
)


def facts_of(
    root: Path, comparisons: Sequence[Mapping[str, Any]], *, gains: bool = False
) -> dict[str, Any]:
    """Return the facts of a finished run.

    Args:
        root: run directory.
        comparisons: comparisons, each with a ``baseline`` and, unless all are meant, ``priors``.
        gains: whether to keep the gain of every seed, for figures over several sets.

    Raises:
        UserError: if the run is not finished, or lacks a prior of a comparison.
    """
    run = load_run(root)
    statuses = Counter(str(record["status"]) for record in run.records.values())
    if len(run.records) < run.planned:
        raise UserError(f"{root}: {run.planned - len(run.records)} trials have not been run yet")
    known = list(dict.fromkeys(map(str, run.results["prior"])))
    for comparison in comparisons:
        for spec in (comparison["baseline"], *comparison.get("priors", ())):
            if spec not in known:
                raise UserError(f"{root}: prior {spec!r} is not in this run")
    packages = run.environment["packages"]
    return {
        "question": run.study["question"],
        "command": portable_command(run.environment["command"]),
        "date": datetime.date.fromtimestamp((root / "results.csv").stat().st_mtime).isoformat(),
        "scale": run.study["scale"],
        "seeds": len(run.study["seeds"]),
        "correction": run.study["correction"],
        "level": _plain(run.comparisons.loc[run.comparisons["family"] == PRIMARY, "level"].min()),
        **_advice(run),
        "warnings": [t for texts in run.environment.get("warnings", {}).values() for t in texts],
        "tuned": int(run.study["tune"]),
        "statuses": dict(sorted(statuses.items())),
        "minutes": round(sum(r["seconds"] for r in run.records.values()) / 60, 1),
        "packages": {name: packages[name] for name in ("priorbench", "torch")},
        "compared": _compared(run, comparisons),
        "trends": plain_rows(_trends(run)),
        "prices": _prices(run),
        "references": _references(run),
        "explained": _explained(run),
        "edges": _edges(run),
        "weights": _weights(run),
        **({"gains": _gains(run)} if gains else {}),
    }


def _advice(run: Run) -> dict[str, Any]:
    """Return the advice of the run's answer, what it says of all settings, and its doubts."""
    answer = run.answer.to_json()
    kept = (*SETTING_COLUMNS, "advice", "basis")
    several = len(answer["settings"]) > 1
    doubts = [
        f"On {setting['task']}, {setting['dataset']}: {text}" if several else text
        for setting in answer["settings"]
        for text in setting["network"]
    ]
    overall = answer["together"] or answer["settings"][0]
    return {
        "together": str(answer["together"]["advice"]) if answer["together"] else "",
        "said": [str(text) for text in overall["sentences"]],
        "advice": [{key: str(setting[key]) for key in kept} for setting in answer["settings"]],
        "network": list(dict.fromkeys(doubts)),
    }


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values: numbers with seven digits, None for what is missing."""
    return [
        {str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else float(f"{number:.{_DIGITS}g}")


def _compared(run: Run, comparisons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return primary comparisons with every baseline, corrected for all priors of the run."""
    tables = []
    for comparison in comparisons:
        # every baseline that a section asks about is one of its claims, with tests of its own
        claims = replace(claims_of(run.study, comparison["baseline"]), changed={})
        pairs = _primary_pairs(run, claims)
        table = compare_pairs(pairs, claims)
        table = table[table["family"] == PRIMARY]
        priors = comparison.get("priors")
        if priors:
            table = table[table["prior"].isin(priors)]
        elif comparison["baseline"] != "none":
            table = table[table["prior"] != "none"]
        tables.append(table[list(_COMPARED)])
    return plain_rows(pd.concat(tables, ignore_index=True))


def _primary_pairs(run: Run, claims: DeclaredClaims) -> list[PairedRuns]:
    """Return the paired runs of primary metrics, which are all members of the family."""
    primary = set(run.comparisons.loc[run.comparisons["family"] == PRIMARY, "metric"])
    rows = run.results[
        run.results["metric"].isin(primary)
        & run.results["attribution"].isin(["", claims.attribution])
    ]
    return paired_runs(rows, run.agreement(), claims.baseline)


def _trends(run: Run) -> pd.DataFrame:
    claims = claims_of(run.study)
    pairs = _primary_pairs(run, claims)
    options = {spec: task_options(spec) for spec in dict.fromkeys(p.setting[0] for p in pairs)}
    return trends(pairs, options, claims)


def _prices(run: Run) -> list[dict[str, Any]]:
    """Return the time per step over that of none, a mean over seeds and settings, by prior."""
    rows = run.results[run.results["metric"] == "step-time-ratio"]
    means = rows[rows["stage"] == "evaluate"].groupby("prior", sort=False)["value"].mean()
    return [{"prior": str(prior), "ratio": _plain(value)} for prior, value in means.items()]


def _references(run: Run) -> list[dict[str, Any]]:
    """Return the scores of references on metrics that are primary in some setting."""
    primary = set(run.comparisons.loc[run.comparisons["family"] == PRIMARY, "metric"])
    rows = run.results[(run.results["stage"] == REFERENCE) & run.results["metric"].isin(primary)]
    rows = rows.drop_duplicates([*SETTING_COLUMNS, "prior", "metric"])
    return plain_rows(rows[[*SETTING_COLUMNS, "prior", "metric", "value"]])


def _explained(run: Run) -> list[dict[str, Any]]:
    """Return the main metrics of attributions under each one scored; empty where only one was."""
    if len(run.attributions) < 2:
        return []
    main = [m.name for m in METRICS.values() if m.main and m.of_attribution and not m.optimised_for]
    rows = run.comparisons[
        run.comparisons["metric"].isin(main)
        & run.comparisons["axis"].isin(["localisation", "stability", "faithfulness"])
    ]
    return plain_rows(rows[[*(name for name in _COMPARED if name in rows), "attribution"]])


def _edges(run: Run) -> dict[str, Any]:
    """Return the edge analysis of a run of task ``edges``; empty for other runs."""
    if not any(str(task).split(":")[0] == "edges" for task in run.results["task"].unique()):
        return {}
    trained = trained_edges(run)
    length = trained[0].length
    specs = [spec for spec in run.study["priors"] if load_prior(spec).overrides("penalty")]
    effects = effects_of([(spec, load_prior(spec)) for spec in specs], length)
    table = trained_table(trained)
    return {
        "length": length,
        "effects": plain_rows(summary_table(effects)),
        "trained": plain_rows(table.dropna(axis=1, how="all")),
        "conclusions": [
            {
                "default": conclusion.default,
                "advised": conclusion.advised,
                "tests": conclusion.tests,
                "better": [list(pair) for pair in conclusion.better],
                "worse": [list(pair) for pair in conclusion.worse],
            }
            for conclusion in conclusions(effects, trained)
        ],
    }


def _weights(run: Run) -> list[dict[str, Any]]:
    """Return the chosen weights; empty where none were tuned."""
    if run.tuning.empty:
        return []
    chosen = run.tuning[run.tuning["chosen"].astype(bool)]
    return plain_rows(chosen[[*SETTING_COLUMNS, "prior", "weight", "edge", "note"]])


def _gains(run: Run) -> list[dict[str, Any]]:
    """Return the gain over the baseline of every seed, on primary metrics, and their ranges."""
    return [
        {
            **dict(zip(SETTING_COLUMNS, key, strict=True)),
            **{"prior": prior, "axis": metric.axis, "metric": metric.name},
            "range": _plain(ranges.get((*key, metric.name), UNKNOWN_RANGE).width),
            "gains": [_plain(gain) for gain in seed_gains(setting, prior, metric)],
        }
        for setting in settings_of(run)
        for key in [(setting.task, setting.dataset, setting.architecture)]
        for ranges in [score_ranges(setting.references)]
        for metric in setting.all_metrics
        if metric.name in setting.primary
        for prior in setting.priors[1:]
    ]
