"""Encoded datasets: round trip, nothing half-written, memory."""

import json

import numpy as np
import pytest

from priorbench import UserError
from priorbench.data.dataset import Dataset, SharedRows, load_dataset
from priorbench.data.dataset_writer import DatasetWriter, TrackWriter
from priorbench.encoding import decode, encode, one_hot, reverse_complement


def write(folder, chunks=2, note=""):
    with DatasetWriter(folder) as writer:
        for number in range(chunks):
            sequence = np.full((3, 5), number, dtype=np.uint8)
            label = np.arange(3, dtype=np.float32)
            split = np.array([0, 1, 2], dtype=np.uint8)
            writer.append(sequence, label, split, signal=np.full((3, 2), number, dtype=np.float32))
        writer.attribute(np.array([2]), np.ones((1, 5), np.uint8), np.ones((1, 5), np.float32))
        writer.notes.say(note)
        writer.finish(task="binary", name="x")
    return load_dataset(folder)


@pytest.mark.parametrize(
    ("last", "stored"),
    [
        (255, "uint8"),
        (256, "uint16"),
        (65535, "uint16"),
        (65536, "float32"),
        (0.5, "float32"),
        (-1, "float32"),
    ],
)
def test_tracks_are_stored_in_as_few_bytes_as_hold_them_exactly(
    tmp_path, last, stored, monkeypatch
):
    monkeypatch.setattr(
        "priorbench.data.dataset_writer._REWRITTEN_BYTES", 20
    )  # rewritten in several steps
    rows = np.random.default_rng(0).poisson(3, (7, 2, 5)).astype(np.float32)
    rows[-1, 1, 4] = last
    writer = TrackWriter(tmp_path / "x.npy", (2, 5))
    for start in range(0, 7, 3):
        writer.append(rows[start : start + 3])
    digest = writer.close()
    assert writer.rows == 7
    assert np.load(tmp_path / "x.npy").dtype == stored
    stored_rows = SharedRows(tmp_path / "x.npy", {}).take(np.arange(7))
    assert stored_rows.dtype == np.float32
    np.testing.assert_array_equal(stored_rows, rows)
    # the same contents, the same hash, however they came
    whole = TrackWriter(tmp_path / "y.npy", (2, 5))
    whole.append(rows)
    assert whole.close() == digest
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["x.npy", "y.npy"]


def test_round_trip(tmp_path):
    dataset = write(tmp_path / "data", note="said")
    assert isinstance(dataset, Dataset)
    assert dataset.length == 5
    assert dataset.columns["sequence"].shape == (6, 5)
    assert dataset.columns["sequence"].take(np.array([4, 0])).tolist() == [[1] * 5, [0] * 5]
    assert dataset.columns["signal"].take(np.array([5])).tolist() == [[1.0, 1.0]]
    assert [dataset.rows(split).tolist() for split in (0, 1, 2)] == [[0, 3], [1, 4], [2, 5]]
    assert dataset.attributed.tolist() == [2]
    assert dataset.truth.shape == dataset.oracle.shape == (1, 5)
    assert dataset.meta["notes"] == ["said"]
    assert np.load(tmp_path / "data" / "sequence.npy").shape == (6, 5)


def test_a_smaller_share_is_part_of_a_larger_one_and_touches_training_alone(tmp_path):
    write(tmp_path / "data", chunks=50)
    whole = load_dataset(tmp_path / "data")
    shares = [load_dataset(tmp_path / "data", train_share=share) for share in (0.1, 0.5, 1.0)]
    rows = [set(dataset.rows(0).tolist()) for dataset in shares]
    assert rows[0] < rows[1] < rows[2] == set(whole.rows(0).tolist())
    assert [len(chosen) for chosen in rows] == [5, 25, 50]
    assert [dataset.epoch_rows for dataset in shares] == [50, 50, 50]
    for dataset in shares:
        assert (dataset.rows(2) == whole.rows(2)).all()
        assert (dataset.attributed == whole.attributed).all()


def test_digest_follows_the_contents_not_the_notes(tmp_path):
    first, same = write(tmp_path / "a", note="x"), write(tmp_path / "b", note="y")
    longer = write(tmp_path / "c", chunks=3)
    assert first.digest == same.digest != longer.digest


def test_an_error_leaves_nothing_behind(tmp_path):
    def write_and_fail():
        with DatasetWriter(tmp_path / "data") as writer:
            empty = np.zeros((1, 5), np.uint8)
            writer.append(empty, np.zeros(1, np.float32), np.zeros(1, np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"meta.json: is missing"):
        load_dataset(tmp_path)


def test_rows_of_unequal_shape_are_a_mistake(tmp_path):
    with DatasetWriter(tmp_path / "d") as writer:
        label, split = np.zeros(1, np.float32), np.zeros(1, np.uint8)
        writer.append(np.zeros((1, 5), np.uint8), label, split)
        with pytest.raises(ValueError, match="rows of shape"):
            writer.append(np.zeros((1, 6), np.uint8), label, split)


def test_rows_are_right_after_pages_were_given_back(tmp_path, monkeypatch):
    rows = np.arange(200, dtype=np.uint8).reshape(20, 10)
    np.save(tmp_path / "x.npy", rows)
    monkeypatch.setattr("priorbench.data.dataset._KEEP_MAPPED_BYTES", 1)
    shared = SharedRows(tmp_path / "x.npy", {})
    for _ in range(3):
        assert np.array_equal(shared.take(np.array([3, 19])), rows[[3, 19]])


def test_meta_is_plain_json(tmp_path):
    write(tmp_path / "data")
    meta = json.loads((tmp_path / "data" / "meta.json").read_text())
    assert meta["task"] == "binary"


def test_sequences_are_encoded_in_either_case_with_t_or_u():
    codes = encode(b"ACGTUNacgtunX-")
    assert codes.tolist() == [0, 1, 2, 3, 3, 4, 0, 1, 2, 3, 3, 4, 255, 255]
    assert decode(codes[:6]) == "ACGTTN"
    assert decode(reverse_complement(encode(b"AACGN"))) == "NCGTT"
    assert decode(reverse_complement(np.stack([encode(b"AC"), encode(b"GT")]))[1]) == "AC"


def test_one_hot_has_an_empty_column_for_n():
    hot = one_hot(encode(b"ACGTN")[None])
    assert hot.shape == (1, 4, 5)
    assert hot[0, :, :4].tolist() == np.eye(4).tolist()
    assert hot[0, :, 4].sum() == 0
