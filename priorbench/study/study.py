"""Studies: grids of trials, as TOML files or command-line options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from priorbench.components.architecture import Precision, Scale
from priorbench.errors import UserError, unknown

from .tuning_rule import MOST_WEIGHTS, choose_seeds

BASELINE = "none"
"""name of the prior that does nothing: part of every study, and what weights are tuned against"""


@dataclass(frozen=True)
class Measurements:
    """What is measured of a trained model, beside its predictions.

    Attributes:
        attributions: specs of the attributions, normalised.
        discovery: whether motifs are looked for in them.
    """

    attributions: Sequence[str]
    discovery: bool = False


class Study(BaseModel):
    """What is compared, on what, how often.

    Attributes:
        name: for the run directory and the report.
        question: what the study asks, for the report.
        priors: specs; ``none`` is always added as the baseline.
        tasks: specs; with data files, only those that no file serves are simulated.
        architectures: specs; empty for each task's own default.
        seeds: a count n, which means seeds 0 ... n - 1, or a list.
        scale: sizes of simulated data, network and training.
        weights: weight by prior spec, for all tasks or by task; others have their documented
            default.
        tune: how many weights of every prior are tried before evaluation; 0 for no tuning.
        tuning_seeds: seeds of the trials that choose weights, a list or a count of seeds that
            evaluation does not use.
        grids: the weights that are tried, by prior spec, for all tasks or by task, ``tune`` of
            them; other priors have a grid around their weight (``tuning.weight_grid``).
        tuning_rule: which of the weights is chosen (``tuning.RULES``).
        train_attribution: spec of the attribution that penalties see in training.
        attributions: specs of the attributions that are scored, the first of them at first sight;
            empty for gradient x input, and DeepLIFT/SHAP too at standard and paper scale.
        discovery: whether motifs are looked for in the attributions, by TF-MoDISco.
        primary: the one metric of every axis whose tests are no exploration, by axis for all
            tasks, or by task and axis; "" for none. Left out, those of
            ``priorbench.study.declared``.
        margins: the smallest loss that matters by metric, in its units, for claims that a prior
            costs nothing; others have none, losses aside.
        loss_margin: the same for metrics that are a loss, as a share of the baseline's; and by
            which share of the validation loss of ``none`` a weight that is chosen may be worse.
        baseline: spec of the prior that all others are compared with.
        data: data files; paths are relative to the study's file.
        plugins: files that define a prior or a task of the user's own.
        fetch: name of the list of downloads that its data come from (``priorbench fetch``); such a
            study needs data.
        minutes: by scale, what a run is expected to take on one core.
        root_seed: from which all randomness is derived.
        device: ``auto`` takes a GPU where there is one.
        precision: ``bf16`` runs the networks in bfloat16 in training, where torch's autocast does;
            weights, losses, penalties, validation and all that is measured stay in float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: str = "study"
    question: str = ""
    priors: Annotated[list[str], Field(min_length=1)] = ["none"]
    tasks: list[str] = []
    architectures: list[str] = []
    seeds: list[int] | int = 5
    scale: Scale = "quick"
    weights: dict[str, float | dict[str, float]] = {}
    tune: Annotated[int, Field(ge=0, le=MOST_WEIGHTS)] = 0
    tuning_seeds: list[int] | int = 3
    grids: dict[str, list[float] | dict[str, list[float]]] = {}
    tuning_rule: Literal["best-localisation", "best-prediction", "fixed"] = "best-localisation"
    train_attribution: str = "input-x-gradient"
    attributions: list[str] = []
    discovery: bool = False
    primary: dict[str, str | dict[str, str]] = {}
    margins: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {"auroc": 0.005}
    loss_margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    baseline: str = BASELINE
    data: list[Path] = []
    plugins: list[Path] = []
    fetch: str = ""
    minutes: dict[Scale, Annotated[float, Field(gt=0)]] = {}
    root_seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float32"

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: list[int] | int) -> list[int]:
        return _checked(list(range(value)) if isinstance(value, int) else value)

    @field_validator("tuning_seeds")
    @classmethod
    def _tuning_seeds(cls, value: list[int] | int, info: ValidationInfo) -> list[int] | int:
        if isinstance(value, int):
            if value < 1:
                raise ValueError("at least one seed is needed")
            return value
        shared = sorted(set(value) & set(info.data.get("seeds", [])))
        if shared:
            raise ValueError(
                f"{', '.join(map(str, shared))} would be used for evaluation too; tuning needs "
                "seeds of its own: give others, or a count"
            )
        return _checked(value)

    @property
    def seed_list(self) -> list[int]:
        """The seeds, as a list."""
        assert isinstance(self.seeds, list)
        return self.seeds

    @property
    def tuning_seed_list(self) -> list[int]:
        """The seeds of trials that choose weights; none of them is one of ``seed_list``."""
        if isinstance(self.tuning_seeds, int):
            return choose_seeds(self.tuning_seeds, self.seed_list)
        return self.tuning_seeds

    @property
    def measurements(self) -> Measurements:
        """What is measured of the study's trained models."""
        return Measurements(self.attributions, self.discovery)

    def to_toml(self) -> str:
        """Every option, as ``study.toml`` in the run directory."""
        values = self.model_dump(mode="json")
        return tomli_w.dumps(values)


def _checked(seeds: list[int]) -> list[int]:
    if not seeds:
        raise ValueError("at least one seed is needed")
    if min(seeds) < 0 or max(seeds) >= 2**63:
        raise ValueError("seeds must be >= 0 and below 2**63")
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed occurs twice")
    return seeds


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file; UserError with the line if it is not TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name the study.toml in it") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def load_study(path: Path) -> Study:
    """Read a study file; paths in it become absolute.

    Raises:
        UserError: naming the file, the key and the value.
    """
    values = read_toml(path)
    base = path.resolve().parent
    for key in ("data", "plugins"):
        if isinstance(values.get(key), list):
            values[key] = [str(base / str(item)) for item in values[key]]
    return make_study(values, where=str(path))


def make_study(values: Mapping[str, Any], *, where: str) -> Study:
    """A checked study.

    Args:
        values: fields of Study.
        where: what the error message names: a file, or the command line.

    Raises:
        UserError: for an unknown key or a value of the wrong type or range.
    """
    for key in values:
        if key not in Study.model_fields:
            raise UserError(f"{where}: {unknown('key', key, Study.model_fields)}")
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "study"
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key} = {values.get(key)!r}: {message}") from None


MEASURED = ("attributions", "discovery")
"""what is asked of trained models; a study may ask for something else later"""


CHOOSING = ("tuning_rule",)
"""how a weight is chosen of those that were tried; another choice needs no tuning trial again"""


ABOUT = ("question", "minutes")
"""what is only said of a study"""


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first key in which two studies differ, with both values, or "".

    What is asked of the trained models, and which rule chooses weights, makes no other study. What
    is claimed (primary metrics, margins, the baseline) does: it is declared before the run. What
    the old one does not say, as it is of an earlier version, is at its default.
    """
    old = {**Study().model_dump(mode="json"), **old}
    for key in dict.fromkeys([*new, *old]):
        if key not in (*MEASURED, *CHOOSING, *ABOUT) and old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r} there and is {new.get(key)!r} here"
    return ""
