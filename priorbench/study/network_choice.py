"""Which network a study trains where the program chooses it (``auto``), and among which.

Every installed network that fits the task and the data is trained once, without a prior, on the
first tuning seed, as long as in evaluation. The one with the lowest validation prediction loss at
its best epoch is taken, for each dataset; of equals the first, which is the task's default if that
is among them. A trial that failed or collapsed never wins. The test split is not looked at: all
scores of these trials are of validation data, as in tuning.

The program chooses where it is asked to, and for data of the user's own where no network is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from priorbench.components import registry
from priorbench.components.architecture import Architecture, Scale
from priorbench.components.task import Task
from priorbench.data.dataset import Dataset
from priorbench.errors import UserError

from .data_sources import DataSource
from .study import Study

AUTO, TASK_DEFAULT = "auto", "default"
"""words that stand for one network: the one that is chosen, and the one that each task prefers"""


@dataclass(frozen=True)
class NetworkCandidates:
    """The networks among which one is chosen for a dataset.

    Attributes:
        fitting: normalised specs, at least one, the task's default first if it fits.
        refused: why another network does not fit, by its spec.
    """

    fitting: Sequence[str]
    refused: Mapping[str, str]


def normal_names(written: Sequence[str]) -> list[str]:
    """Return the architectures of a study as normal specs without repeats, or the word alone.

    Raises:
        UserError: if a word stands beside other names, or a name is unknown.
    """
    names = list(dict.fromkeys(written))
    words = [name for name in names if name in (AUTO, TASK_DEFAULT)]
    if words and len(names) > 1:
        raise UserError(f"architectures: {words[0]!r} stands for one network; name it alone")
    return words or list(dict.fromkeys(registry.normal_spec("architecture", n) for n in names))


def may_choose(study: Study) -> bool:
    """Return whether a study leaves the network of some dataset to the program."""
    return study.architectures == [AUTO] or (not study.architectures and bool(study.data))


def is_chosen(study: Study, source: DataSource) -> bool:
    """Return whether the program chooses the network of a source of a study."""
    return may_choose(study) and (bool(study.architectures) or source.data is not None)


def named_networks(study: Study, task: Task) -> list[str]:
    """Return the networks that a study names; the task's default where it leaves them open."""
    open_ones: tuple[list[str], ...] = ([], [AUTO], [TASK_DEFAULT])
    return [task.architecture] if study.architectures in open_ones else study.architectures


def require_fit(spec: str, task: Task, dataset: Dataset, scale: Scale) -> None:
    """Raise UserError if a network does not fit a task and its data."""
    registry.build("architecture", spec).build(task.network_shape_of(dataset), scale)


def require_channels(spec: str, key: str, dataset: Dataset) -> None:
    """Raise UserError unless a dataset, named by its key, has every channel that a prior reads."""
    for name in registry.load_prior(spec).channels:
        if name not in dataset.channels:
            offered = ", ".join(dataset.channels) or "none"
            raise UserError(
                f"prior {spec!r} reads the channel {name!r}, and {key} has no such channel (it has "
                f"{offered}); name one in [channels] of the data file, or write the simulated task "
                "with channels=motif"
            )


def fitting_networks(task: Task, dataset: Dataset, scale: Scale) -> NetworkCandidates:
    """Return the installed networks by whether they fit a task and its data.

    Raises:
        UserError: if none fits; it is the refusal of the task's default.
    """
    refused: dict[str, str] = {}
    free = [name for name in registry.components("architecture") if _may_be_chosen(name)]
    names = [task.architecture, *free]
    every = list(dict.fromkeys(registry.normal_spec("architecture", name) for name in names))
    for spec in every:
        try:
            require_fit(spec, task, dataset, scale)
        except UserError as error:
            refused[spec] = str(error)
    if len(refused) == len(every):
        raise UserError(refused[every[0]])
    return NetworkCandidates([spec for spec in every if spec not in refused], refused)


def _may_be_chosen(name: str) -> bool:
    architecture: Architecture = registry.build("architecture", name)
    return type(architecture).chosen_freely


def recorded_network(study: Study, key: str, fitting: Sequence[str]) -> str:
    """Return the network that was chosen before for a dataset, or "".

    Args:
        study: the study, which may record a choice.
        key: ``task/dataset``.
        fitting: normalised specs of the networks that fit.

    Raises:
        UserError: if the recorded network is not among those that fit.
    """
    chosen = study.chosen_architectures.get(key, "")
    if chosen and chosen not in fitting:
        raise UserError(
            f"chosen_architectures: {chosen!r} is recorded for {key}, and {', '.join(fitting)} "
            "would fit; remove the entry to choose anew"
        )
    return chosen


def best_network(losses: Mapping[str, float]) -> str:
    """Return the network with the lowest validation loss, the first of equals.

    Losses are infinite where a trial failed or collapsed; "" where all did.
    """
    best = min(losses, key=losses.__getitem__)
    return best if math.isfinite(losses[best]) else ""
