"""`priorbench validate`: what it counts is what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.encoding import decode
from priorbench.errors import UserError
from priorbench.study.study import Study
from priorbench.workflow.validate_file import (
    StudyFacts,
    _most_windows,
    as_text,
    count_dataset,
    validate_file,
)


def _quiet(line: str) -> None:
    pass


def _fasta(path: Path, seed: int, count: int, letters: str = "ACGT") -> str:
    draws = np.random.default_rng(seed).integers(0, len(letters), (count, 40))
    rows = ["".join(letters[i] for i in row) for row in draws]
    path.write_text("".join(f">r{i}\n{row}\n" for i, row in enumerate(rows)))
    return path.name


def test_a_fasta_pair_is_counted(tmp_path: Path) -> None:
    for name, seed, count, letters in [
        ("p.fa", 1, 300, "GC"),
        ("n.fa", 2, 200, "AT"),
        ("tp.fa", 3, 20, "GGGN"),
        ("tn.fa", 4, 10, "ACGT"),
    ]:
        _fasta(tmp_path / name, seed, count, letters)
    data = tmp_path / "mine.toml"
    data.write_text(
        'task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\n'
        'test_positives = "tp.fa"\ntest_negatives = "tn.fa"\n'
    )
    study_facts = validate_file(data, say=_quiet)
    assert not study_facts.trials
    (facts,) = study_facts.datasets
    assert (facts.name, facts.length) == ("binary/mine", 40)
    splits = facts.splits
    assert splits["training"].sequences + splits["validation"].sequences == 500
    assert splits["training"].positives[0] + splits["validation"].positives[0] == 300
    assert splits["training"].gc == {"positives": 1.0, "negatives": 0.0}
    test = splits["test"]
    assert (test.sequences, test.positives) == (30, [20])
    assert test.gc["positives"] == 1.0
    assert 0.1 < test.unknown < 0.25
    text = as_text(study_facts)
    assert "binary/mine: windows of 40 bp" in text
    warnings = [line for line in text.splitlines() if line.startswith("warning: ")]
    assert [warning[9:23] for warning in warnings] == [
        "The GC content",
        "Only 19 negati",  # of validation
        "Only 10 negati",
    ]
    assert [line.split() for line in text.splitlines()[4:6]] == [
        ["training", "validation", "test"],
        ["sequences", *(f"{s.sequences}" for s in splits.values())],
    ]


def test_a_run_at_scale_smoke_takes_a_sample(tmp_path: Path) -> None:
    _fasta(tmp_path / "p.fa", 1, 1200)
    _fasta(tmp_path / "n.fa", 2, 1800)
    data = tmp_path / "mine.toml"
    data.write_text('task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\n')
    (facts,) = validate_file(data, scale="smoke", say=_quiet).datasets
    assert [split.sequences for split in facts.splits.values()] == [400, 100, 200]
    assert [split.positives[0] for split in facts.splits.values()] == pytest.approx(
        [160, 40, 80], abs=10
    )
    assert "Scale smoke takes a sample: 400 of 2," in facts.notes[-1]
    (everything,) = validate_file(data, say=_quiet).datasets
    assert sum(split.sequences for split in everything.splits.values()) == 3000


def test_a_split_that_cannot_carry_a_score_is_refused(tmp_path: Path) -> None:
    _fasta(tmp_path / "p.fa", 1, 300)
    _fasta(tmp_path / "n.fa", 2, 300)
    _fasta(tmp_path / "t.fa", 3, 4)
    data = tmp_path / "mine.toml"
    data.write_text(
        'task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\n'
        'test_positives = "t.fa"\ntest_negatives = "n.fa"\n'
    )
    with pytest.raises(UserError, match=r"mine\.toml: no negatives left for training"):
        validate_file(data, say=_quiet)
    _fasta(tmp_path / "n.fa", 2, 300)
    data.write_text(data.read_text().replace('test_negatives = "n.fa"', 'test_negatives = "u.fa"'))
    _fasta(tmp_path / "u.fa", 4, 60)
    with pytest.raises(UserError, match=r"mine\.toml: 4 positives for test cannot carry a score"):
        validate_file(data, say=_quiet)


def test_thousands_of_scaffolds_are_summarised() -> None:
    few = {f"c{n}": n for n in range(1, 31)}
    assert _most_windows(few) == ", ".join(f"c{n} {n}" for n in range(1, 31))
    many = {f"s{n}": 1 for n in range(3990)} | {f"s{n}": n for n in range(3990, 4000)}
    named = ", ".join(f"s{n} {n:,}" for n in range(3990, 4000))
    assert _most_windows(many) == f"{named} and 3,990 others with 3,990 windows"


def test_profiles_and_places_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reads = rng.poisson(1.0, (12, 2, 14)).astype(np.float32)
    reads[0] = 0
    split = np.repeat([0, 1, 2], 4).astype(np.uint8)
    start = np.arange(12) * 100
    with DatasetWriter(tmp_path / "d") as writer:
        writer.margin = 2
        codes = rng.integers(0, 4, (12, 24)).astype(np.uint8)
        codes[:, :2] = 4  # in the margin
        writer.append(codes, np.zeros((12, 2), np.float32), split, reads=reads)
        writer.attribute(np.array([8]))
        chrom = np.array(["b", "a"] * 6)
        writer.locate(chrom, start, np.zeros(12, dtype=bool))
        writer.notes.say("Dropped nothing.")
        writer.notes.warn("Nothing can be learned.")
        writer.finish()
    dataset = load_dataset(tmp_path / "d")
    facts = count_dataset("profile/x", dataset)
    assert (facts.notes, facts.warnings) == (["Dropped nothing."], ["Nothing can be learned."])
    assert (
        "warning: Nothing can be learned."
        in as_text(StudyFacts(Study(), {}, {}, {}, [facts])).splitlines()
    )
    training = facts.splits["training"]
    assert (training.positives, training.unknown, training.empty) == ([], 0.0, 1)
    assert training.chromosomes == {"a": 2, "b": 2}
    np.testing.assert_allclose(training.reads["reads"], reads[:4, :, 2:-2].sum(2).mean(0))
    inner = codes[:4, 2:-2]
    assert training.gc == {"all": float(((inner == 1) | (inner == 2)).mean())}


def test_a_study_counts_its_trials(tmp_path: Path) -> None:
    study = tmp_path / "s.toml"
    study.write_text('priors = ["fourier"]\nscale = "smoke"\ntasks = ["binary", "multitask"]\n')
    study_facts = validate_file(study, say=_quiet)
    assert study_facts.trials == {"none": 16, "fourier": 16}  # eight seeds are the default
    assert [facts.name for facts in study_facts.datasets] == [
        "binary/simulated",
        "multitask/simulated",
    ]
    text = as_text(study_facts)
    assert text.endswith("32 trials at scale smoke over 8 seeds: none (16), fourier (16).")
    assert "positives of an output (of 16)" in text


def test_a_study_of_own_data_is_counted_on_data(tmp_path: Path) -> None:
    for name, seed in (("p.fa", 1), ("n.fa", 2)):
        _fasta(tmp_path / name, seed, 300)
    data, study = tmp_path / "mine.toml", tmp_path / "s.toml"
    data.write_text('task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\n')
    study.write_text('priors = ["tv"]\nown_data = true\ntune = 2\narchitectures = ["deepbind"]\n')
    with pytest.raises(UserError, match="about data of your own, and none are named"):
        validate_file(study, say=_quiet)
    study_facts = validate_file(study, data=[data], scale="smoke", say=_quiet)
    assert study_facts.trials == {"none": 8, "tv": 8}
    assert study_facts.tuning == {"none": 3, "tv": 6}
    assert [facts.name for facts in study_facts.datasets] == ["binary/mine"]
    with pytest.raises(UserError, match="is a data file itself; leave the option out"):
        validate_file(data, data=[data], say=_quiet)


def test_what_a_run_refuses_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "d.toml"
    data.write_text('task = "binary"\ngenome = "g.fa"\npeaks = "p.bed"\nlength = 20\n')
    genome = decode(np.random.default_rng(0).integers(0, 4, 400).astype(np.uint8))
    (tmp_path / "g.fa").write_text(f">c1\n{genome}\n")
    (tmp_path / "p.bed").write_text("c1\t10\t500\n")
    with pytest.raises(UserError, match=r"p\.bed: line 1: c1:10-500 ends behind c1"):
        validate_file(data, say=_quiet)
    study = tmp_path / "s.toml"
    study.write_text('prior = ["fourier"]\n')
    with pytest.raises(UserError, match="did you mean 'priors'"):
        validate_file(study, say=_quiet)


def test_an_unknown_task_is_told_with_the_file(tmp_path: Path) -> None:
    _fasta(tmp_path / "p.fa", 1, 30)
    data = tmp_path / "d.toml"
    data.write_text('task = "binry"\npositives = "p.fa"\nnegatives = "p.fa"\n')
    with pytest.raises(UserError, match=r"d\.toml: unknown task 'binry'; did you mean 'binary'"):
        validate_file(data, say=_quiet)


def test_windows_of_n_alone_leave_nothing_and_the_error_says_why(tmp_path: Path) -> None:
    known = decode(np.random.default_rng(0).integers(0, 4, 6000).astype(np.uint8))
    (tmp_path / "g.fa").write_text(f">c1\n{known}\n>c2\n{'N' * 6000}\n")
    lines = [f"{chrom}\t{at}\t{at + 1}\n" for chrom in ("c1", "c2") for at in range(50, 5900, 90)]
    (tmp_path / "p.bed").write_text("".join(lines))
    data = tmp_path / "d.toml"
    data.write_text(
        'task = "binary"\ngenome = "g.fa"\npeaks = "p.bed"\nlength = 30\n'
        'valid_regions = ["c1:0-2000"]\ntest_regions = ["c2"]\n'
    )
    with pytest.raises(UserError, match=r"no positives left for test .*\(Dropped 65 pos.* 10% N\)"):
        validate_file(data, say=_quiet)


def test_scale_decides_which_networks_must_fit(tmp_path: Path) -> None:
    study = tmp_path / "s.toml"
    study.write_text('tasks = ["binary"]\nscale = "smoke"\narchitectures = ["bpnet"]\nseeds = 1\n')
    assert sum(validate_file(study, say=_quiet).trials.values()) == 1
    assert validate_file(study, scale="quick", say=_quiet).study.scale == "quick"
