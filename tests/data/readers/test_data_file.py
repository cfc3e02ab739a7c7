from __future__ import annotations

from pathlib import Path

import pytest

from priorbench.data.readers.data_file import DataFile, load_data_file
from priorbench.errors import UserError

PAIR = 'task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\n'
GENOME = 'task = "binary"\ngenome = "g.fa"\npeaks = "x.bed"\nlength = 100\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ["p.fa", "n.fa", "tp.fa", "tn.fa", "g.fa", "x.bed", "s.bed", "m.meme", "plus.bw"]
    for name in names:
        (tmp_path / name).touch()
    return tmp_path


def load(folder: Path, text: str) -> DataFile:
    path = folder / "mine.toml"
    path.write_text(text)
    return load_data_file(path)


def test_fasta_pair(folder: Path) -> None:
    data = load(folder, PAIR + 'test_positives = "tp.fa"\ntest_negatives = "tn.fa"\nlength = 5\n')
    assert (data.name, data.task, data.length) == ("mine", "binary", 5)
    assert data.source == folder / "mine.toml"
    assert [path.name for path in data.paths().values()] == ["p.fa", "n.fa", "tp.fa", "tn.fa"]
    assert data.positives == folder / "p.fa"


def test_genome(folder: Path) -> None:
    data = load(
        folder,
        GENOME + 'name = "mine too"\nsites = "s.bed"\n'
        'valid_regions = ["chr8"]\ntest_regions = ["chr1", "chr2:1-5"]\n',
    )
    assert (data.name, data.valid_regions) == ("mine too", ("chr8",))
    assert data.test_regions == ("chr1", "chr2:1-5")
    assert [path.name for path in data.paths().values()] == ["g.fa", "x.bed", "s.bed"]


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    path = folder / "sub" / "d.toml"
    path.write_text(PAIR.replace('"p', '"../p').replace('"n.', f'"{folder}/n.'))
    monkeypatch.chdir(folder)
    data = load_data_file(Path("sub/d.toml"))
    assert all(file.is_file() for file in data.paths().values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAIR + 'motif = "m.meme"', "unknown key 'motif'; did you mean 'motifs'"),
        (PAIR + "[extra]\na = 1", "unknown key 'extra'"),
        (PAIR + 'source = "x"', "unknown key 'source'"),
        (PAIR + "length = ", "not valid TOML"),
        (PAIR + "task = 1", "not valid TOML"),
        (PAIR + "length = 0", "length = 0: give a number that is at least 1"),
        (PAIR + 'length = "5"', "length = '5': give a whole number"),
        (PAIR + "motifs = 5", "motifs = 5: give the path of a file, in quotes"),
        (PAIR + 'name = ""', "name = ''"),
        (GENOME + 'valid_regions = "chr1"', "valid_regions = 'chr1': give a list"),
        (PAIR.replace("binary", ""), "task = ''"),
        (PAIR.replace('task = "binary"', ""), "key 'task' is missing"),
        (PAIR.replace("p.fa", "gone.fa"), "positives: .*gone.fa: no such file"),
        (PAIR.replace("p.fa", "."), "positives: .*: is a folder; give a file"),
        (
            GENOME + 'merge_peaks = "window"',
            "'window': give none, summits or windows",
        ),
        (PAIR + 'merge_peaks = "none"', "are given together"),
        (GENOME + "signal_scale = 2", "key 'signal_scale' does not belong to task 'binary'"),
        *(
            (GENOME.replace("binary", "profile") + f"signal_scale = {value}", "signal_scale = ")
            for value in ("0", "-1.5", "nan", "inf", '"2"', "true")
        ),
        (PAIR + 'plus = "plus.bw"', "key 'plus' does not belong to task 'binary'.*profile"),
        (PAIR.replace("binary", "multitask"), "'negatives' does not belong to task 'multitask'"),
        (
            PAIR.replace("binary", "syntax") + 'plus = "x.bw"',
            "'plus' does not belong to task 'syntax'",
        ),
        (PAIR + 'labels = "x.tsv"', "key 'labels' does not belong.*multitask"),
        (PAIR + 'covered = "x.bed"', "'positives' .FASTA. and 'covered' .genome. are given"),
        (PAIR + 'signal = "x.bw"', "key 'signal' does not belong"),
        (PAIR + 'control_minus = "x.bw"', "key 'control_minus' does not belong"),
        (PAIR + 'genome = "g.fa"', "'positives' .FASTA. and 'genome' .genome. are given together"),
        (PAIR + 'fit = "centre"', "'fit' is given without 'length'; add 'length'"),
        (PAIR + 'fit = "left"', "fit = 'left'"),
        (GENOME + 'fit = "centre"', "'genome' and 'fit' are given together"),
        (PAIR + 'label = "a"', "'label' is given without 'simdata'"),
        (PAIR + 'simdata = "p.fa"', "'simdata' and 'positives' are given together"),
        ('task = "binary"\nsimdata = "p.fa"\nsites = "s.bed"', "'simdata' and 'sites' are given"),
        ('task = "binary"\nnegatives = "shuffle"', "no data for task 'binary'"),
        (GENOME + 'test_positives = "tp.fa"', "are given together"),
        ('task = "binary"', "no data for task 'binary'"),
        ('task = "binary"\npositives = "p.fa"', "'positives' is given without 'negatives'"),
        (PAIR + 'test_positives = "tp.fa"', "'test_positives' is given without 'test_negatives'"),
        (
            'task = "binary"\ntest_positives = "tp.fa"\ntest_negatives = "tn.fa"',
            "'test_positives' is given without 'positives'",
        ),
        ('task = "binary"\ngenome = "g.fa"\nlength = 9', "'genome' is given without 'peaks'"),
        ('task = "binary"\npeaks = "x.bed"\nlength = 9', "'peaks' is given without 'genome'"),
        (GENOME.replace("length = 100", ""), "'length' is missing"),
        (GENOME + 'valid_regions = ["a"]', "'valid_regions' is given without 'test_regions'"),
        (GENOME + 'sites = "s.bed"\nmotifs = "m.meme"', "'motifs' and 'sites' are given together"),
        (PAIR + 'channels = "s.bed"', "channels = 's.bed': give a table, such as .channels. with"),
        (PAIR + "[channels]\n", "channels = a table: name a channel below it"),
        (PAIR + "[channels]\na = 5", "channels = a table: a: give the path of a file, in quotes"),
        (PAIR + "[channels]\na = {}", "a: give the path of a file, in quotes, or a table such as"),
        (PAIR + '[channels]\na = ""', "channels = a table: a: give the path of a file, in quotes"),
        (PAIR + '[channels]\na = "gone.bed"', "channels.a: .*gone.bed: no such file; check the"),
        (PAIR + '[channels]\na = "."', "channels.a: .*: is a folder; give a file"),
        (
            PAIR + '[channels]\na = {file = "s.bed", value = "signal"}',
            "channels.a.value = 'signal': give inside or score",
        ),
        (
            PAIR + '[channels]\na = {file = "s.bed", valeu = "score"}',
            "channels.a: unknown key 'valeu'; did you mean 'value'",
        ),
        *(
            (PAIR + f'[channels]\n"{name}" = "s.bed"', "is the name of a channel; begin it with a")
            for name in ("", "a.b", "a b", "1a", "a:b", "a=b", "a+b", "-a", "a" * 61, "ä")
        ),
        (
            PAIR + '[channels]\na = "s.bed"\nA = "s.bed"',
            "a and A differ in upper and lower case only; rename one",
        ),
    ],
)
def test_errors_are_one_line_that_names_file_and_key(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(folder, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(folder / "mine.toml"))


def test_missing_and_binary_files(folder: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_data_file(folder / "gone.toml")
    (folder / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not a text file"):
        load_data_file(folder / "b.toml")


def test_other_tasks_keep_their_keys(folder: Path) -> None:
    text = GENOME.replace("binary", "profile") + 'plus = "plus.bw"\nminus = "plus.bw"\n'
    assert load(folder, text).plus == folder / "plus.bw"
    assert load(folder, PAIR.replace("binary", "a-plug-in")).task == "a-plug-in"


def test_channels_are_files_or_tables(folder: Path) -> None:
    table = '[channels]\nmotif = "s.bed"\nphylo-P_2 = {file = "x.bed", value = "score"}\n'
    data = load(folder, PAIR + table)
    assert data.channels is not None
    assert {n: (c.file, c.value) for n, c in data.channels.items()} == {
        "motif": (folder / "s.bed", "inside"),
        "phylo-P_2": (folder / "x.bed", "score"),
    }
    paths = {key: path.name for key, path in data.paths().items()}
    assert paths["channels.motif"] == "s.bed"
    assert paths["channels.phylo-P_2"] == "x.bed"
