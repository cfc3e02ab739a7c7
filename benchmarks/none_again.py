"""A prior that does nothing, under another name than `none`: the null study's second arm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Prior


@dataclass(frozen=True)
class NoneAgain(Prior):
    """No regularisation, as `none`; a plug-in has to act, and this one changes nothing."""

    summary: ClassVar[str] = "none under another name"
    citation: ClassVar[str] = ""
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        return model
