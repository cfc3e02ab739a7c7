"""Profiles: scores against SciPy, users' bigWigs, and that the task learns."""

import gzip
import math
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import multinomial, pearsonr, spearmanr

from priorbench import Batch, TrialArrays, UserError, load_attribution, load_prior
from priorbench.components import registry
from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.bigwig import _may_hold_nan
from priorbench.data.formats.encoding import decode
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.simulation import markov_background
from priorbench.evaluation.profile_scores import log_likelihood, profile_scores, reference_profiles
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.stored_arrays import predict
from priorbench.metrics import METRICS
from priorbench.seeds import RandomStreams
from priorbench.training.batches import load_batch
from priorbench.training.loop import fit
from priorbench.training.objective import Regularisation
from priorbench.training.schedules import schedule_of

TASK = registry.build("task", "profile")


def example():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 2, 30, generator=generator)
    reads = torch.poisson(3 * torch.rand(4, 2, 30, generator=generator), generator=generator)
    reads[2] = 0
    reads[3, 1] = 0
    return logits, reads


def test_log_likelihood_is_the_multinomial_of_scipy():
    logits, reads = example()
    found = log_likelihood(logits.double(), reads.double())
    for row in range(4):
        for strand in range(2):
            counts, p = reads[row, strand].numpy(), logits[row, strand].double().softmax(0).numpy()
            expected = multinomial.logpmf(counts, counts.sum(), p)
            assert found[row, strand].item() == pytest.approx(expected, abs=1e-6)


def test_scores_are_those_of_scipy_and_undefined_without_reads():
    logits, reads = example()
    scores = profile_scores(logits, reads)
    p = logits.double().softmax(dim=2).numpy()
    for row, strands in ((0, [0, 1]), (1, [0, 1]), (3, [0])):
        pairs = [(reads[row, s].numpy(), p[row, s]) for s in strands]
        for name, function in (
            ("jsd", lambda k, q: jensenshannon(k / k.sum(), q)),
            ("pearson", lambda k, q: pearsonr(k, q).statistic),
            ("spearman", lambda k, q: spearmanr(k, q).statistic),
        ):
            expected = np.mean([function(*pair) for pair in pairs])
            assert scores[name][row].item() == pytest.approx(expected, abs=1e-5), name
    assert all(torch.isnan(scores[name][2]) for name in ("jsd", "pearson", "spearman"))


def arrays(prediction, label=None):
    empty = np.zeros((0, 1), np.float32)
    label = np.zeros((3, 2), np.float32) if label is None else label
    return TrialArrays(prediction, label, empty, None, None, {})


def test_metrics_of_profiles_by_hand():
    score = METRICS["profile-jsd"].function
    assert score(arrays({"jsd": np.array([0.2, np.nan, 0.4])})) == pytest.approx(0.3)
    assert np.isnan(score(arrays({"jsd": np.array([np.nan])})))
    assert np.isnan(score(arrays({"logit": np.ones(3)})))
    counts = METRICS["count-pearson"].function
    label = np.array([[1, 5], [2, 5], [3, 5]], dtype=np.float32)
    up = np.array([[2, 0], [4, 1], [6, 5]], dtype=np.float32)
    assert counts(arrays({"log_counts": up}, label)) == pytest.approx(1)
    assert counts(arrays({"log_counts": -up}, label)) == pytest.approx(-1)
    assert counts(arrays({"log_counts": np.ones((3, 2), np.float32)}, label)) == 0
    assert np.isnan(counts(arrays({"log_counts": up}, label * 0)))
    assert np.isnan(counts(arrays({"logit": up})))


def test_targets_are_what_their_names_say():
    logits, counts = example()[0], torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    centred = logits - logits.mean(dim=2, keepdim=True)
    found = TASK.target((logits, counts))
    assert torch.allclose(found, (centred * logits.softmax(2)).sum((1, 2)))
    published = registry.build("task", "profile:attributed=log-probabilities")
    assert torch.allclose(
        published.target((logits, counts)), (centred * logits.log_softmax(2)).sum((1, 2))
    )
    of_counts = registry.build("task", "profile:attributed=counts")
    assert of_counts.target((logits, counts)).tolist() == [3, 7, 11, 15]
    # the weights are held fixed
    leaf = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(TASK.target((leaf, counts)).sum(), leaf)
    p = logits.softmax(2)
    assert torch.allclose(slope, p - p.mean(dim=2, keepdim=True), atol=1e-6)


def test_loss_is_likelihood_and_squared_error_of_log_counts():
    logits, reads = example()
    log_counts = torch.zeros(4, 2)
    batch = Batch(torch.zeros(4, 4, 9), torch.zeros(4, 2), {"reads": reads})
    expected = -log_likelihood(logits, reads).mean(1)
    expected = expected + 20 * torch.log1p(reads.sum(2)).square().mean(1)
    assert torch.allclose(TASK.prediction_loss((logits, log_counts), batch), expected)
    assert TASK.applies(batch).all()


def simulated(folder, spec="profile", scale="smoke"):
    with DatasetWriter(folder) as writer:
        registry.build("task", spec).simulate(writer, scale, np.random.default_rng(0))
        writer.finish()
    return load_dataset(folder)


def test_reads_lie_around_motifs_plus_before_minus_behind(tmp_path):
    dataset = simulated(tmp_path / "data", "profile:jitter=0")
    reads = dataset.columns["reads"].take(dataset.attributed)
    inset = (dataset.length - reads.shape[2]) // 2
    offsets = [], []
    for row, truth in enumerate(dataset.truth):
        here = np.flatnonzero(truth == 1)
        if len(here) != 12:  # one instance of the first motif alone
            continue
        for strand in range(2):
            place = np.arange(reads.shape[2]) + inset
            mean = np.average(place, weights=reads[row, strand] + 1e-9)
            offsets[strand].append(mean - here.mean())
    assert np.mean(offsets[0]) == pytest.approx(-8, abs=1.5)
    assert np.mean(offsets[1]) == pytest.approx(8, abs=1.5)


