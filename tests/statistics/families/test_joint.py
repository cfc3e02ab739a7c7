"""Joint sign flips against a loop over all flips, single tests, and closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.statistics.confidence import NO_INTERVAL
from priorbench.statistics.families.joint import (
    JOINTLY_EXACT_UP_TO,
    joint_flips,
    simultaneous_intervals,
    step_down_p,
)
from priorbench.statistics.signflip import (
    RANDOM_FLIPS,
    sign_flip_bounds,
    sign_flip_greater_p,
    sign_flip_p,
)

NAN = float("nan")
DRAWN = st.integers(0, 2**32 - 1)
VALUES = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=8)


def family(seed, tests, n, *, holes=0.0):
    """Return differences that depend on each other, some with an effect, some pairs missing."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal(n)
    own = generator.standard_normal((tests, n))
    differences = generator.uniform(-1, 1.5, (tests, 1)) + shared * generator.normal() + own
    differences[generator.random((tests, n)) < holes] = NAN
    return differences


def by_loop(differences, *, two_sided):
    """The definition, test by test and flip by flip, for rows without missing pairs."""

    def statistic(row):
        size = np.sqrt((row**2).sum())
        value = row.sum() / size if size else 0.0
        return abs(value) if two_sided else value

    observed = [statistic(row) for row in differences]
    order = sorted(range(len(differences)), key=lambda test: -observed[test])
    adjusted, before = [0.0] * len(order), 0.0
    for place, test in enumerate(order):
        flips = list(itertools.product((1, -1), repeat=differences.shape[1]))
        extreme = 0
        for flip in flips:
            largest = max(statistic(differences[other] * flip) for other in order[place:])
            extreme += largest >= observed[test] - 1e-9
        before = adjusted[test] = max(before, extreme / len(flips))
    return adjusted


class TestStepDown:
    @given(VALUES)
    def test_of_one_test_is_its_exact_p(self, values):
        row = np.array(values)
        assert step_down_p(row[None])[0] == pytest.approx(sign_flip_p(row), rel=1e-12)
        one_sided = step_down_p(row[None], two_sided=False)[0]
        assert one_sided == pytest.approx(sign_flip_greater_p(row), rel=1e-12)

    @pytest.mark.parametrize("two_sided", [True, False])
    @pytest.mark.parametrize(("tests", "n"), [(1, 4), (3, 5), (5, 6)])
    def test_is_the_definition(self, tests, n, two_sided):
        for seed in range(5):
            differences = family(seed, tests, n)
            expected = by_loop(differences, two_sided=two_sided)
            assert step_down_p(differences, two_sided=two_sided) == pytest.approx(expected)

    @pytest.mark.parametrize("tests", [1, 7, 200])
    @pytest.mark.parametrize("n", [5, 8, JOINTLY_EXACT_UP_TO])
    def test_the_smallest_p_is_that_of_a_single_test(self, tests, n):
        generator = np.random.default_rng(0)
        noise = generator.standard_normal((tests - 1, n))
        clear = np.full((1, n), 0.3)  # as far from zero as n differences can be
        assert step_down_p(np.concatenate([clear, noise]))[0] == 2 / 2**n
        assert step_down_p(np.concatenate([clear, noise]), two_sided=False)[0] == 1 / 2**n

    @settings(deadline=None, max_examples=60)
    @given(
        DRAWN, st.integers(1, 4), st.integers(1, 4), st.integers(3, 9), st.sampled_from([0, 0.2])
    )
    def test_further_tests_make_none_smaller(self, seed, few, more, n, holes):
        differences = family(seed, few + more, n, holes=holes)
        alone = step_down_p(differences[:few])
        together = step_down_p(differences)[:few]
        assert (np.isnan(alone) == np.isnan(together)).all()
        assert (together >= alone)[np.isfinite(alone)].all()
        raw = [sign_flip_p(row[np.isfinite(row)]) for row in differences[:few]]
        assert (alone >= np.array(raw) - 1e-12)[np.isfinite(alone)].all()

    def test_a_test_that_lacks_pairs_is_that_of_the_others(self):
        row = np.array([0.4, NAN, 0.3, 0.5, NAN, 0.1])
        known = row[np.isfinite(row)]
        assert step_down_p(row[None])[0] == sign_flip_p(known) == 2 / 2**4
        # of one pair, or none, nothing is tested, and the others do not know of it
        differences = np.stack([row, [1, *[NAN] * 5], [NAN] * 6])
        adjusted = step_down_p(differences)
        assert adjusted[0] == 2 / 2**4
        assert np.isnan(adjusted[1:]).all()
        assert np.isnan(step_down_p(differences[1:])).all()
        assert step_down_p(np.empty((0, 5))).shape == (0,)

    def test_few_pairs_are_not_drowned_by_many(self):
        # Student's t of three pairs has no bound, and would hide the test of ten
        few, many = np.full(10, NAN), np.linspace(0.9, 1.1, 10)
        few[:3] = [1, 1.1, 0.9]
        assert step_down_p(np.stack([few, many]))[1] == 2 / 2**10

    @settings(deadline=None, max_examples=40)
    @given(DRAWN, st.integers(-6, 6))
    def test_units_do_not_matter(self, seed, exponent):
        differences = family(seed, 3, 7)
        scaled = differences * np.array([[10.0**exponent], [1.0], [1.0]])
        assert step_down_p(scaled) == pytest.approx(step_down_p(differences), rel=1e-12)

    def test_a_test_that_is_there_twice_costs_nothing(self):
        differences = family(3, 3, 8)
        doubled = step_down_p(np.concatenate([differences, differences, -2 * differences]))
        np.testing.assert_array_equal(doubled, np.tile(step_down_p(differences), 3))

    def test_no_difference_at_all_has_a_p_of_one(self):
        assert step_down_p(np.zeros((2, 6))).tolist() == [1, 1]

    @pytest.mark.parametrize("n", [JOINTLY_EXACT_UP_TO + 1, 24])
    def test_random_flips_count_the_observed_one(self, n):
        assert joint_flips(n).shape == (RANDOM_FLIPS, n)
        differences = family(5, 2, n)
        statistics = joint_flips(n) @ (differences / np.linalg.norm(differences, axis=1)[:, None]).T
        observed = np.abs((differences / np.linalg.norm(differences, axis=1)[:, None]).sum(axis=1))
        largest = np.abs(statistics).max(axis=1)
        first = int(observed.argmax())
        count = int((largest >= observed[first] - 1e-9).sum())
        assert step_down_p(differences)[first] == (count + 1) / (RANDOM_FLIPS + 1)
        assert step_down_p(np.full((1, 30), 1.0)).item() == 1 / (RANDOM_FLIPS + 1)

    def test_keeps_its_level_whichever_tests_are_of_nothing(self):
        generator = np.random.default_rng(11)
        false = 0
        for _ in range(1000):
            shared = generator.standard_t(3, size=8)
            differences = shared + generator.standard_t(3, size=(4, 8))
            differences[0] += 5  # one clear effect
            false += (step_down_p(differences)[1:] <= 0.05).any()
        assert false / 1000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


