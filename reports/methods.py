"""Methods in words, with this run's numbers and what they cite, to be pasted into a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import priorbench
from priorbench import Section
from priorbench.metrics import METRICS
from priorbench.results.finished_run import Run
from priorbench.statistics.signflip import EXACT_UP_TO
from priorbench.study.declared import PRIMARY
from priorbench.study.trial import EVALUATE

from . import _paper as paper
from ._literature import Bibliography
from ._numbers import listed
from ._page import render
from ._priors import described_priors
from ._settings import ComparedSetting, reach, settings_of

FEW_DATASETS = 6
"""more are summed up in words; all are in the table"""
_INTERVAL_FROM, _IMPROVEMENT_FROM, _AGREEMENT_FROM = 6, 15, 3
"""pairs from which intervals are those of the sign-flip test, the probability of improvement has
one, and an agreement of seeds can be tested"""


class Methods(Section):
    """Text and references; tables of datasets and networks; what to keep in mind."""

    title: ClassVar[str] = "Methods"
    position: ClassVar[int] = 60

    def render(self, run: Run) -> str:
        """See Section."""
        works = Bibliography()
        several = len(run.parts) > 1
        parts = [_part(part, label if several else "", works) for label, part in run.parts.items()]
        found = settings_of(run)
        tested = render(
            "methods_tested",
            study=run.study,
            several=several,
            priors=run.study["priors"][1:],
            ended=paper.ended_of(run),
            cite=works.cite,
            **_statistics(run, found),
        )
        return render(
            "methods",
            parts=parts,
            tested=tested,
            several=several,
            references=works.references,
            pairs=_pairs(found),
        )


def _part(run: Run, label: str, works: Bibliography) -> Mapping[str, Any]:
    """What is told of every run by itself: data, networks, training, weights."""
    data, networks = paper.data_of(run), paper.networks_of(run)
    notes = run.environment.get("notes", {})
    text = render(
        "methods_made",
        label=label,
        study=run.study,
        few=len(data) <= FEW_DATASETS,
        data=data,
        tasks=paper.tasks_of(run, data),
        networks=networks,
        trainings=paper.trainings_of(run),
        epochs=paper.epochs_of(run),
        at_once=paper.at_once_of(run),
        ended=paper.ended_of(run),
        priors=described_priors(run, settings_of(run))[1:],
        seen=paper.seen_of(run),
        attributions=paper.attributions_of(run.attributions),
        version=priorbench.__version__,
        environment=run.environment,
        cite=works.cite,
        cited=works.cite_component,
    )
    return {
        "label": label,
        "text": text,
        "data": data,
        "networks": networks,
        "notes": {name: lines for name, lines in notes.items() if lines},
    }


def _pairs(found: Sequence[ComparedSetting]) -> list[int]:
    """Numbers of paired seeds of the settings, ascending."""
    return sorted({limits.n for setting in found if (limits := reach(setting)) is not None})


def _statistics(run: Run, found: Sequence[ComparedSetting]) -> Mapping[str, Any]:
    pairs = _pairs(found)
    compared = run.comparisons
    primary = compared[compared["family"] == PRIMARY] if len(compared) else compared
    tests = sorted({limits.tests for b in found if (limits := reach(b)) is not None and b.primary})
    declared = {
        axis: list(dict.fromkeys(rows["metric"]))
        for axis, rows in primary.groupby("axis", sort=False)
    }
    metrics = [METRICS[name] for names in declared.values() for name in names]
    return {
        "pairs": pairs,
        "exact": bool(pairs) and pairs[-1] <= EXACT_UP_TO,
        "monte_carlo": bool(pairs) and pairs[-1] > EXACT_UP_TO,
        "tests": tests,
        "declared": declared,
        "metrics": metrics,
        "agreements": [m.name for m in metrics if m.of_pairs and pairs[-1] >= _AGREEMENT_FROM],
        "student": bool(pairs) and 1 < pairs[0] < _INTERVAL_FROM,
        "inverted": bool(pairs) and pairs[-1] >= _INTERVAL_FROM,
        "improvement": bool(pairs) and pairs[-1] >= _IMPROVEMENT_FROM,
        "across": _across(run),
        "trends": not run.trends.empty,
        "margins": _margins(run),
    }


def _across(run: Run) -> Mapping[str, int] | None:
    if run.across.empty:
        return None
    return {name: int(run.across[name].max()) for name in ("settings", "datasets")}


def _margins(run: Run) -> str:
    """What is declared and was measured."""
    measured = set(run.results.loc[run.results["stage"] == EVALUATE, "metric"])
    found = [f"{m:g} in {name}" for name, m in run.study["margins"].items() if name in measured]
    if any(METRICS[name].loss for name in measured if name in METRICS):
        found.append(f"{100 * run.study['loss_margin']:g}% of the baseline’s value in losses")
    return listed(found) if found else ""
