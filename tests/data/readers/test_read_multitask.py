"""Sequences with several labels: what is read, what is dropped, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.damage import MANY, damaged, result_or_line
from hypothesis import given

from priorbench import UserError
from priorbench.components import registry
from priorbench.data.codes import SPLITS, TEST
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.readers.sequences.label_table import read_labels
from priorbench.encoding import decode, encode, reverse_complement

TOML = 'task = "multitask"\npositives = "windows.fa"\nlabels = "labels.tsv"\n'


def texts(count: int, seed: int = 0) -> list[str]:
    codes = np.random.default_rng(seed).integers(0, 4, (count, 40)).astype(np.uint8)
    return [decode(row) for row in codes]


def write(folder: Path, sequences: list[str], lines: list[str], header: str) -> Path:
    records = "".join(f">w{i} more\n{text}\n" for i, text in enumerate(sequences))
    (folder / "windows.fa").write_text(records)
    (folder / "labels.tsv").write_text("\n".join([header, *lines]) + "\n")
    (folder / "data.toml").write_text(TOML)
    return folder / "data.toml"


def read(toml: Path, spec: str = "multitask", **more: Any) -> tuple[Dataset, list[str]]:
    target = toml.parent / "encoded"
    with DatasetWriter(target) as writer:
        registry.build("task", spec).read(writer, load_data_file(toml), np.random.default_rng(0))
        notes = list(writer.notes.sentences)
        writer.finish()
    return load_dataset(target), notes


def labelled(count: int, *, split: bool) -> list[str]:
    names = ("train", "train", "valid", "test")
    return [
        f"w{i}\t{names[i % 4]}\t{i % 2}\t1" if split else f"w{i}\t{i % 2}\t1" for i in range(count)
    ]


def test_sequences_labels_and_splits_are_those_of_the_files(tmp_path: Path) -> None:
    sequences = texts(40)
    shuffled = labelled(40, split=True)[::-1]  # the table may have another order
    toml = write(tmp_path, sequences, shuffled, "id\tsplit\tFOS\tJUN")
    dataset, notes = read(toml)
    assert [decode(row) for row in dataset.codes(np.arange(40))] == sequences
    label = dataset.columns["label"].take(np.arange(40))
    assert label.tolist() == [[i % 2, 1] for i in range(40)]
    assert [SPLITS[s] for s in dataset.split[:4]] == ["training"] * 2 + ["validation", "test"]
    assert (dataset.split[dataset.attributed] == TEST).all()
    assert len(dataset.attributed) == 10
    assert notes[0] == "2 outputs: FOS, JUN."


def test_only_positives_of_the_wanted_output_are_attributed(tmp_path: Path) -> None:
    lines = [f"w{i}\t{('train', 'valid', 'test')[i % 3]}\t{i % 2}\t1" for i in range(60)]
    toml = write(tmp_path, texts(60), lines, "id\tsplit\tFOS\tJUN")
    dataset, _ = read(toml, "multitask:output=1")
    assert dataset.columns["label"].take(dataset.attributed)[:, 0].tolist() == [1.0] * 10
    with pytest.raises(UserError, match="output 3 is beyond the 2 outputs"):
        read(toml, "multitask:output=3")


def test_known_sites_are_noted_first(tmp_path: Path) -> None:
    rows = "\n".join(["0.97 0.01 0.01 0.01"] * 10)
    (tmp_path / "m.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF m\nletter-probability matrix: w= 10\n" + rows
    )
    toml = write(tmp_path, texts(40), labelled(40, split=True), "id\tsplit\tFOS\tJUN")
    toml.write_text(TOML + 'motifs = "m.meme"\n')
    _, notes = read(toml)
    assert notes[0].startswith("Known sites of m.meme are in")
    assert notes[1] == "2 outputs: FOS, JUN."


def test_without_a_column_split_repeats_and_reverse_complements_share_one(tmp_path: Path) -> None:
    once = texts(100)
    turned = [decode(reverse_complement(encode(text.encode()))) for text in once]
    lines = labelled(200, split=False)
    dataset, _ = read(write(tmp_path, once + turned, lines, "id\tFOS\tJUN"))
    assert np.array_equal(dataset.split[:100], dataset.split[100:])
    assert np.bincount(dataset.split).min() > 5


def test_what_is_in_a_later_split_too_and_what_is_all_n_is_dropped(tmp_path: Path) -> None:
    sequences = texts(40)
    sequences[0] = sequences[3]  # of training and test
    sequences[4] = sequences[7] = "N" * 40  # of training and test
    dataset, notes = read(write(tmp_path, sequences, labelled(40, split=True), "id\tsplit\ta\tb"))
    kept = [text for i, text in enumerate(sequences) if i not in (0, 4, 7)]
    assert [decode(row) for row in dataset.codes(np.arange(37))] == kept
    assert len(dataset.split) == 37
    assert "Dropped 1 sequences that are in a later split too." in notes
    assert "Dropped 2 sequences of windows.fa: all N." in notes
    assert len(dataset.attributed) == 9


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("name\ta", "w0\t1", r"labels.tsv: line 1 must name the columns"),
        ("id\ta\tsplit", "w0\t1\ttrain", "line 1: column split must be the second"),
        ("id\ta\ta", "w0\t1\t1", "line 1: every output needs a column with a name of its own"),
        ("id\tsplit", "w0\ttrain", "line 1: every output needs a column"),
        ("id\ta", "w0\t1\t0", "line 2 has 3 columns, wanted 2"),
        ("id\ta", "w0\t0.5", "line 2: a = '0.5' is neither 0 nor 1"),
        ("id\tsplit\ta", "w0\tdev\t1", "line 2: split 'dev' is not train, valid or test"),
        ("id\ta", "w0\t1\nw0\t1", "line 3: id 'w0' occurs twice"),
        ("id\ta", "", "no labels below the names"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, header: str, line: str, message: str) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text(f"{header}\n{line}\n")
    with pytest.raises(UserError, match=message):
        read_labels(path)


def test_records_and_lines_must_belong_together(tmp_path: Path) -> None:
    header = "id\tsplit\ta\tb"
    lines = labelled(8, split=True)
    with pytest.raises(UserError, match="record 'w7' has no line in"):
        read(write(tmp_path, texts(8), lines[:7], header))
    _, notes = read(write(tmp_path, texts(8), [*lines, "w99\ttrain\t1\t1"], header))
    assert notes[-1] == "1 ids of labels.tsv have no sequence."
    (tmp_path / "windows.fa").write_text(">w0\nACGT\n>w0\nACGA\n")
    with pytest.raises(UserError, match="record 'w0' occurs twice"):
        read(tmp_path / "data.toml")
    only = [line.replace("test", "train") for line in lines]
    with pytest.raises(UserError, match="left for test, of 8 in all; check column split"):
        read(write(tmp_path, texts(8), only, header))
    none = [line[: line.rindex("\t") - 1] + "0\t0" for line in lines]
    with pytest.raises(UserError, match="no test sequence has a positive label to attribute"):
        read(write(tmp_path, texts(8), none, header))


def test_near_identical_sequences_stay_in_one_split(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 4, (100, 46)).astype(np.uint8)
    sequences = [decode(row[at : at + 40]) for at in (0, 3, 6) for row in codes]
    toml = write(tmp_path, sequences, labelled(300, split=False), "id\tFOS\tJUN")
    dataset, notes = read(toml)
    split = dataset.split.reshape(3, 100)
    assert (split == split[0]).all()
    assert set(split[0].tolist()) == {0, 1, 2}
    assert "300 sequences are near-identical to another one; they form 100 groups" in notes[0]
    given = write(tmp_path, sequences, labelled(300, split=True), "id\tsplit\tFOS\tJUN")
    dataset, _ = read(given)
    # a split that is given is not changed
    assert np.bincount(dataset.split).tolist() == [150, 75, 75]


def test_sequences_are_fitted_and_sites_move_with_them(tmp_path: Path) -> None:
    sequences = [text[: 30 + i % 11] for i, text in enumerate(texts(40))]
    sequences[5] = "R" + sequences[5][1:]
    toml = write(tmp_path, sequences, labelled(40, split=True), "id\tsplit\tFOS\tJUN")
    with pytest.raises(UserError, match=r"windows\.fa: sequences of 30 to 40 bases; all must have"):
        read(toml)
    sites = [(f"w{i}", i % 7 + 3, i % 7 + 9) for i in range(40)]
    lines = [f"{name}\t{start}\t{end}\n" for name, start, end in [*sites, ("w99", 1, 4)]]
    (tmp_path / "s.bed").write_text("".join(lines))
    toml.write_text(TOML + 'length = 35\nfit = "centre"\nsites = "s.bed"\n')
    dataset, notes = read(toml)
    assert dataset.truth is not None
    for row, truth in zip(dataset.attributed.tolist(), dataset.truth, strict=True):
        offset = len(sequences[row]) // 2 - 35 // 2
        start = row % 7 + 3 - offset
        assert np.flatnonzero(truth).tolist() == list(range(max(start, 0), start + 6))
    sizes = np.array(list(map(len, sequences)))
    assert (
        f"Brought to 35 bases around the centre in windows.fa: {(sizes > 35).sum()} sequences "
        f"cropped, {(sizes < 35).sum()} padded with N." in notes
    )
    assert (
        "Read 1 bases of 1 sequences of windows.fa as N: IUPAC codes such as R for A or G." in notes
    )
    assert "Dropped 1 sites of s.bed: no positive of that name." in notes


@pytest.mark.parametrize("record", ["track", "browser"])
def test_sites_of_a_record_called_like_a_line_for_browsers_count(
    tmp_path: Path, record: str
) -> None:
    toml = write(tmp_path, texts(40), labelled(40, split=True), "id\tsplit\tFOS\tJUN")
    for name, old in (("windows.fa", ">w3 "), ("labels.tsv", "w3\t")):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace(old, old.replace("w3", record)))
    sites = [f"{record if i == 3 else f'w{i}'}\t5\t9\n" for i in range(40)]
    (tmp_path / "s.bed").write_text(f"track name=sites\n{''.join(sites)}")
    toml.write_text(TOML + 'sites = "s.bed"\n')
    dataset, _ = read(toml)
    assert dataset.truth is not None
    assert 3 in dataset.attributed.tolist()
    assert [np.flatnonzero(row).tolist() for row in dataset.truth] == [[5, 6, 7, 8]] * 10


def test_simdata_gives_every_column_of_labels(tmp_path: Path) -> None:
    rows = ["seqName\tsequence\tembeddings\tFOS\tJUN"]
    for i, text in enumerate(texts(200)):
        letters = text[:4] + "TGAGTCA" + text[11:]
        rows.append(f"s{i}\t{letters}\tpos-4_AP1-TGAGTCA\t{i % 2}\t1")
    (tmp_path / "x.simdata").write_text("\n".join(rows) + "\n")
    toml = tmp_path / "data.toml"
    toml.write_text('task = "multitask"\nsimdata = "x.simdata"\n')
    dataset, notes = read(toml)
    assert dataset.columns["label"].take(np.arange(200)).tolist() == [
        [i % 2, 1] for i in range(200)
    ]
    assert "2 outputs: FOS, JUN." in notes
    assert dataset.truth is not None
    assert (np.flatnonzero(dataset.truth.any(axis=0)) == np.arange(4, 11)).all()
    (tmp_path / "x.simdata").write_text("seqName\tsequence\ns0\tACGT\n")
    with pytest.raises(UserError, match="no column of labels"):
        read(toml)


GOOD = b"id\tsplit\ta\tb\nw0\ttrain\t1\t0\nw1\tvalid\t0\t1\nw2\ttest\t1.0\t0.0\n"


@MANY
@given(contents=damaged(GOOD))
def test_damaged_tables_give_all_lines_or_one_line(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "labels.tsv"
    path.write_bytes(contents)
    table = result_or_line(lambda: read_labels(path), path)
    if table is None:
        return
    lines = contents.replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert len(table.row) == len(table.values) == sum(bool(line.strip()) for line in lines) - 1
    assert set(np.unique(table.values)) <= {0, 1}
