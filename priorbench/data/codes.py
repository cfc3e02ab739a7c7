"""Numbers that stand for splits, kinds of positions and places of motifs in a dataset."""

from __future__ import annotations

from collections.abc import Mapping

TRAIN, VALID, TEST = 0, 1, 2
SPLITS = ("training", "validation", "test")
SCORED_ON: Mapping[str, int] = {"select": VALID, "tune": VALID, "evaluate": TEST}
"""the split that trials of a stage are scored on: what chooses a network or a weight never sees the
test data"""
BACKGROUND, MOTIF, DECOY, NEUTRAL, SUBOPTIMAL = 0, 1, 2, 3, 4
"""position codes of ``truth``: outside motifs, part of a motif that matters, part of a decoy, part
of a motif that says next to nothing and neither rewards nor punishes, and part of a motif that is
mutated towards lower affinity"""
WHERE = ("start", "end", "both", "middle", "both-middle", "anywhere")
"""places of a window's motifs; datasets store the index, so new places come last"""
NOWHERE = 255
"""the value that stands for the index in windows without a motif"""

CHANNEL = "channel:"
"""what the names of arrays begin with that hold a value for every position, for priors to read"""
CHANNEL_FILE = "channel."
"""the same in the names of files, where some systems allow no colon"""
