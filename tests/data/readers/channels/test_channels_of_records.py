"""Channels of sequences in FASTA files and tables: each base has the value that its file says."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
from fixtures.datasets import channel_of, read_data

from priorbench.data.codes import TEST
from priorbench.encoding import decode
from priorbench.errors import UserError

LENGTH = 40


class Written:
    """Random FASTA files of two classes, and what a channel says of every base of a record."""

    def __init__(self, folder: Path, seed: int, *, count: int = 60) -> None:
        self.folder, self.random = folder, np.random.default_rng(seed)
        sizes = self.random.integers(25, 70, 2 * count)
        codes = [self.random.integers(0, 4, size).astype(np.uint8) for size in sizes]
        self.texts = {f"s{number}": decode(row) for number, row in enumerate(codes)}
        names = list(self.texts)
        self.toml: dict[str, Any] = {
            "positives": self.fasta("p.fa", names[:count]),
            "negatives": self.fasta("n.fa.gz", names[count:]),
            "length": LENGTH,
            "fit": "centre",
        }

    def fasta(self, file: str, names: list[str]) -> str:
        text = "".join(f">{n} words\n{self.texts[n][:30]}\n{self.texts[n][30:]}\n" for n in names)
        packed = gzip.compress(text.encode()) if file.endswith("gz") else text.encode()
        (self.folder / file).write_bytes(packed)
        return file

    def bed(self, file: str, *, strands: str = "") -> dict[str, np.ndarray]:
        """Write random intervals, which overlap; return each record's scores by brute force."""
        values = {name: np.full(len(text), np.nan) for name, text in self.texts.items()}
        lines = ["track name=x", "#comment"]
        for _ in range(150):
            name = self.random.choice(
                [*self.texts, "other"], p=[0.9 / len(self.texts)] * len(self.texts) + [0.1]
            )
            start = int(self.random.integers(0, 60))
            end = start + int(self.random.integers(1, 30))
            score = round(float(self.random.normal()), 2)
            strand = self.random.choice(list(strands)) if strands else "."
            lines.append(f"{name}\t{start}\t{end}\tx\t{score}\t{strand}")
            if name in values and strand != "-":
                here = values[name]
                for place in range(start, min(end, len(here))):
                    here[place] = score if np.isnan(here[place]) else max(score, here[place])
        (self.folder / file).write_text("\n".join(lines))
        return values

    def expected(self, dataset, values: dict[str, np.ndarray]) -> np.ndarray:
        """Return (N, L): the values of the record that each row was cropped or padded from."""
        by_window = {}
        for name, text in self.texts.items():
            first = len(text) // 2 - LENGTH // 2
            places = [first + offset for offset in range(LENGTH)]
            inside = [0 <= place < len(text) for place in places]
            window = "".join(
                text[place] if there else "N" for place, there in zip(places, inside, strict=True)
            )
            by_window[window] = [
                values[name][place] if there and name in values else 0
                for place, there in zip(places, inside, strict=True)
            ]
        rows = np.arange(len(dataset.split))
        return np.array([by_window[decode(codes)] for codes in dataset.codes(rows)])


@pytest.mark.parametrize("seed", range(4))
def test_intervals_of_records_by_brute_force(tmp_path, seed):
    files = Written(tmp_path, seed)
    values = files.bed("x.bed")
    table = {"inside": "x.bed", "score": {"file": "x.bed", "value": "score"}}
    dataset = read_data(tmp_path, **files.toml, channels=table)
    scores = files.expected(dataset, values)
    assert dataset.channels == ["inside", "score"]
    found = channel_of(dataset, "score")
    np.testing.assert_allclose(found, np.nan_to_num(scores), rtol=1e-6)
    padded = files.expected(dataset, {n: np.ones(len(t)) for n, t in files.texts.items()}) == 0
    inside = ~np.isnan(scores) & ~padded
    assert np.array_equal(channel_of(dataset, "inside"), inside)
    assert 0.02 < inside.mean() < 0.9
    notes = " ".join(dataset.meta["notes"])
    assert "intervals of x.bed are on no record that was kept" in notes
    assert "reach beyond their record" in " ".join(dataset.meta["warnings"])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("packed", [False, True])
