"""Simulated sequences: composition, planted motifs, reproducibility."""

import numpy as np
import pytest
from fixtures.datasets import simulate
from scipy.stats import chisquare

from priorbench.data.codes import BACKGROUND, DECOY, MOTIF
from priorbench.data.simulation import (
    HUMAN_DINUCLEOTIDES,
    draw_instances,
    draw_places,
    make_instances,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
    write_instance,
)
from priorbench.encoding import reverse_complement


def test_background_has_the_dinucleotides_of_the_table():
    codes = markov_background(400, 500, np.random.default_rng(0))
    counts = np.zeros((4, 4))
    np.add.at(counts, (codes[:, :-1].ravel(), codes[:, 1:].ravel()), 1)
    expected = HUMAN_DINUCLEOTIDES / HUMAN_DINUCLEOTIDES.sum()
    assert counts / counts.sum() == pytest.approx(expected, abs=0.004)


def test_instances_follow_the_matrix():
    motif = motif_from_consensus("m", "ACRN", 0.8)
    rest = 0.2 / 3
    expected = [[0.8, rest, rest, rest], [rest, 0.8, rest, rest], [0.4, 0.1, 0.4, 0.1], [0.25] * 4]
    assert motif.matrix == pytest.approx(np.array(expected))
    drawn = draw_instances(motif, 20_000, np.random.default_rng(1))
    for column in range(4):
        share = np.bincount(drawn[:, column], minlength=4) / len(drawn)
        assert share == pytest.approx(motif.matrix[column], abs=0.015)


def test_planted_motifs_are_where_the_truth_says():
    motif = motif_from_consensus("m", "ACGTTTGCAA", 0.999)
    sequences = markov_background(50, 60, np.random.default_rng(2))
    planted = nothing_planted(sequences)
    rows = np.repeat(np.arange(50), 2)
    plant(planted, motif, rows, np.random.default_rng(3), code=MOTIF)
    consensus = motif.matrix.argmax(axis=1)
    strands = set()
    for sequence, codes, oracle in zip(sequences, planted.codes, planted.oracle, strict=True):
        assert (codes == MOTIF).sum() == 20  # two instances that do not overlap
        assert ((oracle != 0) == (codes == MOTIF)).all()
        start = int(np.argmax(codes == MOTIF))
        bases = sequence[start : start + 10]
        forward = (bases == consensus).mean()
        reverse = (bases == reverse_complement(consensus.astype(np.uint8))).mean()
        assert max(forward, reverse) >= 0.9
        strands.add(forward > reverse)
    assert strands == {True, False}


def test_no_room_is_an_error():
    motif = motif_from_consensus("m", "ACGTACGT", 0.9)
    planted = nothing_planted(np.zeros((1, 10), dtype=np.uint8))
    rows, generator = np.array([0, 0]), np.random.default_rng(0)
    with pytest.raises(ValueError, match="no room"):
        plant(planted, motif, rows, generator, code=DECOY)


@pytest.mark.parametrize("by_row", ["starts", "scrambled"])
def test_what_is_said_by_row_is_refused_for_a_row_that_occurs_twice(by_row):
    motif = motif_from_consensus("m", "ACGT", 0.9)
    planted = nothing_planted(np.zeros((2, 20), dtype=np.uint8))
    values = {"starts": np.array([3, 5]), "scrambled": np.array([True, False])}
    more = {by_row: values[by_row]}
    rows, generator = np.array([1, 1]), np.random.default_rng(0)
    with pytest.raises(ValueError, match="rows must be distinct"):
        plant(planted, motif, rows, generator, code=MOTIF, **more)
    assert not planted.occupied.any()
    plant(planted, motif, np.array([1]), generator, code=MOTIF, **more)
    assert planted.occupied.sum(axis=1).tolist() == [0, 4]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, again, other = (
        simulate(tmp_path / n, seed=s).digest for n, s in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


def test_binary_plants_the_target_in_positives_only(simulated):
    labels = simulated.columns["label"].take(np.arange(700))
    assert labels.mean() == 0.5
    assert set(np.unique(simulated.split)) == {0, 1, 2}
    test_labels = simulated.columns["label"].take(simulated.attributed)
    assert (test_labels == 1).all()
    assert (simulated.split[simulated.attributed] == 2).all()
    assert (simulated.truth == MOTIF).any(axis=1).all()
    assert (simulated.truth == DECOY).any(axis=1).mean() > 0.5


def test_places_do_not_overlap_and_every_arrangement_is_as_likely():
    widths = [2, 3]
    starts = draw_places(30_000, widths, 7, np.random.default_rng(0))
    assert starts.min() == 0
    assert (starts + widths).max() == 7
    first, second = starts.T
    assert ((first + 2 <= second) | (second + 3 <= first)).all()
    # two free bases: 6 arrangements with either motif first
    arrangements, number = np.unique(starts, axis=0, return_counts=True)
    assert len(arrangements) == 12
    assert chisquare(number).pvalue > 1e-3
    assert draw_places(2, [4], 4, np.random.default_rng(0)).tolist() == [[0], [0]]
    with pytest.raises(ValueError, match="no room for motifs of 5 bp in 4 bp"):
        draw_places(1, widths, 4, np.random.default_rng(0))


def test_scrambled_instances_keep_their_bases_and_are_background():
    motif = motif_from_consensus("m", "AACCGGTTAC", 0.9)
    instances = make_instances(motif, 200, MOTIF, np.random.default_rng(0))
    chosen = np.arange(200) % 2 == 0
    mixed = instances.scrambled(chosen, np.random.default_rng(1))
    assert np.array_equal(np.sort(mixed.codes, axis=1), np.sort(instances.codes, axis=1))
    assert np.array_equal(mixed.codes[~chosen], instances.codes[~chosen])
    assert (mixed.codes[chosen] != instances.codes[chosen]).any(axis=1).mean() > 0.95
    assert (mixed.kinds[chosen] == BACKGROUND).all()
    planted = nothing_planted(np.zeros((200, 12), dtype=np.uint8))
    for row in range(200):
        write_instance(planted, (row, 1), mixed, row)
    assert ((planted.oracle != 0).any(axis=1) == ~chosen).all()
    assert planted.occupied.sum(axis=1).tolist() == [10] * 200
