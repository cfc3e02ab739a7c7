"""Convolutions in place of torch's: the same numbers, derivatives of every order, and when."""

import pytest
import torch
import torch.nn.functional as F

from priorbench.autograd.functions import convolution
from priorbench.autograd.functions.convolution import replace_convolution
from priorbench.autograd.functions.twice_differentiable import TwiceDifferentiable
from priorbench.autograd.statistics_gate import StatisticsGate

FORMS = {
    "plain": {},
    "padded": {"padding": 2},
    "padded on either side": {"padding": "same", "dilation": 3},
    "valid": {"padding": "valid"},
    "in steps": {"stride": 2, "padding": (1,)},
    "dilated": {"dilation": (2,), "padding": 2},
    "in groups": {"groups": 2, "padding": 1},
}


def leaves(dimensions, *, groups=1, bias=True, seed=0):
    draw = torch.Generator().manual_seed(seed)
    kernel, size = [3] * dimensions, [9] * dimensions

    def tensor(*shape):
        values = torch.randn(shape, generator=draw, dtype=torch.float64)
        return values.requires_grad_()

    shift = tensor(6) if bias else None
    return tensor(2, 4, *size), tensor(6, 4 // groups, *kernel), shift


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("function", [F.conv1d, F.conv2d])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_has_torchs_numbers_and_derivatives(form, function, bias):
    dimensions = convolution.CONVOLUTIONS[function]
    inputs = leaves(dimensions, groups=form.get("groups", 1), bias=bias)
    given = [value for value in inputs if value is not None]
    results = []
    for call in (function, replace_convolution(function, StatisticsGate())):
        output = call(*inputs, **form)
        first = torch.autograd.grad(output.sin().sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(v.square().sum() for v in first), given, create_graph=True)
        third = torch.autograd.grad(sum(v.sum() for v in second), given)
        results.append([output, *first, *second, *third])
    assert type(results[1][0].grad_fn) is not type(results[0][0].grad_fn)
    for expected, value in zip(*results, strict=True):
        assert torch.allclose(expected, value, rtol=1e-10, atol=1e-12)


def test_an_attribution_leaves_gradients_of_weights_out():
    value, weight, bias = leaves(1)
    gate = StatisticsGate()
    call = replace_convolution(F.conv1d, gate)
    counted = []

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.convolution_backward.default:
                counted.append(args[-1])
            return function(*args, **(kwargs or {}))

    with Counting():
        output = call(value, weight, bias).tanh()
        with gate.closed():
            (slope,) = torch.autograd.grad(output.sum(), value, create_graph=True)
        assert counted == [[True, False, False]]
        (output.sum() + slope.square().sum()).backward()
    # the second derivative by the weight, the rest of the path to it, and the plain gradients
    assert [False, True, False] in counted
    assert [True, True, True] in counted


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize(
    ("name", "convolve"),
    [
        ("a weight that is computed", lambda x, w: F.conv1d(x, w * 2)),
        ("one example without a batch", lambda x, w: F.conv1d(x[0], w)),
        ("an even kernel, padded", lambda x, w: F.conv1d(x, w[..., :2].detach(), padding="same")),
        ("no gradients", torch.no_grad()(F.conv1d)),
        ("functional", lambda x, w: torch.func.vmap(lambda v: F.conv1d(v, w))(x[:, None])),
    ],
)
def test_what_it_cannot_do_is_left_to_torch(name, convolve):
    value, weight, _ = leaves(1)
    with TwiceDifferentiable(StatisticsGate()):
        output = convolve(value, weight)
    assert "_Convolution" not in type(output.grad_fn).__name__
    assert torch.equal(output, convolve(value, weight))


def test_autocast_is_left_to_torch():
    value, weight, _ = leaves(1)
    with torch.autocast("cpu", dtype=torch.bfloat16), TwiceDifferentiable(StatisticsGate()):
        assert F.conv1d(value.float(), weight.float().detach()).dtype == torch.bfloat16


def test_without_a_gate_nothing_is_replaced():
    value, weight, _ = leaves(1)
    for mode in (TwiceDifferentiable(), TwiceDifferentiable(StatisticsGate(), needed=False)):
        with mode:
            assert "_Convolution" not in type(F.conv1d(value, weight).grad_fn).__name__
    with TwiceDifferentiable(StatisticsGate()):
        assert "_Convolution" in type(F.conv1d(value, weight).grad_fn).__name__
