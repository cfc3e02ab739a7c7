"""Files of motifs of several programs: what is read, skipped, numbered, warned of and refused."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priorbench.data.formats.motifs import read_motifs
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError

COUNTS = np.array([[8, 0, 1, 4, 2], [0, 9, 1, 2, 2], [1, 0, 7, 2, 3], [1, 1, 1, 2, 3]])
MATRIX = COUNTS / COUNTS.sum(axis=0)


def rows(counts: np.ndarray = MATRIX) -> str:
    return "".join(" ".join(f"{value:.6f}" for value in position) + "\n" for position in counts.T)


def of_meme(name: str = "m", head: str = "alength= 4 w= 5 nsites= 10 E= 1e-3") -> str:
    return f"MOTIF {name}\n\nletter-probability matrix: {head}\n{rows()}\nURL http://x\n\n"


HEAD = (
    "MEME version 5\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
    "Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
)
FULL = """********
MEME - Motif discovery tool
********
MEME version 5.5.2
ALPHABET= ACGT
Sequence name            Weight Length  Sequence name            Weight Length
1                        1.0000    500  2                        1.0000    500
Background letter frequencies (from file dataset):
A 0.25 C 0.25 G 0.25 T 0.25
MOTIF ACGMN MEME-1\twidth =   5  sites =  10  llr = 80  E-value = 1.2e-005
Simplified        A  8::42
pos.-specific     C  :9:22
Motif ACGMN MEME-1 position-specific scoring matrix
log-odds matrix: alength= 4 w= 5 n= 90 bayes= 3.1 E= 1.2e-005
   100   -800  -100  -100
  -800    180  -800  -100
  -100   -100   140  -100
    60      0     0     0
     0      0    20    20
