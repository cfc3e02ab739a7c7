"""bigWig files: what is read, scaled back to counts, noted and refused."""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from fixtures.genomes import write_genome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.tracks.bigwig_header import check_header
from priorbench.data.formats.tracks.signal import Signal
from priorbench.errors import UserError

SIZE = 3000
COUNTS = np.random.default_rng(0).poisson(0.8, SIZE).astype(np.float64)


@pytest.fixture
def genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    names = dict.fromkeys(("chr1", "chr2", "chr3"), "ACGT" * (SIZE // 4))
    with Genome(write_genome(tmp_path / "g.fa", names)) as opened:
        yield opened


def write(path: Path, values: np.ndarray, chrom: str = "chr1", size: int = SIZE) -> Path:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(chrom, size)], maxZooms=0)
        places = np.flatnonzero(values)
        if len(places):
            starts = places.tolist()
            file.addEntries(
                [chrom] * len(places),
                starts,
                ends=(places + 1).tolist(),
                values=values[places].tolist(),
            )
    return path


def read(
    paths: Sequence[Path], genome: Genome, chroms: Sequence[str] = ("chr1",), scale=None
) -> tuple[np.ndarray, Notes, list[str]]:
    """All values of the chromosomes, (tracks, bp), with what is said of them."""
    notes = Notes()
    signal = Signal(paths, genome, chroms, notes)
    where = (np.array(chroms), np.zeros(len(chroms), dtype=np.int64), SIZE)
    try:
        doubtful = signal.fit_scale(*where, scale)
        return np.concatenate([*signal.windows(*where)], axis=1), notes, doubtful
    finally:
        signal.close()


@pytest.mark.parametrize(("value", "doubtful"), [(2.0, False), (math.nan, True)])
def test_the_summary_of_a_bigwig_tells_whether_to_look_for_what_is_no_number(
    tmp_path: Path, value: float, doubtful: bool
) -> None:
    path = write(tmp_path / "x.bw", np.array([0, 1, value]))
    assert check_header(path) == doubtful
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + bytes(8) + whole[52:])  # no summary
    assert check_header(path)


def test_counts_are_read_as_they_are_and_nothing_is_said(tmp_path: Path, genome) -> None:
    values, notes, doubtful = read([write(tmp_path / "x.bw", COUNTS)], genome)
    assert np.array_equal(values[0], COUNTS)
    assert [notes.sentences, notes.warnings, doubtful] == [[], [], []]


def test_a_chromosome_without_data_is_zeros(tmp_path: Path, genome) -> None:
    path = write(tmp_path / "x.bw", COUNTS)
    values, notes, _ = read([path], genome, ["chr2", "chr1", "chr3"])
    assert np.array_equal(values[0], np.r_[np.zeros(SIZE), COUNTS, np.zeros(SIZE)])
    assert notes.sentences == [
        "x.bw has no data on 2 chromosomes with windows (chr2, chr3): they are read as 0."
    ]


@pytest.mark.parametrize("factor", [0.0137, 1 / 3, 7.3, 0.5, 1.0137e-4])
@pytest.mark.parametrize("sign", [1, -1])
def test_multiples_are_scaled_back_to_counts(
    tmp_path: Path, genome, factor: float, sign: int
) -> None:
    scaled = write(tmp_path / "x.bw", COUNTS * factor * sign)
    values, notes, doubtful = read([scaled], genome)
    assert np.array_equal(values[0], COUNTS)
    assert [note.split(" are ")[1][:9] for note in notes.sentences] == [
        *(["negative;"] if sign < 0 else []),
        "multiples",
    ]
    assert not doubtful


def test_strands_keep_their_ratio_where_one_unit_divides_both(tmp_path: Path, genome) -> None:
    plus = write(tmp_path / "p.bw", 0.0137 * COUNTS)
    minus = write(tmp_path / "m.bw", 0.0137 * 2 * COUNTS)
    assert np.array_equal(read([plus, minus], genome)[0], [COUNTS, 2 * COUNTS])
    other = write(tmp_path / "o.bw", 0.0213 * COUNTS)
    assert np.array_equal(read([plus, other], genome)[0], [COUNTS, COUNTS])
    whole = write(tmp_path / "w.bw", 2 * COUNTS)
    assert np.array_equal(read([plus, whole], genome)[0], [COUNTS, 2 * COUNTS])


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).gamma(2, 1, SIZE),  # fold change
        np.random.default_rng(1).gamma(2, 1, SIZE).round(2),  # and in two digits
        np.r_[1e-7, np.random.default_rng(1).gamma(2, 1, SIZE - 1)],
        np.where(COUNTS == 2, 2.1, COUNTS),
    ],
)
def test_other_values_are_no_counts(tmp_path: Path, genome, values: np.ndarray) -> None:
    path = write(tmp_path / "x.bw", values)
    stored, notes, doubtful = read([path], genome)
    assert np.array_equal(stored[0], values.astype(np.float32))
    (words,) = doubtful
    assert words.startswith("Values of x.bw are no counts of reads (from ")
    stored, notes, doubtful = read([path], genome, scale=4.0)
    assert np.allclose(stored[0], 4 * values)
    assert [notes.sentences, doubtful] == [[], []]


