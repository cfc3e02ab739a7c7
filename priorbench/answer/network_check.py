"""Whether the networks that priors are compared on are worth explaining, mostly by the baseline's.

A network that predicts or localises worse than a regression without any network is explained in
vain, whatever the prior; one whose loss was still falling when training ended was not trained
long enough to tell; and where some seeds learn and others do not, with any prior, a mean of both
describes neither. `results/collect.py` makes the table before; the report says what is found.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from priorbench.comparison.skill import UNKNOWN_RANGE, RangeKey, ScoreRange, score_ranges
from priorbench.components.specs import name_of, split_spec, without
from priorbench.components.task import MOST_EPOCHS
from priorbench.evaluation.network_free import KMERS, MOTIF_SCAN
from priorbench.evaluation.scoring import CENTRE, RANDOM
from priorbench.metrics import METRICS
from priorbench.number_text import counted, decimals_for, fixed, listed
from priorbench.storage.run_directory import DONE
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import EVALUATE, REFERENCE, SELECT, SETTING_COLUMNS, SettingKey
from priorbench.training.schedules import Schedule

SMALLEST_SHARE = 0.01
"""the last epoch's improvement over the drop of the loss so far, below which a loss has settled"""
BY_DEFINITION = 0.99
"""share of the perfect score of localisation from which on a scan is what the sites were made by:
on real data they are where known matrices match"""
LEARNED_SHARE = 0.25
"""share of what the baseline's networks gain over chance, below which one hardly predicts: far from
them, so that none falls below it because it is a little worse"""
REFERENCE_QUANTILE = 0.75
"""quantile of the baseline's gains that stands for networks that predict: three of four may not"""
LEAST_SKILL = 0.1
"""share of the way from chance to a perfect prediction below which nobody predicts, and the best of
several networks may be the luckiest"""
ENOUGH_SEEDS = 0.5
"""share of the seeds in which the loss must still fall: one seed of several may be chance"""
_WITHOUT_NETWORK = {
    KMERS: "regression on gapped k-mers without a network",
    MOTIF_SCAN: "scanning with the known matrices without a network",
    CENTRE: "nearness to the window's centre, whatever the sequence",
}
_VERBS = {"prediction": "predicts", "localisation": "localises"}
_FLOORS = {
    "prediction": "the average of the training data, which ignores the sequence",
    "localisation": "random attributions",
}
_NAMES = {"auroc": "auROC", "auprc": "auPRC", "motif-auroc": "motif auROC"}
_NAMES |= {"motif-auprc": "motif auPRC"}

Histories = Mapping[str, Sequence[Mapping[str, Any]] | None]
"""epochs of a trial, as in its record, by the trial's id"""


@dataclass(frozen=True)
class WeakNetwork:
    """A network that is worse than what needs none, or no better than chance.

    Attributes:
        setting: task, dataset, architecture.
        axis: ``prediction`` or ``localisation``.
        metric: name of the axis's primary metric.
        value: mean of the baseline's finished trials.
        reference: name of the reference row; that of chance where the network is no better.
        reference_value: its score.
        finished: number of the baseline's trials that ended well.
        seeds: number of the baseline's trials.
        chosen: whether the network was chosen among all that fit, so that the others were tried.
    """

    setting: SettingKey
    axis: str
    metric: str
    value: float
    reference: str
    reference_value: float
    finished: int
    seeds: int
    chosen: bool = False

    @property
    def is_at_chance(self) -> bool:
        """Whether the network is no better than chance, rather than worse than a method."""
        return self.reference == RANDOM

    @property
    def sentence(self) -> str:
        """The finding with its numbers, and what can be done."""
        return weakness_sentence([self])

    @property
    def other(self) -> str:
        """The name in words of what is at least as good."""
        return _FLOORS[self.axis] if self.is_at_chance else _WITHOUT_NETWORK[self.reference]

    @property
    def clause(self) -> str:
        """What it does no better, with its number."""
        mean = "" if self.finished == self.seeds else _finished(self.finished, self.seeds)
        number = f"{_name(self.metric)} {_text(self.value)}{mean}"
        return f"{_VERBS[self.axis]} {'no better' if self.is_at_chance else 'worse'} ({number})"