def test_masks_by_brute_force(tmp_path, seed, packed):
    files = Written(tmp_path, seed)
    values = {
        name: files.random.integers(0, 10, len(text))
        for name, text in files.texts.items()
        if files.random.random() < 0.8
    }
    names = files.random.permutation(list(values)).tolist()
    text = "".join(
        f">{n}\n{''.join(map(str, values[n]))}\n" for n in [*names, "other"] if n in values
    )
    text += ">other\n0110\n"
    (tmp_path / "m").write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    dataset = read_data(tmp_path, **files.toml, channels={"m": "m"})
    assert np.array_equal(channel_of(dataset, "m"), files.expected(dataset, values))
    notes = " ".join(dataset.meta["notes"])
    assert "1 masks of m are of no record that was kept." in notes
    assert "records have no mask in m: they are read as 0." in notes


def test_a_bigwig_whose_sequences_are_records(tmp_path):
    files = Written(tmp_path, 0)
    values = {}
    track = pyBigWig.open(str(tmp_path / "x.bw"), "w")
    kept = sorted(files.texts)[::2]
    track.addHeader([(name, len(files.texts[name])) for name in kept])
    for name in kept:
        size = len(files.texts[name])
        values[name] = files.random.normal(size=size).astype(np.float32)
        values[name][files.random.random(size) < 0.2] = np.nan
        track.addEntries(name, 0, values=values[name].tolist(), span=1, step=1)
    track.close()
    dataset = read_data(tmp_path, **files.toml, channels={"x": "x.bw"})
    expected = np.nan_to_num(files.expected(dataset, values))
    assert np.array_equal(channel_of(dataset, "x"), expected.astype(np.float32))
    assert (expected < 0).mean() > 0.1


def test_strands_of_intervals_count_where_sequences_have_one(tmp_path):
    files = Written(tmp_path, 5)
    plus = files.bed("x.bed", strands="+-.")
    dataset = read_data(tmp_path, "rbp", **files.toml, channels={"x": "x.bed"})
    inside = np.nan_to_num(files.expected(dataset, plus), nan=-99)
    padded = files.expected(dataset, {n: np.ones(len(t)) for n, t in files.texts.items()}) == 0
    assert np.array_equal(channel_of(dataset, "x"), (inside != -99) & ~padded)


def test_shuffles_have_no_channel_and_test_files_have_theirs(tmp_path):
    files = Written(tmp_path, 1, count=80)
    names = list(files.texts)
    # some of the test file are in the other, too, under the same name
    files.fasta("p.fa", names[:90])
    files.fasta("t.fa", names[80:])
    (tmp_path / "all.bed").write_text("".join(f"{name} 0 90\n" for name in names))
    toml = {**files.toml, "negatives": "shuffle", "test_positives": "t.fa"}
    dataset = read_data(tmp_path, **toml, channels={"all": "all.bed"})
    label = dataset.columns["label"].take(np.arange(len(dataset.split)))
    found = channel_of(dataset, "all")
    known = dataset.codes(np.arange(len(dataset.split))) != 4
    assert np.array_equal(found[label == 1], known[label == 1])
    assert not found[label == 0].any()
    assert (dataset.split == TEST).sum() > 100
    assert any("of p.fa from training" in note for note in dataset.meta["notes"])


def test_records_of_several_labels(tmp_path):
    files = Written(tmp_path, 2, count=100)
    names = list(files.texts)
    files.fasta("p.fa", names)
    lines = [f"{name}\t{number % 2}\t{number % 3 == 0:d}\n" for number, name in enumerate(names)]
    (tmp_path / "labels.tsv").write_text("id\ta\tb\n" + "".join(lines))
    values = files.bed("x.bed")
    dataset = read_data(
        tmp_path,
        "multitask",
        positives="p.fa",
        labels="labels.tsv",
        length=LENGTH,
        fit="centre",
        channels={"x": {"file": "x.bed", "value": "score"}},
    )
    expected = np.nan_to_num(files.expected(dataset, values))
    np.testing.assert_allclose(channel_of(dataset, "x"), expected, rtol=1e-6)


