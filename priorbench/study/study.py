"""Studies, which TOML files or command-line options describe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from priorbench.components.architecture import Precision, Scale
from priorbench.data.readers.data_file import DATA_KEYS
from priorbench.errors import UserError, unknown
from priorbench.inputs import check_name, check_path, check_text, checked, joined_text, read_toml
from priorbench.schedule_table import ScheduleTable
from priorbench.storage.sealed_files import (
    FORMAT,
    DamagedFile,
    Manifest,
    command_on,
    of_other_version,
)

from .keys.networks import UserNetworks
from .keys.published import PublishedValue
from .tuning_rule import MOST_WEIGHTS, choose_seeds

BASELINE = "none"
"""name of the prior that does nothing: part of every study, and what weights are tuned against"""
SKILL_MARGINS = {"prediction": 0.02, "localisation": 0.1, "stability": 0.1, "faithfulness": 0.1}
"""smallest loss that matters, by axis, as a share of a range of scores (docs/fair-comparison.md)"""


MOST_SEEDS = 10_000
"""most seeds of a study"""
LARGEST_SEED = 2**63 - 1
_Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
_Seeds = list[_Seed] | Annotated[int, Field(ge=1, le=MOST_SEEDS)]
"""seeds, or their count"""
_Spec = Annotated[str, Field(min_length=1), AfterValidator(check_text)]
_File = Annotated[Path, BeforeValidator(check_path)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Measurements:
    """What is measured of a trained model, beside its predictions.

    Attributes:
        attributions: normalised specs of the attributions.
        discovery: whether motifs are looked for in the attributions and in first layers' filters.
        keep_hypothetical: whether attributions of all four bases are kept in the trial.
        variants: hash of the variants whose effects are asked for; "" for none.
    """

    attributions: Sequence[str]
    discovery: bool = False
    keep_hypothetical: bool = False
    variants: str = ""


class Study(BaseModel):
    """What is compared, on what and how often.

    Attributes:
        name: name of the study, for the run directory and the report; "" for one that says what is
            compared (``workflow.run_name``).
        question: question that the study answers, for the report.
        priors: specs of the priors; ``none`` is always added.
        tasks: specs of the tasks; with data files, only tasks that no file serves are simulated.
        architectures: specs of the architectures; or one word alone: ``auto`` for the network that
            has the lowest validation loss (``priorbench.study.network_choice``), ``default`` for
            the one that each task prefers. Empty for ``auto`` on data files and ``default`` on
            simulated data.
        chosen_architectures: the network that ``auto`` chose, by ``task/dataset``. The program
            writes it into the run directory, so that the same run can be repeated from there.
        seeds: list of the seeds, or their count n, which means seeds 0 ... n - 1. Eight can show
            large effects, five none.
        scale: sizes of simulated data, network and training.
        weights: weight by prior spec, for all tasks or by task; others have their documented
            default.
        tune: how many weights of every prior are tried before evaluation; 0 for no tuning.
        tuning_seeds: seeds of the trials that choose weights, the first also of those that choose
            a network; a list or a count of seeds that
            evaluation does not use.
        grids: the weights that are tried, by prior spec, for all tasks or by task, ``tune`` of
            them; other priors have a grid around their weight (``tuning_rule.weight_grid``).
        tuning_rule: name of the rule that chooses a weight (``tuning_rule.RULES``).
        train_attribution: spec of the attribution that penalties see in training.
        attributions: specs of the attributions that are scored, the first of them at first sight;
            empty for gradient x input, and DeepLIFT/SHAP too at standard and paper scale.
        discovery: whether motifs are looked for in the attributions, by TF-MoDISco, and in the
            filters of first layers.
        keep_hypothetical: whether attributions of all four bases, (M, 4, L) float32, are kept in
            trials that count, for the scores that need them; they take eight times the room of
            attributions.
        primary: the one metric of every axis that is not exploratory, by axis for all tasks, or by
            task and axis; "" for none. Defaults are in ``priorbench.study.declared``.
        skill_margins: the smallest loss that matters by axis, for claims that a prior costs
            nothing: on the axis ``prediction`` as a share of the baseline's gain over a model that
            knows only averages, on others as a share of the range from chance to the best possible
            score. Axes that are not named keep theirs.
        margins: the same by metric, in its units, for metrics for which the share does not suit.
        correction: how p of primary metrics are corrected (``statistics.families.multiplicity``).
        loss_margin: the share of the validation loss of ``none`` by which a chosen weight may be
            worse, where weights are tuned.
        baseline: spec of the prior that all others are compared with.
        data: data files; paths are relative to the study's file.
        plugins: files that define a prior, a task or an architecture of the user's own.
        fetch: name of the list of downloads that its data come from (``priorbench fetch``); such a
            study needs data.
        own_data: whether the study is about data of its user; such a study needs data, too.
        minutes: expected time of a run on one core, by scale.
        schedule: training hyper-parameters in place of the scale's, as a table ``[schedule]``
            (``schedule_table``), the same for all priors; empty for the scale's.
        published: published values that results are shown beside
            (:class:`~priorbench.study.keys.published.PublishedValue`); they change nothing else.
        networks: what builds the networks of a run that scores those that were trained elsewhere.
            The program writes it; such a run cannot train.
        root_seed: seed from which all randomness is derived.
        device: ``auto`` takes a GPU where there is one.
        precision: ``bf16`` runs the networks in bfloat16 in training, where torch's autocast does;
            weights, losses, penalties, validation and all that is measured stay in float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)

    name: Annotated[str, AfterValidator(check_name)] = "study"
    question: Annotated[str, AfterValidator(joined_text)] = ""
    priors: Annotated[list[_Spec], Field(min_length=1)] = ["none"]
    tasks: list[_Spec] = []
    architectures: list[_Spec] = []
    chosen_architectures: dict[str, str] = {}
    seeds: _Seeds = 8
    scale: Scale = "quick"
    weights: dict[str, _Number | dict[str, _Number]] = {}
    tune: Annotated[int, Field(ge=0, le=MOST_WEIGHTS)] = 0
    tuning_seeds: _Seeds = 3
    grids: dict[str, list[_Number] | dict[str, list[_Number]]] = {}
    tuning_rule: Literal["best-localisation", "best-prediction", "fixed"] = "best-localisation"
    train_attribution: _Spec = "input-x-gradient"
    attributions: list[_Spec] = []
    discovery: bool = False
    keep_hypothetical: bool = False
    primary: dict[str, str | dict[str, str]] = {}
    skill_margins: dict[str, Annotated[float, Field(gt=0, lt=1)]] = SKILL_MARGINS
    margins: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    correction: Literal["joint", "holm"] = "joint"
    loss_margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    baseline: _Spec = BASELINE
    data: list[_File] = []
    plugins: list[_File] = []
    fetch: Annotated[str, AfterValidator(check_text)] = ""
    own_data: bool = False
    minutes: dict[Scale, Annotated[float, Field(gt=0)]] = {}
    schedule: ScheduleTable = ScheduleTable()
    published: list[PublishedValue] = []
    networks: UserNetworks = UserNetworks()
    root_seed: _Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float32"

    @field_validator("skill_margins")
    @classmethod
    def _skill_margins(cls, value: dict[str, float]) -> dict[str, float]:
        # an axis that is not named keeps its margin, so that its safety can be asked
        return {**SKILL_MARGINS, **value}

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: list[int] | int) -> list[int]:
        return _checked(list(range(value)) if isinstance(value, int) else value)

    @field_validator("tuning_seeds")
    @classmethod
    def _tuning_seeds(cls, value: list[int] | int, info: ValidationInfo) -> list[int] | int:
        if isinstance(value, int):
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
    def needs_data(self) -> bool:
        """Whether it is about data that are not simulated, and names none itself."""
        return bool(self.fetch or self.own_data) and not self.data

    @property
    def tuning_seed_list(self) -> list[int]:
        """The seeds of trials that choose weights, none of which is in ``seed_list``."""
        if isinstance(self.tuning_seeds, int):
            return choose_seeds(self.tuning_seeds, self.seed_list)
        return self.tuning_seeds

    @property
    def measurements(self) -> Measurements:
        """What is measured of the study's trained models."""
        return Measurements(self.attributions, self.discovery, self.keep_hypothetical)

    def to_toml(self) -> str:
        """Return every option as TOML, the contents of ``study.toml`` in the run directory."""
        return tomli_w.dumps({"format": FORMAT, **self.model_dump(mode="json")})


