"""Trials that failed, collapsed or were flagged, and how they were counted."""

from __future__ import annotations

from typing import ClassVar

from priorbench import Section
from priorbench.results import Run
from priorbench.store import DONE

from ._page import render


class Failures(Section):
    """A line per failure; none is dropped in silence."""

    title: ClassVar[str] = "Failures"
    position: ClassVar[int] = 50

    def render(self, run: Run) -> str:
        """See Section."""
        found = [record for record in run.records.values() if record["status"] != DONE]
        flagged = [record for record in run.records.values() if record.get("flags")]
        return render("failures", failures=found, flagged=flagged, total=len(run.records))
