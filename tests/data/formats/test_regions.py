from __future__ import annotations

from pathlib import Path

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
