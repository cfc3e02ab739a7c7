"""Verdicts on families of comparisons: words, corrections, and intervals that agree with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.statistics.confidence import (
    NO_INTERVAL,
    Interval,
    false_coverage_intervals,
    shared_level_intervals,
)
from priorbench.statistics.equivalence import equivalence_p, noninferiority_p
from priorbench.statistics.families.joint import simultaneous_intervals, step_down_p
from priorbench.statistics.families.multiplicity import (
    BENJAMINI_HOCHBERG,
    CORRECTIONS,
    HOLM,
    JOINT,
    adjust,
)
from priorbench.statistics.families.verdicts import (
    BETTER,
    DEFINITIONS,
    EQUIVALENT,
    INCONCLUSIVE,
    NONINFERIOR,
    WORSE,
    Evidence,
    consistent,
    judge,
)
from priorbench.statistics.signflip import sign_flip_p

NAN = float("nan")
N = 8
CORRECTED = pytest.mark.parametrize("correction", [JOINT, HOLM])
DRAWN = st.integers(0, 2**32 - 1)


def evidence(gains, margin=None, *, prior="", weights=None):
    """Return the tests of gains, NaN where a pair is missing, as comparisons make them."""
    gains = np.asarray(gains, dtype=float)
    known = gains[np.isfinite(gains)]
    if margin is None or len(known) < 2:
        return Evidence(gains, sign_flip_p(known), prior=prior, weights=weights)
    allowed = np.full(len(gains), margin)
    tests = [test(known, np.full(len(known), margin)) for test in (noninferiority_p, equivalence_p)]
    return Evidence(gains, sign_flip_p(known), allowed, *tests, prior=prior, weights=weights)


def random_family(seed, tests, n, *, holes=0.0, margins=True):
    """Return comparisons of up to three priors, some with effects, that share what a seed draws."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal(n)
    family = []
    for number in range(tests):
        gains = generator.uniform(-2, 2) + shared * generator.normal()
        gains = gains + generator.uniform(0.1, 1) * generator.standard_normal(n)
        gains[generator.random(n) < holes] = NAN
        margin = float(generator.uniform(0.1, 2)) if margins and generator.random() < 0.8 else None
        family.append(evidence(gains, margin, prior=f"p{number % 3}"))
    return family


def verdicts(family, correction):
    return [judgement.verdict for judgement in judge(family, correction)]


class TestWords:
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 1e-4

    @CORRECTED
    def test_every_word(self, correction):
        family = [
            evidence(np.linspace(0.1, 0.12, N)),
            evidence(-np.linspace(0.1, 0.12, N)),
            evidence(self.noise, 0.005),
            evidence([0.02, -0.001, 0.02, -0.002, -0.001, -0.003, 0.01, -0.001], 0.005),
            evidence(50 * self.noise, 0.001),
            evidence([0.1, *[NAN] * 7]),
        ]
        assert verdicts(family, correction) == [*DEFINITIONS, ""]
        assert list(DEFINITIONS) == [BETTER, WORSE, EQUIVALENT, NONINFERIOR, INCONCLUSIVE]

    @CORRECTED
    def test_a_difference_within_the_margin_is_still_a_difference(self, correction):
        assert verdicts([evidence(np.full(N, -0.001), 0.1)], correction) == [WORSE]

    @CORRECTED
    def test_without_a_margin_nothing_is_equivalent(self, correction):
        assert verdicts([evidence(np.zeros(N))], correction) == [INCONCLUSIVE]

    def test_the_level_decides(self):
        gains = np.array([1, 1.2, 0.9, 1.1, 1.0, -0.2, 0.8])  # p is 4 / 128
        for level, word in ((0.04, BETTER), (0.03, INCONCLUSIVE)):
            assert judge([evidence(gains)], JOINT, level)[0].verdict == word

    def test_no_family(self):
        assert judge([], JOINT) == []


