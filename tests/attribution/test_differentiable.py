"""The five attributions: formulae, what they leave alone, and modules of every kind."""

import warnings
from collections import OrderedDict, namedtuple
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fixtures.sequences import random_sequences

from priorbench import (
    UserError,
    attribute_and_predict,
    expected_gradients,
    gradient,
    input_x_gradient,
    integrated_gradients,
    load_attribution,
    load_prior,
    simplex_gradient,
)
from priorbench.attribution.methods import METHODS, AttributionMethod
from priorbench.attribution.passes import Chosen, Reading, attribute_apart
from priorbench.autograd.model_call import ModelCall

METHOD_SPECS = [*METHODS, "integrated-gradients:steps=3:reference=uniform"]


sequences = partial(random_sequences, 6, 40)


def target(output):
    return output[:, 0]


def smooth_network(norm=True):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5),
        torch.nn.BatchNorm1d(6) if norm else torch.nn.Identity(),
        torch.nn.Softplus(),
        torch.nn.AvgPool1d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(54, 1),
    ).double()


def by_autograd(model, points):
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(target(model(points)).sum(), points)[0]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_method_must_say_how_it_reads_gradients():
    with pytest.raises(TypeError, match=r"abstract method '?read"):
        type("Silent", (AttributionMethod,), {})()


def test_functions_say_what_they_return():
    assert gradient.__name__ == "gradient"
    assert gradient.__doc__.startswith("Return the absolute gradient, summed over the four bases (")
    assert "Raises:" in simplex_gradient.__doc__


def test_formulae_of_the_gradient_methods():
    model, x = smooth_network().eval(), sequences()
    g = by_autograd(model, x)
    assert torch.allclose(input_x_gradient(model, x, target).observed, (g * x).sum(1))
    assert torch.allclose(gradient(model, x, target).observed, g.abs().sum(1))
    corrected = g - g.mean(1, keepdim=True)
    attribution = simplex_gradient(model, x, target)
    assert torch.allclose(attribution.observed, (corrected * x).sum(1))
    assert torch.allclose(attribution.gradient, corrected)


@pytest.mark.parametrize(("reference", "value"), [("zero", 0.0), ("uniform", 0.25)])
def test_integrated_gradients_are_the_midpoint_rule_and_complete(reference, value):
    model, x = smooth_network().eval(), sequences()
    baseline = torch.full_like(x, value)
    points = [baseline + (k + 0.5) / 4 * (x - baseline) for k in range(4)]
    mean = torch.stack([by_autograd(model, p) for p in points]).mean(0)
    attribution = integrated_gradients(model, x, target, steps=4, reference=reference)
    assert torch.allclose(attribution.observed, ((x - baseline) * mean).sum(1))
    many = integrated_gradients(model, x, target, steps=200, reference=reference)
    total = many.observed.sum(1)
    assert torch.allclose(total, target(model(x)) - target(model(baseline)), atol=1e-5)


def test_expected_gradients_of_a_linear_model_are_weight_times_difference_to_another_example():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(160, 1)).double()
    x = sequences()
    attribution = expected_gradients(model, x, target, seeded())
    weight = model[1].weight.view(4, 40)
    candidates = ((x[:, None] - x[None]) * weight).sum(2)  # (example, reference, L)
    distance = (attribution.observed[:, None] - candidates).abs().amax(2)
    assert distance.min(dim=1).values.max() < 1e-12
    assert (distance.diagonal() > 1e-3).all()  # never its own reference


def test_expected_gradients_lie_between_reference_and_input_and_follow_the_generator():
    model, x = smooth_network().eval(), sequences()
    method = load_attribution("expected-gradients")
    everything = torch.ones(6, dtype=torch.bool)
    path = method.path(x, everything, seeded())
    reference = x - path.difference
    assert all((reference[i] == x).all((1, 2)).any() for i in range(6))
    share = ((path.points[0] - reference) / path.difference)[path.difference != 0]
    assert (share > 0).all()
    assert (share < 1).all()
    again, other = (expected_gradients(model, x, target, seeded(s)) for s in (0, 1))
    assert torch.equal(expected_gradients(model, x, target, seeded()).observed, again.observed)
    assert not torch.allclose(again.observed, other.observed)


