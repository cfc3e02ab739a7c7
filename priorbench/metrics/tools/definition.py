"""How a function becomes a metric of its module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from priorbench.components.metric import Metric

Function = TypeVar("Function", bound=Callable[..., Any])


def define(
    metrics: list[Metric], name: str, summary: str, unit: str = "", **fields: Any
) -> Callable[[Function], Function]:
    """Return a decorator that appends a function's ``Metric``, with these fields, to ``metrics``.

    The function itself stays as it is. A module's metrics are in the order of their definitions.
    """

    def add(function: Function) -> Function:
        metrics.append(Metric(name=name, unit=unit, summary=summary, function=function, **fields))
        return function

    return add
