"""Trials that failed, collapsed or were flagged, and how they were counted."""

from __future__ import annotations

from typing import ClassVar

from priorbench import Section
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE

from ._shared.page import render


class Failures(Section):
    """A table row for every failure, and a list of the flagged trials."""

    title: ClassVar[str] = "Failures"
    position: ClassVar[int] = 50

    def render(self, run: Run) -> str:
        """Return the failed and the flagged trials of a run, or that there are none."""
        failures = [record for record in run.records.values() if record["status"] != DONE]
        flagged = [record for record in run.records.values() if record.get("flags")]
        owners = {} if len(run.parts) == 1 else _owners(run)
        return render(
            "failures", failures=failures, flagged=flagged, total=len(run.records), owners=owners
        )


def _owners(run: Run) -> dict[str, str]:
    """Return the labels of the runs that have a trial, by its id."""
    labels: dict[str, list[str]] = {}
    for label, part in run.parts.items():
        for trial in part.records:
            labels.setdefault(trial, []).append(label)
    return {trial: ", ".join(several) for trial, several in labels.items()}
