"""Trials that failed, collapsed or were flagged, and how they were counted."""

from __future__ import annotations

from typing import ClassVar

from priorbench import Section
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from ._shared.page import render


class Failures(Section):
    """A line per failure; none is dropped in silence."""

    title: ClassVar[str] = "Failures"
    position: ClassVar[int] = 50

    def render(self, run: Run) -> str:
        """See Section."""
        found = [record for record in run.records.values() if record["status"] != DONE]
        flagged = [record for record in run.records.values() if record.get("flags")]
        owners = {} if len(run.parts) == 1 else _owners(run)
        return render(
            "failures", failures=found, flagged=flagged, total=len(run.records), owners=owners
        )


def _owners(run: Run) -> dict[str, str]:
    """Labels of the runs that have a trial, by its id."""
    found: dict[str, list[str]] = {}
    for label, part in run.parts.items():
        for trial in part.records:
            found.setdefault(trial, []).append(label)
    return {trial: ", ".join(labels) for trial, labels in found.items()}
