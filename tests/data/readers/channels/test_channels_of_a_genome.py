"""Channels of windows of a genome: each base has the value that its file says, on its strand."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
import torch
from fixtures.datasets import channel_of, read_data

from priorbench.data.codes import CHANNEL, VALID
from priorbench.data.simulation import markov_background
from priorbench.encoding import decode
from priorbench.errors import UserError
from priorbench.training.batches import load_batch
from priorbench.workflow.validate_file import count_dataset

LENGTHS = {"chr1": 6000, "chr2": 3000, "chr3": 3000, "chr4": 2000}
SPLITS = {"valid_regions": ["chr2"], "test_regions": ["chr3"]}
BINARY = {"genome": "g.fa.gz", "peaks": "peaks.bed", "length": 60, **SPLITS}
PROFILE = {**BINARY, "signal": "reads.bw", "length": 100}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    texts = {name: decode(markov_background(1, n, random)[0]) for name, n in LENGTHS.items()}
    text = "".join(f">{name}\n{letters}\n" for name, letters in texts.items())
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    places = [
        (chrom, start)
        for chrom, n in LENGTHS.items()
        # the first and the last are those of windows that touch the ends of the chromosome
        for start in [30, 57, *range(75, n - 75, 41), n - 57, n - 30]
        if not 700 < start < 1300  # room for negatives
    ]
    lines = [
        f"{chrom}\t{start}\t{start + 1}\tx\t0\t{'+-'[int(random.integers(2))]}\n"
        for chrom, start in random.permutation(np.array(places, dtype=object)).tolist()
    ]
    (tmp_path / "peaks.bed").write_text("".join(lines))
    write_bigwig(tmp_path / "reads.bw", {n: np.ones(size) for n, size in LENGTHS.items()})
    return tmp_path


def write_bigwig(path: Path, values: dict[str, np.ndarray], **lengths: int) -> None:
    track = pyBigWig.open(str(path), "w")
    track.addHeader([(name, lengths.get(name, len(here))) for name, here in values.items()])
    for name, here in values.items():
        (known,) = np.nonzero(~np.isnan(here))
        numbers = here[known].astype(np.float32).tolist()
        starts = known.tolist()
        track.addEntries([name] * len(known), starts, ends=(known + 1).tolist(), values=numbers)
    track.close()


def random_values(seed: int, *, without: str = "chr4") -> dict[str, np.ndarray]:
    """Values of every base, a fifth of them unknown, of all chromosomes but one."""
    random = np.random.default_rng(seed)
    values = {name: random.normal(size=n).astype(np.float32) for name, n in LENGTHS.items()}
    for here in values.values():
        here[random.random(len(here)) < 0.2] = np.nan
    del values[without]
    return values


def write_bed(path: Path, seed: int, *, strands: str = ".") -> dict[str, dict[str, np.ndarray]]:
    """Write random intervals with scores; return the values of each strand by brute force."""
    random = np.random.default_rng(seed)
    values = {s: {name: np.full(n, np.nan) for name, n in LENGTHS.items()} for s in "+-"}
    lines = []
    for _ in range(300):
        name = random.choice(["chr1", "chr2", "chr3", "chrX"])
        # some begin before the chromosome, some end behind it
        start = int(random.integers(-20, 6000))
        end = start + int(random.integers(1, 80))
        score, strand = round(float(random.normal()), 3), str(random.choice(list(strands)))
        lines.append(f"{name}\t{start}\t{end}\tx\t{score}\t{strand}\n")
        for mine in "+-" if strand == "." else strand:
            here = values[mine].get(name, np.empty(0))
            for place in range(max(start, 0), min(end, len(here))):
                here[place] = np.fmax(here[place], score)
    path.write_text("".join(lines))
    return values


def expected(dataset, values, other=None, *, rows=None, length=None, margin=0) -> np.ndarray:
    """Return (N, L) values of windows, those of the minus strand turned."""
    result = []
    for number, start, strand in dataset.place.tolist():
        name = dataset.meta["chromosomes"][number]
        side = values if strand == 1 or other is None else other
        here = side.get(name, np.full(LENGTHS[name], np.nan))
        window = here[start - margin : start + (length or dataset.length) + margin]
        result.append(window[::strand])
    return np.array(result)


@pytest.mark.parametrize("task", ["binary", "rbp"])
@pytest.mark.parametrize("seed", range(2))
def test_intervals_by_brute_force(folder, task, seed):
    values = write_bed(folder / "x.bed", seed, strands="+-." if task == "rbp" else ".")
    table = {"inside": "x.bed", "score": {"file": "x.bed", "value": "score"}}
    dataset = read_data(folder, task, **BINARY, channels=table)
    scores = expected(dataset, values["+"], values["-"])
    np.testing.assert_allclose(channel_of(dataset, "score"), np.nan_to_num(scores), rtol=1e-6)
    assert np.array_equal(channel_of(dataset, "inside"), ~np.isnan(scores))
    assert (dataset.place[:, 2] == -1).any() == (task == "rbp")
    assert {0, LENGTHS["chr2"] - 60} <= set(dataset.place[:, 1].tolist())
    notes = " ".join(dataset.meta["notes"])
    assert "x.bed has no interval on 1 of 4 chromosomes with windows (chr4)" in notes
    assert "intervals of x.bed on 1 chromosomes that g.fa.gz lacks (chrX)" in notes


@pytest.mark.parametrize("task", ["binary", "rbp"])
def test_bigwigs_are_read_as_they_are(folder, task):
    values = random_values(1)
    write_bigwig(folder / "x.bw", values)
    dataset = read_data(folder, task, **BINARY, channels={"x": "x.bw"})
    assert np.array_equal(channel_of(dataset, "x"), np.nan_to_num(expected(dataset, values)))
    notes = " ".join(dataset.meta["notes"])
    assert "x.bw has no data on 1 chromosomes with windows (chr4): they are read as 0." in notes
    assert "counts" not in notes


def test_an_entry_that_is_no_number_is_0(folder):
    track = pyBigWig.open(str(folder / "x.bw"), "w")
    track.addHeader(list(LENGTHS.items()))
    for name, length in LENGTHS.items():
        track.addEntries(name, 0, values=[float("nan"), 2.5] * (length // 2), span=1, step=1)
    track.close()
    found = channel_of(read_data(folder, **BINARY, channels={"x": "x.bw"}), "x")
    assert set(np.unique(found).tolist()) == {0.0, 2.5}


def test_shuffles_of_windows_have_no_channel(folder):
    (folder / "x.bed").write_text("".join(f"{c} 0 {n}\n" for c, n in LENGTHS.items()))
    dataset = read_data(folder, **BINARY, negatives="shuffle", channels={"x": "x.bed"})
    label = dataset.columns["label"].take(np.arange(len(dataset.split)))
    assert np.array_equal(channel_of(dataset, "x"), np.repeat(label[:, None], 60, axis=1))
    assert 0.4 < label.mean() < 0.6


def test_profiles_shift_and_turn_channels_with_their_windows(folder):
    values = random_values(2, without="chr4")
    write_bigwig(folder / "x.bw", values)
    dataset = read_data(folder, "profile:jitter=7", **PROFILE, channels={"x": "x.bw"})
    assert dataset.margin == 7
    assert {0, LENGTHS["chr1"] - 114} <= set((dataset.place[:, 1] - 7).tolist())
    wanted = np.nan_to_num(expected(dataset, values, margin=7))
    assert np.array_equal(channel_of(dataset, "x"), wanted)
    rows = np.arange(0, len(dataset.split), 5)
    shift, flip = np.arange(len(rows)) % 15 - 7, np.arange(len(rows)) % 2 == 0
    batch = load_batch(dataset, rows, torch.device("cpu"), shift=shift, flip=flip)
    found = batch.arrays[f"{CHANNEL}x"].numpy()
    assert found.shape == (len(rows), 1, 100)
    for at, row in enumerate(rows):
        window = wanted[row, 7 + shift[at] : 107 + shift[at]]
        assert np.array_equal(found[at, 0], window[::-1] if flip[at] else window)


def test_facts_of_profiles_leave_margins_and_channels_apart(folder):
    values = random_values(2)
    write_bigwig(folder / "x.bw", values)
    dataset = read_data(folder, "profile:jitter=7", **PROFILE, channels={"x": "x.bw"})
    facts = count_dataset("profile/x", dataset).splits["validation"]
    wanted = np.nan_to_num(expected(dataset, values))[dataset.split == VALID]
    assert list(facts.reads) == ["reads"]
    assert facts.channels["x"].share == pytest.approx((wanted != 0).mean())
    assert facts.channels["x"].mean == pytest.approx(wanted.mean(), abs=1e-6)
    assert (facts.channels["x"].least, facts.channels["x"].most) == (wanted.min(), wanted.max())


def test_channels_change_nothing_else(folder):
    write_bed(folder / "x.bed", 0)
    plain = read_data(folder, **BINARY)
    arrays = {n: c.take(np.arange(len(plain.split))) for n, c in plain.columns.items()}
    place, attributed, meta = plain.place, plain.attributed, dict(plain.meta)
    other = read_data(folder, **BINARY, channels={"x": "x.bed"})
    for name, array in arrays.items():
        assert np.array_equal(other.columns[name].take(np.arange(len(array))), array)
    assert np.array_equal(other.place, place)
    assert np.array_equal(other.attributed, attributed)
    assert other.digest != meta["digest"]
    assert read_data(folder, **BINARY).digest == meta["digest"]


def test_another_file_is_another_digest(folder):
    write_bed(folder / "x.bed", 0)
    first = read_data(folder, **BINARY, channels={"x": "x.bed"}).digest
    write_bed(folder / "x.bed", 1)
    assert read_data(folder, **BINARY, channels={"x": "x.bed"}).digest != first


def written(folder: Path, what: str) -> Any:
    values = random_values(0)
    if what == "names":
        write_bigwig(folder / "x", {n.removeprefix("chr"): v for n, v in values.items()})
    elif what == "build":
        write_bigwig(folder / "x", {n: v[:-5] for n, v in values.items()})
    elif what == "other":
        write_bigwig(folder / "x", {"c9": values["chr1"]})
    elif what == "infinite":
        write_bigwig(folder / "x", {n: np.full(len(v), np.inf) for n, v in values.items()})
    elif what == "packed":
        write_bigwig(folder / "y", values)
        (folder / "x").write_bytes(gzip.compress((folder / "y").read_bytes()))
    elif what == "cut":
        write_bigwig(folder / "y", values)
        (folder / "x").write_bytes((folder / "y").read_bytes()[:5000])
    else:
        (folder / "x").write_text(what)


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("names", "inside", r"x: chromosome 'chr1' is called '1' there; write the names of the"),
        ("build", "inside", r"x: chr1 has 5995 bp there and 6000 in .*is this the right genome"),
        ("other", "inside", r"x: has none of the chromosomes with windows, such as 'chr1'"),
        ("infinite", "inside", r"x: chr1:[0-9]+ holds an infinite value; write finite values"),
        ("packed", "inside", r"x: a compressed bigWig; unpack it"),
        ("cut", "inside", r"x: a truncated bigWig; fetch or write the file again"),
        ("build", "score", r"data.toml: channels.c: value = 'score' is for BED, and x is a bigWig"),
        (">chr1\n01\n", "inside", r"channels.c: x is a mask .*goes with records of FASTA files"),
        ("1 0 5\n2 0 5\n", "inside", r"x: line 1.*chromosome '1' is called 'chr1'"),
        ("chr1 7 5\n", "inside", r"x: line 1: start 7 is behind end 5"),
        ("chr1 0 5\nchr1 5 9 x\n", "score", r"x: line 1: score \(column 4\) is ''"),
    ],
)
def test_files_that_are_no_channel(folder, what, value, message):
    written(folder, what)
    with pytest.raises(UserError, match=message) as error:
        read_data(folder, **BINARY, channels={"c": {"file": "x", "value": value}})
    assert "\n" not in str(error.value)
