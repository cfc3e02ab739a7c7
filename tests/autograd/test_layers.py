"""Layers on a batch in parts: values and derivatives of first and second order are torch's."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fixtures.tensors import random_tensor, same

from priorbench.autograd.batch_norm import BatchNorm, RunningStatistics, normalise
from priorbench.autograd.layers import Convolution, Flatten, MaxPool, Rectifier
from priorbench.autograd.run_layers import LayerWithParameters, run
from priorbench.autograd.statistics_gate import StatisticsGate


def parts_of(*sizes, shape=(3, 20)):
    return [random_tensor(size, *shape, seed=size).requires_grad_() for size in sizes]


FILTERS = random_tensor(5, 3, 4, seed=2)
LAYERS = {
    "conv": (Convolution(0, 1), torch.conv1d, (FILTERS, random_tensor(5, seed=3))),
    "conv without bias": (Convolution(2, 1), partial(torch.conv1d, padding=2), (FILTERS, None)),
    "conv, dilated": (
        Convolution(4, 4),
        partial(torch.conv1d, padding="same", dilation=4),
        (FILTERS[:, :, :3], None),
    ),
    "conv, grouped": (
        Convolution(0, 1, groups=3),
        partial(torch.conv1d, groups=3),
        (random_tensor(6, 1, 4, seed=2), None),
    ),
    "relu": (Rectifier(), F.relu, ()),
    "max-pool": (MaxPool(3), partial(F.max_pool1d, kernel_size=3, ceil_mode=True), ()),
    "flatten": (Flatten(), partial(torch.flatten, start_dim=1), ()),
}


def with_gradients(parameters):
    return tuple(None if p is None else p.clone().requires_grad_() for p in parameters)


def applied(layer, parts, parameters, gate=None):
    chain = [LayerWithParameters(layer, parameters)]
    return run(chain, gate or StatisticsGate(), parts).parts


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_torchs(name):
    layer, function, parameters = LAYERS[name]
    parameters = with_gradients(parameters)
    leaves = [p for p in parameters if p is not None]
    parts = parts_of(2, 4)
    results = applied(layer, parts, parameters)
    expected = [function(part, *parameters) for part in parts]
    assert same(results, expected)
    weights = [random_tensor(*r.shape, seed=i) for i, r in enumerate(expected)]
    gradients, expected_gradients = (
        torch.autograd.grad(list(values), [*parts, *leaves], weights)
        for values in (results, expected)
    )
    assert same(gradients, expected_gradients)


@pytest.mark.parametrize("name", LAYERS)
def test_attributions_are_differentiated_as_torchs(name):
    # the gradient of one part by its input, and the derivatives of a function of it
    layer, function, parameters = LAYERS[name]
    parameters = with_gradients(parameters)
    parts, gate = parts_of(2, 4), StatisticsGate()
    result = applied(layer, parts, parameters, gate)[0]
    plain = function(parts[0], *parameters)
    slope = random_tensor(*plain.shape).requires_grad_()
    with gate.closed():
        (attribution,) = torch.autograd.grad(result, parts[0], slope, create_graph=True)
    (expected,) = torch.autograd.grad(plain, parts[0], slope, create_graph=True)
    assert same([attribution], [expected])
    leaves = [slope, *parameters[:1]]
    second, expected_second = (
        torch.autograd.grad(value.pow(3).sum(), leaves) for value in (attribution, expected)
    )
    assert same(second, expected_second)


@pytest.mark.parametrize("name", LAYERS)
def test_with_an_open_gate_derivatives_of_any_order_are_exact(name):
    layer, _, parameters = LAYERS[name]
    parameters = with_gradients(parameters)
    leaves = [p for p in parameters if p is not None]
    parts = parts_of(2, 1, shape=(3, 18))

    def squares(*tensors):
        return tuple(r.pow(2) for r in applied(layer, tensors[: len(parts)], parameters))

    assert torch.autograd.gradgradcheck(squares, (*parts, *leaves), atol=1e-6)


def test_a_part_without_a_gradient_counts_as_zero():
    weight = FILTERS.clone().requires_grad_()
    parts = parts_of(2, 3)
    first, _ = applied(Convolution(0, 1), parts, (weight, None))
    gradient = torch.autograd.grad(first.square().sum(), weight)
    expected = torch.autograd.grad(torch.conv1d(parts[0], weight).square().sum(), weight)
    assert same(gradient, expected)


def test_nobody_pays_for_the_gradient_by_the_points():
    weight = FILTERS.clone().requires_grad_()
    points, rest = parts_of(2, 3)
    gate = StatisticsGate(points)
    results = applied(Convolution(0, 1), [points, rest.detach()], (weight, None), gate)
    with gate.closed():
        (slope,) = torch.autograd.grad(results[0].sum(), points, create_graph=True)
    assert slope.abs().sum() > 0
    (sum(r.square().sum() for r in results) + slope.square().sum()).backward()
    assert points.grad is None
    assert weight.grad is not None


def test_results_can_be_changed_in_place():
    results = applied(Convolution(0, 1), parts_of(2, 3), (FILTERS, None))
    before = [result.clone() for result in results]
    results[0].add_(1)  # which torch would refuse for one of several views
    assert same(results, [before[0] + 1, before[1]])


def normed(parts, affine, gate=None, *, eps, running=None, example_rows=None):
    example_rows = sum(map(len, parts)) if example_rows is None else example_rows
    layer = BatchNorm(eps, example_rows, running or RunningStatistics(None, None, 0.1))
    return run([LayerWithParameters(layer, affine)], gate or StatisticsGate(), parts)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 7), (3,)])
def test_batch_norm_has_torchs_values_gradients_and_running_statistics(affine, shape):
    parts = parts_of(2, 4, shape=shape)
    scale = (random_tensor(3, seed=5).requires_grad_(), random_tensor(3, seed=6).requires_grad_())
    scale = scale if affine else (None, None)
    leaves = [*parts, *(s for s in scale if s is not None)]
    mine, theirs = ([torch.zeros(3).double(), torch.ones(3).double()] for _ in range(2))
    output = normed(parts, scale, eps=1e-3, running=RunningStatistics(*mine, 0.3))
    values = torch.cat(list(output.parts))
    expected = F.batch_norm(torch.cat(parts), *theirs, *scale, True, 0.3, 1e-3)
    assert same([values, *mine], [expected, *theirs])
    weight = random_tensor(*expected.shape)
    pair = (torch.autograd.grad((v * weight).sum(), leaves) for v in (values, expected))
    assert same(*pair)


@pytest.mark.parametrize("example_rows", [5, 3])
def test_batch_norm_can_be_differentiated_twice_through_all_its_outputs(example_rows):
    # with three examples, the last two rows are path points
    parts = parts_of(3, 2, shape=(2, 3))
    affine = (random_tensor(2, seed=5).requires_grad_(), random_tensor(2, seed=6).requires_grad_())

    def outputs(*tensors):
        output = normed(tensors[:2], tensors[2:], eps=0.1, example_rows=example_rows)
        other = normalise(random_tensor(1, 2, 3), output.statistics, tensors[2:], 0.1)
        return (*output.parts, *output.statistics, other)

    assert torch.autograd.gradcheck(outputs, (*parts, *affine))
    assert torch.autograd.gradgradcheck(outputs, (*parts, *affine))


@pytest.mark.parametrize("place", [0, 1])
def test_a_closed_gate_holds_the_statistics_fixed_and_is_differentiated_through_them(place):
    # for an example and for a path point
    parts = parts_of(3, 2, shape=(2, 3))
    weight, slope = (
        random_tensor(2, seed=5).requires_grad_(),
        random_tensor(*parts[place].shape, seed=8),
    )

    def attribution(*tensors):
        gate = StatisticsGate()
        pieces = [t.clone() for t in tensors[:2]]
        output = normed(pieces, (tensors[2], None), gate, eps=0.1, example_rows=3)
        with gate.closed():
            return torch.autograd.grad(
                output.parts[place], pieces[place], slope, create_graph=True
            )[0]

    scale = weight / (parts[0].var((0, 2), unbiased=False) + 0.1).sqrt()
    assert same([attribution(*parts, weight)], [slope * scale[:, None]])
    assert torch.autograd.gradcheck(attribution, (*parts, weight))
    assert torch.autograd.gradgradcheck(attribution, (*parts, weight))
