"""Reads per base from bigWig files, strand by strand, as counts where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.genomes.genome import Genome, stretches
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError

from .bigwig import BigWigFile
from .count_units import ValueSurvey, find_units


class Signal:
    """Tracks of one experiment, opened for random access; bases without an entry count zero.

    Attributes:
        paths: one bigWig a track, plus before minus.
    """

    def __init__(
        self, paths: Sequence[Path], genome: Genome, chroms: Sequence[str], notes: Notes
    ) -> None:
        """Open and check the files.

        Args:
            paths: bigWig files.
            genome: the genome they belong to.
            chroms: chromosomes that will be read.
            notes: takes what is read in another way than it is written.

        Raises:
            UserError: a file is no bigWig, has none of the chromosomes or has one in another
                length.
        """
        self.paths = list(paths)
        self._notes = notes
        self._files = [BigWigFile(path, genome, list(chroms), notes) for path in paths]
        self._factors = [1.0 for _ in paths]
        self._are_counts = [False for _ in paths]

    def fit_scale(
        self,
        chrom: NDArray[np.str_],
        start: NDArray[np.int64],
        length: int,
        scale: float | None = None,
    ) -> list[str]:
        """Look at the values of all windows, and choose how they are read as counts from then on.

        Values of a strand that are all negative are read by magnitude. Values that are multiples
        of their smallest are divided by it; other values that are no counts stay.

        Args:
            chrom: (k,) str.
            start: (k,) int64; windows lie inside their chromosomes.
            length: window in bp.
            scale: factor of all values, where the user knows it; nothing else is then done.

        Returns:
            words on each track whose values are no counts.

        Raises:
            UserError: a value in a window or nearby is infinite or not a number, or a file has
                values of either sign.
        """
        surveys = [ValueSurvey() for _ in self._files]
        for rows in stretches(chrom, start, length):
            name, first = str(chrom[rows[0]]), int(start[rows].min())
            end = int(start[rows].max()) + length
            for file, survey in zip(self._files, surveys, strict=True):
                survey.add(values := file.values(name, first, end))
                if survey.least < 0 < survey.most:
                    negative = bool((values < 0).any())
                    place = int(values.argmin() if negative else values.argmax())
                    kinds = ("negative", "positive") if negative else ("positive", "negative")
                    raise UserError(
                        f"{file.path}: {name}:{first + place} holds a {kinds[0]} value "
                        f"({values[place]:g}), others are {kinds[1]}; write reads of either strand "
                        "as positive numbers"
                    )
        units, doubtful = find_units(surveys), []
        for track, (survey, unit) in enumerate(zip(surveys, units, strict=True)):
            path = self.paths[track]
            sign = -1 if survey.least < 0 else 1
            if sign < 0:
                self._notes.say(f"Values of {path.name} are negative; read by magnitude.")
            self._factors[track] = sign * (scale or 1.0)
            if scale is None and unit is not None and unit != 1:
                self._factors[track], self._are_counts[track] = sign / unit, True
                self._notes.say(
                    f"Values of {path.name} are multiples of {unit:.6g}: scaled back to counts."
                )
            elif scale is None and unit is None:
                most = max(survey.most, -survey.least)
                doubtful.append(
                    f"Values of {path.name} are no counts of reads (from {survey.smallest:.4g} to "
                    f"{most:.4g})"
                )
        return doubtful

    def windows(
        self, chrom: NDArray[np.str_], start: NDArray[np.int64], length: int
    ) -> NDArray[np.float32]:
        """Return (k, tracks, length) values of k windows that lie inside their chromosomes.

        Raises:
            UserError: a value in a window or nearby is infinite or not a number.
        """
        result = np.empty((len(start), len(self._files), length), dtype=np.float32)
        for rows in stretches(chrom, start, length):
            name, first = str(chrom[rows[0]]), int(start[rows].min())
            end = int(start[rows].max()) + length
            for track, file in enumerate(self._files):
                known = self._scaled(file.values(name, first, end), track)
                for row, offset in zip(rows.tolist(), (start[rows] - first).tolist(), strict=True):
                    result[row, track] = known[offset : offset + length]
        return result

    def _scaled(self, values: NDArray[np.float32], track: int) -> NDArray[np.float32]:
        """Return the values of a stretch as they count."""
        if self._factors[track] == 1:
            return values
        scaled = values.astype(np.float64) * self._factors[track]
        return (np.rint(scaled) if self._are_counts[track] else scaled).astype(np.float32)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