def test_the_draw_of_an_example_does_not_hang_on_which_examples_are_chosen():
    model, x = smooth_network().eval(), sequences()
    method, some = load_attribution("expected-gradients"), torch.arange(6) % 3 == 1
    _, part = attribute_and_predict(model, x, some, target, method=method, generator=seeded())
    whole = expected_gradients(model, x, target, seeded())
    assert torch.allclose(part.observed, whole.observed[some])


BOTH_WAYS = pytest.mark.parametrize("apart", [False, True], ids=["whole", "apart"])


def attribute(spec, model, x, applies=None, apart=False, **more):
    """Attribute a batch that is taken whole, or apart where that can be, as in the engine."""
    applies = torch.ones(len(x), dtype=torch.bool) if applies is None else applies
    if apart:
        call = ModelCall(model, count=len(x))
        chosen = Chosen.where(applies, int(applies.sum()))
        reading = Reading(target, load_attribution(spec), seeded(), **more)
        return attribute_apart(call, x, chosen, reading)
    return attribute_and_predict(
        model, x, applies, target, method=load_attribution(spec), generator=seeded(), **more
    )


@BOTH_WAYS
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_the_model_is_left_as_it_was(apart, spec):
    model, x = smooth_network(), sequences()
    model[0].bias.requires_grad_(False)
    model[5].eval()
    flags = [p.requires_grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    kept = x.clone()
    with torch.no_grad():
        _, attribution = attribute(spec, model, x, apart=apart, create_graph=False)
        assert not torch.is_grad_enabled()
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert not attribution.observed.requires_grad


@BOTH_WAYS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_attributions_follow_the_dtype_and_have_the_same_value_in_both(apart, spec, dtype):
    _, attribution = attribute(
        spec, smooth_network().to(dtype), sequences(dtype=dtype), apart=apart
    )
    _, double = attribute(spec, smooth_network(), sequences())
    assert attribution.observed.dtype == attribution.gradient.dtype == dtype
    assert torch.allclose(attribution.observed.double(), double.observed, atol=1e-6)


@BOTH_WAYS
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_predictions_and_running_statistics_are_those_of_the_plain_pass(apart, spec):
    x, chosen = sequences(), torch.arange(6) < 4
    plain, attributed = smooth_network(), smooth_network()
    expected = plain(x)
    output, _ = attribute(spec, attributed, x, chosen, apart)
    assert torch.allclose(output, expected)
    for a, b in zip(plain.buffers(), attributed.buffers(), strict=True):
        assert torch.allclose(a, b)
    expected.square().sum().backward()
    output.square().sum().backward()
    for a, b in zip(plain.parameters(), attributed.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad)


def test_a_plain_pass_and_an_attributing_one_go_into_one_loss():
    x, chosen = sequences(), torch.arange(6) < 4
    model = smooth_network()
    prediction = target(model(x)).square().mean()
    attribution = input_x_gradient(model, x[chosen], target)
    (prediction + load_prior("fourier").penalty(attribution, None).mean()).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.dim() > 1)


def frozen(network, x):
    """The network in eval mode with the batch's statistics in place of the running ones."""
    model = network()
    statistics = []

    def remember(module, inputs):
        dims = [d for d in range(inputs[0].dim()) if d != 1]
        statistics.append((inputs[0].mean(dims), inputs[0].var(dims, unbiased=False)))

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    for module in norms:
        module.register_forward_pre_hook(remember)
    model(x)
    for module, (mean, variance) in zip(norms, list(statistics), strict=True):
        module.running_mean, module.running_var = mean.detach(), variance.detach()
    return model.eval()


@BOTH_WAYS
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_every_method_holds_the_statistics_of_the_batch_fixed(apart, spec):
    x, chosen = sequences(), torch.arange(6) % 2 == 0
    _, attribution = attribute(spec, smooth_network(), x, chosen, apart)
    _, expected = attribute(spec, frozen(smooth_network, x), x, chosen)
    assert attribution.observed.abs().max() > 1e-3
    assert torch.allclose(attribution.observed, expected.observed)
    assert torch.allclose(attribution.gradient, expected.gradient)


