"""Every prior against published values, closed forms and its contract."""

import json
import math
import pickle
from pathlib import Path

import pytest
import torch

from priorbench import Attribution, Batch, UserError, load_prior, registry

REFERENCE = json.loads((Path(__file__).parent / "fourier_reference.json").read_text())
PRIORS = sorted(registry.components("prior"))
ATTRIBUTION_PRIORS = [n for n in PRIORS if load_prior(n).overrides("penalty")]


def batch(count: int, length: int) -> Batch:
    return Batch(torch.zeros(count, 4, length), torch.ones(count))


def attribution(observed: torch.Tensor) -> Attribution:
    gradient = torch.zeros(len(observed), 4, observed.shape[1], dtype=observed.dtype)
    return Attribution(gradient + observed[:, None] / 4, observed)


def penalty(spec: str, observed: torch.Tensor) -> torch.Tensor:
    return load_prior(spec).penalty(attribution(observed), batch(*observed.shape))


@pytest.mark.parametrize("case", REFERENCE, ids=lambda c: f"{c['kind']}-{c['length']}")
def test_fourier_agrees_with_published_loss_and_gradient(case):
    observed = torch.tensor(case["attributions"], dtype=torch.float64, requires_grad=True)
    spec = (
        f"fourier:frequency_limit={case['frequency_limit'] / case['length']}"
        f":softness={case['softness'] or 0}:smooth_sigma={case['smooth_sigma']}"
    )
    loss = penalty(spec, observed).mean()
    (gradient,) = torch.autograd.grad(loss, observed)
    expected = torch.tensor(case["fourier_grad"], dtype=torch.float64)
    assert loss.item() == pytest.approx(case["fourier_loss"], rel=1e-9)
    assert (gradient - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize("case", REFERENCE, ids=lambda c: f"{c['kind']}-{c['length']}")
def test_tv_agrees_with_published_loss_and_gradient(case):
    observed = torch.tensor(case["attributions"], dtype=torch.float64, requires_grad=True)
    loss = penalty("tv:form=published", observed).mean()
    (gradient,) = torch.autograd.grad(loss, observed)
    track = observed.detach().abs()
    sign = track.diff(dim=1).sign()
    by_hand = torch.zeros_like(track)
    by_hand[:, 1:] += sign
    by_hand[:, :-1] -= sign
    by_hand *= observed.detach().sign() / len(track)
    assert loss.item() == pytest.approx(case["smoothness_loss"], rel=1e-9)
    assert torch.allclose(gradient, by_hand, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("bins", "expected"), [(10, 1 - 1 / 3), (40, 1.0)])
def test_fourier_of_a_cosine_is_known(bins, expected):
    # magnitudes are L at bin 0 and L / 2 at the cosine's bin, so shares of 2/3 and 1/3
    position = torch.arange(200, dtype=torch.float64)
    track = 1 + torch.cos(2 * math.pi * bins * position / 200)
    found = penalty("fourier:softness=0:smooth_sigma=0", track[None])
    assert found.item() == pytest.approx(expected, abs=1e-9)  # limit is bin 30


def test_fourier_cut_means_the_same_at_every_length():
    fourier = load_prior("fourier:softness=0")
    assert fourier.frequency_weights(1000, 1000).sum() == 150
    assert fourier.frequency_weights(200, 200).sum() == 30


def test_fourier_ignores_circular_shift():
    generator = torch.Generator().manual_seed(0)
    track = torch.rand(3, 128, generator=generator, dtype=torch.float64)
    spec = "fourier:smooth_sigma=0"
    assert torch.allclose(penalty(spec, track), penalty(spec, track.roll(17, dims=1)))


def test_tv_of_a_box_and_of_a_spike():
    track = torch.zeros(2, 50)
    track[0, 10:20] = 3.0
    track[1, 10] = 3.0
    assert penalty("tv", track).tolist() == pytest.approx([6 / 30, 2.0])
    assert penalty("tv:form=published", track).tolist() == pytest.approx([6.0, 6.0])


def test_l1_and_l2_are_means_over_positions():
    track = torch.tensor([[1.0, -2.0, 0.0, 3.0]])
    assert penalty("l1", track).item() == pytest.approx(6 / 4)
    assert penalty("l2", track).item() == pytest.approx(14 / 4)


@pytest.mark.parametrize("name", ATTRIBUTION_PRIORS)
@pytest.mark.parametrize("shape", [(3, 50), (1, 101)])
def test_penalty_is_finite_and_leaves_its_arguments_alone(name, shape):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for track in (torch.zeros(shape), noise):
        observed = track.clone().requires_grad_()
        before = observed.detach().clone()
        value = penalty(name, observed)
        (gradient,) = torch.autograd.grad(value.sum(), observed)
        assert value.shape == shape[:1]
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()
        assert torch.equal(observed.detach(), before)


@pytest.mark.parametrize("name", ATTRIBUTION_PRIORS)
def test_scale_free_is_what_the_prior_says(name):
    prior = load_prior(name)
    track = torch.rand(4, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    same = torch.allclose(penalty(name, track), penalty(name, 10 * track))
    assert same == prior.scale_free


@pytest.mark.parametrize("name", ATTRIBUTION_PRIORS)
def test_penalty_gradient_is_exact(name):
    generator = torch.Generator().manual_seed(2)
    track = torch.rand(2, 40, generator=generator, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(
        lambda x: penalty(name, x), track.requires_grad_(), eps=1e-7, atol=1e-6
    )


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_says_what_it_is_and_survives_pickling(name):
    prior = load_prior(name)
    assert prior.summary
    assert prior.citation or name == "none"
    assert pickle.loads(pickle.dumps(prior)) == prior
    assert name == "none" or prior.default_weight("binary") > 0
    with pytest.raises(UserError):
        prior.check_weight(-1.0)


def test_options_outside_their_range_are_refused():
    for spec, message in [
        ("fourier:frequency_limit=15", "cycles per base"),
        ("fourier:softness=-1", "negative"),
        ("tv:smooth_sigma=-2", "negative"),
    ]:
        with pytest.raises(UserError, match=message):
            load_prior(spec)


def test_weight_norms_leave_biases_and_batch_norm_out():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    weight = model[0].weight.detach()
    l1 = load_prior("weight-l1").parameter_penalty(model)
    l2 = load_prior("weight-l2").parameter_penalty(model)
    assert l1.item() == pytest.approx(weight.abs().sum().item())
    assert l2.item() == pytest.approx(weight.square().sum().item())


def test_dropout_sits_before_dense_layers_and_keeps_the_weights():
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.Flatten(), torch.nn.Linear(6, 1))
    before = [p.clone() for p in model.parameters()]
    adapted = load_prior("dropout").adapt(model, 0.3)
    assert [type(m).__name__ for m in adapted[2]] == ["Dropout", "Linear"]
    assert adapted[2][0].p == 0.3
    assert all(torch.equal(a, b) for a, b in zip(before, adapted.parameters(), strict=True))
    with pytest.raises(UserError, match="probability"):
        load_prior("dropout").check_weight(1.0)


def test_positives_or_all():
    task = registry.build("task", "binary")
    examples = Batch(torch.zeros(3, 4, 10), torch.tensor([1.0, 0.0, 1.0]))
    assert load_prior("fourier").applies(examples, task).tolist() == [True, False, True]
    assert load_prior("fourier:examples=all").applies(examples, task).all()
