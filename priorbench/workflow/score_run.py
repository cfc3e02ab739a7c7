"""Scoring the trained models of a run again, for `priorbench score`."""

from __future__ import annotations

import time
from pathlib import Path

from priorbench.backends.base import Engine, RunPlacement, Workforce
from priorbench.backends.open import running_engine
from priorbench.backends.run_pending import TrialEnded, pending_trials, run_pending
from priorbench.data.dataset import check_dataset
from priorbench.errors import UserError, first_names
from priorbench.number_text import counted
from priorbench.results.chosen_weights import TUNING_FILE, choose_weights, chosen_weights
from priorbench.results.collect import write_results
from priorbench.results.finished_run import TABLES
from priorbench.results.tables import as_csv
from priorbench.storage.run_directory import FAILED, RunDirectory
from priorbench.storage.sealed_files import DamagedFile, command_on
from priorbench.study.plan import Plan, read_plan
from priorbench.study.recorded_study import ANSWER_FILE, record_study, require_run
from priorbench.study.study import Measurements
from priorbench.study.trial import EVALUATE

from .run_history import say_again, scored_trials
from .run_study import RunConsole, RunOutcome

_MOST_NAMED = 3
"""trials that are named, at most, where some are lost"""


def score_run(
    root: Path, more: Measurements, *, placement: RunPlacement, console: RunConsole
) -> RunOutcome:
    """Score the trained models of a run where a score is missing or was made by other code.

    Args:
        root: the run directory.
        more: what is measured beside what the study asks for.
        placement: where models are scored.
        console: where messages and progress go.

    Raises:
        UserError: if the folder holds no run, an attribution is unknown, another process is
            running in the folder, or trials that had been scored are gone: tables never shrink.
        DamagedFile: if a file that tables are made of is not as it was written.
    """
    run = RunDirectory(root)
    require_run(run)
    with running_engine(placement, console.say) as engine, run.lock():
        return score_stored(run, more, engine, console)


def score_stored(
    run: RunDirectory, more: Measurements, engine: Engine, console: RunConsole
) -> RunOutcome:
    """Score the trained models of a run whose lock is held, as :func:`score_run` does."""
    started, unscored = time.monotonic(), 0
    plan = _plan_of_all(run, more)
    for folder in plan.datasets.values():
        check_dataset(folder)
    workforce = Workforce(engine, engine.device(plan.study.device))
    for name in (*TABLES, ANSWER_FILE, TUNING_FILE):
        _say_damaged(run, name, console)
    pending = pending_trials(plan, run)
    todo = [item for item in pending if item.score_only]  # the others failed
    trained = len(plan.trials) - len(pending) + len(todo)
    console.say(f"{trained} trained trials, {len(todo)} to score, in {run.root}")
    with console.progress([item.trial for item in todo]) as ended:

        def count(event: TrialEnded) -> None:
            nonlocal unscored
            unscored += event.outcome.status == FAILED
            ended(event)

        run_pending(plan, run, todo, workforce=workforce, on_ended=count)
    record_study(run, plan.study)
    if plan.study.tune:
        _choose_again(plan, run, console)
    collected = write_results(plan, run, console.say)
    seconds = time.monotonic() - started
    return RunOutcome(run.root, collected.statuses, seconds, collected.answer, unscored)


def _plan_of_all(run: RunDirectory, more: Measurements) -> Plan:
    """Return the plan with all trials that have been run.

    Raises:
        UserError: if trials that had been scored, or trained, are not there as they were.
    """
    problems: list[DamagedFile] = []
    plan = read_plan(run, more, problems.append)
    lost = [problem.path.parent for problem in problems]
    gone = scored_trials(run) - {trial.id for trial in plan.trials}
    names = list(dict.fromkeys(map(str, [*lost, *(run.trial(trial) for trial in sorted(gone))])))
    if names:
        are = "is" if len(names) == 1 else "are"
        remedy = f"{command_on(run.root)} trains them again"
        if plan.study.networks.model:
            remedy = f"{command_on(run.root, 'score')} with their --weights reads them again"
        raise UserError(
            f"{counted(len(names), 'trial')} of {len(names) + len(plan.trials)} {are} missing or "
            f"damaged ({first_names(names, _MOST_NAMED)}); {remedy}; nothing was written"
        )
    return plan


def _say_damaged(run: RunDirectory, name: str, console: RunConsole) -> None:
    """Say that a table is not as it was written, and is made again."""
    if name in run.manifest:
        try:
            run.manifest.read(name)
        except DamagedFile as problem:
            say_again(problem, console.say)


def _choose_again(plan: Plan, run: RunDirectory, console: RunConsole) -> None:
    """Write tuning.csv again by the new scores, unless evaluation trials would not fit it."""
    evaluated = plan.of_stage(EVALUATE).trials
    if not evaluated:  # nothing has been chosen yet
        return
    choices = choose_weights(plan, run)
    chosen = chosen_weights(choices)
    if all(trial.weight == chosen[trial.setting, trial.prior] for trial in evaluated):
        run.manifest.write({TUNING_FILE: as_csv(choices)})
        return
    console.say(
        "by these scores and the rule of this version other weights would be chosen; "
        f"{command_on(run.root)} trains them"
    )
