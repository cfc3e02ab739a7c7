"""A trial: everything that decides one training, and the id made of it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from priorbench.components import registry
from priorbench.components.architecture import Precision, Scale
from priorbench.storage import source_code

DECIDES_TRIALS = (
    "attribution/methods.py",
    "attribution/passes.py",
    "autograd",
    "components/architecture.py",
    "components/composition.py",
    "components/hooks.py",
    "components/prior.py",
    "components/prior_bases.py",
    "components/task.py",
    "data/codes.py",
    "data/dataset.py",
    "encoding.py",
    "evaluation/profile_scores.py",
    "evaluation/stored_arrays.py",
    "execution/job.py",
    "execution/process_state.py",
    "execution/run_ensemble.py",
    "execution/run_trial.py",
    "execution/training_price.py",
    "schedule_table.py",
    "seeds.py",
    "statistics/rounding.py",
    "training",
)
"""the code that computes a trial's result; a change there changes the id of every trial"""
DECIDING_PACKAGES = ("numpy", "torch")
SELECT, TUNE, EVALUATE = "select", "tune", "evaluate"
"""stages: trials that only choose a network, or a weight, and trials that count"""
REFERENCE = "reference"
"""stands for the stage in rows of results.csv without a trial: scores of chance and the oracle"""
_OPTIONAL = ("schedule", "network")
"""fields that most trials lack, and that their records leave out"""
SettingKey = tuple[str, str, str]
"""what names a setting: spec of the task, name of the dataset, spec of the architecture"""
SETTING_COLUMNS = ["task", "dataset", "architecture"]
"""the columns that name a setting in every table"""


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        task: normalised spec.
        dataset: name of the dataset.
        architecture: normalised spec.
        prior: normalised spec.
        weight: weight (lambda) of the prior.
        train_attribution: normalised spec of the attribution that the prior's penalty sees.
        seed: seed of initial weights, batch order and the prior's own draws.
        stage: ``evaluate``, or ``select`` and ``tune`` for trials that only choose a network or a
            weight.
        scale: sizes of network and training.
        root_seed: the study's root seed.
        device: ``cpu`` or ``cuda``.
        digest: hash of the dataset's contents.
        code: hash of the code and the library versions that compute the result.
        precision: number format of the network's forward pass in training.
        schedule: the study's schedule of training as text; "" for the scale's.
        network: hash of the weights of a network that was trained elsewhere, whose group stands in
            the place of the prior; "" for a training of ours.
    """

    task: str
    dataset: str
    architecture: str
    prior: str
    weight: float
    train_attribution: str
    seed: int
    stage: str
    scale: Scale
    root_seed: int
    device: str
    digest: str
    code: str
    precision: Precision = "float32"
    schedule: str = ""
    network: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the trial that a record is about."""
        names = [field.name for field in dataclasses.fields(cls)]
        kept = [name for name in names if name not in _OPTIONAL or name in record]
        return cls(**{name: record[name] for name in kept})

    def as_record(self) -> dict[str, Any]:
        """Return what a record says of the trial; of what most trials lack, only what is given."""
        record = dataclasses.asdict(self)
        return {key: value for key, value in record.items() if value or key not in _OPTIONAL}

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, the hash of all that a record says of the trial."""
        return hash_of(self.as_record())

    @property
    def arm(self) -> tuple[str, str, str, str, float, str]:
        """Setting, prior, weight and stage, which trials that differ only in their seed share."""
        return (self.task, self.dataset, self.architecture, self.prior, self.weight, self.stage)

    @property
    def setting(self) -> SettingKey:
        """Task, dataset, architecture: what paired trials have in common, their seed aside."""
        return (self.task, self.dataset, self.architecture)


def hash_of(value: Any) -> str:
    """Return a hash of 16 hexadecimal digits of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def engine_digest() -> str:
    """Return a hash of the engine modules and library versions that decide a result."""
    sources = source_code.code_hash(*DECIDES_TRIALS)
    return hash_of([sources, *(importlib.metadata.version(p) for p in DECIDING_PACKAGES)])


def code_digest(
    *,
    task: str,
    architecture: str,
    prior: str,
    digest: Callable[[Path], str] = source_code.component_digest,
) -> str:
    """Return a hash of the engine and of the three components of a trial.

    The components are specs; ``digest`` hashes a file, once if it is cached.
    """
    parts = {"task": task, "architecture": architecture, "prior": prior}
    paths = [
        registry.components(kind)[name].path
        for kind, spec in parts.items()
        for name in registry.names_in(kind, spec)
    ]
    return hash_of([engine_digest(), *map(digest, paths)])
