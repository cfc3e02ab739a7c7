"""No example has a mean penalty of 0, and what is kept of one step serves every other."""

import pytest
import torch
from fixtures.priors import BAND_PASS, VARIANTS
from fixtures.sequences import random_sequences
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from priorbench import Attribution, Batch, Prior, UserError, load_prior
from priorbench.authoring.check_tools import arrays_for
from priorbench.components import registry
from priorbench.components.prior_bases import kept

PENALTIES = [spec for spec in VARIANTS if load_prior(spec).overrides("penalty")]


def of_no_example(length, dtype=torch.float32):
    gradient = torch.zeros(0, 4, length, dtype=dtype).requires_grad_()
    return gradient, Attribution(gradient, gradient.sum(dim=1))


@pytest.mark.parametrize("length", [50, 600])
@pytest.mark.parametrize("spec", PENALTIES)
def test_no_example_has_no_penalty_and_a_mean_of_zero(spec, length):
    prior, sequence = load_prior(spec), torch.zeros(0, 4, length)
    gradient, attribution = of_no_example(length)
    batch = Batch(sequence, torch.zeros(0), arrays_for(prior, sequence, gradient))
    values = prior.penalty(attribution, batch)
    assert values.shape == (0,)
    assert values.dtype == torch.float32
    mean = prior.mean_penalty(attribution, batch)
    assert mean.shape == ()
    assert mean.item() == 0
    for value in (values.sum(), mean):
        (slope,) = torch.autograd.grad(value, gradient, retain_graph=True)
        assert slope.shape == (0, 4, length)


@pytest.mark.parametrize("spec", PENALTIES)
def test_the_mean_is_that_of_the_examples(spec):
    x = random_sequences(5, 50, dtype=torch.float32)
    gradient = torch.randn(5, 4, 50, generator=torch.Generator().manual_seed(0))
    attribution = Attribution(gradient, (gradient * x).sum(1))
    prior = load_prior(spec)
    batch = Batch(x, torch.ones(5), arrays_for(prior, x, gradient))
    expected = prior.penalty(attribution, batch).mean()
    assert torch.equal(prior.mean_penalty(attribution, batch), expected)
    if not prior.needs:
        assert torch.equal(prior.mean_penalty(attribution), expected)


@pytest.mark.parametrize("spec", [spec for spec in PENALTIES if load_prior(spec).needs])
def test_arrays_that_a_penalty_reads_are_asked_for_by_name(spec):
    prior = load_prior(spec)
    x = random_sequences(2, 50, dtype=torch.float32)
    attribution = Attribution(x, x.sum(dim=1))
    with pytest.raises(UserError, match="reads 'arrays' of the batch"):
        prior.mean_penalty(attribution)
    with pytest.raises(UserError, match=f"reads the array '{prior.needs[0]}' of the batch, which"):
        prior.mean_penalty(attribution, Batch(x, torch.ones(2), {"reads": x}))


class Reading(Prior):
    def penalty(self, attribution, batch):
        return attribution.observed.sum(dim=1) * batch.label


def test_a_penalty_that_reads_the_batch_asks_for_it():
    gradient = torch.ones(2, 4, 5)
    attribution = Attribution(gradient, gradient.sum(dim=1))
    with pytest.raises(UserError, match="penalty of 'Reading' reads 'label' of the batch"):
        Reading().mean_penalty(attribution)
    batch = Batch(gradient, torch.tensor([1.0, 0.0]))
    assert Reading().mean_penalty(attribution, batch) == 10


def calls(prior):
    """Each hook, called on nothing."""
    _, attribution = of_no_example(50)
    batch = Batch(torch.zeros(0, 4, 50), torch.zeros(0))
    return {
        "penalty": lambda: prior.penalty(attribution, batch),
        "loss_penalty": lambda: prior.loss_penalty(None),
        "parameter_penalty": lambda: prior.parameter_penalty(torch.nn.Linear(2, 1)),
        "adapt": lambda: prior.adapt(torch.nn.Identity(), 1.0),
        "augment": lambda: prior.augment(batch.sequence, 1.0, torch.Generator()),
        "average_share": lambda: prior.average_share(0.5, 1, 1),
        "final_phase": lambda: prior.final_phase(0.5),
        "change_examples": lambda: prior.change_examples(batch, 1.0, torch.Generator()),
    }


