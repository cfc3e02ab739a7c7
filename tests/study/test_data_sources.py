"""Files that are given as data and are none, and texts of a study that were written in lines."""

from __future__ import annotations

import pytest

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.components import registry
from priorbench.data.readers.data_file import load_data_file
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.data_sources import encode, fingerprint, sources
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, load_study

DATA = 'task = "binary"\npositives = "x.fa"\nnegatives = "x.fa"\n'


@pytest.fixture
def data_file(tmp_path):
    (tmp_path / "x.fa").touch()
    path = tmp_path / "x.toml"
    path.write_text(DATA)
    return path


@pytest.mark.parametrize("text", ['priors = ["l1"]', 'tasks = ["binary"]', "seeds = 3"])
def test_a_study_is_no_data(tmp_path, text):
    path = tmp_path / "x y.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        sources(Study(data=[path]))
    command = f"`priorbench run '{path}'`"
    assert str(caught.value) == f"{path}: is a study, not a data file; {command} carries it out"


@pytest.mark.parametrize("text", ['nmae = "x"', 'name = "x"', DATA + "seeds = 3\n"])
def test_what_may_be_data_is_told_what_is_wrong_with_it(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"key 'task' is missing|unknown key '(nmae|seeds)'"):
        sources(Study(data=[path]))


def test_a_file_that_is_given_twice(data_file):
    with pytest.raises(UserError) as caught:
        sources(Study(data=[data_file, data_file]))
    assert str(caught.value) == f"{data_file}: is given twice as data; give it once"


def test_two_files_of_one_name(data_file):
    other = data_file.parent / "other.toml"
    other.write_text(f'name = "x"\n{DATA}')
    with pytest.raises(UserError, match="two datasets of task 'binary' are called 'x'; set `name`"):
        sources(Study(data=[data_file, other]))


@pytest.mark.parametrize("text", ['"""\n  What\n  helps?\n"""', '"What\\thelps?"', '"What helps?"'])
def test_a_question_of_several_lines_is_one(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(f"question = {text}\n")
    assert load_study(path).question == "What helps?"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--weights", "l1=nan"], "--weights l1 = nan: give a finite number"),
        (["--priors", "l\n1"], r"--priors 'l\n1': has a character that cannot be printed"),
        (["--tuning-seeds", "-1"], "--tuning-seeds -1: give a number that is at least 1"),
        (["--root-seed", str(2**63)], f"give a number that is at most {2**63 - 1}"),
    ],
)
def test_a_wrong_value_names_its_option(arguments, line):
    with pytest.raises(UserError) as caught:
        execute_command(["run", *arguments])
    assert line in str(caught.value)


def test_a_channel_is_part_of_the_data(data_file):
    plain = fingerprint(load_data_file(data_file))
    (data_file.parent / "c.bed").write_text("r0 0 5\n")
    data_file.write_text(DATA + '[channels]\nc = "c.bed"\n')
    with_channel = fingerprint(load_data_file(data_file))
    (data_file.parent / "c.bed").write_text("r0 0 55\n")
    changed = fingerprint(load_data_file(data_file))
    data_file.write_text(DATA + '[channels]\nd = "c.bed"\n')
    renamed = fingerprint(load_data_file(data_file))
    every = [plain, with_channel, changed, renamed]
    assert all(one != other for n, one in enumerate(every) for other in every[:n])


def test_a_task_that_reads_no_channels_says_so(data_file, tmp_path, monkeypatch):
    (tmp_path / "c.bed").write_text("r0 0 5\n")
    data_file.write_text(DATA + '[channels]\nc = "c.bed"\n')
    study = resolve(Study(data=[data_file]), "cpu")
    task = type(registry.build("task", "binary"))
    monkeypatch.setattr(task, "read", lambda *_: None)
    with pytest.raises(UserError, match=r"x.toml: channels.c: task 'binary' reads no channels"):
        encode(sources(study)[0], study, RunDirectory(tmp_path / "out"), lambda line: None)
