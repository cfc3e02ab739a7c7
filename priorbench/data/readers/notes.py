"""Notes for the user on what a reader drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .genome_windows import MAX_N_SHARE, Screening


def note_dropped(notes: list[str], kind: str, path: Path, counts: Mapping[str, int]) -> None:
    """Append a note on the windows that were dropped, one for each reason.

    Args:
        notes: notes so far.
        kind: what the windows were made of, such as ``"peaks"``.
        path: file that names them.
        counts: dropped windows by reason.
    """
    for reason, count in counts.items():
        if count:
            notes.append(f"Dropped {count:,} {kind} of {path.name}: window {reason}.")


def note_unusable(notes: list[str], kind: str, screening: Screening) -> None:
    """Append notes on the windows that cannot be used, one for each reason.

    Args:
        notes: notes so far.
        kind: what the windows are called, such as ``"positives"``.
        screening: which of these windows cannot be used, and why.
    """
    unknown, leaking = int(screening.unknown.sum()), int(screening.leaking.sum())
    if unknown:
        notes.append(f"Dropped {unknown:,} {kind}: more than {MAX_N_SHARE:.0%} N.")
    if leaking:
        notes.append(
            f"Dropped {leaking:,} {kind} from training and validation: the same "
            "sequence is in the test or validation regions."
        )


def dropped_so_far(notes: Sequence[str]) -> str:
    """Return what was dropped, in brackets, for the error that nothing is left; "" for nothing."""
    dropped = [note.removesuffix(".") for note in notes if note.startswith("Dropped")]
    return f" ({'; '.join(dropped)})" if dropped else ""
