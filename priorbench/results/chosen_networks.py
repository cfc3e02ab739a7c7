"""The network that selection trials choose for every dataset, and architectures.csv.

`study/network_choice.py` has the rule; here it is given what the selection trials left behind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from priorbench.errors import UserError
from priorbench.storage.run_directory import DONE, RunDirectory
from priorbench.study.network_choice import best_network, recorded_network
from priorbench.study.plan import Plan
from priorbench.study.trial import SELECT, SETTING_COLUMNS

from .chosen_weights import validation_loss

NETWORK_COLUMNS = [*SETTING_COLUMNS, "validation_loss", "chosen", "note"]
NETWORKS_FILE = "architectures.csv"
_RECORDED = "recorded in study.toml"
_ALONE = "the only one that fits"


def choose_networks(plan: Plan, run: RunDirectory) -> pd.DataFrame:
    """Choose one network for every dataset whose network is open, and return all candidates.

    A choice that the study records is kept.

    Args:
        plan: resolved; its selection trials have ended. One that is missing counts as failed.
        run: the run directory that holds their records.

    Returns:
        a table with NETWORK_COLUMNS, one row per dataset and installed network: those that fit, in
        the plan's order, with the validation loss of their trial, infinite where it failed; then
        those that do not fit, without a loss, with the reason in ``note``.

    Raises:
        UserError: if all trials of a dataset failed.
    """
    trials = {trial.setting: trial.id for trial in plan.of_stage(SELECT).trials}
    sources = {setting.data_key: setting.source for setting in plan.settings}
    rows: list[tuple[Any, ...]] = []
    for key, candidates in plan.candidates.items():
        dataset = (sources[key].task, sources[key].name)
        records = {
            spec: run.record(trials[*dataset, spec]) or {}
            for spec in candidates.fitting
            if (*dataset, spec) in trials
        }
        losses = {spec: validation_loss(record) for spec, record in records.items()}
        best = best_network(losses) if losses else candidates.fitting[0]
        chosen = recorded_network(plan.study, key, candidates.fitting) or best
        if not chosen:
            raise UserError(_nothing_trained(key, records))
        for spec in candidates.fitting:
            note = _trouble(records[spec]) if records else _ALONE
            if spec == chosen != best:
                note = "; ".join(filter(None, [_RECORDED, note]))
            rows.append((*dataset, spec, losses.get(spec, math.nan), spec == chosen, note))
        for spec, reason in candidates.refused.items():
            rows.append((*dataset, spec, math.nan, False, f"does not fit: {reason}"))
    return pd.DataFrame(rows, columns=NETWORK_COLUMNS)


def _nothing_trained(key: str, records: Mapping[str, Mapping[str, Any]]) -> str:
    reasons = "; ".join(f"{spec} {_trouble(record)}" for spec, record in records.items())
    return f"{key}: every network failed ({reasons}); name one with --architectures"


def _trouble(record: Mapping[str, Any]) -> str:
    """Return how a trial ended that did not end well, or ""."""
    status = record.get("status", "did not run")
    reason = record.get("reason")
    return "" if status == DONE else f"{status}{f': {reason}' if reason else ''}"


def chosen_networks(table: pd.DataFrame) -> dict[str, str]:
    """Return the chosen network by ``task/dataset``, from a table of :func:`choose_networks`."""
    chosen = table[table["chosen"].astype(bool)]
    columns = (chosen[name] for name in SETTING_COLUMNS)
    return {
        f"{task}/{dataset}": str(network) for task, dataset, network in zip(*columns, strict=True)
    }


def network_lines(table: pd.DataFrame, *, asked_for: bool) -> list[str]:
    """Return a line for the terminal about every dataset in a table of :func:`choose_networks`.

    Args:
        table: the table.
        asked_for: whether the study names ``auto``, rather than no network at all.
    """
    lines = []
    for (task, dataset), rows in table.groupby(["task", "dataset"], sort=False):
        unfit = rows["note"].str.startswith("does not fit")
        fitting, others = list(rows["architecture"][~unfit]), list(rows["architecture"][unfit])
        (row,) = rows[rows["chosen"].astype(bool)].to_dict("records")
        loss = float(row["validation_loss"])
        facts = [f"validation loss {_short(loss)}" if math.isfinite(loss) else "", row["note"]]
        lines.append(
            f"architectures: auto{'' if asked_for else ', as none is named'}: "
            f"{row['architecture']} of {', '.join(fitting)} for {task}/{dataset} "
            f"({'; '.join(filter(None, facts))})"
            + (f"; {', '.join(others)} passed over, not fitting" if others else "")
        )
    return lines


def _short(loss: float) -> str:
    text = f"{loss:.3g}"
    return text[1:] if text.startswith("0.") else text
