"""Models of others: the numbers of an independent autograd of two passes, in float64."""

import copy

import pytest
import torch
from fixtures.foreign import MODELS
from fixtures.foreign.base import COUNT, LENGTH, Foreign, drawn
from fixtures.foreign.convolutions import profile_target
from fixtures.sequences import random_sequences
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from priorbench import attribute_and_predict, load_attribution
from priorbench.autograd.output_trees import tensors_in

CHOICES = {"all": range(COUNT), "some": [0, 2, 5], "one": [3], "none": []}
STEPS = 2


def built(kind):
    torch.manual_seed(3)
    model = kind().double()
    for module in model.modules():  # statistics and weights that are not those of the start
        if isinstance(module, _BatchNorm):
            module.running_mean += 0.1
            module.running_var *= 1.3
            for parameter in module.parameters():
                parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def sequences(model):
    x = random_sequences(COUNT, LENGTH, seed=2)
    return x if model.layout == "B4L" else x.transpose(1, 2).contiguous()


def bases_first(model, value):
    return value if model.layout == "B4L" else value.transpose(1, 2)


def loss_of(model, output, gradient, observed, extra):
    """A loss of prediction, and one that no symmetry of the attributions hides."""
    values = [v for v in tensors_in(output) if v.is_floating_point()]
    loss = sum(i * (v - 0.3).square().mean() for i, v in enumerate(values, 1)) + extra
    if len(observed):
        place = torch.linspace(1, 2, LENGTH, dtype=torch.float64)
        loss = loss + (100 * (observed * place).square()).mean()
        loss = loss + (gradient * place).pow(3).mean() + (10 * gradient.mean((1, 2))).cos().mean()
    return loss


def results(model, output, attributed, buffers, extra):
    gradient, observed = attributed
    loss = loss_of(model, output, gradient, observed, extra)
    loss.backward()
    return {
        "outputs": tensors_in(output),
        "gradient": [gradient],
        "observed": [observed],
        "loss": [loss],
        "slopes": [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()],
        "buffers": buffers,
    }


# the reference: torch's own passes, one for the output and others for the gradients


