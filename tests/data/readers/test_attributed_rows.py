"""The rows that are attributed, and what is known about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.genomes import intervals
from numpy.typing import NDArray

from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.attributed_rows import attribute_rows, draw_attributed
from priorbench.data.readers.data_file import DataFile
from priorbench.data.readers.genome_windows import Windows
from priorbench.encoding import encode

SITE = "ACGTTGCAAG"
MEME = "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF m\nletter-probability matrix: alength= 4 w= 10\n"


def draw(split: NDArray[np.uint8], eligible: NDArray[np.bool_], most: int, seed: int = 0):
    return draw_attributed(split, eligible, np.random.default_rng(seed), most)


def test_eligible_rows_of_the_held_out_splits_are_drawn_each_with_its_own_limit() -> None:
    split = np.tile(np.array([TRAIN, VALID, TEST, TEST], dtype=np.uint8), 25)
    eligible = np.arange(100) % 8 < 6
    rows = draw(split, eligible, 10)
    assert (np.diff(rows) > 0).all()
    assert eligible[rows].all()
    assert np.bincount(split[rows], minlength=3).tolist() == [0, 10, 10]
    assert rows.tolist() == draw(split, eligible, 10).tolist()
    assert rows.tolist() != draw(split, eligible, 10, seed=1).tolist()
    everything = draw(split, eligible, 1000)
    assert everything.tolist() == np.flatnonzero(eligible & (split != TRAIN)).tolist()


def test_where_nothing_may_be_drawn_there_are_no_rows() -> None:
    split = np.array([TRAIN, TEST, VALID], dtype=np.uint8)
    assert draw(split, np.zeros(3, dtype=bool), 5).tolist() == []


def attributed(
    folder: Path, data: DataFile, codes: NDArray[np.uint8], **more: object
) -> tuple[Dataset, list[str]]:
    """Write a dataset whose rows are all attributed, and load it."""
    count = len(codes)
    with DatasetWriter(folder / "d") as writer:
        writer.append(codes, np.ones(count, np.float32), np.full(count, TEST, np.uint8))
        attribute_rows(writer, data, np.arange(count), codes, **more)
        notes = list(writer.notes.sentences)
        writer.finish()
    return load_dataset(folder / "d"), notes


def data_file(folder: Path, **keys: object) -> DataFile:
    return DataFile.model_validate(
        {"source": folder / "data.toml", "task": "binary", "name": "d", **keys}
    )


@pytest.fixture
def codes() -> NDArray[np.uint8]:
    """Poly-A windows, the second of which holds a site."""
    codes = np.zeros((4, 40), dtype=np.uint8)
    codes[1, 20:30] = encode(SITE.encode())
    return codes


def test_without_a_source_of_the_truth_only_the_rows_are_named(tmp_path: Path, codes) -> None:
    dataset, notes = attributed(tmp_path, data_file(tmp_path), codes, both_strands=True)
    assert dataset.attributed.tolist() == [0, 1, 2, 3]
    assert dataset.truth is None
    assert dataset.oracle is None
    assert notes == []


def test_matrices_give_truth_and_oracle(tmp_path: Path, codes) -> None:
    rows = [" ".join("0.97" if b == base else "0.01" for b in "ACGT") for base in SITE]
    (tmp_path / "m.meme").write_text(MEME + "\n".join(rows) + "\n")
    data = data_file(tmp_path, motifs="m.meme")
    dataset, notes = attributed(tmp_path, data, codes, both_strands=False)
    assert np.argwhere(dataset.truth == MOTIF).tolist() == [[1, i] for i in range(20, 30)]
    assert np.array_equal(dataset.oracle != 0, dataset.truth == MOTIF)
    assert notes == [
        "Known sites of m.meme are in 1 of the 4 attributed sequences and cover 6.2% of their "
        "bases."
    ]


def test_sites_on_the_genome_give_the_truth_alone(tmp_path: Path, codes) -> None:
    sites = intervals(tmp_path, "c\t105\t109\n")
    none = np.zeros(4, dtype=bool)
    windows = Windows(np.full(4, "c"), np.array([0, 60, 100, 200]), none.astype(np.uint8), none)
    dataset, notes = attributed(
        tmp_path, data_file(tmp_path), codes, both_strands=True, sites=sites, windows=windows
    )
    assert np.argwhere(dataset.truth == MOTIF).tolist() == [[2, i] for i in range(5, 9)]
    assert dataset.oracle is None
    assert notes[0].startswith("Known sites of x.bed are in 1 of the 4 attributed sequences")
