"""Networks of a run that were trained elsewhere: what builds them, as their run records it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

GIVEN = "given"
"""key of the record of a trial whose network was trained elsewhere: what builds it (the fields of
:class:`UserNetworks`), and the ``file`` of its weights with its ``sha256``"""


class UserNetworks(BaseModel):
    """A table ``[networks]`` of a study that the program writes for networks trained elsewhere.

    Their groups stand in the place of priors, and the numbers of their pairs in that of seeds.

    Attributes:
        model: module and factory that build them, ``module:factory``; "" where the study trains.
        folder: folder that modules are looked for in first.
        layout: order of the dimensions of the sequences that they take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str = ""
    folder: str = ""
    layout: Literal["B4L", "BL4"] = "B4L"

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return dict(handler(self)) if self.model else {}

    @property
    def architecture(self) -> str:
        """What stands in the place of the architecture, ``module.factory``."""
        return self.model.replace(":", ".")


def trained_elsewhere(study: Mapping[str, Any]) -> bool:
    """Return whether the networks of a run, by the contents of its study.toml, were given."""
    return bool(study.get("networks"))
