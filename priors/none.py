"""No prior: the baseline, a prior like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from priorbench import Prior


@dataclass(frozen=True)
class NoPrior(Prior):
    """Adds nothing to the prediction loss."""

    summary: ClassVar[str] = "no regularisation: the baseline of every comparison"
    citation: ClassVar[str] = ""
    scale_free: ClassVar[bool] = True