def test_a_table_of_simdna(tmp_path):
    files = Written(tmp_path, 3)
    files.texts = {name: (text * 3)[:LENGTH] for name, text in files.texts.items()}
    lines = [f"{n}\t{text}\t\t{i % 2}\n" for i, (n, text) in enumerate(files.texts.items())]
    table = "seqName\tsequence\tembeddings\ty\n" + "".join(lines)
    (tmp_path / "x.simdata").write_text(table)
    values = files.bed("x.bed")
    channels = {"x": {"file": "x.bed", "value": "score"}}
    dataset = read_data(tmp_path, simdata="x.simdata", channels=channels)
    expected = np.nan_to_num(files.expected(dataset, values))
    np.testing.assert_allclose(channel_of(dataset, "x"), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s0 0 5\n", "{}"),
        ("r0 0 5\n", r"x: line 1: no record is called 'r0', and no other interval lies on a"),
        ("s0 90 95\n", r"x: line 1: 90-95 is outside record 's0', which has [0-9]+ bases"),
        (">s0\n01\n", r"x: mask 's0' has 2 digits, and its record [0-9]+ bases; write one digit"),
        (">r0\n01\n", r"x: no record is called 'r0', and no other mask has the name of one"),
        (">r0\n01x\n", r"x: record 'r0', position 3: 'x' is no digit; write 0 or 1"),
        (">r0\n01\n>r0\n01\n", r"x: two masks are called 'r0'; names must differ"),
        (">r0\n\n", r"x: mask 'r0' is empty"),
        ("", r"x: no intervals"),
        ("s0 0\n", r"x: line 1: 2 column"),
    ],
)
def test_files_that_are_no_channel(tmp_path, text, message):
    files = Written(tmp_path, 0)
    (tmp_path / "x").write_text(text)
    if message == "{}":
        assert read_data(tmp_path, **files.toml, channels={"c": "x"}).channels == ["c"]
        return
    with pytest.raises(UserError, match=message) as error:
        read_data(tmp_path, **files.toml, channels={"c": "x"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s0 0 5\n", r"line 1: score \(column 4\) is '', not a number; write one in column 5"),
        ("s0 0 5 a b\n", r"line 1: score \(column 5\) is 'b', not a number"),
        ("s0 0 5 a nan +\n", r"line 1: score \(column 5\) is 'nan', not a number"),
        ("s0 0 5 1e300\n", r"line 1: score \(column 4\) is '1e300', not a number"),
        (">s0\n01\n", r"data.toml: channels.c: value = 'score' is for BED, and x is a mask"),
    ],
)
def test_scores_that_are_none(tmp_path, text, message):
    files = Written(tmp_path, 0)
    (tmp_path / "x").write_text(text)
    with pytest.raises(UserError, match=message):
        read_data(tmp_path, **files.toml, channels={"c": {"file": "x", "value": "score"}})


def test_a_bedgraph_has_its_scores_in_column_4(tmp_path):
    files = Written(tmp_path, 0)
    (tmp_path / "x").write_text("s0\t0\t90\t-2.5\ns1\t0\t90\t3\n")
    table = {"c": {"file": "x", "value": "score"}}
    found = channel_of(read_data(tmp_path, **files.toml, channels=table), "c")
    assert set(np.unique(found).tolist()) == {-2.5, 0.0, 3.0}


def test_two_records_of_one_name_are_refused_where_a_channel_has_it(tmp_path):
    files = Written(tmp_path, 0)
    text = (tmp_path / "p.fa").read_text().replace(">s1 ", ">s0 ")
    (tmp_path / "p.fa").write_text(text)
    (tmp_path / "x").write_text("s2 0 5\n")
    read_data(tmp_path, **files.toml, channels={"c": "x"})
    (tmp_path / "x").write_text("s2 0 5\ns0 0 5\n")
    with pytest.raises(UserError, match=r"x: 's0' is the name of more than one record"):
        read_data(tmp_path, **files.toml, channels={"c": "x"})
