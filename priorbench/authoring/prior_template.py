"""The template that ``priorbench new`` writes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from priorbench.components import registry
from priorbench.errors import UserError

_PRIOR = '''\
"""TODO: one line on what this prior rewards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, AttributionPrior, Batch


@dataclass(frozen=True)
class {cls}(AttributionPrior):
    """- sum_i (a_i / sum_j a_j) ** power, with a the absolute attribution.

    Attributes:
        power: how strongly concentrated attributions are rewarded; above 1.
    """

    summary: ClassVar[str] = "rewards attributions that are concentrated on few positions"
    citation: ClassVar[str] = "you"
    # what it claims is tested by `priorbench check {file}`
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    # by task; "*" serves every other
    default_weights: ClassVar[Mapping[str, float]] = {{"*": 0.1}}

    power: float = 2.0

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the (B,) penalty, -1 to 0; attribution.gradient is (B, 4, L), the track (B, L)."""
        track = self.track(attribution).abs()
        mass = track.sum(dim=1, keepdim=True)
        # a zero attribution must not become NaN, in value or gradient
        share = track / mass.masked_fill(mass == 0, 1)
        return -(share**self.power).sum(dim=1)
'''


def new_prior(name: str, folder: Path) -> Path:
    """Write a file with a prior that works as it is, and return its path.

    The name has letters, digits and hyphens; the file is ``NAME.py`` in the folder.

    Raises:
        UserError: if the name cannot be used, or the file exists already.
    """
    name = name.replace("_", "-")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*", name):
        raise UserError(
            f"{name!r} cannot be the name of a prior; start with a letter and use letters, digits "
            "and single hyphens"
        )
    for kind in ("prior", "task"):
        if name in registry.components(kind):
            raise UserError(f"{kind} {name!r} exists already; choose another name")
    path = folder / f"{name.replace('-', '_')}.py"
    if not path.exists() and importlib.util.find_spec(path.stem) is not None:
        raise UserError(
            f"{path.name} would hide the Python module {path.stem!r}; choose another name"
        )
    cls = "".join(part[0].upper() + part[1:] for part in name.split("-"))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_PRIOR.format(cls=cls, file=path.name))
    except FileExistsError:
        raise UserError(f"{path}: exists already; choose another name, or remove it") from None
    return path
