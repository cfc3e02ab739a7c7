"""Every prior keeps its contract, and the checks find those that do not."""

import itertools
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pytest
import torch
from fixtures.priors import VARIANTS

from priorbench import (
    AttributionPrior,
    Batch,
    GradientPrior,
    Prior,
    UserError,
    load_prior,
)
from priorbench.authoring import prior_checks
from priorbench.authoring.check_tools import MIXED
from priorbench.authoring.prior_checks import CHECKS, check_prior, run_check
from priorbench.components import registry
from priorbench.components.hooks import FinalPhase


@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c is not prior_checks.has_a_price], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("spec", VARIANTS)
def test_every_prior_conforms(spec, check):
    result = result_of(spec, check)
    assert result.outcome != "failed", result.detail


@cache
def result_of(spec, check):
    return run_check(check, load_prior(spec))


CHECK_OF_HOOK = {
    "penalty": prior_checks.differentiates,
    "loss_penalty": prior_checks.penalises_the_loss,
    "parameter_penalty": prior_checks.penalises_parameters,
    "adapt": prior_checks.keeps_initial_weights,
    "augment": prior_checks.changes_input,
    "change_examples": prior_checks.changes_the_examples,
    "average_share": prior_checks.averages_weights,
    "final_phase": prior_checks.asks_for_a_final_phase,
}


def test_a_prior_with_a_hook_is_checked_for_it():
    hooks = set()
    for name in registry.components("prior"):
        prior = load_prior(name)
        for hook, check in CHECK_OF_HOOK.items():
            passed = result_of(name, check).outcome == "passed"
            assert passed == prior.overrides(hook), (name, hook)
            hooks |= {hook} if passed else set()
    assert hooks == CHECK_OF_HOOK.keys()
    for name in ("none", "fourier"):
        results = list(check_prior(name))
        assert [result.check for result in results] == [label(check) for check in CHECKS]
        assert not [result for result in results if result.outcome == "failed"]


def test_every_prior_has_a_price(monkeypatch):
    # of steps on few and short sequences
    step = prior_checks.TrainingStep
    monkeypatch.setattr(prior_checks, "TrainingStep", lambda prior, *_: step(prior, MIXED))
    for name in registry.components("prior"):
        assert run_check(prior_checks.has_a_price, load_prior(name)).outcome == "passed", name


def label(check):
    return check.__name__.replace("_", " ")


TEXTS = {"summary": "for a test", "citation": "none"}


def broken(penalty=None, base=AttributionPrior, **members):
    """A prior that lacks or breaks one thing."""
    body = {**TEXTS, "default_weights": {"*": 1.0}, **members}
    if penalty is not None:
        body["penalty"] = lambda self, attribution, batch: penalty(
            attribution.observed, attribution.gradient, batch
        )
    return dataclass(frozen=True)(type("Broken", (base,), body))()


def _at_most_one(self, weight):
    if weight > 1:
        raise UserError(f"weight {weight:g} is above 1")


calls = itertools.count()

