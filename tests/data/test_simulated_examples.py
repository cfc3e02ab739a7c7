"""Simulated examples in a dataset: their splits, their motifs, and what is known about them."""

import numpy as np
import pytest

from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.instances import InstanceTable
from priorbench.data.simulated_examples import SimulatedExamples, write_examples
from priorbench.data.simulation import motif_from_consensus, nothing_planted, plant

LENGTH, MARGIN = 20, 3
MOTIF_M = motif_from_consensus("m", "ACGTAC", 0.9)


def write(folder, sizes, *, margin=0, chunk=4):
    """Write examples, every second one positive, whose motif starts one base further in each."""
    generator, drawn_splits = np.random.default_rng(0), []

    def draw(count, split):
        drawn_splits.append((count, split))
        planted = nothing_planted(np.zeros((count, LENGTH + 2 * margin), dtype=np.uint8))
        starts = margin + np.arange(count)
        plant(planted, MOTIF_M, np.arange(count), generator, code=MOTIF, starts=starts)
        labels = (np.arange(count) % 2 == 0).astype(np.float32)
        return SimulatedExamples(labels, planted, {"start": starts.astype(np.uint8)})

    with DatasetWriter(folder) as writer:
        writer.margin = margin
        write_examples(writer, sizes, draw, lambda labels: labels == 1, chunk=chunk)
        writer.finish(task="t", name="d")
    return drawn_splits


def test_splits_are_drawn_chunk_by_chunk_and_the_positives_held_out_are_attributed(tmp_path):
    drawn = write(tmp_path / "d", (6, 5, 4))
    assert drawn == [(4, TRAIN), (2, TRAIN), (4, VALID), (1, VALID), (4, TEST)]
    dataset = load_dataset(tmp_path / "d")
    assert np.bincount(dataset.split).tolist() == [6, 5, 4]
    assert dataset.attributed.tolist() == [11, 13]
    assert load_dataset(tmp_path / "d", VALID).attributed.tolist() == [6, 8, 10]
    assert dataset.columns["start"].take(np.arange(6)).tolist() == [0, 1, 2, 3, 0, 1]
    assert list(dataset.motifs) == ["m"]
    assert np.allclose(dataset.motifs["m"], MOTIF_M.matrix.T)


def test_the_truth_is_that_of_the_window_without_its_margin(tmp_path):
    write(tmp_path / "d", (4, 4, 4), margin=MARGIN)
    dataset = load_dataset(tmp_path / "d")
    assert dataset.length == LENGTH
    assert dataset.truth.shape == dataset.oracle.shape == (2, LENGTH)
    for row, start in enumerate((0, 2)):
        assert np.flatnonzero(dataset.truth[row]).tolist() == [*range(start, start + 6)]
        assert np.array_equal(dataset.oracle[row] != 0, dataset.truth[row] == MOTIF)


def test_no_more_are_attributed_than_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr("priorbench.data.simulated_examples.MOST_ATTRIBUTED", 3)
    write(tmp_path / "d", (4, 2, 12))
    assert load_dataset(tmp_path / "d").attributed.tolist() == [6, 8, 10]
    assert load_dataset(tmp_path / "d", VALID).attributed.tolist() == [4]


def test_instances_of_attributed_rows_are_stored_in_the_window_with_their_strand(tmp_path):
    write(tmp_path / "d", (4, 4, 4), margin=MARGIN)
    dataset = load_dataset(tmp_path / "d")
    assert dataset.instance_motifs == ("m",)
    assert dataset.instance[:, :4].tolist() == [[8, 0, 6, 0], [10, 2, 8, 0]]
    assert dataset.instances().rows[:, 0].tolist() == [0, 1]
    for index, (row, start, end, _, strand) in enumerate(dataset.instance.tolist()):
        written = dataset.codes(np.array([row]))[0, start:end]
        matrix = MOTIF_M.matrix[::strand, ::strand]
        assert np.allclose(dataset.true_matrices()[index, :, start:end], matrix.T)
        assert np.allclose(
            dataset.oracle[index, start:end], np.log(matrix[np.arange(6), written] / 0.25)
        )
    assert load_dataset(tmp_path / "d", VALID).instance[:, 0].tolist() == [4, 6]


def test_rows_that_are_dropped_take_their_instances_along(tmp_path):
    planted = nothing_planted(np.zeros((4, LENGTH), dtype=np.uint8))
    plant(planted, MOTIF_M, np.arange(4), np.random.default_rng(0), code=MOTIF)
    with DatasetWriter(tmp_path / "d") as writer:
        write_examples(
            writer,
            (0, 0, 4),
            lambda _, __: SimulatedExamples(np.ones(4, dtype=np.float32), planted),
            lambda labels: labels == 1,
            chunk=4,
        )
        writer.keep(np.array([1, 3]))
        writer.finish(task="t", name="d")
    dataset = load_dataset(tmp_path / "d")
    assert dataset.instance[:, 0].tolist() == [0, 1]
    starts = [start for row, start, *_ in planted.instances if row in (1, 3)]
    assert dataset.instance[:, 1].tolist() == starts


@pytest.mark.parametrize(
    "row", [(1, 0, 6, 0, 1), (0, 20, 26, 0, 1), (0, 6, 6, 0, 1), (0, 0, 6, 1, 1), (0, 0, 6, 0, 0)]
)
def test_an_instance_that_cannot_be_is_refused(row):
    table = InstanceTable(np.array([row], dtype=np.int64), ("m",))
    with pytest.raises(ValueError, match="no instance of a motif in these rows"):
        table.check(np.array([0]), LENGTH)


def test_a_matrix_is_cut_at_the_ends_and_missing_without_the_motif(tmp_path):
    table = InstanceTable(np.array([[0, -2, 4, 0, 1], [0, 17, 23, 0, -1]]), ("m",))
    matrix = table.true_matrices({"m": MOTIF_M.matrix.T}, 1, LENGTH)[0].T
    assert np.allclose(matrix[:4], MOTIF_M.matrix[2:])
    assert np.allclose(matrix[17:], MOTIF_M.matrix[::-1, ::-1][:3])
    assert (matrix[4:17] == 0.25).all()
    assert table.true_matrices({}, 1, LENGTH) is None
    assert table.true_matrices({"m": MOTIF_M.matrix.T[:, 1:]}, 1, LENGTH) is None
