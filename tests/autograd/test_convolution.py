"""Convolutions in place of torch's: the same numbers, derivatives of every order, and when."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from priorbench import attribute_and_predict
from priorbench.autograd.functions import convolution
from priorbench.autograd.functions.convolution import replace_convolution
from priorbench.autograd.functions.twice_differentiable import TwiceDifferentiable

FORMS = {
    "plain": {},
    "padded": {"padding": 2},
    "padded on either side": {"padding": "same", "dilation": 3},
    "valid": {"padding": "valid"},
    "in steps": {"stride": 2, "padding": (1,)},
    "dilated": {"dilation": (2,), "padding": 2},
    "in groups": {"groups": 2, "padding": 1},
    "numbers of numpy": {"stride": np.int64(1), "padding": np.int64(1), "groups": np.int64(1)},
    "a tensor": {"padding": torch.tensor(1)},
}


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch):
    monkeypatch.setattr(convolution, "FEWEST_PRODUCTS", 0)


def leaves(dimensions=1, *, groups=1, bias=True, seed=0):
    draw = torch.Generator().manual_seed(seed)
    kernel, size = [3] * dimensions, [9] * dimensions

    def tensor(*shape):
        values = torch.randn(shape, generator=draw, dtype=torch.float64)
        return values.requires_grad_()

    shift = tensor(6) if bias else None
    return tensor(2, 4, *size), tensor(6, 4 // groups, *kernel), shift


def is_replaced(output):
    return "_Convolution" in type(output.grad_fn).__name__


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("function", [F.conv1d, F.conv2d])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_has_torchs_numbers_and_derivatives(form, function, bias):
    dimensions = convolution.CONVOLUTIONS[function]
    inputs = leaves(dimensions, groups=form.get("groups", 1), bias=bias)
    given = [value for value in inputs if value is not None]
    results = []
    for call in (function, replace_convolution(function)):
        output = call(*inputs, **form)
        first = torch.autograd.grad(output.sin().sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(v.square().sum() for v in first), given, create_graph=True)
        third = torch.autograd.grad(sum(v.sum() for v in second), given)
        results.append([output, *first, *second, *third])
    assert [is_replaced(result[0]) for result in results] == [False, True]
    for expected, value in zip(*results, strict=True):
        assert torch.allclose(expected, value, rtol=1e-10, atol=1e-12)


class Counted(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.asked = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution_backward.default:
            self.asked.append(args[-1])
        return function(*args, **(kwargs or {}))


def test_only_gradients_that_are_asked_for_are_taken():
    value, weight, bias = leaves()
    convolve = replace_convolution(F.conv1d)
    with Counted() as counted:
        hidden = convolve(value, weight, bias).tanh()
        output = convolve(hidden.repeat(1, 2, 1)[:, :4], weight).tanh()
        (slope,) = torch.autograd.grad(output.sum(), value, create_graph=True)
        assert counted.asked == [[True, False, False]] * 2
        (by_weight,) = torch.autograd.grad(output.sum(), weight, create_graph=True)
        # of the first layer nothing but the weight
        assert [False, True, False] in counted.asked[2:]
        counted.asked.clear()
        (output.sum() + slope.square().sum() + by_weight.square().sum()).backward()
    assert [True, True, True] in counted.asked
    assert value.grad is not None


def test_without_torchs_help_all_gradients_are_taken(monkeypatch):
    monkeypatch.setattr(convolution, "_runs", None)
    value, weight, bias = leaves()
    expected = torch.autograd.grad(F.conv1d(value, weight, bias).sin().sum(), value)
    output = replace_convolution(F.conv1d)(value, weight, bias)
    assert torch.allclose(torch.autograd.grad(output.sin().sum(), value)[0], expected[0])


def test_torch_still_says_which_nodes_it_will_run():
    assert callable(torch._C._will_engine_execute_node)


class Bank(torch.nn.Module):
    """The sequences are the filters, which a bank is searched with."""

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.register_buffer("bank", torch.randn(5, 4, 12, generator=draw, dtype=torch.float64))
        self.weight = torch.nn.Parameter(torch.randn(5, generator=draw, dtype=torch.float64))

    def forward(self, sequence):
        return F.conv1d(self.bank, sequence)[..., 0].t().tanh() @ self.weight


@pytest.mark.parametrize("split", [True, False])
def test_sequences_may_be_filters(split):
    model, draw = Bank(), torch.Generator().manual_seed(1)
    sequence = torch.randn(8, 4, 12, generator=draw, dtype=torch.float64)
    expected = sequence.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(expected).sum(), expected)
    chosen = torch.arange(8) % 2 == 0
    _, attribution = attribute_and_predict(model, sequence, chosen, lambda y: y, split=split)
    assert torch.allclose(attribution.gradient, slope[chosen])


class Inner(torch.autograd.Function):
    """A block that keeps its graph, and takes gradients of its weight within backward."""

    @staticmethod
    def forward(ctx, value, weight):
        with torch.enable_grad():
            inner = value.detach().requires_grad_()
            ctx.graph = inner, F.conv1d(inner, weight).sin(), weight
        return ctx.graph[1].detach()

    @staticmethod
    def backward(ctx, gradient):
        inner, output, weight = ctx.graph
        return torch.autograd.grad(output, [inner, weight], gradient, retain_graph=True)


def test_a_block_may_differentiate_by_its_weight_within_an_attribution():
    value, weight, _ = leaves()
    sequence = value.detach()
    _, attribution = attribute_and_predict(
        lambda x: Inner.apply(x, weight).flatten(1).sum(1),
        sequence,
        torch.tensor([True, True]),
        lambda y: y,
        create_graph=False,
    )
    (slope,) = torch.autograd.grad(F.conv1d(value, weight).sin().sum(), value)
    assert torch.allclose(attribution.gradient, slope)


class Doubling(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is F.conv1d:
            return 2 * F.conv1d(*(value.as_subclass(torch.Tensor) for value in args[:2]))
        return super().__torch_function__(function, types, args, kwargs)


class Halving(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return result / 2 if function is F.conv1d else result


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize(
    ("name", "convolve"),
    [
        ("a weight that is computed", lambda x, w: F.conv1d(x, w * 2)),
        ("a bias that is computed", lambda x, w: F.conv1d(x, w, w[:, 0, 0])),
        ("a weight of its own kind", lambda x, w: F.conv1d(x, w.detach().as_subclass(Doubling))),
        ("a sequence of its own kind", lambda x, w: F.conv1d(x.as_subclass(Doubling), w)),
        ("one example without a batch", lambda x, w: F.conv1d(x[0], w)),
        ("an even kernel, padded", lambda x, w: F.conv1d(x, w[..., :2].detach(), padding="same")),
        ("functional", lambda x, w: torch.func.vmap(lambda v: F.conv1d(v, w))(x[:, None])),
        ("complex numbers", lambda x, w: F.conv1d(x * 1j, (w * 1j).detach())),
    ],
)
def test_what_it_cannot_do_is_left_to_torch(name, convolve):
    value, weight, _ = leaves()
    with TwiceDifferentiable():
        output = convolve(value, weight)
    assert not is_replaced(output)
    assert torch.equal(output, convolve(value, weight))


def test_modes_of_the_caller_see_convolutions():
    value, weight, _ = leaves()
    expected = F.conv1d(value, weight) / 2
    with Halving(), TwiceDifferentiable():
        assert torch.equal(F.conv1d(value, weight), expected)


def test_without_gradients_torchs_own_is_called(monkeypatch):
    value, weight, _ = leaves()
    monkeypatch.setattr(convolution._Convolution, "apply", lambda *_: pytest.fail("called"))
    with TwiceDifferentiable():
        assert torch.no_grad()(F.conv1d)(value, weight).requires_grad is False


def test_autocast_is_left_to_torch():
    value, weight, _ = leaves()
    with torch.autocast("cpu", dtype=torch.bfloat16), TwiceDifferentiable():
        assert F.conv1d(value.float(), weight.float().detach()).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_forward_differentiation_is_left_to_torch():
    value, weight, _ = leaves()
    with forward_ad.dual_level(), TwiceDifferentiable():
        dual = forward_ad.make_dual(value.detach(), torch.ones_like(value))
        assert forward_ad.unpack_dual(F.conv1d(dual, weight)).tangent is not None


def test_devices_that_cast_nothing():
    with TwiceDifferentiable():
        value = torch.zeros(2, 4, 9, device="meta")
        weight = torch.nn.Parameter(torch.zeros(6, 4, 3, device="meta"))
        assert is_replaced(F.conv1d(value, weight))


def test_what_gains_nothing_is_left_to_torch(monkeypatch):
    value, weight, _ = leaves()
    long = torch.zeros(6, 4, 7, dtype=torch.float64, requires_grad=True)
    with TwiceDifferentiable():
        assert is_replaced(F.conv1d(value, weight))
        assert not is_replaced(F.conv1d(value, long))
        assert is_replaced(F.conv1d(value, long, dilation=2, padding=6))
        monkeypatch.setattr(convolution, "FEWEST_PRODUCTS", weight.numel() * 18)
        assert is_replaced(F.conv1d(value, weight))
        monkeypatch.setattr(convolution, "FEWEST_PRODUCTS", weight.numel() * 18 + 1)
        assert not is_replaced(F.conv1d(value, weight))
    with TwiceDifferentiable(needed=False):
        assert not is_replaced(F.conv1d(value, weight))
