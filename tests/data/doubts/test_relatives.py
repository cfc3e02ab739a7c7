"""Near-identical sequences are found whatever their offset, strand and order; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from priorbench.data.doubts.grouped_splits import find_relatives
from priorbench.data.doubts.places import overlapping_names
from priorbench.data.doubts.relatives import families
from priorbench.data.sequence_hashes import sequence_digests, split_by_digest
from priorbench.encoding import encode, reverse_complement
from priorbench.errors import UserError

Codes = NDArray[np.uint8]


def random_codes(count: int, length: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, (count, length)).astype(np.uint8)


def together(codes: Codes, *, both_strands: bool = True) -> bool:
    return bool((families(codes, both_strands=both_strands) == 0).all())


def splits(names: list[str], codes: Codes) -> NDArray[np.uint8]:
    relatives = find_relatives([(names, codes)], Path("d.toml"), both_strands=True)
    digests = sequence_digests(codes, both_strands=True)
    return split_by_digest(relatives.decide(digests), test=True)


@pytest.mark.parametrize("length", [30, 60, 101, 500])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.33])
def test_overlapping_windows_are_relatives_on_either_strand(length: int, share: float) -> None:
    offset = max(1, round(share * length))
    locus = random_codes(40, length + offset)
    windows = np.concatenate([locus[:, :length], locus[:, offset:]])
    pairs = families(windows, both_strands=True).reshape(2, 40)
    assert (pairs[0] == pairs[1]).all()
    assert len(np.unique(pairs)) == 40
    windows[40:] = reverse_complement(windows[40:])
    pairs = families(windows, both_strands=True).reshape(2, 40)
    assert (pairs[0] == pairs[1]).all()
    # of RNA the other strand is another molecule
    assert len(np.unique(families(windows, both_strands=False))) == 80


def test_variants_of_a_sequence_are_relatives() -> None:
    original = random_codes(1, 100)
    changed = np.repeat(original, 4, axis=0)
    changed[1, 50] = (changed[1, 50] + 1) % 4
    changed[2, [20, 60, 90]] = (changed[2, [20, 60, 90]] + 1) % 4
    changed[3, 41:] = changed[3, 40:-1].copy()  # an insertion
    assert together(changed)


def test_strangers_have_no_relatives() -> None:
    codes = random_codes(3000, 60)
    assert len(np.unique(families(codes, both_strands=True))) == 3000
    site = random_codes(1, 19, seed=1)
    codes[:, 20:39] = site  # a motif that all of them have
    assert len(np.unique(families(codes, both_strands=True))) == 3000


@pytest.mark.parametrize("unit", ["A", "CA", "CAG", "GATA"])
def test_simple_repeats_do_not_make_relatives(unit: str) -> None:
    codes = random_codes(200, 100)
    repeat = encode((unit * 60)[:60].encode())
    for row, start in enumerate(np.random.default_rng(1).integers(0, 40, 200).tolist()):
        codes[row, start : start + 60] = repeat
    assert len(np.unique(families(codes, both_strands=True))) == 200


def test_constant_ends_of_a_library_do_not_make_relatives() -> None:
    codes = random_codes(300, 80)
    codes[:, :25], codes[:, -25:] = random_codes(1, 25, 1), random_codes(1, 25, 2)
    assert len(np.unique(families(codes, both_strands=True))) == 300


def test_unknown_bases_are_shared_by_nobody() -> None:
    codes = random_codes(100, 60)
    codes[:, 5:55] = 4
    assert len(np.unique(families(codes, both_strands=True))) == 100


def test_a_sequence_that_thousands_share_in_part_costs_no_more_than_others() -> None:
    codes = random_codes(4000, 60)
    core = random_codes(1, 18, seed=3)
    for row, start in enumerate(np.random.default_rng(1).integers(0, 42, 4000).tolist()):
        codes[row, start : start + 18] = core
    # each shares a seed with all others, and less than half of its bases but by chance
    assert len(np.unique(families(codes, both_strands=True))) > 3980


@pytest.mark.parametrize("named", [False, True])
def test_windows_of_one_locus_stay_in_one_split(named: bool) -> None:
    # names alone tell where windows share too little to be near-identical
    offsets = (0, 40, 80) if named else (0, 2, 4)
    locus = random_codes(240, 160)
    codes = np.concatenate([locus[:, offset : offset + 60] for offset in offsets])
    places = [(row, 1000 * row + offset) for offset in offsets for row in range(240)]
    names = [f"p{n}::chr1:{s}-{s + 60}(+)" if named else f"r{n}" for n, (_, s) in enumerate(places)]
    split = splits(names, codes).reshape(3, 240)
    assert (split == split[0]).all()
    np.testing.assert_allclose(np.bincount(split[0]) / 240, [0.7, 0.1, 0.2], atol=0.08)
    # neither the order nor the chunks decide
    order = np.random.default_rng(2).permutation(720)
    shuffled = splits([names[row] for row in order], codes[order])
    np.testing.assert_array_equal(shuffled, split.ravel()[order])


def test_without_relatives_each_sequence_decides_for_itself() -> None:
    codes = random_codes(500, 60)
    codes = np.concatenate([codes, codes[:50], reverse_complement(codes[50:90])])
    names = [str(number) for number in range(len(codes))]
    digests = sequence_digests(codes, both_strands=True)
    relatives = find_relatives([(names, codes)], Path("d.toml"), both_strands=True)
    np.testing.assert_array_equal(relatives.decide(digests), digests)
    assert not relatives.sentences


def test_a_group_that_would_be_a_split_of_its_own_is_for_training() -> None:
    variants = np.repeat(random_codes(1, 60), 60, axis=0)
    variants[np.arange(60), np.arange(60)] ^= 1
    codes = np.concatenate([variants, random_codes(300, 60, seed=1)])
    split = splits([str(number) for number in range(360)], codes)
    assert (split[:60] == 0).all()
    assert set(split[60:].tolist()) == {0, 1, 2}


def pairs_of(names: list[str], length: int = 100) -> set[tuple[int, ...]]:
    return {tuple(sorted(pair)) for pair in overlapping_names(names, length).T.tolist()}


@pytest.mark.parametrize(
    "form",
    [
        "chr1:{0}-{1}",
        "chr1:{0}-{1}(-)",
        "peak_7::chr1:{0}-{1}",
        "peak_7::chr1:{0}-{1}(+)",
        "chr1:{0}..{1}",
        "chr1_{0}_{1}",
        "chr1-{0}-{1}",
        "chr1,+,{0},{1};",
    ],
)
def test_names_are_places(form: str) -> None:
    names = [form.format(start, start + 100) for start in (500, 590, 690, 5000)]
    assert pairs_of(names) == {(0, 1)}
    assert pairs_of([names[0], names[0].replace("chr1", "chr2")]) == set()


@pytest.mark.parametrize(
    "names",
    [["seq_1_2", "seq_1_3"], ["x", "x"], ["", ""], ["a:9-1", "a:9-1"], ["chr1_5_50", "chr1_6_50"]],
)
def test_names_that_are_no_places_are_left_alone(names: list[str]) -> None:
    assert pairs_of(names) == set()


def test_a_long_interval_reaches_over_a_short_one() -> None:
    assert pairs_of(["c:0-1000", "c:10-20", "c:500-600", "c:2000-2100"]) == {(0, 1), (1, 2)}
    assert pairs_of(["c:1-99999999999999999999999", "c:1-5"]) == set()


def test_a_chain_of_most_windows_cannot_be_split() -> None:
    genome = random_codes(1, 3000)[0]
    tiles = np.stack([genome[start : start + 60] for start in range(0, 2900, 20)])
    with pytest.raises(UserError, match=r"d\.toml: 145 of 145 sequences are near-identical"):
        splits([str(number) for number in range(len(tiles))], tiles)