SPECS = ["profile", "profile:controls=true", "profile:controls=true:mean_profile=true"]


@pytest.mark.parametrize("spec", SPECS)
def test_the_task_learns_more_than_the_mean_profile(spec, tmp_path):
    task, dataset = registry.build("task", spec), simulated(tmp_path / "data", spec)
    torch.manual_seed(0)
    model = registry.build("architecture", "bpnet").build(task.network_shape_of(dataset), "smoke")
    found = fit(
        model,
        task,
        Regularisation(load_prior("fourier").parts(1.0, "profile"), load_attribution("gradient")),
        dataset,
        schedule=schedule_of(task, "smoke"),
        luck=RandomStreams(0, ("profile", "simulated"), 0),
        device=torch.device("cpu"),
    )
    predicted, chance = (
        predict(found.model, task, dataset, torch.device("cpu")),
        task.chance(dataset),
    )
    for name in ("nll", "jsd"):
        assert np.nanmean(predicted[name]) < np.nanmean(chance[name])
    assert {name: values.shape for name, values in predicted.items()} == {
        name: values.shape for name, values in chance.items()
    }
    assert found.history[0].penalty > 0


def test_a_network_with_the_mean_profile_starts_there(tmp_path):
    task = registry.build("task", "profile:mean_profile=true")
    dataset = simulated(tmp_path / "data", "profile:mean_profile=true")
    form = task.network_shape_of(dataset)
    assert form.offset
    model = registry.build("architecture", "bpnet").build(form, "smoke").eval()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    predicted = predict(model, task, dataset, torch.device("cpu"))
    chance = task.chance(dataset)
    for name in ("nll", "jsd", "pearson"):
        assert np.allclose(predicted[name], chance[name], atol=1e-3, equal_nan=True), name


def test_the_mean_profile_is_of_training_windows_and_moves_with_them(tmp_path):
    dataset = simulated(tmp_path / "data", "profile:mean_profile=true")
    stored = dataset.columns["mean_profile"].take(np.array([5, 600]))
    total = dataset.columns["reads"].take(dataset.rows(TRAIN)).sum(axis=0) + 1.0
    expected = np.log(total / total.sum(axis=1, keepdims=True))
    assert np.allclose(stored, expected[None], atol=1e-5)
    width = stored.shape[2] - 2 * dataset.margin
    batch = load_batch(
        dataset,
        np.array([1, 2]),
        torch.device("cpu"),
        flip=np.array([False, True]),
        shift=np.array([3, -2]),
    )
    given = TASK.inputs(batch)[0].numpy()
    begin = dataset.margin + 3
    assert np.allclose(given[0], expected[:, begin : begin + width], atol=1e-5)
    begin = dataset.margin - 2
    turned = expected[:, begin : begin + width][::-1, ::-1]
    assert np.allclose(given[1], turned, atol=1e-5)


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


def test_options_outside_their_range_are_refused():
    for spec, message in [
        ("profile:jitter=-1", "jitter -1"),
        ("profile:counts_weight=-1", "counts_weight -1"),
    ]:
        with pytest.raises(UserError, match=message):
            registry.build("task", spec)


def test_reference_profiles_are_the_floor_and_a_replicate() -> None:
    rng = np.random.default_rng(0)
    rate = np.zeros((40, 2, 100))
    rate[:, :, 40:50] = 30
    reads = rng.poisson(rate).astype(np.float32)
    reads[0] = 0
    reads[1, 0] = 0
    found = reference_profiles(reads, np.random.default_rng(1))
    shuffled, replicate = found["shuffled"], found["replicate"]
    assert np.isnan(shuffled["jsd"][0])
    assert np.isfinite(shuffled["jsd"][1])  # the other strand has reads
    # of ten positions in a hundred, one is hit by chance
    assert 0.75 < np.nanmean(shuffled["jsd"]) < math.sqrt(math.log(2))
    assert abs(np.nanmean(shuffled["pearson"])) < 0.05
    assert np.nanmean(replicate["jsd"]) < 0.15
    assert np.nanmean(replicate["pearson"]) > 0.9
    assert "nll" not in shuffled
    # a signal that is no count cannot be dealt into halves
    assert set(reference_profiles(reads / 3, np.random.default_rng(1))) == {"shuffled"}


def test_reference_rows_of_a_profile_task(tmp_path: Path) -> None:
    task = registry.build("task", "profile")
    with DatasetWriter(tmp_path / "d") as writer:
        task.simulate(writer, "smoke", np.random.default_rng(0))
        writer.finish()
    found = reference_scores(load_dataset(tmp_path / "d"), task)
    assert list(found) == ["random", "motif-scan", "shuffled", "replicate", "oracle"]
    jsd = {name: scores.get("profile-jsd") for name, scores in found.items()}
    assert jsd["replicate"] < jsd["random"] < jsd["shuffled"]
    assert math.isnan(found["replicate"]["profile-nll"])
    assert math.isnan(found["replicate"]["count-pearson"])


@pytest.mark.parametrize(("value", "doubtful"), [(2.0, False), (math.nan, True)])
def test_the_summary_of_a_bigwig_tells_whether_to_look_for_what_is_no_number(
    tmp_path, value, doubtful
):
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("c", 100)], maxZooms=0)
        file.addEntries("c", [5, 9], values=[1.0, value], span=1)
    assert _may_hold_nan(path) == doubtful
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + bytes(8) + whole[52:])  # no summary
    assert _may_hold_nan(path)
