from __future__ import annotations

import numpy as np

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.sequence_hashes import in_later_split, sequence_digests
from priorbench.encoding import reverse_complement


def test_digests_of_strands() -> None:
    codes = np.random.default_rng(0).integers(0, 5, (50, 9)).astype(np.uint8)
    other = reverse_complement(codes)
    np.testing.assert_array_equal(
        sequence_digests(codes, both_strands=True), sequence_digests(other, both_strands=True)
    )
    digests = sequence_digests(codes, both_strands=False)
    assert len(np.unique(digests)) == 50
    assert (digests != sequence_digests(other, both_strands=False)).all()


def test_a_repeat_counts_in_every_split_but_the_last_that_has_it() -> None:
    digests = np.array([1, 1, 1, 2, 2, 3, 4, 4], dtype=np.uint64)
    split = np.array([TRAIN, VALID, TEST, TRAIN, VALID, TRAIN, TEST, TEST], dtype=np.uint8)
    assert in_later_split(digests, split).tolist() == [True, True, False, True] + [False] * 4
