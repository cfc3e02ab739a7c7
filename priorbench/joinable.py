"""What runs must agree on before their trials may be put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import UserError
from .pairs import BLOCK_COLUMNS, EVALUATE
from .results import Run
from .store import DONE

_TRAINED = ("scale", "root_seed", "device", "digest", "code", "train_attribution", "precision")
_SCORED = ("scored_by", "probed_by")
"""fields of records in which trials of one arm must be alike, beside the weight"""
_ASKED = ("baseline", "margins", "loss_margin", "train_attribution")
"""options of studies that must be alike"""
APART, _RENEW = "report the two apart", "`priorbench score` brings both up to date"


def check_joinable(runs: Mapping[str, Run]) -> None:
    """Raise UserError for the first thing that runs do not agree on and must.

    Args:
        runs: by label.
    """
    agree = _Agreement()
    for label, run in runs.items():
        for key in _ASKED:
            agree.on(key, run.study[key], label)
        agree.on("the attribution that primary metrics are read from", run.attributions[0], label)
        if run.study["tune"]:
            agree.on("tuning_rule", run.study["tuning_rule"], label)
        for task, declared in run.study["primary"].items():
            agree.on(f"primary of task {task}", declared, label)
        for key, dataset in run.datasets.items():
            agree.on(f"the digest of the data {key}", dataset.digest, label)
        for trial, record in run.records.items():
            _check_trial(agree, trial, record, label)


class _Agreement:
    """What has been said so far, and by which run."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[Any, str]] = {}

    def on(self, what: str, value: Any, label: str, remedy: str = APART) -> None:
        """Raise UserError if another run said something else."""
        before, other = self._said.setdefault(what, (value, label))
        if before != value:
            raise UserError(
                f"{other} and {label} cannot be joined: {what} is {before!r} in {other} and "
                f"{value!r} in {label}; {remedy}"
            )


def _check_trial(agree: _Agreement, trial: str, record: Mapping[str, Any], label: str) -> None:
    where = " · ".join(str(record[key]) for key in (*BLOCK_COLUMNS, "prior"))
    if record["stage"] == EVALUATE:
        agree.on(f"the weight of {where}", record["weight"], label)
    for key in _TRAINED:
        if key in record:
            agree.on(f"{key} of {where}", record[key], label)
    if record["status"] == DONE:
        for key in _SCORED:
            if key in record:
                agree.on(f"{key} of {where}", record[key], label, _RENEW)
    if record["stage"] == EVALUATE:
        agree.on(f"the trial of {where} with seed {record['seed']}", trial, label)