ACTS = {
    "dropout": "adapt, a change of the network",
    "exponential": "adapt, a change of the network",
    "input-noise": "augment, a change of the training input",
    "weight-l1": "parameter_penalty, a penalty on the network's weights",
    "weight-l2": "parameter_penalty, a penalty on the network's weights",
    "fourier": "penalty, a penalty on attributions",
}


@pytest.mark.parametrize("name", [*registry.components("prior"), "dropout+weight-l2"])
def test_a_hook_that_a_prior_lacks_says_how_it_acts(name):
    prior = load_prior(name)
    for hook, call in calls(prior).items():
        if prior.overrides(hook):
            continue
        acts = "it acts through " if prior.acts else "it does nothing"
        with pytest.raises(UserError) as error:
            call()
        assert str(error.value).startswith(f"the prior {name!r} has no {hook}: {acts}")
        assert ACTS.get(name, "") in str(error.value)
    if not prior.overrides("penalty"):
        _, attribution = of_no_example(50)
        with pytest.raises(UserError, match="has no penalty"):
            prior.mean_penalty(attribution, Batch(torch.zeros(0, 4, 50), torch.zeros(0)))


def test_a_prior_of_no_file_is_called_by_its_class():
    class Own(Prior):
        pass

    with pytest.raises(UserError, match="the prior 'Own' has no penalty: it does nothing"):
        calls(Own())["penalty"]()
    both = "adapt, a change of the network and parameter_penalty"
    with pytest.raises(UserError, match=r"'dropout\+weight-l2' has no penalty: it acts through"):
        calls(load_prior("dropout+weight-l2"))["penalty"]()
    assert both


def penalty_of(spec, gradient):
    attribution = Attribution(gradient, gradient.sum(dim=1))
    batch = Batch(torch.zeros(gradient.shape), torch.zeros(len(gradient)))
    return load_prior(spec).penalty(attribution, batch)


# lengths that nothing else is tested at, so that constants are new
@pytest.mark.parametrize(
    ("spec", "length"),
    [
        ("fourier", 71),
        ("fourier:boundary=taper", 73),
        (BAND_PASS, 83),
        ("l1:smooth_sigma=3", 457),
        ("gini", 79),
    ],
)
@pytest.mark.parametrize("first", ["fake", "traced", "functional", "inference", "vmap"])
def test_constants_that_are_kept_stand_for_nothing_else(spec, length, first):
    length += 101 * ["fake", "traced", "functional", "inference", "vmap"].index(first)
    gradient = torch.randn(2, 4, length, generator=torch.Generator().manual_seed(0))
    if first == "fake":
        with FakeTensorMode() as mode:
            penalty_of(spec, mode.from_tensor(gradient))
    if first == "traced":
        graph = make_fx(lambda value: penalty_of(spec, value), tracing_mode="fake")(gradient)
    if first == "functional":
        torch.func.functionalize(lambda value: penalty_of(spec, value))(gradient)
    if first == "inference":
        with torch.inference_mode():
            penalty_of(spec, gradient.clone())
    if first == "vmap":
        torch.func.vmap(lambda value: penalty_of(spec, value))(gradient[None])
    gradient.requires_grad_()
    value = penalty_of(spec, gradient)
    assert type(value) is torch.Tensor
    value.sum().backward()
    if first == "traced":
        assert torch.allclose(graph(gradient), value)
    plain = gradient.detach()
    with FakeTensorMode() as mode:
        penalty_of(spec, mode.from_tensor(plain))


def test_constants_are_kept_once_and_not_without_end():
    calls = []

    @kept
    def number(value):
        calls.append(value)
        return torch.full((), value)

    for _ in range(2):
        assert [int(number(value)) for value in range(3)] == [0, 1, 2]
    assert calls == [0, 1, 2]
    for value in range(40):
        number(value)
    number(0)
    assert calls.count(0) == 2
