from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from priorbench.data.formats.regions import Region, check_apart, parse_regions
from priorbench.errors import UserError

TOML = Path("data.toml")


def test_regions() -> None:
    texts = ["chr8", "chr22:40,500,000-50818468", "1:0-9"]
    regions = parse_regions(texts, key="test_regions", path=TOML)
    assert regions == (Region("chr8"), Region("chr22", 40_500_000, 50_818_468), Region("1", 0, 9))
    assert str(regions[1]) == "chr22:40500000-50818468"


@pytest.mark.parametrize(
    "text", ["", "chr1:5", "chr1:a-b", "chr1:9-3", "chr 1", "chr1:,-,", f"c:1-{'9' * 5000}"]
)
def test_texts_that_are_no_regions(text: str) -> None:
    with pytest.raises(UserError, match=r"data\.toml: valid_regions"):
        parse_regions([text], key="valid_regions", path=TOML)


def test_overlap_inside_a_key() -> None:
    with pytest.raises(UserError, match=r"test_regions: chr1 and chr1:5-9 overlap"):
        parse_regions(["chr1", "chr1:5-9"], key="test_regions", path=TOML)


def test_overlap_between_splits() -> None:
    with pytest.raises(UserError, match="valid_regions chr1:0-10 and test_regions chr1:9-20"):
        check_apart([Region("chr1", 0, 10)], [Region("chr1", 9, 20)], path=TOML)
    check_apart([Region("chr1", 0, 10)], [Region("chr1", 10, 20), Region("chr2")], path=TOML)


def test_overlaps_are_found_wherever_they_are_in_the_list() -> None:
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        starts = generator.integers(0, 100, 4).tolist()
        ends = [
            start + int(size)
            for start, size in zip(starts, generator.integers(1, 30, 4), strict=True)
        ]
        texts = [f"c{n % 2}:{s}-{e}" for n, (s, e) in enumerate(zip(starts, ends, strict=True))]
        regions = [parse_regions([text], key="k", path=TOML)[0] for text in texts]
        pairs = [(a, b) for n, b in enumerate(regions) for a in regions[:n] if a.overlaps(b)]
        seen.add(bool(pairs))
        if not pairs:
            parse_regions(texts, key="k", path=TOML)
            continue
        with pytest.raises(UserError) as caught:
            parse_regions(texts, key="k", path=TOML)
        assert any(f"{a} and {b} overlap" in str(caught.value) for a, b in pairs)
    assert seen == {True, False}
