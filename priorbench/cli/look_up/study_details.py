"""What a study that comes with priorbench compares, claims and takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from priorbench.components.specs import name_of

from .listing import builtin_studies

if TYPE_CHECKING:  # the list of studies must not wait for what checks them
    from priorbench.study.keys.published import PublishedValue
    from priorbench.study.study import Study


def published_facts(values: Sequence[PublishedValue]) -> list[str]:
    """Return how many values were published of each metric, and where, in words."""
    counts = Counter((value.metric, value.source) for value in values)
    return [f"{count} of {metric} ({source})" for (metric, source), count in counts.items()]


def _tuning(study: Study) -> str:
    """Return how weights are chosen; "" where they are not."""
    if not study.tune:
        return ""
    seeds = ", ".join(map(str, study.tuning_seed_list))
    return f"{study.tune} weights of every prior, on seeds {seeds}; their trials come on top"


def study_facts(name: str) -> dict[str, Any]:
    """Return what there is to say of a study by name, in the order in which it is shown.

    ``primary`` is by task, and left out where the tasks are those of data that are not there yet.
    """
    from priorbench.study.declared import resolve_primary
    from priorbench.study.study import BASELINE, load_study

    study = load_study(builtin_studies()[name])
    priors = list(dict.fromkeys([BASELINE, *study.priors]))
    tasks = study.tasks or ([] if study.needs_data else ["binary"])
    networks = study.architectures or ["default"]
    trials = len(priors) * len(study.seed_list) * len(networks) * (len(tasks) or 1)
    primary = resolve_primary(study, list(dict.fromkeys(map(name_of, tasks))))
    data = place = ""
    if study.fetch:
        data, place = f"`priorbench fetch {study.fetch} --to DIR` downloads them", "DIR"
    elif study.own_data:
        data, place = "your own, in a data file that `priorbench validate FILE` checks", "FILE"
    facts: dict[str, Any] = {
        "priors": priors,
        "baseline": study.baseline,
        "tasks": tasks,
        "data": data,
        "networks": networks,
        "attributions": study.attributions,
        "seeds": study.seed_list,
        "tuned": _tuning(study),
        "scale": study.scale,
        "schedule": study.schedule.model_dump(mode="json"),
        "primary": primary,
        "skill_margins": study.skill_margins,
        "margins": study.margins,
        "published": published_facts(study.published),
        "trials_by_dataset" if data else "trials": trials,
        "minutes": study.minutes,
        "command": f"priorbench run {name}{f' --data {place}' if place else ''}",
    }
    return {key: value for key, value in facts.items() if value not in ("", [], {})}
