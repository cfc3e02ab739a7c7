"""Every prior against published values, closed forms and its contract."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from priorbench import Attribution, Batch, UserError, load_prior
from priorbench.authoring.check_tools import arrays_for
from priorbench.components import registry

REFERENCE = json.loads((Path(__file__).parent / "fourier_reference.json").read_text())
PRIORS = sorted(registry.components("prior"))
ATTRIBUTION_PRIORS = [n for n in PRIORS if load_prior(n).overrides("penalty")]


def batch(count: int, length: int) -> Batch:
    return Batch(torch.zeros(count, 4, length), torch.ones(count))


def attribution(observed: torch.Tensor) -> Attribution:
    gradient = torch.zeros(len(observed), 4, observed.shape[1], dtype=observed.dtype)
    return Attribution(gradient + observed[:, None] / 4, observed)


def penalty(spec: str, observed: torch.Tensor) -> torch.Tensor:
    prior, given, examples = load_prior(spec), attribution(observed), batch(*observed.shape)
    arrays = arrays_for(prior, examples.sequence, given.gradient)
    return prior.penalty(given, Batch(examples.sequence, examples.label, arrays))


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
    values = penalty("fourier:softness=0:smooth_sigma=0", track[None])
    assert values.item() == pytest.approx(expected, abs=1e-9)  # limit is bin 30


def test_fourier_cut_means_the_same_at_every_length():
    fourier = load_prior("fourier:softness=0")
    assert fourier.frequency_weights(1000, 1000).sum() == 150
    assert fourier.frequency_weights(200, 200).sum() == 30


def test_fourier_ignores_circular_shift():
    generator = torch.Generator().manual_seed(0)
    track = torch.rand(3, 128, generator=generator, dtype=torch.float64)
    spec = "fourier:smooth_sigma=0"
    assert torch.allclose(penalty(spec, track), penalty(spec, track.roll(17, dims=1)))


@pytest.mark.parametrize("length", [64, 101])
@pytest.mark.parametrize("sign", ["absolute", "signed", "positive"])
def test_fourier_options_are_those_of_the_periodic_formula(length, sign):
    # the published loss from its description, step by step, in NumPy
    observed = torch.randn(3, length, generator=torch.Generator().manual_seed(2)).double()
    spec = f"fourier:sign={sign}:smooth_sigma=2:frequency_limit=0.2:softness=0.5"
    track = {"absolute": np.abs, "signed": np.asarray, "positive": lambda a: np.maximum(a, 0)}[sign]
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / 2) ** 2)
    smoothed = [np.convolve(row, kernel / kernel.sum(), "same") for row in track(observed.numpy())]
    magnitude = np.abs(np.fft.rfft(smoothed))
    share = magnitude / magnitude.sum(axis=1, keepdims=True)
    bins = np.arange(share.shape[1])
    limit = round(0.2 * length)
    weights = np.where(bins <= limit, 1, 1 / (1 + np.abs(bins - limit) ** 0.5)) * (bins > 0)
    values = penalty(spec, observed)
    assert values.numpy() == pytest.approx(1 - share @ weights, abs=1e-12)


def test_reflect_is_the_dct():
    from scipy.fft import dct

    track = torch.rand(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fourier = load_prior("fourier:boundary=reflect:smooth_sigma=0:softness=0")
    magnitude = np.abs(dct(track.numpy(), type=2, axis=1))
    share = magnitude / magnitude.sum(axis=1, keepdims=True)
    low = np.arange(50) / 100 <= round(0.15 * 50) / 50  # bins of half a cycle per window
    low[0] = False
    values = fourier.penalty(attribution(track), batch(3, 50))
    assert values.numpy() == pytest.approx(1 - share[:, low].sum(axis=1), abs=1e-12)


@pytest.mark.parametrize(("boundary", "invariant"), [("periodic", True), ("reflect", False)])
def test_only_periodic_ignores_circular_shift(boundary, invariant):
    track = torch.zeros(1, 128, dtype=torch.float64)
    track[0, 60:68] = torch.tensor([1, 3, 2, 5, 1, 4, 2, 1])
    spec = f"fourier:smooth_sigma=0:boundary={boundary}"
    # so far that the motif lies across the ends
    shifted = penalty(spec, track.roll(64, dims=1))
    assert torch.allclose(penalty(spec, track), shifted, rtol=1e-3) == invariant


def test_reflect_sees_no_jump_between_the_ends_of_a_ramp():
    ramp = torch.linspace(0, 1, 200, dtype=torch.float64)[None]
    high = {}
    for boundary in ("periodic", "reflect"):
        fourier = load_prior(f"fourier:smooth_sigma=0:softness=0:boundary={boundary}")
        extended = fourier.extended(ramp)
        share = torch.fft.rfft(extended).abs()[0]
        past_the_cut = fourier.frequency_weights(200, extended.shape[1]) == 0
        past_the_cut[0] = False  # the mean of the ramp is no high frequency
        high[boundary] = (share[past_the_cut].sum() / share.sum()).item()
    assert high["periodic"] > 0.1
    assert high["reflect"] < 0.01


def test_reflect_keeps_a_constant_constant_under_smoothing():
    fourier = load_prior("fourier:boundary=reflect")
    assert torch.allclose(fourier.extended(torch.ones(1, 40)), torch.ones(1, 80))


def test_zero_boundary_pads_to_twice_the_length():
    fourier = load_prior("fourier:boundary=zero:smooth_sigma=1")
    track = torch.zeros(1, 10, dtype=torch.float64)
    track[0, -1] = 1
    extended = fourier.extended(track)
    kernel = np.exp([0, -0.5]) / np.exp([-0.5, 0, -0.5]).sum()
    assert extended[0, 8:12].tolist() == pytest.approx([kernel[1], kernel[0], kernel[1], 0])
    assert extended.shape == (1, 20)


def test_taper_is_a_tukey_window():
    from scipy.signal.windows import tukey

    for length in (7, 100):
        fourier = load_prior("fourier:boundary=taper:taper_share=0.4:smooth_sigma=0")
        window = fourier.extended(torch.ones(1, length, dtype=torch.float64))[0]
        assert window.numpy() == pytest.approx(tukey(length, 0.4), abs=1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "reflect", "zero", "taper"])
@pytest.mark.parametrize(("cycles", "low"), [(0.05, True), (0.4, False)])
def test_every_boundary_tells_low_from_high_frequencies(boundary, cycles, low):
    position = torch.arange(400, dtype=torch.float64)
    track = 1 + torch.cos(2 * math.pi * cycles * position)
    options = "smooth_sigma=0:softness=0:sign=signed"
    value = penalty(f"fourier:boundary={boundary}:{options}", track[None] - 1)
    assert (value < 0.35) if low else (value > 0.65)


def test_soft_cut_declines_by_bins_of_the_window_whatever_the_boundary():
    periodic = load_prior("fourier").frequency_weights(100, 100)
    reflect = load_prior("fourier:boundary=reflect").frequency_weights(100, 200)
    assert torch.equal(reflect[::2], periodic)
    assert reflect[31] == pytest.approx(1 / (1 + 0.5**0.2))


def test_tv_of_a_box_and_of_a_spike():
    track = torch.zeros(2, 50)
    track[0, 10:20] = 3.0
    track[1, 10] = 3.0
    assert penalty("tv", track).tolist() == pytest.approx([6 / 30, 2.0])
    assert penalty("tv:form=published", track).tolist() == pytest.approx([6.0, 6.0])


@pytest.mark.parametrize("case", REFERENCE, ids=lambda c: f"{c['kind']}-{c['length']}")
def test_gini_agrees_with_published_sparsity_loss(case):
    observed = torch.tensor(case["attributions"], dtype=torch.float64)
    assert penalty("gini", observed).mean().item() == pytest.approx(case["sparsity_loss"], rel=1e-9)


def test_gini_of_a_box_and_of_a_spike():
    track = torch.zeros(3, 50, dtype=torch.float64)
    track[0, 10:20] = -3.0
    track[1, 10] = 3.0
    track[2] = 1.0
    # a share s of equal positions has the coefficient 1 - s
    assert penalty("gini", track).tolist() == pytest.approx([-2 * 0.8, -2 * 0.98, 0], abs=1e-12)


def test_gini_is_the_sum_over_pairs():
    track = torch.randn(2, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for spec, values in (("gini", track.abs()), ("gini:sign=signed", track)):
        pairs = (values[:, :, None] - values[:, None]).abs().sum(dim=(1, 2))
        expected = -pairs / (30 * values.abs().sum(dim=1))
        assert torch.allclose(penalty(spec, track), expected)


def test_global_gini_is_that_of_the_mean_over_the_batch():
    track = torch.eye(4, dtype=torch.float64)  # each concentrated, their mean is flat
    assert penalty("gini", track).tolist() == pytest.approx([-2 * 0.75] * 4)
    assert penalty("gini:form=global", track).tolist() == pytest.approx([0.0] * 4)


def test_off_simplex_of_known_gradients():
    gradient = torch.zeros(4, 4, 3, dtype=torch.float64)
    gradient[0] = 2.0  # equal entries point straight off the simplex
    gradient[1, 0], gradient[1, 1] = 1.0, -1.0  # within it
    gradient[2, 0] = 5.0  # one base: half its length is across
    values = load_prior("off-simplex").penalty(Attribution(gradient, gradient[:, 0]), batch(4, 3))
    assert values.tolist() == pytest.approx([math.pi / 2, 0, math.asin(0.5), 0])


def test_gradient_l2_is_the_mean_over_positions_of_the_squared_norm():
    gradient = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 3.0]]])
    values = load_prior("gradient-l2").penalty(Attribution(gradient, gradient[:, 0]), batch(1, 2))
    assert values.item() == pytest.approx((1 + 4 + 9) / 2)


def test_l1_and_l2_are_means_over_positions():
    track = torch.tensor([[1.0, -2.0, 0.0, 3.0]])
    assert penalty("l1", track).item() == pytest.approx(6 / 4)
    assert penalty("l2", track).item() == pytest.approx(14 / 4)


@pytest.mark.parametrize("name", ATTRIBUTION_PRIORS)
def test_scale_free_is_what_the_prior_says(name):
    prior = load_prior(name)
    track = torch.rand(4, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    same = torch.allclose(penalty(name, track), penalty(name, 10 * track))
    assert same == prior.scale_free


@pytest.mark.parametrize("name", PRIORS)
def test_weights_that_are_no_numbers_are_refused(name):
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(UserError, match=r"weight (-1|nan|inf) is"):
            load_prior(name).check_weight(weight)


def test_options_outside_their_range_are_refused():
    for spec, message in [
        ("fourier:frequency_limit=15", "cycles per base"),
        ("fourier:softness=-1", "negative"),
        ("tv:smooth_sigma=-2", "not between 1 and 1000 bp"),
        ("tv:smooth_sigma=0.5", "not between 1 and 1000 bp"),
        ("fourier:taper_share=0", "at most 1"),
        ("l1:every=0", "whole number of steps"),
        ("l1:schedule=warm-up:schedule_speed=-1", "negative"),
        ("l1:schedule_speed=1", "no effect without schedule"),
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
    assert list(adapted.state_dict()) == list(model.state_dict())
    value = torch.ones(1, 6)
    linear = adapted[2]
    expected = torch.nn.functional.linear(value, linear.weight, linear.bias)
    assert torch.equal(linear.eval()(value), expected)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = [linear.train()(value) for _ in range(50)]
        torch.manual_seed(0)
        masks = [torch.nn.functional.dropout(value, 0.3) for _ in range(50)]
    for mask, output in zip(masks, dropped, strict=True):
        assert torch.allclose(torch.nn.functional.linear(mask, linear.weight, linear.bias), output)
    with pytest.raises(UserError, match="no dense layer"):
        load_prior("dropout").adapt(torch.nn.Conv1d(4, 2, 3), 0.3)
    assert all(torch.equal(a, b) for a, b in zip(before, adapted.parameters(), strict=True))
    with pytest.raises(UserError, match="probability"):
        load_prior("dropout").check_weight(1.0)


def test_positives_or_all():
    task = registry.build("task", "binary")
    examples = Batch(torch.zeros(3, 4, 10), torch.tensor([1.0, 0.0, 1.0]))
    assert load_prior("fourier").applies(examples, task).tolist() == [True, False, True]
    assert load_prior("fourier:examples=all").applies(examples, task).all()


def test_input_noise_has_the_weight_as_standard_deviation():
    sequence = torch.zeros(50, 4, 200)
    noisy = load_prior("input-noise").augment(sequence, 0.3, torch.Generator().manual_seed(0))
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert abs(noisy.mean().item()) < 0.01


def test_exponential_follows_the_first_convolution_only():
    model = torch.nn.Sequential(
        torch.nn.Tanh(),
        torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.BatchNorm1d(2), torch.nn.ReLU()),
        torch.nn.Conv1d(2, 2, 3),
        torch.nn.ReLU(),
    )
    adapted = load_prior("exponential").adapt(model, 1.0)
    names = [type(m).__name__ for m in adapted.modules()]
    assert names.count("Exp") == 1
    assert type(adapted[1][2]).__name__ == "Exp"
    value = torch.randn(2, 3)
    assert torch.equal(adapted[1][2](value), value.exp())
    with pytest.raises(UserError, match="no activation module after the first Conv1d"):
        load_prior("exponential").adapt(torch.nn.Sequential(torch.nn.Linear(3, 1)), 1.0)
    with pytest.raises(UserError, match="neither 1"):
        load_prior("exponential").check_weight(0.5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1]),
        ("warm-up", [0, 0.25, 1]),
        ("warm-up:schedule_speed=0.2", [0, 0.1, 0.6]),
        ("inflate", [0, 0, 2 / (1 + math.exp(-3)) - 1]),
        ("deflate", [1, 1, math.exp(-0.9)]),
        ("deflate:schedule_speed=2", [1, 1, math.exp(-6)]),
    ],
)
def test_schedules(schedule, expected):
    for name in ("fourier", "gradient-l2", "weight-l2"):
        prior = load_prior(f"{name}:schedule={schedule}")
        strengths = [prior.strength(elapsed, 0) for elapsed in (0.0, 0.5, 3.0)]
        assert strengths == pytest.approx(expected)


def test_lazy_regularisation_acts_at_each_kth_step_k_times_as_strongly():
    prior = load_prior("tv:every=3")
    assert [prior.strength(0.0, step) for step in range(7)] == [3, 0, 0, 3, 0, 0, 3]


def test_default_weights_of_other_forms():
    assert load_prior("tv").default_weight("binary") == 0.1
    assert load_prior("tv:form=published").default_weight("binary") == 0.01
    assert load_prior("gini:form=global").default_weight("binary") == 0.03


@pytest.mark.parametrize("size", [1e-44, 1e-38, 1e-30, 1e-19, 1.0, 1e19, 1e36])
@pytest.mark.parametrize("spec", ["fourier", "fourier:boundary=zero", "tv", "gini", "off-simplex"])
def test_scale_free_penalties_are_exact_for_attributions_of_any_size(spec, size):
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, 4, 40, generator=generator)
    gradient[0, :, 7] *= 1e-20 if spec == "off-simplex" else 1
    values, slopes = [], []
    for factor in (1.0, size):
        leaf = (factor * gradient).requires_grad_()
        value = load_prior(spec).penalty(Attribution(leaf, leaf[:, 0]), batch(2, 40))
        values.append(value.detach())
        slopes.append(torch.autograd.grad(value.sum(), leaf)[0])
    assert all(torch.isfinite(value).all() for value in [*values, *slopes])
    # what is below the smallest normal number counts as zero
    if size >= (1.0 if spec == "off-simplex" else 1e-30):
        assert torch.allclose(*values, rtol=1e-4)


@pytest.mark.parametrize("sign", ["absolute", "signed", "positive"])
@pytest.mark.parametrize("name", ["fourier", "tv", "gini", "l1", "l2"])
def test_a_zero_attribution_has_no_gradient(name, sign):
    track = torch.zeros(2, 30, requires_grad=True)
    (slope,) = torch.autograd.grad(penalty(f"{name}:sign={sign}", track).sum(), track)
    assert torch.equal(slope, torch.zeros(2, 30))


@pytest.mark.parametrize("boundary", ["periodic", "reflect", "zero", "taper"])
def test_smoothing_may_be_wider_than_the_sequence(boundary):
    value = penalty(f"fourier:boundary={boundary}:smooth_sigma=30", torch.rand(2, 7))
    assert torch.isfinite(value).all()


def test_one_activation_for_all_layers_cannot_be_made_exponential():
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu = torch.nn.Conv1d(4, 2, 3), torch.nn.ReLU()
            self.second = torch.nn.Conv1d(2, 2, 3)

        def forward(self, x):
            return self.relu(self.second(self.relu(self.first(x))))

    with pytest.raises(UserError, match="one of its own"):
        load_prior("exponential").adapt(Shared(), 1.0)(torch.zeros(1, 4, 9))
    unlisted = torch.nn.Sequential(
        torch.nn.Conv1d(4, 2, 3), torch.nn.Mish(), torch.nn.Conv1d(2, 2, 3), torch.nn.ReLU()
    )
    with pytest.raises(UserError, match="no activation module after the first Conv1d"):
        load_prior("exponential").adapt(unlisted, 1.0)


def test_weight_norms_of_a_model_without_matrices_are_refused():
    for name in ("weight-l1", "weight-l2"):
        with pytest.raises(UserError, match="no weights of more than one dimension"):
            load_prior(name).parameter_penalty(torch.nn.BatchNorm1d(3))
