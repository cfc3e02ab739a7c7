from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from priorbench.data.formats.bed import Region, check_apart, parse_regions, read_bed, within
from priorbench.errors import UserError

TOML = Path("data.toml")


def bed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.bed"
    path.write_text(text)
    return path


def test_midpoint_and_summit(tmp_path: Path) -> None:
    peak = "chr1\t100\t201\t.\t0\t.\t1\t1\t1\t{}\n"
    intervals = read_bed(bed(tmp_path, peak.format(7) + peak.format(-1) + peak.format(0)))
    assert intervals.center.tolist() == [107, 150, 100]
    assert (intervals.chrom.tolist(), len(intervals)) == (["chr1"] * 3, 3)


def test_columns_beyond_bed3_are_ignored(tmp_path: Path) -> None:
    intervals = read_bed(bed(tmp_path, "1 0 3 name with blanks\n1\t5\t9\ta name\t1\t+\n"))
    assert intervals.center.tolist() == [1, 7]


def test_headers_are_skipped_and_lines_are_counted(tmp_path: Path) -> None:
    text = "#a comment\ntrack name=x\nbrowser position chr1:1-2\n\nchr1\t0\t10\r\n"
    intervals = read_bed(bed(tmp_path, text))
    assert (intervals.line.tolist(), intervals.end.tolist()) == ([5], [10])


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t2\t4\n"))
    assert read_bed(path).start.tolist() == [2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\tx\t5", "line 2: start 'x' is not an integer"),
        ("chr1\t1\t5.5", "line 2: end '5.5' is not an integer"),
        ("chr1\t5\t5", "line 2: start 5 is not before end 5"),
        ("chr1\t-1\t5", "line 2: start -1 is negative"),
        ("chr1\t1", r"line 2: 2 column\(s\), wanted at least 3"),
        ("c\t0\t9\t.\t0\t.\t1\t1\t1\t9", "line 2: summit 9 is outside the peak of 9 bp"),
        ("c\t0\t9\t.\t0\t.\t1\t1\t1\t?", "line 2: summit .* '\\?' is not an integer"),
        ("c\0\t0\t9", "not a text file"),
    ],
)
def test_errors_name_line_and_value(tmp_path: Path, line: str, message: str) -> None:
    path = bed(tmp_path, f"chr1\t1\t2\n{line}\n")
    with pytest.raises(UserError, match=message) as caught:
        read_bed(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_bed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no intervals"):
        read_bed(bed(tmp_path, "# nothing\n"))


def test_regions() -> None:
    texts = ["chr8", "chr22:40,500,000-50818468", "1:0-9"]
    regions = parse_regions(texts, key="test_regions", path=TOML)
    assert regions == (Region("chr8"), Region("chr22", 40_500_000, 50_818_468), Region("1", 0, 9))
    assert str(regions[1]) == "chr22:40500000-50818468"


@pytest.mark.parametrize("text", ["", "chr1:5", "chr1:a-b", "chr1:9-3", "chr 1", "chr1:,-,"])
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
        places = np.arange(70)
        chrom = np.where(places % 10 == 9, "b", "a")  # b has no interval
        inside = within(chrom, places, length, read_bed(tmp_path / "c.bed"))
        expected = [covered[p : p + length].all() and p % 10 != 9 for p in places]
        assert inside.tolist() == expected
