"""Measured effects of variants of elements, and the windows in which a network sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import N_CODE

ELEMENT, POSITION, REF, ALT = range(4)
"""columns of ``VariantTable.place``"""
EFFECT, WEIGHT, CONFIDENCE = range(3)
"""columns of ``VariantTable.measured``"""
VARIANT_ARRAYS = ("element", "variant", "variant_measured")
"""arrays of a dataset that hold variants: no rows of examples, and not part of its digest"""
CONFIDENT = 0.1
"""confidence from which on an effect counts as established"""
STRONG_SHARE = 0.1
"""share of effects that are strong where nothing is said of their confidence"""


def strong_effects(
    measured: NDArray[np.float64], confidence: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return the (V,) bool effects that are strong: those of the largest size in a list.

    There are as many of them as have a confidence of .1 or more, or a tenth where some confidence
    is unknown, and all that are as large as the smallest of these; an effect of 0 is none.

    Args:
        measured: (V,) measured effects.
        confidence: (V,) confidence in each, 0 to 1 or NaN.
    """
    known = bool(np.isfinite(confidence).all())
    share = STRONG_SHARE * len(measured)
    count = int((confidence >= CONFIDENT).sum() if known else np.ceil(share))
    size = np.abs(measured)
    if not count:
        return np.zeros(len(size), dtype=bool)
    strong: NDArray[np.bool_] = (size >= np.sort(size)[-count]) & (size > 0)
    return strong


@dataclass(frozen=True)
class PlacedVariants:
    """The windows in which variants are seen.

    Attributes:
        reference: (R, L) uint8 codes of the windows without a variant, each of them once.
        window: (V,) int64 place of a variant's window among them.
        column: (V,) int64 position of the variant in its window.
        alt: (V,) uint8 code of the other base.
    """

    reference: NDArray[np.uint8]
    window: NDArray[np.int64]
    column: NDArray[np.int64]
    alt: NDArray[np.uint8]

    def changed(self, variants: slice) -> NDArray[np.uint8]:
        """Return the (k, L) uint8 windows of some variants, with their other base."""
        codes = self.reference[self.window[variants]]
        codes[np.arange(len(codes)), self.column[variants]] = self.alt[variants]
        return codes


@dataclass(frozen=True)
class VariantTable:
    """Effects of single-base variants that an experiment measured, element by element.

    Attributes:
        names: names of the E elements.
        lengths: (E,) int64 bases of each element.
        codes: (E, W) uint8 bases of the elements, the shorter ones with N behind them.
        place: (V, 4) int64, a variant each: number of its element, position from 0, codes of the
            reference base and of the other; ascending.
        measured: (V, 3) float64: the effect of the other base against the reference, the weight
            of the variant in scores, and the confidence in its effect, 0 to 1 or NaN if unknown.
    """

    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    codes: NDArray[np.uint8]
    place: NDArray[np.int64]
    measured: NDArray[np.float64]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], elements: Mapping[str, int]) -> Self:
        """Return the table that a dataset holds.

        Args:
            arrays: arrays by the names of ``VARIANT_ARRAYS``.
            elements: bases of every element by its name, in their order.
        """
        lengths = np.array(list(elements.values()), dtype=np.int64)
        return cls(tuple(elements), lengths, *(arrays[name] for name in VARIANT_ARRAYS))

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that :meth:`from_arrays` reads."""
        return dict(zip(VARIANT_ARRAYS, (self.codes, self.place, self.measured), strict=True))

    @property
    def element(self) -> NDArray[np.int64]:
        """(V,) int64 number of the element of every variant."""
        return self.place[:, ELEMENT]

    @property
    def ref(self) -> NDArray[np.int64]:
        """(V,) int64 code of the element's own base."""
        return self.place[:, REF]

    @property
    def effect(self) -> NDArray[np.float64]:
        """(V,) measured effects."""
        return self.measured[:, EFFECT]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(V,) confidence in the effects, 0 to 1, or NaN where it is unknown."""
        return self.measured[:, CONFIDENCE]

    @property
    def weight(self) -> NDArray[np.float64]:
        """(V,) weights, at least 0."""
        return self.measured[:, WEIGHT]

    @cached_property
    def strong(self) -> NDArray[np.bool_]:
        """(V,) bool, the effects that are strong among those of their element."""
        strong = np.zeros(len(self.place), dtype=bool)
        for number in range(len(self.names)):
            own = self.element == number
            strong[own] = strong_effects(self.effect[own], self.confidence[own])
        return strong

    def placed(self, length: int) -> PlacedVariants:
        """Return the windows of all variants.

        In an element that is longer than the window the variant is in the window's middle, at
        position length // 2, as far as the element reaches: near its ends the window begins or
        stops there. A shorter element lies in the middle of the window, with N on both sides.

        Args:
            length: window in bp.
        """
        size = self.lengths[self.element]
        inside = np.clip(self.place[:, POSITION] - length // 2, 0, np.maximum(size - length, 0))
        first = np.where(size < length, -((length - size) // 2), inside)
        windows, window = np.unique(
            np.stack([self.element, first], axis=1), axis=0, return_inverse=True
        )
        reference = np.full((len(windows), length), N_CODE, dtype=np.uint8)
        for row, (number, start) in zip(reference, windows.tolist(), strict=True):
            end = min(start + length, int(self.lengths[number]))
            bases = self.codes[number, max(start, 0) : end]
            row[max(-start, 0) :][: len(bases)] = bases
        return PlacedVariants(
            reference,
            window.reshape(-1),
            self.place[:, POSITION] - first,
            self.place[:, ALT].astype(np.uint8),
        )

    def shuffled(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return the (V,) measured effects, shuffled within every element."""
        effect = self.effect.copy()
        for number in range(len(self.names)):
            own = np.flatnonzero(self.element == number)
            effect[own] = effect[generator.permutation(own)]
        return effect

    def replicate(self) -> NDArray[np.float64]:
        """Return the (V,) effect of each variant in another element of the same sequence.

        It is NaN where there is none; of several others it is their mean.
        """
        by_variant: dict[tuple[Any, ...], list[int]] = {}
        sequences = [
            self.codes[number, :size].tobytes() for number, size in enumerate(self.lengths.tolist())
        ]
        for index, (number, *variant) in enumerate(self.place.tolist()):
            by_variant.setdefault((sequences[number], *variant), []).append(index)
        effect = np.full(len(self.place), np.nan)
        for same in by_variant.values():
            if len(same) > 1:
                total = self.effect[same].sum()
                effect[same] = (total - self.effect[same]) / (len(same) - 1)
        return effect
