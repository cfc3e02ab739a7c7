"""Effects of the window's ends on penalties: closed forms, invariances, boundaries."""

import dataclasses

import numpy as np
import pytest
from fixtures.priors import BAND_PASS

from priorbench import UserError, load_prior
from priorbench.components.registry import normal_spec
from priorbench.edges.penalty_effects import (
    BOUNDARIES,
    NEAR,
    SHORTEST,
    SMALLEST_SCALE,
    WIDTH,
    effects_of,
    gradient_effects,
    motif_shape,
    penalties,
    penalty_effects,
    pushes,
)
from priorbench.edges.summary import conclusions, summary_table

LENGTH = 96
PERIODIC, REFLECT, ZERO, TAPER, TV = BOUNDARIES


@pytest.fixture(scope="module")
def effects():
    return effects_of([(spec, load_prior(spec)) for spec in BOUNDARIES], LENGTH)


def test_a_circular_shift_changes_nothing_but_the_smoothing_at_the_ends():
    track = np.random.default_rng(0).exponential(size=(1, LENGTH))
    shifted = np.concatenate([np.roll(track, k, axis=1) for k in range(LENGTH)])
    unsmoothed = penalties(load_prior("fourier:smooth_sigma=0"), shifted)
    np.testing.assert_allclose(unsmoothed, unsmoothed[0], rtol=1e-10)
    for spec in ("fourier:smooth_sigma=0:boundary=reflect", "fourier:smooth_sigma=0:boundary=zero"):
        assert np.ptp(penalties(load_prior(spec), shifted)) > 0.01


def test_periodic_does_not_see_the_position_of_a_motif(effects):
    penalty, _ = effects[PERIODIC]
    inside = penalty.lone[3:-3]  # the smoothing reaches 3 bp
    np.testing.assert_allclose(inside, inside[0], rtol=1e-10)
    assert penalty.end_cost > 0.02  # smoothing with zeros cuts the motif off


def test_zero_sees_no_position_at_all(effects):
    np.testing.assert_allclose(effects[ZERO][0].lone, effects[ZERO][0].lone[0], rtol=1e-9)


