"""The profile task: its targets and loss, its simulation, and that it learns."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import build_network, regularisation
from fixtures.profiles import example

from priorbench import Batch, UserError
from priorbench.components import registry
from priorbench.data.codes import TRAIN
from priorbench.evaluation.profile_scores import log_likelihood
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.stored_arrays import predict
from priorbench.seeds import RandomStreams
from priorbench.training.batches import load_batch
from priorbench.training.loop import fit
from priorbench.training.schedules import schedule_of

TASK = registry.build("task", "profile")


def test_targets_are_what_their_names_say():
    logits, counts = example()[0], torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    centred = logits - logits.mean(dim=2, keepdim=True)
    target = TASK.target((logits, counts))
    assert torch.allclose(target, (centred * logits.softmax(2)).sum((1, 2)))
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


def test_reads_lie_around_motifs_plus_before_minus_behind(tmp_path):
    dataset = simulate(tmp_path / "data", "profile:jitter=0")
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


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_the_task_learns_more_than_the_mean_profile(spec, tmp_path):
    task, dataset = registry.build("task", spec), simulate(tmp_path / "data", spec)
    model = build_network("bpnet", task.network_shape_of(dataset))
    training = fit(
        model,
        task,
        regularisation("fourier", 1.0, "gradient", "profile"),
        dataset,
        schedule=schedule_of(task, "smoke"),
        streams=RandomStreams(0, ("profile", "simulated"), 0),
        device=torch.device("cpu"),
    )
    predicted, chance = (
        predict(training.model, task, dataset, torch.device("cpu")),
        task.chance(dataset),
    )
    for name in ("nll", "jsd"):
        assert np.nanmean(predicted[name]) < np.nanmean(chance[name])
    assert {name: values.shape for name, values in predicted.items()} == {
        name: values.shape for name, values in chance.items()
    }
    assert training.history[0].penalty > 0


def test_a_network_with_the_mean_profile_starts_there(tmp_path):
    task = registry.build("task", "profile:mean_profile=true")
    dataset = simulate(tmp_path / "data", "profile:mean_profile=true")
    form = task.network_shape_of(dataset)
    assert form.offset
    model = build_network("bpnet", form).eval()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    predicted = predict(model, task, dataset, torch.device("cpu"))
    chance = task.chance(dataset)
    for name in ("nll", "jsd", "pearson"):
        assert np.allclose(predicted[name], chance[name], atol=1e-3, equal_nan=True), name


def test_the_mean_profile_is_of_training_windows_and_moves_with_them(tmp_path):
    dataset = simulate(tmp_path / "data", "profile:mean_profile=true")
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


def test_options_outside_their_range_are_refused():
    for spec, message in [
        ("profile:jitter=-1", "jitter -1"),
        ("profile:counts_weight=-1", "counts_weight -1"),
    ]:
        with pytest.raises(UserError, match=message):
            registry.build("task", spec)


def test_reference_rows_of_a_profile_task(tmp_path: Path) -> None:
    references = reference_scores(simulate(tmp_path / "d", "profile"), TASK)
    assert list(references) == [
        *("random", "window-centre", "motif-scan", "shuffled", "replicate", "perfect", "oracle")
    ]
    jsd = {name: scores.get("profile-jsd") for name, scores in references.items()}
    assert jsd["replicate"] < jsd["random"] < jsd["shuffled"]
    assert math.isnan(references["replicate"]["profile-nll"])
    assert math.isnan(references["replicate"]["count-pearson"])
    perfect = references["perfect"]
    assert 0 < perfect["profile-nll"] < references["random"]["profile-nll"]
    assert perfect["profile-jsd"] == pytest.approx(0, abs=1e-3)
    assert perfect["profile-pearson"] == pytest.approx(1, abs=1e-5)
    assert perfect["profile-spearman"] == pytest.approx(1, abs=1e-5)
    assert math.isnan(perfect["count-pearson"])
