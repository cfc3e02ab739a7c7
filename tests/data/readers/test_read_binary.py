from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.two_classes import (
    LENGTH,
    for_tuning,
    labels,
    random_texts,
    read,
    sequences,
    write_bed,
    write_chromosomes,
    write_fasta,
    write_toml,
)
from numpy.typing import NDArray

from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.formats import fasta
from priorbench.encoding import decode, encode, reverse_complement
from priorbench.errors import UserError

SITE = "ACGTTGCAAG"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))


def flipped(text: str) -> str:
    return decode(reverse_complement(encode(text.encode())))


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    return {
        "positives": write_fasta(tmp_path / "p.fa.gz", random_texts(400, 1)),
        "negatives": write_fasta(tmp_path / "n.fa.gz", random_texts(300, 2)),
    }


def test_split_is_made_by_hash(tmp_path: Path, pair: dict[str, str]) -> None:
    dataset = read(write_toml(tmp_path, **pair))
    assert sequences(dataset) == random_texts(400, 1) + random_texts(300, 2)
    assert labels(dataset).tolist() == [1] * 400 + [0] * 300
    shares = np.bincount(dataset.split) / 700
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.05)
    assert dataset.meta["notes"][0].startswith("Windows of 30 bp, positives + negatives: training ")
    assert dataset.meta["notes"][1].startswith("GC content: positives ")


