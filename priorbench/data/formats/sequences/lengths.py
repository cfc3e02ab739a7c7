"""What to say of sequences whose lengths differ: which file and record is the odd one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from priorbench.errors import UserError

Lengths = Mapping[int, tuple[int, str]]
"""how many records of a file have each length in bases, and the name of the first of them"""


def lengths_error(files: Mapping[Path, Lengths], wanted: int | None, source: Path) -> UserError:
    """Return the error for files whose sequences do not have the one length that they should.

    Args:
        files: the lengths in each file.
        wanted: the length that the data file names.
        source: the data file.
    """
    total: Counter[int] = Counter()
    for lengths in files.values():
        total.update({length: count for length, (count, _) in lengths.items()})
    usual, count = total.most_common(1)[0]
    target = wanted or usual
    fit = f'length = {target} and fit = "centre" in {source.name} crops and pads them'
    names = ", ".join(path.name for path in files)
    if len(total) == 1:
        return UserError(
            f"{source}: length = {wanted}, but the sequences of {names} have {usual:,} bases; "
            f'remove the key, give sequences of that length, or add fit = "centre"'
        )
    if all(len(lengths) == 1 for lengths in files.values()):
        sizes = "; ".join(
            f"{path} has sequences of {next(iter(lengths)):,} bases"
            for path, lengths in files.items()
        )
        return UserError(f"{sizes}; all files must have one length ({fit})")
    everything = total.total()
    if 2 * count <= everything:
        return UserError(
            f"{names}: sequences of {min(total):,} to {max(total):,} bases; all must have one "
            f"length ({fit})"
        )
    path, length, name = next(
        (path, length, name)
        for path, lengths in files.items()
        for length, (_, name) in lengths.items()
        if length != usual
    )
    return UserError(
        f"{path}: record {name[:40]!r} has {length:,} bases, but {count:,} of {everything:,} "
        f"sequences have {usual:,}; mend or remove what differs ({fit})"
    )