@BOTH_WAYS
@pytest.mark.parametrize("count", [4, 6])
@pytest.mark.parametrize("spec", ["input-x-gradient", "gradient", "simplex-gradient"])
def test_a_gradient_through_the_statistics_is_that_of_plain_autograd(apart, count, spec):
    x, chosen, plain = sequences(), torch.arange(6) < count, smooth_network()
    points = x.clone().requires_grad_()
    scalars = target(plain(points))[:count].sum()
    (g,) = torch.autograd.grad(scalars, points, create_graph=True)
    method = load_attribution(spec)
    (method.read(g, x).observed[:count] ** 2).sum().backward()
    for through in (True, False):
        model = smooth_network()
        written = f"{spec}:through_statistics={str(through).lower()}"
        _, attribution = attribute(written, model, x, chosen, apart)
        (attribution.observed**2).sum().backward()
        same = torch.allclose(attribution.gradient, method.read(g, x).gradient[:count])
        assert same == through
        pairs = zip(plain.parameters(), model.parameters(), strict=True)
        slopes = [(a.grad, b.grad) for a, b in pairs if a.grad is not None]
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in slopes) == through
        for a, b in zip(plain.buffers(), model.buffers(), strict=True):
            assert torch.allclose(a, b)  # running statistics are updated once


@BOTH_WAYS
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_penalties_can_be_differentiated_through_every_method(apart, spec):
    # against finite differences in one weight of the first layer, batch norm in training mode
    x, chosen, prior = sequences(), torch.arange(6) < 3, load_prior("fourier")

    def value(shift):
        model = smooth_network()
        with torch.no_grad():
            model[0].weight[1, 2, 3] += shift
        return prior.penalty(attribute(spec, model, x, chosen, apart)[1], None).sum(), model

    total, model = value(0.0)
    total.backward()
    step = 1e-6
    slope = (value(step)[0] - value(-step)[0]).item() / (2 * step)
    assert model[0].weight.grad[1, 2, 3].item() == pytest.approx(slope, rel=1e-4)
    assert abs(slope) > 1e-7


class Viewing(torch.nn.Module):
    """Asks for the size of the batch, as many networks do."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 3, 5)
        self.norm = torch.nn.BatchNorm1d(3)
        self.head = torch.nn.Linear(108, 1)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).tanh().view(x.shape[0], -1))


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.lstm = torch.nn.LSTM(4, 5, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(10, 1)

    def forward(self, x):
        return self.head(self.lstm(self.norm(x).transpose(1, 2))[0].mean(1))


class Attentive(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = torch.nn.Linear(4, 1)

    def forward(self, x):
        x = self.norm(x).transpose(1, 2)
        return self.head(self.attention(x, x, x, need_weights=False)[0].tanh().mean(1))


class Folding(torch.nn.Module):
    """Batch norm over positions as rows."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(160, 1)

    def forward(self, x):
        rows = self.norm(x.transpose(1, 2).reshape(-1, 4))
        return self.head(rows.tanh().reshape(len(x), -1))


@BOTH_WAYS
@pytest.mark.parametrize("spec", METHOD_SPECS)
@pytest.mark.parametrize("kind", [Viewing, Recurrent, Attentive, Folding])
def test_modules_that_ask_for_sizes_work_beside_batch_norm(apart, kind, spec):
    def network():
        torch.manual_seed(0)
        return kind().double()

    x, chosen = sequences(), torch.tensor([False, True, True, False, True, False])
    plain, model = network(), network()
    expected = plain(x)
    for _ in range(2):  # the second time it is known how to go
        model.load_state_dict(network().state_dict())
        output, attribution = attribute(spec, model, x, chosen, apart)
        assert torch.allclose(output, expected)
        for a, b in zip(plain.buffers(), model.buffers(), strict=True):
            assert torch.allclose(a, b)
        _, reference = attribute(spec, frozen(network, x), x, chosen)
        assert reference.observed.abs().max() > 1e-4
        assert torch.allclose(attribution.observed, reference.observed)
    attribution.observed.square().sum().backward()
    assert all(p.grad is not None for p in model.head.parameters() if p.dim() > 1)


