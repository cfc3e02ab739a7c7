"""Intervals: what is read, what is dropped and counted, what is refused."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priorbench.data.formats.bed import Intervals, read_bed
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError

PEAK = "chr1\t100\t201\t.\t0\t.\t1.5\t1\tinf\t{}\n"


def read(folder: Path, text: str, name: str = "x.bed") -> tuple[Intervals, list[str]]:
    path, notes = folder / name, Notes()
    path.write_bytes(text.encode())
    return read_bed(path, notes), notes.sentences


def test_midpoint_and_summit(tmp_path: Path) -> None:
    intervals, notes = read(tmp_path, "".join(map(PEAK.format, ("7", "-1", "0", ".", "8.0"))))
    assert intervals.center.tolist() == [107, 150, 100, 150, 108]
    assert (intervals.chrom.tolist(), len(intervals)) == (["chr1"] * 5, 5)
    assert intervals.strength.tolist() == [1.5] * 5
    assert not notes


def test_summits_outside_their_peak_are_moved_and_counted(tmp_path: Path) -> None:
    intervals, notes = read(tmp_path, "".join(map(PEAK.format, (100, 101, 5000))))
    assert intervals.center.tolist() == [200, 200, 200]
    assert notes == [
        "Moved 2 summits of x.bed to the last base of their peak, which they were behind."
    ]


def test_summits_that_count_from_the_chromosome_are_refused(tmp_path: Path) -> None:
    lines = [f"chr1\t{at}\t{at + 90}\t.\t0\t.\t1\t1\t1\t{at + 20}\n" for at in (100, 200, 300)]
    with pytest.raises(UserError, match=r"x\.bed: 3 of 3 summits \(column 10\) are places on the"):
        read(tmp_path, "".join(lines))
    few, _ = read(tmp_path, "".join([*lines[:1], PEAK.format(7), PEAK.format(8)]))
    assert few.center.tolist() == [189, 107, 108]


def test_most_summits_outside_their_peak_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "x.bed").write_text("".join(map(PEAK.format, (1, 5000, 5001))))
    notes = Notes()
    read_bed(tmp_path / "x.bed", notes)
    (warning,) = notes.warnings
    assert warning.startswith("2 of 3 summits of x.bed are outside their peak")


def test_narrowpeak_with_more_columns_is_told_by_its_name(tmp_path: Path) -> None:
    line = PEAK.format(7)[:-1] + "\tmore\n"
    assert read(tmp_path, line)[0].center.tolist() == [150]
    assert read(tmp_path, line, "x.narrowPeak")[0].center.tolist() == [107]


@pytest.mark.parametrize(
    ("columns", "strength"),
    [
        ("", 0),
        ("\tname", 0),
        ("\tname\t12.5", 12.5),
        ("\t12.5", 0),  # bedGraph
        ("\tname\t0\t+\t100\t201\t0", 0),  # BED9
        ("\tname\t0\t+\t100\t201\t0\t1", 0),  # and one column more
        ("\tname\t7\t+\t100\t201\t0,0,0\t2\t10,20,\t0,80", 7),  # BED12
        ("\tname\t0\t.\t3.5\t-1\t-1", 3.5),  # broadPeak
        ("\tname\tnan\t.\tx\ty\tz", 0),
        ("\tname\t7\t.\t110\t180\t0\t2\t1,1\t0,100\t5.5\t3\t2", 7),  # gappedPeak
        ("\tname\t7\t+\t110\t180\t.\t10", 7),
    ],
)
def test_other_tables_have_the_midpoint(tmp_path: Path, columns: str, strength: float) -> None:
    intervals, notes = read(tmp_path, f"chr1\t100\t201{columns}\n")
    assert intervals.center.tolist() == [150]
    assert intervals.strength.tolist() == [strength]
    assert not notes


@pytest.mark.parametrize("missing", [".", "NA", "nan", "-1", "inf"])
def test_summits_count_where_signal_p_or_q_is_missing(tmp_path: Path, missing: str) -> None:
    values = ["2.5", "3.5", "4.5"]
    for column in range(3):
        some = "\t".join([*values[:column], missing, *values[column + 1 :]])
        intervals, _ = read(tmp_path, f"chr1\t100\t201\tname\t9\t.\t{some}\t7\n")
        assert intervals.center.tolist() == [107]
    all_missing = "\t".join([missing] * 3)
    intervals, _ = read(tmp_path, f"chr1\t100\t201\tname\t9\t.\t{all_missing}\t7\n")
    assert intervals.center.tolist() == [107]


def test_columns_beyond_bed3_are_ignored(tmp_path: Path) -> None:
    intervals, _ = read(tmp_path, "1 0 3 name with blanks\n1\t5\t9\ta name\t1\t+\n")
    assert intervals.center.tolist() == [1, 7]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_headers_are_skipped_and_lines_are_counted(tmp_path: Path, start: str, end: str) -> None:
    lines = [
        "#a comment",
        "track name=x",
        "browser position chr1:1-2",
        "",
        "chr1\t0\t10",
        "",
        "c 1e3 2000.0",
    ]
    intervals, notes = read(tmp_path, start + end.join(lines))
    assert (intervals.line.tolist(), intervals.end.tolist()) == ([5, 7], [10, 2000])
    assert intervals.start.tolist() == [0, 1000]
    assert not notes
    intervals, notes = read(tmp_path, start + end.join(["chrom start end", *lines]))
    assert (intervals.line.tolist(), intervals.end.tolist()) == ([6, 8], [10, 2000])
    assert notes == ["Skipped line 1 of x.bed, a header."]


@pytest.mark.parametrize("name", ["x.bed", "x.bed.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("between", ["\t", " "])
@pytest.mark.parametrize("record", ["track", "browser", "tracks", "browser.1"])
def test_records_may_be_called_like_lines_for_browsers(
    tmp_path: Path, record: str, between: str, end: str, name: str
) -> None:
    sites = [[record, "10", "20"], [record, "30", "40", "id=3", "0", "-"]]
    text = end.join(["track type=bed name='a b'", "browser hide all", *map(between.join, sites)])
    path, notes = tmp_path / name, Notes()
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    intervals = read_bed(path, notes)
    assert intervals.chrom.tolist() == [record] * 2
    assert (intervals.start.tolist(), intervals.end.tolist()) == ([10, 30], [20, 40])
    assert intervals.line.tolist() == [3, 4]
    assert not notes.sentences


@pytest.mark.parametrize(
    "line",
    ["track", "track x", "track name = x", "track\tname=x y=1", "browser\tposition\tchr1:1-2"],
)
def test_lines_for_browsers_are_skipped_between_intervals(tmp_path: Path, line: str) -> None:
    intervals, notes = read(tmp_path, f"c\t0\t10\n{line}\nc\t20\t30\n")
    assert (intervals.start.tolist(), notes) == ([0, 20], [])


def test_a_record_called_track_is_refused_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 2: start '1,000' is not an integer; write 1000"):
        read(tmp_path, "track\t0\t10\ntrack\t1,000\t2000\tid=3\n")


def test_tables_of_macs_count_from_1(tmp_path: Path) -> None:
    head = "# This file is generated by MACS version 2.2\n\nchr\tstart\tend\tlength\t"
    narrow = head + "abs_summit\tpileup\t-log10(pvalue)\tfold_enrichment\t-log10(qvalue)\tname\n"
    intervals, notes = read(tmp_path, narrow + "c\t101\t201\t101\t108\t9\t5\t4\t3\tp1\n")
    assert (intervals.start.tolist(), intervals.end.tolist()) == ([100], [201])
    assert (intervals.center.tolist(), intervals.strand.tolist()) == ([107], [""])
    assert notes == ["Read x.bed as a table of MACS, which counts from 1."]
    older = head + "summit\ttags\t-10*log10(pvalue)\tfold_enrichment\tFDR(%)\n"
    intervals, _ = read(tmp_path, older + "c\t101\t201\t101\t7\t9\t50\t4\t3\n")
    assert (intervals.center.tolist(), intervals.strength.tolist()) == ([107], [50])
    broad = head + "pileup\t-log10(pvalue)\tfold_enrichment\t-log10(qvalue)\tname\n"
    intervals, _ = read(tmp_path, broad + "c\t101\t201\t101\t9\t5\t4\t3\tp1\n")
    assert intervals.center.tolist() == [150]


def test_files_put_behind_one_another_repeat_their_header(tmp_path: Path) -> None:
    intervals, notes = read(tmp_path, 3 * "chr\tstart\tend\tlength\nc\t101\t201\t101\n")
    assert intervals.start.tolist() == [100] * 3
    assert notes[1:] == ["Skipped 2 further lines of x.bed that repeat its header."]


def test_ranges_of_bioconductor_count_from_1(tmp_path: Path) -> None:
    intervals, notes = read(
        tmp_path, "seqnames\tstart\tend\twidth\tstrand\nc\t101\t201\t101\t-\nc\t1\t9\t9\t*\n"
    )
    assert (intervals.start.tolist(), intervals.end.tolist()) == ([100, 0], [201, 9])
    assert intervals.strand.tolist() == ["-", "*"]
    assert notes == ["Read x.bed as ranges of Bioconductor, which count from 1."]


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("chr1-1\tchr1\t100\t200\t+\t12.5\n", "3 and 4"),  # HOMER
        ("chr1\tx\tpeak\t100\t200\t.\t+\t.\tID=1\n", "4 and 5"),  # GFF
        ("1 chr1 100 200\n", "3 and 4"),  # row names of R
    ],
)
def test_tables_with_other_columns_are_refused_with_where_the_places_are(
    tmp_path: Path, line: str, columns: str
) -> None:
    with pytest.raises(UserError, match=f"columns {columns} look like start and end"):
        read(tmp_path, 2 * line)


def test_intervals_of_no_base_are_dropped_and_counted(tmp_path: Path) -> None:
    intervals, notes = read(tmp_path, "c\t5\t5\nc\t1\t2\nc\t7\t7\n")
    assert intervals.start.tolist() == [1]
    assert notes == ["Dropped 2 intervals of x.bed that have no base."]
    with pytest.raises(UserError, match="no intervals but 1 of no base"):
        read(tmp_path, "c\t5\t5\n")


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: gzip.compress(text) * 2])
def test_gzip_and_its_blocks(tmp_path: Path, pack) -> None:
    path = tmp_path / "x.bed.gz"
    path.write_bytes(pack(b"chr1\t2\t4\n"))
    assert set(read_bed(path, Notes()).start.tolist()) == {2}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\tx\t5", "line 2: start 'x' is not an integer"),
        ("chr1\tx\ty", "line 2: start 'x' is not an integer"),
        ("chr1\t1\t5.5", "line 2: end '5.5' is not an integer; write digits only"),
        ("chr1\t1_000\t2000", "line 2: start '1_000' is not an integer"),
        ("chr1\t1\t1,000", "end '1,000' is not an integer; write 1000, without separators"),
        ("chr1\t1\t99999999999999999999", "is not an integer; it is larger than any genome"),
        ("chr1\t1\tinf", "end 'inf' is not an integer; write digits only"),
        ("chr1\t6\t5", "line 2: start 6 is behind end 5; swap the two"),
        ("chr1\t1", r"line 2: 2 column\(s\), wanted at least 3"),
        ("chr1,1,5", r"line 2: 1 column\(s\), .*split by tabs or blanks"),
        ("c\t0\t9\t.\t0\t.\t1\t1\t1\t-2", "line 2: summit -2 is negative; .*-1 means none"),
        ("c\t0\t9\t.\t0\t.\t1\t1\t1\t?", "line 2: summit .* '\\?' is not an integer"),
        ("c\0\t0\t9", "not a text file"),
    ],
)
def test_errors_name_line_and_value(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, f"chr1\t1\t2\n{line}\n")
    assert str(caught.value).startswith(str(tmp_path / "x.bed"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "track x\n", "chrom\tstart\tend\n"])
def test_empty_bed(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="no intervals"):
        read(tmp_path, text)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        read_bed(tmp_path, Notes())


def test_intervals_without_a_strand_are_dropped_unless_most_are(tmp_path: Path) -> None:
    stranded = "".join(f"c\t{n}\t9\tx\t0\t{strand}\n" for n, strand in enumerate("+-.+"))
    intervals, _ = read(tmp_path, stranded)
    notes = Notes()
    assert intervals.stranded(notes).start.tolist() == [0, 1, 3]
    assert notes.sentences == [
        "Dropped 1 intervals of x.bed without a strand (line 3: the strand (column 6) is '.')."
    ]
    intervals, _ = read(tmp_path, stranded.replace("-", ".").replace("3\t9\tx\t0\t+", "3\t9"))
    with pytest.raises(UserError, match=r"line 2: the strand .* is '\.', wanted \+ or -"):
        intervals.stranded(Notes())


GOOD = "#c\n" + "".join(
    f"chr{n % 3}\t{10 * n}\t{10 * n + 9}\tp{n}\t5.5\t+\t2.5\t-1\t-1\t4\n" for n in range(8)
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_lose_nothing_in_silence(tmp_path: Path, data: st.DataObject) -> None:
    lines = GOOD.splitlines(keepends=True)
    place = data.draw(st.integers(1, len(lines) - 1))
    fields = lines[place].rstrip().split("\t")
    column = data.draw(st.integers(0, len(fields) - 1))
    value = data.draw(st.sampled_from(["", "x", "-1", "0", "1e1", "nan", "1,0", "é", "9" * 30]))
    changed = "\t".join([*fields[:column], value, *fields[column + 1 :]])
    ways = ["\n", lines[place][: 4 * column], lines[place].replace("\t", " "), lines[place] * 2]
    lines[place] = data.draw(st.sampled_from([*ways, changed + "\n", *map(chr, range(256))]))
    text = "".join(lines)
    records = sum(bool(line.strip()) and line[0] != "#" for line in text.splitlines())
    with suppress(UserError):
        intervals, notes = read(tmp_path, text)
        said = any(note.startswith(("Dropped", "Skipped")) for note in notes)
        assert len(intervals) == records or said
