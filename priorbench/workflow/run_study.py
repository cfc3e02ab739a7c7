"""Carrying out a study, for `priorbench run`: from its plan to a finished run directory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priorbench.answer.plan_reach import earlier_spreads, plan_lines
from priorbench.answer.run_answer import RunAnswer
from priorbench.backends.base import RunPlacement, Workforce
from priorbench.backends.environment import environment
from priorbench.backends.open import running_engine
from priorbench.backends.run_pending import TrialEnded, pending_trials, run_pending
from priorbench.components import registry
from priorbench.results.chosen_networks import (
    NETWORKS_FILE,
    choose_networks,
    chosen_networks,
    network_lines,
)
from priorbench.results.chosen_weights import (
    TUNING_FILE,
    choice_lines,
    choose_weights,
    chosen_weights,
)
from priorbench.results.collect import write_results
from priorbench.results.tables import as_csv
from priorbench.results.training_log import LogKind, RunLog
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.plan import Plan, make_plan, with_evaluation, with_networks
from priorbench.study.recorded_study import record_study
from priorbench.study.resolve import resolve
from priorbench.study.sealed_claims import Look, look_at, seal_claims, upcoming_claims
from priorbench.study.study import Study
from priorbench.study.trial import EVALUATE, SELECT, TUNE, Trial

from .changed_code import deciding_facts
from .run_folder import (
    begun,
    data_facts,
    recorded_there,
    refuse_other,
    with_earlier_measurements,
    write_plan,
)
from .run_history import RunHistory, look_back, shortened
from .run_name import named, usual_folder

_CALLED = {SELECT: "trials that choose a network", TUNE: "tuning trials", EVALUATE: "trials"}
"""what the trials of each stage are called"""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        root: the run directory.
        statuses: number of trials by status, all those of the plan.
        seconds: wall time of this call in seconds.
        answer: what may be concluded.
        unscored: number of trained trials that could not be scored again.
    """

    root: Path
    statuses: Mapping[str, int]
    seconds: float
    answer: RunAnswer
    unscored: int = 0


@dataclass(frozen=True)
class RunConsole:
    """The places that messages and progress of a run go to.

    Attributes:
        say: function that is called with a line.
        progress: function that is called with the trials to be run; a context manager, whose value
            is called with every trial that has ended.
        log: what the losses of trials are handed on to, None for nothing.
        debug: whether the traceback is said of an error that does not end the run.
    """

    say: Callable[[str], None]
    progress: Callable[[Sequence[Trial]], Any]
    log: LogKind | None = None
    debug: bool = False


def run_study(
    study: Study, out: Path | None, *, placement: RunPlacement, command: str, console: RunConsole
) -> RunOutcome:
    """Run what is missing of a study and write its results.

    Args:
        study: the study as the user wrote it.
        out: the run directory; None for ``runs/NAME-HASH``, the same for the same study.
        placement: where trials run.
        command: command line that repeats this, to be recorded.
        console: where messages and progress go.

    Raises:
        UserError: if input cannot be used, ``out`` holds another study, or the machines cannot be
            reached.
    """
    started = time.monotonic()
    with running_engine(placement, console.say) as engine:
        device = engine.device(study.device)
        workforce = Workforce(engine, device, placement.ensemble)
        console.say(f"device: {device.summary}")
        resolved = named(resolve(study, device.kind))
        run = RunDirectory(out or usual_folder(resolved))
        recorded = recorded_there(run)
        refuse_other(run.root, recorded, resolved)
        resolved = with_earlier_measurements(recorded, resolved, run.root, console.say)
        with begun(run):
            run.manifest.clear_leftovers()
            history = look_back(run, console.say) if recorded else None
            plan = make_plan(resolved, run, console.say)
            for name, notes in plan.notes.items():
                for note in notes:
                    console.say(f"{name}: {note}")
                for warning in plan.warnings.get(name, []):
                    console.say(f"warning: {name}: {warning}")
            claims = claims_of(resolved.model_dump(mode="json"))
            if recorded is None:
                seal_claims(run.root, claims)
            facts = {**environment(device.kind, device.slots), **engine.facts()}
            facts |= {
                "command": command,
                "decided_by": deciding_facts(plan.study, plan.settings),
                # a plug-in is known to the study that ran it, not to every reader of its report
                "priors": {spec: registry.prior_facts(spec) for spec in plan.study.priors},
                **data_facts(plan, run),
            }
            record_study(run, resolved, facts)
            _say_reach(plan, run, claims, console)
            log = RunLog(run, console.log, console.say, debug=console.debug)
            stages = _Stages(run, workforce, console, history, facts["decided_by"], log)
            if plan.candidates:
                plan = _select(plan, stages)
            if resolved.tune:
                plan = _tune(plan, stages)
            # trials that failed to choose were tried again before the choice, not after
            stages.run(plan, EVALUATE)
            collected = write_results(plan, run, console.say)
    seconds = time.monotonic() - started
    return RunOutcome(run.root, collected.statuses, seconds, collected.answer)