def weakness_sentence(findings: Sequence[WeakNetwork]) -> str:
    """Return one sentence about one network; numbers of the same other method stand together."""
    by_other: dict[str, list[WeakNetwork]] = {}
    for finding in findings:
        by_other.setdefault(finding.other, []).append(finding)
    parts = [
        f"{' and '.join(f.clause for f in those)} than {other} "
        f"({', '.join(_text(f.reference_value) for f in those)})"
        for other, those in by_other.items()
    ]
    first = findings[0]
    advice = "" if first.chosen else "; `--architectures auto` tries what else fits"
    return f"{first.setting[2]} may not be worth explaining: it {'; it '.join(parts)}{advice}."


@dataclass(frozen=True)
class UnfinishedTraining:
    """A network whose validation loss was still falling when training ended.

    Attributes:
        setting: task, dataset, architecture.
        falling: number of the baseline's finished trials whose loss was still falling.
        finished: number of the baseline's trials that ended well and have a history.
        seeds: number of the baseline's trials.
    """

    setting: SettingKey
    falling: int
    finished: int
    seeds: int

    @property
    def sentence(self) -> str:
        """The finding with its numbers, and what can be done."""
        runs = counted(self.finished, "run")
        if self.finished < self.seeds:
            runs = f"{self.finished} finished runs of {self.seeds}"
        finding = (
            f"The validation loss of {self.setting[2]} was still falling in the last epoch in "
            f"{self.falling} of {runs}"
        )
        task = self.setting[0]
        epochs = 2 * float(split_spec(task)[1].get("train_epochs", 1))
        if epochs > MOST_EPOCHS:
            return f"{finding}."
        longer = f"{without(task, ('train_epochs',))}:train_epochs={epochs:g}"
        return f"{finding}; `{longer}` trains twice as long."


@dataclass(frozen=True)
class NoNetwork:
    """A network none of whose trainings ended well.

    Attributes:
        setting: task, dataset, architecture.
        seeds: number of the baseline's trials.
    """

    setting: SettingKey
    seeds: int

    @property
    def sentence(self) -> str:
        """The finding, and what can be done."""
        return (
            f"None of the {self.seeds} trainings of {self.setting[2]} with the baseline ended "
            "well: there is no network to explain; `priorbench status` of its folder says why."
        )


@dataclass(frozen=True)
class Unlearned:
    """How many networks of a prior hardly predict.

    Attributes:
        few: number of those.
        finished: number of trials that ended well.
        seeds: number of trials.
    """

    few: int
    finished: int
    seeds: int

    @property
    def text(self) -> str:
        """The number of those that ended well, and of all where some did not."""
        ended = "" if self.finished == self.seeds else f" finished of {self.seeds}"
        return f"{self.few} of {self.finished}{ended}"


@dataclass(frozen=True)
class UnlearnedNetworks:
    """Networks that hardly predict, in a setting where networks of the baseline do.

    Attributes:
        setting: task, dataset, architecture.
        metric: name of the primary metric of prediction.
        bound: score that a network that predicts reaches, on the scale of the metric.
        higher_is_better: whether networks that hardly predict score below the bound.
        counts: how many they are, by prior; priors all of whose networks predict are left out.
    """

    setting: SettingKey
    metric: str
    bound: float
    higher_is_better: bool
    counts: Mapping[str, Unlearned]

    @property
    def sentence(self) -> str:
        """The finding with its numbers, and what it means for the means."""
        parts = [f"{count.text} with `{prior}`" for prior, count in self.counts.items()]
        side = "below" if self.higher_is_better else "above"
        mixed = any(count.few < count.finished for count in self.counts.values())
        meaning = ": a mean of both kinds describes neither" if mixed else ""
        return (
            f"Some networks of {self.setting[2]} hardly predict ({_name(self.metric)} {side} "
            f"{_text(self.bound)}, a quarter of the way from chance to networks of the baseline "
            f"that do), {listed(parts)}{meaning}."
        )


NetworkFinding = WeakNetwork | UnfinishedTraining | NoNetwork | UnlearnedNetworks


