"""A genome's FASTA, opened for random access."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import ILLEGAL, N_CODE, encode
from priorbench.errors import UserError
from priorbench.machine.caches import VARIABLE, cache_folder
from priorbench.storage.files import DiskError, explain, writing

from .bounded import LARGEST_GENOME, UNPACKED_SHARE, too_large
from .fasta import GZIP_MAGIC, open_bytes
from .notes import Notes

_COPY_BYTES = 1 << 22
_WIDEST_GAP = 5_000
"""largest gap in bp between neighbouring windows that are read at once"""
_LONGEST_STRETCH = 1_000_000
"""bp after which the next windows are read on their own, though they lie close"""


_TABLE = encode(bytes(range(256)))
_TABLE[np.frombuffer(b"RYSWKMBDHVryswkmbdhv", dtype=np.uint8)] = N_CODE


class Genome(AbstractContextManager["Genome"]):
    """A genome's FASTA, opened for random access.

    Compressed genomes, gzip or bgzip, are unpacked once into the cache folder; the index goes
    there as well, so that the genome's own folder is never written to. IUPAC ambiguity codes
    (RYSWKMBDHV) are read as N.

    Attributes:
        path: the FASTA file as the user named it.
        lengths: bp of every chromosome, in the order of the file.
        notes: what was unpacked, for the user.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; unpack and index it if that has not been done before.

        Raises:
            UserError: the file is not a FASTA that can be indexed.
        """
        self.path = path
        self.notes = Notes()
        caches = cache_folder()
        try:
            folder = caches / "genomes" / _fingerprint(path)
            folder.mkdir(parents=True, exist_ok=True)
            self._fasta = _open_indexed(self._plain(folder), folder / "genome.fa.fai", path)
        except DiskError as error:
            raise UserError(explain(error, VARIABLE)) from error
        except OSError as error:
            raise UserError(f"{path}: cannot be opened ({error})") from None
        self.lengths: Mapping[str, int] = {record.name: len(record) for record in self._fasta}

    def _plain(self, folder: Path) -> Path:
        """Return the uncompressed file, which is unpacked into ``folder`` where there is none."""
        with self.path.open("rb") as stream:
            if stream.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
                return self.path
        unpacked = folder / "genome.fa"
        if not unpacked.exists():
            _unpack(self.path, unpacked)
            self.notes.say(f"{self.path} is compressed; unpacked once to {unpacked}")
        return unpacked

    def other_name(self, chrom: str) -> str | None:
        """Return the name here, with or without "chr", of a missing chromosome; None for none."""
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        return other if other in self.lengths else None

    def require(self, chrom: str, where: str) -> None:
        """Raise UserError, naming ``where``, if the genome has no such chromosome."""
        if chrom in self.lengths:
            return
        other = self.other_name(chrom)
        if other is not None:
            raise UserError(
                f"{where}: chromosome {chrom!r} is called {other!r} in {self.path}; "
                "write the names of the genome"
            )
        names = list(self.lengths)
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise UserError(
            f"{where}: chromosome {chrom!r} is not in {self.path} (it has {shown}); "
            "remove it or give the genome it belongs to"
        )

    def fetch(self, chrom: str, start: int, length: int) -> NDArray[np.uint8]:
        """Return (length,) uint8 codes from ``start``; the window lies inside the chromosome.

        Raises:
            UserError: a letter is neither a base nor an IUPAC code.
        """
        text = self._fasta[chrom][start : start + length].encode("latin-1")
        codes: NDArray[np.uint8] = _TABLE[np.frombuffer(text, dtype=np.uint8)]
        if codes.max(initial=0) == ILLEGAL:
            place = int(np.argmax(codes == ILLEGAL))
            raise UserError(
                f"{self.path}: {chrom}, position {start + place + 1}: illegal letter "
                f"{chr(text[place])!r}; use ACGTU, N or an IUPAC code"
            )
        return codes

    def windows(
        self, chrom: NDArray[np.str_], start: NDArray[np.int64], length: int
    ) -> NDArray[np.uint8]:
        """Return (k, length) uint8 codes of k windows that lie inside their chromosomes."""
        result = np.empty((len(start), length), dtype=np.uint8)
        for rows in stretches(chrom, start, length):
            first = int(start[rows].min())
            codes = self.fetch(str(chrom[rows[0]]), first, int(start[rows].max()) + length - first)
            for row, offset in zip(rows.tolist(), (start[rows] - first).tolist(), strict=True):
                result[row] = codes[offset : offset + length]
        return result

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._fasta.close()


def stretches(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of windows that lie together and are read at once, one array a stretch.

    Every row is in one array. A call costs about as much as reading 5 kb; a stretch has about 1 Mb
    at most.

    Args:
        chrom: (k,) str.
        start: (k,) int64, in any order.
        length: length of the windows in bp.
    """
    if not len(start):
        return
    order = np.lexsort((start, chrom))
    apart = (chrom[order][1:] != chrom[order][:-1]) | (np.diff(start[order]) > length + _WIDEST_GAP)
    for together in np.split(order, np.flatnonzero(apart) + 1):
        piece = (start[together] - start[together[0]]) // _LONGEST_STRETCH
        yield from np.split(together, np.flatnonzero(np.diff(piece)) + 1)


def _fingerprint(path: Path) -> str:
    """Return 16 hexadecimal digits that stand for a file's path, size and time of change."""
    status = path.stat()
    text = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _unpack(path: Path, target: Path) -> None:
    """Decompress ``path`` to ``target``; of several processes at once, each gets a whole file."""
    most = max(LARGEST_GENOME, UNPACKED_SHARE * path.stat().st_size)
    handle, name = tempfile.mkstemp(dir=target.parent)
    temporary = Path(name)
    try:
        with open_bytes(path) as packed, writing(target), os.fdopen(handle, "wb") as partial:
            while block := packed.read(_COPY_BYTES):
                if partial.tell() + len(block) > most:
                    raise too_large(
                        f"{path}: unpacked, it", most, "is this the genome? unpack it yourself"
                    )
                partial.write(block)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _open_indexed(fasta: Path, index: Path, named: Path) -> Any:
    """Open a FASTA by its index, which is made if it is not there; errors name ``named``."""
    import pyfaidx

    try:
        if not index.exists():
            # under a name of its own first: another process must never read half an index
            partial = index.with_suffix(f".{os.getpid()}")
            try:
                with writing(index):
                    pyfaidx.Faidx(str(fasta), indexname=str(partial)).close()
                partial.replace(index)
            finally:
                partial.unlink(missing_ok=True)
        return pyfaidx.Fasta(str(fasta), indexname=str(index), as_raw=True)
    except (pyfaidx.FastaIndexingError, UnicodeDecodeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{named}: not a FASTA that can be indexed: {reason}") from None
