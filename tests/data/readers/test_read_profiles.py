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


def bigwig(path, lengths=LENGTHS, value=2.0, other=None):
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(lengths.items()))
    for chrom, length in lengths.items():
        starts = list(range(0, length - 1, 7))
        ends, values = (
            [start + 1 for start in starts],
            [(other or {}).get(chrom, value)] * len(starts),
        )
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
        ({"plus": "none.bw"}, r"none.bw: has none of the chromosomes with windows"),
        ({"minus": "both.bw"}, r"both.bw: chr2:\d+ holds a negative value \(-3\)"),
        ({"minus": "nan.bw"}, r"nan.bw: chr\d:\d+ holds a value that is not a number"),
        ({"plus": "inf.bw"}, r"inf.bw: chr\d:\d+ holds an infinite value"),
        ({"plus": "text.bw"}, "text.bw: not a bigWig but text"),
        ({"plus": "broken.bw"}, "broken.bw: a truncated bigWig"),
        ({"test_regions": ["chr3:0-100"]}, "no windows left for test"),
    ],
)
def test_signal_that_cannot_be_used_is_refused(folder, more, message, capfd):
    bigwig(folder / "short.bw", {**LENGTHS, "chr1": 5000})
    bigwig(folder / "none.bw", {"c9": 6000})
    bigwig(folder / "both.bw", other={"chr2": -3.0})
    bigwig(folder / "nan.bw", value=float("nan"))
    bigwig(folder / "inf.bw", value=float("inf"))
    (folder / "text.bw").write_text("chr1\t1\t2\t3\n")
    (folder / "broken.bw").write_bytes((folder / "nan.bw").read_bytes()[:60])
    with pytest.raises(UserError, match=message):
        read(folder, **more)
    assert not capfd.readouterr().err  # one line, which is the error's


def counted(path, factor, sign=1, lengths=LENGTHS):
    """Write counts of reads, times a factor."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for seed, (chrom, length) in enumerate(lengths.items()):
            counts = np.random.default_rng(seed).poisson(2, length)
            starts = np.flatnonzero(counts)
            values = (counts[starts] * float(factor * sign)).tolist()
            ends = (starts + 1).tolist()
            file.addEntries([chrom] * len(starts), starts.tolist(), ends=ends, values=values)


def arrays(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "data").glob("*.npy"))}


def test_scaled_tracks_and_negative_strands_give_the_dataset_of_the_counts(folder):
    names = {key: f"{key}.bw" for key in ("plus", "minus", "control_plus", "control_minus")}
    written = []
    for factor, sign in ((1, 1), (0.0137, -1)):
        for key, name in names.items():
            counted(folder / name, factor, sign if "minus" in key else 1)
        dataset = read(folder, **names)
        written.append((dataset.digest, arrays(folder)))
    assert written[0] == written[1]
    notes = [note for note in dataset.meta["notes"] if note.startswith("Values of")]
    assert sum("multiples of 0.0137: scaled back to counts" in note for note in notes) == 4
    assert sum("are negative; read by magnitude" in note for note in notes) == 2
    assert not dataset.meta["warnings"]


def test_values_that_are_no_counts_are_warned_of_unless_their_scale_is_given(folder):
    with pyBigWig.open(str(folder / "fold.bw"), "w") as file:
        file.addHeader(list(LENGTHS.items()))
        for chrom, length in LENGTHS.items():
            values = np.random.default_rng(0).gamma(2, 1, length)
            starts = list(range(length))
            ends = list(range(1, length + 1))
            file.addEntries([chrom] * length, starts, ends=ends, values=values.tolist())
    controls = {"control_plus": "fold.bw", "control_minus": "fold.bw"}
    plain = read(folder, plus="fold.bw", **controls)
    (warning,) = plain.meta["warnings"]
    before = {name: plain.columns[name].take(np.arange(9)) for name in ("reads", "controls")}
    assert warning.startswith("Values of fold.bw are no counts of reads (from ")
    assert "set signal_scale" in warning
    scaled = read(folder, plus="fold.bw", signal_scale=4, **controls)
    assert not scaled.meta["warnings"]
    after = {name: scaled.columns[name].take(np.arange(9)) for name in before}
    assert np.allclose(4 * before["reads"], after["reads"])
    assert np.array_equal(before["controls"], after["controls"])
    assert sum("controls are read as they are" in note for note in scaled.meta["notes"]) == 2


def test_a_chromosome_without_data_is_read_as_zeros(folder):
    bigwig(folder / "few.bw", {"chr1": 6000, "chr3": 3000})
    dataset = read(folder, plus="few.bw")
    assert any(
        note.startswith("few.bw has no data on 1 chromosomes") for note in dataset.meta["notes"]
    )
    reads = dataset.columns["reads"].take(dataset.rows(VALID))
    assert not reads[:, 0].any()
    assert reads[:, 1].any()


def test_peaks_of_a_whole_genome_on_a_part_of_it(folder):
    expected = read(folder)
    with (folder / "peaks.bed").open("a") as stream:
        stream.writelines(f"chr{n}\t{s}\t{s + 9}\n" for n in range(4, 23) for s in range(2600))
        stream.write("chr1\t5990\t6001\n")
    dataset = read(folder)
    assert dataset.digest == expected.digest
    (warning,) = dataset.meta["warnings"]
    assert "of 49,5" in warning
    assert "Dropped 49,400 of 49,5" in " ".join(dataset.meta["notes"])


@pytest.mark.parametrize(
    ("how", "share"), [(None, 1), ("summits", 1), ("none", 5), ("windows", 0.5)]
)
def test_summits_of_one_peak_are_merged_as_the_data_file_says(folder, how, share):
    expected = len(read(folder).split)
    lines = []
    for line in (folder / "peaks.bed").read_text().splitlines():
        chrom, start, _ = line.split()
        ends = f"{chrom}\t{int(start) - 25}\t{int(start) + 26}"
        lines += [f"{ends}\t.\t0\t.\t{n == 2}\t1\t1\t{23 + n}\n" for n in range(5)]
    text = "".join(lines).replace("True", "2").replace("False", "1")
    (folder / "peaks.bed").write_text(text)
    dataset = read(folder, merge_peaks=how)
    assert len(dataset.split) == pytest.approx(share * expected, rel=0.05)
    notes = " ".join(dataset.meta["notes"])
    assert ("further summits or repeats of peaks of peaks.bed" in notes) is (how != "none")
    assert ("windows of peaks.bed overlap another one" in notes) is (how != "windows")