class Stem(torch.nn.Module):
    """Convolution, batch norm, dense head; subclasses do something in between."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 3, 5)
        self.norm = torch.nn.BatchNorm1d(3)
        self.head = torch.nn.Linear(108, 1)

    def forward(self, x):
        return self.head(self.between(self.norm(self.conv(x)), x).flatten(1))

    def between(self, h, x):
        return h.tanh()


class Compares(Stem):
    def between(self, h, x):
        return h * (x[:, :, 2:-2].sum(1, keepdim=True) != 0)


class AddsInPlace(Stem):
    def between(self, h, x):
        r = h
        h += h.tanh()
        return h + r


class Iterates(Stem):
    def between(self, h, x):
        return torch.stack([row.tanh() for row in h])


class AsksForItsType(Stem):
    def between(self, h, x):
        return h.tanh() if isinstance(h, torch.Tensor) else h


class AsksWhetherItHasAShape(Stem):
    def between(self, h, x):
        return h.tanh() if getattr(h, "shape", None) is not None else h


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.exp()

    @staticmethod
    def backward(ctx, slope):
        return 3 * slope


class CustomGradient(Stem):
    def between(self, h, x):
        return (h + StraightThrough.apply(0.1 * h)).tanh()


class MixesTheBatch(Stem):
    """Not allowed, as examples may be coupled by batch norm only: but equal in one tensor."""

    def between(self, h, x):
        return (h - h.mean(dim=0, keepdim=True)).tanh()


class BothStrands(Stem):
    def forward(self, x):
        n = x.shape[0]
        h = self.norm(self.conv(torch.cat([x, x.flip([1, 2])]))).tanh().reshape(2 * n, -1)
        return self.head(h[:n]) + self.head(h[n:])


class PositionsFirst(Stem):
    def between(self, h, x):
        n, channels, length = h.shape
        rows = torch.nn.functional.batch_norm(
            h.permute(2, 0, 1).reshape(length * n, channels), None, None, training=True
        )
        return rows.reshape(length, n, channels).permute(1, 2, 0).tanh()


class FunctionalNorm(torch.nn.Module):
    """Batch norm that is no BatchNorm module."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 3, 5)
        self.head = torch.nn.Linear(108, 1)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def norm(self, h):
        return F.batch_norm(h, self.mean, self.variance, training=True)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).tanh().flatten(1))


class DirectNorm(FunctionalNorm):
    def norm(self, h):
        mean, variance = self.mean, self.variance
        return torch.batch_norm(h, None, None, mean, variance, True, 0.1, 1e-5, False)


class Spectral(Stem):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.utils.parametrizations.spectral_norm(self.conv)
        self.norm = torch.nn.Identity()


class RunningInstanceNorm(Stem):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.InstanceNorm1d(3, track_running_stats=True)


class Squeezes(Stem):
    def forward(self, x):
        return super().forward(x).squeeze()[..., None]


class Masks(Stem):
    """Dropout is off while the ways are compared, so that it does not decide for the slow one."""

    def between(self, h, x):
        return F.dropout(h.tanh(), 0.0, training=True)


KINDS = [
    Compares,
    AddsInPlace,
    Iterates,
    AsksForItsType,
    AsksWhetherItHasAShape,
    CustomGradient,
    BothStrands,
    PositionsFirst,
    FunctionalNorm,
    DirectNorm,
    Spectral,
    RunningInstanceNorm,
    Squeezes,
    Masks,
]


