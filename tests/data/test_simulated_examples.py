"""Simulated examples in a dataset: their splits, their motifs, and what is known about them."""

import numpy as np

from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
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
