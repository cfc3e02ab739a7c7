"""What priors share that learn from networks which were trained before."""

from __future__ import annotations

from priorbench import UserError

_MOST = 50
"""networks that are trained first, at most: each costs as much as a training without a prior"""


def check_members(members: int) -> None:
    """Raise UserError unless so many networks can be trained first."""
    if not 1 <= members <= _MOST:
        raise UserError(f"members {members} is not between 1 and {_MOST}")
