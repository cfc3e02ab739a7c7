"""A genome, as FASTA or in the 2bit format, opened for random access."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import ILLEGAL, N_CODE, encode
from priorbench.errors import UserError, first_names
from priorbench.machine.caches import VARIABLE, cache_folder
from priorbench.storage.files import DiskError, explain, writing

from ..bounded import LARGEST_GENOME, UNPACKED_SHARE, too_large
from ..fasta import GZIP_MAGIC, open_bytes
from ..foreign import HEAD_BYTES, TWOBIT_MAGIC, refuse_other_than_fasta
from ..notes import Notes
from ..sequences.encoder import AMBIGUOUS_LETTERS, illegal_letter
from .layout import is_even, write_evenly
from .twobit import TwoBit

_COPY_BYTES = 1 << 22
_WIDEST_GAP = 5_000
"""largest gap in bp between neighbouring windows that are read at once"""
_LONGEST_STRETCH = 1_000_000
"""bp after which the next windows are read on their own, though they lie close"""


_TABLE = encode(bytes(range(256)))
_TABLE[np.frombuffer(AMBIGUOUS_LETTERS, dtype=np.uint8)] = N_CODE


class Genome(AbstractContextManager["Genome"]):
    """A genome, as FASTA or in the 2bit format, opened for random access.

    What the file is, is told by its first bytes and not by its name. Compressed genomes, gzip or
    bgzip, are unpacked once into the cache folder; the index goes there as well, so that the
    genome's own folder is never written to. IUPAC ambiguity codes (RYSWKMBDHV) are read as N, as
    is X. FASTA whose lines are not all of one length is copied into the cache folder.

    Attributes:
        path: the file as the user named it.
        lengths: bp of every chromosome, in the order of the file.
        notes: what was unpacked, for the user.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; unpack and index it if that has not been done before.

        Raises:
            UserError: the file is no 2bit file and no FASTA that can be indexed.
        """
        self.path = path
        self.notes = Notes()
        self.lengths: Mapping[str, int]
        caches = cache_folder()
        self._twobit: TwoBit | None = None
        try:
            folder = caches / "genomes" / _fingerprint(path)
            folder.mkdir(parents=True, exist_ok=True)
            plain = self._plain(folder)
            with plain.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
            if head.startswith(TWOBIT_MAGIC):
                self._twobit = TwoBit(plain, path)
                self.lengths = self._twobit.lengths
                return
            if not head:
                raise UserError(f"{path}: the file is empty; give a FASTA or 2bit file")
            refuse_other_than_fasta(head, path)
            self._fasta = self._open_fasta(plain, folder)
        except DiskError as error:
            raise UserError(explain(error, VARIABLE)) from error
        except IsADirectoryError:
            raise UserError(f"{path}: is a folder; give a FASTA or 2bit file") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be opened ({error})") from None
        self.lengths = {record.name: len(record) for record in self._fasta}

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

    def _open_fasta(self, plain: Path, folder: Path) -> Any:
        """Open FASTA by its index, of a copy with even lines where those of the file are not."""
        even = folder / "even.fa"
        if not even.exists():
            try:
                fasta = _open_indexed(plain, folder / "genome.fa.fai", self.path)
                if is_even(fasta.faidx.index, plain):
                    return fasta
                fasta.close()
            except UserError:
                pass  # what is wrong with more than the lines is found in the copy too
            with plain.open("rb") as source, _whole_file(even) as target:
                write_evenly(source, target)
            self.notes.say(
                f"The lines of {self.path} are not all of one length; copied once to {even}"
            )
        return _open_indexed(even, folder / "even.fa.fai", self.path)

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
        raise UserError(
            f"{where}: chromosome {chrom!r} is not in {self.path} (it has "
            f"{first_names(list(self.lengths), 5)}); "
            "remove it or give the genome it belongs to"
        )

    def fetch(self, chrom: str, start: int, length: int) -> NDArray[np.uint8]:
        """Return (length,) uint8 codes from ``start``; the window lies inside the chromosome.

        Raises:
            UserError: a letter is neither a base nor an IUPAC code.
        """
        if self._twobit is not None:
            return self._twobit.codes(chrom, start, length)
        text = self._fasta[chrom][start : start + length].encode("latin-1", errors="replace")
        codes: NDArray[np.uint8] = _TABLE[np.frombuffer(text, dtype=np.uint8)]
        if codes.max(initial=0) == ILLEGAL:
            place = int(np.argmax(codes == ILLEGAL))
            raise illegal_letter(f"{self.path}: {chrom}", start + place, chr(text[place]))
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
        (self._fasta if self._twobit is None else self._twobit).close()


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
    with open_bytes(path) as packed, _whole_file(target) as partial:
        while block := packed.read(_COPY_BYTES):
            if partial.tell() + len(block) > most:
                raise too_large(
                    f"{path}: unpacked, it", most, "is this the genome? unpack it yourself"
                )
            partial.write(block)


@contextmanager
def _whole_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when it is complete."""
    handle, name = tempfile.mkstemp(dir=target.parent)
    temporary = Path(name)
    try:
        with writing(target), os.fdopen(handle, "wb") as partial:
            yield partial
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
    except (pyfaidx.FastaIndexingError, RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{named}: not a FASTA that can be indexed: {reason}") from None