class TestIntervals:
    @settings(deadline=None, max_examples=40)
    @given(DRAWN, st.floats(-5, 5), st.floats(0.1, 10))
    def test_move_and_stretch_with_the_differences(self, seed, shift, scale):
        differences = family(seed, 3, 8)
        moved = differences.copy()
        moved[0] = scale * differences[0] + shift
        for before, after, row in zip(
            simultaneous_intervals(differences),
            simultaneous_intervals(moved),
            (0, 1, 2),
            strict=True,
        ):
            factor, place = (scale, shift) if row == 0 else (1.0, 0.0)
            expected = (factor * before.low + place, factor * before.high + place)
            assert (after.low, after.high) == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert after.low <= moved[row].mean() <= after.high

    def test_turn_with_the_sign(self):
        differences = family(2, 2, 9)
        for before, after in zip(
            simultaneous_intervals(differences), simultaneous_intervals(-differences), strict=True
        ):
            assert (after.low, after.high) == pytest.approx((-before.high, -before.low))

    def test_equal_differences_are_the_mean_itself(self):
        differences = np.stack([np.full(8, 0.25), family(0, 1, 8)[0], np.zeros(8)])
        point, wide, zero = simultaneous_intervals(differences)
        assert (point.low, point.high) == pytest.approx((0.25, 0.25))
        assert (zero.low, zero.high) == (0, 0)
        assert wide.low < wide.high
        (alone,) = simultaneous_intervals(differences[:1])
        assert (alone.low, alone.high) == pytest.approx((0.25, 0.25))

    @pytest.mark.parametrize("n", [8, 10, 13])
    def test_of_one_test_is_close_to_the_inverted_sign_flip_test(self, n):
        ratios = []
        for seed in range(40):
            row = np.random.default_rng([n, seed]).standard_normal(n)
            (interval,) = simultaneous_intervals(row[None])
            low, high = sign_flip_bounds(row, 0.05)
            ratios.append((interval.high - interval.low) / (high - low))
        assert np.median(ratios) == pytest.approx(1, abs=0.1)
        assert 0.5 < min(ratios) < max(ratios) < 2

    def test_more_tests_make_them_wider(self):
        differences = family(4, 6, 8)
        (alone,), together = (simultaneous_intervals(d)[:1] for d in (differences[:1], differences))
        assert together[0].low <= alone.low < alone.high <= together[0].high

    def test_a_stricter_level_makes_them_wider(self):
        differences = family(6, 2, 10)
        for strict, usual in zip(
            *(simultaneous_intervals(differences, level) for level in (0.01, 0.05)), strict=True
        ):
            assert strict.low < usual.low < usual.high < strict.high

    def test_none_below_six_pairs(self):
        differences = family(1, 3, 8)
        differences[1, 5:] = NAN
        with_few = simultaneous_intervals(differences)
        assert with_few[1] == NO_INTERVAL
        assert with_few[::2] == simultaneous_intervals(differences[::2])
        assert simultaneous_intervals(family(1, 2, 5)) == [NO_INTERVAL] * 2
        assert simultaneous_intervals(np.empty((0, 8))) == []

    def test_six_pairs_show_nothing_at_a_hundredth(self):
        (interval,) = simultaneous_intervals(family(1, 1, 6), 0.01)
        assert (interval.low, interval.high) == (-np.inf, np.inf)

    def test_weights_are_of_the_mean(self):
        weights = np.repeat([0.5, 2.0], [8, 4])
        weights /= weights.mean()
        values = np.random.default_rng(3).normal(1, 0.2, 12)
        (interval,) = simultaneous_intervals((weights * values)[None], weights=weights[None])
        shifted = weights * (values + 3)
        (moved,) = simultaneous_intervals(shifted[None], weights=weights[None])
        assert interval.low < (weights * values).mean() < interval.high
        assert (moved.low, moved.high) == pytest.approx((interval.low + 3, interval.high + 3))
        (point,) = simultaneous_intervals((weights * 0.7)[None], weights=weights[None])
        assert (point.low, point.high) == pytest.approx((0.7, 0.7))

    def test_hold_all_at_once(self):
        generator = np.random.default_rng(9)
        held = 0
        for _ in range(600):
            differences = generator.standard_normal(8) + generator.standard_t(4, size=(3, 8))
            held += all(i.low <= 0 <= i.high for i in simultaneous_intervals(differences))
        assert held / 600 == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 600))
