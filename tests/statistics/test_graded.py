"""Probabilities of better, the same and worse, at their ends and in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.statistics.graded import UNKNOWN, graded_answer


def of(gain, margin):
    gain = np.asarray(gain, dtype=float)
    return graded_answer(gain, np.full(len(gain), margin))


@settings(deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=12),
    st.floats(0.001, 10),
)
def test_sums_to_one_and_turns_with_the_sign(gain, margin):
    answer, turned = of(gain, margin), of([-value for value in gain], margin)
    assert answer.better + answer.same + answer.worse == pytest.approx(1)
    assert min(vars(answer).values()) >= -1e-12
    assert (turned.better, turned.worse) == pytest.approx((answer.worse, answer.better))


def test_clear_cases_are_certain():
    assert vars(of(np.linspace(0.2, 0.3, 8), 0.1)) == {"better": 1, "same": 0, "worse": 0}
    assert vars(of(np.linspace(-0.05, 0.05, 8), 0.1)) == {"better": 0, "same": 1, "worse": 0}
    assert vars(of(-np.linspace(0.2, 0.3, 8), 0.1)) == {"better": 0, "same": 0, "worse": 1}


def test_of_two_pairs_is_a_share_of_a_line():
    # the mean of 1 and 0 has a uniform weight in this posterior
    answer = of([1.0, 0.0], 0.25)
    assert answer.better == pytest.approx(0.75, abs=0.03)
    assert answer.same == pytest.approx(0.25, abs=0.03)
    assert answer.worse == 0


def test_a_margin_may_move_with_the_pair():
    # with weights w and 1 - w the gain is w, the allowance 1 - w: better where w is above a half
    answer = graded_answer(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert answer.better == pytest.approx(0.5, abs=0.03)


def test_is_the_same_twice():
    gain = np.random.default_rng(0).standard_normal(8)
    assert of(gain, 0.3) == of(gain, 0.3)


def test_is_unknown_without_margin_or_pairs():
    assert graded_answer(np.ones(8), None) is UNKNOWN
    assert of([1.0], 0.1) is UNKNOWN
    assert of([1.0, float("nan")], 0.1) is UNKNOWN
    assert np.isnan(list(vars(UNKNOWN).values())).all()
