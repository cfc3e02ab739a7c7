"""Encoded datasets on disk: written once, memory-mapped read-only by every worker.

A dataset is a folder of ``.npy`` files, one row per example, and a ``meta.json``:

======================  ==========================================================
``sequence.npy``        (N, L) uint8 codes, one byte a base
``label.npy``           (N,) or (N, outputs) float32
``split.npy``           (N,) uint8: 0 training, 1 validation, 2 test
``NAME.npy``            further arrays of a task, N rows each; those of shape (N, tracks, bp) are
                        float32 (counts are stored as small integers)
                        tracks along the middle of the window: they are shifted and turned
                        with the sequence, the order of the tracks too (plus, minus); one row alone
                        is shared by all examples
``attributed.npy``      (M,) int64 rows of the validation and test splits that are attributed
``truth.npy``           (M, L) uint8 position codes, where the truth is known
``oracle.npy``          (M, L) float32 attribution of an oracle, where the truth is known
``place.npy``           (N, 3) int64 number of the chromosome (``chromosomes`` in meta.json), first
                        base of the window, and 1 or -1 for its strand, where they are known
======================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


TRAIN, VALID, TEST = 0, 1, 2
SPLITS = ("training", "validation", "test")
SCORED_ON: Mapping[str, int] = {"tune": VALID, "evaluate": TEST}
"""the split that trials of a stage are scored on: what chooses a weight never sees the test data"""
BACKGROUND, MOTIF, DECOY, NEUTRAL, SUBOPTIMAL = 0, 1, 2, 3, 4
"""position codes of ``truth``: outside motifs, part of a motif that matters, part of a decoy, part
of a motif that says next to nothing and neither rewards nor punishes, and part of a motif that is
mutated towards lower affinity"""
