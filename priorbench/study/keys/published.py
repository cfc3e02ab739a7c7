"""Published values that a study is held against: what they are of, what they are, who says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from priorbench.components import registry, specs
from priorbench.components.architecture import Scale
from priorbench.errors import UserError, unknown
from priorbench.inputs import check_name, check_text, joined_text

_Spec = Annotated[str, AfterValidator(check_text)]


def _some_words(text: str) -> str:
    words = joined_text(text)
    if not words:
        raise ValueError("is blank; give some words")
    return words


_Words = Annotated[str, AfterValidator(_some_words)]


class PublishedValue(BaseModel):
    """A published score, the mean over some networks: a table ``[[published]]`` of a study.

    It changes nothing that is trained: results show our mean beside it (``published.csv`` and the
    report). A key of the setting that is left out stands for every one of the run. What was not run
    is shown as that.

    Attributes:
        metric: name of the metric, as in ``priorbench list metrics``.
        mean: the published mean, in the unit of the metric.
        sd: published standard deviation over networks; left out where it is not known.
        n: number of published networks; left out where it is not known.
        source: publication, with the table or figure.
        read: how the number was read, such as ``printed in table 2`` or ``read off figure 3``.
        attribution: spec of the attribution that the metric is read from; "" for the study's first,
            and for metrics of none.
        task: spec of the task.
        dataset: name of the dataset.
        architecture: spec of the architecture.
        prior: spec of the prior.
        weight: weight of the prior; left out for the one that it was run with.
        scale: scale of the networks and data that it is of; left out where it is of any. A run of
            another scale is not compared with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metric: _Spec
    mean: Annotated[float, Field(allow_inf_nan=False)]
    source: _Words
    read: _Words
    sd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    attribution: _Spec = ""
    task: _Spec = ""
    dataset: Annotated[str, AfterValidator(check_name)] = ""
    architecture: _Spec = ""
    prior: Annotated[str, Field(min_length=1), AfterValidator(check_text)] = "none"
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    scale: Scale | None = None

    @model_serializer(mode="wrap")
    def _known_only(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not known, which TOML cannot write."""
        return {key: value for key, value in serialise(self).items() if value is not None}


def resolve_published(
    values: Sequence[PublishedValue], attributions: Sequence[str]
) -> list[PublishedValue]:
    """Return published values with normal specs.

    Args:
        values: the values, as they were written.
        attributions: normal specs of the attributions that the study scores.

    Raises:
        UserError: if a name or option is unknown, or a value is given twice.
    """
    resolved: list[PublishedValue] = []
    for number, value in enumerate(values, 1):
        try:
            normal = _normal(value, attributions)
        except UserError as error:
            raise UserError(f"published[{number}]: {error}") from None
        if any(_place(normal) == _place(other) for other in resolved):
            raise UserError(
                f"published[{number}]: {normal.metric} of this setting is given twice; give it "
                "once, or name its weight, dataset or another source"
            )
        resolved.append(normal)
    return resolved


def _place(value: PublishedValue) -> dict[str, Any]:
    return value.model_dump(exclude={"mean", "sd", "n", "read"})


def _normal(value: PublishedValue, attributions: Sequence[str]) -> PublishedValue:
    from priorbench.metrics import METRICS  # waits for SciPy

    if value.metric not in METRICS:
        raise UserError(unknown("metric", value.metric, METRICS))
    attribution = _attribution(value, attributions)
    normalise: dict[str, Callable[[str], str]] = {
        kind: partial(registry.normal_spec, kind) for kind in ("task", "architecture", "prior")
    }
    written = {kind: getattr(value, kind) for kind in normalise}
    normal = {kind: normalise[kind](spec) for kind, spec in written.items() if spec}
    return value.model_copy(update={**normal, "attribution": attribution})


def _attribution(value: PublishedValue, attributions: Sequence[str]) -> str:
    from priorbench.attribution.explainers import load_explainer  # waits for torch
    from priorbench.metrics import METRICS

    if not METRICS[value.metric].of_attribution:
        if value.attribution:
            raise UserError(
                f"attribution = {value.attribution!r}: {value.metric} is of no attribution; leave "
                "it out"
            )
        return ""
    if not value.attribution:
        return attributions[0]
    name = specs.name_of(value.attribution)
    return specs.normalise(name, load_explainer(value.attribution))