BROKEN = {
    "describes_itself": [
        dataclass(frozen=True)(type("Uncited", (Prior,), {"summary": "x", "penalty": id}))(),
        broken(summary="", penalty=lambda a, g, b: a.mean(1)),
        broken(citation="", penalty=lambda a, g, b: a.mean(1)),
        broken(default_weights={"*": -1.0}, penalty=lambda a, g, b: a.mean(1)),
    ],
    "can_be_tuned": [
        broken(check_weight=_at_most_one, penalty=lambda a, g, b: a.mean(1)),
    ],
    "keeps_initial_weights": [
        broken(base=Prior, adapt=lambda self, model, weight: torch.nn.Sequential(model[0])),
        broken(
            base=Prior,
            adapt=lambda self, model, weight: torch.nn.Sequential(model, torch.nn.Linear(1, 2)),
        ),
        broken(base=Prior, adapt=lambda self, model, weight: Noisy(model)),
    ],
    "trains": [broken(penalty=lambda a, g, b: a.mean(1) / 0)],
    "trains_without_positives": [
        broken(base=Prior, parameter_penalty=lambda self, m: next(m.parameters()).sum() * 0 / 0)
    ],
    "trains_on_one_example": [
        broken(penalty=lambda a, g, b: (a - a.mean(0)).sum(1) / a.std(0).sum())
    ],
    "repeats_itself": [broken(penalty=lambda a, g, b: a.mean(1) * next(calls))],
    "penalises_the_loss": [
        broken(base=Prior, loss_penalty=lambda self, loss: loss.losses),
        broken(base=Prior, loss_penalty=lambda self, loss: loss.losses.sum() / 0),
    ],
    "averages_weights": [
        broken(base=Prior, average_share=lambda self, weight, step, per_epoch: 2.0),
        broken(base=Prior, average_share=lambda self, weight, step, per_epoch: 0.0),
    ],
    "asks_for_a_final_phase": [
        broken(base=Prior, final_phase=lambda self, weight: FinalPhase(1.0)),
        broken(base=Prior, final_phase=lambda self, weight: FinalPhase(0.5, learning_rate=0.0)),
    ],
    "changes_the_examples": [
        broken(base=Prior, change_examples=lambda self, b, w, g: b.select(torch.tensor([0]))),
        broken(
            base=Prior,
            change_examples=lambda self, b, w, g: Batch(b.sequence, torch.rand_like(b.label)),
        ),
        broken(
            base=Prior,
            change_examples=lambda self, b, w, g: Batch(b.sequence / 0, b.label),
        ),
        broken(
            base=Prior,
            change_examples=lambda self, b, w, g: Batch(b.sequence, b.label.float().half()),
        ),
    ],
    "has_one_value_per_example": [
        broken(penalty=lambda a, g, b: None),
        broken(penalty=lambda a, g, b: a.mean(1) * torch.rand(())),
        broken(penalty=lambda a, g, b: a.mean()),
        broken(penalty=lambda a, g, b: a.mean(1).float()),
    ],
    "is_finite": [
        broken(penalty=lambda a, g, b: a.abs().sum(1) / a.abs().sum(1)),
        broken(penalty=lambda a, g, b: a.square().sum(1).sqrt()),
        broken(penalty=lambda a, g, b: a[:, 100]),
    ],
    "leaves_arguments_alone": [
        broken(penalty=lambda a, g, b: a.data.mul_(2).mean(1)),
        broken(penalty=lambda a, g, b: a.mean(1) + b.label.zero_()),
        broken(base=Prior, augment=lambda self, s, weight, generator: s.add_(0.1)),
    ],
    "differentiates": [broken(penalty=lambda a, g, b: (a * a.detach()).mean(1))],
    "ignores_order": [
        broken(penalty=lambda a, g, b: a.mean(1).cumsum(0)),
        broken(penalty=lambda a, g, b: 1e-9 * a.mean(1).cumsum(0)),
    ],
    "ignores_scale": [broken(scale_free=True, penalty=lambda a, g, b: a.abs().mean(1))],
    "ignores_strand": [
        broken(reverse_complement_invariant=True, penalty=lambda a, g, b: a[:, :9].sum(1)),
        broken(reverse_complement_invariant=True, penalty=lambda a, g, b: g[:, 0].square().sum(1)),
    ],
    "maps_over_models": [
        broken(penalty=lambda a, g, b: torch.stack([v for v in a.sum(1) if v.item() < 9e9]))
    ],
    "needs_linear_memory": [
        broken(penalty=lambda a, g, b: (a[:, :, None] - a[:, None]).abs().mean((1, 2))),
        broken(penalty=lambda a, g, b: (a[:, None] - a[None]).abs().mean((1, 2))),
        broken(penalty=lambda a, g, b: (a @ a.T).square().mean(1)),
    ],
    "penalises_parameters": [
        broken(base=Prior, parameter_penalty=lambda self, m: torch.zeros(())),
        broken(base=Prior, parameter_penalty=lambda self, m: next(m.parameters()).sum((0, 1))),
    ],
    "changes_input": [
        broken(base=Prior, augment=lambda self, s, weight, generator: s[:, :, 1:]),
        broken(base=Prior, augment=lambda self, s, weight, generator: s + torch.rand_like(s)),
        broken(base=Prior, augment=lambda self, s, weight, generator: s.float()),
    ],
}


class Noisy(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) + torch.randn(())


