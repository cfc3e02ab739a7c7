"""Tables of variants: what is read, what is left out, what is refused, and what is stored."""

import json

import numpy as np
import pytest
from fixtures.damage import MANY, damaged, result_or_line
from hypothesis import given

from priorbench import UserError
from priorbench.data.codes import VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import META, DatasetWriter
from priorbench.data.readers.data_file import DataFile, load_data_file
from priorbench.data.readers.sequences.variant_table import read_variants
from priorbench.encoding import decode
from priorbench.storage.sealed_files import DamagedFile

ELEMENTS = ">F9 chrX\nACGT\nAC\n>HBB\ntuRA\n"
HEADER = "element\tposition\tref\talt\teffect"
LINES = ["F9\t1\tC\tA\t0.5", "F9\t0\tA\tT\t-1.25", "HBB\t0\tT\tG\t0", "HBB\t1\tu\tC\t2"]


def data_file(folder, header=HEADER, lines=LINES, elements=ELEMENTS):
    (folder / "effects.tsv").write_text("\n".join([header, *lines]) + "\n")
    (folder / "elements.fa").write_text(elements)
    return DataFile(
        source=folder / "data.toml",
        task="binary",
        name="data",
        variants="effects.tsv",
        elements="elements.fa",
    )


def write(folder, data):
    """A dataset of three examples, with the variants of a data file, and its notes."""
    with DatasetWriter(folder) as writer:
        read_variants(writer, data)
        codes = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
        writer.append(codes, np.ones(3, np.float32), np.arange(3, dtype=np.uint8))
        writer.attribute(np.array([1, 2]))
        writer.finish()
        return writer.notes.sentences


def read(tmp_path, **contents):
    notes = write(tmp_path / "encoded", data_file(tmp_path, **contents))
    return load_dataset(tmp_path / "encoded").variants, notes


def refusal(tmp_path, **contents):
    with pytest.raises(UserError) as caught:
        read(tmp_path, **contents)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(tmp_path), ".")


def test_variants_are_those_of_the_table_in_the_order_of_the_elements(tmp_path):
    table, notes = read(tmp_path)
    assert table.names == ("F9", "HBB")
    assert table.lengths.tolist() == [6, 4]
    assert [decode(row) for row in table.codes] == ["ACGTAC", "TTNANN"]
    assert table.place.tolist() == [[0, 0, 0, 3], [0, 1, 1, 0], [1, 0, 3, 2], [1, 1, 3, 1]]
    assert table.effect.tolist() == [-1.25, 0.5, 0, 2]
    assert table.weight.tolist() == [1, 1, 1, 1]
    assert np.isnan(table.measured[:, 2]).all()
    text = "effects.tsv: measured effects of 4 variants of 2 elements of 4 to 6 bp; 2 are strong"
    assert any(note.startswith(text) for note in notes)
    assert any("IUPAC" in note for note in notes)
    assert any("Elements of effects.tsv with fewer than 3 variants (2)" in note for note in notes)


