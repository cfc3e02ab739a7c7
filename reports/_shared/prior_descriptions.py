"""The priors of a run in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from priorbench.results.finished_run import Run
from priorbench.study.plan import BASELINE

from .settings import ComparedSetting


@dataclass(frozen=True)
class DescribedPrior:
    """A prior of the study.

    Attributes:
        spec: as in the study.
        weights: its weight, or one a task or dataset where they differ; of a composition, the
            names and weights of its parts; none for the baseline.
        summary: what it does.
        citation: where it comes from.
        statuses: how its evaluation trials ended.
    """

    spec: str
    weights: Sequence[str]
    summary: str
    citation: str
    statuses: Mapping[str, int]


def described_priors(run: Run, settings: Sequence[ComparedSetting]) -> list[DescribedPrior]:
    """Every prior of a study, in its order."""
    described = run.environment.get("priors", {})
    return [
        DescribedPrior(
            spec,
            _parts(run, spec) or _weights(spec, settings),
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


def _weights(spec: str, found: Sequence[ComparedSetting]) -> list[str]:
    """One for all settings; where they differ, by task, or by dataset where these differ too."""
    if spec == BASELINE:
        return []
    here = [setting for setting in found if spec in setting.priors]
    if len({setting.weight(spec) for setting in here}) <= 1:
        return [setting.weight(spec) for setting in here][:1]
    by_task = {setting.task: setting.weight(spec) for setting in here}
    if all(by_task[setting.task] == setting.weight(spec) for setting in here):
        return [f"{weight} ({task})" for task, weight in by_task.items()]
    return [f"{setting.weight(spec)} ({setting.title})" for setting in here]


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
