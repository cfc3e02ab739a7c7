"""Which runs become one entry, which stand side by side, and which are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from priorbench.errors import UserError
from priorbench.results.joined_run import join

from .entry import Entry
from .new_entry import RunToPublish

APART = "--apart publishes both"


def pooled(runs: Sequence[RunToPublish]) -> list[RunToPublish]:
    """Return the runs, those of one study pooled to one, in the order in which they were given.

    Raises:
        UserError: if two runs of one study cannot be compared; it names them and the difference.
    """
    studies: dict[str, list[RunToPublish]] = {}
    for run in runs:
        studies.setdefault(run.study, []).append(run)
    return [
        members[0]
        if len(members) == 1
        else RunToPublish(join([member.run for member in members], apart=APART))
        for members in studies.values()
    ]


def without_parts(runs: Sequence[RunToPublish]) -> list[RunToPublish]:
    """Return the runs, those aside whose trials another run of the study has all of."""
    kept: list[RunToPublish] = []
    for run in runs:
        if not any(_has_all(other, run) for other in kept):
            kept = [*(other for other in kept if not _has_all(run, other)), run]
    return kept


def _has_all(run: RunToPublish, other: RunToPublish) -> bool:
    return run.study == other.study and set(other.trials) <= set(run.trials)


def entries_without_parts(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, those aside whose trials a later or a larger one has all of."""
    kept: list[Entry] = []
    for entry in entries:
        if not any(other.covers(entry) and not entry.covers(other) for other in kept):
            kept = [*(other for other in kept if not entry.covers(other)), entry]
    return kept


def refuse_contradiction(known: Sequence[Entry], label: str, entry: Entry) -> None:
    """Raise UserError if an entry cannot be compared with a known one of the same study.

    Args:
        known: the entries beside which it is to stand.
        label: what to call it.
        entry: the entry.
    """
    alike = [other for other in known if other.study == entry.study]
    if any(entry.covers(other) or other.covers(entry) for other in alike):
        return  # it is there already, beside whatever else is
    for other in alike:
        for fact, value in entry.agreed.items():
            before: Any = other.agreed.get(fact, value)
            if before != value:
                raise UserError(
                    f"{other.name} and {label} are of one study and cannot be compared: {fact} is "
                    f"{before!r} in {other.name} and {value!r} in {label}; {APART}"
                )
