"""Published forms of priors against values and gradients that the published code gave."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.networks import build_network, regularisation
from fixtures.priors import BAND_PASS
from fixtures.sequences import random_sequences

from priorbench import Attribution, Batch, UserError, load_prior
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.seeds import RandomStreams
from priorbench.training.objective import Objective


def reference(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


BANDS = reference("fourier_bandpass")
ANGLES = reference("off_simplex_published")
PUBLISHED = "off-simplex:form=published"


def of_track(track):
    gradient = torch.zeros(len(track), 4, track.shape[1], dtype=track.dtype)
    return Attribution(gradient, track), Batch(gradient, torch.ones(len(track)))


def band_pass(case):
    return load_prior(
        f"fourier:shortest_motif={case['shortest_motif']}:longest_motif={case['longest_motif']}"
        f":zero_frequency=dropped:softness={case['softness']}:smooth_sigma={case['smooth_sigma']}"
        ":sign=signed"
    )


@pytest.mark.parametrize("case", BANDS, ids=lambda c: f"{c['kind']}-{c['length']}")
def test_fourier_agrees_with_the_published_band_pass(case):
    prior = band_pass(case)
    track = torch.tensor(case["track"], dtype=torch.float64, requires_grad=True)
    known = torch.ones_like(track)
    if case["kind"] == "masked":  # an attribution of N is 0, and so is its gradient
        known.scatter_(1, torch.tensor(case["masked"]), 0)
    values = prior.penalty(*of_track(track * known))
    (gradient,) = torch.autograd.grad(values.mean(), track)
    assert prior.band(case["length"]) == (case["band_first_bin"], case["band_last_bin"])
    assert values.tolist() == pytest.approx(case["loss_per_row"], abs=1e-9)
    assert values.mean().item() == pytest.approx(case["loss"], abs=1e-9)
    expected = torch.tensor(case["grad"], dtype=torch.float64)
    # nine digits are stored; where the band is everything, no more is left of the loss than the
    # 1e-8 that the published code adds to the sum
    assert (gradient - expected).abs().max() < 1e-10


@pytest.mark.parametrize("boundary", ["periodic", "reflect", "zero", "taper"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_band_from_the_first_bin_is_low_pass_bit_for_bit(boundary, dtype):
    track = torch.randn(3, 60, generator=torch.Generator().manual_seed(0)).to(dtype)
    low = load_prior(f"fourier:boundary={boundary}")
    # periods longer than the window leave no bin of 1 / L below the band
    band = load_prior(f"fourier:boundary={boundary}:longest_motif=61")
    same = torch.equal(band.penalty(*of_track(track)), low.penalty(*of_track(track)))
    assert same == (boundary in ("periodic", "taper"))  # others have half a bin of 1 / L
    ten = load_prior(f"fourier:boundary={boundary}:frequency_limit={10 / 60}")
    six = load_prior(f"fourier:boundary={boundary}:shortest_motif=6")
    assert torch.equal(six.penalty(*of_track(track)), ten.penalty(*of_track(track)))


def test_dropping_the_zero_frequency_takes_away_what_the_mean_costs():
    position = torch.arange(120, dtype=torch.float64)
    track = (1 + torch.cos(2 * math.pi * 12 * position / 120))[None]  # a period of 10 bp
    band = "fourier:shortest_motif=6:longest_motif=20:softness=5:smooth_sigma=0"
    kept = load_prior(band).penalty(*of_track(track))
    dropped = load_prior(f"{band}:zero_frequency=dropped").penalty(*of_track(track))
    assert kept.item() == pytest.approx(2 / 3)  # the mean has twice the cosine's magnitude
    assert dropped.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("period", "outside"), [(40, True), (24, True), (12, False), (4, True)])
def test_a_band_pass_takes_only_periods_of_motifs(period, outside):
    position = torch.arange(240, dtype=torch.float64)
    track = torch.cos(2 * math.pi * position / period)[None]
    hard = "softness=0:smooth_sigma=0:sign=signed:zero_frequency=dropped"
    prior = load_prior(f"fourier:shortest_motif=6:longest_motif=20:{hard}")
    assert prior.penalty(*of_track(track)).item() == pytest.approx(float(outside), abs=1e-9)


def test_weights_fall_on_both_sides_of_the_band():
    weights = load_prior(BAND_PASS).frequency_weights(350, 350)
    assert (weights == 1).nonzero()[:, 0].tolist() == list(range(18, 59))
    assert weights[[17, 16, 59, 60]].tolist() == pytest.approx([1 / 2, 1 / 33, 1 / 2, 1 / 33])
    reflected = load_prior(f"{BAND_PASS}:boundary=reflect").frequency_weights(350, 700)
    assert torch.equal(reflected[::2], weights)


@pytest.mark.parametrize("level", [0.0, 0.25, 0.1, 1e-30, 3.0])
@pytest.mark.parametrize("boundary", ["periodic", "reflect"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_window_of_one_value_has_penalty_one_and_no_gradient(level, boundary, dtype):
    prior = load_prior(f"{BAND_PASS}:boundary={boundary}")
    track = torch.full((2, 101), level, dtype=dtype).requires_grad_()
    values = prior.penalty(*of_track(track))
    (gradient,) = torch.autograd.grad(values.sum(), track)
    assert values.tolist() == [1, 1]
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_a_faint_window_is_judged_by_its_shape_alone():
    shape = torch.rand(1, 101, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prior = load_prior(BAND_PASS)
    values = [prior.penalty(*of_track(0.5 + size * shape)).item() for size in (1e-6, 1.0)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("shortest_motif=1", "shortest_motif 1 is below 2 bp"),
        ("shortest_motif=-3", "shortest_motif -3 is below 2 bp"),
        ("longest_motif=6", "longest_motif 6 leaves no band: .* periods from 6.67 bp through"),
        ("shortest_motif=20:longest_motif=20", "longest_motif 20 leaves no band"),
        ("longest_motif=-1", "longest_motif -1 leaves no band"),
        ("frequency_limit=0:longest_motif=20", "lets no period through"),
    ],
)
def test_bands_that_are_none_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        load_prior(f"fourier:{options}")


def test_a_window_without_a_frequency_in_the_band_is_refused():
    prior = load_prior("fourier:shortest_motif=18:longest_motif=20")
    with pytest.raises(UserError, match="a window of 51 bp has no frequency above that of long"):
        prior.penalty(*of_track(torch.rand(1, 51)))
    assert prior.band(350) == (18, 19)


def as_attribution(gradients, axes):
    gradient = gradients.transpose(1, 2) if axes == "BL4" else gradients
    return Attribution(gradient, gradient.sum(dim=1)), Batch(gradient, torch.ones(len(gradient)))


@pytest.mark.parametrize("case", ANGLES, ids=lambda c: c["kind"])
def test_off_simplex_agrees_with_the_published_loss_and_gradient(case):
    gradients = torch.tensor(case["gradients"], dtype=torch.float64, requires_grad=True)
    prior = load_prior("off-simplex:form=published")
    attribution, examples = as_attribution(gradients, case["axes"])
    values = prior.penalty(attribution, examples)
    assert values.tolist() == pytest.approx(case["per_example"], rel=1e-9)
    loss = prior.mean_penalty(attribution, examples)
    assert loss.item() == pytest.approx(case["value"], rel=1e-9)
    assert loss.item() != pytest.approx(case["value_with_exact_pi"], rel=1e-7)
    (slope,) = torch.autograd.grad(loss, gradients)
    expected = torch.tensor(case["grad"], dtype=torch.float64)
    assert (slope - expected).abs().max() < 1e-9 * expected.abs().max()


def test_published_off_simplex_has_finite_gradients_where_it_has_no_derivative():
    gradient = torch.zeros(3, 4, 5, dtype=torch.float64)
    gradient[0, :, :2] = -7.0  # equal, and zero elsewhere
    gradient[2, 0], gradient[2, 1] = 1.0, -1.0  # within the plane
    gradient.requires_grad_()
    batch = Batch(torch.zeros(3, 4, 5), torch.ones(3))
    values = load_prior("off-simplex:form=published").penalty(
        Attribution(gradient, gradient[:, 0]), batch
    )
    assert values.tolist() == pytest.approx([90 * math.sqrt(2), 0, 0], rel=1e-5)
    (slope,) = torch.autograd.grad(values.sum(), gradient)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_published_off_simplex_is_the_norm_of_the_angles_of_the_mean_form():
    gradient = torch.randn(6, 4, 1, generator=torch.Generator().manual_seed(0)).double()
    attribution, examples = as_attribution(gradient, "B4L")
    mean = load_prior("off-simplex").penalty(attribution, examples)
    published = load_prior("off-simplex:form=published").penalty(attribution, examples)
    assert published.numpy() == pytest.approx(np.degrees(mean.numpy()), rel=1e-5)


def test_published_off_simplex_is_trained_through_the_statistics_of_batch_norm():
    # as in the published loop: the gradient of the summed probabilities, in training mode
    prior, task = load_prior(PUBLISHED), registry.build("task", "binary:attributed=probability")
    batch = Batch(random_sequences(4, 80), torch.tensor([1.0, 0.0, 1.0, 0.0]).double())

    def start():
        return build_network("three-conv", NetworkShape(80)).double().train()

    plain, points = start(), batch.sequence.clone().requires_grad_()
    total = plain(points)[:, 0].sigmoid().sum()
    (gradient,) = torch.autograd.grad(total, points, create_graph=True)
    expected = prior.penalty(Attribution(gradient, gradient[:, 0]), batch).mean()
    slopes = torch.autograd.grad(expected, plain[0].weight)[0]
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    for spec, same in ((PUBLISHED, True), (f"{PUBLISHED}:train_attribution=gradient", False)):
        model, sees = start(), load_prior(spec).sees
        objective = Objective(model, task, regularisation(spec, 1.0, sees), streams)
        _, penalty = objective.losses(batch, elapsed=0.0)
        (own,) = torch.autograd.grad(penalty, model[0].weight)
        assert torch.allclose(penalty, expected, rtol=1e-9) == same
        assert torch.allclose(own, slopes, rtol=1e-6, atol=1e-9 * slopes.abs().max()) == same


@pytest.mark.parametrize(
    ("spec", "sees"),
    [
        ("off-simplex", ""),
        (PUBLISHED, "gradient:through_statistics=true"),
        (f"{PUBLISHED}:train_attribution=expected-gradients", "expected-gradients"),
        (f"{PUBLISHED}+dropout", "gradient:through_statistics=true"),
        (f"{PUBLISHED}:train_attribution=gradient+l1:train_attribution=gradient", "gradient"),
    ],
)
def test_published_off_simplex_sees_the_published_gradient_unless_told_otherwise(spec, sees):
    assert load_prior(spec).sees == sees


def test_published_off_simplex_penalises_all_examples():
    task = registry.build("task", "binary")
    examples = Batch(torch.zeros(3, 4, 10), torch.tensor([1.0, 0.0, 1.0]))
    for spec, expected in (
        ("off-simplex", [True, False, True]),
        ("off-simplex:examples=all", [True] * 3),
        ("off-simplex:form=published", [True] * 3),
        ("off-simplex:form=published:examples=positives", [True] * 3),
    ):
        assert load_prior(spec).applies(examples, task).tolist() == expected