class TestCorrections:
    def test_holm_corrects_every_kind_of_claim_over_its_own_tests(self):
        clear, noise = np.linspace(0.1, 0.12, N), TestWords.noise
        family = [evidence(clear), evidence(clear + 0.1), evidence(noise, 0.005)]
        first, _, last = judge(family, HOLM)
        assert first.p_adjusted == pytest.approx(3 * 2 / 2**N)
        assert last.p_adjusted == pytest.approx(sign_flip_p(noise))
        assert last.p_noninferior_adjusted == pytest.approx(1 / 2**N)
        assert last.verdict == EQUIVALENT
        assert (first.tests, first.margin_tests) == (3, 1)

    def test_the_joint_correction_flips_seeds_in_all_tests_at_once(self):
        family = random_family(3, 5, N)
        judged = judge(family, JOINT)
        gains = np.stack([e.gains for e in family])
        expected = step_down_p(gains)
        assert [j.p_adjusted for j in judged] == pytest.approx(expected)
        for judgement in judged:
            assert judgement.tests == 5

    def test_the_joint_correction_of_claims_against_margins(self):
        # two tests of nothing lost, as clear as can be: both at the p of one
        family = [evidence(TestWords.noise, 0.005), evidence(2 * TestWords.noise, 0.005)]
        for judgement in judge(family, JOINT):
            assert judgement.p_noninferior_adjusted == 1 / 2**N
            # both sides of both have all signs alike under one flip, and under no other
            assert judgement.p_equivalent_adjusted == 1 / 2**N
            assert (judgement.tests, judgement.margin_tests) == (2, 2)

    def test_two_sides_are_corrected_for_each_other(self):
        differences = np.stack([sign * TestWords.noise + 0.005 for sign in (1, -1)])
        (judgement,) = judge([evidence(TestWords.noise, 0.005)], JOINT)
        expected = step_down_p(differences, two_sided=False).max()
        assert judgement.p_equivalent_adjusted == pytest.approx(expected)

    @pytest.mark.parametrize("correction", CORRECTIONS)
    def test_adjusted_p_is_never_below_the_raw_one(self, correction):
        for seed in range(10):
            family = random_family(seed, 6, N, holes=0.1)
            for e, judgement in zip(family, judge(family, correction), strict=True):
                pairs = (
                    (judgement.p_adjusted, e.p),
                    (judgement.p_noninferior_adjusted, e.p_noninferior),
                    (judgement.p_equivalent_adjusted, e.p_equivalent),
                )
                for adjusted, raw in pairs:
                    assert np.isnan(raw) == np.isnan(adjusted)
                    assert np.isnan(raw) or adjusted >= raw - 1e-12

    @settings(deadline=None, max_examples=60)
    @given(DRAWN, st.integers(2, 6), st.integers(3, 9), st.sampled_from([JOINT, HOLM]))
    def test_own_p_does_not_know_of_other_priors(self, seed, tests, n, correction):
        family = random_family(seed, tests, n, holes=0.1)
        together = judge(family, correction)
        for prior in {e.prior for e in family}:
            rows = [i for i, e in enumerate(family) if e.prior == prior]
            alone = judge([family[i] for i in rows], correction)
            for i, judgement in zip(rows, alone, strict=True):
                own = together[i].p_adjusted_own
                np.testing.assert_equal(own, judgement.p_adjusted_own)
                np.testing.assert_equal(own, judgement.p_adjusted)
                assert np.isnan(own) or together[i].p_adjusted >= own

    @pytest.mark.parametrize("correction", [JOINT, HOLM])
    def test_others_with_more_seeds_change_nothing_of_a_priors_own(self, correction):
        # 14 seeds are enumerated, 17 flipped at random; what is there twice costs nothing else
        generator = np.random.default_rng(4)
        for shift in np.linspace(0.2, 0.8, 20):
            own = [generator.normal(shift, 1, 14) for _ in range(2)]
            padded = [np.append(gains, [NAN] * 3) for gains in own]
            others = [np.append(gains, [1e-6, -1e-6, 1e-6]) for gains in own]
            alone = judge([evidence(g, prior="a") for g in own], correction)
            family = [evidence(g, prior="a") for g in padded]
            together = judge([*family, *(evidence(g, prior="b") for g in others)], correction)
            for before, after in zip(alone, together, strict=False):
                assert after.p_adjusted_own == before.p_adjusted
                assert after.p_adjusted >= before.p_adjusted


