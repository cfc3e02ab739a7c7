"""What a run directory holds before a run goes on in it: damaged files, trials that are done."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pandas as pd

from priorbench.components import registry
from priorbench.errors import UserError
from priorbench.number_text import counted
from priorbench.storage.run_directory import FAILED, RunDirectory
from priorbench.storage.sealed_files import DamagedFile
from priorbench.study.data_sources import sources
from priorbench.study.plan import Setting
from priorbench.study.recorded_study import planned_rows, recorded_facts, recorded_study
from priorbench.study.sealed_claims import CLAIMS_FILE
from priorbench.study.study import make_study
from priorbench.study.trial import Trial

from .changed_code import code_reasons, data_reasons, deciding_facts

_MOST_LINES = 20
"""files that are named one by one, at most"""
_ARM = ("stage", "task", "dataset", "architecture", "prior", "weight", "seed")
"""columns of plan.csv that say what a trial is, whatever code and data it had"""


@dataclass(frozen=True)
class RunHistory:
    """What a run directory held before.

    Attributes:
        run: the run directory.
        planned: ids of trials that were planned, by their cells in the columns _ARM.
        scored: ids of the trials in results.csv.
        decided_by: facts of ``changed_code.deciding_facts`` that were recorded; empty if unknown.
    """

    run: RunDirectory
    planned: Mapping[tuple[str, ...], str]
    scored: frozenset[str]
    decided_by: Mapping[str, Any]

    def lost_lines(self, trials: Sequence[Trial]) -> list[str]:
        """Return a line about each trial that was done, and whose folder is gone."""
        return [
            f"{self.run.trial(trial.id)}: is missing; its trial is trained again"
            for trial in trials
            if trial.id in self.scored and not self.run.trial(trial.id).exists()
        ]

    def changed_lines(self, trials: Sequence[Trial], decided_by: Mapping[str, Any]) -> list[str]:
        """Return why trials that were done are trained again, with the number for each reason.

        Args:
            trials: trials that are to be trained.
            decided_by: facts of the present code and data.
        """
        of_code = cache(partial(code_reasons, self.decided_by, decided_by))
        of_data = cache(partial(data_reasons, self.decided_by, decided_by))
        counts: Counter[str] = Counter()
        for trial in trials:
            earlier = self._record(self.planned.get(arm_of(vars(trial)), trial.id))
            if earlier is None or earlier["trial"] == trial.id or earlier["status"] == FAILED:
                continue
            texts = of_code(trial.setting, trial.prior)
            if earlier["digest"] != trial.digest:
                place = f"{trial.task}/{trial.dataset}"
                texts = [*texts, *(of_data(trial.setting) or [f"the data of {place} changed"])]
            counts["; ".join(texts) or "what decides it changed"] += 1
        return [
            f"{counted(count, 'trial')} that had been done {'is' if count == 1 else 'are'} trained "
            f"again: {text}"
            for text, count in counts.items()
        ]

    def _record(self, trial_id: str) -> dict[str, Any] | None:
        try:
            return self.run.record(trial_id)
        except DamagedFile:
            return None


def outdated_lines(run: RunDirectory, done: Sequence[Mapping[str, str]]) -> list[str]:
    """Return why trials would be trained again by the present code and data, with their number.

    Args:
        run: the run directory.
        done: rows of plan.csv whose trials are done.
    """
    try:
        study = make_study(recorded_study(run), where=str(run.root))
        if study.networks.model:  # nothing is trained here
            return []
        before = recorded_facts(run)["decided_by"]
        registry.use_plugins(study.plugins)
        by_key = {(source.task, source.name): source for source in sources(study)}
        keys = dict.fromkeys((row["task"], row["dataset"], row["architecture"]) for row in done)
        now = deciding_facts(
            study, [Setting(by_key[key[:2]], key[2], "") for key in keys if key[:2] in by_key]
        )
    except DamagedFile:  # named elsewhere
        return []
    except (UserError, OSError) as error:  # a plug-in or data file that is gone, say
        return [f"whether trials are up to date cannot be told: {error}"]
    of_code = cache(partial(code_reasons, before, now))
    of_data = cache(partial(data_reasons, before, now))
    counts: Counter[tuple[str, str]] = Counter()
    for row in done:
        setting = (row["task"], row["dataset"], row["architecture"])
        code, data = of_code(setting, row["prior"]), of_data(setting)
        if code or data:
            counts[("would" if code else "may", "; ".join([*code, *data]))] += 1
    return [
        f"{counted(count, 'trial')} {verb} be trained again: {text}"
        for (verb, text), count in counts.items()
    ]


def arm_of(cells: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a trial is, from a row of plan.csv or a trial's fields, as text."""
    return tuple(str(cells[name]) for name in _ARM)


def look_back(run: RunDirectory, say: Callable[[str], None]) -> RunHistory:
    """Return what a run directory holds, and say which of the files at its root are damaged.

    Raises:
        DamagedFile: if a folder is in the place of a file.
    """
    for problem in run.manifest.problems():
        if problem.path.name == CLAIMS_FILE:
            say(f"{problem.path}: {problem.problem}; nothing is confirmatory any more")
            run.manifest.forget(CLAIMS_FILE)
        else:
            say_again(problem, say)
    try:
        rows = planned_rows(run)
    except DamagedFile:
        rows = []
    try:
        scored = scored_trials(run)
    except DamagedFile:
        scored = frozenset()
    try:
        decided_by = recorded_facts(run).get("decided_by", {})
    except UserError:
        decided_by = {}
    return RunHistory(
        run,
        {arm_of(row): row["trial"] for row in rows},
        scored,
        decided_by,
    )


def say_again(problem: DamagedFile, say: Callable[[str], None]) -> None:
    """Say that a file is not as it was written, and is written again.

    Raises:
        DamagedFile: if it is a folder, which nobody but the user may remove.
    """
    if problem.path.is_dir():
        raise DamagedFile(problem.path, problem.problem, "move it away")
    say(f"{problem.path}: {problem.problem}; it is written again")


def scored_trials(run: RunDirectory) -> frozenset[str]:
    """Return the ids of the trials in results.csv, none before it is written.

    Where it is damaged, they are all that are planned: when it was written, all had been run.
    """
    if "results.csv" not in run.manifest:
        return frozenset()
    try:
        text = run.manifest.read("results.csv")
    except DamagedFile:
        return frozenset(row["trial"] for row in planned_rows(run))
    trials = pd.read_csv(io.BytesIO(text), usecols=["trial"], dtype=str)["trial"].dropna()
    return frozenset(trials)


def shortened(lines: Sequence[str]) -> list[str]:
    """Return the first lines and, where there are more, how many."""
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], *([f"and {counted(more, 'more file')}"] if more > 0 else [])]
