"""Channels of a data file, opened and written behind the rows that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import CHANNEL
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.fasta import GZIP_MAGIC, open_bytes
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.tracks.bigwig_header import is_binary_track
from priorbench.errors import UserError, first_names

from ..data_file import DataFile
from .bigwigs import BigWigChannel
from .channel_table import ChannelFile
from .intervals import IntervalChannel
from .masks import MaskChannel
from .row_places import RowPlaces, Sequences

_CHUNK_BASES = 1 << 20
_HEAD_BYTES = 4096


class Channel(Protocol):
    """A file with values of positions."""

    path: Path

    def opened(
        self, sequences: Sequences, folder: Path, notes: Notes
    ) -> AbstractContextManager[None]:
        """Hold the file against the sequences, and have its values ready for the block."""

    def names(self) -> set[str]:
        """Return the names of the sequences that have a value."""

    def values(self, rows: RowPlaces, length: int) -> NDArray[np.float32]:
        """Return the (k, length) values of k rows along the plus strand."""


class Channels:
    """The channels that a data file names; readers open them first and write them last."""

    def __init__(self, data: DataFile, notes: Notes, *, both_strands: bool) -> None:
        """Look at all files, and read what is small; an error should not wait for the sequences.

        Args:
            data: the data file; where it names no channel, nothing is done here or later.
            notes: takes what was dropped or changed.
            both_strands: whether the reverse complement is the same molecule, so that strands of
                intervals do not count.

        Raises:
            UserError: a file can be no channel of these data.
        """
        self._source, self._notes = data.source, notes
        self._channels = {
            name: _channel(f"{data.source}: channels.{name}", data, entry, notes, both_strands)
            for name, entry in (data.channels or {}).items()
        }

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._channels)

    def write(self, writer: DatasetWriter, rows: RowPlaces, genome: Genome | None = None) -> None:
        """Write a value for every position of all rows, margins included.

        A row has its values in its own direction. Bases that pad a record, and rows that lie
        nowhere, have 0.

        Args:
            writer: has the rows.
            rows: where they lie.
            genome: the genome; None where rows are records.

        Raises:
            UserError: a file does not belong to the sequences, or cannot be read.
        """
        if not self._channels or not len(rows):
            return
        here = rows.somewhere
        lengths = dict(zip(here.name.tolist(), here.size.tolist(), strict=True))
        sequences = Sequences(self._source if genome is None else genome.path, lengths, genome)
        length = writer.written("sequence").shape[1]
        for name, channel in self._channels.items():
            with channel.opened(sequences, writer.directory.parent, self._notes):
                if genome is None:
                    _require_one_record(channel, here)
                else:
                    self._note_chromosomes(channel, here)
                for values in _values(channel, rows, length):
                    writer.extend(f"{CHANNEL}{name}", values[:, None])

    def _note_chromosomes(self, channel: Channel, rows: RowPlaces) -> None:
        """Note the chromosomes with windows of which a BED file has none."""
        if not isinstance(channel, IntervalChannel):  # other formats list chromosomes
            return
        used = sorted(set(rows.name.tolist()))
        missing = [name for name in used if name not in channel.names()]
        if missing:
            self._notes.say(
                f"{channel.path.name} has no interval on {len(missing):,} of {len(used):,} "
                f"chromosomes with windows ({first_names(missing, 3)}): they "
                "are read as 0."
            )


def _channel(
    where: str, data: DataFile, entry: ChannelFile, notes: Notes, both_strands: bool
) -> Channel:
    """Return what reads a file, by its first bytes; errors that name a key begin with ``where``."""
    channel: Channel
    with entry.file.open("rb") as stream:
        raw = stream.read(_HEAD_BYTES)
    if is_binary_track(raw):
        kind, channel = "a bigWig", BigWigChannel(entry)
    else:
        with open_bytes(entry.file) as text:
            head = text.read(_HEAD_BYTES)
        if raw.startswith(GZIP_MAGIC) and is_binary_track(head):
            raise UserError(f"{entry.file}: a compressed bigWig; unpack it")
        if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b">", b";")):
            return IntervalChannel(entry, notes, both_strands=both_strands)
        kind, channel = "a mask", MaskChannel(entry)
        if data.genome is not None:
            raise UserError(
                f"{where}: {entry.file.name} is a mask (it begins with '>'), which goes with "
                "records of FASTA files; for windows of a genome give a BED or bigWig"
            )
    if entry.value != "inside":
        raise UserError(
            f"{where}: value = {entry.value!r} is for BED, and {entry.file.name} is {kind}, whose "
            "values are read as they are; leave it out"
        )
    return channel


def _require_one_record(channel: Channel, rows: RowPlaces) -> None:
    """Raise UserError if two records have a name for which a channel has values."""
    names, counts = np.unique(rows.name.astype(np.str_), return_counts=True)
    for name in sorted(set(names[counts > 1].tolist()) & channel.names()):
        raise UserError(
            f"{channel.path}: {name[:40]!r} is the name of more than one record of the sequences; "
            "rename all but one, there and here"
        )


def _values(channel: Channel, rows: RowPlaces, length: int) -> Iterator[NDArray[np.float32]]:
    """Yield (k, length) values of all rows, chunk by chunk, each row in its own direction."""
    step = max(1, _CHUNK_BASES // length)
    for begin in range(0, len(rows), step):
        part = rows.select(slice(begin, begin + step))
        inside = part.inside(length)
        values = np.zeros(inside.shape, dtype=np.float32)
        known = part.size > 0
        values[known] = channel.values(part.select(known), length)
        values[~inside] = 0
        values[part.minus] = values[part.minus, ::-1]
        yield values
