"""What runs must agree on before they can be joined: `joined_run.py` refuses all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from priorbench.errors import UserError
from priorbench.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

from .finished_run import Run

_TRAINED = ("scale", "root_seed", "device", "digest", "code", "train_attribution", "precision")
_SCORED = ("scored_by", "probed_by")
"""fields of records in which trials of one arm must be alike, beside the weight"""
_DECLARED = ("baseline", "margins", "loss_margin", "train_attribution")
"""options of studies that must be alike"""
APART, _RENEW = "report the two apart", "`priorbench score` brings both up to date"
"""what the user can do about runs that do not agree"""


def check_joinable(runs: Mapping[str, Run]) -> None:
    """Raise UserError for the first thing that runs do not agree on and must.

    Args:
        runs: the runs by label.
    """
    facts = _SharedFacts()
    for label, run in runs.items():
        for key in _DECLARED:
            facts.add(key, run.study[key], label)
        facts.add("the attribution that primary metrics are read from", run.attributions[0], label)
        if run.study["tune"]:
            facts.add("tuning_rule", run.study["tuning_rule"], label)
        for task, declared in run.study["primary"].items():
            facts.add(f"primary of task {task}", declared, label)
        for key, dataset in run.datasets.items():
            facts.add(f"the digest of the data {key}", dataset.digest, label)
        for trial, record in run.records.items():
            _add_trial(facts, trial, record, label)


class _SharedFacts:
    """Facts that runs must share, with the run that each was first seen in."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, str]] = {}

    def add(self, fact: str, value: Any, label: str, remedy: str = APART) -> None:
        """Raise UserError if a run seen before has another value of a fact."""
        before, other = self._values.setdefault(fact, (value, label))
        if before != value:
            raise UserError(
                f"{other} and {label} cannot be joined: {fact} is {before!r} in {other} and "
                f"{value!r} in {label}; {remedy}"
            )


def _add_trial(facts: _SharedFacts, trial: str, record: Mapping[str, Any], label: str) -> None:
    arm = " · ".join(str(record[key]) for key in (*SETTING_COLUMNS, "prior"))
    if record["stage"] == EVALUATE:
        facts.add(f"the weight of {arm}", record["weight"], label)
    for key in _TRAINED:
        if key in record:
            facts.add(f"{key} of {arm}", record[key], label)
    if record["status"] == DONE:
        for key in _SCORED:
            if key in record:
                facts.add(f"{key} of {arm}", record[key], label, _RENEW)
    if record["stage"] == EVALUATE:
        facts.add(f"the trial of {arm} with seed {record['seed']}", trial, label)
