"""Several priors at once, and penalties that do not act at every step."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, build_network, regularisation

from priorbench import (
    Attribution,
    AttributionPrior,
    Batch,
    UserError,
    attribute_and_predict,
    load_prior,
)
from priorbench.components import registry, specs
from priorbench.components.composition import Composition, Summand
from priorbench.seeds import RandomStreams
from priorbench.study.trial import code_digest
from priorbench.training.batches import load_batch
from priorbench.training.objective import Objective

TASK = registry.build("task", "binary")
STREAMS = RandomStreams(0, ("binary", "simulated"), 0)


def objective(prior, weight=1.0, attribution="input-x-gradient"):
    added = regularisation(prior, weight, attribution)
    return Objective(added.adapt(build_network()), TASK, added, STREAMS)


@pytest.fixture
def batch(simulated):
    return load_batch(simulated, np.arange(24), CPU)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("fourier+dropout", "fourier+dropout"),
        ("dropout + fourier:softness=0.2", "dropout+fourier"),
        ("fourier=1+weight-l2=1e-5", "fourier=1+weight-l2=1e-05"),
        ("fourier=1.50+weight-l2=1e+5", "fourier=1.5+weight-l2=100000"),
        ("fourier:softness=.3=.5+dropout", "fourier:softness=0.3=0.5+dropout"),
        ("tv:smooth_sigma=1e+0+l1", "tv:smooth_sigma=1.0+l1"),
    ],
)
def test_specs_of_compositions_are_normalised(written, normal):
    assert registry.normal_spec("prior", written) == normal
    assert registry.normal_spec("prior", normal) == normal
    assert load_prior(written) == load_prior(normal)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fourier+", "nothing stands beside the +"),
        ("+fourier", "nothing stands beside the +"),
        ("fourier+fourier", "'fourier' occurs twice"),
        ("fourier+fourier:softness=0.2", "'fourier' occurs twice"),
        ("fourier+none", "'none' adds nothing"),
        ("fourier=much+tv", "write fourier=WEIGHT, a number"),
        ("fourier=1+dropout=1.5", "not a probability"),
        ("fourier=-1+tv", "not a finite number"),
        ("furier+tv", "did you mean 'fourier'"),
        ("fourier:softness=0.3=much", "write fourier:softness=WEIGHT, a number"),
        ("none=1", "'none' adds nothing"),
        ("dropout=1.5", "not a probability"),
    ],
)
def test_compositions_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(UserError, match=message.replace("+", r"\+")):
        load_prior(spec)


def test_one_prior_with_its_weight_is_a_composition_so_that_weights_can_be_compared():
    weak, strong = load_prior("l1=1e-3"), load_prior("l1=0.1")
    assert [part.weight for part in weak.parts(1.0, "binary")] == [1e-3]
    assert [part.weight for part in strong.parts(2.0, "binary")] == [0.2]
    assert registry.normal_spec("prior", "l1=1e-3") == "l1=0.001"
    assert registry.names_in("prior", "l1=1e-3") == ["l1"]


def test_parts_have_their_own_weight_or_the_default_times_the_weight_of_the_whole():
    prior = load_prior("fourier+weight-l2=1e-5+dropout")
    parts = prior.parts(2.0, "binary")
    assert [p.weight for p in parts] == pytest.approx([0.6, 2e-5, 0.2])
    assert load_prior("fourier+dropout").parts(1.0, "profile")[0].weight == 50
    assert prior.default_weight("binary") == 1
    assert [p.prior for p in parts] == [load_prior(n) for n in ("fourier", "weight-l2", "dropout")]


def test_the_loss_is_the_sum_of_the_parts(batch):
    prediction, penalty = objective("fourier=0.5+weight-l2=1e-3+l1:examples=all=2").losses(batch, 0)
    model, positives = build_network(), batch.label == 1
    everything = torch.ones(24, dtype=torch.bool)
    output, attribution = attribute_and_predict(model, batch.sequence, everything, TASK.target)
    fourier = load_prior("fourier").penalty(attribution.select(positives), batch.select(positives))
    l1 = load_prior("l1").penalty(attribution, batch)
    l2 = load_prior("weight-l2").parameter_penalty(model)
    expected = 0.5 * fourier.mean() + 2 * l1.mean() + 1e-3 * l2
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    loss = TASK.prediction_loss(output, batch).mean()
    assert prediction.item() == pytest.approx(loss.item(), rel=1e-5)


def test_a_part_without_examples_of_its_own_adds_nothing(batch):
    negatives = batch.select(batch.label == 0)
    _, both = objective("fourier+l1:examples=all=2").losses(negatives, 0)
    _, alone = objective("l1:examples=all", weight=2.0).losses(negatives, 0)
    assert both.item() == pytest.approx(alone.item())


def test_hooks_of_a_composition_add_up_in_loops_of_ones_own():
    prior = load_prior("fourier=0.5+tv+weight-l1=0.1+weight-l2=0.2+input-noise=0.3+dropout=0.4")
    track = torch.rand(3, 40, generator=torch.Generator().manual_seed(0))
    seen = (Attribution(track[:, None].expand(3, 4, 40), track), None)
    fourier, tv = (load_prior(n).penalty(*seen) for n in ("fourier", "tv"))
    assert torch.allclose(prior.penalty(*seen), 0.5 * fourier + 0.1 * tv)
    model = build_network()
    l1, l2 = (load_prior(n).parameter_penalty(model) for n in ("weight-l1", "weight-l2"))
    assert torch.allclose(prior.parameter_penalty(model), 0.1 * l1 + 0.2 * l2)
    x = torch.zeros(2, 4, 9)
    noisy = load_prior("input-noise").augment(x, 0.6, torch.Generator().manual_seed(0))
    assert torch.equal(prior.augment(x, 2.0, torch.Generator().manual_seed(0)), noisy)
    modules = prior.adapt(model, 1.0).modules()
    hooks = [hook for module in modules for hook in module._forward_pre_hooks.values()]
    assert [hook.probability for hook in hooks] == [0.4] * 3
    assert prior.scale_free
    assert not load_prior("fourier+l1").scale_free


def test_a_composition_applies_where_any_part_does():
    examples = Batch(torch.zeros(3, 4, 10), torch.tensor([1.0, 0.0, 1.0]))
    assert load_prior("fourier+tv").applies(examples, TASK).tolist() == [True, False, True]
    assert load_prior("fourier+tv:examples=all").applies(examples, TASK).all()


def test_the_code_of_every_part_decides_the_trial():
    def digest(prior):
        return code_digest(task="binary", architecture="three-conv", prior=prior)

    assert registry.names_in("prior", "fourier=1+weight-l2=1e-5") == ["fourier", "weight-l2"]
    digests = {digest(prior) for prior in ("fourier", "fourier+tv", "fourier+l1", "tv+fourier")}
    assert len(digests) == 4


@dataclass(frozen=True)
class Counting(AttributionPrior):
    """Remembers what it saw."""

    summary = "for a test"
    citation = "none"

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        SEEN.append(attribution.observed.detach().clone())
        return attribution.observed.square().mean(dim=1)


SEEN: list[torch.Tensor] = []


def test_lazy_penalties_are_computed_on_each_kth_step_only(batch):
    SEEN.clear()
    every = objective(Counting(every=3))
    values = [every.losses(batch, 0.0)[1].item() for _ in range(7)]
    assert [value > 0 for value in values] == [True, False, False, True, False, False, True]
    assert len(SEEN) == 3
    assert values[0] == pytest.approx(3 * objective(Counting()).losses(batch, 0.0)[1].item())


def test_parts_keep_their_own_schedules(batch):
    both = objective("weight-l2:every=2=1+weight-l1:schedule=warm-up=1")
    l1, l2 = (objective(name).losses(batch, 0.0)[1].item() for name in ("weight-l1", "weight-l2"))
    values = [both.losses(batch, elapsed)[1].item() for elapsed in (0.0, 0.5, 2.0)]
    assert values == pytest.approx([2 * l2, 0.25 * l1, 2 * l2 + l1], rel=1e-5)


def test_every_prior_sees_the_same_references(batch):
    # expected gradients of the same weights, at the first step and after two without a penalty
    SEEN.clear()
    for prior, skipped in (("l2", 0), ("gini", 0), ("none", 2)):
        part = load_prior(prior) if prior != "none" else Counting()
        steps = objective(part, attribution="expected-gradients")
        steps.steps = skipped
        generator = steps._references()
        SEEN.append(torch.tensor(generator.initial_seed()))
    assert SEEN[0] == SEEN[1] != SEEN[2]
    SEEN.clear()
    lazy, eager = (objective(Counting(every=k), attribution="expected-gradients") for k in (2, 1))
    for training in (lazy, eager):
        training.model.eval()
        for _ in range(3):
            training.losses(batch, 0.0)
    assert len(SEEN) == 2 + 3
    assert torch.equal(SEEN[0], SEEN[2])
    assert torch.equal(SEEN[1], SEEN[4])
    assert not torch.equal(SEEN[0], SEEN[1])


def test_composed_weights_are_split_from_options_only_where_they_belong():
    assert specs.split_composition("a:x=1+b=2+c:y=3=4") == [("a:x=1", None), ("b", 2), ("c:y=3", 4)]


def test_an_empty_composition_does_nothing():
    assert not Composition().acts
    assert Composition((Summand("l1", load_prior("l1"), None),)).acts


def test_parts_of_weight_zero_add_zero():
    prior = load_prior("fourier=0+weight-l2=0+l1=0.1234567890123456")
    track = torch.rand(3, 40, generator=torch.Generator().manual_seed(0))
    penalty = prior.penalty(Attribution(track[:, None], track), None)
    assert torch.allclose(penalty, 0.1234567890123456 * track.mean(dim=1))
    assert load_prior("fourier=0+tv=0").penalty(Attribution(track[:, None], track), None).sum() == 0
    assert prior.parameter_penalty(build_network()) == 0
    spec = registry.normal_spec("prior", "fourier=0+l1=0.1234567890123456")
    assert spec == "fourier=0+l1=0.1234567890123456"
