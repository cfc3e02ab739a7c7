"""The commands `score` and `status`: for a run that was begun or finished before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from priorbench.errors import UserError

from .console import print_message, trial_progress
from .options import read_names
from .run import print_outcome

_STATUSES = ("done", "collapsed", "failed", "pending", "damaged")


def score(
    directory: Path,
    *,
    attributions: str | None = None,
    discovery: bool = False,
    report: bool = True,
    jobs: Annotated[int | None, {"min": 1}] = None,
    backend: Literal["loky", "dask", "ray"] = "loky",
    scheduler: str | None = None,
) -> int:
    """Score a run's trained models where a score is missing or outdated.

    Nothing is trained.

    Example: priorbench score runs/default-1a2b3c4d --attributions deep-lift-shap

    How it is measured:
        attributions: Attributions to score beside those of the run, separated by commas. Default:
            none. Example: deep-lift-shap
    """
    from priorbench.backends.base import RunPlacement
    from priorbench.study.study import Measurements
    from priorbench.workflow.run_study import RunConsole
    from priorbench.workflow.score_run import score_run

    outcome = score_run(
        directory,
        Measurements(read_names("attributions", attributions), discovery),
        placement=RunPlacement(backend, scheduler, jobs),
        console=RunConsole(print_message, trial_progress),
    )
    print_outcome(outcome, report=report)
    return 1 if outcome.unscored else 0


def status(directory: Path) -> None:
    """Print how far a run has come, and which trials failed and why.

    Example: priorbench status runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_status import read_status

    run_status = read_status(directory)
    if run_status.selection:
        _print_counts("trials that choose a network", run_status.selection)
    if run_status.tuning:
        _print_counts("tuning trials", run_status.tuning)
    if run_status.unplanned:
        what = "the weights that tuning chooses" if run_status.tuning else "the network's choice"
        print(f"{run_status.unplanned} trials wait for {what}")
    else:
        _print_counts("trials", run_status.by_prior)
    if run_status.in_flight:
        print(f"{len(run_status.in_flight)} begun and not finished")
    for prior, seed, reason in run_status.failures:
        print(f"  {prior} seed {seed}: {reason}")
    if run_status.failures:
        print(f"tracebacks are in {directory}/trials/*/record.json")
    for line in run_status.outdated:
        print(line)
    if run_status.damaged:
        first, *others = run_status.damaged
        more = f" (and so {len(others)} more)" if others else ""
        raise UserError(f"{first}{more}")


def _print_counts(what: str, by_prior: Mapping[str, Counter[str]]) -> None:
    """Print how many trials have each status, in all and for each prior."""
    sums = {name: sum(counts[name] for counts in by_prior.values()) for name in _STATUSES}
    shown = {name: count for name, count in sums.items() if count or name != "damaged"}
    total = ", ".join(f"{count} {name}" for name, count in shown.items())
    print(f"{sum(sums.values())} {what}: {total}")
    width = max(map(len, by_prior), default=0)
    for prior, counts in by_prior.items():
        line = ", ".join(f"{counts[name]} {name}" for name in _STATUSES if counts[name])
        print(f"  {prior:<{width}}  {line}")
