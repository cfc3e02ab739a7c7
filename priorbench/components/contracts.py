"""The contracts between the engine and its content: Prior, Task, Architecture, Metric, Section.

A content file (``priors/*.py``, ``tasks/*.py``, ...) defines exactly one subclass, and the
file's name is the name under which the registry offers it (``weight_l1.py`` is ``weight-l1``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from priorbench.errors import UserError

if TYPE_CHECKING:  # listing what there is must not wait for torch
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from priorbench.data.dataset import Dataset
    from priorbench.data.dataset_writer import DatasetWriter
    from priorbench.data.readers.data_file import DataFile

Scale = Literal["smoke", "quick", "standard", "paper"]
Axis = Literal["prediction", "localisation", "stability", "faithfulness", "smoothness", "cost"]
Precision = Literal["float32", "bf16"]
"""of the networks' forward pass in training"""
MOST_EPOCHS = 100
"""by which factor a task may prolong training, at most"""


@dataclass(frozen=True)
class Batch:
    """Examples as tensors on one device.

    Attributes:
        sequence: (B, 4, L) float one-hot; N is an all-zero column.
        label: (B,) float32 or (B, outputs).
        arrays: further arrays of the dataset by name, each with B rows.
    """

    sequence: torch.Tensor
    label: torch.Tensor
    arrays: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def select(self, index: torch.Tensor) -> Batch:
        """The examples at ``index``: (k,) int64 or (B,) bool."""
        arrays = {name: array[index] for name, array in self.arrays.items()}
        return Batch(self.sequence[index], self.label[index], arrays)


@dataclass(frozen=True)
class Attribution:
    """What a prior's penalty sees; how it is taken is the trial's ``--train-attribution``.

    Attributes:
        gradient: (B, 4, L) gradient of the target with respect to every base.
        observed: (B, L) one attribution per position: by default the signed gradient x input,
            summed over bases.
    """

    gradient: torch.Tensor
    observed: torch.Tensor

    def select(self, index: torch.Tensor) -> Attribution:
        """The examples at ``index``: (k,) int64 or (B,) bool."""
        return Attribution(self.gradient[index], self.observed[index])


HOOKS = ("penalty", "parameter_penalty", "adapt", "augment")
"""the methods through which a prior acts"""


