"""Windows held against intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from priorbench.data.formats.bed import read_bed
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.overlaps import within


@pytest.mark.parametrize("length", [1, 3, 7])
def test_windows_within_intervals_are_those_whose_bases_all_are(
    tmp_path: Path, length: int
) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        start = generator.integers(0, 60, 8)
        end = start + generator.integers(1, 15, 8)
        lines = [f"a\t{s}\t{e}\n" for s, e in zip(start, end, strict=True)]
        (tmp_path / "c.bed").write_text("".join(lines))
        covered = np.zeros(80, dtype=bool)
        for s, e in zip(start, end, strict=True):
            covered[s:e] = True
        places = np.arange(-5, 70)
        chrom = np.where(places % 10 == 9, "b", "a")  # b has no interval
        inside = within(chrom, places, length, read_bed(tmp_path / "c.bed", Notes()))
        expected = [p >= 0 and covered[p : p + length].all() and p % 10 != 9 for p in places]
        assert inside.tolist() == expected
