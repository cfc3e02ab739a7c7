"""Tracks of reads that were multiplied by a factor, such as reads per million, told from counts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_PRECISION = 2.0**-22
"""relative error of a quotient of two float32 values, each rounded once or twice"""
_COUNTS = 1 << 16
"""whole numbers below are remembered one by one"""
_MOST_FRACTIONS = 1 << 16
"""different values with a fraction beyond which they are no counts: reads in one base repeat"""


class ValueSurvey:
    """What values a track has, collected piece by piece in bounded memory.

    Attributes:
        least: smallest value, at most 0.
        most: largest value, at least 0.
    """

    def __init__(self) -> None:
        """Begin without a value."""
        self.least = self.most = 0.0
        self._whole = np.zeros(_COUNTS, dtype=bool)
        self._others = np.empty(0, dtype=np.float32)

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in (k,) finite values of either sign."""
        self.least = min(self.least, float(values.min(initial=0)))
        self.most = max(self.most, float(values.max(initial=0)))
        magnitudes = np.abs(values)
        whole = (magnitudes == np.rint(magnitudes)) & (magnitudes < _COUNTS)
        self._whole[magnitudes[whole].astype(np.int64)] = True
        if len(self._others) <= _MOST_FRACTIONS:
            others = np.unique(magnitudes[~whole])
            self._others = np.union1d(self._others, others) if len(others) else self._others

    @property
    def are_counts(self) -> bool:
        """Whether all values are whole numbers."""
        return bool((self._others == np.rint(self._others)).all())

    @property
    def smallest(self) -> float:
        """The smallest magnitude above 0; infinity where there is none."""
        whole = np.flatnonzero(self._whole[1:]) + 1
        present = np.concatenate([whole, self._others])
        return float(present.min(initial=math.inf))

    def are_multiples(self, unit: float) -> bool:
        """Return whether a unit divides all values, to the precision of float32.

        A unit that is a power of ten is none: values rounded to two digits are multiples of 0.01
        whatever they are.
        """
        power = math.log10(unit) if 0 < unit < math.inf else 0.0
        if len(self._others) > _MOST_FRACTIONS or abs(power - round(power)) < _PRECISION:
            return False
        values = np.concatenate([np.flatnonzero(self._whole), self._others]).astype(np.float64)
        times = values / unit
        # where the error is as large as the step between counts, everything would be a multiple
        far = times.max(initial=0) * _PRECISION > 0.25
        return not far and bool((np.abs(times - np.rint(times)) <= _PRECISION * times).all())


def find_units(surveys: list[ValueSurvey]) -> list[float | None]:
    """Return the value of one read for each track of an experiment; 1 for counts.

    The smallest value of all tracks is one read in each of them if it divides all their values: the
    ratio of the strands is then kept whatever their smallest values are. Otherwise each track has
    been scaled for itself, and its own smallest value is one read if it divides its values.

    Returns:
        the units, None for a track that no unit divides.
    """
    scaled = [survey for survey in surveys if not survey.are_counts]
    common = min((survey.smallest for survey in scaled), default=1.0)
    if len(scaled) == len(surveys) and all(survey.are_multiples(common) for survey in scaled):
        return [common] * len(surveys)
    units: list[float | None] = []
    for survey in surveys:
        unit = 1.0 if survey.are_counts else survey.smallest
        units.append(unit if survey.are_counts or survey.are_multiples(unit) else None)
    return units
