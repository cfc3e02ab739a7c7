"""How far a run has come, read from its files alone."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from priorbench.errors import UserError
from priorbench.run_directory import RunDirectory
from priorbench.study.study import read_toml
from priorbench.study.trial import EVALUATE, SELECT, TUNE


@dataclass(frozen=True)
class RunStatus:
    """Counts of a run's trials.

    Attributes:
        by_prior: evaluation trials of each prior by status; ``pending`` if there is no record.
        tuning: the same for the trials that choose weights; empty where weights are not tuned.
        selection: the same for the trials that choose networks, by network; empty where networks
            are named.
        unplanned: number of evaluation trials that wait for networks or weights to be chosen.
        in_flight: ids of trials that were begun and not finished.
        failures: prior, seed and reason of each trial that failed or collapsed; the network instead
            of the prior where it is only tried.
    """

    by_prior: dict[str, Counter[str]]
    tuning: dict[str, Counter[str]]
    selection: dict[str, Counter[str]]
    unplanned: int
    in_flight: list[str]
    failures: list[tuple[str, str, str]]


def read_status(root: Path) -> RunStatus:
    """Count the trials of a run directory.

    Raises:
        UserError: if there is no plan.csv in it.
    """
    path = root / "plan.csv"
    if not path.is_file():
        raise UserError(f"{root}: no plan.csv here, so this is not a run directory")
    run = RunDirectory(root)
    by_stage: dict[str, dict[str, Counter[str]]] = {SELECT: {}, TUNE: {}, EVALUATE: {}}
    settings = set()
    failures = []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = run.records(row["trial"] for row in rows)
    for row, (_, record) in zip(rows, records, strict=True):
        status = str(record["status"]) if record else "pending"
        name = row["architecture" if row["stage"] == SELECT else "prior"]
        by_stage[row["stage"]].setdefault(name, Counter())[status] += 1
        settings.add((row["task"], row["dataset"], row["architecture"]))
        if record and record.get("reason"):
            failures.append((name, row["seed"], str(record["reason"])))
    unplanned = 0
    if not by_stage[EVALUATE]:
        study = read_toml(root / "study.toml")
        if by_stage[SELECT]:  # of the networks that are tried, one for each dataset goes on
            facts = json.loads((root / "environment.json").read_text(encoding="utf-8"))
            settings = set(facts["datasets"])
        unplanned = len(settings) * len(study["priors"]) * len(study["seeds"])
    in_flight = sorted(set(run.in_flight()))
    counts = (by_stage[EVALUATE], by_stage[TUNE], by_stage[SELECT])
    return RunStatus(*counts, unplanned, in_flight, failures)
