"""Scoring networks that were trained elsewhere, for `priorbench score --model` and `--weights`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from priorbench.answer.plan_reach import earlier_spreads, plan_lines
from priorbench.backends.base import RunPlacement
from priorbench.backends.environment import environment
from priorbench.backends.open import running_engine
from priorbench.data.dataset import load_dataset
from priorbench.errors import UserError
from priorbench.number_text import counted, listed
from priorbench.storage.files import slug
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.data_sources import sources
from priorbench.study.declared import claims_of
from priorbench.study.keys.networks import trained_elsewhere
from priorbench.study.plan import Plan, Setting, data_plan
from priorbench.study.recorded_study import record_study
from priorbench.study.resolve import resolve_networks
from priorbench.study.sealed_claims import look_at, seal_claims, upcoming_claims
from priorbench.study.study import MOST_SEEDS, Study, identity_of
from priorbench.study.trial import hash_of
from priorbench.user_models.weight_files import WeightsFile, find_weights

from ..run_folder import (
    begun,
    data_facts,
    recorded_there,
    refuse_other,
    with_earlier_measurements,
    write_plan,
)
from ..run_history import look_back
from ..run_name import named
from ..run_study import RunConsole, RunOutcome
from ..score_run import score_stored
from .given_networks import (
    NetworkReader,
    earlier_trials,
    joined_trials,
    refuse_lost,
    tell_pairs,
    trials_of,
)

_HERE = RunPlacement()
_QUIET = RunConsole(lambda line: None, lambda trials: nullcontext(lambda ended: None))
ELSEWHERE = "networks trained elsewhere"
"""the place that warnings about them name"""
_UNKNOWN = (
    "how they were trained is not known: whether they saw the sequences that they are scored on "
    "here, and whether all groups had the same data, tuning and effort"
)
_LONGEST_FOLDER = 60
_GROWING = ("priors", "seeds", "baseline", "name")
"""fields of a study that further networks change"""


def score_networks(
    study: Study,
    weights: Sequence[str],
    out: Path | None = None,
    *,
    placement: RunPlacement = _HERE,
    console: RunConsole = _QUIET,
    command: str = "",
) -> RunOutcome:
    """Score networks that were trained elsewhere, and compare their groups.

    The test data alone are looked at. The result is a run directory like any other, in which groups
    stand in the place of priors, the first of them as the baseline, and the numbers by which they
    are paired in that of seeds. Networks are added to those that the directory holds.

    Args:
        study: what builds them (``networks``), the data or tasks, and what is measured.
        weights: files of weights, as in ``user_models.weight_files``.
        out: the run directory; None for ``runs/NAME-HASH``, the same for the same data and model.
        placement: where models are scored.
        console: where messages and progress go; nowhere unless it is given.
        command: command line that repeats this, to be recorded.

    Raises:
        UserError: if input cannot be used, networks do not fit the data, or ``out`` holds another
            study; then nothing is changed.
    """
    started = time.monotonic()
    files = find_weights(weights)
    with running_engine(placement, console.say) as engine:
        device = engine.device(study.device)
        console.say(f"device: {device.summary}")
        resolved = resolve_networks(_with_groups(study, files), device.kind)
        run = RunDirectory(out or _usual_folder(resolved))
        recorded = recorded_there(run)
        if recorded is not None:
            first, resolved = resolved.baseline, _continued(recorded, resolved, run.root)
            if first != resolved.baseline:
                console.say(f"the baseline is {resolved.baseline!r}, as in {run.root} before")
        resolved = with_earlier_measurements(recorded, resolved, run.root, console.say)
        resolved = named(resolved.model_copy(update={"name": ""}))
        with begun(run):
            run.manifest.clear_leftovers()
            if recorded:
                look_back(run, console.say)
            reader = NetworkReader(resolved.networks)
            plan = _data_plan(resolved, run, console)
            given = trials_of(reader.check(plan, files), plan, reader.code)
            earlier = earlier_trials(run) if recorded else []
            trials = joined_trials(earlier, given, plan, run.root)
            if recorded:
                refuse_lost(run, trials)
            plan = _with_warnings(replace(plan, trials=trials), reader)
            _tell(plan, run, console)
            facts = {
                **environment(device.kind, device.slots),
                **engine.facts(),
                **data_facts(plan, run),
                "command": command,
                "priors": _group_facts(plan),
            }
            if recorded is None:
                seal_claims(run.root, claims_of(resolved.model_dump(mode="json")))
            record_study(run, resolved, facts)
            write_plan(plan, run)
            done = {trial.id for trial in earlier}
            for trial, file in given.items():
                if trial.id not in done:
                    reader.store(trial, file, plan, run)
            outcome = score_stored(run, resolved.measurements, engine, console)
    return replace(outcome, seconds=time.monotonic() - started)


def _with_groups(study: Study, files: Sequence[WeightsFile]) -> Study:
    """Return the study with the groups and numbers of files."""
    if not study.networks.model:
        raise UserError("--weights: say what builds the networks: --model module:factory")
    groups = list(dict.fromkeys(file.group for file in files))
    numbers = sorted({file.number for file in files})
    if len(numbers) > MOST_SEEDS:
        raise UserError(f"--weights: {len(numbers):,} pairs; give at most {MOST_SEEDS:,}")
    return study.model_copy(update={"priors": groups, "seeds": numbers})


def _usual_folder(study: Study) -> Path:
    """Return the run directory of networks of one model on the same data, whichever they are."""
    identity = {key: value for key, value in identity_of(study).items() if key not in _GROWING}
    digest = hash_of([identity, study.networks.model, study.networks.layout])[:8]
    places = dict.fromkeys(source.name if source.data else source.task for source in sources(study))
    name = slug("_".join([study.networks.architecture, *places]))[:_LONGEST_FOLDER]
    return Path("runs") / f"{name.rstrip('-._')}-{digest}"


def _continued(recorded: Mapping[str, Any], study: Study, root: Path) -> Study:
    """Return a study with the groups that its folder holds; the first one there is the baseline.

    Raises:
        UserError: if the folder holds another study.
    """
    if not trained_elsewhere(recorded):
        raise UserError(f"{root}: holds networks that were trained there; choose another --out")
    for key in ("model", "layout"):
        before, now = recorded["networks"][key], getattr(study.networks, key)
        if before != now:
            raise UserError(
                f"{root}: {key} was {before!r} there and is {now!r} here; choose another --out"
            )
    groups = list(dict.fromkeys([*recorded["priors"], *study.priors]))
    joined = study.model_copy(
        update={
            "priors": groups,
            "seeds": sorted({*recorded["seeds"], *study.seed_list}),
            "baseline": recorded["baseline"],
        }
    )
    refuse_other(root, {**recorded, "priors": groups}, joined)
    return joined


def _data_plan(study: Study, run: RunDirectory, console: RunConsole) -> Plan:
    """Return a plan of the data, with a setting for each dataset, and without trials."""
    plan = data_plan(study, run, console.say)
    for name, notes in plan.notes.items():
        for note in notes:
            console.say(f"{name}: {note}")
    settings = [
        Setting(
            source,
            study.networks.architecture,
            load_dataset(plan.datasets[f"{source.task}/{source.name}"]).digest,
        )
        for source in sources(study)
    ]
    return replace(plan, settings=settings)


def _with_warnings(plan: Plan, reader: NetworkReader) -> Plan:
    """Return the plan with what makes comparisons of networks trained elsewhere doubtful."""
    lines = [_UNKNOWN]
    for doubt in dict.fromkeys(doubt for doubts in reader.doubts.values() for doubt in doubts):
        places = [key for key, doubts in reader.doubts.items() if doubt in doubts]
        lines.append(f"on {listed(places)} {doubt}")
    return replace(plan, warnings={**plan.warnings, ELSEWHERE: lines})


def _tell(plan: Plan, run: RunDirectory, console: RunConsole) -> None:
    """Say what is compared, what makes it doubtful, and what may be concluded."""
    study, say = plan.study, console.say
    for name, lines in plan.warnings.items():
        for line in lines:
            say(f"warning: {name}: {line}")
    tell_pairs(plan.trials, study.priors, say)
    numbers = {
        group: {trial.seed for trial in plan.trials if trial.prior == group}
        for group in study.priors
    }
    first, *others = numbers.values()
    if not others:
        say("only one group is scored, so nothing is compared; name another with --weights")
        return
    pairs = min(len(first & of_group) for of_group in others)
    claims = claims_of(study.model_dump(mode="json"))
    for line in plan_lines(
        pairs,
        len(others),
        upcoming_claims(run.root, claims, look_at(plan.trials)),
        settings=len(plan.settings),
        spreads=earlier_spreads(run),
    ):
        say(line)


def _group_facts(plan: Plan) -> dict[str, Any]:
    """Return what environment.json says of each group, as it does of priors."""
    counts = {g: len({t.seed for t in plan.trials if t.prior == g}) for g in plan.study.priors}
    return {
        group: {
            "summary": f"{counted(count, 'network')} trained elsewhere",
            "citation": "",
            "cut": None,
            "options": {},
        }
        for group, count in counts.items()
    }
