"""What channels hold, and those that tell a prior nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS
from priorbench.data.formats.notes import Notes

_CHUNK_VALUES = 1 << 20


@dataclass(frozen=True)
class ChannelFacts:
    """What a channel holds in some windows.

    Attributes:
        share: share of the positions whose value is not 0, 0 to 1.
        mean: mean value of a position.
        least: smallest value.
        most: largest value.
    """

    share: float
    mean: float
    least: float
    most: float


def count_channel(chunks: Iterable[NDArray[Any]]) -> ChannelFacts:
    """Return what a channel holds, from its values in chunks of any shape; zeros if it has none."""
    present, total, positions = 0, 0.0, 0
    least, most = math.inf, -math.inf
    for values in (chunk for chunk in chunks if chunk.size):
        present += int(np.count_nonzero(values))
        total += float(values.sum(dtype=np.float64))
        positions += values.size
        least = min(least, float(values.min()))
        most = max(most, float(values.max()))
    if not positions:
        return ChannelFacts(0.0, 0.0, 0.0, 0.0)
    # no value is said to be -0
    return ChannelFacts(present / positions, total / positions, least + 0.0, most + 0.0)


def doubt_channels(
    channels: Mapping[str, NDArray[Any]], split: NDArray[np.uint8], notes: Notes
) -> None:
    """Say what channels hold, and warn of those that have one value everywhere, or in a split.

    Args:
        channels: (n, 1, L) by name, in memory or mapped; numbers of any kind.
        split: (n,) uint8.
        notes: take sentences and warnings.
    """
    for name, values in channels.items():
        facts = count_channel(_parts(values, np.ones(len(split), dtype=bool)))
        title = f"Channel {name!r}"
        if facts.least == facts.most == 0:
            notes.warn(
                f"{title} is 0 at every position of every window: is it the right file, with the "
                "names and positions of the sequences?"
            )
            continue
        if facts.least == facts.most:
            notes.warn(f"{title} is {facts.most:g} everywhere, which tells a prior nothing.")
            continue
        notes.say(
            f"{title} is not 0 at {facts.share:.1%} of positions; mean {facts.mean:.4g}, from "
            f"{facts.least:.4g} to {facts.most:.4g}."
        )
        for number, where in enumerate(SPLITS):
            here = count_channel(_parts(values, split == number))
            if here.least == here.most:
                notes.warn(f"{title} is {here.most:g} at every position for {where}.")


def _parts(values: NDArray[np.float32], chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
    """Yield the values of the rows that are chosen, (n,) bool, in chunks."""
    step = max(1, _CHUNK_VALUES // max(1, values[:1].size))
    for begin in range(0, len(values), step):
        yield np.asarray(values[begin : begin + step])[chosen[begin : begin + step]]
