"""How far a run has come, read from its files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile
from priorbench.study.recorded_study import planned_rows, recorded_facts, recorded_study
from priorbench.study.study import BASELINE
from priorbench.study.trial import EVALUATE, SELECT, TUNE

from .run_history import outdated_lines


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
        damaged: what is wrong with files at the root and with records, each of which counts as
            ``damaged``.
        outdated: why trials that are done would be trained again by the present code and data.
    """

    by_prior: dict[str, Counter[str]]
    tuning: dict[str, Counter[str]]
    selection: dict[str, Counter[str]]
    unplanned: int
    in_flight: list[str]
    failures: list[tuple[str, str, str]]
    damaged: list[DamagedFile]
    outdated: list[str]


def read_status(root: Path) -> RunStatus:
    """Count the trials of a run directory.

    Raises:
        UserError: if it is no run directory.
        DamagedFile: if its plan.csv is not as it was written.
    """
    run = RunDirectory(root)
    rows = planned_rows(run)
    damaged = run.manifest.problems()
    by_stage: dict[str, dict[str, Counter[str]]] = {SELECT: {}, TUNE: {}, EVALUATE: {}}
    settings = set()
    failures = []
    records = run.records((row["trial"] for row in rows), damaged.append)
    done = []
    for row, (_, record) in zip(rows, records, strict=True):
        there = record is not None or run.trial(row["trial"]).exists()
        status = str(record["status"]) if record else "damaged" if there else "pending"
        done += [row] if record else []
        name = row["architecture" if row["stage"] == SELECT else "prior"]
        by_stage[row["stage"]].setdefault(name, Counter())[status] += 1
        settings.add((row["task"], row["dataset"], row["architecture"]))
        if record and record.get("reason"):
            failures.append((name, row["seed"], _reason(record)))
    unplanned = 0
    if not by_stage[EVALUATE]:
        study = recorded_study(run)
        if by_stage[SELECT]:  # of the networks that are tried, one for each dataset goes on
            settings = set(recorded_facts(run)["datasets"])
        unplanned = len(settings) * len(study["priors"]) * len(study["seeds"])
    in_flight = sorted(set(run.in_flight()))
    counts = (by_stage[EVALUATE], by_stage[TUNE], by_stage[SELECT])
    return RunStatus(*counts, unplanned, in_flight, failures, damaged, outdated_lines(run, done))


def _reason(record: Mapping[str, Any]) -> str:
    """Return why a trial failed or collapsed, and how to tell whether its prior is to blame."""
    reason, prior = str(record["reason"]), record["prior"]
    if record.get("divergence") and prior != BASELINE:
        return f"{reason}; `priorbench check` tells whether the penalty of {prior} is finite"
    return reason
