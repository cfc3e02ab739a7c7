"""What a study declares before it runs: primary metrics, margins, the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from priorbench.components import registry
from priorbench.components.metric import Metric
from priorbench.components.specs import name_of
from priorbench.components.task import Axis, Task
from priorbench.errors import UserError, unknown
from priorbench.metrics import METRICS
from priorbench.statistics.equivalence import Margin
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.families.multiplicity import BENJAMINI_HOCHBERG, JOINT

from .keys.networks import trained_elsewhere
from .study import BASELINE, SKILL_MARGINS, Study

PRIMARY, EXPLORATORY = "primary", "exploratory"
"""families of tests: of the metrics that were declared, and of all others"""
CLAIMED: tuple[Axis, ...] = ("prediction", "localisation", "stability", "faithfulness")
"""axes with a primary metric unless the study says otherwise; costs are measured, not claimed"""
CLAIMABLE: tuple[Axis, ...] = (*CLAIMED, "function")
"""axes of which a study may claim something; few datasets have variants, so that a study says so"""


UNJUDGED = ("cost", "smoothness")
"""axes whose metrics are described and not tested: costs nearly always differ, and smoothness is
what priors optimise, so that in a family of tests both would only move the others' p"""
ALL = "*"
"""in ``DeclaredClaims.changed``: every metric"""


@dataclass(frozen=True)
class DeclaredClaims:
    """What a study claims about its priors, declared before it runs.

    Attributes:
        primary: metric by axis, by name of the task; all other metrics are exploratory.
        margins: the smallest loss that matters, by metric, in its units.
        skill_margins: the same by axis, as a share of a range of scores; for other metrics.
        attribution: spec of the attribution that primary metrics are read from.
        baseline: normalised spec of the prior that the others are compared with.
        correction: correction of the p of primary metrics.
        look: number of this look at the results, 1 for the first.
        sealed: whether the claims were stored with a digest before the first trial.
        changed: sentences that say what differs from what was declared before training, by metric,
            or by ALL: such metrics are exploratory.
        elsewhere: whether the networks were trained elsewhere, so that nothing is to be trained.
    """

    primary: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    skill_margins: Mapping[str, float] = field(default_factory=lambda: dict(SKILL_MARGINS))
    attribution: str = ""
    baseline: str = BASELINE
    correction: str = JOINT
    look: int = 1
    sealed: bool = True
    changed: Mapping[str, str] = field(default_factory=dict)
    elsewhere: bool = False

    @property
    def level(self) -> float:
        """Level of every kind of claim at this look."""
        return level_of_look(self.look)

    def correction_of(self, family: str) -> str:
        """Return the correction of a family of tests; "" for no family."""
        return {PRIMARY: self.correction, EXPLORATORY: BENJAMINI_HOCHBERG}.get(family, "")

    def family(self, task: str, attribution: str, metric: Metric) -> str:
        """Return the family of a metric's tests, "" for a metric that is not tested.

        Args:
            task: spec of the task.
            attribution: spec of the attribution that the metric is read from, "" for none.
            metric: the metric.
        """
        if metric.higher_is_better is None or metric.axis in UNJUDGED:
            return ""
        declared = self.primary.get(name_of(task), {}).get(metric.axis) == metric.name
        if metric.published and not declared:
            # forms of others' scores are shown beside ours, and would only cost the family power
            return ""
        main = not metric.of_attribution or attribution == self.attribution
        kept = ALL not in self.changed and metric.name not in self.changed
        return PRIMARY if declared and main and kept else EXPLORATORY

    def margin(self, metric: Metric, floor: float, ceiling: float) -> Margin | None:
        """Return the smallest loss in a metric that matters; None where none can be said.

        A share is that of the baseline's gain over the floor for predictions, and of the range from
        floor to ceiling for all else.

        Args:
            metric: the metric.
            floor: score of chance; NaN where it is unknown.
            ceiling: the best possible score; NaN where it is unknown.
        """
        if metric.name in self.margins:
            return Margin(absolute=self.margins[metric.name])
        share = self.skill_margins.get(metric.axis)
        if share is None or not math.isfinite(floor):
            return None
        if metric.axis == "prediction":
            sign = 1.0 if metric.higher_is_better else -1.0
            return Margin(relative=share, floor=floor, sign=sign)
        return Margin(absolute=share * abs(ceiling - floor)) if math.isfinite(ceiling) else None