@BOTH_WAYS
@pytest.mark.parametrize("spec", ["input-x-gradient", "expected-gradients"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chosen", [[1, 3, 4], [2], [0, 1, 2, 3, 4]])
def test_every_module_gives_what_it_gives_alone(apart, kind, chosen, spec):
    def network():
        torch.manual_seed(0)
        return kind().double()

    x, applies = sequences(), torch.zeros(6, dtype=torch.bool)
    applies[chosen] = True
    plain, model = network(), network()
    expected = plain(x)
    expected.square().sum().backward()
    output, attribution = attribute(spec, model, x, applies, apart)
    assert torch.allclose(output, expected)
    output.square().sum().backward()
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad)
    for a, b in zip(plain.buffers(), model.buffers(), strict=True):
        assert torch.allclose(a, b)
    _, whole = attribute(spec, network(), x)
    assert whole.observed.abs().max() > 1e-6
    assert torch.allclose(attribution.observed, whole.observed[applies])


@BOTH_WAYS
def test_models_that_mix_their_batch_go_in_one_tensor(apart):
    torch.manual_seed(0)
    model = MixesTheBatch().double()
    expected = model(sequences())
    output, _ = attribute("input-x-gradient", model, sequences(), torch.arange(6) < 2, apart)
    assert torch.allclose(output, expected)


@BOTH_WAYS
def test_an_attributing_pass_leaves_no_trace_but_that_of_a_plain_one(apart):
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(smooth_network(), torch.nn.Dropout(0.5)).double(), sequences()
    before = torch.get_rng_state()
    expected = [b.clone() for b in model.buffers()]
    for buffer, value in zip(smooth_network().buffers(), expected, strict=True):
        assert torch.equal(buffer, value)
    attribute("input-x-gradient", model, x, torch.arange(6) < 3, apart)
    assert model[0][1].num_batches_tracked == 1
    torch.set_rng_state(before)
    F.dropout(torch.ones(3, 1), 0.5)
    F.dropout(torch.ones(3, 1), 0.5)
    expected_state = torch.get_rng_state()
    torch.set_rng_state(before)
    attribute("input-x-gradient", model, x, torch.arange(6) < 3, apart)
    assert torch.equal(torch.get_rng_state(), expected_state)


@BOTH_WAYS
def test_callers_in_inference_mode_and_callers_that_differentiate_the_output_or_the_input(apart):
    model, x = smooth_network(), sequences()
    chosen = torch.arange(6) < 3
    with torch.inference_mode():
        inside = attribute("input-x-gradient", model.eval(), x, chosen)[1].observed
    output, attribution = attribute("input-x-gradient", model, x, chosen, apart, create_graph=False)
    assert torch.allclose(inside, attribution.observed)
    output.sum().backward()
    leaf = sequences().requires_grad_()
    output, _ = attribute("input-x-gradient", model, leaf, chosen, apart)
    output.sum().backward()
    assert torch.allclose(leaf.grad, by_autograd(model, x))


@BOTH_WAYS
def test_lazy_modules_are_made_by_their_first_pass(apart):
    model = torch.nn.Sequential(
        torch.nn.LazyConv1d(3, 5),
        torch.nn.LazyBatchNorm1d(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(1),
    )
    output, _ = attribute(
        "input-x-gradient", model, sequences(dtype=torch.float32), torch.arange(6) < 3, apart
    )
    assert output.shape == (6, 1)


def test_penalties_under_autocast_are_computed_in_float32():
    prior, model, x = (
        load_prior("fourier"),
        smooth_network().float(),
        sequences(dtype=torch.float32),
    )
    expected = prior.penalty(attribute("input-x-gradient", model, x)[1], None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, attribution = attribute("input-x-gradient", smooth_network().float(), x)
        value = prior.penalty(attribution, None)
    assert value.dtype == torch.float32
    again = prior.penalty(attribution, None)
    assert torch.equal(value, again)
    assert torch.allclose(value, expected, atol=0.05)


@BOTH_WAYS
def test_the_own_error_of_a_module_is_the_one_that_is_shown(apart):
    class Broken(Viewing):
        def forward(self, x):
            self.norm(self.conv(x))
            raise RuntimeError("on purpose")

    model, x = Broken().double(), sequences()
    with pytest.raises(RuntimeError, match="on purpose"):
        attribute("input-x-gradient", model, x, torch.arange(6) < 2, apart)


Heads = namedtuple("Heads", ["logit", "more"])


class ModelOutput(OrderedDict):
    """A dictionary of a class of its own, as other libraries return."""


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("shape", ["dict", "mapping", "named", "list"])
def test_outputs_may_be_dictionaries_named_tuples_and_lists(shape, norm, split):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = smooth_network(norm)

        def forward(self, x):
            logit = self.body(x)
            more = [x.sum(2), None]
            return {
                "dict": {"logit": logit, "more": more},
                "mapping": ModelOutput(logit=logit, more=more),
                "named": Heads(logit, more),
                "list": [logit, more],
            }[shape]

    def read(output):
        return output["logit"] if isinstance(output, dict) else output[0]

    x, chosen = sequences(), torch.tensor([False, True, True, False, True, False])
    output, attribution = attribute_and_predict(
        Model(), x, chosen, lambda out: read(out)[:, 0], split=split
    )
    assert torch.allclose(read(output), smooth_network(norm)(x))
    more = output["more"] if isinstance(output, dict) else output[1]
    assert torch.equal(more[0], x.sum(2))
    assert more[1] is None
    # in parts, a dictionary of another library becomes a plain one
    mapping = dict if split else ModelOutput
    expected = {"dict": dict, "mapping": mapping, "named": Heads, "list": list}
    assert type(output) is expected[shape]
    assert attribution.observed.shape == (3, 40)


class Controlled(torch.nn.Module):
    """A forward with control tracks, as bpnet-lite's."""

    def __init__(self, norm):
        super().__init__()
        self.first = torch.nn.Conv1d(4, 6, 5, padding=2)
        self.norm = torch.nn.BatchNorm1d(6) if norm else torch.nn.Identity()
        self.head = torch.nn.Conv1d(8, 2, 3, padding=1)

    def forward(self, x, controls):
        value = F.softplus(self.norm(self.first(x)))
        logits = self.head(torch.cat([value, controls * value.mean(1, keepdim=True)], dim=1))
        return logits, logits.mean(dim=2)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("spec", METHOD_SPECS)
def test_control_tracks_go_with_their_examples(spec, norm, split):
    def network():
        torch.manual_seed(0)
        return Controlled(norm).double()

    def read(output):
        return output[1][:, 0]

    x, chosen = sequences(), torch.tensor([False, True, True, False, True, False])
    controls = torch.rand(6, 2, 40, generator=seeded(), dtype=torch.float64)
    method = load_attribution(spec)
    output, attribution = attribute_and_predict(
        network(),
        x,
        chosen,
        read,
        method=method,
        args=(controls,),
        generator=seeded(),
        split=split,
    )
    for part, expected in zip(output, network()(x, controls), strict=True):
        assert torch.allclose(part, expected)
    # one example after the other, statistics held fixed by a frozen copy
    reference = network()
    reference(x, controls)
    if norm:
        value = reference.first(x)
        reference.norm.running_mean = value.mean((0, 2)).detach()
        reference.norm.running_var = value.var((0, 2), unbiased=False).detach()
    reference.eval()
    path = method.path(x, chosen, seeded())
    for row, example in enumerate(torch.nonzero(chosen)[:, 0]):
        points = x[example][None] if path is None else path.points[:, row]
        points = points.detach().requires_grad_()
        beside = controls[example].expand(len(points), -1, -1)
        (slope,) = torch.autograd.grad(read(reference(points, beside)).sum(), points)
        difference = x[example] if path is None else path.difference[row]
        expected = method.read(slope.mean(0)[None], difference[None])
        assert torch.allclose(attribution.observed[row], expected.observed[0])


@BOTH_WAYS
def test_scripted_modules_keep_their_batch_together(apart):
    model, x = smooth_network(), sequences()
    expected = model(x)
    # from torch 2.14 on the warning is one for users
    with pytest.warns((DeprecationWarning, FutureWarning), match="jit"):
        scripted = torch.jit.script(smooth_network())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(4):  # torch joins a script's operations from its second run on
            output, attribution = attribute(
                "input-x-gradient", scripted, x, torch.arange(6) < 2, apart
            )
    assert ["batch norm in a torch.jit script" in str(w.message) for w in said] == [True]
    assert torch.allclose(output, expected)
    assert attribution.observed.shape == (2, 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": sequences()[:, :3]}, r"shape \(6, 3, 40\), wanted floating \(B, 4, L\)"),
        ({"sequence": sequences().long()}, "torch.int64"),
        ({"applies": torch.ones(5, dtype=torch.bool)}, r"wanted bool \(6,\), or int64 \(k,\)"),
        ({"applies": torch.ones(6)}, "applies is torch.float32"),
        ({"target": lambda out: out}, r"target gives .* of shape \(6, 1\), wanted floating \(6,\)"),
        ({"target": lambda out: out.detach()[:, 0]}, "do not depend on the sequence"),
        ({"method": load_attribution("expected-gradients")}, "pass a torch.Generator"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    given = {
        "sequence": sequences(),
        "applies": torch.ones(6, dtype=torch.bool),
        "target": target,
        "args": (),
        "method": None,
    } | change
    with pytest.raises(ValueError, match=message):
        attribute_and_predict(
            smooth_network(),
            given["sequence"],
            given["applies"],
            given["target"],
            method=given["method"],
            args=given["args"],
        )


def test_names_and_options_of_attributions():
    assert load_attribution("integrated-gradients:steps=3").steps == 3
    with pytest.raises(UserError, match="did you mean 'expected-gradients'"):
        load_attribution("expected-gradient")
    with pytest.raises(UserError, match="steps 0 is not a whole number from 1"):
        load_attribution("integrated-gradients:steps=0")
