"""priorbench: which attribution prior is worth training with?

The names below are imported on first use, so that ``priorbench list`` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attribution_prior import AttributionPrior
    from .attributions import attribute_and_predict, input_x_gradient
    from .contracts import (
        Architecture,
        Attribution,
        Batch,
        Metric,
        Prior,
        Section,
        Task,
        TrialArrays,
    )
    from .errors import UserError
    from .registry import load_prior

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "contracts",
    "Attribution": "contracts",
    "AttributionPrior": "attribution_prior",
    "Batch": "contracts",
    "Metric": "contracts",
    "Prior": "contracts",
    "Section": "contracts",
    "Task": "contracts",
    "TrialArrays": "contracts",
    "UserError": "errors",
    "attribute_and_predict": "attributions",
    "input_x_gradient": "attributions",
    "load_prior": "registry",
}

__all__ = [
    "Architecture",
    "Attribution",
    "AttributionPrior",
    "Batch",
    "Metric",
    "Prior",
    "Section",
    "Task",
    "TrialArrays",
    "UserError",
    "attribute_and_predict",
    "input_x_gradient",
    "load_prior",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
