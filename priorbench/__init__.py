"""priorbench: which attribution prior is worth training with?

The names below are imported on first use, so that ``priorbench list`` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attributions import (
        AttributionMethod,
        IntegratedGradients,
        attribute_and_predict,
        expected_gradients,
        gradient,
        input_x_gradient,
        integrated_gradients,
        load_attribution,
        simplex_gradient,
    )
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
    from .penalties import AttributionPrior, GradientPrior, Penalty
    from .registry import load_prior

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "contracts",
    "Attribution": "contracts",
    "AttributionMethod": "attributions",
    "AttributionPrior": "penalties",
    "Batch": "contracts",
    "GradientPrior": "penalties",
    "IntegratedGradients": "attributions",
    "Metric": "contracts",
    "Penalty": "penalties",
    "Prior": "contracts",
    "Section": "contracts",
    "Task": "contracts",
    "TrialArrays": "contracts",
    "UserError": "errors",
    "attribute_and_predict": "attributions",
    "expected_gradients": "attributions",
    "gradient": "attributions",
    "input_x_gradient": "attributions",
    "integrated_gradients": "attributions",
    "load_attribution": "attributions",
    "load_prior": "registry",
    "simplex_gradient": "attributions",
}

__all__ = [
    "Architecture",
    "Attribution",
    "AttributionMethod",
    "AttributionPrior",
    "Batch",
    "GradientPrior",
    "IntegratedGradients",
    "Metric",
    "Penalty",
    "Prior",
    "Section",
    "Task",
    "TrialArrays",
    "UserError",
    "attribute_and_predict",
    "expected_gradients",
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "load_attribution",
    "load_prior",
    "simplex_gradient",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
