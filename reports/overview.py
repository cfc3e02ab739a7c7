"""What was asked, what ran, and what can be concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from priorbench import Section
from priorbench.contracts import Metric
from priorbench.plan import BASELINE
from priorbench.results import Run

from ._blocks import SIGNS, Block, agrees_in_every_seed, blocks, reach
from ._page import render


class Overview(Section):
    """Question, design and findings in words."""

    title: ClassVar[str] = "Overview"
    position: ClassVar[int] = 10

    def render(self, run: Run) -> str:
        """See Section."""
        found = blocks(run)
        return render(
            "overview",
            study=run.study,
            folder=run.root.name,
            blocks=[
                {"block": b, "reach": reach(b), "findings": _findings(b), "hints": _hints(b)}
                for b in found
            ],
            datasets=sorted(run.datasets),
            priors=_priors(run, found),
            statuses=_statuses(run),
            baseline=run.study.get("baseline", BASELINE),
            pending=run.planned - len(run.records),
            tuning=sum(record["stage"] == "tune" for record in run.records.values()),
        )


def _statuses(run: Run) -> Counter[str]:
    return Counter(
        record["status"] for record in run.records.values() if record["stage"] == "evaluate"
    )


def _priors(run: Run, found: Iterable[Block]) -> list[dict[str, Any]]:
    """Every prior of the study with its weights, what it does and how its trials ended."""
    described = run.environment.get("priors", {})
    rows = []
    for spec in run.study["priors"]:
        texts = described.get(spec, {})
        statuses = Counter(
            record["status"]
            for record in run.records.values()
            if record["prior"] == spec and record["stage"] == "evaluate"
        )
        rows.append(
            {
                "spec": spec,
                "weights": _parts(run, spec) or _weights(spec, found),
                "summary": texts.get("summary", ""),
                "citation": texts.get("citation", ""),
                "statuses": statuses,
            }
        )
    return rows


def _weights(spec: str, found: Iterable[Block]) -> list[str]:
    if spec == BASELINE:
        return []
    by_task = {block.task: block.weight(spec) for block in found if spec in block.priors}
    if len(set(by_task.values())) <= 1:
        return list(by_task.values())[:1]
    return [f"{weight} ({task})" for task, weight in by_task.items()]


def _parts(run: Run, spec: str) -> list[str]:
    """Names and weights of what a composed prior is made of, task by task where they differ."""
    by_task = {
        record["task"]: [f"{part['prior']} {part['weight']:g}" for part in record["parts"]]
        for record in run.records.values()
        if record["prior"] == spec
        and record["stage"] == "evaluate"
        and len(record.get("parts", [])) > 1
    }
    if len(set(map(tuple, by_task.values()))) <= 1:
        return next(iter(by_task.values()), [])
    return [f"{weight} ({task})" for task, weights in by_task.items() for weight in weights]


def _findings(block: Block) -> list[dict[str, Any]]:
    """For every prior, its primary metrics by verdict, and what else looked like a difference."""
    rows = []
    for prior in block.priors[1:]:
        verdicts: dict[str, list[Metric]] = {verdict: [] for verdict in SIGNS}
        leads: dict[str, list[Metric]] = {"better": [], "worse": []}
        for metric, comparison in _judged(block, prior):
            if metric.name in block.primary:
                verdicts[comparison["verdict"]].append(metric)
            elif comparison["verdict"] in leads:
                leads[comparison["verdict"]].append(metric)
        costless = [*verdicts["equivalent"], *verdicts["non-inferior"]]
        rows.append({"prior": prior, **verdicts, "costless": costless, "leads": leads})
    return rows


def _hints(block: Block) -> list[dict[str, Any]]:
    """For every prior, inconclusive primary metrics on which all seeds point the same way."""
    rows = []
    for prior in block.priors[1:]:
        row: dict[str, Any] = {"prior": prior, "better": [], "worse": []}
        for metric, comparison in _judged(block, prior):
            open_still = comparison["verdict"] == "inconclusive" and metric.name in block.primary
            if open_still and agrees_in_every_seed(comparison):
                better = (comparison["difference"] > 0) == metric.higher_is_better
                row["better" if better else "worse"].append(metric)
        if row["better"] or row["worse"]:
            rows.append(row)
    return rows


def _judged(block: Block, prior: str) -> Iterable[tuple[Metric, Mapping[str, Any]]]:
    for metric in block.metrics:
        comparison = block.comparison(prior, metric)
        if comparison is not None and comparison["verdict"]:
            yield metric, comparison
