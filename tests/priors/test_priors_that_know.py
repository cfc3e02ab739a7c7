"""Priors that are given more than attributions: channels of the data, the other strand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.datasets import simulate
from fixtures.networks import build_network, regularisation
from fixtures.sequences import random_sequences

from priorbench import Attribution, Batch, UserError, input_x_gradient, load_prior
from priorbench.components import registry
from priorbench.data.codes import MOTIF, NEUTRAL
from priorbench.seeds import RandomStreams
from priorbench.study.network_choice import require_channels
from priorbench.study.resolve import resolve
from priorbench.study.study import Study
from priorbench.training.batches import load_batch
from priorbench.training.objective import Objective

CPU = torch.device("cpu")
STREAMS = RandomStreams(0, ("t",), 0)


@pytest.fixture(scope="module", params=["binary", "profile:jitter=5", "multitask", "syntax"])
def with_channel(request, tmp_path_factory):
    spec = f"{request.param}:channels=motif"
    return simulate(tmp_path_factory.mktemp("data") / "d", spec)


def tasks_with_channels():
    """Names of the tasks that say they offer a channel."""
    names = registry.components("task")
    return [name for name in names if hasattr(registry.build("task", name), "channels")]


@pytest.mark.parametrize("name", tasks_with_channels())
def test_every_task_that_offers_a_channel_writes_it(name, tmp_path):
    assert simulate(tmp_path / "without", name).channels == []
    assert simulate(tmp_path / "with", f"{name}:channels=motif").channels == ["motif"]


def test_simulated_tasks_offer_their_motifs(with_channel):
    assert with_channel.channels == ["motif"]
    batch = load_batch(with_channel, with_channel.attributed, CPU)
    channel = batch.arrays["channel:motif"]
    inside = np.isin(with_channel.truth, (MOTIF, NEUTRAL))
    assert np.array_equal(channel.squeeze(1).numpy(), inside)
    assert 0.01 < inside.mean() < 0.6


def test_channels_move_and_turn_with_their_sequences(with_channel):
    rows, margin = with_channel.attributed[:20], with_channel.margin
    plain = load_batch(with_channel, rows, CPU)
    flip = np.arange(len(rows)) % 2 == 0
    shift = np.full(len(rows), min(margin, 3), dtype=np.int64)
    moved = load_batch(with_channel, rows, CPU, flip=flip, shift=shift)
    by = int(shift[0])
    for row, turned in enumerate(flip):
        for name in ("sequence", "channel"):
            before, after = (
                each.sequence[row] if name == "sequence" else each.arrays["channel:motif"][row]
                for each in (plain, moved)
            )
            after = after.flip(0, 1) if turned else after
            length = before.shape[1]
            assert torch.equal(after[:, : length - by], before[:, by:])


def test_the_same_data_have_no_channel_unless_asked(tmp_path):
    dataset = simulate(tmp_path / "d")
    assert dataset.channels == []
    with pytest.raises(UserError, match=r"reads the channel 'motif', and binary/x has no such"):
        require_channels("fourier+mask", "binary/x", dataset)
    require_channels("fourier", "binary/x", dataset)


def attributions(count=5, length=40):
    x = random_sequences(count, length)
    gradient = torch.randn(count, 4, length, generator=torch.Generator().manual_seed(0)).double()
    gradient.requires_grad_()
    channel = (
        torch.rand(count, 1, length, generator=torch.Generator().manual_seed(1)) < 0.3
    ).double()
    attribution = Attribution(gradient, (gradient * x).sum(1))
    arrays = {"channel:motif": channel, "target": torch.linspace(-2, 2, count).double()}
    return attribution, Batch(x, torch.ones(count), arrays)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("forbidden", ["outside", "inside"])
def test_mask(forbidden, moved):
    attribution, batch = attributions()
    spec = f"mask:forbidden={forbidden}:moved={str(moved).lower()}"
    channel = batch.arrays["channel:motif"][:, 0]
    channel = torch.cat([channel[:, 20:], channel[:, :20]], dim=1) if moved else channel
    f = channel if forbidden == "inside" else 1 - channel
    a, g = attribution.observed.abs(), attribution.gradient
    share = (f * a).sum(1) / a.sum(1)
    torch.testing.assert_close(load_prior(spec).penalty(attribution, batch), share)
    squared = (f * g.square().sum(1)).mean(1)
    found = load_prior(f"{spec}:form=squared").penalty(attribution, batch)
    torch.testing.assert_close(found, squared)
    # the published gradient: of log p + log (1 - p), p = sigmoid(target)
    target = batch.arrays["target"].clone().requires_grad_()
    both = F.logsigmoid(target) + F.logsigmoid(-target)
    (slope,) = torch.autograd.grad(both.sum(), target)
    published = (f * (slope[:, None, None] * g).square().sum(1)).mean(1)
    found = load_prior(f"{spec}:form=log-probabilities").penalty(attribution, batch)
    torch.testing.assert_close(found, published)


def test_track():
    attribution, batch = attributions()
    a, c = attribution.observed.abs(), batch.arrays["channel:motif"][:, 0]
    cosine = 1 - (a * c).sum(1) / (a.norm(dim=1) * c.norm(dim=1))
    torch.testing.assert_close(load_prior("track").penalty(attribution, batch), cosine)
    p = a + 1e-3 * a.mean(1, keepdim=True)
    p, q = p / p.sum(1, keepdim=True), c / c.sum(1, keepdim=True)
    kl = torch.special.xlogy(q, q / p).sum(1)
    torch.testing.assert_close(load_prior("track:distance=kl").penalty(attribution, batch), kl)


@pytest.mark.parametrize("distance", ["cosine", "kl"])
@pytest.mark.parametrize("without", ["channel", "attribution"])
def test_a_track_that_says_nothing_costs_nothing(distance, without):
    attribution, batch = attributions()
    keep = torch.ones(5, 1).double()
    keep[2] = 0
    if without == "channel":
        batch.arrays["channel:motif"].mul_(keep[:, None])
    else:
        attribution = Attribution(attribution.gradient * keep[:, None], attribution.observed * keep)
    value = load_prior(f"track:distance={distance}").penalty(attribution, batch)
    assert value[2].item() == 0
    assert (value[[0, 1, 3, 4]] > 0).all()
    value.sum().backward()


def test_a_track_may_be_anything_that_is_measured():
    attribution, batch = attributions()
    noise = torch.randn(5, 1, 40, generator=torch.Generator().manual_seed(3)).double()
    batch = Batch(batch.sequence, batch.label, {"channel:phylop": noise})
    for distance in ("cosine", "kl"):
        spec = f"track:channel=phylop:distance={distance}:sign=signed"
        value = load_prior(spec).penalty(attribution, batch)
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("network", ["three-conv", "three-conv:batch_norm=false"])
def test_a_step_gives_strand_consistency_both_strands(network):
    task = registry.build("task", "binary")
    model = build_network(network).double().eval()  # batch statistics held fixed
    batch = Batch(random_sequences(6, 80), torch.tensor([1.0, 0, 1, 1, 0, 1]).double())
    objective = Objective(model, task, regularisation("strand-consistency", 1.0), STREAMS)
    _, penalty = objective.losses(batch, 0.0)
    x = batch.sequence[batch.label == 1]
    first = input_x_gradient(model, x, lambda y: y[:, 0]).observed.abs()
    second = input_x_gradient(model, x.flip(1, 2), lambda y: y[:, 0]).observed.flip(1).abs()
    expected = (1 - F.cosine_similarity(first, second, dim=1)).mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    learnt = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(penalty, learnt, materialize_grads=True)
    wanted = torch.autograd.grad(expected, learnt, materialize_grads=True)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-12)


def test_a_step_gives_penalties_the_target():
    task = registry.build("task", "binary")
    model = build_network("three-conv:batch_norm=false").double()
    channel = torch.zeros(6, 1, 80).double()
    label = torch.tensor([1.0, 0, 1, 1, 0, 1]).double()
    batch = Batch(random_sequences(6, 80), label, {"channel:motif": channel})
    added = regularisation("mask:form=log-probabilities", 1.0)
    _, penalty = Objective(model, task, added, STREAMS).losses(batch, 0.0)
    x = batch.sequence[label == 1].clone().requires_grad_()
    logit = model(x)[:, 0]
    both = F.logsigmoid(logit) + F.logsigmoid(-logit)
    (gradient,) = torch.autograd.grad(both.sum(), x, create_graph=True)
    expected = gradient.square().sum(dim=1).mean(dim=1).mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    learnt = list(model.parameters())
    found = torch.autograd.grad(penalty, learnt, materialize_grads=True)
    wanted = torch.autograd.grad(expected, learnt, materialize_grads=True)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("task", "problem"),
    [("profile", "labels are classes"), ("binary:attributed=probability", "of the logit")],
)
def test_log_probabilities_need_log_odds(task, problem):
    study = Study(priors=["none", "mask:form=log-probabilities"], tasks=[f"{task}:channels=motif"])
    with pytest.raises(UserError, match=problem):
        resolve(study, "cpu")


@pytest.mark.parametrize("option", ["deletion", "inversion", "reverse_complement"])
def test_a_channel_is_not_read_where_bases_have_moved_away_from_it(option):
    still = "evoaug:deletion=0:insertion=0:translocation=0"
    load_prior(f"mask+{still}")
    load_prior("fourier+evoaug")
    moving = still.replace("deletion=0", "deletion=1") if option == "deletion" else still
    moving += "" if option == "deletion" else f":{option}=1"
    with pytest.raises(UserError, match="no longer lies where its bases are"):
        load_prior(f"mask+{moving}")


def test_strand_consistency_is_refused_for_rna():
    with pytest.raises(UserError, match="another molecule"):
        resolve(Study(priors=["none", "strand-consistency"], tasks=["rbp"]), "cpu")