def test_the_same_input_gives_the_same_bytes(
    tmp_path: Path, pair: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = write_toml(tmp_path, **pair)
    first = read(toml, at_most=20)
    monkeypatch.setattr(fasta, "_CHUNK_BYTES", 100)
    assert read(toml, at_most=20).digest == first.digest
    other = read(toml, at_most=20, seed=1)
    assert other.attributed.tolist() != first.attributed.tolist()
    np.testing.assert_array_equal(other.split, first.split)


def test_attributed_rows_are_test_positives_in_order(tmp_path: Path, pair: dict[str, str]) -> None:
    dataset = read(write_toml(tmp_path, **pair), at_most=25)
    rows = dataset.attributed
    assert len(rows) == 25
    assert (np.diff(rows) > 0).all()
    assert (dataset.split[rows] == TEST).all()
    assert (labels(dataset)[rows] == 1).all()
    assert dataset.truth is None
    everything = read(write_toml(tmp_path, **pair))
    wanted = np.flatnonzero((everything.split == TEST) & (labels(everything) == 1))
    np.testing.assert_array_equal(everything.attributed, wanted)


def test_validation_positives_are_attributed_for_tuning(
    tmp_path: Path, pair: dict[str, str]
) -> None:
    planted = [text[:5] + SITE + text[15:] for text in random_texts(300, 4)]
    pair["positives"] = write_fasta(tmp_path / "p.fa", planted)
    toml = write_toml(tmp_path, **pair, motifs=write_meme(tmp_path / "m.meme"))
    final = read(toml, at_most=10)
    tuning = for_tuning(toml)
    assert len(tuning.attributed) == len(final.attributed) == 10
    assert (tuning.split[tuning.attributed] == VALID).all()
    assert (labels(tuning)[tuning.attributed] == 1).all()
    assert tuning.truth is not None
    assert tuning.oracle is not None
    assert (tuning.truth[:, 5:15] == MOTIF).all()
    np.testing.assert_array_equal(tuning.truth == MOTIF, tuning.oracle != 0)


def test_repeats_and_reverse_complements_stay_in_one_split(tmp_path: Path) -> None:
    positives = random_texts(200, 1)
    negatives = random_texts(200, 2)
    toml = write_toml(
        tmp_path,
        positives=write_fasta(
            tmp_path / "p.fa", positives + positives + list(map(flipped, positives))
        ),
        negatives=write_fasta(tmp_path / "n.fa", [*negatives, flipped(positives[0])]),
    )
    dataset = read(toml)
    split = dataset.split[:600].reshape(3, 200)
    np.testing.assert_array_equal(split[0], split[1])
    np.testing.assert_array_equal(split[0], split[2])
    notes = " ".join(dataset.meta["notes"])
    assert "400 positives repeat another one" in notes
    assert "1 sequences are in both classes" in notes
    of_rna = read(toml, both=False).split[:600].reshape(3, 200)
    np.testing.assert_array_equal(of_rna[0], of_rna[1])
    assert (of_rna[0] != of_rna[2]).any()


def test_windows_of_one_locus_stay_in_one_split(tmp_path: Path) -> None:
    windows = []
    for seed in (1, 2):
        locus = random_texts(120, seed, length=LENGTH + 4)
        windows.append([text[at : at + LENGTH] for at in (0, 2, 4) for text in locus])
    files = [write_fasta(tmp_path / name, texts) for name, texts in zip("pn", windows, strict=True)]
    dataset = read(write_toml(tmp_path, positives=files[0], negatives=files[1]))
    assert len(dataset.split) == 720
    split = dataset.split.reshape(2, 3, 120)
    assert (split == split[:, :1]).all()
    (note,) = [note for note in dataset.meta["notes"] if "near-identical" in note]
    assert note.startswith("720 sequences are near-identical to another one; they form 240 groups")


@pytest.mark.parametrize("both", [True, False])
def test_training_sequences_stay_together_where_test_files_are_given(
    tmp_path: Path, both: bool
) -> None:
    locus = random_texts(200, 1, length=LENGTH + 4)
    training = [text[at : at + LENGTH] for at in (0, 4) for text in locus]
    test = [text[2 : LENGTH + 2] for text in locus[:50]]
    if both:
        test = list(map(flipped, test))
    toml = write_toml(
        tmp_path,
        positives=write_fasta(tmp_path / "p", training),
        negatives=write_fasta(tmp_path / "n", random_texts(200, 2)),
        test_positives=write_fasta(tmp_path / "tp", test),
        test_negatives=write_fasta(tmp_path / "tn", random_texts(50, 3)),
    )
    split = read(toml, both=both).split[100:500].reshape(2, 200)
    # given test files stay as they are, and so does what is related to them
    assert (split[0] == split[1]).all()
    assert set(split[0].tolist()) == {TRAIN, VALID}


@pytest.mark.parametrize("both", [True, False])
def test_sequences_of_the_test_files_are_dropped_from_training(tmp_path: Path, both: bool) -> None:
    positives, negatives = random_texts(200, 1), random_texts(200, 2)
    tested = random_texts(40, 3)
    extra = [tested[0], flipped(tested[1]), tested[30]]
    dataset = read(
        write_toml(
            tmp_path,
            positives=write_fasta(tmp_path / "p.fa", positives + extra),
            negatives=write_fasta(tmp_path / "n.fa", [*negatives, tested[2]]),
            test_positives=write_fasta(tmp_path / "tp.fa", tested[:20]),
            test_negatives=write_fasta(tmp_path / "tn.fa", tested[20:]),
        ),
        both=both,
    )
    assert sequences(dataset, dataset.rows(TEST)) == tested
    rest = sequences(dataset, np.flatnonzero(dataset.split != TEST))
    assert not set(rest) & set(tested)
    assert (flipped(tested[1]) in rest) is not both
    assert len(rest) == (400 if both else 401)
    notes = " ".join(dataset.meta["notes"])
    assert f"Dropped {3 if both else 2} positives of p.fa from training" in notes
    assert "Dropped 1 negatives of n.fa" in notes
    assert 0.05 < (dataset.split == VALID).sum() / len(rest) < 0.16


def write_meme(path: Path) -> str:
    rows = [" ".join("0.97" if base == here else "0.01" for base in "ACGT") for here in SITE]
    head = f"MEME version 4\n\nMOTIF m\nletter-probability matrix: alength= 4 w= {len(SITE)}\n"
    path.write_text(head + "\n".join(rows) + "\n")
    return path.name


def test_motifs_give_truth_and_oracle(tmp_path: Path, pair: dict[str, str]) -> None:
    planted = [text[:5] + SITE + text[15:] for text in random_texts(300, 4)]
    pair["positives"] = write_fasta(tmp_path / "p.fa", planted)
    dataset = read(write_toml(tmp_path, **pair, motifs=write_meme(tmp_path / "m.meme")), at_most=10)
    assert dataset.truth is not None
    assert dataset.oracle is not None
    assert dataset.truth.shape == (10, LENGTH)
    assert (dataset.truth[:, 5:15] == MOTIF).all()
    assert (dataset.oracle[:, 5:15] > 0).all()
    np.testing.assert_array_equal(dataset.truth == MOTIF, dataset.oracle != 0)
    assert "are in 20 of the 20 attributed sequences" in dataset.meta["notes"][-1]


def test_an_unusable_motif_file_is_told_first(tmp_path: Path, pair: dict[str, str]) -> None:
    (tmp_path / "m.meme").write_text("MEME version 4\n")
    with pytest.raises(UserError, match="no matrices"):
        read(write_toml(tmp_path, **pair, motifs="m.meme"))


def test_lengths_must_agree(tmp_path: Path, pair: dict[str, str]) -> None:
    assert read(write_toml(tmp_path, **pair, length=LENGTH)).length == LENGTH
    with pytest.raises(UserError, match=r"length = 29, .*p\.fa\.gz, n\.fa\.gz have 30 bases"):
        read(write_toml(tmp_path, **pair, length=29))
    pair["negatives"] = write_fasta(tmp_path / "short.fa", random_texts(9, 5, 25))
    with pytest.raises(UserError, match=r"p\.fa\.gz has .* 30 bases; .*short\.fa has .* 25 "):
        read(write_toml(tmp_path, **pair))


def test_an_empty_split_is_named(tmp_path: Path, pair: dict[str, str]) -> None:
    pair["negatives"] = write_fasta(tmp_path / "few.fa", random_texts(1, 5))
    with pytest.raises(UserError, match=r"no negatives left for .* after filtering"):
        read(write_toml(tmp_path, **pair))
    assert not (tmp_path / "dataset").exists()


# windows of a genome


def test_genome_with_regions(tmp_path: Path) -> None:
    peaks = [("c1", at, at + 40) for at in range(100, 5900, 200)]
    toml = write_toml(
        tmp_path,
        genome=write_chromosomes(tmp_path, ["c1"]),
        peaks=write_bed(tmp_path / "x.bed", [("c1", 0, 10), *peaks, ("c1", 3995, 4007)]),
        length=LENGTH,
        valid_regions=["c1:3000-4000"],
        test_regions=["c1:4000-6000"],
        sites=write_bed(tmp_path / "s.bed", [("c1", at + 10, at + 20) for _, at, _ in peaks]),
    )
    dataset = read(toml)
    text = random_texts(1, 7, 6000)[0]
    wanted = [text[at + 5 : at + 35] for _, at, _ in peaks]
    assert sequences(dataset)[: len(peaks)] == wanted
    assert labels(dataset).tolist() == [1] * 29 + [0] * 29
    want = [TRAIN] * 15 + [VALID] * 5 + [TEST] * 9
    assert dataset.split.tolist()[:29] == want
    assert sorted(dataset.split.tolist()[29:]) == want
    assert dataset.attributed.tolist() == list(range(20, 29))
    assert dataset.truth is not None
    assert (np.flatnonzero(dataset.truth.any(axis=0)) == np.arange(5, 15)).all()
    assert dataset.oracle is None
    notes = " ".join(dataset.meta["notes"])
    assert "Dropped 1 peaks of x.bed: window running off the end" in notes
    assert "Dropped 1 peaks of x.bed: window straddling the border" in notes
    assert "Drew 29 negatives for 29 positives" in notes
    assert "unpacked once" in notes
    assert read(toml).digest == dataset.digest
    assert read(toml, seed=1).digest != dataset.digest


def test_genome_chooses_chromosomes_and_takes_given_negatives(tmp_path: Path) -> None:
    names = ["c1", "c2", "c3", "c4"]
    peaks = [(name, at, at + 40) for name in names for at in range(100, 2000, 100)]
    background = [(name, at, at + 40) for name, at, _ in peaks for at in (at + 3000,)]
    keys = {
        "genome": write_chromosomes(tmp_path, names),
        "peaks": write_bed(tmp_path / "x.bed", peaks),
        "negatives": write_bed(tmp_path / "b.bed", [*background, ("c1", 120, 160)]),
        "length": LENGTH,
    }
    dataset = read(write_toml(tmp_path, **keys))
    assert np.bincount(dataset.split).tolist() == [76, 38, 38]
    notes = " ".join(dataset.meta["notes"])
    assert "No regions given: validation on c" in notes
    assert "Dropped 1 negatives of b.bed: window overlapping a peak" in notes
    keys["peaks"] = write_bed(tmp_path / "x.bed", peaks[:25])
    with pytest.raises(UserError, match="set valid_regions and test_regions"):
        read(write_toml(tmp_path, **keys))


def test_genome_errors(tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "genome": write_chromosomes(tmp_path, ["chr1"]),
        "peaks": write_bed(tmp_path / "x.bed", [("chr1", 100, 200)]),
        "length": LENGTH,
        "valid_regions": ["chr1:0-3000"],
        "test_regions": ["chr1:2000-6000"],
    }
    with pytest.raises(UserError, match="overlap; the splits must be apart"):
        read(write_toml(tmp_path, **keys))
    keys["test_regions"] = ["chr1:3000-6000"]
    with pytest.raises(UserError, match="no positives left for training"):
        read(write_toml(tmp_path, **keys))
    keys["sites"] = write_bed(tmp_path / "s.bed", [("1", 100, 200)])
    with pytest.raises(UserError, match=r"s\.bed: line 1: chromosome '1' is called 'chr1'"):
        read(write_toml(tmp_path, **keys))


def interval_files(folder: Path) -> dict[str, Any]:
    """Every key that names intervals, with files on one chromosome."""
    starts = range(100, 2900, 50)
    covered = [("chr1", 0, 2950), ("chr1", 2950, 6000)]
    background = [("chr1", at + 3000, at + 3040) for at in starts]
    return {
        "genome": write_chromosomes(folder, ["chr1"]),
        "peaks": write_bed(folder / "peaks.bed", [("chr1", at, at + 40) for at in starts]),
        "negatives": write_bed(folder / "negatives.bed", background),
        "covered": write_bed(folder / "covered.bed", covered * 20),
        "sites": write_bed(folder / "sites.bed", [("chr1", at + 15, at + 25) for at in starts]),
        "length": LENGTH,
        "valid_regions": ["chr1:1000-1500", "chr1:4000-4500"],
        "test_regions": ["chr1:1500-3000", "chr1:4500-6000"],
    }


@pytest.mark.parametrize("key", ["peaks", "negatives", "covered", "sites"])
def test_intervals_that_the_genome_lacks_are_counted_whatever_they_are(
    tmp_path: Path, key: str
) -> None:
    keys = interval_files(tmp_path)
    expected = read(write_toml(tmp_path, **keys))
    assert not [note for note in expected.meta["notes"] if note.startswith("Dropped")]
    path = tmp_path / keys[key]
    lines = path.read_text()
    path.write_text(f"chrom\tstart\tend\nchrX\t1\t9\nchr1\t7\t7\n{lines}chr1\t-5\t20\n")
    dataset = read(write_toml(tmp_path, **keys))
    assert dataset.digest == expected.digest
    notes = [note for note in dataset.meta["notes"] if path.name in note]
    assert f"Skipped line 1 of {path.name}, a header." in notes
    assert any(note.startswith("Dropped 1 of ") and "(chrX)" in note for note in notes)
    assert f"Dropped 1 intervals of {path.name} that have no base." in notes
    beyond = any("that reach beyond the end of a chromosome" in note for note in notes)
    assert beyond is (key in ("peaks", "negatives"))
    path.write_text(lines.replace("chr1", "1"))
    with pytest.raises(UserError, match=rf"{path.name}: line 1 .*'1' is called 'chr1'"):
        read(write_toml(tmp_path, **keys))


def test_peaks_that_belong_together_are_merged_as_the_data_file_says(tmp_path: Path) -> None:
    keys = interval_files(tmp_path)
    summits = "".join(
        f"chr1\t{at}\t{at + 40}\tp\t{10 * n}\t.\t{n}.5\t1\t1\t{18 + n}\n"
        for at in range(100, 2900, 50)
        for n in (1, 3, 2)
    )
    expected = sequences(read(write_toml(tmp_path, **keys)))
    for how, count in {None: 56, "summits": 56, "windows": 56, "none": 168}.items():
        (tmp_path / "peaks.bed").write_text(summits)
        chosen = {} if how is None else {"merge_peaks": how}
        dataset = read(write_toml(tmp_path, **keys, **chosen))
        assert int(labels(dataset).sum()) == count
        if how != "none":  # the strongest is the base behind the midpoint
            assert sequences(dataset)[0][:-1] == expected[0][1:]
        notes = " ".join(dataset.meta["notes"])
        assert ("Dropped 112 further summits" in notes) is (how != "none")
        assert ("168 of 168 windows of peaks.bed overlap" in notes) is (how == "none")


def test_windows_of_unknown_bases_are_dropped(tmp_path: Path) -> None:
    texts = random_texts(3, 7, 3000)
    lines = [f">c{n}\n{'N' * 500}{text}\n" for n, text in enumerate(texts)]
    (tmp_path / "g.fa").write_text("".join(lines))
    peaks = [(f"c{n}", at, at + 40) for n in range(3) for at in range(100, 2000, 100)]
    keys = {"genome": "g.fa", "peaks": write_bed(tmp_path / "x.bed", peaks), "length": LENGTH}
    dataset = read(write_toml(tmp_path, **keys))
    assert "Dropped 12 positives: more than 10% N." in dataset.meta["notes"]
    assert int(labels(dataset).sum()) == 57 - 12
    # what is dropped needs no negative
    assert len(dataset.split) == 2 * (57 - 12)
    assert not dataset.meta["warnings"]


def test_repeats_in_the_genome_do_not_leak(tmp_path: Path) -> None:
    text = random_texts(1, 7, 6000)[0]
    # the first two training peaks are copies of a test peak, one on the other strand
    tested = text[5105:5135]
    text = text[:105] + tested + text[135:305] + flipped(tested) + text[335:]
    (tmp_path / "g.fa").write_text(f">c1\n{text}\n")
    peaks = [("c1", at, at + 40) for at in range(100, 5900, 200)]
    toml = write_toml(
        tmp_path,
        genome="g.fa",
        peaks=write_bed(tmp_path / "x.bed", peaks),
        length=LENGTH,
        valid_regions=["c1:3000-4000"],
        test_regions=["c1:4000-6000"],
    )
    dataset = read(toml)
    assert "Dropped 2 positives from training and validation" in " ".join(dataset.meta["notes"])
    rest = sequences(dataset, np.flatnonzero(dataset.split != TEST))
    assert not {tested, flipped(tested)} & set(rest)
    assert dataset.attributed.tolist() == list(range(18, 27))


def test_repeats_between_training_and_validation_do_not_leak(tmp_path: Path) -> None:
    text = random_texts(1, 7, 6000)[0]
    text = text[:105] + flipped(text[3105:3135]) + text[135:]
    (tmp_path / "g.fa").write_text(f">c1\n{text}\n")
    peaks = [("c1", at, at + 40) for at in range(100, 5900, 200)]
    toml = write_toml(
        tmp_path,
        genome="g.fa",
        peaks=write_bed(tmp_path / "x.bed", peaks),
        length=LENGTH,
        valid_regions=["c1:3000-4000"],
        test_regions=["c1:4000-6000"],
    )
    assert "Dropped 1 positives from training and validation" in " ".join(read(toml).meta["notes"])


def test_given_negatives_that_touch_a_positive_window_are_dropped(tmp_path: Path) -> None:
    names = ["c1", "c2", "c3", "c4"]
    peaks = [(name, at, at + 4) for name in names for at in range(100, 2000, 100)]
    # beside the peak, but within the window around it
    beside = [(name, end + 5, end + 5 + LENGTH) for name, _, end in peaks[:7]]
    background = [(name, at + 3000, end + 3000) for name, at, end in peaks]
    keys = {
        "genome": write_chromosomes(tmp_path, names),
        "peaks": write_bed(tmp_path / "x.bed", peaks),
        "negatives": write_bed(tmp_path / "b.bed", [*background, *beside]),
        "length": LENGTH,
    }
    notes = " ".join(read(write_toml(tmp_path, **keys)).meta["notes"])
    assert "Dropped 7 negatives of b.bed: window overlapping a peak" in notes


def test_no_window_fits(tmp_path: Path) -> None:
    keys = {
        "genome": write_chromosomes(tmp_path, ["c1"]),
        "peaks": write_bed(tmp_path / "x.bed", [("c1", 0, 4)]),
        "length": LENGTH,
        "valid_regions": ["c1:0-3000"],
        "test_regions": ["c1:3000-6000"],
    }
    with pytest.raises(UserError, match="no positives left for training"):
        read(write_toml(tmp_path, **keys))


STRANDED = "c1\t{}\t{}\tsite\t0\t{}\n"


def _stranded_genome(folder: Path) -> NDArray[np.uint8]:
    codes = np.random.default_rng(5).integers(0, 4, 9000).astype(np.uint8)
    (folder / "g.fa").write_text(f">c1\n{decode(codes)}\n")
    return codes


def _stranded_toml(folder: Path, **more: Any) -> Path:
    regions = {"valid_regions": ["c1:0-2000"], "test_regions": ["c1:2000-5000"]}
    keys = {"task": "rbp", "genome": "g.fa", "peaks": "p.bed", "length": LENGTH}
    return write_toml(folder, **{**keys, **regions, **more})


def test_rna_windows_are_read_on_the_strand_of_their_peak(tmp_path: Path) -> None:
    codes = _stranded_genome(tmp_path)
    places = range(100, 8900, 200)
    strands = ["+", "-"] * (len(places) // 2)
    lines = [STRANDED.format(at, at + 7, s) for at, s in zip(places, strands, strict=True)]
    (tmp_path / "p.bed").write_text("".join(lines))
    # on the first bases of every second peak, in the strand's direction
    (tmp_path / "s.bed").write_text("".join(STRANDED.format(at, at + 2, "-") for at in places))
    dataset = read(_stranded_toml(tmp_path, sites="s.bed"), both=False)
    assert dataset.place is not None
    assert dataset.truth is not None
    texts = sequences(dataset)
    for text, (_, start, strand) in zip(texts, dataset.place.tolist(), strict=True):
        here = decode(codes[start : start + LENGTH])
        assert text == (here if strand == 1 else flipped(here))
    positive = labels(dataset) == 1
    assert dataset.place[positive, 2].tolist().count(-1) == len(places) // 2
    centre = np.where(dataset.place[:, 2] == 1, LENGTH // 2, (LENGTH - 1) // 2)
    assert set((dataset.place[positive, 1] + centre[positive]) % 200) == {103}
    tuning = for_tuning(tmp_path / "data.toml")
    assert tuning.truth is not None
    assert (tuning.split[tuning.attributed] == VALID).all()
    for seen in (dataset, tuning):
        assert len(seen.attributed) > 0
        for row, truth in zip(seen.attributed.tolist(), seen.truth, strict=True):
            # a site of the minus strand, whose last base is 3 bp before the centre of the peak
            minus = dataset.place[row, 2] == -1
            assert np.flatnonzero(truth).tolist() == ([17, 18] if minus else [])
    strands_of_negatives = set(dataset.place[~positive, 2].tolist())
    assert strands_of_negatives == {1, -1}


@pytest.mark.parametrize(
    ("line", "value"),
    [("c1\t10\t20\n", "missing"), ("c1\t10\t20\tx\t0\t.\n", "'.'")],
)
@pytest.mark.parametrize("name", ["p.bed", "n.bed"])
def test_rna_needs_strands(tmp_path: Path, line: str, value: str, name: str) -> None:
    _stranded_genome(tmp_path)
    good = "".join(STRANDED.format(at, at + 7, "+") for at in range(100, 8900, 200))
    for file in ("p.bed", "n.bed"):
        (tmp_path / file).write_text(good)
    toml = _stranded_toml(tmp_path, negatives="n.bed")
    (tmp_path / name).write_text(line * 3 + STRANDED.format(100, 107, "+"))
    with pytest.raises(UserError, match=rf"{name}: line 1: the strand \(column 6\) is {value}"):
        read(toml, both=False)


def test_sequences_of_n_alone_are_dropped_with_a_count(
    tmp_path: Path, pair: dict[str, str]
) -> None:
    toml = write_toml(tmp_path, **pair)
    expected = sequences(read(toml))
    texts = [*random_texts(3, seed=77), *["N" * LENGTH] * 5]
    blank = random_texts(1, seed=78)[0][:-3] + "NNN"  # some N are fine
    with gzip.open(tmp_path / pair["positives"], "ab") as stream:
        for number, text in enumerate([*texts, blank]):
            stream.write(f">n{number}\n{text}\n".encode())
    (tmp_path / "dataset").rename(tmp_path / "before")
    texts_read = sequences(read(toml))
    assert len(texts_read) == len(expected) + 4
    assert blank in texts_read
    assert "N" * LENGTH not in texts_read


def test_windows_of_a_genome_must_be_covered(tmp_path: Path) -> None:
    names = ["c1", "c2", "c3"]
    keys: dict[str, Any] = {
        "genome": write_chromosomes(tmp_path, names),
        "peaks": write_bed(
            tmp_path / "x.bed", [(c, at, at + 40) for c in names for at in range(100, 4000, 200)]
        ),
        "length": LENGTH,
        "covered": write_bed(tmp_path / "ok.bed", [(c, 1000, 5000) for c in names]),
    }
    dataset = read(write_toml(tmp_path, **keys))
    assert dataset.place is not None
    start = dataset.place[:, 1]
    assert start.min() >= 1000
    assert (start + LENGTH).max() <= 5000
    assert set(labels(dataset).tolist()) == {0.0, 1.0}
    notes = " ".join(dataset.meta["notes"])
    assert "Dropped 15 peaks of x.bed: window that is not covered" in notes
    keys["negatives"] = write_bed(
        tmp_path / "b.bed", [(c, at, at + 40) for c in names for at in range(4100, 5700, 200)]
    )
    (tmp_path / "dataset").rename(tmp_path / "before")
    notes = " ".join(read(write_toml(tmp_path, **keys)).meta["notes"])
    assert "Dropped 9 negatives of b.bed: window that is not covered" in notes