def claims_of(study: Mapping[str, Any], baseline: str = "") -> DeclaredClaims:
    """Return the claims of a study.toml, with the normalised spec of another baseline, if any.

    Another baseline than the study's was not declared, so that nothing is claimed of it.
    """
    other = bool(baseline) and baseline != study["baseline"]
    changed = {
        ALL: f"the baseline that was declared is {study['baseline']}, and here it is {baseline}"
    }
    return DeclaredClaims(
        study["primary"],
        study["margins"],
        study["skill_margins"],
        study["attributions"][0],
        baseline or study["baseline"],
        study["correction"],
        changed=changed if other else {},
        elsewhere=trained_elsewhere(study),
    )


def default_primary(task: Task) -> dict[str, str]:
    """Return the primary metric of every axis in CLAIMED.

    On the axis prediction it is the first of the task's metrics; on others the first metric that
    reports show at first sight, unless the task names another.
    """
    usual: dict[str, str] = {
        axis: next(m.name for m in METRICS.values() if m.axis == axis and m.main)
        for axis in CLAIMED
    }
    return usual | {"prediction": task.metrics[0]} | dict(type(task).primary)


def resolve_primary(study: Study, tasks: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the primary metrics by axis, declared or default, of each task by name.

    Raises:
        UserError: if a task, axis or metric is unknown, or a metric cannot be primary.
    """
    axes = {key: value for key, value in study.primary.items() if isinstance(value, str)}
    by_task = {key: value for key, value in study.primary.items() if isinstance(value, dict)}
    for name in by_task:
        if name not in tasks:
            raise UserError(f"primary: {unknown('task of this study', name, tasks)}")
    primary = {}
    for name in tasks:
        task: Task = registry.build("task", name)
        declared = axes | by_task.get(name, {})
        for axis, metric in declared.items():
            _check_primary(task, name, axis, metric)
        every = default_primary(task) | declared
        primary[name] = {axis: metric for axis, metric in every.items() if metric}
    return primary


def _check_primary(task: Task, name: str, axis: str, metric: str) -> None:
    where = f"primary metric of task {name!r} on {axis!r}"
    if axis not in get_args(Axis):
        raise UserError(f"primary: {unknown('axis', axis, get_args(Axis))}")
    if not metric:
        return
    if metric not in METRICS:
        raise UserError(f"{where}: {unknown('metric', metric, METRICS)}")
    declared = METRICS[metric]
    if declared.axis != axis:
        raise UserError(f"{where}: {metric!r} is a metric of axis {declared.axis!r}; name it there")
    if declared.higher_is_better is None:
        raise UserError(f"{where}: {metric!r} is only shown, never ranked; leave it out")
    if axis == "prediction" and metric not in task.metrics:
        raise UserError(f"{where}: {unknown('metric of this task', metric, task.metrics)}")


def check_margins(study: Study) -> None:
    """Raise UserError if a margin is for an unknown metric or axis, or cannot be what is meant."""
    for axis in study.skill_margins:
        if axis not in CLAIMABLE:
            raise UserError(f"skill_margins: {unknown('axis', axis, CLAIMABLE)}")
    for name, margin in study.margins.items():
        if name not in METRICS:
            raise UserError(f"margins: {unknown('metric', name, METRICS)}")
        metric = METRICS[name]
        if metric.higher_is_better is None or metric.axis in UNJUDGED:
            raise UserError(f"margins: {name!r} is only shown, never judged; leave it out")
        # scores without a unit lie within 1 of a perfect one, enrichments aside
        if metric.perfect is not None and not metric.unit and margin >= 1:
            raise UserError(
                f"margins: {name} = {margin:g}: no loss of {name} that matters is as large as 1, "
                "the whole range of the score; give a smaller margin, such as 0.01"
            )
