"""The commands `status` and `runs`: how far runs have come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from priorbench.errors import UserError
from priorbench.number_text import counted

from .console import print_message
from .output.as_json import print_json
from .output.tables import print_wrapped

if TYPE_CHECKING:
    from priorbench.workflow.run_list import ListedRun
    from priorbench.workflow.run_status import RunStatus

_STATUSES = ("done", "collapsed", "failed", "pending", "damaged")
_RUNS = Path("runs")
"""where `run` puts runs that no --out names"""


def status(directory: Path, *, json: bool = False) -> None:
    """Print how far a run has come, and which trials failed and why.

    Example: priorbench status runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_status import read_status

    run_status = read_status(directory)
    if json:
        print_json(_status_json(directory, run_status))
    else:
        _print_status(directory, run_status)
    if run_status.damaged:
        first, *others = run_status.damaged
        more = f" (and {counted(len(others), 'more file')})" if others else ""
        raise UserError(f"{first}{more}")


def _print_status(directory: Path, run_status: RunStatus) -> None:
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


def _status_json(directory: Path, run_status: RunStatus) -> dict[str, object]:
    def counts(by_name: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
        return {name: {key: number[key] for key in _STATUSES} for name, number in by_name.items()}

    return {
        "path": directory,
        "evaluation": counts(run_status.by_prior),
        "tuning": counts(run_status.tuning),
        "selection": counts(run_status.selection),
        "unplanned": run_status.unplanned,
        "in_flight": run_status.in_flight,
        "failures": [
            {"name": name, "seed": int(seed), "reason": reason}
            for name, seed, reason in run_status.failures
        ],
        "damaged": [
            {"path": problem.path, "problem": problem.problem} for problem in run_status.damaged
        ],
        "outdated": run_status.outdated,
    }


def runs(folder: Path = _RUNS, *, json: bool = False) -> None:
    """List the runs in a folder: what each compares, how far it is and what it answers.

    Example: priorbench runs

    Args:
        folder: Folder with runs, or a run. Default: runs, where `run` puts them. Example: runs
    """
    from priorbench.workflow.run_list import list_runs

    listed_runs = [] if folder == _RUNS and not folder.exists() else list_runs(folder)
    if json:
        print_json([_run_json(run) for run in listed_runs])
        return
    if not listed_runs:
        print_message(f"no runs in {folder}; `priorbench run` begins one")
    for run in listed_runs:
        print(run.path)
        if run.problem:
            print_wrapped(f"damaged: {run.problem}", indent=2)
            continue
        when = f"{datetime.fromtimestamp(run.changed):%Y-%m-%d %H:%M}"
        trials = (
            f"{run.ended:,} of {run.planned:,} trials" if run.planned else "nothing planned yet"
        )
        print_wrapped(f"{when}, {trials}: {run.compared}, scale {run.scale}", indent=2)
        print_wrapped(run.answer or "no answer yet", indent=2)


def _run_json(run: ListedRun) -> dict[str, object]:
    changed = datetime.fromtimestamp(run.changed, UTC).isoformat(timespec="seconds")
    texts = {"answer": run.answer or None, "problem": run.problem or None}
    return {**asdict(run), "changed": changed, **texts}
