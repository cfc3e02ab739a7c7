"""A training step stays on its device, and makes the host wait for it at most once."""

import pytest
import torch
from fixtures.devices import META, Watched, meta_as_device
from fixtures.networks import build_network, regularisation
from fixtures.places import EVERYTHING
from fixtures.priors import BAND_PASS, VARIANTS

from priorbench import (
    Batch,
    attribute_and_predict,
    expected_gradients,
    gradient,
    input_x_gradient,
    integrated_gradients,
    load_attribution,
    load_prior,
    simplex_gradient,
)
from priorbench.attribution.methods import METHODS
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.seeds import RandomStreams
from priorbench.training.adam import Adam
from priorbench.training.ensemble.objective import EnsembleObjective, MemberTraining
from priorbench.training.ensemble.stacked_networks import MemberGenerators, StackedNetworks
from priorbench.training.objective import Objective

COUNT, CHOSEN = 8, 4
NETWORKS = [
    *registry.components("architecture"),
    "three-conv:batch_norm=false",
    "deepbind:batch_norm=false",
]
PROFILE = NetworkShape(120, 2, 40, 1)


def batch_of(task, length):
    sequence = torch.zeros(COUNT, 4, length, device=META)
    if task != "profile":
        channel = torch.zeros(COUNT, 1, length, device=META)
        return Batch(sequence, torch.zeros(COUNT, device=META), {"channel:motif": channel})
    reads, controls = torch.zeros(COUNT, 2, 40), torch.zeros(COUNT, 1, 40)
    arrays = {"reads": reads.to(META), "controls": controls.to(META)}
    return Batch(sequence, torch.zeros(COUNT, 2, device=META), arrays)


def step(prior, attribution, architecture, task="binary", length=80):
    """Take three steps; return what the host waited for in the last one."""
    shape = PROFILE if task == "profile" else NetworkShape(length)
    added = regularisation(load_prior(prior), attribution=attribution, task=task)
    model = added.adapt(build_network(architecture, shape)).to(META)
    loss = registry.build("task", task)
    teachers = [build_network(architecture, shape).to(META) for _ in range(added.teachers)]
    batch = batch_of(task, shape.length)
    with meta_as_device(), Watched(CHOSEN) as watched:
        streams = RandomStreams(0, ("devices",), 0)
        objective = Objective(model, loss, added, streams, teachers=teachers)
        optimiser = Adam(model.parameters(), 1e-3)
        # constants are made, and the way of a batch is tried, in the first steps
        for _ in range(3):
            watched.waits.clear(), watched.copies.clear()
            optimiser.zero_grad()
            sum(objective.losses(batch, 1.0)).backward()
            optimiser.step()
    assert not watched.copies
    return watched.waits


@pytest.mark.slow
@pytest.mark.parametrize("prior", VARIANTS)
def test_every_prior(prior):
    assert len(step(prior, "input-x-gradient", "three-conv:batch_norm=false")) <= 1


ATTRIBUTIONS = [*METHODS, "integrated-gradients:reference=uniform"]
# all attributions for a network with batch norm and for one without, which take different ways,
# and one that reads one place and one that reads several for every network
PAIRS = [
    (architecture, attribution)
    for architecture in NETWORKS
    for attribution in ATTRIBUTIONS
    if EVERYTHING
    or architecture.startswith("three-conv")
    or attribution in ("input-x-gradient", "integrated-gradients")
]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "attribution"), PAIRS)
def test_every_training_attribution_and_architecture(architecture, attribution):
    assert len(step("fourier", attribution, architecture)) <= 1


@pytest.mark.parametrize("attribution", METHODS)
def test_profiles(attribution):
    assert len(step("fourier", attribution, "bpnet", "profile")) <= 1