def test_values_of_either_sign_are_refused(tmp_path: Path, genome) -> None:
    path = write(tmp_path / "x.bw", np.where(np.arange(SIZE) == 70, -3.0, COUNTS))
    with pytest.raises(UserError, match=r"x\.bw: chr1:70 holds a negative value \(-3\), others"):
        read([path], genome)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((2, 5, -3), "chr3:30 holds a negative value (-3), others are positive"),
        ((2, -4, 5), "chr2:30 holds a negative value (-4), others are positive"),
        ((-2, 5, 1), "chr2:30 holds a positive value (5), others are negative"),
    ],
)
def test_the_place_of_the_other_sign_is_named(
    tmp_path: Path, genome, values: tuple[float, ...], words: str
) -> None:
    names = ["chr1", "chr2", "chr3"]
    with pyBigWig.open(str(tmp_path / "x.bw"), "w") as file:
        file.addHeader([(name, SIZE) for name in names], maxZooms=0)
        file.addEntries(names, [30] * 3, ends=[31] * 3, values=[float(value) for value in values])
    with pytest.raises(UserError, match=re.escape(words)):
        read([tmp_path / "x.bw"], genome, names)


def test_no_reads_at_all(tmp_path: Path, genome) -> None:
    values, _, doubtful = read([write(tmp_path / "x.bw", np.zeros(SIZE))], genome)
    assert not values.any()
    assert not doubtful


def text(path: Path) -> None:
    path.write_text("track type=bedGraph\nchr1\t1\t2\t3\n")


def compressed(path: Path) -> None:
    path.write_bytes(gzip.compress(write(path, COUNTS).read_bytes()))


def bigbed(path: Path) -> None:
    path.write_bytes(bytes.fromhex("ebf28987") + bytes(100))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


def cut(share: float):
    def damage(path: Path) -> None:
        whole = write(path, COUNTS).read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])

    return damage


def in_the_middle(path: Path) -> None:
    whole = bytearray(write(path, COUNTS).read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 9] = bytes(9)
    path.write_bytes(whole)


def with_damaged_names(path: Path) -> None:
    whole = bytearray(write(path, COUNTS).read_bytes())
    (names,) = struct.unpack_from("<Q", whole, 8)
    whole[names + 9] = 23  # bytes of a name
    path.write_bytes(whole)


def named(chrom: str, size: int = SIZE):
    return lambda path: write(path, COUNTS, chrom, size)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (text, "not a bigWig but text; make one of bedGraph with bedGraphToBigWig"),
        (compressed, "not a bigWig but compressed; unpack it"),
        (bigbed, "not a bigWig but a bigBed"),
        (folder, r"cannot be read \(Is a directory\)"),
        (nothing, "not a bigWig that can be read"),
        (cut(0.01), "a truncated bigWig"),
        (cut(0.3), "a truncated bigWig"),
        (cut(0.9), "truncated"),
        (cut(0.999), "damaged"),
        (in_the_middle, "damaged or truncated: chr1:0-3000 cannot be read"),
        (with_damaged_names, "a damaged bigWig; fetch or write"),
        (named("1"), "chromosome 'chr1' is called '1' there"),
        (named("c9"), r"has none of the chromosomes with windows, such as 'chr1' \(it has c9\)"),
        (named("chr1", SIZE + 1), "chr1 has 3001 bp there and 3000 in .*genome build"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, genome, damage, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(tmp_path / "x.bw")
    with pytest.raises(UserError, match=message) as caught:
        read([tmp_path / "x.bw"], genome)
    assert str(caught.value).startswith(str(tmp_path / "x.bw"))
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().err


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_give_the_same_values_or_one_line(
    tmp_path: Path, genome, data: st.DataObject
) -> None:
    path = tmp_path / "x.bw"
    if not path.exists():
        write(path, COUNTS)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(400, len(whole) - 600))  # in the blocks of values
    damaged = tmp_path / "d.bw"
    if data.draw(st.booleans()):
        damaged.write_bytes(whole[:place])
    else:
        whole[place] ^= data.draw(st.integers(1, 255))
        damaged.write_bytes(whole)
    with suppress(UserError):
        assert np.array_equal(read([damaged], genome)[0][0], COUNTS)
