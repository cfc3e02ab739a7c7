"""Methods of a run as text with references, ready for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import priorbench
from priorbench import Section
from priorbench.metrics import METRICS
from priorbench.number_text import exact_p, listed
from priorbench.results.chosen_weights import goes_by_median
from priorbench.results.finished_run import Run
from priorbench.statistics.families.joint import JOINTLY_EXACT_UP_TO
from priorbench.statistics.families.looks import LOOKS_RULE
from priorbench.statistics.families.multiplicity import JOINT
from priorbench.statistics.signflip import EXACT_UP_TO
from priorbench.study.declared import PRIMARY
from priorbench.study.keys.networks import trained_elsewhere
from priorbench.study.trial import EVALUATE

from ._shared import methods_text
from ._shared.citations import Bibliography
from ._shared.page import render
from ._shared.prior_descriptions import described_priors
from ._shared.settings import ComparedSetting, settings_of
from ._shared.tests_table import reach

FEW_DATASETS = 6
"""number of datasets beyond which the text describes all together; the table has each"""
_INTERVAL_FROM, _IMPROVEMENT_FROM, _AGREEMENT_FROM = 6, 15, 3
"""numbers of pairs from which intervals are those of the sign-flip test, the probability of
improvement has an interval, and an agreement of seeds can be tested"""
_RANGE = "the way from chance to a perfect score"


class Methods(Section):
    """Text and references; tables of datasets and networks; limits of the methods."""

    title: ClassVar[str] = "Methods"
    position: ClassVar[int] = 60

    def render(self, run: Run) -> str:
        """Return text, references and tables; what several runs have in common stands once."""
        works = Bibliography()
        several = len(run.parts) > 1
        parts = [_part(part, label if several else "", works) for label, part in run.parts.items()]
        settings = settings_of(run)
        tested = render(
            "methods_tested",
            study=run.study,
            several=several,
            elsewhere=trained_elsewhere(run.study),
            priors=run.study["priors"][1:],
            counts=methods_text.trial_counts_of(run),
            cite=works.cite,
            **_statistics(run, settings),
        )
        return render(
            "methods",
            parts=parts,
            elsewhere=run.claims.elsewhere,
            tested=tested,
            several=several,
            references=works.references,
            pairs=_pairs(run, settings),
        )


def _part(run: Run, label: str, works: Bibliography) -> Mapping[str, Any]:
    """Return what is said of every run by itself: data, networks, training, weights."""
    data, networks = methods_text.data_of(run), methods_text.networks_of(run)
    groups = described_priors(run, settings_of(run))
    notes = run.environment.get("notes", {})
    text = render(
        "methods_made",
        label=label,
        study=run.study,
        few=len(data) <= FEW_DATASETS,
        data=data,
        tasks=methods_text.tasks_of(run, data),
        networks=networks,
        trainings=methods_text.trainings_of(run),
        epochs=methods_text.epochs_of(run),
        ensembles=methods_text.ensembles_of(run),
        counts=methods_text.trial_counts_of(run),
        elsewhere=trained_elsewhere(run.study),
        by_median=goes_by_median(run.tuning),
        groups=groups,
        priors=groups[1:],
        penalised=methods_text.penalised_attributions_of(run),
        attributions=methods_text.scored_attributions_of(run),
        version=priorbench.__version__,
        environment=run.environment,
        cite=works.cite,
        cite_component=works.cite_component,
    )
    return {
        "label": label,
        "text": text,
        "data": data,
        "networks": networks,
        "notes": {name: lines for name, lines in notes.items() if lines},
    }


def _pairs(run: Run, settings: Sequence[ComparedSetting]) -> list[int]:
    """Return the numbers of paired seeds of some settings, ascending."""
    return sorted({limits.n for setting in settings if (limits := reach(run, setting)) is not None})


def _statistics(run: Run, settings: Sequence[ComparedSetting]) -> Mapping[str, Any]:
    pairs, claims = _pairs(run, settings), run.claims
    compared = run.comparisons
    primary = compared[compared["family"] == PRIMARY] if len(compared) else compared
    tests = sorted(
        {limits.tests for s in settings if (limits := reach(run, s)) is not None and s.primary}
    )
    declared = {
        axis: list(dict.fromkeys(rows["metric"]))
        for axis, rows in primary.groupby("axis", sort=False)
    }
    metrics = [METRICS[name] for names in declared.values() for name in names]
    return {
        "pairs": pairs,
        "exact": bool(pairs) and pairs[-1] <= EXACT_UP_TO,
        "tests": tests,
        "claims": claims,
        "level": exact_p(claims.level),
        "confidence": f"{100 * (1 - claims.level):.6g}%",
        "joint": claims.correction == JOINT,
        "jointly_exact": bool(pairs) and pairs[-1] <= JOINTLY_EXACT_UP_TO,
        "looks_rule": LOOKS_RULE,
        "declared": declared,
        "metrics": metrics,
        "agreements": [m.name for m in metrics if m.of_pairs and pairs[-1] >= _AGREEMENT_FROM],
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
    """Return the declared margins of metrics that were measured, in words."""
    measured = set(run.results.loc[run.results["stage"] == EVALUATE, "metric"])
    claims = run.claims
    margins = [f"{m:g} in {name}" for name, m in claims.margins.items() if name in measured]
    axes = {
        METRICS[name].axis for name in measured if name in METRICS and name not in claims.margins
    }
    for axis, share in claims.skill_margins.items():
        if axis in axes:
            whole = "the baseline’s gain over chance" if axis == "prediction" else _RANGE
            margins.append(f"{100 * share:g}% of {whole} in {axis}")
    return listed(margins) if margins else ""
