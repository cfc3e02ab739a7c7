"""The answer of a run: advice for every setting and for all together, as sentences and as JSON.

`advice.py` makes the advice before; the terminal, answer.json and the report show it afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from priorbench.components.specs import name_of
from priorbench.storage.run_directory import DONE
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS, SettingKey

from .advice import Advice, advise
from .primary_result import PrimaryResult
from .sentences import advice_sentences, claims_sentences, reach_sentence
from .standing import FailureCount, PriorStanding

_FORMAT = 1


@dataclass(frozen=True)
class Answer:
    """The answer about one setting, or about all of them.

    Attributes:
        setting: task, dataset and architecture; None for all settings together.
        advice: the advice, with the standings of all priors.
        network: sentences that speak against explaining the networks, or against a mean of them;
            mostly none.
        sentences: the advice, what it rests on and what was not shown.
        failures: how many trials of each prior failed.
    """

    setting: SettingKey | None
    advice: Advice
    network: tuple[str, ...]
    sentences: tuple[str, ...]
    failures: Mapping[str, FailureCount]

    @property
    def title(self) -> str:
        """What the answer is about."""
        return " · ".join(self.setting) if self.setting else "All settings together"


@dataclass(frozen=True)
class RunAnswer:
    """The answers of a run.

    Attributes:
        settings: one a setting.
        together: the answer over all settings; None where there is one.
        claims: what was declared, and the level.
        notes: what a reader must know of the data, of the seal on the claims, and of the look.
    """

    settings: tuple[Answer, ...]
    together: Answer | None
    claims: DeclaredClaims
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The answer as lines of plain text: over all settings if there are several."""
        shown = [self.together] if self.together else list(self.settings)
        lines = list(self.notes)
        for answer in shown:
            lines += [f"{answer.title}:"] if len(self.settings) > 1 else []
            lines += [*answer.network, *answer.sentences]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the contents of answer.json."""
        return {
            "format": _FORMAT,
            "baseline": self.claims.baseline,
            "correction": self.claims.correction,
            "look": self.claims.look,
            "level": self.claims.level,
            "sealed": self.claims.sealed,
            "changed": dict(self.claims.changed),
            "notes": list(self.notes),
            "together": _json(self.together) if self.together else None,
            "settings": [_json(answer) for answer in self.settings],
        }


def answer_run(
    results: pd.DataFrame,
    comparisons: pd.DataFrame,
    across: pd.DataFrame,
    *,
    claims: DeclaredClaims,
    networks: Mapping[SettingKey, Sequence[str]],
    warnings: Mapping[str, Sequence[str]],
) -> RunAnswer:
    """Return the answer of a run.

    Args:
        results: a table with the columns of results.csv.
        comparisons: a table with the columns of comparisons.csv.
        across: a table with the columns of across.csv; empty for a run of one setting.
        claims: what was declared.
        networks: sentences about the networks, by setting (``network_check``).
        warnings: what makes the results on a dataset doubtful, by ``task/dataset``.
    """
    evaluated = results[results["stage"] == EVALUATE]
    by_setting = dict(iter(comparisons.groupby(SETTING_COLUMNS, sort=False)))
    answers = []
    for key, rows in evaluated.groupby(SETTING_COLUMNS, sort=False):
        task, dataset, architecture = map(str, key)
        setting = (task, dataset, architecture)
        compared = by_setting.get(key, comparisons.iloc[:0])
        failures = failure_counts(rows)
        advice = advise(
            compared,
            compared,
            baseline=claims.baseline,
            failures=failures,
            withheld=changed_axes(claims, [task]),
        )
        sentences = [
            *_reach(advice, claims, len(by_setting)),
            *advice_sentences(advice, elsewhere=claims.elsewhere),
        ]
        network = tuple(networks.get(setting, ()))
        answers.append(Answer(setting, advice, network, tuple(sentences), failures))
    together = None
    if not across.empty:
        failures = failure_counts(evaluated)
        advice = advise(
            across,
            comparisons,
            baseline=claims.baseline,
            failures=failures,
            withheld=changed_axes(claims, evaluated["task"].astype(str).unique()),
        )
        sentences = advice_sentences(
            advice, "network over all settings", elsewhere=claims.elsewhere
        )
        network = tuple(f"{a.title}: {line}" for a in answers for line in a.network)
        together = Answer(None, advice, network, tuple(sentences), failures)
    doubts = [f"Warning, {name}: {line}" for name, lines in warnings.items() for line in lines]
    notes = (*doubts, *claims_sentences(claims))
    return RunAnswer(tuple(answers), together, claims, notes)


def changed_axes(claims: DeclaredClaims, tasks: Iterable[str]) -> tuple[str, ...]:
    """Return the axes on which what is claimed of tasks, by spec, was changed after training."""
    axes = [
        axis
        for task in tasks
        for axis, metric in claims.primary.get(name_of(task), {}).items()
        if metric in claims.changed
    ]
    return tuple(dict.fromkeys(axes))


def failure_counts(evaluated: pd.DataFrame) -> dict[str, FailureCount]:
    """Return by prior how many trials of rows of results.csv failed or collapsed."""
    trials = evaluated.drop_duplicates("trial")
    counts = (trials["status"] != DONE).groupby(trials["prior"]).agg(["sum", "size"])
    return {str(p): FailureCount(int(row["sum"]), int(row["size"])) for p, row in counts.iterrows()}


def _reach(advice: Advice, claims: DeclaredClaims, settings: int) -> list[str]:
    """Return a sentence where so few seeds can conclude nothing."""
    tests = sum(len(standing.results) for standing in advice.standings)
    sentence = reach_sentence(advice.seeds[1], tests, claims, settings) if tests else ""
    return [sentence] if sentence else []


def _json(answer: Answer) -> dict[str, Any]:
    advice = answer.advice
    place = dict(zip(SETTING_COLUMNS, answer.setting, strict=True)) if answer.setting else {}
    return {
        **place,
        "advice": advice.prior,
        "basis": advice.basis,
        "rivals": list(advice.rivals),
        "network": list(answer.network),
        "sentences": list(answer.sentences),
        "priors": [_standing_json(standing) for standing in advice.standings],
    }


def _standing_json(standing: PriorStanding) -> dict[str, Any]:
    return {
        "prior": standing.prior,
        "standing": standing.kind,
        "seeds": standing.n,
        "p_safe": _number(standing.p_safe),
        "step_time_ratio": _number(standing.price),
        "failed": standing.failures.failed,
        "trials": standing.failures.trials,
        "results": [_result_json(result) for result in standing.results],
        "worse_in": [f"{result.axis} in {result.setting}" for result in standing.lost_in],
    }


def _result_json(result: PrimaryResult) -> dict[str, Any]:
    return {
        "axis": result.axis,
        "metric": result.metric,
        "verdict": result.verdict,
        "seeds": result.n,
        "baseline": _number(result.baseline_mean),
        "mean": _number(result.prior_mean),
        "difference": _number(result.difference),
        "interval": [_number(end) for end in result.ends],
        "margin": _number(result.margin),
        "seeds_gaining": _number(result.seeds_gaining),
        "seeds_losing": _number(result.seeds_losing),
        "p": _number(result.p_raw),
        "p_adjusted": _number(result.p),
        "p_noninferior": _number(result.p_noninferior),
    }


def _number(value: float) -> float | None:
    """Return a number, or None where JSON has none for it."""
    return value if math.isfinite(value) else None
