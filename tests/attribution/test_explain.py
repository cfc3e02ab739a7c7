"""The public ``explain``: closed forms, anyone's model, what does not add up, and wrong use."""

import functools
import warnings

import pytest
import torch
import torch.nn.functional as F
from fixtures.networks import WeightedSum
from fixtures.sequences import random_sequences

from priorbench import UserError, explain
from priorbench.attribution.explainers import EXPLAINERS
from priorbench.attribution.explainers.shuffles import shuffled

METHODS = sorted(EXPLAINERS)
WITH_REFERENCES = [name for name in METHODS if EXPLAINERS[name].takes_references]


def sequences(count=5, dtype=torch.float64):
    return random_sequences(count=count, length=30, seed=0, dtype=dtype)


def first(output):
    return output[:, 0]


def linear(dtype=torch.float64):
    model = WeightedSum(30).to(dtype)
    return model, model.weight.detach()


class Net(torch.nn.Module):
    """A small network with dropout and batch norm, by modules or by a function of torch."""

    def __init__(self, activation=None):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 6, 5, dtype=torch.float64)
        self.norm = torch.nn.BatchNorm1d(6, dtype=torch.float64)
        self.activation = activation or torch.nn.ReLU()
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(6, 2, dtype=torch.float64)

    def forward(self, sequence, shift=None, *, scale=1.0):
        value = self.drop(self.activation(self.norm(self.conv(sequence))))
        self.kept = value.mean()
        output = scale * self.head(value.mean(dim=2))
        return output if shift is None else output + shift[:, None].to(output)


