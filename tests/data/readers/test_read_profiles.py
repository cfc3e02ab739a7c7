"""Users' profiles: what is read, what is dropped, what is refused."""

import gzip

import numpy as np
import pyBigWig
import pytest

from priorbench import UserError
from priorbench.components import registry
from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.simulation import markov_background
from priorbench.encoding import decode

TASK = registry.build("task", "profile")


LENGTHS = {"chr1": 6000, "chr2": 3000, "chr3": 3000}


def bigwig(path, lengths=LENGTHS, value=2.0, at=()):
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(lengths.items()))
    for chrom, length in lengths.items():
        starts = list(range(0, length - 1, 7))
        ends, values = [start + 1 for start in starts], [value] * len(starts)
        file.addEntries([chrom] * len(starts), starts, ends=ends, values=values)
    file.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    text = "".join(
        f">{name}\n{decode(markov_background(1, length, generator)[0])}\n"
        for name, length in LENGTHS.items()
    )
    (tmp_path / "genome.fa.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    lines = [f"{c}\t{s}\t{s + 1}\n" for c, n in LENGTHS.items() for s in range(150, n - 150, 60)]
    (tmp_path / "peaks.bed").write_text("".join(lines))
    for name, value in (("plus", 1.0), ("minus", 3.0), ("control", 1.0)):
        bigwig(tmp_path / f"{name}.bw", value=value)
    return tmp_path


TOML = {
    "task": "profile",
    "genome": "genome.fa.gz",
    "peaks": "peaks.bed",
    "plus": "plus.bw",
    "minus": "minus.bw",
    "length": 100,
    "valid_regions": ["chr2"],
    "test_regions": ["chr3"],
}


def read(folder, spec="profile", **more):
    values = {key: value for key, value in {**TOML, **more}.items() if value is not None}
    text = "".join(
        f"{key} = {value if isinstance(value, (int, list)) else repr(value)}\n".replace("'", '"')
        for key, value in values.items()
    )
    (folder / "data.toml").write_text(text)
    with DatasetWriter(folder / "data") as writer:
        data = load_data_file(folder / "data.toml")
        registry.build("task", spec).read(writer, data, np.random.default_rng(0))
        writer.finish()
    return load_dataset(folder / "data")


def test_users_tracks_are_read_with_their_margin(folder):
    dataset = read(
        folder, "profile:jitter=5", control_plus="control.bw", control_minus="control.bw"
    )
    form = TASK.network_shape_of(dataset)
    assert (form.length, form.outputs, form.profile, form.controls) == (100, 2, 74, 2)
    reads = dataset.columns["reads"].take(np.arange(3))
    assert reads.shape == (3, 2, 84)
    # an entry at every seventh base, from the first of the chromosome
    start = 150 - 50 - 5 + 13
    for row in range(3):
        place = np.arange(start + 60 * row, start + 60 * row + 84)
        assert np.array_equal(reads[row, 0], np.where(place % 7 == 0, 1.0, 0.0))
        assert np.array_equal(reads[row, 1], 3 * reads[row, 0])
    label = dataset.columns["label"].take(np.arange(3))
    assert np.allclose(label, np.log1p(reads[:, :, 5:79].sum(axis=2)))
    assert (dataset.split[dataset.attributed] == TEST).all()
    assert dataset.truth is None
    tuning = load_dataset(folder / "data", VALID)
    assert len(tuning.attributed) == len(tuning.scored_rows) > 0
    assert (tuning.split[tuning.attributed] == VALID).all()


def test_the_mean_profile_of_users_windows_is_that_of_training(folder):
    dataset = read(folder, "profile:mean_profile=true")
    total = dataset.columns["reads"].take(dataset.rows(TRAIN)).sum(axis=0) + 1.0
    stored = dataset.columns["mean_profile"].take(np.array([0]))[0]
    assert np.allclose(np.exp(stored), total / total.sum(axis=1, keepdims=True), atol=1e-6)


def test_unstranded_signal_and_windows_that_are_not_covered(folder):
    (folder / "covered.bed").write_text("chr1\t0\t1000\nchr2\t0\t3000\nchr3\t0\t3000\n")
    dataset = read(folder, plus=None, minus=None, signal="plus.bw", covered="covered.bed")
    assert TASK.network_shape_of(dataset).outputs == 1
    assert any("not covered" in note for note in dataset.meta["notes"])
    assert (dataset.split == 0).sum() < 20


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"plus": "peaks.bed"}, "peaks.bed: not a bigWig"),
        ({"minus": None}, "'plus' is given without 'minus'"),
        ({"plus": None, "minus": None}, "give plus and minus, or signal"),
        ({"signal": "plus.bw"}, "give plus and minus, or signal"),
        ({"plus": "short.bw"}, "short.bw: chr1 has 5000 bp there and 6000"),
        ({"plus": "few.bw"}, "few.bw: has no chromosome 'chr2'"),
        ({"minus": "negative.bw"}, r"negative.bw: chr\d:\d+ holds a negative value \(-3\)"),
        ({"minus": "nan.bw"}, r"nan.bw: chr\d:\d+ holds a value that is not a number"),
        ({"plus": "inf.bw"}, r"inf.bw: chr\d:\d+ holds an infinite value"),
        ({"plus": "text.bw"}, "text.bw: not a bigWig that can be read"),
        ({"plus": "broken.bw"}, "broken.bw: not a bigWig that can be read"),
        ({"test_regions": ["chr3:0-100"]}, "no windows left for test"),
    ],
)
def test_signal_that_cannot_be_used_is_refused(folder, more, message, capfd):
    bigwig(folder / "short.bw", {**LENGTHS, "chr1": 5000})
    bigwig(folder / "few.bw", {"chr1": 6000})
    bigwig(folder / "negative.bw", value=-3.0)
    bigwig(folder / "nan.bw", value=float("nan"))
    bigwig(folder / "inf.bw", value=float("inf"))
    (folder / "text.bw").write_text("chr1\t1\t2\t3\n")
    (folder / "broken.bw").write_bytes((folder / "nan.bw").read_bytes()[:60])
    with pytest.raises(UserError, match=message):
        read(folder, **more)
    assert not capfd.readouterr().err  # one line, which is the error's