def network_sentences(
    results: pd.DataFrame, histories: Histories, claims: DeclaredClaims, chosen: Collection[str]
) -> dict[SettingKey, list[str]]:
    """Return by setting the sentences of all that :func:`check_networks` finds.

    Args:
        results: a table with the columns of results.csv.
        histories: epochs of the trials by id.
        claims: what was declared.
        chosen: datasets, ``task/dataset``, whose network was chosen.
    """
    if claims.elsewhere:  # no other network is to be tried
        chosen = set(results["task"] + "/" + results["dataset"])
    findings = check_networks(
        results,
        histories=histories,
        baseline=claims.baseline,
        primary=claims.primary,
        attribution=claims.attribution,
        chosen=chosen,
    )
    sentences: dict[SettingKey, list[str]] = {}
    for setting in dict.fromkeys(finding.setting for finding in findings):
        here = [finding for finding in findings if finding.setting == setting]
        weak = [finding for finding in here if isinstance(finding, WeakNetwork)]
        own = [weakness_sentence(weak)] if weak else []
        own += [finding.sentence for finding in here if not isinstance(finding, WeakNetwork)]
        sentences[setting] = own
    return sentences


def check_networks(
    results: pd.DataFrame,
    *,
    histories: Histories,
    baseline: str,
    primary: Mapping[str, Mapping[str, str]],
    attribution: str = "",
    chosen: Collection[str] = (),
) -> list[NetworkFinding]:
    """Return what speaks against explaining the networks of a run, setting by setting.

    For prediction and localisation, each by its primary metric, the mean of the baseline's
    finished trials is compared with chance and with the best method that needs no network. These
    are means without a test, as a network that is worth explaining should be better by far;
    numbers that look alike to three digits count as equal. Then comes the training, and networks,
    of any prior, that hardly predict where some of the baseline's do.

    Args:
        results: a table with the columns of results.csv.
        histories: epochs of the trials by id, or None where there are none.
        baseline: normalised spec of the prior whose trials are looked at.
        primary: primary metric by axis, by name of the task.
        attribution: spec of the attribution that localisation is read from; "" for the first.
        chosen: datasets, ``task/dataset``, whose network was chosen (the keys of a study's
            ``chosen_architectures``); those with selection trials are known to be.
    """
    evaluated = results[results["stage"] == EVALUATE]
    trials = evaluated[evaluated["prior"] == baseline]
    selected = results[results["stage"] == SELECT]
    tried = {*chosen, *(selected["task"] + "/" + selected["dataset"])}
    references = results[results["stage"] == REFERENCE]
    findings: list[NetworkFinding] = []
    for key, rows in trials.groupby(SETTING_COLUMNS, sort=False):
        task, dataset, architecture = map(str, key)
        setting = (task, dataset, architecture)
        spec = attribution or next((text for text in rows["attribution"] if _is_name(text)), "")
        here = references[(references[SETTING_COLUMNS] == list(setting)).all(axis=1)]
        for axis in _VERBS:
            metric = primary.get(name_of(task), {}).get(axis, "")
            if metric in METRICS:
                scored = rows[rows["metric"] == metric]
                if METRICS[metric].of_attribution:
                    scored = scored[scored["attribution"] == spec]
                scores = _References.of(here[here["metric"] == metric])
                of_best = f"{task}/{dataset}" in tried
                findings += _weaknesses(setting, metric, scored, scores, chosen=of_best)
        of_trials = rows.drop_duplicates("trial")
        if not (of_trials["status"] == DONE).any():
            findings.append(NoNetwork(setting, len(of_trials)))
        findings += _unfinished(setting, of_trials, histories)
        metric = primary.get(name_of(task), {}).get("prediction", "")
        everyone = evaluated[(evaluated[SETTING_COLUMNS] == list(setting)).all(axis=1)]
        scored = everyone[everyone["metric"] == metric]
        findings += _unlearned(setting, scored, baseline, score_ranges(here))
    return findings


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text)


@dataclass(frozen=True)
class _References:
    """The scores of one metric that need no network, by name, and that of chance, if known."""

    without_network: Mapping[str, float]
    chance: float

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _References:
        values = dict(zip(rows["prior"].astype(str), rows["value"].astype(float), strict=True))
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        methods = {name: known[name] for name in _WITHOUT_NETWORK if name in known}
        return cls(methods, known.get(RANDOM, math.nan))


