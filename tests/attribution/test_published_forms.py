"""Attributions in the forms that Koo & Ploenzke (2021) score, against a few lines of their own."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from fixtures.networks import build_network

from priorbench.attribution.explainers import load_explainer
from priorbench.attribution.explainers.shuffles import shuffled_positions
from priorbench.attribution.explainers.subject import ExplainedModel
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.errors import UserError

LENGTH, COUNT = 60, 5
PUBLISHED = [
    "input-x-gradient",
    "in-silico-mutagenesis:form=root-square",
    "integrated-gradients:reference=shuffled:shuffles=3:steps=20:points=left:factor=input",
    "deep-lift-shap:shuffles=3:shuffle=positions:bases=observed",
]


def one_hot(seed=0):
    bases = np.random.default_rng(seed).integers(0, 4, (COUNT, LENGTH))
    return torch.eye(4, dtype=torch.float64)[bases].transpose(1, 2).contiguous()


@pytest.fixture
def network():
    """A network whose statistics of batch norm are no longer those that it began with."""
    model = build_network("koo-local:activation=exponential", NetworkShape(LENGTH)).double()
    model.train()
    with torch.no_grad():
        for seed in range(20):
            model(one_hot(seed))
    return model.eval()


def subject(model, sequence, spec="motif-grammar:attributed=probability", **more):
    task = registry.build("task", spec)
    return ExplainedModel(model, task.target, sequence, link=task.link, **more)


def probability(model, sequence):
    return torch.sigmoid(model(sequence)[:, 0])


def gradient(model, sequence):
    sequence = sequence.clone().requires_grad_()
    return torch.autograd.grad(probability(model, sequence).sum(), sequence)[0]


def references(sequence):
    return shuffled_positions(sequence, 3, range(COUNT))


def saliency(model, x):
    return (x * gradient(model, x)).sum(dim=1)


def mutagenesis(model, x):
    scores = torch.zeros(COUNT, LENGTH, dtype=torch.float64)
    for place in range(LENGTH):
        for base in range(4):
            mutant = x.clone()
            mutant[:, :, place] = torch.eye(4, dtype=x.dtype)[base]
            with torch.no_grad():
                scores[:, place] += (probability(model, mutant) - probability(model, x)) ** 2
    return scores.sqrt()


def integrated_gradients(model, x):
    every = [
        gradient(model, r + share / 20 * (x - r))
        for r in references(x).unbind(dim=1)
        for share in range(20)
    ]
    return (x * torch.stack(every).mean(dim=0)).sum(dim=1)


def deep_shap(model, x):
    """DeepLIFT by hand through the layers of the network: slopes from differences."""
    scores = torch.zeros(COUNT, LENGTH, dtype=torch.float64)
    for r in references(x).unbind(dim=1):
        layers = [*model, torch.nn.Sigmoid()]
        with torch.no_grad():
            own, other = [x], [r]
            for layer in layers:
                own.append(layer(own[-1]))
                other.append(layer(other[-1]))
        slope = torch.ones(COUNT, 1, dtype=x.dtype)
        steps = list(zip(layers, pairwise(own), pairwise(other), strict=True))
        for layer, (value, result), (value_r, result_r) in reversed(steps):
            slope = multiplier(layer, slope, (value, result), (value_r, result_r))
        scores += (slope * (x - r) * x).sum(dim=1)
    return scores / 3


def multiplier(layer, slope, own, other):
    """The slope at a layer's input from that at its output."""
    (value, result), (value_r, result_r) = own, other
    difference = value - value_r
    if isinstance(layer, torch.nn.MaxPool1d):
        # each output's change goes to the positions of the two maxima, by what each contributes
        joint = torch.maximum(result, result_r)
        parts = [(value, joint - result_r, 1.0), (value_r, result - joint, 1.0)]
        given = sum(unpooled(layer, v, slope * change) * sign for v, change, sign in parts)
        return torch.where(difference.abs() < 1e-7, 0.0, given / difference)
    linear = (torch.nn.Conv1d, torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.Flatten)
    if isinstance(layer, (*linear, torch.nn.Dropout)):
        at = value.clone().requires_grad_()
        return torch.autograd.grad(layer(at), at, slope)[0]
    at = value.clone().requires_grad_()
    plain = torch.autograd.grad(layer(at), at, slope)[0]
    rescaled = slope * (result - result_r) / difference
    return torch.where(difference.abs() < 1e-6, plain, rescaled)