class HeldNorm(torch.nn.Module):
    """Batch norm that keeps the statistics of the first pass and uses them in the others."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.statistics, self.used = norm, [], None

    def forward(self, h):
        norm = self.norm
        if not (norm.training or norm.running_mean is None):
            return norm(h)
        if self.used is None:
            dims = [0, *range(2, h.dim())]
            self.statistics.append((h.mean(dims), h.var(dims, unbiased=False)))
            return norm(h)
        mean, variance = self.statistics[self.used % len(self.statistics)]
        self.used += 1
        h = h.transpose(1, -1)
        h = (h - mean) / (variance + norm.eps).sqrt()
        h = h if norm.weight is None else h * norm.weight + norm.bias
        return h.transpose(1, -1)


def with_held_norms(model):
    """A copy of a model with other batch norms, and these."""
    model, held = copy.deepcopy(model), {}
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                held.setdefault(child, HeldNorm(child))
                setattr(module, name, held[child])
    if hasattr(model, "again"):
        model.again = False  # without checkpoints
    return model, list(held.values())


def two_passes(model, rows, shares):
    """Reference results; gradients are means over points between 0.25 and the sequence.

    Points of a path are other inputs, at which every module but batch norm does what it does to
    any batch.
    """
    model, norms = with_held_norms(model)
    (args, kwargs), x, rows = model.given(), sequences(model), list(rows)
    with sdpa_kernel(SDPBackend.MATH):
        torch.manual_seed(0)
        output = model(x.clone(), *args, **kwargs)
        buffers, extra = [b.clone() for b in model.buffers()], model.extra(output)
        for norm in norms:
            norm.used = 0
        for module in model.modules():
            if isinstance(module, _SpectralNorm) and shares == [1]:
                module.eval()  # without another step of its iteration
        slopes = []
        for share in shares:
            for buffer, value in zip(model.buffers(), buffers, strict=True):
                buffer.data.copy_(value)
            points = (0.25 + share * (x - 0.25)).requires_grad_()
            torch.manual_seed(0)
            scalars = model.target(model(points.clone(), *args, **kwargs))
            slopes.append(torch.autograd.grad(scalars[rows].sum(), points, create_graph=True)[0])
        gradient = bases_first(model, sum(slopes) / len(shares))[rows]
        difference = bases_first(model, x)[rows] - (0 if shares == [1] else 0.25)
        attributed = (gradient, (gradient * difference).sum(1))
        return results(model, output, attributed, buffers, extra)


def by_the_library(model, rows, spec, *, split):
    model = copy.deepcopy(model)
    (args, kwargs), x = model.given(), sequences(model)
    applies = torch.zeros(COUNT, dtype=torch.bool)
    applies[list(rows)] = True
    torch.manual_seed(0)
    output, attribution = attribute_and_predict(
        model,
        x,
        applies,
        model.target,
        method=load_attribution(spec),
        args=args,
        kwargs=kwargs,
        layout=model.layout,
        split=split,
    )
    assert torch.equal(x, sequences(model))
    buffers, extra = [b.clone() for b in model.buffers()], model.extra(output)
    attributed = (attribution.gradient, attribution.observed)
    return results(model, output, attributed, buffers, extra)


def check(mine, theirs):
    for what, values in theirs.items():
        for value, expected in zip(mine[what], values, strict=True):
            assert value.dtype == expected.dtype
            assert value.shape == expected.shape, what
            size = expected.detach().abs().max().item() if expected.numel() else 0.0
            assert torch.allclose(value, expected, rtol=1e-8, atol=1e-10 * (size + 1e-3)), what


WAYS = {
    "input-x-gradient": [1],
    f"integrated-gradients:steps={STEPS}:reference=uniform": [
        (k + 0.5) / STEPS for k in range(STEPS)
    ],
}


TRAINING = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@pytest.mark.slow
@TRAINING
@pytest.mark.parametrize("name", MODELS)
def test_numbers_are_those_of_two_passes(name, training):
    compare(built(MODELS[name]).train(training), training)


def compare(model, training):
    for spec, shares in WAYS.items():
        drawn = model.draws and training  # points of a path, and parts, have masks of their own
        if shares != [1] and drawn:
            continue
        for chosen, rows in CHOICES.items():
            if shares != [1] and chosen in ("one", "none"):
                continue
            expected = two_passes(model, rows, shares)
            check(by_the_library(model, rows, spec, split=False), expected)
            reason = model.refused[0 if training else 1]
            if training and shares != [1]:
                reason = reason or model.refused_on_paths
            # where a pass must be tried, it is not for batches that leave nothing to be gained
            tried = chosen == "some" or shares != [1]
            if reason and (tried or "hook" in reason):
                with pytest.raises(ValueError, match=f"split=True does not suit .*{reason}"):
                    by_the_library(model, rows, spec, split=True)
            elif not drawn:
                check(by_the_library(model, rows, spec, split=True), expected)


def test_there_are_at_least_twenty_models():
    assert len(MODELS) >= 20


@TRAINING
def test_numbers_are_those_of_two_passes_of_bpnet_lite_itself(training):
    # its dependencies are large (MACS3 is compiled), so that only some have it
    bpnetlite = pytest.importorskip("bpnetlite", reason="bpnet-lite is not installed")

    class BPNet(Foreign, bpnetlite.BPNet):
        def __init__(self):
            super().__init__(n_filters=5, n_layers=2, trimming=4, verbose=False)

        def given(self):
            return (drawn(COUNT, 2, LENGTH),), {}

        def target(self, output):
            return profile_target(output)

    class ChromBPNet(Foreign, bpnetlite.ChromBPNet):
        def __init__(self):
            options = {"n_filters": 5, "n_layers": 2, "trimming": 4, "n_control_tracks": 0}
            super().__init__(*[bpnetlite.BPNet(**options, verbose=False) for _ in range(2)])

        def target(self, output):
            return profile_target(output) + output[1][:, 0]

    for kind in (BPNet, ChromBPNet):
        compare(built(kind).train(training), training)