def _weaknesses(
    setting: SettingKey,
    metric: str,
    rows: pd.DataFrame,
    references: _References,
    *,
    chosen: bool,
) -> Iterator[WeakNetwork]:
    """Yield how a network's mean compares with chance and with the best method without one."""
    done = rows[(rows["status"] == DONE) & rows["value"].notna()]
    definition = METRICS[metric]
    if done.empty or definition.higher_is_better is None:
        return
    sign = 1.0 if definition.higher_is_better else -1.0
    value = float(done["value"].mean())
    floor, methods = references.chance, references.without_network
    weaker_than = {}
    if math.isfinite(floor) and (sign * value <= sign * floor or _text(value) == _text(floor)):
        weaker_than[RANDOM] = floor
    if definition.of_attribution and definition.perfect:
        most = BY_DEFINITION * definition.perfect
        methods = {name: score for name, score in methods.items() if score < most}
    better = {
        name: score
        for name, score in methods.items()
        if sign * value < sign * score and _text(value) != _text(score)
    }
    searches = [name for name in better if name != CENTRE]
    if searches:
        best = max(searches, key=lambda name: sign * better[name])
        weaker_than[best] = better[best]
    if CENTRE in better:  # said beside a better search: it is of another kind
        weaker_than[CENTRE] = better[CENTRE]
    for reference, score in weaker_than.items():
        yield WeakNetwork(
            setting=setting,
            axis=definition.axis,
            metric=metric,
            value=value,
            reference=reference,
            reference_value=score,
            finished=len(done),
            seeds=len(rows),
            chosen=chosen,
        )


def _unfinished(
    setting: SettingKey, trials: pd.DataFrame, histories: Histories
) -> Iterator[UnfinishedTraining]:
    """Yield that training ended too early, if it did in enough of the seeds."""
    done = trials.loc[trials["status"] == DONE, "trial"].astype(str)
    known = [history for trial in done if (history := histories.get(trial))]
    falling = sum(map(still_falling, known))
    if known and falling >= ENOUGH_SEEDS * len(known):
        yield UnfinishedTraining(setting, falling, len(known), len(trials))


def _unlearned(
    setting: SettingKey,
    rows: pd.DataFrame,
    baseline: str,
    ranges: Mapping[RangeKey, ScoreRange],
) -> Iterator[UnlearnedNetworks]:
    """Yield which priors have networks that hardly predict, where networks of the baseline do.

    The bound is the baseline's alone, so that what is said of a prior depends on no other.
    """
    rows = rows.reset_index(drop=True)
    done = rows[(rows["status"] == DONE) & rows["value"].notna()]
    of_baseline = done.loc[done["prior"] == baseline, "value"]
    if of_baseline.empty:
        return
    metric = METRICS[str(done["metric"].iloc[0])]
    if metric.higher_is_better is None:
        return
    score_range = ranges.get((*setting, metric.name), UNKNOWN_RANGE)
    sign = 1.0 if metric.higher_is_better else -1.0
    gained = float((sign * (of_baseline - score_range.floor)).quantile(REFERENCE_QUANTILE))
    if not gained / score_range.width >= LEAST_SKILL:  # nor where the range is unknown
        return
    bound = LEARNED_SHARE * gained
    # a network at the bound reaches it, however sums are rounded
    hardly = sign * (done["value"] - score_range.floor) < (1 - 1e-9) * bound
    counts = {}
    for prior, of_prior in rows.groupby("prior", sort=False):
        ended = hardly[hardly.index.isin(of_prior.index)]
        if ended.any():
            counts[str(prior)] = Unlearned(int(ended.sum()), len(ended), len(of_prior))
    if counts:
        score = score_range.floor + sign * bound
        yield UnlearnedNetworks(setting, metric.name, score, metric.higher_is_better, counts)


def still_falling(history: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the validation loss was still falling when training ended.

    The last epoch is the best, and its loss is lower than the best before by more than a hundredth
    of what the loss has dropped since the first epoch, and by more than the improvement that
    training waits for. By the latter, training that stopped because it waited in vain is never
    still falling: an epoch that improves so much ends the wait. One epoch alone says nothing.
    """
    losses = [epoch["validation_loss"] for epoch in history]
    if len(losses) < 2 or not all(loss is not None and math.isfinite(loss) for loss in losses):
        return False
    last = losses[-1]
    improvement, drop = min(losses[:-1]) - last, losses[0] - last
    return bool(improvement > max(SMALLEST_SHARE * drop, Schedule.min_delta))


def _finished(finished: int, seeds: int) -> str:
    runs = counted(finished, "finished run")
    return f", mean of {runs} of {seeds}" if finished > 1 else f", {runs} of {seeds}"


def _name(metric: str) -> str:
    return _NAMES.get(metric, metric)


def _text(value: float) -> str:
    """Return a score, two or three digits of it, without the zero before the point."""
    text = fixed(value, decimals_for([value]))
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
