"""Encoded datasets on disk: written once, memory-mapped read-only by every worker.

A dataset is a folder of ``.npy`` files, one row per example, and a ``meta.json`` that lists their
digests:

======================  ==========================================================
``sequence.npy``        (N, L) uint8 codes, one byte a base
``label.npy``           (N,) or (N, outputs) float32
``split.npy``           (N,) uint8: 0 training, 1 validation, 2 test
``NAME.npy``            further arrays of a task, N rows each, or one row that all examples share;
                        those of shape (N, tracks, bp) are float32 tracks along the middle of the
                        window (counts are stored as small integers), which are shifted and turned
                        with the sequence, the order of the tracks too (plus, minus)
``channel.NAME.npy``    (N, 1, L) a value for every position, which priors may read as the array
                        ``channel:NAME``, shifted and turned with the sequence
``attributed.npy``      (M,) int64 rows of the validation and test splits that are attributed
``truth.npy``           (M, L) uint8 position codes, where the truth is known
``oracle.npy``          (M, L) float32 attribution of an oracle, where the truth is known
``instance.npy``        (K, 5) int64, where it is known which motif lies where in attributed rows:
                        row, start, end (excluded, in the window without its margin), number of the
                        motif (``instance_motifs`` in meta.json, which begin with ``motifs``), and
                        1 or -1 for its strand; decoys are none
``variant.npy``         (V, 4) int64 variants of elements whose effects were measured, none of them
                        examples; ``variant_measured.npy`` (V, 3) float64 and ``element.npy`` (E, W)
                        uint8 go with it (``data/variants.py``; ``elements`` in meta.json has the
                        elements' names and lengths). They have a digest of their own there,
                        ``variants``, as they decide scores and no training
``place.npy``           (N, 3) int64 number of the chromosome (``chromosomes`` in meta.json), first
                        base of the window, and 1 or -1 for its strand, where they are known
======================  ==========================================================
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.storage.sealed_files import DamagedFile, check_listed, read_sealed

from .codes import CHANNEL, CHANNEL_FILE, SPLITS, TEST, TRAIN
from .dataset_writer import META
from .instances import InstanceTable
from .variants import VARIANT_ARRAYS, VariantTable

_SHARE_SEED = 0
_KEEP_MAPPED_BYTES = 64 << 20
_checked: set[tuple[str, int, int, int]] = set()
"""files whose digest this process has compared: path, inode, size and time of the last change"""


def load_dataset(
    directory: Path, scored: int = TEST, *, train_share: float = 1.0, trusted: bool = False
) -> Dataset:
    """Open a dataset folder.

    Small arrays are compared with their digests at once, large ones when rows are first taken.

    Args:
        directory: the folder.
        scored: the split that models are scored on, ``TEST`` or ``VALID``.
        train_share: share of the training rows that are used.
        trusted: whether large arrays were compared before, by the process that started this one.

    Raises:
        DamagedFile: the folder holds no dataset, or one that is not as it was written.
    """
    meta = read_sealed(directory / META)
    listed: Mapping[str, Sequence[str]] = meta["files"]
    paths = {
        path.stem.replace(CHANNEL_FILE, CHANNEL): path
        for path in (directory / name for name in sorted(listed))
    }
    in_memory = {}
    for name in ("split", "attributed", "truth", "oracle", "instance", "place", *VARIANT_ARRAYS):
        if name in paths:
            path = paths.pop(name)
            _check_once(path, listed)
            in_memory[name] = np.load(path, allow_pickle=False)
    of_variants = {name: in_memory.pop(name) for name in VARIANT_ARRAYS if name in in_memory}
    variants = None
    if of_variants and scored == TEST:  # what chooses must not look at them
        variants = VariantTable.from_arrays(of_variants, meta["elements"])
    columns = {name: SharedRows(path, {} if trusted else listed) for name, path in paths.items()}
    # rows of the other split, and what is known about them, are not handed out
    of_split = in_memory["split"][in_memory["attributed"]] == scored
    for name in ("attributed", "truth", "oracle"):
        if name in in_memory:
            in_memory[name] = in_memory[name][of_split]
    if "instance" in in_memory:
        table = in_memory["instance"]
        in_memory["instance"] = table[in_memory["split"][table[:, 0]] == scored]
    return Dataset(
        meta, columns, **in_memory, variants=variants, scored=scored, train_share=train_share
    )


def check_dataset(directory: Path) -> str:
    """Compare all files of a dataset folder with their digests, and return that of its contents.

    Raises:
        DamagedFile: if one is not as it was written.
    """
    meta = read_sealed(directory / META)
    for name in meta["files"]:
        _check_once(directory / name, meta["files"])
    return str(meta["digest"])


def _check_once(path: Path, listed: Mapping[str, Sequence[str]]) -> None:
    """Compare a file with its digest, unless this process did so since it was last changed."""
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedFile(path, "is missing") from None
    key = (str(path), now.st_ino, now.st_size, now.st_mtime_ns)
    if key not in _checked:
        check_listed(path, listed)
        _checked.add(key)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset, as seen by models that are scored on one of its splits.

    Small arrays are in memory, the rest is mapped. Where models are scored on the validation
    split, the rows of the test split are out of reach.

    Attributes:
        meta: contents of meta.json.
        columns: mapped arrays of N rows by name, ``sequence`` and ``label`` included.
        split: (N,) uint8 split of every row.
        attributed: (M,) int64 rows of the scored split that are attributed.
        truth: (M, L) uint8 position codes of these rows, or None if unknown.
        oracle: (M, L) float32 attribution of an oracle, or None if unknown.
        instance: (K, 5) int64 instances of motifs in these rows, or None if unknown.
        place: (N, 3) int64 places of the windows on a genome, or None if unknown.
        variants: measured effects of variants, or None where there are none, or only the validation
            split is scored.
        scored: ``TEST``, or ``VALID`` for trials that only choose a weight.
        train_share: share of the training rows that are used.
    """

    meta: Mapping[str, Any]
    columns: Mapping[str, SharedRows]
    split: NDArray[np.uint8]
    attributed: NDArray[np.int64]
    truth: NDArray[np.uint8] | None = None
    oracle: NDArray[np.float32] | None = None
    instance: NDArray[np.int64] | None = None
    place: NDArray[np.int64] | None = None
    variants: VariantTable | None = None
    scored: int = TEST
    train_share: float = 1.0

    @property
    def margin(self) -> int:
        """Bases at either end beyond the window, for windows that are shifted in training."""
        return int(self.meta.get("margin", 0))

    @property
    def negative_weight(self) -> float:
        """Number of possible negatives that each scored one stands for; 1 if none was drawn."""
        return float(self.meta.get("negative_weights", {}).get(SPLITS[self.scored], 1.0))

    @property
    def motifs(self) -> dict[str, NDArray[np.float64]]:
        """True motifs, (4, width) probabilities of A C G T by name; none where they are unknown."""
        return {name: np.array(matrix) for name, matrix in self.meta.get("motifs", {}).items()}

    @property
    def instance_motifs(self) -> tuple[str, ...]:
        """Names of the motifs that ``instance`` numbers."""
        return tuple(self.meta.get("instance_motifs", ()))

    def instances(self) -> InstanceTable | None:
        """Return the instances with their row's place among the attributed, None if unknown."""
        if self.instance is None:
            return None
        rows = self.instance.copy()
        rows[:, 0] = np.searchsorted(self.attributed, rows[:, 0])
        return InstanceTable(rows, self.instance_motifs)

    def true_matrices(self) -> NDArray[np.float32] | None:
        """Return the (M, 4, L) float32 matrices that attributed rows were drawn from.

        A position of an instance has the probabilities of A C G T of its motif's matrix, on its
        strand; everything else has 1/4. None where instances, or the matrix of one, are unknown.
        """
        table = self.instances()
        if table is None:
            return None
        return table.true_matrices(self.motifs, len(self.attributed), self.length)

    @property
    def database(self) -> dict[str, NDArray[np.float64]]:
        """Motifs by which discovered ones are named, in the form of ``motifs``."""
        return {name: np.array(matrix) for name, matrix in self.meta.get("database", {}).items()}

    @property
    def length(self) -> int:
        """Window length in bp."""
        return self.columns["sequence"].shape[1] - 2 * self.margin

    @property
    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of a row of every array by name, without the margins that training shifts into."""
        shapes = {name: column.shape[1:] for name, column in self.columns.items()}
        tracks = {name: shape for name, shape in shapes.items() if len(shape) == 2}
        return shapes | {name: (n, bp - 2 * self.margin) for name, (n, bp) in tracks.items()}

    @property
    def channels(self) -> list[str]:
        """Names of the per-position channels that priors may read."""
        return [n.removeprefix(CHANNEL) for n in self.columns if n.startswith(CHANNEL)]

    @property
    def variants_digest(self) -> str:
        """Hash of the variants that are stored with it; "" where there are none."""
        return str(self.meta.get("variants", ""))

    @property
    def digest(self) -> str:
        """Hash of the dataset's contents."""
        return str(self.meta["digest"])

    def codes(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the (k, length) uint8 windows of some rows, without the margin."""
        stored: NDArray[np.uint8] = self.columns["sequence"].take(rows)
        return stored[:, self.margin : self.margin + self.length]

    def rows(self, split: int) -> NDArray[np.int64]:
        """Return the rows of one split, ascending; of the training split, the share that is used.

        Raises:
            ValueError: the test split is requested where models are scored on validation data.
        """
        if split == TEST != self.scored:
            raise ValueError("what chooses a weight must not look at the test split")
        rows = np.flatnonzero(self.split == split)
        if split != TRAIN or self.train_share == 1:
            return rows
        order = np.random.default_rng(_SHARE_SEED).permutation(len(rows))
        return np.sort(rows[order[: math.ceil(self.train_share * len(rows))]])

    @property
    def epoch_rows(self) -> int:
        """Number of training rows that an epoch shows: all there are, whatever share is used."""
        return int((self.split == TRAIN).sum())

    @property
    def scored_rows(self) -> NDArray[np.int64]:
        """(N,) int64 rows whose predictions are scored, ascending."""
        return self.rows(self.scored)


class SharedRows:
    """Rows of a memory-mapped ``.npy`` file.

    The pages of a large file are released after every access, as one row may map megabytes around
    it: the resident memory of a worker does not grow with the dataset. The data stay in the page
    cache, which all workers share.
    """

    def __init__(self, path: Path, listed: Mapping[str, Sequence[str]]) -> None:
        """Map the array at ``path`` read-only.

        Args:
            path: the file.
            listed: digests by name, with which it is compared before rows are taken; of a file that
                is not listed nothing is asked.

        Raises:
            DamagedFile: if the file is missing, or holds no array.
        """
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise DamagedFile(path, "is missing") from None
        except (ValueError, EOFError, OSError):
            raise DamagedFile(path, "is damaged") from None
        self._path, self._listed = path, listed
        self._map = getattr(mapped, "_mmap", None)
        # a plain array: memmap's own indexing is slow, and every step takes a batch
        self._array = mapped.view(np.ndarray)
        self._releases = self._array.nbytes > _KEEP_MAPPED_BYTES

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        shape: tuple[int, ...] = self._array.shape
        return shape

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of some rows, (k, ...); of the only row, where all examples share it.

        Raises:
            DamagedFile: if the file is not as it was written.
        """
        if self._listed:
            _check_once(self._path, self._listed)
            self._listed = {}
        result = np.asarray(self._array[rows if len(self._array) > 1 else np.zeros_like(rows)])
        if self._releases and self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        counts = result.ndim == 3 and result.dtype.kind == "u"  # small integers on the disk
        return result.astype(np.float32) if counts else result
