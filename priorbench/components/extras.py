"""Motif discovery on stored attributions, by TF-MoDISco (extra ``modisco``)."""

from __future__ import annotations

import importlib.util

from priorbench.errors import UserError


def require_modisco() -> None:
    """Raise UserError where TF-MoDISco is not installed."""
    if importlib.util.find_spec("modiscolite") is None:
        raise UserError(
            "--discovery needs TF-MoDISco, which is not installed; "
            "pip install 'priorbench[modisco]', or leave the option out"
        )
