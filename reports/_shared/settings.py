"""Settings of a run (task, dataset and architecture), with all that was measured there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.comparison.correction_families import Family, families
from priorbench.comparison.paired_runs import counted_scores
from priorbench.components.metric import Metric
from priorbench.components.specs import split_composition
from priorbench.components.task import Axis
from priorbench.evaluation.scoring import ORACLE, RANDOM
from priorbench.metrics import METRICS
from priorbench.number_text import listed
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE
from priorbench.study.declared import PRIMARY
from priorbench.study.study import BASELINE
from priorbench.study.trial import SETTING_COLUMNS

_AXES = get_args(Axis)
MANY_SETTINGS = 12
"""number of settings beyond which a page has fewer figures of each, and says so"""


@dataclass(frozen=True)
class ArmScores:
    """Scores of one prior's trials on one metric.

    Attributes:
        values: (k,) scores as they count; NaN where there is none.
        failed: (k,) bool; whether the trial failed or collapsed.
    """

    values: NDArray[np.float64]
    failed: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.float64]:
        """Values without NaN."""
        result: NDArray[np.float64] = self.values[~np.isnan(self.values)]
        return result

    @property
    def mean(self) -> float:
        """Mean of the known values; NaN if there is none."""
        return float(self.known.mean()) if len(self.known) else float("nan")


@dataclass(frozen=True)
class ComparedSetting:
    """A setting whose trials are compared with each other.

    Attributes:
        task: spec of the task.
        dataset: name of the dataset.
        architecture: spec of the architecture.
        priors: specs of the priors, the baseline first.
        seeds: seeds, ascending.
        rows: rows of results.csv of stage ``evaluate``.
        references: rows of results.csv of stage ``reference``.
        comparisons: rows of comparisons.csv.
        runs: labels of the runs that have its trials; empty where there is only one run.
    """

    task: str
    dataset: str
    architecture: str
    priors: Sequence[str]
    seeds: Sequence[int]
    rows: pd.DataFrame
    references: pd.DataFrame
    comparisons: pd.DataFrame
    runs: Sequence[str] = ()

    @property
    def key(self) -> str:
        """Key of its dataset in ``run.datasets``."""
        return f"{self.task}/{self.dataset}"

    @property
    def title(self) -> str:
        """Heading: task, dataset and architecture, and the runs if there are several."""
        runs = f"run{'' if len(self.runs) == 1 else 's'} {listed(self.runs)}" if self.runs else ""
        return f"{self.task} · {self.dataset} · {self.architecture}{f' ({runs})' if runs else ''}"

    @cached_property
    def metrics(self) -> list[Metric]:
        """Measured metrics that are shown at first sight, axis by axis."""
        return [metric for metric in self.all_metrics if metric.main]

    @cached_property
    def all_metrics(self) -> list[Metric]:
        """Measured metrics, axis by axis."""
        names = set(self.rows["metric"])
        measured = [metric for name, metric in METRICS.items() if name in names]
        return sorted(measured, key=lambda metric: _AXES.index(metric.axis))

    @cached_property
    def primary(self) -> set[str]:
        """Names of the metrics whose tests were declared before the run."""
        rows = self.comparisons
        return set(rows.loc[rows["family"] == PRIMARY, "metric"])

    @cached_property
    def common_seeds(self) -> list[int]:
        """Seeds with a trial of every prior, however it ended."""
        trials = self.rows.drop_duplicates(["prior", "seed"])
        counts = trials["seed"].value_counts()
        return [seed for seed in self.seeds if counts.get(seed, 0) == len(self.priors)]

    @property
    def uneven(self) -> bool:
        """Whether priors have trials of different seeds, so that their means do not compare."""
        return len(self.common_seeds) < len(self.seeds)

    @property
    def families(self) -> list[Family]:
        """Families of tests, the primary one first."""
        return families(self.comparisons)

    def weight(self, prior: str) -> str:
        """Return a prior's weight as text; all its weights where there are several."""
        weights = self.rows.loc[self.rows["prior"] == prior, "weight"].unique()
        if not weights.any():  # what has none, as a network that was trained elsewhere
            return ""
        times = "× " if len(split_composition(prior)) > 1 else ""
        return ", ".join(f"{times}{float(weight):g}" for weight in weights)

    def reference(self, name: str, metric: Metric) -> float:
        """Return the score of the reference of some name, such as the floor; NaN if it has none."""
        return self._references.get((name, metric.name), float("nan"))

    def comparison(self, prior: str, metric: Metric) -> Mapping[str, Any] | None:
        """Return the row of comparisons.csv about a prior and a metric; None if there is none."""
        return self._comparisons.get((prior, metric.name))

    def scores(self, metric: Metric) -> pd.DataFrame:
        """Return a table with columns prior, seed, value and failed.

        A failed trial has the worst value of all priors. A comparison gives it the worst of its two
        arms, which a figure of all priors cannot.
        """
        if metric.name not in self._scores:
            self._scores[metric.name] = self._counted(metric)
        return self._scores[metric.name]

    def arm(self, prior: str, metric: Metric) -> ArmScores:
        """Return the scores of one prior, as :meth:`scores` has them."""
        if metric.name not in self._arms:
            table = self.scores(metric)
            values, failed = table["value"].to_numpy(float), table["failed"].to_numpy(bool)
            own = {spec: (table["prior"] == spec).to_numpy() for spec in self.priors}
            self._arms[metric.name] = {
                spec: ArmScores(values[rows], failed[rows]) for spec, rows in own.items()
            }
        return self._arms[metric.name][prior]

    def _counted(self, metric: Metric) -> pd.DataFrame:
        rows = self._by_metric.get(metric.name, self.rows.iloc[:0])
        failed = (rows["status"] != DONE).to_numpy()
        values = counted_scores(rows, metric, self.reference(RANDOM, metric))
        # the baseline before the others, whatever the order of the rows
        rank = rows["prior"].map({prior: i for i, prior in enumerate(self.priors)})
        table = rows[["prior", "seed"]].assign(value=values, failed=failed, rank=rank)
        return table.sort_values(["rank", "seed"], ignore_index=True)

    # sections need the same few rows thousands of times: tables are taken apart once

    @cached_property
    def _scores(self) -> dict[str, pd.DataFrame]:
        return {}

    @cached_property
    def _arms(self) -> dict[str, dict[str, ArmScores]]:
        return {}

    @cached_property
    def _by_metric(self) -> dict[str, pd.DataFrame]:
        return {str(name): rows for name, rows in self.rows.groupby("metric", sort=False)}

    @cached_property
    def _references(self) -> dict[tuple[str, str], float]:
        rows = self.references.drop_duplicates(["prior", "metric"])
        names = zip(rows["prior"].astype(str), rows["metric"].astype(str), strict=True)
        return dict(zip(names, map(float, rows["value"]), strict=True))

    @cached_property
    def _comparisons(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        rows = self.comparisons.drop_duplicates(["prior", "metric"])
        return {
            (str(row["prior"]), str(row["metric"])): {str(key): row[key] for key in row}
            for row in rows.to_dict("records")
        }


_known: WeakKeyDictionary[Run, dict[str, list[ComparedSetting]]] = WeakKeyDictionary()
"""settings by run and attribution, which the sections of one page share"""


def settings_of(run: Run, attribution: str = "") -> list[ComparedSetting]:
    """Return the settings of a run in the order of its results; those without a score are left out.

    Args:
        run: the run.
        attribution: spec of the attribution whose scores they hold; "" for the main one.
    """
    spec = attribution or run.attributions[0]
    by_attribution = _known.setdefault(run, {})
    if spec not in by_attribution:
        by_attribution[spec] = _settings(run, spec)
    return list(by_attribution[spec])


def _settings(run: Run, spec: str) -> list[ComparedSetting]:
    results = run.results[run.results["attribution"].isin(["", spec])]
    compared = run.comparisons[run.comparisons["attribution"].isin(["", spec])]
    baseline = run.study.get("baseline", BASELINE)
    evaluated = results[results["stage"] == "evaluate"]
    references = _by_setting(results[results["stage"] == "reference"])
    comparisons = _by_setting(compared)
    settings = []
    for key, rows in _by_setting(evaluated).items():
        priors = sorted(rows["prior"].unique(), key=lambda prior: prior != baseline)
        seeds = sorted(int(seed) for seed in rows["seed"].unique())
        others = (references.get(key, results.iloc[:0]), comparisons.get(key, compared.iloc[:0]))
        settings.append(ComparedSetting(*key, priors, seeds, rows, *others, run.runs_of(key)))
    return settings


def _by_setting(table: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    tables = {}
    for key, rows in table.groupby(SETTING_COLUMNS, sort=False):
        task, dataset, architecture = map(str, key)
        tables[task, dataset, architecture] = rows
    return tables


SIGNS = {"better": "✓", "worse": "✗", "equivalent": "=", "non-inferior": "≥", "inconclusive": "?"}
"""signs of the verdicts, so that none is known by its colour alone"""


def remark(verdict: str) -> str:
    """Return a verdict with its sign, or why there is no verdict."""
    return f"{SIGNS[verdict]} {verdict}" if verdict else "too few seeds: no p"


__all__ = [
    "MANY_SETTINGS",
    "ORACLE",
    "RANDOM",
    "SIGNS",
    "ArmScores",
    "ComparedSetting",
    "remark",
    "settings_of",
]
