"""The weights that tuning trials choose for the evaluation, and tuning.csv.

`study/tuning_rule.py` has the rule; here it is given what the tuning trials left behind.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from priorbench.components.specs import name_of
from priorbench.metrics import METRICS
from priorbench.statistics.agreement import leave_one_out
from priorbench.storage.run_directory import DONE, RunDirectory
from priorbench.study.plan import Plan
from priorbench.study.study import BASELINE
from priorbench.study.trial import SETTING_COLUMNS, TUNE, SettingKey, Trial
from priorbench.study.tuning_rule import (
    LOCALISATION,
    STABILITY,
    AssessedWeight,
    TriedWeight,
    choose,
    criterion_of,
    reference,
    untuned,
)

from .stored_trials import trial_attribution
from .tables import read_table

TUNING_COLUMNS = [
    *SETTING_COLUMNS,
    "prior",
    "rule",
    *(field.name for field in dataclasses.fields(AssessedWeight)),
]
TUNING_FILE = "tuning.csv"


def choose_weights(plan: Plan, run: RunDirectory) -> pd.DataFrame:
    """Choose one weight of every prior in every setting, and return all that were tried.

    Args:
        plan: resolved; its tuning trials have ended. One that is missing counts as failed.
        run: the run directory that holds their records.

    Returns:
        a table with TUNING_COLUMNS, one row per setting, prior and weight. Settings are in the
        plan's order, priors in the study's, weights ascending; ``none`` has one row.
    """
    study, rows = plan.study, []
    weights = cast("Mapping[str, Mapping[str, float]]", study.weights)
    grids = cast("Mapping[str, Mapping[str, Sequence[float]]]", study.grids)
    settings: dict[SettingKey, list[Trial]] = defaultdict(list)
    for trial in plan.of_stage(TUNE).trials:
        settings[trial.setting].append(trial)
    for setting, trials in settings.items():
        task = name_of(setting[0])
        tuning = _TuningTrials(trials, plan, run)
        criterion = criterion_of(
            study.tuning_rule, localised=tuning.localised, seeds=len(study.tuning_seed_list)
        )
        baseline = tuning.tried_weight(BASELINE, 0.0, criterion)
        for prior in study.priors:
            centre = weights[prior][task]
            if prior == BASELINE:
                assessed = [reference(baseline, criterion=criterion, margin=study.loss_margin)]
            elif prior not in grids:
                assessed = [untuned(centre)]
            else:
                assessed = choose(
                    [tuning.tried_weight(prior, w, criterion) for w in grids[prior][task]],
                    baseline,
                    rule=study.tuning_rule,
                    criterion=criterion,
                    margin=study.loss_margin,
                    centre=centre,
                )
            cells = dict(zip(SETTING_COLUMNS, setting, strict=True))
            cells |= {"prior": prior, "rule": study.tuning_rule}
            rows += [{**cells, **vars(weight)} for weight in assessed]
    return pd.DataFrame(rows, columns=TUNING_COLUMNS)


class _TuningTrials:
    """The tuning trials of a setting, by prior and weight."""

    def __init__(self, trials: Sequence[Trial], plan: Plan, run: RunDirectory) -> None:
        self.trials, self.run = trials, run
        self.spec = plan.study.attributions[0]
        self.seeds = plan.study.tuning_seed_list
        self.records = {trial.id: run.record(trial.id) or {} for trial in trials}
        self.arms: dict[tuple[str, float], list[Trial]] = defaultdict(list)
        for trial in trials:
            self.arms[trial.prior, trial.weight].append(trial)

    @property
    def localised(self) -> bool:
        """Whether a trial of the setting has a localisation, so that motif positions are known."""
        return any(math.isfinite(self._localisation(trial)) for trial in self.trials)

    def tried_weight(self, prior: str, weight: float, criterion: str) -> TriedWeight:
        """Return the validation losses of a weight, seed by seed, and its score by a criterion."""
        arm = self.arms[prior, weight]
        by_seed = {trial.seed: validation_loss(self.records[trial.id]) for trial in arm}
        losses = np.array([by_seed.get(seed, math.inf) for seed in self.seeds])
        score = math.nan
        if np.isfinite(losses).all() and criterion == LOCALISATION:
            score = float(np.mean([self._localisation(trial) for trial in arm]))
        elif np.isfinite(losses).all() and criterion == STABILITY:
            tracks = [trial_attribution(self.run, trial.id, self.spec) for trial in arm]
            score = float(leave_one_out(METRICS[STABILITY].function(tracks)).mean())
        return TriedWeight(weight, losses, score)

    def _localisation(self, trial: Trial) -> float:
        scores = self.records[trial.id].get("metrics", {}).get(self.spec, {})
        value = scores.get(LOCALISATION)
        return math.nan if value is None else float(value)


def validation_loss(record: Mapping[str, Any]) -> float:
    """Return the validation prediction loss of a record's best epoch; infinite after a failure."""
    if record.get("status") != DONE:
        return math.inf
    return float(record["history"][record["best_epoch"]]["validation_loss"])


def chosen_weights(table: pd.DataFrame) -> dict[tuple[SettingKey, str], float]:
    """Return the chosen weight by setting and prior, from a table of tuning."""
    chosen = table[table["chosen"]]
    columns = (chosen[name] for name in (*SETTING_COLUMNS, "prior", "weight"))
    return {
        ((str(task), str(dataset), str(architecture)), str(prior)): float(weight)
        for task, dataset, architecture, prior, weight in zip(*columns, strict=True)
    }


def goes_by_median(table: pd.DataFrame) -> bool:
    """Return whether weights of a table had to lose little in the median, too, as they have to now.

    Earlier versions went by the mean over the tuning seeds alone.
    """
    return "median_difference" in table


def choice_lines(table: pd.DataFrame) -> list[str]:
    """Return a line for the terminal about every weight chosen in a table of tuning."""
    chosen = table[table["chosen"] & (table["prior"] != BASELINE)]
    return [
        f"{row['task']}/{row['dataset']} {row['architecture']}: {row['prior']} "
        f"weight {row['weight']:g} ({row['note']}"
        f"{'; at the edge of the weights tried' if row['edge'] else ''})"
        for _, row in chosen.iterrows()
    ]


def read_tuning(run: RunDirectory) -> pd.DataFrame:
    """Return tuning.csv of a run directory, as written; empty where weights were not tuned."""
    return read_table(run, TUNING_FILE, TUNING_COLUMNS)


def no_tuning() -> pd.DataFrame:
    """Return the table of a run whose weights were not tuned."""
    return pd.DataFrame(columns=TUNING_COLUMNS)
