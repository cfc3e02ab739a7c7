"""The contract of the report's sections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class Section(ABC):
    """A section of the report: it shows numbers and computes no statistics."""

    title: ClassVar[str]
    position: ClassVar[int]
    """place among the sections, which are shown in ascending order"""

    @abstractmethod
    def render(self, run: Any) -> str:
        """Return the HTML of the section's body, or "" to leave the section out.

        Args:
            run: a ``priorbench.results.finished_run.Run``.
        """
