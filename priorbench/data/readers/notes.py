"""Notes for the user on what a reader drops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from priorbench.data.formats.notes import Notes

from .genome_windows import MAX_N_SHARE, Screening


def note_dropped(notes: Notes, kind: str, path: Path, counts: Mapping[str, int]) -> None:
    """Append a note on the windows that were dropped, one for each reason.

    Args:
        notes: notes so far.
        kind: what the windows were made of, such as ``"peaks"``.
        path: file that names them.
        counts: dropped windows by reason.
    """
    for reason, count in counts.items():
        if count:
            notes.say(f"Dropped {count:,} {kind} of {path.name}: window {reason}.")


def note_unusable(notes: Notes, kind: str, screening: Screening) -> None:
    """Append notes on the windows that cannot be used, one for each reason.

    Args:
        notes: notes so far.
        kind: what the windows are called, such as ``"positives"``.
        screening: which of these windows cannot be used, and why.
    """
    unknown, leaking = int(screening.unknown.sum()), int(screening.leaking.sum())
    if unknown:
        notes.say(f"Dropped {unknown:,} {kind}: more than {MAX_N_SHARE:.0%} N.")
    if leaking:
        notes.say(
            f"Dropped {leaking:,} {kind} from training and validation: the same "
            "sequence is in the test or validation regions."
        )
