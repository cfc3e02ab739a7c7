"""What the looks at a study spend of the level."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorbench.statistics.families.looks import LOOKS_RULE, level_of_look


def test_the_levels_are_those_of_the_rule():
    levels = [level_of_look(look) for look in (1, 2, 3)]
    assert levels == pytest.approx([0.04, 0.005, 0.0025])
    for level in levels:
        assert f"{level:.4f}".rstrip("0").lstrip("0") in LOOKS_RULE


@given(st.integers(1, 60), st.floats(1e-4, 1))
def test_all_looks_together_spend_at_most_alpha(looks, alpha):
    spent = [level_of_look(look, alpha) for look in range(1, looks + 1)]
    assert sum(spent) <= alpha * (1 + 1e-12)
    assert all(level > 0 for level in spent)
    assert spent == sorted(spent, reverse=True)


def test_looks_are_numbered_from_one():
    with pytest.raises(ValueError, match="numbered from 1"):
        level_of_look(0)
