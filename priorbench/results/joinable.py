"""What runs must agree on before they can be joined: `joined_run.py` refuses all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from priorbench.errors import UserError
from priorbench.storage.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

from .finished_run import Run

_TRAINED = (
    "scale",
    "root_seed",
    "device",
    "digest",
    "code",
    "train_attribution",
    "precision",
    "schedule",
)
_SCORED = ("scored_by", "probed_by")
"""fields of records in which trials of one arm must be alike, beside the weight"""
_DECLARED = (
    *("baseline", "margins", "skill_margins", "correction", "loss_margin"),
    "train_attribution",
)
"""options of studies that must be alike"""
APART, _RENEW = "report the two apart", "`priorbench score DIR` of each brings both up to date"
"""what the user can do about runs that do not agree"""


def check_joinable(runs: Mapping[str, Run], *, apart: str = APART) -> None:
    """Raise UserError for the first thing that runs do not agree on and must.

    Args:
        runs: the runs by label.
        apart: what the user can do about runs that are not of one kind.
    """
    first: dict[str, tuple[Any, str]] = {}
    for label, run in runs.items():
        for fact, value, remedy in facts_to_share(run, apart):
            before, other = first.setdefault(fact, (value, label))
            if before != value:
                raise UserError(
                    f"{other} and {label} cannot be joined: {fact} is {before!r} in {other} and "
                    f"{value!r} in {label}; {remedy}"
                )


def facts_to_share(run: Run, apart: str = APART) -> Iterator[tuple[str, Any, str]]:
    """Yield what runs must share: the name of each fact, its value, and what a user can do.

    Args:
        run: the run.
        apart: what the user can do about runs that are not of one kind.
    """
    for key in _DECLARED:
        yield key, run.study[key], apart
    yield "the attribution that primary metrics are read from", run.attributions[0], apart
    if run.study["tune"]:
        yield "tuning_rule", run.study["tuning_rule"], apart
    for task, declared in run.study["primary"].items():
        yield f"primary of task {task}", declared, apart
    for key, dataset in run.datasets.items():
        yield f"the digest of the data {key}", dataset.digest, apart
        yield f"the digest of the variants of {key}", dataset.variants_digest, apart
    for trial, record in run.records.items():
        arm = " · ".join(str(record[key]) for key in (*SETTING_COLUMNS, "prior"))
        if record["stage"] == EVALUATE:
            yield f"the weight of {arm}", record["weight"], apart
        alike = dict.fromkeys(_TRAINED, apart)
        alike |= dict.fromkeys(_SCORED if record["status"] == DONE else (), _RENEW)
        for key, remedy in alike.items():
            if key in record or key == "schedule":  # which most studies leave to the scale
                yield f"{key} of {arm}", record.get(key, ""), remedy
        if record["stage"] == EVALUATE:
            yield f"the trial of {arm} with seed {record['seed']}", trial, apart
