"""How far a run has come, from its files alone."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .store import RunDirectory


@dataclass(frozen=True)
class Status:
    """Counts of trials.

    Attributes:
        by_prior: for each prior, trials by status; ``pending`` for those without a record.
        in_flight: ids of trials that were begun and not finished.
        failures: prior, seed, reason of trials that failed or collapsed.
    """

    by_prior: dict[str, Counter[str]]
    in_flight: list[str]
    failures: list[tuple[str, str, str]]


def read_status(root: Path) -> Status:
    """Count the trials of a run directory.

    Raises:
        UserError: if there is no plan in it.
    """
    path = root / "plan.csv"
    if not path.is_file():
        raise UserError(f"{root}: no plan.csv here, so this is not a run directory")
    run = RunDirectory(root)
    by_prior: dict[str, Counter[str]] = {}
    failures = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            record = run.record(row["trial"])
            status = str(record["status"]) if record else "pending"
            by_prior.setdefault(row["prior"], Counter())[status] += 1
            if record and record.get("reason"):
                failures.append((row["prior"], row["seed"], str(record["reason"])))
    return Status(by_prior, run.in_flight(), failures)
