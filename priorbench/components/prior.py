"""The contract of priors: :class:`Prior`, which authors subclass, and questions of the engine."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NoReturn, cast

from priorbench.data.codes import CHANNEL
from priorbench.errors import UserError

from .hooks import ALONE, COMPUTED, HOOKS

if TYPE_CHECKING:  # listing what there is must not wait for torch
    import torch

    from .hooks import FinalPhase, LossOfInput
    from .task import Batch, Task

_FILES = ("priorbench.priors.", "priorbench_plugin_")
"""what the names of modules that define a prior begin with"""


@dataclass(frozen=True)
class Attribution:
    """Attributions of a batch, as a penalty sees them.

    How they are computed is the trial's ``--train-attribution``.

    Attributes:
        gradient: (B, 4, L) gradient of the target with respect to every base.
        observed: (B, L) one attribution per position: by default the signed gradient x input,
            summed over bases.
    """

    gradient: torch.Tensor
    observed: torch.Tensor

    def select(self, index: torch.Tensor) -> Attribution:
        """Return the attributions of the examples at ``index``, (k,) int64 or (B,) bool."""
        return Attribution(self.gradient[index], self.observed[index])


def hooks_of(cls: type[Prior]) -> list[str]:
    """Return the hooks that a class of priors overrides."""
    return [hook for hook in HOOKS if getattr(cls, hook) is not getattr(Prior, hook)]


def require_one_per_example(penalty: torch.Tensor, attribution: Attribution) -> None:
    """Raise ValueError unless a penalty has one value for each attributed example."""
    expected = tuple(attribution.observed.shape[:1])
    if penalty.shape != expected:
        raise ValueError(
            f"penalty has shape {tuple(penalty.shape)}, wanted {expected}: one per example"
        )


@dataclass(frozen=True)
class _NoBatch:
    """The place of a batch that is not given, for penalties that do not read it.

    Attributes:
        called: name of the prior.
    """

    called: str

    def __getattr__(self, name: str) -> NoReturn:
        raise UserError(
            f"the penalty of {self.called!r} reads {name!r} of the batch: write "
            "mean_penalty(attribution, batch)"
        )


class PriorQueries:
    """Questions that the engine asks of a prior; authors of priors need not read them."""

    @property
    def acts(self) -> bool:
        """Whether the prior does anything at all."""
        return any(map(self.overrides, HOOKS))

    def overrides(self, hook: str) -> bool:
        """Return whether the prior acts through the hook of that name."""
        return hook in hooks_of(cast("type[Prior]", type(self)))

    @property
    def channels(self) -> list[str]:
        """Names of the per-position channels that the penalty reads."""
        needs = cast("Prior", self).needs
        return [name.removeprefix(CHANNEL) for name in needs if name.startswith(CHANNEL)]

    @property
    def alone(self) -> str:
        """Reason why networks with the prior cannot train several at once, or ""."""
        reasons = [HOOKS[hook] for hook in ALONE if self.overrides(hook)]
        needs = cast("Prior", self).needs
        reasons += [what for name, what in COMPUTED.items() if name in needs]
        return " and ".join(reasons)

    def mean_penalty(self, attribution: Attribution, batch: Batch | None = None) -> torch.Tensor:
        """Return the () mean penalty of examples; 0, with gradients of 0, if there are none.

        Args:
            attribution: attributions of k examples.
            batch: the same k examples, for priors whose penalty reads more than attributions:
                the arrays that ``needs`` names, or what a prior of one's own reads.

        Raises:
            ValueError: if the penalty is not one value per example.
            UserError: if the prior has no penalty, which says how it acts; or if its penalty reads
                a batch that is not given.
        """
        prior = cast("Prior", self)
        if not len(attribution.observed) and self.overrides("penalty"):
            return attribution.observed.sum() + attribution.gradient.sum()
        for name in prior.needs if batch is not None and self.overrides("penalty") else ():
            if batch is not None and name not in batch.arrays:
                raise UserError(
                    f"the penalty of {prior._called!r} reads the array {name!r} of the batch, "
                    f"which has {', '.join(batch.arrays) or 'none'}"
                )
        given = cast("Batch", _NoBatch(prior._called)) if batch is None else batch
        values = prior.penalty(attribution, given)
        require_one_per_example(values, attribution)
        return values.mean()

    def parts(self, weight: float, task: str) -> Sequence[WeightedPrior]:
        """Return the priors that are trained with, and their weights, in a task of that name.

        A prior has one part, itself; a composition has several.
        """
        return [WeightedPrior(cast("Prior", self), weight)]


@dataclass(frozen=True)
class Prior(PriorQueries, ABC):
    """Base class of priors, which override at least one of the hooks.

    A prior is a frozen dataclass whose fields are its options, with units in the docstring. The
    weight (lambda) is not among them: it belongs to the trial, so that every prior can be tuned
    in the same way. Class attributes describe the prior, and ``priorbench check`` tests what they
    claim. What follows the hooks has defaults that suit most priors. The engine pays only for the
    hooks that a prior overrides.
    """

    summary: ClassVar[str]
    citation: ClassVar[str]
    default_weights: ClassVar[Mapping[str, float]] = {}
    """default weight by name of the task; the key ``"*"`` serves every other task"""
    reverse_complement_invariant: ClassVar[bool] = False
    """whether the penalty is the same for the attribution of the other strand"""
    not_vmappable: ClassVar[str] = ""
    """why ``torch.func.vmap`` cannot take the penalty, or "" where it can"""
    blind_to: ClassVar[tuple[str, ...]] = ()
    """names of training attributions for which the penalty is constant"""

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the (B,) penalty of each example; all are examples that the prior applies to."""
        raise self._lacking("penalty")

    def loss_penalty(self, loss: LossOfInput) -> torch.Tensor:
        """Return the () penalty on the prediction loss as a function of the input."""
        raise self._lacking("loss_penalty")

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """Return the () penalty on the model's parameters."""
        raise self._lacking("parameter_penalty")

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Return the model to train, changed with strength ``weight``; initial weights are kept.

        Random draws of added modules come from torch's default generator, which the engine
        seeds for each trial with a stream that nothing else uses.
        """
        raise self._lacking("adapt")

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the (B, 4, L) training input, changed with strength ``weight``."""
        raise self._lacking("augment")

    def change_examples(self, batch: Batch, weight: float, generator: torch.Generator) -> Batch:
        """Return the B training examples, changed with strength ``weight``, labels included.

        Which examples a penalty applies to is decided by the labels before the change.
        """
        raise self._lacking("change_examples")

    def average_share(self, weight: float, step: int, steps_per_epoch: int) -> float:
        """Return the share that the weights after a step have in their average so far, 0 to 1.

        The average is what is validated after each epoch and what is kept, with statistics of
        batch norm that are taken of the training data; the network is trained on as it is.

        Args:
            weight: strength of the prior.
            step: number of steps since the average began, from 1: it begins with training, unless
                the prior has a final phase, and anew with a final phase, whoever asks for it.
            steps_per_epoch: number of steps in an epoch.
        """
        raise self._lacking("average_share")

    def final_phase(self, weight: float) -> FinalPhase | None:
        """Return the last phase of training that the prior asks for; None for none.

        It begins with the best weights when the epochs before it are over.
        """
        raise self._lacking("final_phase")

    def check_task(self, task: Task) -> None:
        """Raise UserError, with the reason, if the prior cannot act in a task."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of further arrays that the penalty reads from its batch; none by default.

        A name is that of a channel of the dataset, ``channel:NAME``, (B, 1, L) float; or
        ``reverse-complement``, the (B, L) attributions of the other strand, turned so that
        positions agree; or ``target``, the (B,) scalars that are attributed. These two can be
        differentiated. Of the teachers, other networks that were trained on the same data without
        a prior, ``teachers:label`` has the mean prediction in the form of the labels, for
        ``change_examples`` too, and ``teachers:attribution`` the (B, L) mean of their
        attributions, each of length 1.
        """
        return ()

    @property
    def teachers(self) -> int:
        """Number of other networks that are trained first, on the same data without a prior."""
        return 0

    @property
    def moves_bases(self) -> bool:
        """Whether the prior changes where bases lie in the window, so that channels do not fit."""
        return False

    def _lacking(self, hook: str) -> UserError:
        own = [f"{name}, {HOOKS[name]}" for name in HOOKS if self.overrides(name)]
        acts = f"it acts through {' and '.join(own)}" if own else "it does nothing"
        return UserError(f"the prior {self._called!r} has no {hook}: {acts}")

    @property
    def _called(self) -> str:
        """Name by which a spec calls the prior, or its class, if no file is named like it."""
        cls = type(self)
        names = [cls.__module__.removeprefix(f) for f in _FILES if cls.__module__.startswith(f)]
        return names[0].replace("_", "-") if names else cls.__name__

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """Return (B,) bool, the examples whose attribution is penalised: by default the task's."""
        return task.applies(batch)

    def strength(self, elapsed: float, step: int) -> float:
        """Return the factor of the penalties' weight at a step; 0 where they are not computed.

        Args:
            elapsed: epochs since training began, in fractions too.
            step: optimiser steps since training began.
        """
        return 1.0

    def default_weight(self, task: str) -> float:
        """Return the documented default weight for a task; 0 for a prior that does nothing.

        Raises:
            UserError: if the prior acts and has no default for the task.
        """
        if not isinstance(self.default_weights, Mapping):
            raise UserError(
                f"default_weights is {self.default_weights!r}; write weights by task, such as "
                '{"*": 0.1}'
            )
        weight = self.default_weights.get(task, self.default_weights.get("*"))
        if weight is None and self.acts:
            raise UserError(
                f"no default weight for task {task!r}; give one with --weights PRIOR=WEIGHT, or "
                "set default_weights in its class"
            )
        return weight or 0.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError if the weight makes no sense for this prior."""
        if not math.isfinite(weight) or weight < 0:
            raise UserError(f"weight {weight:g} is not a finite number >= 0")

    def weight_bound(self, task: str) -> float:
        """Return what every weight lies below, such as 1 for a probability; infinity by default."""
        return math.inf

    @property
    def scale_free(self) -> bool:
        """Whether the penalty stays the same when all attributions are multiplied by a constant.

        A subclass writes ``scale_free: ClassVar[bool] = True``, or a property where it depends on
        options.
        """
        return False

    @property
    def has_strength(self) -> bool:
        """Whether the weight can be tuned, rather than only switched on (1) or off (0).

        A subclass without a strength writes ``has_strength: ClassVar[bool] = False``.
        """
        return self.acts

    @property
    def sees(self) -> str:
        """Spec of the training attribution that the penalty sees; "" for the study's."""
        return ""

    @property
    def cut(self) -> float | None:
        """Shortest period in bp that a low-pass prior lets through; None for every other prior."""
        return None


@dataclass(frozen=True)
class WeightedPrior:
    """A prior and its weight (lambda) in a training."""

    prior: Prior
    weight: float

    @cached_property
    def hooks(self) -> frozenset[str]:
        """Hooks through which the prior acts; none at weight 0."""
        return frozenset(filter(self.prior.overrides, HOOKS)) if self.weight else frozenset()