def _say_reach(plan: Plan, run: RunDirectory, claims: DeclaredClaims, console: RunConsole) -> None:
    """Say what the plan can conclude, and warn where that is nothing."""
    seeds, compared = plan.study.seed_list, plan.of_stage(EVALUATE).trials
    look = look_at(compared) if compared else Look(tuple(sorted(seeds)))
    places = {setting.key[:2] if plan.candidates else setting.key for setting in plan.settings}
    for line in plan_lines(
        len(seeds),
        len(plan.study.priors) - 1,
        upcoming_claims(run.root, claims, look),
        settings=max(len(places), 1),
        spreads=earlier_spreads(run),
    ):
        console.say(line)


@dataclass(frozen=True)
class _Stages:
    """Runs the missing trials of a plan, stage by stage.

    Attributes:
        run_directory: the run directory, whose lock is held.
        workforce: what trains trials.
        console: where messages and progress go.
        history: what the run directory held before this call, None for a new one.
        decided_by: facts of :func:`deciding_facts` about the present code and data.
        log: what the losses of trials are handed on to.
    """

    run_directory: RunDirectory
    workforce: Workforce
    console: RunConsole
    history: RunHistory | None
    decided_by: Mapping[str, Any]
    log: RunLog

    def run(self, plan: Plan, stage: str) -> None:
        """Write the plan and run the missing trials of one stage, and say how many they are."""
        run, say, part = self.run_directory, self.console.say, plan.of_stage(stage)
        files: list[str] = []
        todo = pending_trials(part, run, lambda problem: files.append(_again(problem)))
        trials = [item.trial for item in todo if not item.score_only]
        reasons: list[str] = []
        if self.history:
            files += self.history.lost_lines(trials)
            reasons = self.history.changed_lines(trials, self.decided_by)
        for line in [*shortened(files), *reasons]:
            say(line)
        if todo or stage == EVALUATE:
            write_plan(plan, run)
        say(f"{len(part.trials)} {_CALLED[stage]}, {len(todo)} to run, in {run.root}")
        notes: Counter[str] = Counter()
        waiting = {item.trial.id for item in todo}
        for trial in part.trials:
            if trial.id not in waiting:
                self.log.add(trial.id)
        with self.console.progress([item.trial for item in todo]) as ended:

            def note(event: TrialEnded) -> None:
                if event.outcome.note:
                    notes[event.outcome.note] += 1
                self.log.add(event.trial.id)
                ended(event)

            run_pending(plan, run, todo, workforce=self.workforce, on_ended=note)
        for text, count in notes.items():
            say(f"of trials that should have trained at once {text} ({count} x)")


def _again(problem: DamagedFile) -> str:
    return f"{problem.path}: {problem.problem}; its trial is trained again"


def _select(plan: Plan, stages: _Stages) -> Plan:
    """Run the missing selection trials, choose networks, and return the plan with what follows."""
    run, say = stages.run_directory, stages.console.say
    if plan.trials:
        stages.run(plan, SELECT)
    choices = choose_networks(plan, run)
    run.manifest.write({NETWORKS_FILE: as_csv(choices)})
    for line in network_lines(choices, asked_for=bool(plan.study.architectures)):
        say(line)
    plan = with_networks(plan, chosen_networks(choices))
    record_study(run, plan.study)
    return plan


def _tune(plan: Plan, stages: _Stages) -> Plan:
    """Run the missing tuning trials, choose weights, and return the plan with its evaluation."""
    run = stages.run_directory
    stages.run(plan, TUNE)
    choices = choose_weights(plan, run)
    run.manifest.write({TUNING_FILE: as_csv(choices)})
    for line in choice_lines(choices):
        stages.console.say(line)
    return with_evaluation(plan, chosen_weights(choices))