def net(**options):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Net(**options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_deep_lift_of_a_linear_model_is_the_weight_times_the_difference(dtype):
    (model, weight), sequence = linear(dtype), sequences(dtype=dtype)
    references = sequences(count=9, dtype=dtype)[5:]
    result = explain(model, sequence, first, references=references)
    expected = ((sequence[:, None] - references) * weight).sum(dim=2).mean(dim=1)
    every = weight - (references * weight).sum(dim=1, keepdim=True).mean(dim=0)
    exact = 1e-5 if dtype == torch.float32 else 1e-13
    assert torch.allclose(result.attribution, expected, atol=exact)
    assert torch.allclose(result.hypothetical, every.expand(5, 4, 30), atol=exact)
    assert torch.allclose(result.expected, expected.sum(dim=1), atol=10 * exact)
    assert result.converged.all()
    assert result.delta.abs().max() < 10 * exact
    for value in (result.attribution, result.hypothetical, result.expected, result.error):
        assert value.dtype == dtype


def test_deep_lift_of_one_neuron_is_the_rescale_rule():
    weight = torch.arange(120, dtype=torch.float64).reshape(4, 30).sin()
    sequence, references = sequences(), sequences(count=8)[5:]
    offset = -(sequence * weight).sum(dim=(1, 2)).median() - 0.1

    class Neuron(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = torch.nn.ReLU()

        def forward(self, value):
            return self.relu((value * weight).sum(dim=(1, 2)) + offset)[:, None]

    before = (sequence * weight).sum(dim=(1, 2)) + offset
    at = (references * weight).sum(dim=(1, 2)) + offset
    slope = (before.relu()[:, None] - at.relu()) / (before[:, None] - at)
    assert ((slope > 0) & (slope < 1)).any()
    differences = (sequence[:, None] - references) * weight
    expected = (slope[:, :, None] * differences.sum(dim=2)).mean(dim=1)
    result = explain(Neuron(), sequence, first, references=references)
    assert torch.allclose(result.attribution, expected, atol=1e-12)


def test_mutagenesis_of_a_linear_model_is_exact():
    (model, weight), sequence = linear(), sequences()
    own = (sequence * weight).sum(dim=1)
    result = explain(model, sequence, first, method="in-silico-mutagenesis")
    assert torch.allclose(result.attribution, own - (weight.sum(dim=0) - own) / 3, atol=1e-12)
    every = (4 * weight - weight.sum(dim=0)) / 3
    assert torch.allclose(result.hypothetical, every.expand(5, 4, 30), atol=1e-12)
    assert result.expected is result.error is result.converged is result.delta is None


@pytest.mark.parametrize("name", ["integrated-gradients:steps=3", "expected-gradients"])
def test_paths_from_references_of_a_linear_model(name):
    (model, weight), sequence = linear(), sequences()
    references = sequences(count=9)[5:]
    result = explain(model, sequence, first, method=name, references=references)
    expected = ((sequence[:, None] - references) * weight).sum(dim=2).mean(dim=1)
    assert torch.allclose(result.attribution, expected, atol=1e-12)
    assert result.converged.all()


def test_the_references_left_out_are_those_of_the_evaluation():
    (model, _), sequence = linear(), sequences()
    for seed, seeds in ((0, range(5)), (7, range(7, 12))):
        given = shuffled(sequence, 20, seeds)
        one = explain(model, sequence, first, seed=seed)
        other = explain(model, sequence, first, references=given)
        assert torch.equal(one.attribution, other.attribution)
    assert not torch.allclose(one.attribution, explain(model, sequence, first).attribution)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_arguments_give_the_same_whatever_the_generators(method):
    model, sequence = net(), sequences()
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        results.append(quiet(model, sequence, first, method=method))
    assert torch.equal(results[0].attribution, results[1].attribution)
    state = torch.get_rng_state()
    quiet(model, sequence, first, method=method)
    assert torch.equal(state, torch.get_rng_state())


def quiet(*args, **kwargs):
    """What ``explain`` returns, without the warning of what does not add up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*do not add up")
        return explain(*args, **kwargs)


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_evaluated_and_left_as_it_was(method):
    model = net().train()
    model.norm.eval()
    model.kept = "before"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = quiet(model, sequences(), first, method=method)
    assert (model.training, model.norm.training, model.drop.training) == (True, False, True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.kept == "before"
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    hooks = [m._forward_hooks or m._backward_hooks for m in model.modules()]
    assert not any(hooks)
    model.eval()
    again = quiet(model, sequences(), first, method=method)
    assert torch.equal(result.attribution, again.attribution)


@pytest.mark.parametrize("method", METHODS)
def test_any_callable_and_any_argument(method):
    model, sequence = net().eval(), sequences()
    shift = torch.arange(5)  # whole numbers, a row per example

    def call(value, rows):
        return model(value, rows, scale=2.0)

    plain = quiet(call, sequence, first, method=method, args=(shift,))
    for other, options in {
        model: {"args": (shift,), "kwargs": {"scale": 2.0}},
        model.forward: {"kwargs": {"shift": shift, "scale": 2.0}},
        functools.partial(model, scale=2.0): {"args": [shift]},
        lambda value, rows: model(value, rows["shift"], scale=2.0): {"args": [{"shift": shift}]},
    }.items():
        result = quiet(other, sequence, first, method=method, **options)
        assert torch.allclose(result.attribution, plain.attribution, atol=1e-12)
    if plain.error is not None and method == "deep-lift-shap":
        assert plain.converged.all()


def test_arguments_go_with_their_sequences(monkeypatch):
    from priorbench.attribution.explainers import subject

    def call(value, factor):
        return factor[:, None] * value.flatten(1).cumsum(dim=1)[:, -1:]

    factor = torch.tensor([1, 2, 3, 4, 5])
    for method in METHODS:
        monkeypatch.setattr(subject, "BASES_AT_ONCE", 1 << 17)
        whole = quiet(call, sequences(), first, method=method, args=[factor])
        monkeypatch.setattr(subject, "BASES_AT_ONCE", 60)
        parts = quiet(call, sequences(), first, method=method, args=[factor])
        assert torch.allclose(whole.attribution, parts.attribution, atol=1e-12), method


@pytest.mark.parametrize("method", METHODS)
def test_channels_last_is_the_same(method):
    model, sequence = net(), sequences()
    references = sequences(count=7)[5:] if method in WITH_REFERENCES else None
    plain = quiet(model, sequence, first, method=method, references=references)
    turned = None if references is None else references.transpose(1, 2)
    last = quiet(
        lambda value: model(value.transpose(1, 2)),
        sequence.transpose(1, 2),
        first,
        method=method,
        references=turned,
        layout="BL4",
    )
    assert torch.allclose(last.attribution, plain.attribution, atol=1e-12)
    if plain.hypothetical is not None:
        assert torch.allclose(last.hypothetical, plain.hypothetical, atol=1e-12)


def test_references_of_their_own_are_those_of_each_sequence():
    model, sequence = net(), sequences()
    references = torch.stack([sequences(count=5 + n)[n:] for n in (1, 2, 3)], dim=1)
    for method in WITH_REFERENCES:
        whole = quiet(model, sequence, first, method=method, references=references)
        if method == "expected-gradients":  # whose draws depend on the place
            continue
        for row in range(5):
            one = slice(row, row + 1)
            alone = quiet(model, sequence[one], first, method=method, references=references[row])
            assert torch.allclose(alone.attribution, whole.attribution[one], atol=1e-12)


class Called(torch.nn.Module):
    """An activation that torch does not have as a module."""

    def forward(self, value):
        return F.softplus(value) ** 2


def test_what_does_not_add_up_is_said():
    sequence = sequences()
    good = explain(net(), sequence, first)
    assert good.converged.all()
    assert good.error.max() < 1e-9
    assert explain(net(activation=Called()), sequence, first).error.max() < 0.01
    with pytest.warns(UserWarning, match=r"deep-lift-shap: the attributions of 5 of 5 .*no rule"):
        bad = explain(net(activation=lambda value: F.softplus(3 * value) ** 2), sequence, first)
    assert not bad.converged.any()
    assert torch.allclose(bad.delta, bad.attribution.sum(dim=1) - bad.expected)
    with pytest.warns(UserWarning, match=r"integrated-gradients:steps=1: .* more points"):
        explain(net(), sequence, first, method="integrated-gradients:steps=1")
    assert explain(
        net(activation=torch.nn.Tanh()), sequence, first, method="integrated-gradients:steps=400"
    ).converged.all()


def test_a_warning_of_the_model_is_shown():
    class Warning_(Net):
        def forward(self, sequence):
            warnings.warn("by the model", UserWarning, stacklevel=1)
            return super().forward(sequence)

    for method in METHODS:
        with pytest.warns(UserWarning, match="by the model"):
            quiet(Warning_(), sequences(), first, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_within_other_modes(method):
    model, sequence = net(), sequences()
    plain = quiet(model, sequence, first, method=method).attribution
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert torch.equal(
                quiet(model, sequence.clone(), first, method=method).attribution, plain
            )
    result = quiet(model, sequence.clone().requires_grad_(), first, method=method)
    assert torch.equal(result.attribution, plain)
    assert not result.attribution.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_no_sequence_has_no_attribution(method):
    result = explain(net(), sequences()[:0], first, method=method)
    assert result.attribution.shape == (0, 30)
    full = quiet(net(), sequences(), first, method=method)
    assert (result.error is None) == (full.error is None)
    assert (result.hypothetical is None) == (full.hypothetical is None)


def test_unknown_bases_are_allowed():
    sequence = sequences()
    sequence[1, :, 4] = 0
    for method in METHODS:
        result = quiet(net(), sequence, first, method=method)
        assert torch.isfinite(result.attribution).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "deep-lift-shop"}, "method: unknown .* did you mean 'deep-lift-shap'"),
        ({"method": "integrated-gradients:steps=0"}, "method: .*steps 0 is not a whole number"),
        ({"references": sequences()[..., :9]}, r"references has shape \(5, 4, 9\), wanted"),
        ({"references": sequences()[0]}, r"references has shape \(4, 30\), wanted"),
        ({"references": sequences()[:0]}, r"references has shape \(0, 4, 30\), wanted"),
        ({"references": sequences()[None]}, r"references has shape \(1, 5, 4, 30\), wanted"),
        ({"references": sequences(), "method": "gradient"}, "references: method 'gradient'"),
        ({"layout": "BL4"}, r"sequence is torch.float64 of shape \(5, 4, 30\), wanted"),
        ({"target": lambda output: output}, r"target gives shape \(\d+, 2\), wanted"),
        ({"sequence": sequences() / 2}, "sequence has a position .* or pass|sequence has a pos"),
        ({"sequence": sequences().long()}, "sequence is torch.int64"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    given = {"model": net(), "sequence": sequences(), "target": first} | options
    with pytest.raises((ValueError, UserError), match=message):
        explain(**given)


def test_soft_sequences_need_references_of_their_own():
    model, soft = net(), sequences() / 2
    assert explain(model, soft, first, references=sequences()).attribution.shape == (5, 30)
    with pytest.raises(ValueError, match="'in-silico-mutagenesis' needs whole bases"):
        explain(model, soft, first, method="in-silico-mutagenesis")


def test_a_compiled_model_is_explained_uncompiled():
    model = net().eval()
    plain = explain(model, sequences(), first).attribution
    compiled = torch.compile(model, backend="eager")
    with pytest.warns(UserWarning, match="the model is compiled"):
        result = explain(compiled, sequences(), first)
    assert torch.equal(result.attribution, plain)