Motif ACGMN MEME-1 position-specific probability matrix
letter-probability matrix: alength= 4 w= 5 nsites= 10 E= 1.2e-005
"""


def bracketed(letters: str = "ACGT") -> str:
    return "".join(
        f"{letter}  [ {' '.join(map(str, row))} ]\n"
        for letter, row in zip(letters, COUNTS.tolist(), strict=True)
    )


def table(head: str) -> str:
    numbered = enumerate(COUNTS.T.tolist(), start=1)
    return head + "".join(f"{n:02} {' '.join(map(str, row))} N\n" for n, row in numbered)


PLAIN = "".join(" ".join(map(str, row)) + "\n" for row in COUNTS.tolist())
HOMER = ">ACGMN\t1-ACGMN\t6.05\t-237.9\t0\tT:75.0(30%)\n" + rows().replace(" ", "\t")
FILES = {
    "minimal": (HEAD + of_meme("MA1.1 CTCF"), "MA1.1 CTCF"),
    "no announcements": (HEAD + of_meme(head=""), "m"),
    "no blanks behind =": (HEAD + of_meme(head="alength=4 w=5"), "m"),
    "no header": (of_meme(), "m"),
    "RNA": (HEAD.replace("ACGT", "ACGU") + of_meme(), "m"),
    "lower case": (HEAD.replace("ACGT", "acgt") + of_meme(), "m"),
    "full text": (FULL + rows() + "\n-----\n", "MEME-1 (ACGMN)"),
    "old full text": (FULL.replace("ACGMN MEME-1\t", " 1 ") + rows(), "1"),
    "jaspar": (f">MA1.1\tCTCF\n{bracketed()}", "MA1.1 CTCF"),
    "jaspar, RNA": (f">MA1.1\tCTCF\n{bracketed('acgu')}", "MA1.1 CTCF"),
    "pfm with a name": (f">MA1.1 CTCF\n{PLAIN}", "MA1.1 CTCF"),
    "pfm": (PLAIN, "x"),
    "homer": (HOMER, "1-ACGMN"),
    "cluster-buster": (f">m\n{rows()}", "m"),
    "transfac": (
        table("AC MA1.1\nXX\nID CTCF\nXX\nP0      a     c     g     t\n") + "XX\n//\n",
        "MA1.1 CTCF",
    ),
    "cis-bp": (table("TF\tX\nMotif\tM1.02\nPos\tA\tC\tG\tT\n"), "M1.02"),
}


def read(folder: Path, text: str) -> tuple[dict[str, np.ndarray], Notes]:
    path, notes = folder / "x.txt", Notes()
    path.write_bytes(text.encode())
    return read_motifs(path, notes), notes


@pytest.mark.parametrize("kind", FILES)
def test_every_format_gives_the_same_matrix(tmp_path: Path, kind: str) -> None:
    text, name = FILES[kind]
    for changed in (text, "\ufeff" + text, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        motifs, notes = read(tmp_path, changed)
        assert list(motifs) == [name]
        np.testing.assert_allclose(motifs[name], MATRIX, atol=1e-5)
        assert not notes.sentences
        assert not notes.warnings
    (tmp_path / "x.gz").write_bytes(gzip.compress(text.encode()))
    (matrix,) = read_motifs(tmp_path / "x.gz", Notes()).values()
    np.testing.assert_allclose(matrix, MATRIX, atol=1e-5)


@pytest.mark.parametrize("mark", ["[", "[ ]", "|", ":", ">", "//", "#"])
@pytest.mark.parametrize("kind", FILES)
def test_lines_of_marks_alone_give_motifs_or_one_line(tmp_path: Path, kind: str, mark: str) -> None:
    lines = FILES[kind][0].splitlines()
    for place in range(len(lines) + 1):
        text = "\n".join([*lines[:place], mark, *lines[place:]])
        with suppress(UserError):
            assert read(tmp_path, text)[0]


def test_columns_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    turned = rows(MATRIX[::-1])
    text = HEAD.replace("= ACGT", "= TGCA") + of_meme().replace(rows(), turned)
    motifs, _ = read(tmp_path, text)
    np.testing.assert_allclose(motifs["m"], MATRIX, atol=1e-5)


def test_a_matrix_of_four_positions_is_read_in_the_direction_whose_sums_are_alike(
    tmp_path: Path,
) -> None:
    counts = np.array([[8, 0, 1, 4], [1, 9, 1, 2], [1, 0, 7, 2], [0, 1, 1, 2]])
    by_base = "".join(" ".join(map(str, row)) + "\n" for row in counts.tolist())
    by_position = "".join(" ".join(map(str, row)) + "\n" for row in counts.T.tolist())
    for text in (by_base, by_position):
        motifs, _ = read(tmp_path, f">m\n{text}")
        np.testing.assert_allclose(motifs["m"], counts / 10)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "MOTIF CTCF\n\n" + of_meme("AP1") + "MOTIF last\n",
        f">CTCF\n>AP1\n{PLAIN}>last\n",
        "AC CTCF\n//\n" + table("AC AP1\nP0 A C G T\n") + "//\nAC last\n//\n",
    ],
)
def test_a_motif_without_a_matrix_is_skipped_and_renames_none(tmp_path: Path, text: str) -> None:
    motifs, notes = read(tmp_path, text)
    assert list(motifs) == ["AP1"]
    assert notes.sentences == ["Skipped 2 motifs of x.txt that have no matrix (CTCF, last)."]


def test_repeated_names_are_numbered_and_counted(tmp_path: Path) -> None:
    motifs, notes = read(tmp_path, HEAD + of_meme() + of_meme("m (2)") + of_meme() + of_meme("n"))
    assert list(motifs) == ["m", "m (2)", "m (3)", "n"]
    assert notes.sentences == ["Numbered 1 motifs of x.txt whose name another one has (m (3))."]


def test_motifs_that_say_nothing_are_warned_of(tmp_path: Path) -> None:
    flat = rows(np.full((4, 5), 0.25))
    _, notes = read(tmp_path, HEAD + of_meme() + of_meme("flat").replace(rows(), flat))
    (warning,) = notes.warnings
    assert warning.startswith("1 motifs of x.txt say nothing")
    assert "(flat)" in warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no matrices; give a file of MEME"),
        (HEAD, "no matrices"),
        (HEAD + "MOTIF a\nMOTIF b\n", "no matrices but 2 names"),
        ("<?xml version='1.0'?><MEME>", "XML or HTML; give the text"),
        ("PK\0\3", "not a text file"),
        (HEAD + of_meme().replace("0.800000", "x"), r"motif 'm' \(line 10\): line 13 holds what"),
        (HEAD + of_meme().replace(rows(), ""), r"motif 'm' \(line 10\): 0 complete positions"),
        (HEAD + of_meme().replace("0.900000", "x"), "line 14 holds what is not a number"),
        (HEAD + of_meme().replace("0.900000", "nan"), "line 14 holds what is not a number"),
        (HEAD + of_meme().replace("0.900000", "90"), "no probabilities"),
        (HEAD + of_meme().replace("0.900000", "-0.9"), "negative values"),
        (HEAD + of_meme().replace("w= 5", "w= 6"), "5 complete positions, wanted w= 6"),
        (HEAD + of_meme().replace("w= 5", "w= 4"), "5 complete positions, wanted w= 4"),
        (HEAD + of_meme().replace("w= 5", "w= five"), "w= five is not a number"),
        (HEAD + of_meme(head="") + rows(), "numbers that belong to no matrix"),
        (HEAD + rows() + of_meme(), "numbers that belong to no matrix"),
        (HEAD + of_meme().replace("MOTIF m", ""), "a matrix without a MOTIF line"),
        (HEAD + of_meme() + of_meme().replace("MOTIF m", ""), "a matrix without a MOTIF line"),
        (HEAD.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY") + of_meme(), "none of proteins"),
        (HEAD + of_meme(head="alength= 20 w= 5"), "an alphabet of 20 letters; .* none of proteins"),
        (f">m\n{bracketed('ACGX')}", "rows A, C, G, X, wanted A, C, G and T"),
        (f">m\n{bracketed('ACGG')}", "rows A, C, G, G, wanted A, C, G and T"),
        (f">m\n{PLAIN}1 2 3 4 5\n", "line 2 has 5 numbers, wanted 4"),
        (">m\n" + PLAIN.replace("8 0 1", "8 1"), "line 3 has 5 numbers, wanted 4"),
        (">m\n" + PLAIN.replace("8", "0").replace("1", "0"), "position 1 is zero for every base"),
        (">seq\nACGTACGTACG\n", "line 2 holds what is not a number"),
        (HOMER.replace("0.800000", "-0.8"), "negative values"),
        (table("P0 A C G T\n") + table("P0 A C G T\n"), "a second matrix"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "x.txt"))
    assert "\n" not in str(caught.value)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(kind=st.sampled_from(sorted(FILES)), data=st.data())
def test_damaged_files_give_matrices_or_one_line(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    text = FILES[kind][0]
    lines = text.splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    way = data.draw(st.sampled_from(["cut", "repeat", "byte", "swap", "blank"]))
    if way == "byte":
        where = data.draw(st.integers(0, len(text) - 1))
        text = text[:where] + data.draw(st.characters(max_codepoint=255)) + text[where + 1 :]
    else:
        fields = lines[place].split()
        other = {
            "cut": [],
            "repeat": [lines[place]] * 2,
            "swap": [" ".join(fields[::-1]) + "\n"],
            "blank": ["\n", lines[place]],
        }
        lines[place : place + 1] = other[way]
        text = "".join(lines)
    with suppress(UserError):
        motifs, notes = read(tmp_path, text)
        assert len(motifs) == 1 or notes.sentences
        for matrix in motifs.values():
            np.testing.assert_allclose(matrix.sum(axis=0), 1)