def joint_step(priors, attribution, architecture, task="binary"):
    """Take three steps of networks that train at once; return the waits of the last one."""
    shape = PROFILE if task == "profile" else NetworkShape(80)
    loss, trainings, models = registry.build("task", task), [], []
    for seed, prior in enumerate(priors):
        added = regularisation(load_prior(prior), attribution=attribution, task=task)
        trainings.append(MemberTraining(added, RandomStreams(seed, ("devices",), 0)))
        models.append(added.adapt(build_network(architecture, shape, seed=seed)).to(META))
    single = batch_of(task, shape.length)
    batch = single.select(torch.arange(COUNT, device=META).repeat(len(priors)))
    with meta_as_device(), Watched(CHOSEN) as watched:
        members = StackedNetworks(models, MemberGenerators(META, range(len(priors))))
        objective = EnsembleObjective(members, loss, trainings)
        optimiser = Adam(members.parameters.values(), 1e-3)
        for _ in range(3):
            watched.waits.clear(), watched.copies.clear()
            optimiser.zero_grad()
            sum(objective.losses(batch, 1.0)).sum().backward()
            optimiser.step()
    assert not watched.copies
    return watched.waits


@pytest.mark.parametrize("attribution", METHODS)
@pytest.mark.parametrize("architecture", ["three-conv", "three-conv:batch_norm=false"])
def test_networks_that_train_at_once(attribution, architecture):
    priors = ["fourier:schedule=warm-up", "l1", "weight-l2", "none"]
    assert len(joint_step(priors, attribution, architecture)) <= 1


def test_networks_for_profiles_that_train_at_once():
    assert len(joint_step(["fourier", "none"], "input-x-gradient", "bpnet", "profile")) <= 1


def target(output):
    return output[:, 0]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("attribution", METHODS)
def test_a_loop_of_ones_own(attribution, split):
    model = build_network("three-conv").to(META)
    batch = batch_of("binary", 80)
    with meta_as_device(), Watched(CHOSEN) as watched:
        method, generator = load_attribution(attribution), torch.Generator(META)
        for chosen, waits in ((batch.label == 1, 1), (torch.arange(CHOSEN, device=META), 0)):
            for _ in range(3):
                watched.waits.clear(), watched.copies.clear()
                _, attributions = attribute_and_predict(
                    model,
                    batch.sequence,
                    chosen,
                    target,
                    method=method,
                    generator=generator,
                    split=split,
                )
            assert len(watched.waits) == waits
            assert not watched.copies
        rows = batch.select(torch.arange(CHOSEN, device=META))
        for spec in ("fourier", BAND_PASS, "off-simplex:form=published"):
            load_prior(spec).mean_penalty(attributions, rows).backward(retain_graph=True)


def test_functions_that_attribute_everything_wait_for_nothing():
    model, batch = build_network("three-conv").to(META), batch_of("binary", 80)
    with meta_as_device(), Watched(CHOSEN) as watched:
        for function in (input_x_gradient, gradient, simplex_gradient, integrated_gradients):
            function(model, batch.sequence, target)
        expected_gradients(model, batch.sequence, target, torch.Generator(META))
    assert not watched.waits
    assert not watched.copies


def test_what_is_watched_would_be_seen():
    mask = torch.zeros(COUNT, dtype=torch.bool, device=META)
    with Watched(CHOSEN) as watched:
        assert torch.arange(COUNT, device=META)[mask].shape == (CHOSEN,)
        assert mask.nonzero().shape == (CHOSEN, 1)
        assert mask.masked_select(mask).shape == (CHOSEN,)
        assert mask.any()
        assert int(mask.sum()) == CHOSEN
        assert torch.stack([mask.sum(), mask.sum()]).tolist() == [CHOSEN, CHOSEN]
        assert len(watched.waits) == 6
        torch.arange(COUNT).to(META)
        assert len(watched.copies) == 1
        with pytest.raises(AssertionError, match="tensors of the host and of the device meet"):
            torch.arange(COUNT) + torch.arange(COUNT, device=META)
