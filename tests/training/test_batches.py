"""What a batch holds, and the order in which an epoch shows its examples."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.networks import CPU

from priorbench.components import registry
from priorbench.data.codes import TRAIN
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.training.batches import batches, epoch_order, load_batch
from priorbench.training.schedules import SCHEDULES

TASK = registry.build("task", "binary")


@pytest.mark.parametrize("share", [0.25, 0.3, 0.7, 1.0])
def test_a_share_of_the_data_is_passed_through_more_often_in_as_many_steps(simulated, share):
    used = replace(simulated, train_share=share)
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    order = epoch_order(used, TASK, streams, 0).rows
    rows, times = np.unique(order, return_counts=True)
    assert (rows == used.rows(TRAIN)).all()
    assert times.max() - times.min() <= 1
    assert len(order) == len(simulated.rows(TRAIN))
    assert (epoch_order(used, TASK, streams, 1).rows != order).any()
    assert len(batches(used, SCHEDULES["smoke"])) == len(batches(simulated, SCHEDULES["smoke"]))


def test_batches_hold_what_the_dataset_says_and_flipped_rows_their_reverse_complement(simulated):
    rows = np.array([5, 2, 9])
    flip = np.array([True, False, True])
    plain, flipped = (load_batch(simulated, rows, CPU, flip=f) for f in (None, flip))
    codes = simulated.columns["sequence"].take(rows)
    assert torch.equal(plain.sequence, one_hot(codes))
    turned = plain.sequence.flip(1, 2)  # A C G T upside down is T G C A
    for row, is_flipped in enumerate(flip):
        expected = turned if is_flipped else plain.sequence
        assert torch.equal(flipped.sequence[row], expected[row])
    assert plain.label.tolist() == simulated.columns["label"].take(rows).tolist()


@pytest.fixture
def tracked(tmp_path):
    """A dataset of windows of 6 bp with a margin of 2, and two tracks along their middle 4 bp."""
    generator = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(
            generator.integers(0, 4, (5, 10)).astype(np.uint8),
            np.zeros(5, dtype=np.float32),
            np.zeros(5, dtype=np.uint8),
            reads=np.arange(5 * 2 * 8, dtype=np.float32).reshape(5, 2, 8),
        )
        writer.attribute(np.empty(0, dtype=np.int64))
        writer.finish(margin=2)
    return load_dataset(tmp_path / "data")


def test_tracks_are_shifted_and_turned_with_their_sequence(tracked):
    rows = np.array([3, 1])
    codes, reads = (tracked.columns[name].take(rows) for name in ("sequence", "reads"))
    middle = load_batch(tracked, rows, CPU)
    assert torch.equal(middle.sequence, one_hot(codes[:, 2:8]))
    assert np.array_equal(middle.arrays["reads"], reads[:, :, 2:6])
    flip = np.array([False, True])
    moved = load_batch(tracked, rows, CPU, flip=flip, shift=np.array([2, -1]))
    assert torch.equal(moved.sequence[0], one_hot(codes[:1, 4:10])[0])
    assert torch.equal(moved.sequence[1], one_hot(codes[1:, 1:7])[0].flip(0, 1))
    assert np.array_equal(moved.arrays["reads"][0], reads[0, :, 4:8])
    assert np.array_equal(moved.arrays["reads"][1], reads[1, ::-1, 1:5][:, ::-1])
    assert tracked.length == 6
    form = TASK.network_shape_of(tracked)
    assert (form.length, form.outputs) == (6, 1)


def test_windows_with_a_margin_are_shifted_anew_in_every_epoch(tracked):
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    drawn = [epoch_order(tracked, TASK, streams, epoch).shifts for epoch in range(40)]
    assert set(np.concatenate(drawn).tolist()) == {-2, -1, 0, 1, 2}
    assert np.array_equal(epoch_order(tracked, TASK, streams, 3).shifts, drawn[3])
