"""What a study says of its trainings in a table ``[schedule]``, in place of what its scale says."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

MOST_SCHEDULED_EPOCHS = 10_000
"""largest number of epochs of a schedule"""
_STRICT = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)
_Share = Annotated[float, Field(gt=0, lt=1)]
_Count = Annotated[int, Field(ge=1, le=MOST_SCHEDULED_EPOCHS)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Monitor = Literal["loss", "auroc"]
Keep = Literal["best", "last"]


class Plateau(BaseModel):
    """How the learning rate falls where nothing improves, as ``ReduceLROnPlateau`` of Keras does.

    Attributes:
        factor: what the learning rate is multiplied by.
        patience: number of epochs in a row without improvement after which it is.
        smallest: the learning rate below which it never falls.
        min_delta: smallest improvement of the monitored value that counts.
    """

    model_config = _STRICT

    factor: _Share
    patience: _Count
    smallest: _NotNegative = 0.0
    min_delta: _NotNegative = 1e-4


class ScheduleTable(BaseModel):
    """Training hyper-parameters of a study; what is left out is the scale's.

    Attributes:
        epochs: largest number of passes over the training data.
        batch_size: examples per step.
        learning_rate: learning rate of Adam, from which it may fall.
        patience: number of epochs in a row without improvement after which training stops.
        min_delta: smallest improvement of the monitored value that counts.
        monitor: what must improve in validation data: the prediction ``loss``, or ``auroc``, the
            exact area under the ROC curve, mean over outputs (Keras approximates it by 200
            thresholds).
        keep: the weights that are kept: those of the ``best`` epoch by that value, or of the
            ``last``.
        l2: factor of the sum of squares of the weights of convolutions and dense layers that is
            added to the loss; biases and batch norm are left out.
        plateau: when the learning rate falls; left out, it never does.
    """

    model_config = _STRICT

    epochs: _Count | None = None
    batch_size: _Count | None = None
    learning_rate: _Positive | None = None
    patience: _Count | None = None
    min_delta: _NotNegative | None = None
    monitor: Monitor | None = None
    keep: Keep | None = None
    l2: _NotNegative | None = None
    plateau: Plateau | None = None

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def text(self) -> str:
        """What is given as JSON text, the same for the same table; "" if nothing is."""
        given = self.model_dump(mode="json")
        return json.dumps(given, sort_keys=True) if given else ""

    @classmethod
    def from_text(cls, text: str) -> ScheduleTable:
        """Return the table of a text."""
        return cls.model_validate_json(text) if text else cls()
