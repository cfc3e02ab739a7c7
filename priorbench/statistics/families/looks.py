"""The level of each look at a study that grows: what is spent cannot be spent again.

Who looks at 8 seeds, and adds some where nothing was shown, has several chances of a false claim.
The sum of the levels of all looks is at most alpha, however many there are and however much their
data overlap (Bonferroni's inequality).
"""

from __future__ import annotations

FIRST_SHARE = 0.8
"""share of alpha that is spent at the first look: most studies have no other"""
LOOKS_RULE = (
    "The first look at a study's results has a level of .04; every further look, with other seeds, "
    "priors or weights, has half of what is left of .05: .005, .0025, and so on, less than .05 in "
    "all."
)
"""the rule in words"""


def level_of_look(look: int, alpha: float = 0.05) -> float:
    """Return the level of the look of this number, 1 for the first.

    It is .8 alpha for the first, .1 alpha for the second, and half of the level before for each
    after it.
    """
    if look < 1:
        raise ValueError(f"looks are numbered from 1, got {look}")
    return alpha * (FIRST_SHARE if look == 1 else (1 - FIRST_SHARE) / 2 ** (look - 1))
