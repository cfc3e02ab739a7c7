"""What was compared: the trials, every prior with its weight, and what varied between seeds."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from priorbench import Section
from priorbench.results.finished_run import Run
from priorbench.study.keys.networks import GIVEN
from priorbench.study.trial import SELECT

from ._shared.page import render
from ._shared.prior_descriptions import described_priors
from ._shared.settings import settings_of


class Overview(Section):
    """Numbers of trials, a table of priors, and what differs between seeds."""

    title: ClassVar[str] = "What was compared"
    position: ClassVar[int] = 10

    def render(self, run: Run) -> str:
        """Return the numbers and tables of a run."""
        return render(
            "overview",
            study=run.study,
            runs=[_row(label, part) for label, part in run.parts.items()],
            datasets=sorted(run.datasets),
            priors=described_priors(run, settings_of(run)),
            statuses=_statuses(run),
            pending=run.planned - len(run.records),
            elsewhere=_files(run),
            tuning=sum(record["stage"] == "tune" for record in run.records.values()),
            choosing=sum(record["stage"] == SELECT for record in run.records.values()),
        )


def _row(label: str, run: Run) -> dict[str, Any]:
    return {
        "label": label,
        "name": run.study["name"],
        "question": run.study["question"],
        "datasets": sorted(run.datasets),
        "priors": run.study["priors"],
        "seeds": run.study["seeds"],
        "scale": run.study["scale"],
        "trials": len(run.records),
    }


def _files(run: Run) -> list[dict[str, Any]]:
    """Return the files of networks that were trained elsewhere, each once."""
    files = {
        (record["prior"], record["seed"]): record[GIVEN]
        for record in run.records.values()
        if GIVEN in record
    }
    return [{"group": group, "number": number, **given} for (group, number), given in files.items()]


def _statuses(run: Run) -> Counter[str]:
    return Counter(
        record["status"] for record in run.records.values() if record["stage"] == "evaluate"
    )
