"""Windows of variants, effects that count as strong, and what effects are compared with."""

import numpy as np
import pytest

from priorbench.data.variants import VariantTable, strong_effects
from priorbench.encoding import N_CODE, decode, encode


def table_of(elements, variants, *, confidence=None):
    """Variants (name, position, alt, effect) of elements by name."""
    names = tuple(elements)
    longest = max(map(len, elements.values()))
    codes = np.full((len(names), longest), N_CODE, dtype=np.uint8)
    for row, text in zip(codes, elements.values(), strict=True):
        row[: len(text)] = encode(text.encode())
    place = np.array(
        [
            (names.index(name), at, "ACGT".index(elements[name][at]), "ACGT".index(alt))
            for name, at, alt, _ in variants
        ]
    )
    measured = np.ones((len(variants), 3))
    measured[:, 0] = [effect for *_, effect in variants]
    measured[:, 2] = np.nan if confidence is None else confidence
    lengths = np.array([len(text) for text in elements.values()])
    return VariantTable(names, lengths, codes, place, measured)


def windows(table, length):
    """The windows without and with every variant."""
    placed = table.placed(length)
    changed = placed.changed(slice(None))
    pairs = zip(placed.reference[placed.window], changed, strict=True)
    return [(decode(before), decode(after)) for before, after in pairs]


def test_a_longer_element_has_its_variant_in_the_middle_as_far_as_it_reaches():
    table = table_of(
        {"long": "ACGTACGTAC"}, [("long", 0, "T", 1), ("long", 5, "T", 1), ("long", 9, "T", 1)]
    )
    assert windows(table, 4) == [("ACGT", "TCGT"), ("TACG", "TATG"), ("GTAC", "GTAT")]
    assert table.placed(4).column.tolist() == [0, 2, 3]


def test_a_shorter_element_lies_between_n_and_one_of_the_window_s_length_as_it_is():
    variants = [("short", 0, "C", 1), ("short", 2, "A", 1), ("same", 1, "A", 1)]
    table = table_of({"short": "ACG", "same": "TTTTTT"}, variants)
    assert windows(table, 6) == [
        ("NACGNN", "NCCGNN"),
        ("NACGNN", "NACANN"),
        ("TTTTTT", "TATTTT"),
    ]
    assert len(table.placed(6).reference) == 2  # each window once


@pytest.mark.parametrize("length", [1, 2, 5, 7, 10, 13])
def test_every_variant_changes_one_base_of_its_window(length):
    elements = {"a": "ACGTACG", "b": "GGGGGGGGGG"}
    variants = [("a", i, "A" if i % 4 else "C", 1.0) for i in range(7)]
    variants += [("b", i, "T", 1.0) for i in range(10)]
    table = table_of(elements, variants)
    placed = table.placed(length)
    before, after = placed.reference[placed.window], placed.changed(slice(None))
    assert ((before != after).sum(axis=1) == 1).all()
    rows = np.arange(len(variants))
    assert np.array_equal(before[rows, placed.column], table.ref)
    assert np.array_equal(after[rows, placed.column], placed.alt)


def test_strong_effects_are_the_largest_of_an_element_as_many_as_are_confident():
    variants = [("a", i, "C", float(i)) for i in range(10)]
    variants += [("b", i, "C", -0.1 * i) for i in range(20)]
    elements = {"a": "A" * 10, "b": "A" * 20}
    assert np.flatnonzero(table_of(elements, variants).strong).tolist() == [9, 28, 29]
    confidence = np.where(np.arange(30) < 3, 0.1, 0.09)
    strong = table_of(elements, variants, confidence=confidence).strong
    assert np.flatnonzero(strong).tolist() == [7, 8, 9]  # three of a, none of b


def test_equal_sizes_are_strong_together_and_no_effect_never_is():
    unknown = np.full(4, np.nan)
    assert strong_effects(np.array([1.0, -2, 2, 0]), unknown).tolist() == [0, 1, 1, 0]
    assert not strong_effects(np.zeros(4), np.ones(4)).any()
    assert not strong_effects(np.zeros(0), np.zeros(0)).any()


def test_effects_are_shuffled_within_their_element():
    variants = [("a", i, "C", float(i)) for i in range(10)]
    variants += [("b", i, "C", 100.0 + i) for i in range(10)]
    table = table_of({"a": "A" * 10, "b": "G" * 10}, variants)
    shuffled = table.shuffled(np.random.default_rng(0))
    assert sorted(shuffled[:10]) == list(range(10))
    assert shuffled[:10].tolist() != list(range(10))
    assert sorted(shuffled[10:]) == list(range(100, 110))
    assert np.array_equal(shuffled, table.shuffled(np.random.default_rng(0)))


def test_a_replicate_is_another_element_of_the_same_sequence():
    variants = [("a", 0, "C", 1.0), ("a", 1, "C", 2.0), ("b", 0, "C", 5.0), ("c", 0, "C", 9.0)]
    table = table_of({"a": "AA", "b": "AA", "c": "AAT"}, variants)
    expected = [5.0, np.nan, 1.0, np.nan]
    assert np.array_equal(table.replicate(), expected, equal_nan=True)
