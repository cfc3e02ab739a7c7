"""Activations of the first layer: what each computes, where it stands, and its derivatives."""

import math

import pytest
import torch
from fixtures.networks import build_network

from priorbench import UserError
from priorbench.architectures._activations import Activation, activation_module
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape

ACTIVATIONS = Activation.__args__
NETWORKS = sorted(registry.components("architecture"))
VALUES = torch.tensor([-2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
EXPECTED = {
    "relu": lambda x: max(x, 0),
    "exponential": math.exp,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "linear": lambda x: x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "shift-scale-relu": lambda x: max((x - 0.2) ** 3, 0),
    "shift-scale-tanh": lambda x: 500 * math.tanh(x - 6) + 500,
    "shift-scale-sigmoid": lambda x: 4000 / (1 + math.exp(8 - x)),
    "exp-relu": lambda x: max(math.exp(0.1 * x) - 1, 0),
    "log-relu": lambda x: max(math.log(abs(x) + 1e-10), 0),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_named_functions(name):
    values = activation_module(name)(VALUES)
    expected = [EXPECTED[name](x) for x in VALUES.tolist()]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_second_order_are_finite(name):
    x = torch.linspace(-6, 6, 121).requires_grad_()  # with 0, 0.2, -1 and 1
    (slope,) = torch.autograd.grad(activation_module(name)(x).sum(), x, create_graph=True)
    assert bool(torch.isfinite(slope).all())
    if slope.requires_grad:
        (curvature,) = torch.autograd.grad(slope.square().sum(), x)
        assert bool(torch.isfinite(curvature).all())


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_takes_an_activation_in_its_first_layer_only(network):
    shape = NetworkShape(120)
    usual = [type(m) for m in build_network(network, shape).modules()]
    changed = [type(m) for m in build_network(f"{network}:activation=tanh", shape).modules()]
    places = [i for i, (a, b) in enumerate(zip(usual, changed, strict=True)) if a is not b]
    assert [usual[i] for i in places] == [torch.nn.ReLU]
    assert changed[places[0]] is torch.nn.Tanh
    first = usual.index(torch.nn.Conv1d)
    assert torch.nn.Conv1d not in usual[first + 1 : places[0]]
    assert registry.normal_spec("architecture", f"{network}:activation=relu") == network
    with pytest.raises(UserError, match="not one of relu, exponential"):
        registry.build("architecture", f"{network}:activation=gelu")


@pytest.mark.parametrize("network", ["three-conv", "koo-local", "koo-dist"])
def test_an_exponential_network_is_the_one_that_the_prior_makes(network):
    shape = NetworkShape(120)
    adapted = registry.build("prior", "exponential").adapt(build_network(network, shape), 1.0)
    own = build_network(f"{network}:activation=exponential", shape)
    sequence = torch.randn(4, 4, 120, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own.eval()(sequence), adapted.eval()(sequence))
