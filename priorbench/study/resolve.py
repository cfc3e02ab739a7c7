"""Completes a study: normal names, defaults filled in, contradictions refused."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from priorbench.components import registry, specs
from priorbench.components.architecture import Scale
from priorbench.components.task import Task
from priorbench.errors import UserError, unknown

from .data_sources import sources
from .declared import check_margins, resolve_primary
from .keys.published import resolve_published
from .network_choice import may_choose, normal_names
from .prior_weights import resolve_grids, resolve_weights
from .study import BASELINE, Measurements, Study

_EXPLAINERS: dict[Scale, list[str]] = {
    "smoke": ["input-x-gradient"],
    "quick": ["input-x-gradient"],
    "standard": ["input-x-gradient", "deep-lift-shap"],
    "paper": ["input-x-gradient", "deep-lift-shap"],
}
"""attributions that are scored where a study names none"""


def resolve(study: Study, device: str) -> Study:
    """Return the study with normal specs, the baseline, all weights and a device, cpu or cuda.

    Its plug-ins are registered, and no others.

    Raises:
        UserError: if a name or option is unknown, or a weight makes no sense.
    """
    if study.networks.model:
        raise UserError(
            f"study {study.name!r} is of networks that were trained elsewhere, and trains none; "
            "`priorbench score DIR` scores them, and with --weights reads more of them, and those "
            "that are damaged again"
        )
    registry.use_plugins(study.plugins)
    if study.fetch and not study.data:
        raise UserError(
            f"study {study.name!r} is about public data: `priorbench fetch {study.fetch} --to "
            "DIR` downloads them, then add `--data DIR`"
        )
    if study.own_data and not study.data:
        raise UserError(
            f"study {study.name!r} is about data of your own, and none are named; add "
            "`--data FILE`, a data file, which `priorbench validate FILE` checks"
        )
    priors = _normalised("prior", [BASELINE, *study.priors])
    for path in study.plugins:
        _refuse_unused(path, priors)
    attributions = scored_attributions(study)
    if study.discovery:
        require_modisco()
    require_every_base(Measurements(attributions, study.discovery, study.keep_hypothetical))
    named = study.model_copy(
        update={
            "priors": priors,
            "tasks": _normalised("task", study.tasks or ([] if study.data else ["binary"])),
            "architectures": normal_names(study.architectures),
            "chosen_architectures": study.chosen_architectures if may_choose(study) else {},
            "train_attribution": _train_attribution(study.train_attribution),
            "attributions": attributions,
            "device": device,
            "data": [path.resolve() for path in study.data],
            "plugins": [path.resolve() for path in study.plugins],
        }
    )
    tasks = list(dict.fromkeys(specs.name_of(source.task) for source in sources(named)))
    for spec in priors:
        for task in tasks:
            _refuse_blind(spec, task, seen_by(spec, named))
        for source in sources(named):
            _refuse_task(spec, source.task)
    check_margins(study)
    _refuse_monitor(study, tasks)
    weights = resolve_weights(study, priors, tasks)
    choices: dict[str, Any] = {
        "weights": weights,
        "grids": resolve_grids(study, weights),
        "primary": resolve_primary(study, tasks),
        "baseline": _baseline(study, priors),
        "published": resolve_published(study.published, attributions),
    }
    if study.tune:
        choices["tuning_seeds"] = study.tuning_seed_list
    return named.model_copy(update=choices)


def resolve_networks(study: Study, device: str) -> Study:
    """Return a study of networks that were trained elsewhere, as :func:`resolve` does others.

    Its priors are the names of groups, the first of which is the baseline.

    Raises:
        UserError: if no data are named, or a name or option is unknown.
    """
    registry.use_plugins(study.plugins)
    if not (study.data or study.tasks):
        raise UserError("no data to score networks on; name some: --data FILE, or --tasks TASK")
    attributions = scored_attributions(study)
    if study.discovery:
        require_modisco()
    require_every_base(Measurements(attributions, study.discovery, study.keep_hypothetical))
    folder = Path(study.networks.folder).resolve()
    named = study.model_copy(
        update={
            "tasks": _normalised("task", study.tasks),
            "architectures": [study.networks.architecture],
            "networks": study.networks.model_copy(update={"folder": str(folder)}),
            "attributions": attributions,
            "device": device,
            "data": [path.resolve() for path in study.data],
            "plugins": [path.resolve() for path in study.plugins],
            "baseline": study.priors[0],
        }
    )
    tasks = list(dict.fromkeys(specs.name_of(source.task) for source in sources(named)))
    return named.model_copy(update={"primary": resolve_primary(named, tasks)})


def require_modisco() -> None:
    """Raise UserError where TF-MoDISco (extra ``modisco``) is not installed."""
    if importlib.util.find_spec("modiscolite") is None:
        raise UserError(
            "--discovery needs TF-MoDISco, which is not installed; "
            "pip install 'priorbench[modisco]', or leave the option out"
        )


def require_every_base(wanted: Measurements) -> None:
    """Raise UserError if all four bases are asked for, and no attribution is of all of them."""
    from priorbench.attribution.explainers import EXPLAINERS  # waits for torch

    purpose = ""
    if wanted.keep_hypothetical:
        purpose = "--keep-hypothetical: it keeps attributions of"
    if wanted.discovery:
        purpose = "--discovery: TF-MoDISco compares"
    there = any(EXPLAINERS[specs.name_of(spec)].every_base for spec in wanted.attributions)
    if purpose and not there:
        raise UserError(
            f"{purpose} all four bases, and attribution {wanted.attributions[0]} does not depend "
            "on the observed one; add another, such as input-x-gradient"
        )


def scored_attributions(study: Study, more: Sequence[str] = ()) -> list[str]:
    """Return the normal specs of the attributions that are scored, and of more, without repeats.

    Raises:
        UserError: if an attribution or option is unknown.
    """
    from priorbench.attribution.explainers import load_explainer  # waits for torch

    try:
        written = [*(study.attributions or _EXPLAINERS[study.scale]), *more]
        normal = [specs.normalise(specs.name_of(spec), load_explainer(spec)) for spec in written]
    except UserError as error:
        raise UserError(f"attributions: {error}") from None
    return list(dict.fromkeys(normal))


def seen_by(prior: str, study: Study) -> str:
    """Return the normal spec of the training attribution that a prior sees in a study.

    Raises:
        UserError: if the prior names an attribution or option that is unknown.
    """
    sees = registry.load_prior(prior).sees
    return _train_attribution(sees, f"prior {prior!r}: ") if sees else study.train_attribution


def _normalised(kind: str, written: Sequence[str]) -> list[str]:
    """Return normal specs; compositions of the same parts count as the same.

    Raises:
        UserError: if one is written twice, other than the baseline, or cannot be built.
    """
    by_parts: dict[tuple[str, ...], tuple[str, str]] = {}
    for spec in written:
        normal = registry.normal_spec(kind, spec)
        parts = tuple(sorted(normal.split("+")))
        if parts not in by_parts:
            by_parts[parts] = (normal, spec)
        elif normal != BASELINE:
            earlier = by_parts[parts][1]
            same = "twice" if spec == earlier else f"twice, as {earlier} and as {spec}"
            raise UserError(f"{kind}s: {normal!r} is written {same}; write it once")
    return [normal for normal, _ in by_parts.values()]


def _refuse_unused(plugin: Path, priors: Sequence[str]) -> None:
    name = registry.add_plugin(plugin).name
    used = {name for spec in priors for name in registry.names_in("prior", spec)}
    if name in registry.components("prior") and name not in used:
        raise UserError(f"plug-in {plugin}: prior {name!r} is not among the priors; add it")


def _train_attribution(spec: str, where: str = "") -> str:
    from priorbench.attribution.methods import load_attribution  # waits for torch

    try:
        return specs.normalise(specs.name_of(spec), load_attribution(spec))
    except UserError as error:
        raise UserError(f"{where}train_attribution: {error}") from None


def _refuse_blind(spec: str, task: str, attribution: str) -> None:
    for part in registry.load_prior(spec).parts(1.0, task):
        if specs.name_of(attribution) in part.prior.blind_to:
            raise UserError(
                f"prior {spec!r}: its penalty is constant for the training attribution "
                f"{attribution}; choose another of the two"
            )


def _refuse_task(spec: str, task: str) -> None:
    try:
        registry.load_prior(spec).check_task(registry.build("task", task))
    except UserError as error:
        raise UserError(f"prior {spec!r} cannot act in task {task}: {error}") from None


def _refuse_monitor(study: Study, tasks: Sequence[str]) -> None:
    monitor = study.schedule.monitor
    for name in tasks:
        task: Task = registry.build("task", name)
        if monitor not in (None, "loss") and monitor not in task.metrics:
            raise UserError(
                f"schedule: monitor {monitor!r} is no metric of task {name!r}; monitor the loss"
            )


def _baseline(study: Study, priors: Sequence[str]) -> str:
    baseline = registry.normal_spec("prior", study.baseline)
    if baseline not in priors:
        raise UserError(f"baseline: {unknown('prior of this study', baseline, priors)}")
    return baseline