@dataclass(frozen=True)
class Prior(ABC):
    """A regulariser. Override any of the four hooks; the engine pays only for those.

    Hyper-parameters are typed dataclass fields with their units in the docstring. The weight
    (lambda) is not among them: it belongs to the trial, so that every prior can be tuned in
    the same way.

    ``summary``, ``citation``, ``default_weights`` and what the prior claims are plain class
    attributes; ``priorbench check`` tests the claims.
    """

    summary: ClassVar[str]
    citation: ClassVar[str]
    default_weights: ClassVar[Mapping[str, float]] = {}
    """weight by task name; the key ``"*"`` serves every other task"""
    reverse_complement_invariant: ClassVar[bool] = False
    """whether the penalty is the same for the attribution of the other strand"""
    not_vmappable: ClassVar[str] = ""
    """why ``torch.func.vmap`` cannot take the penalty, or "" where it can"""
    blind_to: ClassVar[tuple[str, ...]] = ()
    """names of training attributions for which the penalty is constant"""

    @property
    def scale_free(self) -> bool:
        """Whether the penalty stays the same when all attributions are multiplied by a constant.

        A subclass writes ``scale_free: ClassVar[bool] = True``, or a property where it depends on
        options.
        """
        return False

    @property
    def has_strength(self) -> bool:
        """Whether its weight can be tuned, rather than only switched on (1) or off (0).

        A subclass without a strength writes ``has_strength: ClassVar[bool] = False``.
        """
        return self.acts

    def weight_bound(self, task: str) -> float:
        """What every weight lies below, such as 1 for a probability; infinite by default."""
        return math.inf

    @property
    def sees(self) -> str:
        """Name of the training attribution that the penalty sees; "" for the study's."""
        return ""

    @property
    def cut(self) -> float | None:
        """Shortest period in bp that a low-pass prior lets through; None for every other prior."""
        return None

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """(B,) penalty per example; only examples that the prior applies to are passed in."""
        raise NotImplementedError

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """() penalty on the model's parameters."""
        raise NotImplementedError

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """The model to train, changed with strength ``weight``; initial weights stay as they are.

        Random draws of added modules come from torch's default generator, which the engine
        seeds for each trial with a stream that nothing else uses.
        """
        raise NotImplementedError

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """(B, 4, L) training input, changed with strength ``weight``."""
        raise NotImplementedError

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """(B,) bool: the examples whose attribution is penalised; as the task says by default."""
        return task.applies(batch)

    def strength(self, elapsed: float, step: int) -> float:
        """Factor of the penalties' weight at a step; at 0 the engine does not compute them.

        Args:
            elapsed: epochs since training began, in fractions too.
            step: optimiser steps since training began.
        """
        return 1.0

    def parts(self, weight: float, task: str) -> Sequence[WeightedPrior]:
        """The priors that make this one up, with their weights: itself, unless it is composed."""
        return [WeightedPrior(self, weight)]

    def overrides(self, hook: str) -> bool:
        """Whether this prior acts through the hook of that name."""
        return getattr(type(self), hook) is not getattr(Prior, hook)

    @property
    def acts(self) -> bool:
        """Whether this prior does anything at all."""
        return any(map(self.overrides, HOOKS))

    def default_weight(self, task: str) -> float:
        """The documented default weight for a task; 0 for a prior that does nothing.

        Raises UserError for a prior that acts and has no default for the task.
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


@dataclass(frozen=True)
class WeightedPrior:
    """A prior and its weight (lambda) in a training."""

    prior: Prior
    weight: float

    @property
    def hooks(self) -> frozenset[str]:
        """Through which hooks it acts; none at weight 0."""
        return frozenset(filter(self.prior.overrides, HOOKS)) if self.weight else frozenset()


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What is learnt: data, splits, prediction loss, the scalar that is attributed.

    Attributes:
        train_share: share of the training examples that models are trained on: always the same
            ones, and those of a smaller share are among those of a larger. They are passed through
            so much more often in an epoch that its number of steps stays the same.
        train_epochs: training may go on for so many times the usual number of epochs, and waits so
            many times as long for an improvement.
    """

    summary: ClassVar[str]
    citation: ClassVar[str] = ""
    architecture: ClassVar[str]
    """name of the default architecture"""
    epochs: ClassVar[float] = 1.0
    """how many times the scale's number of epochs a training may take"""
    reverse_complement: ClassVar[bool]
    """whether the reverse complement is the same molecule (DNA: yes; RNA: no)"""
    motif_length_option: ClassVar[str] = ""
    """name of the option that is a motif's length in bp, if there is one"""
    metrics: ClassVar[tuple[str, ...]]
    """names of the prediction metrics that make sense for this task, the primary one first"""
    primary: ClassVar[Mapping[Axis, str]] = {}
    """primary metric by axis, where it is not the usual one (see ``priorbench.study.declared``)"""

    train_share: float = 1.0
    train_epochs: float = 1.0

    def __post_init__(self) -> None:
        """Refuse options outside their range; subclasses that have more call this too."""
        if not 0 < self.train_share <= 1:
            raise UserError(f"train_share {self.train_share:g} is not above 0 and at most 1")
        if not 0 < self.train_epochs <= MOST_EPOCHS:
            raise UserError(
                f"train_epochs {self.train_epochs:g} is not above 0 and at most {MOST_EPOCHS}"
            )

    @abstractmethod
    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """Write a simulated dataset of the scale's size; the same generator, the same bytes."""

    @abstractmethod
    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """Write the user's own data; raises UserError for input that cannot be used."""

    def network_shape(self, length: int, shapes: Mapping[str, tuple[int, ...]]) -> NetworkShape:
        """What the network has to map to what: one number for every column of the labels.

        Args:
            length: window in bp.
            shapes: of a row of every other array of the dataset, by name.
        """
        shape = shapes["label"]
        return NetworkShape(length, outputs=shape[0] if shape else 1)

    def network_shape_of(self, dataset: Dataset) -> NetworkShape:
        """What a network for a dataset has to map to what."""
        return self.network_shape(dataset.length, dataset.row_shapes)

    def inputs(self, batch: Batch) -> Sequence[torch.Tensor]:
        """What the network is given beside the sequence, such as control tracks."""
        return ()

    @abstractmethod
    def prediction_loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """(B,) loss per example; the only loss that model selection ever looks at."""

    @abstractmethod
    def target(self, output: Any) -> torch.Tensor:
        """(B,) scalar whose gradient is the attribution."""

    @abstractmethod
    def predictions(self, output: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Named arrays, (B, ...) each, that the task's prediction metrics read."""

    @abstractmethod
    def chance(self, dataset: Dataset) -> Mapping[str, NDArray[np.float32]]:
        """As ``predictions`` for the scored rows, of a model that knows averages and nothing else.

        It is the floor of the prediction metrics: what a failed trial counts as, at best.
        """

    def references(
        self, dataset: Dataset, generator: np.random.Generator
    ) -> Mapping[str, Mapping[str, NDArray[np.float32]]]:
        """As ``predictions`` for the scored rows, by name, of what shows which scores are in reach.

        Arrays that a reference has none of are left out; metrics that read them are left out too.
        """
        return {}

    @abstractmethod
    def applies(self, batch: Batch) -> torch.Tensor:
        """(B,) bool: the examples that an attribution prior applies to."""


@dataclass(frozen=True)
class NetworkShape:
    """What a network maps to what.

    Attributes:
        length: window in bp.
        outputs: numbers, or profiles (strands), that are predicted.
        profile: length of a predicted profile in bp, centred in the window; 0 for numbers.
        controls: control tracks of that length that the network is given beside the sequence.
        offset: whether it is given logits too, which it adds to its own.
    """

    length: int
    outputs: int = 1
    profile: int = 0
    controls: int = 0
    offset: bool = False


@dataclass(frozen=True)
class Architecture(ABC):
    """A network by name; its sizes follow the scale.

    Modules must treat examples one by one, batch norm aside, so that the engine can
    differentiate only those examples that the prior applies to.
    """

    summary: ClassVar[str]
    citation: ClassVar[str] = ""

    @abstractmethod
    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """A module that maps (B, 4, length) to (B, outputs).

        One that predicts profiles is given (B, controls, profile) too, where there are controls,
        then (B, outputs, profile), where there is an offset, and gives logits (B, outputs,
        profile) and log counts (B, outputs).

        Raises UserError if the shape does not fit the network. Weights are drawn from torch's
        default generator, which the engine seeds.
        """


@dataclass(frozen=True)
class TrialArrays:
    """What a trial leaves behind for scoring.

    Attributes:
        prediction: what the task's ``predictions`` returned for the N scored examples, by name;
            those of the test split, or of the validation split in trials that choose a weight.
        label: (N,) or (N, outputs) float32 labels of these examples.
        attribution: (M, L) float32 signed attribution of the observed base.
        truth: (M, L) uint8 position codes (see ``priorbench.data.dataset``), or None if unknown.
        oracle: (M, L) float32 attribution that an oracle would give, or None if unknown.
        costs: measured prices: seconds_per_step, peak_memory_mib, epochs_to_best.
        sums: (2, M) float64, what each attribution adds up to and what it should add up to, or
            None where the method promises nothing.
        negative_weight: how many possible negatives each negative stands for; 1 where none
            were left out.
    """

    prediction: Mapping[str, NDArray[np.float32]]
    label: NDArray[np.float32]
    attribution: NDArray[np.float32]
    truth: NDArray[np.uint8] | None
    oracle: NDArray[np.float32] | None
    costs: Mapping[str, float]
    sums: NDArray[np.float64] | None = None
    negative_weight: float = 1.0


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
        name: as in results.csv.
        axis: one of six; ``smoothness`` is what priors optimise and is never ranked.
        unit: of the value; "" for a pure number.
        higher_is_better: None for metrics that are only shown.
        summary: one line.
        scope: what the function takes.
            ``trial``: (TrialArrays) -> value;
            ``seeds``: (attributions of S trials, (M, L) float32 each) -> (S, S) agreement of
                every two; a trial's value is its mean agreement with the other seeds;
            ``model``: (Probe) -> value: asks the trained model about some of its sequences;
            ``motifs``: (MotifSet, known motifs by name) -> value, of what was discovered;
            ``motif-sets``: (MotifSets of S trials) -> (S, S) agreement of every two;
            ``arm``: (MotifSets of S trials) -> (S,) values, which only hold together;
            ``baseline``: (costs, costs of the paired baseline trial) -> value.
            A value of NaN means that the score is not defined there.
        function: pure, on arrays; its docstring has the formula and the source.
        floor: of a model that knows nothing, where it is not measured: for metrics that ask the
            model, or what was discovered in its attributions.
        main: whether reports show it at first sight.
        loss: whether it is a loss above 0, of which a share may be declared as a margin.
    """

    name: str
    axis: Axis
    unit: str
    higher_is_better: bool | None
    summary: str
    scope: Literal["trial", "seeds", "model", "motifs", "motif-sets", "arm", "baseline"]
    function: Callable[..., Any]
    floor: float | None = None
    main: bool = False
    loss: bool = False

    @property
    def of_attribution(self) -> bool:
        """Whether it depends on how the trained model is explained."""
        return self.axis not in ("prediction", "cost")

    @property
    def of_pairs(self) -> bool:
        """Whether it scores every two trials of an arm, so that its values share trials."""
        return self.scope in ("seeds", "motif-sets")

    @property
    def of_arm(self) -> bool:
        """Whether a trial's value hangs on the other seeds."""
        return self.of_pairs or self.scope == "arm"

    @property
    def optimised_for(self) -> bool:
        """Whether priors optimise this directly, which bars it from ranking."""
        return self.axis == "smoothness"


class Probe(Protocol):
    """What a metric of scope ``model`` is given: a trained model, k sequences, a way to attribute.

    Tracks are (k, L) float64, one signed value per position.
    """

    @property
    def task(self) -> Task:
        """The task that the model was trained for."""

    @property
    def attribution(self) -> NDArray[np.float64]:
        """(k, L) attribution that is scored."""

    @property
    def own(self) -> NDArray[np.float64]:
        """(k, L) attribution of the same sequences with the references of the methods below."""

    @property
    def mutagenesis(self) -> NDArray[np.float64]:
        """(k, L) in-silico mutagenesis."""

    def of_reverse_complement(self) -> NDArray[np.float64]:
        """(k, L) attribution of the reverse complements, turned back."""

    def of_random_weights(self) -> NDArray[np.float64]:
        """(k, L) attribution of the model with all its parameters drawn anew."""

    def of_mutations(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Several times: (k,) a position outside motifs, (k, L) attribution with it mutated."""

    def values(
        self, replaced: NDArray[np.bool_] | None = None, shuffle: int = 0
    ) -> NDArray[np.float64]:
        """(k,) target with some positions, (k, L) bool, taken from a shuffled sequence."""


class Section(ABC):
    """One section of the report: draws numbers, computes no statistics."""

    title: ClassVar[str]
    position: ClassVar[int]
    """sections are shown in this order"""

    @abstractmethod
    def render(self, run: Any) -> str:
        """HTML of the section's body, or "" to leave the section out.

        ``run`` is a ``priorbench.results.finished_run.Run``.
        """
