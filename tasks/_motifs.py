"""Motifs that several tasks plant, and the decoy that tells nothing about the class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from priorbench import UserError
from priorbench.data.codes import DECOY
from priorbench.data.simulation import Planted, motif_from_consensus, plant

TARGET_CONSENSUS = "GCATGAGTCACC"
"""an AP-1 site"""
DECOY_CONSENSUS = "CCATATAAGG"
"""a CArG box, which SRF binds"""
E_BOX = "ACCACGTGGT"
"""what MYC and USF bind"""
OCTAMER, SOX_SITE = "TTTGCATAAC", "CATTGTTCTG"
"""what OCT4 and SOX2 bind, side by side"""
NUCLEAR_RECEPTOR_SITE = "TGACCTTTGA"
"""a direct repeat of half-sites, which HNF4 binds"""
GC_BOX = "GGGGCGGGGC"
"""what SP1 binds"""


def check_fidelity(fidelity: float) -> None:
    """Raise UserError unless the consensus base is likelier than chance, and not certain."""
    if not 0.25 < fidelity < 1:
        raise UserError(f"fidelity {fidelity:g} is not between 0.25 and 1")


def plant_decoy(
    planted: Planted,
    fidelity: float,
    generator: np.random.Generator,
    starts: NDArray[np.int64] | None = None,
) -> None:
    """Plant a decoy in every second sequence on average, whatever its class.

    Args:
        planted: sequences and tracks, changed in place.
        fidelity: probability of the consensus base in every column of the decoy.
        generator: draws sequences, instances, strands and places.
        starts: (N,) first positions; by default wherever there is room.
    """
    decoy = motif_from_consensus("decoy", DECOY_CONSENSUS, fidelity)
    rows = np.flatnonzero(generator.random(len(planted.sequences)) < 0.5)
    plant(planted, decoy, rows, generator, code=DECOY, starts=starts)
