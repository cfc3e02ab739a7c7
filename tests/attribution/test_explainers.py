"""Attributions of trained models against closed forms, and that they are the same for all."""

from functools import partial

import pytest
import torch
from fixtures.networks import WeightedSum, build_network
from fixtures.sequences import random_sequences

from priorbench import UserError
from priorbench.attribution.explainers import EXPLAINERS, load_explainer
from priorbench.attribution.explainers.shuffles import shuffled
from priorbench.attribution.explainers.subject import ExplainedModel
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape

sequences = partial(random_sequences, count=5, length=30, seed=0, dtype=torch.float32)


def first(output):
    return output[:, 0]


def of_linear(name, **more):
    sequence = sequences()
    subject = ExplainedModel(WeightedSum(30).eval(), first, sequence, **more)
    return sequence, subject.model.weight.detach(), load_explainer(name).explain(subject)


def test_gradients_of_a_linear_model():
    sequence, weight, explanation = of_linear("input-x-gradient")
    assert torch.allclose(explanation.attribution, (sequence * weight).sum(dim=1), atol=1e-6)
    assert explanation.expected is None
    explanation = of_linear("gradient")[2]
    assert torch.allclose(explanation.attribution, weight.abs().sum(dim=0).expand(5, -1), atol=1e-5)
    explanation = of_linear("simplex-gradient")[2]
    assert torch.allclose(
        explanation.attribution, (sequence * (weight - weight.mean(dim=0))).sum(dim=1), atol=1e-6
    )


@pytest.mark.parametrize(("reference", "value"), [("zero", 0.0), ("uniform", 0.25)])
def test_integrated_gradients_of_a_linear_model_are_exact(reference, value):
    name = f"integrated-gradients:steps=3:reference={reference}"
    sequence, weight, explanation = of_linear(name)
    assert torch.allclose(
        explanation.attribution, ((sequence - value) * weight).sum(dim=1), atol=1e-5
    )
    assert torch.allclose(explanation.attribution.sum(dim=1), explanation.expected, atol=1e-4)


def test_mutagenesis_is_the_mean_loss_over_the_three_other_bases():
    sequence, weight, explanation = of_linear("in-silico-mutagenesis")
    own = (sequence * weight).sum(dim=1)
    others = (weight.sum(dim=0) - own) / 3
    assert torch.allclose(explanation.attribution, own - others, atol=1e-5)


def test_unknown_bases_have_no_mutagenesis():
    sequence = sequences()
    sequence[1, :, 4] = 0
    explanation = load_explainer("in-silico-mutagenesis").explain(
        ExplainedModel(WeightedSum(30), first, sequence)
    )
    assert explanation.attribution[1, 4] == 0
    assert bool((explanation.attribution[0] != 0).all())


def test_deep_lift_shap_is_the_mean_over_shuffles():
    sequence, weight, explanation = of_linear("deep-lift-shap:shuffles=4")
    references = shuffled(sequence, 4, range(5))
    expected = ((sequence[:, None] - references) * weight).sum(dim=2).mean(dim=1)
    assert torch.allclose(explanation.attribution, expected, atol=1e-5)
    assert torch.allclose(explanation.expected, expected.sum(dim=1), atol=1e-4)


def test_shuffles_keep_dinucleotides_and_depend_on_the_seed_alone():
    sequence = sequences()
    shuffles = shuffled(sequence, 3, [7, 8, 9, 10, 11])
    pairs = [
        torch.einsum("...al,...bl->...ab", value[..., :-1], value[..., 1:])
        for value in (sequence[:, None], shuffles)
    ]
    assert torch.equal(pairs[0].expand(-1, 3, -1, -1), pairs[1])
    assert torch.equal(shuffled(sequence[2:3], 3, [9])[0], shuffles[2])


def test_expected_gradients_of_a_linear_model_add_up():
    _, _, explanation = of_linear("expected-gradients:samples=5")
    assert torch.allclose(explanation.attribution.sum(dim=1), explanation.expected, atol=1e-4)
    assert torch.equal(
        of_linear("expected-gradients:samples=5")[2].attribution, explanation.attribution
    )


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_further_arguments_stay_with_their_sequence(name):
    plain = of_linear(name)[2]
    with_args = of_linear(name, args=[torch.arange(10.0).reshape(5, 2)])[2]
    assert torch.allclose(plain.attribution, with_args.attribution, atol=1e-4)