def test_reflect_sees_a_motif_in_the_very_middle_and_no_other(effects):
    penalty, _ = effects[REFLECT]
    others = np.delete(penalty.lone, len(penalty.lone) // 2)
    assert np.ptp(others) < 0.1 * penalty.scale
    assert abs(penalty.lone[len(penalty.lone) // 2] - others.mean()) > 0.5 * np.ptp(others)


def test_wrap_around_gain(effects):
    """Exactly none for tv, none to speak of for zero and reflect, clear for periodic."""
    np.testing.assert_allclose(effects[TV][0].gain_across, 0, atol=1e-12)
    assert effects[PERIODIC][0].gain_across[0] > 0.02
    assert effects[PERIODIC][0].wrap_gain > 0.015
    assert abs(effects[ZERO][0].wrap_gain) < 0.005
    assert effects[REFLECT][0].wrap_gain < effects[PERIODIC][0].wrap_gain / 2


def test_across_is_inside_for_a_periodic_penalty(effects):
    for spec, same in ((PERIODIC, True), (ZERO, False)):
        penalty, _ = effects[spec]
        far = penalty.gap >= 2 * NEAR  # where the smoothing does not reach the ends
        gap = np.abs(penalty.inside - penalty.across)[far].max()
        assert (gap < 1e-10) == same


def test_a_pair_of_flat_motifs_that_touch_saves_tv_its_inner_flanks():
    # inside: 2 flanks of height .131 less of 4, over the mass of two; across: nothing is shared
    penalty = penalty_effects(load_prior(TV), LENGTH)
    flank, mass = motif_shape()[0], motif_shape().sum()
    assert penalty.gain_inside[0] == pytest.approx(2 * flank / (2 * mass))
    assert penalty.gain_inside[1:] == pytest.approx(0, abs=1e-12)


def test_reflect_makes_a_ramp_continuous(effects):
    jumps = {spec: abs(effects[spec][0].jump_cost) for spec in BOUNDARIES}
    assert jumps[REFLECT] < 0.01
    assert jumps[PERIODIC] > 0.2
    assert jumps[ZERO] > 0.2
    for penalty, _ in effects.values():  # without a slope, ramp and tent are one
        assert penalty.ramp[0] == pytest.approx(penalty.tent[0])
    # the tent rises and falls through the same values: twice the variation of the ramp
    tv, _ = effects[TV]
    assert tv.ramp[-1] == pytest.approx(2 / LENGTH)
    assert tv.tent[-1] == pytest.approx(2 * tv.ramp[-1], rel=0.05)


def test_pushes_are_the_derivative():
    prior = load_prior("fourier")
    track = np.random.default_rng(1).uniform(0.5, 1, (1, 50)) * np.where(np.arange(50) % 3, 1, -1)
    push = pushes(prior, track)[0]
    step = 1e-6
    for i in (0, 7, 49):
        moved = track.copy()
        moved[0, i] += np.sign(track[0, i]) * step
        change = (penalties(prior, moved) - penalties(prior, track))[0] / step
        assert push[i] == pytest.approx(-change * np.abs(track).sum(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("spec", BOUNDARIES)
def test_pushes_of_a_scale_free_penalty_balance(spec):
    """Euler's theorem for functions of degree 0."""
    track = np.random.default_rng(2).exponential(size=(3, 60)) + 0.01
    balance = (pushes(load_prior(spec), track) * track).sum(axis=1)
    np.testing.assert_allclose(balance / track.sum(axis=1), 0, atol=1e-9)


def test_only_periodic_invites_attribution_to_the_end_across(effects):
    far = {spec: gradient.far_push for spec, (_, gradient) in effects.items()}
    assert far[PERIODIC] > 0.05
    assert max(abs(far[spec]) for spec in (REFLECT, ZERO, TV)) < far[PERIODIC] / 3


def test_taper_leaves_the_ends_alone(effects):
    assert effects[TAPER][1].end_size < 0.5
    assert effects[PERIODIC][1].end_size == pytest.approx(1, abs=0.2)


def test_ends_are_treated_alike():
    for spec in BOUNDARIES:
        lone = penalty_effects(load_prior(spec), 80).lone
        np.testing.assert_allclose(lone, lone[::-1], rtol=1e-9)


def test_long_windows_are_sampled_and_keep_their_ends():
    penalty = penalty_effects(load_prior(TV), 3000)
    assert len(penalty.start) < 400
    assert penalty.start[: 2 * WIDTH].tolist() == list(range(2 * WIDTH))
    assert penalty.start[-1] == 3000 - WIDTH
    assert len(gradient_effects(load_prior(TV), 61).ramp_push) == 61


def test_shares_keep_their_sign_where_a_band_pass_prefers_noise_to_a_motif():
    smoothed = BAND_PASS.replace("smooth_sigma=0", "smooth_sigma=3")
    penalty = penalty_effects(load_prior(smoothed), LENGTH)
    assert penalty.noise < penalty.centre
    assert penalty.lone[0] > penalty.centre  # smoothing with zeros cuts the motif off
    assert penalty.end_cost == pytest.approx(
        (penalty.lone[[0, -1]].mean() - penalty.centre) / (penalty.centre - penalty.noise)
    )
    table = summary_table({smoothed: (penalty, gradient_effects(load_prior(smoothed), LENGTH))})
    assert table["noise_less_motif"].item() == pytest.approx(penalty.noise - penalty.centre)


def test_a_band_pass_is_examined_like_the_other_forms():
    specs = [BAND_PASS, *(f"{BAND_PASS}:boundary={name}" for name in ("reflect", "zero"))]
    specs = [normal_spec("prior", spec) for spec in specs]
    effects = effects_of([(spec, load_prior(spec)) for spec in specs], LENGTH)
    (conclusion,) = conclusions(effects, [])
    assert conclusion.default == specs[0]
    assert set(conclusion.boundaries) == set(specs)
    periodic, _, zero = (effects[spec][0] for spec in specs)
    assert periodic.wrap_gain > 0.1  # the ends meet
    assert abs(zero.wrap_gain) < periodic.wrap_gain / 10
    np.testing.assert_allclose(periodic.lone, periodic.lone[0], rtol=1e-9)  # nothing is smoothed
    # a window of one value has no shape
    for effect in (periodic, effects[specs[1]][0]):
        assert effect.ramp[0] == effect.tent[0] == 1


def test_effects_have_no_scale_where_noise_and_motif_cost_the_same():
    spec = normal_spec("prior", BAND_PASS.replace("smooth_sigma=0", "smooth_sigma=1"))
    penalty = penalty_effects(load_prior(spec), SHORTEST)
    assert abs(penalty.noise - penalty.centre) < SMALLEST_SCALE * penalty.centre
    shares = [penalty.end_cost, penalty.wrap_gain, penalty.jump_cost, penalty.largest]
    assert np.isnan([penalty.scale, *shares]).all()
    # nothing at all is no scale either
    nothing = dataclasses.replace(penalty, noise=0.0, lone=np.zeros_like(penalty.lone))
    assert np.isnan(nothing.end_cost)


@pytest.mark.parametrize("length", [SHORTEST, 120, 1000])
def test_priors_other_than_band_passes_have_a_scale(length):
    for spec in (*BOUNDARIES, "gini", "l1", "l2"):
        penalty = penalty_effects(load_prior(spec), length)
        costs = abs(penalty.noise), abs(penalty.centre)
        assert penalty.scale > 4 * SMALLEST_SCALE * max(costs)


def test_no_boundary_is_advised_by_effects_without_a_scale():
    smoothed = BAND_PASS.replace("smooth_sigma=0", "smooth_sigma=1")
    specs = [smoothed, *(f"{smoothed}:boundary={name}" for name in ("reflect", "zero"))]
    specs = [normal_spec("prior", spec) for spec in specs]
    effects = effects_of([(spec, load_prior(spec)) for spec in specs], SHORTEST)
    (conclusion,) = conclusions(effects, [])
    assert (conclusion.advised, conclusion.gentlest) == ("", specs[0])
    assert not conclusion.notable
    assert list(conclusion.unscaled) == specs


def test_boundaries_whose_effects_have_no_scale_are_not_advised(effects):
    (conclusion,) = conclusions(effects, [])
    gentlest = effects[conclusion.gentlest]
    flat = dataclasses.replace(gentlest[0], noise=gentlest[0].centre)
    without = {**effects, conclusion.gentlest: (flat, gentlest[1])}
    (other,) = conclusions(without, [])
    assert list(other.unscaled) == [conclusion.gentlest]
    assert other.gentlest == other.advised not in ("", conclusion.gentlest)


def test_bad_input():
    with pytest.raises(UserError, match=f"length 20: .* give {SHORTEST} bp"):
        penalty_effects(load_prior(TV), 20)
    with pytest.raises(UserError, match="prior 'dropout': has no penalty"):
        effects_of([("dropout", load_prior("dropout"))], LENGTH)
