"""Writes a dataset: the folder that `priorbench.data.dataset` describes and opens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from priorbench.storage.files import writing
from priorbench.storage.sealed_files import digests_of, sync_folder, write_sealed

from .codes import CHANNEL, CHANNEL_FILE
from .formats.notes import Notes
from .instances import InstanceTable
from .variants import VARIANT_ARRAYS, VariantTable

META = "meta.json"
"""file of a dataset that describes it, and lists the digests of the others"""
MOST_ATTRIBUTED = 1000
"""sequences of a split that are attributed, at most"""
_REWRITTEN_BYTES = 4 << 20


class DatasetWriter(AbstractContextManager["DatasetWriter"]):
    """Writes a dataset chunk by chunk; the folder appears under its name only when complete.

    Attributes:
        directory: the dataset's folder.
        margin: bases at either end beyond the window.
        chromosomes: names of the chromosomes with windows, in the order of their numbers.
        chromosome_sizes: bp of every chromosome of the genome, in its order.
        negative_weights: number of possible negatives that each one of a split stands for, by the
            name of the split, where negatives were drawn.
        motifs: (4, width) matrices of the true motifs so far, by name.
        notes: what the user should know about the files that were read.
    """

    def __init__(self, directory: Path) -> None:
        """Prepare to write ``directory``, which must not exist yet."""
        self.directory = directory
        self._partial = directory.with_name(directory.name + ".partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._columns: dict[str, NpyWriter] = {}
        self._whole: dict[str, NDArray[Any]] = {}
        self.margin = 0
        self.chromosomes: list[str] = []
        self.chromosome_sizes: dict[str, int] = {}
        self.negative_weights: dict[str, float] = {}
        self.notes = Notes()
        self.motifs: dict[str, NDArray[np.float64]] = {}
        self._database: dict[str, NDArray[np.float64]] = {}
        self._instance_motifs: tuple[str, ...] = ()
        self._elements: dict[str, int] = {}

    def append(
        self,
        sequence: NDArray[np.uint8],
        label: NDArray[np.float32],
        split: NDArray[np.uint8],
        **arrays: NDArray[Any],
    ) -> None:
        """Append examples.

        Args:
            sequence: (k, L) uint8 codes.
            label: (k,) or (k, outputs) float32.
            split: (k,) uint8, ``TRAIN``, ``VALID`` or ``TEST``.
            arrays: further arrays of k rows, the same names in every call; a channel, such as
                ``channel:motif``, is (k, 1, L) float32.
        """
        arrays |= {"sequence": sequence, "label": label, "split": split}
        for name, rows in arrays.items():
            self.extend(name, rows)

    def extend(self, name: str, rows: NDArray[Any]) -> None:
        """Append (k, ...) rows to one array only, which the writer of the dataset completes.

        An array (N, tracks, bp) of float32 is stored in small integers where these hold it.
        """
        if name not in self._columns:
            path, shape = self._path(name), rows.shape[1:]
            track = rows.ndim == 3 and rows.dtype == np.float32
            column = TrackWriter(path, shape) if track else NpyWriter(path, shape, rows.dtype)
            self._columns[name] = column
        with writing(self._path(name)):
            self._columns[name].append(rows)

    def _path(self, name: str) -> Path:
        return self._partial / f"{name.replace(CHANNEL, CHANNEL_FILE)}.npy"

    @property
    def rows(self) -> int:
        """Number of examples written so far."""
        return self._columns["sequence"].rows if self._columns else 0

    @property
    def tracks(self) -> list[str]:
        """Names of the arrays that are tracks of a signal along the window."""
        tracks = [name for name, array in self._columns.items() if isinstance(array, TrackWriter)]
        return [name for name in tracks if not name.startswith(CHANNEL)]

    @property
    def channels(self) -> list[str]:
        """Names of the per-position channels that priors may read."""
        return [name.removeprefix(CHANNEL) for name in self._columns if name.startswith(CHANNEL)]

    def written(self, name: str) -> NDArray[Any]:
        """Return what was appended of an array so far, mapped; tracks may be small integers."""
        with writing(self._path(name)):
            return self._columns[name].so_far()

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all examples but some, and what is known about the others.

        Args:
            rows: (k,) int64 ascending rows of what was appended.
        """
        with writing(self._partial):
            for name, column in self._columns.items():
                self._columns[name] = column.only(rows)
        if "place" in self._whole:
            self._whole["place"] = self._whole["place"][rows]
        if "attributed" in self._whole:
            kept = np.isin(self._whole["attributed"], rows)
            for name in ("attributed", "truth", "oracle"):
                if name in self._whole:
                    self._whole[name] = self._whole[name][kept]
            if "instance" in self._whole:
                table = self._whole["instance"]
                table = table[np.isin(table[:, 0], rows)]
                table[:, 0] = np.searchsorted(rows, table[:, 0])
                self._whole["instance"] = table
            self._whole["attributed"] = np.searchsorted(rows, self._whole["attributed"])

    @property
    def attributed(self) -> NDArray[np.int64]:
        """(M,) int64 rows that are attributed."""
        rows: NDArray[np.int64] = self._whole.get("attributed", np.empty(0, dtype=np.int64))
        return rows

    def attribute(
        self,
        rows: NDArray[np.int64],
        truth: NDArray[np.uint8] | None = None,
        oracle: NDArray[np.float32] | None = None,
        *,
        instances: InstanceTable | None = None,
    ) -> None:
        """Name the rows to attribute and, where known, the truth about them.

        Args:
            rows: (M,) int64 rows of the validation split (for trials that choose a weight) and of
                the test split.
            truth: (M, L) uint8 position codes.
            oracle: (M, L) float32 attribution that an oracle would give.
            instances: where which motif lies in these rows; they need a ``truth``.

        Raises:
            ValueError: an instance is in another row, or lies outside the window.
        """
        arrays = {"attributed": rows, "truth": truth, "oracle": oracle}
        if instances is not None and truth is not None:
            instances.check(rows, truth.shape[1])
            arrays["instance"] = instances.rows
            self._instance_motifs = instances.motifs
        self._whole |= {name: array for name, array in arrays.items() if array is not None}

    def add_motifs(
        self, motifs: Mapping[str, NDArray[np.float64]], *, as_database: bool = False
    ) -> None:
        """Store the true motifs, or motifs by which discovered ones are named.

        Args:
            motifs: (4, width) probabilities of A C G T by name, decoys left out.
            as_database: whether they only name what is discovered.
        """
        known = self._database if as_database else self.motifs
        known |= motifs

    def add_variants(self, table: VariantTable) -> None:
        """Store measured effects of variants, which are no examples and decide no training."""
        self._whole |= table.as_arrays()
        self._elements = dict(zip(table.names, table.lengths.tolist(), strict=True))

    def share(self, name: str, array: NDArray[Any]) -> None:
        """Add an array that is the same for every example.

        Args:
            name: name of the array in a batch, where it has B rows like all others.
            array: the array of one example.
        """
        self._whole[name] = array[None]

    def locate(
        self, chrom: NDArray[np.str_], start: NDArray[np.int64], minus: NDArray[np.bool_]
    ) -> None:
        """Store where on a genome the windows of all examples lie, without their margins.

        Args:
            chrom: (N,) str.
            start: (N,) int64 first base, counted from 0 on the plus strand.
            minus: (N,) bool, whether a window is read on the minus strand.
        """
        names, number = np.unique(chrom, return_inverse=True)
        self.chromosomes = names.tolist()
        self._whole["place"] = np.stack([number, start, np.where(minus, -1, 1)], axis=1)

    def finish(self, **meta: Any) -> None:
        """Complete the dataset, with ``meta`` in its meta.json, and move it into place."""
        with writing(self._partial):
            hashes = {name: column.close() for name, column in self._columns.items()}
        for name, array in self._whole.items():
            with writing(self._partial / f"{name}.npy"):
                np.save(self._partial / f"{name}.npy", array, allow_pickle=False)
            contents = repr((array.shape, array.dtype.str)).encode() + array.tobytes()
            hashes[name] = hashlib.sha256(contents).hexdigest()
        # what trials are scored by afterwards is no part of what decides them
        of_variants = {name: hashes.pop(name) for name in VARIANT_ARRAYS if name in hashes}
        if of_variants:
            named = [self._elements, of_variants]
            meta |= {"elements": self._elements, "variants": _digest_of(named)}
        record = {
            "margin": self.margin,
            "chromosomes": self.chromosomes,
            "chromosome_sizes": self.chromosome_sizes,
            "negative_weights": self.negative_weights,
            "motifs": _as_lists(self.motifs),
            "database": _as_lists(self._database),
            "instance_motifs": list(self._instance_motifs),
            **meta,
            "digest": _digest_of(hashes),
            "notes": self.notes.sentences,
            "warnings": self.notes.warnings,
        }
        with writing(self._partial / META):
            names = [path.name for path in self._partial.glob("*.npy")]
            files = digests_of(self._partial, names)
            write_sealed(self._partial / META, {**record, "files": files})
            sync_folder(self._partial)
        if self.directory.is_symlink() or self.directory.is_file():
            self.directory.unlink()
        shutil.rmtree(self.directory, ignore_errors=True)
        self._partial.rename(self.directory)

    def __exit__(self, *_: object) -> None:
        """Remove what is half-written, if anything is."""
        for column in self._columns.values():
            column.abandon()
        shutil.rmtree(self._partial, ignore_errors=True)