@pytest.mark.parametrize("architecture", sorted(registry.components("architecture")))
@pytest.mark.parametrize("prior", ["none", "dropout", "exponential"])
def test_deep_lift_has_a_rule_for_every_network(architecture, prior):
    model = build_network(architecture, NetworkShape(60))
    adapting = registry.build("prior", prior)
    if prior != "none":
        model = adapting.adapt(model, adapting.default_weight("binary"))
    subject = ExplainedModel(model.eval(), first, sequences(length=60))
    explanation = load_explainer("deep-lift-shap:shuffles=3").explain(subject)
    error = (explanation.attribution.sum(dim=1) - explanation.expected).abs().mean()
    assert error < 0.01 * explanation.expected.abs().mean()
    assert not model.training


def test_deep_lift_of_profiles_adds_up_with_the_weights_of_the_sequence():
    task = registry.build("task", "profile")
    model = build_network("bpnet", NetworkShape(80, 2, 30)).eval()
    subject = ExplainedModel(model, task.target, sequences(length=80))
    explanation = load_explainer("deep-lift-shap:shuffles=3").explain(subject)
    error = (explanation.attribution.sum(dim=1) - explanation.expected).abs().mean()
    assert error < 0.01 * explanation.expected.abs().mean()


def test_chunks_change_nothing(monkeypatch):
    from priorbench.attribution.explainers import subject

    whole = {name: of_linear(name)[2].attribution for name in EXPLAINERS}
    monkeypatch.setattr(subject, "BASES_AT_ONCE", 60)
    for name, attribution in whole.items():
        assert torch.allclose(of_linear(name)[2].attribution, attribution, atol=1e-5), name


def test_wrong_options_are_refused():
    with pytest.raises(UserError, match="did you mean 'deep-lift-shap'"):
        load_explainer("deep-lift-shop")
    with pytest.raises(UserError, match="steps 0 is not a whole number"):
        load_explainer("integrated-gradients:steps=0")


WITH_EVERY_BASE = [name for name in sorted(EXPLAINERS) if EXPLAINERS[name].every_base]


def of_network(name):
    """A network that is not linear, and sequences of which some bases are unknown."""
    model = build_network("three-conv", NetworkShape(60)).eval()
    sequence = sequences(length=60)
    sequence[1, :, 4] = 0
    subject = ExplainedModel(model, first, sequence)
    return subject, load_explainer(name).explain(subject, every_base=True)


@pytest.mark.parametrize(
    "name", [*WITH_EVERY_BASE, "integrated-gradients:reference=uniform"], ids=str
)
def test_hypothetical_contributions_are_the_attribution_at_the_observed_base(name):
    subject, explanation = of_network(name)
    assert explanation.hypothetical.shape == subject.sequence.shape
    known = subject.sequence.sum(dim=1)
    observed = (explanation.hypothetical * subject.sequence).sum(dim=1)
    # the difference to a reference is there where the base is unknown, too
    assert torch.allclose(observed, explanation.attribution * known, atol=1e-5, rtol=1e-4)
    assert torch.equal(load_explainer(name).explain(subject).attribution, explanation.attribution)
    others = explanation.hypothetical[subject.sequence == 0]
    assert others.abs().max() > 0.1 * explanation.attribution.abs().max()


@pytest.mark.parametrize(
    "name",
    ["simplex-gradient", "in-silico-mutagenesis", "integrated-gradients:reference=uniform"],
)
def test_what_is_corrected_has_no_mean_over_the_bases(name):
    _, explanation = of_network(name)
    size = explanation.hypothetical.abs().max()
    assert explanation.hypothetical.mean(dim=1).abs().max() < 1e-4 * size


def test_the_hypothetical_mutation_is_the_attribution_of_the_sequence_with_it():
    subject, explanation = of_network("in-silico-mutagenesis")
    other = subject.sequence.clone()
    other[0, :, 7] = torch.tensor([0.0, 0, 1, 0])
    there = ExplainedModel(subject.model, first, other)
    changed = load_explainer("in-silico-mutagenesis").explain(there).attribution
    assert torch.allclose(changed[0, 7], explanation.hypothetical[0, 2, 7], atol=1e-5)


def test_what_does_not_depend_on_the_base_has_no_hypothetical_contributions():
    assert [name for name in EXPLAINERS if name not in WITH_EVERY_BASE] == ["gradient"]
    assert of_network("gradient")[1].hypothetical is None
