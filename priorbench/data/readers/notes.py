"""Notes for the user on what a reader drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


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


def dropped_so_far(notes: Sequence[str]) -> str:
    """Return what was dropped, in brackets, for the error that nothing is left; "" for nothing."""
    dropped = [note.removesuffix(".") for note in notes if note.startswith("Dropped")]
    return f" ({'; '.join(dropped)})" if dropped else ""