def _digest_of(contents: Any) -> str:
    """Return 16 hexadecimal digits, a hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]


def _as_lists(motifs: Mapping[str, NDArray[np.float64]]) -> dict[str, list[list[float]]]:
    """Return matrices as JSON can hold them, rounded to six digits."""
    return {name: matrix.round(6).tolist() for name, matrix in motifs.items()}


class NpyWriter:
    """Appends rows to a ``.npy`` file whose number of rows is not known beforehand.

    Attributes:
        path: the file.
        rows: number of rows written so far.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Create the file; the header is completed by :meth:`close`."""
        self.path = path
        self._file: BinaryIO = path.open("wb+")
        self._row_shape, self._dtype = row_shape, dtype
        self.rows = 0
        self._hash = hashlib.sha256(repr((row_shape, dtype.str)).encode())
        self._header()

    def _header(self) -> None:
        """Write the header, with the number of rows so far."""
        # numpy pads the header so that the number of rows can grow in place
        self._file.seek(0)
        shape, descr = (self.rows, *self._row_shape), self._dtype.str
        header = {"shape": shape, "fortran_order": False, "descr": descr}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: NDArray[Any]) -> None:
        """Append (k, *row_shape) rows; ValueError for rows of another shape."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]}, wanted {self._row_shape}")
        data = np.ascontiguousarray(rows, dtype=self._dtype)
        self._file.write(data.data)
        self._hash.update(data.data)
        self.rows += len(rows)

    def so_far(self) -> NDArray[Any]:
        """Return the rows written so far, mapped."""
        self._header()
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        rows: NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return rows

    def only(self, rows: NDArray[np.int64]) -> Self:
        """Return a writer of the same file, rewritten with some of its rows."""
        whole = self.path.with_name(f"{self.path.name}.whole")
        self.close()
        self.path.rename(whole)
        fewer = self._empty()
        stored = np.load(whole, mmap_mode="r", allow_pickle=False)
        step = max(1, _REWRITTEN_BYTES // max(1, stored[:1].nbytes))
        for start in range(0, len(rows), step):
            fewer.append(stored[rows[start : start + step]])
        whole.unlink()
        return fewer

    def _empty(self) -> Self:
        """Return a writer of the same file without rows."""
        return type(self)(self.path, self._row_shape, self._dtype)

    def close(self) -> str:
        """Complete the file and return the SHA-256 of its contents."""
        self._header()
        self._file.close()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Close the file as it is; harmless after :meth:`close`."""
        with contextlib.suppress(OSError):  # it may be here because the disk is full
            self._file.close()


class TrackWriter(NpyWriter):
    """Appends float32 tracks, stored as the smallest integers that hold them exactly.

    Counts of reads fit into one byte, rarely two. The file starts with one byte a value, and is
    rewritten once or twice where that is not enough; values that are no counts stay float32.
    """

    _DTYPES = tuple(map(np.dtype, ("uint8", "uint16", "float32")))

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        """Create the file."""
        super().__init__(path, row_shape, self._DTYPES[0])

    def append(self, rows: NDArray[Any]) -> None:
        """Append (k, *row_shape) float32 rows."""
        dtype = self._smallest(rows)
        if dtype != self._dtype:
            self._widen(dtype)
        super().append(rows)

    def _empty(self) -> Self:
        """Return a writer of the same file without rows."""
        return type(self)(self.path, self._row_shape)

    def _smallest(self, rows: NDArray[Any]) -> np.dtype[Any]:
        """Return the first dtype, from the present one on, that holds the rows exactly."""
        least, most = rows.min(initial=0), rows.max(initial=0)
        for dtype in self._DTYPES[self._DTYPES.index(self._dtype) : -1]:
            fits = least >= 0 and most < 256**dtype.itemsize
            if fits and (rows.astype(dtype) == rows).all():
                return dtype
        return self._DTYPES[-1]

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Rewrite the file with a larger dtype."""
        self.close()
        narrow = self.path.with_name(f"{self.path.name}.narrow")
        self.path.rename(narrow)
        super().__init__(self.path, self._row_shape, dtype)
        stored = np.load(narrow, mmap_mode="r", allow_pickle=False)
        step = max(1, _REWRITTEN_BYTES // max(1, stored[:1].nbytes))
        for start in range(0, len(stored), step):
            super().append(stored[start : start + step])
        narrow.unlink()
