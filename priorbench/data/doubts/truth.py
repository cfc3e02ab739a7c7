"""Known sites that are so few or so many that nothing can be said about attributions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import BACKGROUND, DECOY
from priorbench.data.formats.notes import Notes
from priorbench.errors import first_names

FEWEST_SEQUENCES, MOST_BASES = 0.01, 0.5
"""share of sequences with a site, and of bases in sites, beyond which the truth is doubtful. The
share of bases has no lower bound: one site of 10 bp in each window of 1,346 bp is .7% of them"""


def doubt_truth(
    truth: NDArray[np.uint8], source: str, notes: Notes, *, by_chance: float = 0.0
) -> None:
    """Warn of known sites that are too few, too many, or as frequent as by chance.

    Args:
        truth: (M, L) uint8 position codes of the attributed sequences.
        source: name of the file that the sites are from.
        notes: take warnings.
        by_chance: share of random sequences that would have a site.
    """
    count = len(truth)
    if not count:
        return
    covered = (truth != BACKGROUND) & (truth != DECOY)
    share, bases = float(covered.any(axis=1).mean()), float(covered.mean())
    numbers = (
        f"sites of {source} are in {share:.1%} of the {count:,} attributed sequences and cover "
        f"{bases:.1%} of their bases"
    )
    noise = 2 * math.sqrt(by_chance * (1 - by_chance) / count)
    if share == 0:
        notes.warn(
            f"No attributed sequence has a site of {source}: is it the right motif or file? Where "
            "attributions should lie is unknown."
        )
    elif share < FEWEST_SEQUENCES:
        notes.warn(f"Few {numbers}: scores of where attributions lie rest on these alone.")
    elif bases > MOST_BASES:
        notes.warn(f"Very many {numbers}: attributions can hardly miss them.")
    elif share <= by_chance + noise:
        notes.warn(
            f"The {numbers}; {by_chance:.1%} of random sequences would have one: is it the right "
            "motif?"
        )


def doubt_motifs(widths: Mapping[str, int], length: int, p_value: float, notes: Notes) -> None:
    """Warn of motifs that cannot have a site: wider than the window, or too short for the p-value.

    Args:
        widths: width of each motif in bp, by name.
        length: window in bp.
        p_value: p below which a match counts.
        notes: take warnings.
    """
    wide = [name for name, width in widths.items() if width > length]
    short = [name for name, width in widths.items() if 0.25**width >= p_value]
    for names, why in (
        (wide, f"longer than the windows of {length:,} bp"),
        (short, f"too short to match at p < {p_value:g}"),
    ):
        if names:
            notes.warn(f"No site can be found of motif {first_names(names, 1)}: {why}.")


def chance_of_site(
    widths: Iterable[int], length: int, p_value: float, *, both_strands: bool
) -> float:
    """Return the share of random sequences in which a motif matches, for motifs of some widths."""
    places = sum(max(0, length - width + 1) for width in widths)
    return -math.expm1(places * (2 if both_strands else 1) * math.log1p(-p_value))
