"""All doubts about a dataset that a reader has written, before it is complete."""

from __future__ import annotations

from pathlib import Path

from priorbench.data.codes import CHANNEL
from priorbench.data.dataset_writer import DatasetWriter

from .channels import doubt_channels
from .labels import count_labels, doubt_labels
from .reads import doubt_reads
from .sequences import doubt_sequences, doubt_splits


def doubt_written(writer: DatasetWriter, source: Path, *, both_strands: bool) -> None:
    """Warn of what makes results on a user's data doubtful, and refuse what makes them wrong.

    Args:
        writer: the writer of the dataset, to whose notes warnings are added.
        source: the data file.
        both_strands: whether a reverse complement counts as the same sequence.

    Raises:
        UserError: a split cannot carry a score, or the classes are the same sequences.
    """
    split, label, codes = (writer.written(name) for name in ("split", "label", "sequence"))
    tracks = {name: writer.written(name) for name in writer.tracks}
    counts = count_labels(label, split)
    two_classes = counts.classes and label.ndim == 1 and not tracks
    positive = label == 1 if two_classes else None
    doubt_sequences(codes, positive, writer.notes, source, both_strands=both_strands)
    doubt_labels(counts, writer.notes, source, classes=not tracks)
    doubt_splits(codes, split, writer.notes, both_strands=both_strands)
    if tracks:
        doubt_reads(tracks, split, writer.notes)
    doubt_channels(
        {name: writer.written(f"{CHANNEL}{name}") for name in writer.channels}, split, writer.notes
    )