def test_columns_have_any_order_and_further_ones_are_ignored(tmp_path):
    header = "split\talt\tweight\tref\trecord\tconfidence\teffect\tposition\tdisregard"
    lines = [
        "x\tA\t2\tC\tF9\t0.3\t0.5\t1\t0",
        "x\tT\t0\tA\tF9\t0.05\t-1\t0\tfalse",
        "x\tnot read\t\t\tF9\t\t\t\t1",
        "x\tG\t1e1\tT\tHBB\t1\t1\t0\t",
    ]
    table, notes = read(tmp_path, header=header, lines=lines)
    assert table.weight.tolist() == [0, 2, 10]
    assert table.confidence.tolist() == [0.05, 0.3, 1]
    assert table.strong.tolist() == [True, False, True]  # the largest of each element
    assert "Dropped 1 variants of effects.tsv: to be disregarded." in notes


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F9\t1\tG\tA\t0.5", "ref is G, but base 1 of 'F9' is C in ./elements.fa; count positions"),
        ("HBB\t2\tA\tC\t0.5", "ref is A, but base 2 of 'HBB' is N in"),
        ("F8\t1\tC\tA\t0.5", "element 'F8' is not in ./elements.fa; add its sequence"),
        ("F9\t6\tC\tA\t0.5", "position = '6' is not in element 'F9', whose 6 bases are 0 to 5"),
        ("F9\t-1\tC\tA\t0.5", "position = '-1' is not in element 'F9'"),
        ("F9\t1.0\tC\tA\t0.5", "position = '1.0' is not in element"),
        ("F9\t1\tC\tC\t0.5", "ref and alt are both C; remove the line"),
        ("F9\t1\tC\tAA\t0.5", "alt = 'AA' is not one base of ACGT; only substitutions"),
        ("F9\t1\tC\t-\t0.5", "alt = '-' is not one base of ACGT"),
        ("F9\t1\t\tA\t0.5", "ref = '' is not one base of ACGT"),
        ("F9\t2\tG\tA\tnan", "effect = 'nan' is not a finite number; mend it or remove the line"),
        ("F9\t2\tG\tA\t", "effect = '' is not a finite number"),
        ("HBB\t0\tT\tG\t9", "the variant is also on line 4; give its effect once"),
        ("F9\t1\tC\tA", "has 4 columns, wanted 5; separate them by tabs"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_the_fix(tmp_path, line, says):
    text = refusal(tmp_path, lines=[*LINES, line])
    assert text.startswith("./effects.tsv: line 6")
    assert says in text


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("weight", "-1", "weight = '-1' is not a number that is at least 0"),
        ("weight", "inf", "weight = 'inf' is not a number"),
        ("confidence", "1.5", "confidence = '1.5' is not a number from 0 to 1"),
        ("disregard", "maybe", "disregard = 'maybe' is neither 0 nor 1"),
    ],
)
def test_optional_columns_are_checked_too(tmp_path, column, value, says):
    lines = [f"{line}\t1" for line in LINES[:3]] + [f"{LINES[3]}\t{value}"]
    assert says in refusal(tmp_path, header=f"{HEADER}\t{column}", lines=lines)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ({"header": "name\tposition\tref\talt\teffect"}, "line 1 has no column element; it must"),
        ({"header": "element\tposition\tref\talt\tx"}, "line 1 has no column effect; it must"),
        ({"header": HEADER.replace("alt", "ref")}, "has no column alt"),
        ({"header": f"{HEADER}\teffect", "lines": []}, "line 1: column effect occurs twice"),
        ({"header": f"{HEADER}\trecord", "lines": []}, "element and record are both there"),
        ({"lines": []}, "effects.tsv: 0 variants to score by; give 3 or more"),
        ({"lines": LINES[:2]}, "effects.tsv: 2 variants to score by"),
        ({"elements": ">F9\nACGT\n>F9\nACGT\n"}, "elements.fa: record 'F9' occurs twice"),
        ({"elements": ">\nACGT\n"}, "elements.fa: record 1 has no name"),
        ({"elements": ""}, "elements.fa: no sequences"),
        ({"elements": ">F9\nACGT-\n"}, "elements.fa: record 'F9', position 5: illegal letter"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, contents, says):
    assert says in refusal(tmp_path, **contents)


def test_a_data_file_names_both_files_or_none(tmp_path):
    for name in ("pos.fa", "neg.fa", "effects.tsv"):
        (tmp_path / name).write_text(">a\nACGT\n")
    toml = tmp_path / "data.toml"
    fasta = 'task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n'
    toml.write_text(fasta + 'variants = "effects.tsv"\n')
    with pytest.raises(UserError, match="'variants' is given without 'elements'; add 'elements'"):
        load_data_file(toml)


def test_variants_have_a_digest_of_their_own(tmp_path):
    """A trial's identity does not change with them, and a change of theirs can be told."""
    without = data_file(tmp_path).model_copy(update={"variants": None, "elements": None})
    write(tmp_path / "none", without)
    write(tmp_path / "some", data_file(tmp_path))
    changed = [LINES[0].replace("0.5", "0.75"), *LINES[1:]]
    write(tmp_path / "others", data_file(tmp_path, lines=changed))
    none, some, others = (load_dataset(tmp_path / name) for name in ("none", "some", "others"))
    assert none.digest == some.digest == others.digest
    assert none.variants is None
    assert none.variants_digest == ""
    assert len({none.variants_digest, some.variants_digest, others.variants_digest}) == 3
    assert "variants" not in json.loads((tmp_path / "none" / META).read_text())
    assert set(some.columns) == set(none.columns)


def test_what_chooses_does_not_see_them_and_damage_is_found(tmp_path):
    write(tmp_path / "encoded", data_file(tmp_path))
    assert load_dataset(tmp_path / "encoded", VALID).variants is None
    path = tmp_path / "encoded" / "variant_measured.npy"
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(DamagedFile, match=r"variant_measured\.npy"):
        load_dataset(tmp_path / "encoded")


@MANY
@given(contents=damaged("\n".join([HEADER, *LINES, ""]).encode()))
def test_damaged_tables_are_read_or_refused_in_a_line(contents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    data = data_file(folder)
    data.variants.write_bytes(contents)
    with DatasetWriter(folder / "encoded") as writer:
        result_or_line(lambda: read_variants(writer, data), data.variants)
