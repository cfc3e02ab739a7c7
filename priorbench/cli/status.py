"""The command `status`: how far a run has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .options import RunPath

_STATUSES = ("done", "collapsed", "failed", "pending")


def status(directory: RunPath) -> None:
    """Print how far a run has come, and which trials failed and why.

    Example: priorbench status runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_status import read_status

    run_status = read_status(directory)
    if run_status.tuning:
        _print_counts("tuning trials", run_status.tuning)
    if run_status.unplanned:
        print(f"{run_status.unplanned} trials wait for the weights that tuning chooses")
    else:
        _print_counts("trials", run_status.by_prior)
    if run_status.in_flight:
        print(f"{len(run_status.in_flight)} begun and not finished")
    for prior, seed, reason in run_status.failures:
        print(f"  {prior} seed {seed}: {reason}")
    if run_status.failures:
        print(f"tracebacks are in {directory}/trials/*/record.json")


def _print_counts(what: str, by_prior: Mapping[str, Counter[str]]) -> None:
    """Print how many trials have each status, in all and for each prior."""
    sums = {name: sum(counts[name] for counts in by_prior.values()) for name in _STATUSES}
    total = ", ".join(f"{count} {name}" for name, count in sums.items())
    print(f"{sum(sums.values())} {what}: {total}")
    width = max(map(len, by_prior), default=0)
    for prior, counts in by_prior.items():
        line = ", ".join(f"{counts[name]} {name}" for name in _STATUSES if counts[name])
        print(f"  {prior:<{width}}  {line}")
