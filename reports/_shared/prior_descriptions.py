"""Priors of a run in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from priorbench.results.finished_run import Run
from priorbench.study.keys.networks import trained_elsewhere
from priorbench.study.study import BASELINE

from .settings import ComparedSetting


@dataclass(frozen=True)
class DescribedPrior:
    """A prior of the study.

    Attributes:
        spec: spec, as in the study.
        weights: its weight; one for each task or dataset where they differ; the names and weights
            of the parts of a composition; empty for the baseline, and for groups of networks
            that were trained elsewhere.
        summary: what the prior does.
        citation: works that it comes from.
        statuses: number of its evaluation trials by how they ended.
    """

    spec: str
    weights: Sequence[str]
    summary: str
    citation: str
    statuses: Mapping[str, int]


def described_priors(run: Run, settings: Sequence[ComparedSetting]) -> list[DescribedPrior]:
    """Return every prior of a run, in the order of its study."""
    described = run.environment.get("priors", {})
    return [
        DescribedPrior(
            spec,
            [] if trained_elsewhere(run.study) else _parts(run, spec) or _weights(spec, settings),
            described.get(spec, {}).get("summary", ""),
            described.get(spec, {}).get("citation", ""),
            Counter(
                record["status"]
                for record in run.records.values()
                if record["prior"] == spec and record["stage"] == "evaluate"
            ),
        )
        for spec in run.study["priors"]
    ]


def _weights(spec: str, settings: Sequence[ComparedSetting]) -> list[str]:
    """Return one weight for all settings; else one by task, or by setting where these differ."""
    if spec == BASELINE:
        return []
    here = [setting for setting in settings if spec in setting.priors]
    if len({setting.weight(spec) for setting in here}) <= 1:
        return [setting.weight(spec) for setting in here][:1]
    by_task = {setting.task: setting.weight(spec) for setting in here}
    if all(by_task[setting.task] == setting.weight(spec) for setting in here):
        return [f"{weight} ({task})" for task, weight in by_task.items()]
    return [f"{setting.weight(spec)} ({setting.title})" for setting in here]


def _parts(run: Run, spec: str) -> list[str]:
    """Return names and weights of a composition's parts, task by task where they differ."""
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
