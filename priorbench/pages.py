"""The package that writes pages, found by its entry point: the engine imports no content."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

from .errors import UserError


def reports_package() -> ModuleType:
    """``priorbench.reports``; UserError where priorbench is not installed."""
    for entry in importlib.metadata.entry_points(group="priorbench.reports", name="builtin"):
        package: ModuleType = entry.load()
        return package
    raise UserError("priorbench is not installed; `pip install .` in its folder")