def _checked(seeds: list[int]) -> list[int]:
    """Return the seeds; raise ValueError if there are none, too many, or one occurs twice."""
    if not seeds:
        raise ValueError("at least one seed is needed; name one")
    if len(seeds) > MOST_SEEDS:
        raise ValueError(f"these are {len(seeds):,} seeds; give at most {MOST_SEEDS:,}")
    twice = next((seed for seed, count in Counter(seeds).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"seed {twice} occurs twice; give it once")
    return seeds


COMMAND_LINE = "command line"
"""the place of values that options gave"""
STUDY_FILE = "study.toml"
"""name of the resolved study in a run directory"""


def load_study(path: Path) -> Study:
    """Return the study in a file; paths in it become absolute.

    Raises:
        UserError: if the file cannot be used; names the key and the value. A study.toml that a run
            wrote must be as it was written.
    """
    _refuse_edited(path)
    values = read_toml(path)
    if values.pop("format", FORMAT) != FORMAT:
        raise UserError(f"{path}: {of_other_version(read_toml(path)['format'])}")
    base = path.resolve().parent
    for key in ("data", "plugins"):
        if isinstance(values.get(key), list):
            values[key] = [_from(base, item) for item in values[key]]
    return make_study(values, where=str(path))


def _from(folder: Path, item: Any) -> Any:
    """Return a path in a study, relative to its folder; what is none as it is."""
    try:
        return str(folder / check_path(item))
    except ValueError:
        return item


def _refuse_edited(path: Path) -> None:
    """Raise UserError if a file is the study.toml of a run, and is not as the run wrote it."""
    manifest = Manifest(path.parent)
    if path.name != STUDY_FILE or not path.is_file() or not manifest.is_intact():
        return
    try:
        manifest.read(path.name)
    except DamagedFile as problem:
        raise UserError(
            f"{problem.path}: {problem.problem}; {command_on(path.parent)} restores the study, "
            "and a copy elsewhere with another --out is a study of its own"
        ) from None


def make_study(values: Mapping[str, Any], *, where: str) -> Study:
    """Return a study with these values of its fields; errors name ``where`` they were written.

    Raises:
        UserError: if a key is unknown, or a value has the wrong type or range.
    """
    for key in values:
        if key in DATA_KEYS:
            raise UserError(
                f"{where}: key {key!r} belongs to a data file, not to a study; give a file that "
                "describes data with --data"
            )
        if key not in Study.model_fields:
            raise UserError(f"{where}: {unknown('key', key, Study.model_fields)}")
    return checked(Study, values, where=where, options=where == COMMAND_LINE)


MEASURED = ("attributions", "discovery", "keep_hypothetical")
"""keys that say what is measured of trained models, which may change later"""
CHOOSING = ("tuning_rule",)
"""keys that say which of the tried weights is chosen; a change needs no further tuning trial"""
ABOUT = ("question", "minutes", "published", "own_data")
"""keys whose change makes no other study"""
RECORDED = ("chosen_architectures", "networks")
"""keys that the program writes: what it has chosen, and where networks are from"""
DECIDES_CHOICE = (
    *("architectures", "tasks", "data", "scale", "root_seed"),
    *("tuning_seeds", "precision", "plugins", "schedule"),
)
"""keys whose change may make another network the best, so that a recorded choice does not hold"""


def identity_of(study: Study) -> dict[str, Any]:
    """Return the fields of a study that make it another one where they differ."""
    return study.model_dump(mode="json", exclude={*MEASURED, *CHOOSING, *ABOUT, *RECORDED})


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first key in which two studies differ, with both values, or "".

    Studies that differ only in what is measured of trained models, in the rule that chooses
    weights, in their name, or in the record of which networks were chosen, are the same, and so is
    one with further seeds, which are a further look. Studies that differ in their claims (primary
    metrics, margins, the baseline) are not, as claims are declared before the run. Keys that the
    old study lacks, as it is of an earlier version, are at their default.
    """
    old = {**Study().model_dump(mode="json"), **old}
    equal = ("name", *MEASURED, *CHOOSING, *ABOUT, *RECORDED)
    for key in dict.fromkeys([*new, *old]):
        if key == "seeds" and set(old[key]) <= set(new.get(key, ())):
            continue
        if key not in equal and old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r} there and is {new.get(key)!r} here"
    return ""
