"""Batch norm is held fixed however it is called, and only what couples examples is batch norm."""

import copy
import functools
import warnings

import pytest
import torch
import torch.nn.functional as F
from fixtures.sequences import random_sequences

from priorbench import attribute_and_predict, load_attribution

COUNT, CHOSEN = 6, [0, 2, 3]
PATH = load_attribution("integrated-gradients:steps=2")


def target(output):
    return output[:, 0]


def held_by_hand(norm, h, statistics):
    """Batch norm by given statistics."""
    mean, variance = (value[:, None] for value in statistics)
    return (h - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None] + norm.bias[:, None]


def arguments(norm):
    return (norm.weight, norm.bias, norm.running_mean, norm.running_var, True, 0.1, norm.eps)


def named(norm):
    names = ("weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
    return dict(zip(names, arguments(norm), strict=True))


CALLS = {
    "module": lambda norm, h: norm(h),
    "torch.batch_norm": lambda norm, h: torch.batch_norm(h, *arguments(norm), False),
    "by keyword": lambda norm, h: torch.batch_norm(input=h, **named(norm), cudnn_enabled=False),
    "kernel": lambda norm, h: torch.native_batch_norm(h, *arguments(norm))[0],
    "operator": lambda norm, h: torch.ops.aten.native_batch_norm(h, *arguments(norm))[0],
    "update": lambda norm, h: torch.ops.aten._batch_norm_with_update(
        h, *arguments(norm)[:4], 0.1, norm.eps
    )[0],
    "vmap": lambda norm, h: torch.vmap(
        lambda weight: F.batch_norm(h, None, None, weight, norm.bias, True)
    )(norm.weight[None])[0],
}


class Network(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.convolution, self.norm = torch.nn.Conv1d(4, 5, 5), torch.nn.BatchNorm1d(5)
        self.head, self.call = torch.nn.Linear(5 * 16, 1), call

    def forward(self, x):
        h = self.call(self.norm, self.convolution(x))
        return self.head(F.softplus(h).flatten(1))


def built(call, seed=0):
    torch.manual_seed(seed)
    return Network(call).double()


def results(model, gradient):
    gradient.square().sum().backward()
    return [gradient, *[p.grad for p in model.parameters() if p.grad is not None]]


def by_hand(model, x):
    """Statistics from one pass, gradients at these from another."""
    h = model.convolution(x)
    statistics = h.mean((0, 2)), h.var((0, 2), unbiased=False)
    points = x.clone().requires_grad_()
    model.call = functools.partial(held_by_hand, statistics=statistics)
    (gradient,) = torch.autograd.grad(
        target(model(points))[CHOSEN].sum(), points, create_graph=True
    )
    return results(model, gradient[CHOSEN])


def agree(mine, theirs):
    for value, expected in zip(mine, theirs, strict=True):
        assert torch.allclose(value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("how", CALLS)
def test_its_statistics_are_held_fixed_however_it_is_called(how):
    x = random_sequences(COUNT, 20, seed=1)
    model = built(CALLS[how])
    _, attribution = attribute_and_predict(model, x, torch.tensor(CHOSEN), target)
    agree(results(model, attribution.gradient), by_hand(built(CALLS[how]), x))


def test_a_trace_is_a_model_like_others():
    x = random_sequences(COUNT, 20, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about traces
        model = torch.jit.trace(built(CALLS["module"]), x)
    for _ in range(3):
        model.zero_grad()
        _, attribution = attribute_and_predict(model, x, torch.tensor(CHOSEN), target)
        agree(results(model, attribution.gradient), by_hand(built(CALLS["module"]), x))


@pytest.mark.parametrize("how", ["kernel", "operator", "vmap"])
def test_points_of_a_path_are_not_normalised_by_their_own_statistics(how):
    x = random_sequences(COUNT, 20)
    with pytest.raises(ValueError, match="calls batch norm below torch"):
        attribute_and_predict(built(CALLS[how]), x, torch.tensor(CHOSEN), target, method=PATH)


def per_example(norm, h):
    """Instance norm as some write it: examples are channels of one row."""
    count, channels = h.shape[:2]
    weights = (norm.weight.repeat(count), norm.bias.repeat(count))
    joined = F.batch_norm(h.reshape(1, count * channels, -1), None, None, *weights, True)
    return joined.view_as(h)


def standardised_weights(norm, h):
    """A convolution whose weights are normalised by batch norm, as some write it."""
    weight = torch.diag_embed(norm.weight)[None] + torch.arange(5).view(1, -1, 1)
    return F.conv1d(h, F.batch_norm(weight, None, None, training=True)[0][..., None])


@pytest.mark.parametrize("call", [per_example, standardised_weights])
@pytest.mark.parametrize("method", [None, PATH])
def test_statistics_of_one_row_are_no_statistics_of_the_batch(call, method):
    x = random_sequences(COUNT, 20)
    model = built(call)
    _, attribution = attribute_and_predict(model, x, torch.tensor(CHOSEN), target, method=method)
    mine = results(model, attribution.gradient)
    model = built(call)
    slopes = []
    for share in [1.0] if method is None else [0.25, 0.75]:
        points = (share * x).requires_grad_()
        chosen = target(model(points))[CHOSEN].sum()
        slopes += torch.autograd.grad(chosen, points, create_graph=True)
    agree(mine, results(model, (sum(slopes) / len(slopes))[CHOSEN]))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_of_half_precision(dtype, split, monkeypatch):
    # oneDNN's second derivative of a bfloat16 convolution is wrong on processors with AMX, in plain
    # autograd, too: torch 2.13 on Xeon of the fourth generation and later
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    x = random_sequences(COUNT, 20)
    grads = []
    for kind in (torch.float64, dtype):
        model = built(CALLS["module"]).to(kind)
        _, attribution = attribute_and_predict(
            model, x.to(kind), torch.tensor(CHOSEN), target, split=split
        )
        assert attribution.gradient.dtype == kind
        attribution.gradient.float().square().sum().backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    # the bias before batch norm, second, has a gradient of zero
    for place, (fine, coarse) in enumerate(zip(*grads, strict=True)):
        assert coarse.dtype == dtype
        assert (coarse.double() - fine).norm() < (0.01 if place == 1 else 0.05 * fine.norm())


class Dropping(torch.nn.Module):
    """Leaves out blocks at random."""

    def __init__(self, plan):
        super().__init__()
        self.first = torch.nn.Conv1d(4, 5, 5)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(5) for _ in range(2))
        self.plan = plan

    def forward(self, x):
        h = self.first(x)
        for norm in [self.norms[place] for place in self.plan.pop(0)]:
            h = F.softplus(norm(h))
        return h.mean((1, 2))[:, None]


@pytest.mark.parametrize("plan", [[0, 1], [1, 0]])
def test_statistics_on_a_path_are_those_of_the_same_layer(plan):
    x = random_sequences(COUNT, 20)
    torch.manual_seed(0)
    model = Dropping([plan, [1]]).double()
    rows = torch.tensor(CHOSEN)
    _, attribution = attribute_and_predict(model, x, rows, target, method=PATH)
    h = model.first(x)
    seen = F.softplus(model.norms[0](h)) if plan == [0, 1] else h
    statistics = seen.mean((0, 2)), seen.var((0, 2), unbiased=False)
    slopes = []
    for share in (0.25, 0.75):
        points = (share * x[CHOSEN]).requires_grad_()
        value = F.softplus(held_by_hand(model.norms[1], model.first(points), statistics))
        slopes += torch.autograd.grad(value.mean((1, 2)).sum(), points)
    assert torch.allclose(attribution.gradient, sum(slopes) / 2)


def test_a_layer_that_the_batch_left_out_is_refused_on_a_path():
    model, rows = Dropping([[0], [1]]).double(), torch.tensor(CHOSEN)
    with pytest.raises(ValueError, match="leaves out layers at random"):
        attribute_and_predict(model, random_sequences(COUNT, 20), rows, target, method=PATH)


def test_synchronised_batch_norm_of_one_process_is_batch_norm():
    x, grads = random_sequences(COUNT, 20), []
    for synchronised in (False, True):
        model = built(CALLS["module"])
        if synchronised:
            model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))
        _, attribution = attribute_and_predict(model, x, torch.tensor(CHOSEN), target)
        grads.append(results(model, attribution.gradient))
    agree(*grads)


class _Synchronised(torch.autograd.Function):
    """Stands for the one of torch, which needs several GPUs."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


_Synchronised._backward_cls.__name__ = "SyncBatchNormBackward"


def test_synchronised_batch_norm_of_several_processes_is_refused():
    from torch.nn.modules._functions import SyncBatchNorm

    assert SyncBatchNorm._backward_cls.__name__ == "SyncBatchNormBackward"
    model = built(lambda norm, h: _Synchronised.apply(h))
    with pytest.raises(ValueError, match="SyncBatchNorm over several processes"):
        attribute_and_predict(model, random_sequences(COUNT, 20), torch.tensor(CHOSEN), target)
