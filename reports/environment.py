"""The machine and versions of a run, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.results.finished_run import Run
from priorbench.study.keys.networks import trained_elsewhere

from ._shared.page import render

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


class Environment(Section):
    """Command, study and versions of every run."""

    title: ClassVar[str] = "Environment and command"
    position: ClassVar[int] = 70

    def render(self, run: Run) -> str:
        """Return the command, the study and the versions, run by run."""
        return Markup("").join(
            _of_run(part, label if len(run.parts) > 1 else "") for label, part in run.parts.items()
        )


def _of_run(run: Run, label: str) -> Markup:
    path = run.root / "study.toml"
    records = run.records.values()
    return render(
        "environment",
        label=label,
        elsewhere=trained_elsewhere(run.study),
        again=f"priorbench run {shlex.quote(str(path))}",
        command=run.environment.get("command", ""),
        study=path.read_text(encoding="utf-8"),
        files=[*run.study["data"], *run.study["plugins"]],
        facts=_facts(run.environment),
        packages=run.environment.get("packages", {}),
        hosts=sorted({str(record["host"]) for record in records if record.get("host")}),
        hours=sum(float(record.get("seconds", 0)) for record in records) / 3600,
    )


def _facts(environment: Mapping[str, Any]) -> dict[str, Any]:
    facts = {title: environment[key] for key, title in _FACTS.items() if key in environment}
    return {
        title: ", ".join(map(str, value)) if isinstance(value, list) else value
        for title, value in facts.items()
    }
