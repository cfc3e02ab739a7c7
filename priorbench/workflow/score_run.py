"""Scoring the trained models of a run again, for `priorbench score`."""

from __future__ import annotations

import time
from pathlib import Path

from priorbench.backends.base import RunPlacement, Workforce
from priorbench.backends.open import running_engine
from priorbench.backends.run_pending import TrialEnded, pending_trials, run_pending
from priorbench.files import write_text
from priorbench.results.chosen_weights import TUNING_FILE, choose_weights, chosen_weights
from priorbench.results.collect import write_results
from priorbench.results.tables import as_csv
from priorbench.run_directory import FAILED, RunDirectory
from priorbench.study.plan import Plan, read_plan
from priorbench.study.study import Measurements
from priorbench.study.trial import EVALUATE

from .run_study import RunConsole, RunOutcome


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
        UserError: if the folder holds no run, an attribution is unknown, or another process is
            running in the folder.
    """
    started = time.monotonic()
    run = RunDirectory(root)
    plan = read_plan(run, more)
    unscored = 0
    with running_engine(placement, console.say) as engine, run.lock():
        workforce = Workforce(engine, engine.device(plan.study.device))
        todo = pending_trials(plan, run)
        console.say(f"{len(plan.trials)} trained trials, {len(todo)} to score, in {root}")
        with console.progress([item.trial for item in todo]) as ended:

            def count(event: TrialEnded) -> None:
                nonlocal unscored
                unscored += event.outcome.status == FAILED
                ended(event)

            run_pending(plan, run, todo, workforce=workforce, on_ended=count)
        write_text(root / "study.toml", plan.study.to_toml())
        everything = read_plan(run, trained=False)
        if plan.study.tune:
            _choose_again(everything, run, console)
        collected = write_results(everything, run)
    seconds = time.monotonic() - started
    return RunOutcome(root, collected.statuses, seconds, collected.answer, unscored)


def _choose_again(plan: Plan, run: RunDirectory, console: RunConsole) -> None:
    """Write tuning.csv again by the new scores, unless evaluation trials would not fit it."""
    evaluated = plan.of_stage(EVALUATE).trials
    if not evaluated:  # nothing has been chosen yet
        return
    choices = choose_weights(plan, run)
    chosen = chosen_weights(choices)
    if all(trial.weight == chosen[trial.setting, trial.prior] for trial in evaluated):
        write_text(run.root / TUNING_FILE, as_csv(choices))
        return
    console.say(
        "by the new scores other weights would be chosen; `priorbench run "
        f"{run.root / 'study.toml'} --out {run.root}` trains them"
    )