def unpooled(layer, value, amount):
    """What is given to outputs, at the place of the maximum of each pool."""
    _, place = torch.nn.functional.max_pool1d(
        value, layer.kernel_size, ceil_mode=layer.ceil_mode, return_indices=True
    )
    return torch.zeros_like(value).scatter_add(2, place, amount)


@pytest.mark.parametrize(
    ("spec", "own"),
    [*zip(PUBLISHED, [saliency, mutagenesis, integrated_gradients, deep_shap], strict=True)],
)
def test_published_forms_are_what_a_few_lines_give(network, spec, own):
    x = one_hot(99)
    explained = load_explainer(spec).explain(subject(network, x), every_base=True)
    expected = own(network, x)
    torch.testing.assert_close(explained.attribution, expected, rtol=1e-6, atol=1e-9)
    assert explained.expected is None
    hypothetical = explained.hypothetical
    torch.testing.assert_close((hypothetical * x).sum(dim=1), explained.attribution)


def test_published_mutagenesis_says_what_it_would_be_of_another_base(network):
    x, other = one_hot(99), one_hot(99)
    other[:, :, 7] = torch.eye(4, dtype=x.dtype)[2]
    explainer = load_explainer(PUBLISHED[1])
    hypothetical = explainer.explain(subject(network, x), every_base=True).hypothetical
    changed = explainer.explain(subject(network, other)).attribution
    torch.testing.assert_close(hypothetical[:, 2, 7], changed[:, 7])


def test_deep_lift_of_a_probability_adds_up_to_its_change(network):
    x = one_hot(3)
    explained = load_explainer("deep-lift-shap:shuffles=4").explain(subject(network, x))
    torch.testing.assert_close(explained.attribution.sum(dim=1), explained.expected)
    assert bool(explained.converged.all())
    of_logit = load_explainer("deep-lift-shap:shuffles=4").explain(
        subject(network, x, "motif-grammar")
    )
    assert not torch.allclose(explained.attribution, of_logit.attribution)


def test_shuffles_keep_the_bases_and_depend_on_the_seed_only():
    x = one_hot(1)
    first, again = shuffled_positions(x, 3, range(5)), shuffled_positions(x, 3, range(5))
    assert torch.equal(first, again)
    assert torch.equal(first.sum(dim=3), x[:, None].sum(dim=3).expand(-1, 3, -1))
    assert not torch.equal(first[:, 0], first[:, 1])
    assert torch.equal(shuffled_positions(x[2:], 3, range(2, 5)), first[2:])
    assert shuffled_positions(x[:0], 3, []).shape == (0, 3, 4, LENGTH)


def test_parts_of_a_batch_are_given_the_same_references(network, monkeypatch):
    x = one_hot(5)
    for spec in PUBLISHED[2:]:
        whole = load_explainer(spec).explain(subject(network, x)).attribution
        monkeypatch.setattr("priorbench.attribution.explainers.subject._MOST_ROWS", 2)
        parts = load_explainer(spec).explain(subject(network, x)).attribution
        monkeypatch.undo()
        torch.testing.assert_close(parts, whole)


def test_references_that_are_given_take_the_place_of_shuffles(network):
    x = one_hot(5)
    given = subject(network, x, references=references(x))
    for spec in PUBLISHED[2:]:
        drawn = load_explainer(spec).explain(subject(network, x)).attribution
        torch.testing.assert_close(load_explainer(spec).explain(given).attribution, drawn)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("integrated-gradients:shuffles=3", "needs reference=shuffled"),
        ("integrated-gradients:reference=shuffled:shuffles=0", "shuffles"),
        ("integrated-gradients:points=right", "not one of middle, left"),
        ("in-silico-mutagenesis:form=square", "not one of mean, root-square"),
        ("deep-lift-shap:shuffle=codons", "not one of dinucleotides, positions"),
    ],
)
def test_options_of_published_forms_are_checked(spec, message):
    with pytest.raises(UserError, match=message):
        load_explainer(spec)
