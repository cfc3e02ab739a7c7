"""How the numbers came about, and how to repeat them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from priorbench import Section
from priorbench.dataset import SPLITS, TEST, TRAIN, VALID, Dataset
from priorbench.results import Run
from priorbench.schedules import SCHEDULES

from ._blocks import blocks, reach
from ._page import render

_FACTS = {
    "python": "Python",
    "platform": "platform",
    "processor": "processor",
    "cores": "cores",
    "device": "device",
    "gpus": "GPUs",
    "workers": "worker processes",
    "threads_per_worker": "threads per worker",
}


class Methods(Section):
    """Methods in words with the numbers of this run, environment, command."""

    title: ClassVar[str] = "Methods"
    position: ClassVar[int] = 60

    def render(self, run: Run) -> str:
        """See Section."""
        reaches = [found for block in blocks(run) if (found := reach(block)) is not None]
        notes = run.environment.get("notes", {})
        return render(
            "methods",
            study=run.study,
            schedule=SCHEDULES.get(run.study["scale"]),
            datasets=[_sizes(name, dataset) for name, dataset in run.datasets.items()],
            notes={name: lines for name, lines in notes.items() if lines},
            pairs=max((found.n for found in reaches), default=0),
            tests=sorted({found.tests for found in reaches}),
            facts=_facts(run.environment),
            packages=run.environment.get("packages", {}),
            command=run.environment.get("command", ""),
            again=f"priorbench run {shlex.quote(str(run.root / 'study.toml'))}",
        )


def _sizes(name: str, dataset: Dataset) -> dict[str, Any]:
    return {
        "name": name,
        "splits": [(SPLITS[split], len(dataset.rows(split))) for split in (TRAIN, VALID, TEST)],
        "length": dataset.length,
        "attributed": len(dataset.attributed),
        "truth": dataset.truth is not None,
        "digest": dataset.digest,
    }


def _facts(environment: Mapping[str, Any]) -> dict[str, Any]:
    facts = {title: environment[key] for key, title in _FACTS.items() if key in environment}
    return {
        title: ", ".join(map(str, value)) if isinstance(value, list) else value
        for title, value in facts.items()
    }