@pytest.mark.parametrize(
    ("check", "prior"), [(name, prior) for name, priors in BROKEN.items() for prior in priors]
)
def test_checks_fail_for_what_they_are_there_to_find(check, prior):
    result = run_check(getattr(prior_checks, check), prior)
    assert result.outcome == "failed", result
    assert result.detail


def test_every_check_has_a_prior_that_fails_it():
    # is_plain_data has its own below; a price is measured and never fails
    assert {c.__name__ for c in CHECKS} - {"is_plain_data", "has_a_price"} == set(BROKEN)


def test_priors_that_are_no_plain_data_are_found():
    @dataclass
    class Thawed:
        pass

    @dataclass(frozen=True)
    class Local(Prior):
        summary: ClassVar[str] = "defined in a function, so it cannot be pickled"
        citation: ClassVar[str] = "none"

    assert run_check(prior_checks.is_plain_data, Local()).outcome == "failed"
    assert "frozen" in run_check(prior_checks.is_plain_data, Thawed()).detail


def test_a_reason_replaces_vmap():
    def penalty(a, g, b):
        return torch.stack([v for v in a.sum(1) if v.item() < 9e9])

    prior = broken(penalty=penalty, not_vmappable="looks at values")
    result = run_check(prior_checks.maps_over_models, prior)
    assert (result.outcome, result.detail) == ("not applicable", "looks at values")


def test_no_grid_lies_around_the_largest_weight():
    result = run_check(prior_checks.can_be_tuned, registry.load_prior("distillation=1+l2"))
    assert result.outcome == "not applicable"
    assert "the largest that there is" in result.detail


def test_gradient_priors_see_all_four_bases():
    prior = broken(base=GradientPrior, penalty=lambda a, g, b: g.square().sum((1, 2)))
    outcomes = {c.__name__: run_check(c, prior).outcome for c in CHECKS}
    assert outcomes["differentiates"] == outcomes["ignores_order"] == "passed"


@pytest.mark.parametrize(
    "prior",
    [
        broken(penalty=lambda a, g, b: torch.nn.functional.avg_pool1d(a[:, None], 20).sum((1, 2))),
        broken(penalty=lambda a, g, b: a.new_zeros(len(a))),
        broken(penalty=lambda a, g, b: a.topk(5, dim=1).values.sum(1)),
        broken(penalty=lambda a, g, b: a.median(dim=1).values * b.label),
        broken(penalty=lambda a, g, b: a.abs().sort(dim=1).values.cumsum(1).mean(1)),
        broken(
            base=Prior,
            parameter_penalty=lambda self, m: (
                sum(
                    layer.weight.square().sum()
                    for layer in m.modules()
                    if isinstance(layer, torch.nn.BatchNorm1d)
                )
                + 0 * next(m.parameters()).sum()
            ),
        ),
    ],
)
def test_sound_priors_are_no_false_alarm(prior):
    # classes of a function cannot be pickled; is_plain_data has a test of its own
    for check in CHECKS:
        if check is not prior_checks.is_plain_data:
            result = run_check(check, prior)
            assert result.outcome != "failed", result


def test_where_the_first_checks_fail_the_others_are_not_run(tmp_path):
    path = tmp_path / "scalar.py"
    path.write_text(
        "from priorbench import AttributionPrior\n\n"
        "class Scalar(AttributionPrior):\n"
        "    summary = citation = 'a scalar'\n"
        "    def penalty(self, attribution, batch):\n"
        "        return attribution.observed.mean()\n"
    )
    registry.add_plugin(path)
    results = list(check_prior("scalar"))
    failed = [result.check for result in results if result.outcome == "failed"]
    assert failed == ["is plain data", "has one value per example"]
    assert sum("not run: 'is plain data' failed" in result.detail for result in results) == 21


def test_the_price_of_memory_is_that_of_a_usual_step():
    detail = run_check(prior_checks.has_a_price, load_prior("l1")).detail
    memory = float(detail.split(", ")[1].split()[0])
    assert 1.2 < memory < 2.0


def test_a_prior_that_leaves_python_is_found():
    def leave(a, g, b):
        raise SystemExit(3)

    result = run_check(prior_checks.is_finite, broken(penalty=leave))
    assert result.detail == "SystemExit: 3"


def test_unknown_priors_are_refused():
    with pytest.raises(UserError, match="did you mean 'fourier'"):
        list(check_prior("furier"))
