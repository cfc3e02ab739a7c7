"""A sample of written data keeps its shares, what is attributed, and all arrays in step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.smoke_sample import SMOKE_SIZES, sample_written

LENGTH = 8


def sampled(
    folder: Path, label: np.ndarray, split: np.ndarray, *, seed: int = 0, **more
) -> Dataset:
    """Write rows whose sequence is their number in base four, and sample them."""
    rows = np.arange(len(split))
    codes = (rows[:, None] // 4 ** np.arange(LENGTH) % 4).astype(np.uint8)
    with DatasetWriter(folder) as writer:
        for begin in range(0, len(rows), 999):
            here = slice(begin, begin + 999)
            parts = {name: array[here] for name, array in more.items()}
            writer.append(codes[here], label[here], split[here], **parts)
        attributed = rows[(split == 2) & (rows % 10 == 1)][:150]
        truth = np.repeat(attributed[:, None] % 4, LENGTH, axis=1).astype(np.uint8)
        writer.attribute(attributed, truth, truth.astype(np.float32))
        writer.locate(np.full(len(rows), "c"), rows, np.zeros(len(rows), dtype=bool))
        sample_written(writer, np.random.default_rng(seed))
        writer.finish()
    return load_dataset(folder)


def numbers(dataset: Dataset) -> np.ndarray:
    codes = dataset.columns["sequence"].take(np.arange(len(dataset.split)))
    return codes.astype(np.int64) @ 4 ** np.arange(LENGTH)


@pytest.fixture
def split() -> np.ndarray:
    return np.repeat([0, 1, 2], [3000, 500, 1500]).astype(np.uint8)


def test_classes_keep_their_shares(tmp_path: Path, split: np.ndarray) -> None:
    label = (np.arange(5000) % 10 == 1).astype(np.float32)
    dataset = sampled(tmp_path / "d", label, split)
    assert np.bincount(dataset.split).tolist() == list(SMOKE_SIZES)
    kept = dataset.columns["label"].take(np.arange(len(dataset.split)))
    shares = np.bincount(dataset.split, weights=kept) / SMOKE_SIZES
    np.testing.assert_allclose(shares, 0.1, atol=0.01)
    assert (
        "400 of 3,000 for training, 100 of 500 for validation, 200 of 1,500 for test"
        in (dataset.meta["notes"][0])
    )


def test_arrays_stay_in_step(tmp_path: Path, split: np.ndarray) -> None:
    reads = np.repeat(np.arange(5000, dtype=np.float32)[:, None, None], 3, axis=2)
    label = np.log1p(reads.sum(axis=2))
    dataset = sampled(tmp_path / "d", label, split, reads=reads)
    rows = numbers(dataset)
    assert (np.diff(rows) > 0).all()
    everything = np.arange(len(rows))
    np.testing.assert_array_equal(dataset.columns["reads"].take(everything), reads[rows])
    np.testing.assert_array_equal(dataset.columns["label"].take(everything), label[rows])
    np.testing.assert_array_equal(dataset.split, split[rows])
    np.testing.assert_array_equal(dataset.place[:, 1], rows)
    # those that are attributed are taken first
    assert len(dataset.attributed) == 150
    np.testing.assert_array_equal(rows[dataset.attributed] % 10, 1)
    np.testing.assert_array_equal(dataset.truth[:, 0], rows[dataset.attributed] % 4)
    np.testing.assert_array_equal(dataset.oracle, dataset.truth)


def test_the_rarest_output_keeps_a_positive(tmp_path: Path, split: np.ndarray) -> None:
    label = np.zeros((5000, 3), dtype=np.float32)
    label[::2, 0], label[::100, 2] = 1, 1
    label[[0, 3300, 4800], 1] = 1
    dataset = sampled(tmp_path / "d", label, split)
    kept = dataset.columns["label"].take(np.arange(len(dataset.split)))
    for number in range(3):
        assert kept[dataset.split == number].any(axis=0).all()


@pytest.mark.parametrize("members", [1, 3, 5, 40])
def test_a_rare_class_keeps_enough_to_be_scored(
    tmp_path: Path, split: np.ndarray, members: int
) -> None:
    split = np.repeat(split, 20)
    label = np.zeros(len(split), dtype=np.float32)
    for number in range(3):
        label[np.flatnonzero(split == number)[:members]] = 1
    dataset = sampled(tmp_path / "d", label, split)
    assert np.bincount(dataset.split).tolist() == list(SMOKE_SIZES)
    kept = np.bincount(dataset.split, dataset.columns["label"].take(np.arange(700)))
    assert (kept == min(members, 5)).all()


def test_the_seed_decides_and_small_data_stay_whole(tmp_path: Path, split: np.ndarray) -> None:
    label = (np.arange(5000) % 2).astype(np.float32)
    digests = [
        sampled(tmp_path / f"{number}", label, split, seed=seed).digest
        for number, seed in enumerate((0, 0, 1))
    ]
    assert digests[0] == digests[1] != digests[2]
    rows = np.r_[0:300, 3000:3090, 3500:3690]
    small = sampled(tmp_path / "small", label[rows], split[rows])
    assert len(small.split) == len(rows)
    assert not small.meta["notes"]


@pytest.mark.parametrize(("length", "sizes"), [(200, SMOKE_SIZES), (500, (160, 50, 80))])
def test_of_long_windows_fewer_are_taken(
    tmp_path: Path, split: np.ndarray, length: int, sizes: tuple[int, int, int]
) -> None:
    with DatasetWriter(tmp_path / "d") as writer:
        codes = np.zeros((len(split), length), dtype=np.uint8)
        writer.append(codes, np.ones(len(split), dtype=np.float32), split)
        writer.attribute(np.flatnonzero(split == 2)[:10])
        sample_written(writer, np.random.default_rng(0))
        writer.finish()
    assert tuple(np.bincount(load_dataset(tmp_path / "d").split).tolist()) == sizes