class TestIntervals:
    @pytest.mark.parametrize("correction", CORRECTIONS)
    @settings(deadline=None, max_examples=60)
    @given(
        seed=DRAWN,
        tests=st.integers(1, 5),
        n=st.integers(2, 10),
        level=st.sampled_from([0.05, 0.04, 0.005]),
        holes=st.sampled_from([0.0, 0.15]),
    )
    def test_never_contradict_the_verdict(self, correction, seed, tests, n, level, holes):
        family = random_family(seed, tests, n, holes=holes)
        for e, judgement in zip(family, judge(family, correction, level), strict=True):
            interval = judgement.interval
            if np.isnan(interval.low):
                continue
            self.check_margin(e, judgement)
            assert interval.low <= interval.high
            if judgement.verdict == BETTER:
                assert e.gain > 0
                assert interval.low >= 0
            elif judgement.verdict == WORSE:
                assert e.gain < 0
                assert interval.high <= 0
            else:
                assert interval.low <= 0 <= interval.high
            assert interval.low <= e.gain <= interval.high

    @staticmethod
    def check_margin(e, judgement):
        """Assert that a loss beyond the margin is inside unless a test excludes it."""
        if np.isnan(judgement.p_noninferior_adjusted):
            return
        low, high, margin = judgement.interval.low, judgement.interval.high, e.allowance[0]
        if judgement.verdict in (NONINFERIOR, EQUIVALENT):
            assert low >= -margin - 1e-12
        if judgement.verdict == EQUIVALENT:
            assert high <= margin + 1e-12
        if judgement.verdict == INCONCLUSIVE:
            assert low <= -margin + 1e-12

    def test_of_the_joint_correction_hold_together(self):
        family = random_family(7, 4, 9)
        expected = simultaneous_intervals(np.stack([e.gains for e in family]))
        for e, judgement, interval in zip(family, judge(family, JOINT), expected, strict=True):
            margin = NAN if e.allowance is None else e.allowance[0]
            assert judgement.interval == consistent(interval, judgement.verdict, margin)

    def test_of_holm_are_at_a_share_of_the_level(self):
        gains = np.stack([e.gains for e in random_family(7, 2, 9)])
        alone = [shared_level_intervals(row[None], 0.025)[0] for row in gains]
        assert shared_level_intervals(gains, 0.05) == alone
        # eight seeds show nothing at a level of .05 / 20
        assert shared_level_intervals(np.tile(gains, (10, 1))[:, :8], 0.05)[0] == NO_INTERVAL

    @pytest.mark.parametrize("seed", range(12))
    def test_of_benjamini_hochberg_exclude_zero_where_it_rejects(self, seed):
        generator = np.random.default_rng(seed)
        gains = generator.normal(generator.uniform(0, 1.5, (5, 1)), 1, (5, 10))
        adjusted = adjust([sign_flip_p(row) for row in gains], BENJAMINI_HOCHBERG)
        intervals = false_coverage_intervals(gains, adjusted, 0.05)
        for p, interval in zip(adjusted, intervals, strict=True):
            if interval.method:
                assert (interval.low > 0 or interval.high < 0) == (p <= 0.05)

    def test_ends_at_zero_where_only_a_later_step_shows_the_difference(self):
        interval = Interval(-0.1, 0.3, "x")
        assert consistent(interval, BETTER) == Interval(0.0, 0.3, "x")
        assert consistent(interval, WORSE) == Interval(-0.1, 0.0, "x")
        assert consistent(interval, INCONCLUSIVE) == interval
        assert consistent(Interval(0.1, 0.3, "x"), INCONCLUSIVE) == Interval(0.0, 0.3, "x")
        assert consistent(Interval(-0.3, -0.1, "x"), EQUIVALENT) == Interval(-0.3, 0.0, "x")
        assert consistent(NO_INTERVAL, BETTER) == NO_INTERVAL
        assert consistent(Interval(0.1, 0.3, "x"), "") == Interval(0.1, 0.3, "x")

    @pytest.mark.parametrize(
        ("verdict", "low", "high"),
        [
            (BETTER, 0.0, 0.3),
            (WORSE, -0.3, 0.0),
            (EQUIVALENT, -0.2, 0.2),
            (NONINFERIOR, -0.2, 0.3),
            (INCONCLUSIVE, -0.3, 0.3),
        ],
    )
    def test_end_at_the_margin_where_only_a_test_excludes_it(self, verdict, low, high):
        interval = consistent(Interval(-0.3, 0.3, "x"), verdict, 0.2)
        assert interval == Interval(low, high, "x")

    def test_reach_the_margin_where_no_test_excludes_it(self):
        narrow = Interval(-0.1, 0.1, "x")
        assert consistent(narrow, INCONCLUSIVE, 0.2) == Interval(-0.2, 0.1, "x")
        assert consistent(narrow, NONINFERIOR, 0.2) == Interval(-0.1, 0.2, "x")
        assert consistent(narrow, EQUIVALENT, 0.2) == narrow

    def test_of_weighted_pairs(self):
        weights = np.repeat([0.5, 2.0], [8, 4])
        weights /= weights.mean()
        gains = weights * np.random.default_rng(0).normal(1, 0.2, 12)
        weighted = evidence(gains, weights=weights)
        (judgement,) = judge([weighted], JOINT)
        assert judgement.interval == simultaneous_intervals(gains[None], weights=weights[None])[0]
        # the inverse of a sign-flip test is of equal weights only
        assert judge([weighted], HOLM)[0].interval == NO_INTERVAL
