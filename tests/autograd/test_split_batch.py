"""Attributions with the batch statistics held fixed, and the forward pass in two parts."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fixtures.networks import build_network
from fixtures.sequences import random_sequences

from priorbench import attribute_and_predict as attribute_either_way
from priorbench import input_x_gradient
from priorbench.components import registry

ARCHITECTURES = sorted(registry.components("architecture"))


sequences = partial(random_sequences, length=80)
attribute_and_predict = partial(attribute_either_way, split=True)


def network(name: str = "three-conv") -> torch.nn.Module:
    model = build_network(name).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # parts are dropped in another order
    return model


def target(output: torch.Tensor) -> torch.Tensor:
    return output[:, 0]


def frozen_gradient(model: torch.nn.Module, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Gradient of a second forward pass in which every batch norm has the batch's statistics."""
    statistics = []

    def remember(module, inputs):
        value = inputs[0]
        dims = [d for d in range(value.dim()) if d != 1]
        statistics.append((value.mean(dims), value.var(dims, unbiased=False)))

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    hooks = [m.register_forward_pre_hook(remember) for m in norms]
    model.train()
    model(x)
    for hook in hooks:
        hook.remove()
    model.eval()
    for module, (mean, variance) in zip(norms, statistics, strict=True):
        module.running_mean, module.running_var = mean.detach(), variance.detach()
    part = x[chosen].requires_grad_()
    return torch.autograd.grad(target(model(part)).sum(), part)[0]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_prediction_loss_gradient_and_running_statistics_are_those_of_the_undivided_batch(name):
    x, chosen = sequences(9), torch.tensor([True, False, True, True, False] + [False] * 4)
    plain, divided = network(name), network(name)
    output = plain(x)
    output_divided, _ = attribute_and_predict(divided, x, chosen, target)
    assert torch.allclose(output, output_divided, atol=1e-10)
    output.square().sum().backward()
    output_divided.square().sum().backward()
    for a, b in zip(plain.parameters(), divided.parameters(), strict=True):
        assert a.grad is b.grad is None or torch.allclose(a.grad, b.grad, atol=1e-8)
        assert (a.grad is not None) == a.requires_grad
    for a, b in zip(plain.buffers(), divided.buffers(), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_a_network_that_was_tried_without_autocast_is_tried_again_with_it():
    model, x = network("three-conv").float(), sequences(9).float()
    chosen = torch.arange(9) < 4
    plain, _ = attribute_and_predict(model, x, chosen, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, attribution = attribute_and_predict(model, x, chosen, target)
    assert rough.dtype == torch.bfloat16
    assert attribution.gradient.dtype == torch.float32
    assert torch.allclose(rough.float(), plain, atol=0.1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_attribution_holds_batch_statistics_fixed(name):
    x, chosen = sequences(8), torch.arange(8) % 2 == 0
    _, attribution = attribute_and_predict(network(name), x, chosen, target)
    expected = frozen_gradient(network(name), x, chosen)
    assert attribution.gradient.abs().sum() > 0
    assert torch.allclose(attribution.gradient, expected, atol=1e-10)
    assert torch.allclose(attribution.observed, (expected * x[chosen]).sum(1), atol=1e-10)


def test_penalty_gradient_passes_through_the_batch_statistics():
    # against finite differences of the attribution that the definition gives
    x, chosen = sequences(6), torch.arange(6) < 3
    model = network()
    weight = model[0].weight

    def value(attribution):
        return attribution.observed.square().sum()

    value(attribute_and_predict(model, x, chosen, target)[1]).backward()
    index = (1, 2, 3)
    analytic = weight.grad[index].item()
    step, values = 1e-6, []
    for sign in (1, -1):
        shifted = network()
        with torch.no_grad():
            shifted[0].weight[index] += sign * step
        values.append(value(attribute_and_predict(shifted, x, chosen, target)[1]).item())
    assert analytic == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)
    assert abs(analytic) > 1e-8


def test_all_or_some_examples_give_the_same_attribution():
    x = sequences(6)
    everything, some = torch.ones(6, dtype=torch.bool), torch.arange(6) >= 4
    _, whole = attribute_and_predict(network(), x, everything, target)
    _, part = attribute_and_predict(network(), x, some, target)
    assert torch.allclose(whole.observed[some], part.observed, atol=1e-10)


def test_input_x_gradient_in_eval_mode_is_plain_autograd():
    model, x = network().eval(), sequences(4)
    copy = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(target(model(copy)).sum(), copy)
    attribution = input_x_gradient(model, x, target, create_graph=False)
    assert torch.allclose(attribution.gradient, expected, atol=1e-12)
    assert not x.requires_grad
    assert not model.training


def test_model_with_residuals_and_several_outputs():
    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv1d(4, 8, 5, padding=2)
            self.norm = torch.nn.BatchNorm1d(8)
            self.second = torch.nn.Conv1d(8, 8, 3, padding=2, dilation=2)
            self.head = torch.nn.Linear(8, 1)

        def forward(self, x):
            x = F.relu(self.norm(self.first(x)))
            x = x + F.relu(self.second(x))
            # arithmetic from either side and indexing, as in cropped residual networks
            joined = torch.cat([2 * x[:, :, 2:-2], -(x[..., 4:] / 2) + 1], dim=1)
            return joined, self.head(x.mean(dim=2))

    torch.manual_seed(3)
    model, x = Residual().double(), sequences(5)
    chosen = torch.tensor([False, True, False, True, True])
    (profile, count), attribution = attribute_and_predict(
        model, x, chosen, lambda out: out[1][:, 0]
    )
    expected_profile, expected_count = model(x)
    assert torch.allclose(profile, expected_profile, atol=1e-10)
    assert torch.allclose(count, expected_count, atol=1e-10)
    assert attribution.observed.shape == (3, 80)
    assert attribution.observed.abs().sum() > 0


class Viewing(torch.nn.Module):
    """Asks for the size of the batch, as many networks do."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(x).reshape(x.shape[0], -1)[:, :1]


def test_any_module_works_without_batch_norm_in_training_mode():
    model, x = Viewing().double().eval(), sequences(4)
    output, attribution = attribute_and_predict(model, x, torch.arange(4) < 1, target)
    assert torch.allclose(output, model(x))
    assert attribution.observed.shape == (1, 80)
