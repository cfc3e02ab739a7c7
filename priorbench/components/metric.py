"""The contract of metrics: what they are given, and what a value of theirs means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .task import Axis, Task

if TYPE_CHECKING:  # listing what there is must not wait for NumPy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TrialArrays:
    """The arrays of a trial that metrics are computed from.

    Attributes:
        prediction: what the task's ``predictions`` returned for the N scored examples, by name;
            those of the test split, or of the validation split in trials that choose a weight.
        label: (N,) or (N, outputs) float32 labels of these examples.
        attribution: (M, L) float32 signed attribution of the observed base.
        truth: (M, L) uint8 position codes (see ``priorbench.data.codes``), or None if unknown.
        oracle: (M, L) float32 attribution that an oracle would give, or None if unknown.
        costs: measured costs by name: seconds_per_step, peak_memory_mib, epochs_to_best.
        sums: (2, M) float64, what each attribution adds up to and what it should add up to, or
            None where the method promises nothing.
        negative_weight: how many possible negatives each negative stands for; 1 where none
            were left out.
        codes: (M, L) uint8 attributed sequences, or None where scores need no bases.
        instances: (K, 5) int64 instances of motifs (``priorbench.data.instances``), whose rows are
            places among the M sequences, or None if unknown.
        matrices: (M, 4, L) float32 probabilities that the sequences were drawn from, 1/4 outside
            motifs, or None if unknown.
        hypothetical: (M, 4, L) float32 attribution of all four bases, or None unless it was kept.
    """

    prediction: Mapping[str, NDArray[np.float32]]
    label: NDArray[np.float32]
    attribution: NDArray[np.float32]
    truth: NDArray[np.uint8] | None
    oracle: NDArray[np.float32] | None
    costs: Mapping[str, float]
    sums: NDArray[np.float64] | None = None
    negative_weight: float = 1.0
    codes: NDArray[np.uint8] | None = None
    instances: NDArray[np.int64] | None = None
    matrices: NDArray[np.float32] | None = None
    hypothetical: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class VariantEffects:
    """Effects of V variants: those that an experiment measured, and those of a model.

    Attributes:
        measured: (V,) float64 measured effects.
        predicted: (V,) float64 effects that a model predicts, or that an attribution tells of.
        element: (V,) int64 number of the element that each variant is of.
        weight: (V,) float64 weights of the variants, at least 0.
        confidence: (V,) float64 confidence in the measured effects, 0 to 1, or NaN if unknown.
    """

    measured: NDArray[np.float64]
    predicted: NDArray[np.float64]
    element: NDArray[np.int64]
    weight: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def elements(self) -> Iterator[VariantEffects]:
        """Yield the effects of one element after the other, in the order of their numbers."""
        for number in sorted(set(self.element.tolist())):
            yield self.at(self.element == number)

    def at(self, chosen: NDArray[np.bool_]) -> VariantEffects:
        """Return the effects of some variants, (V,) bool."""
        return VariantEffects(
            self.measured[chosen],
            self.predicted[chosen],
            self.element[chosen],
            self.weight[chosen],
            self.confidence[chosen],
        )


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
        name: name in results.csv.
        axis: kind of quality; ``smoothness`` is what priors optimise and is never ranked.
        unit: unit of the value; "" for a pure number.
        higher_is_better: direction; None for metrics that are only shown.
        summary: what the metric says, in one line.
        scope: what the function takes and returns.
            ``trial``: (TrialArrays) -> value;
            ``seeds``: (attributions of S trials, (M, L) float32 each) -> (S, S) agreement of
                every two; a trial's value is its mean agreement with the other seeds, with 64 of
                them where there are more;
            ``model``: (Probe) -> value, from further outputs of the trained model;
            ``filters``: (FirstFilters, known motifs by name) -> value of the first layer's filters;
            ``motifs``: (MotifSet, known motifs by name) -> value of the discovered motifs;
            ``motif-sets``: (MotifSets of S trials) -> (S, S) agreement of every two;
            ``arm``: (MotifSets of S trials) -> (S,) values, which only hold together;
            ``variants``: (VariantEffects) -> value of the effects that the model predicts;
            ``attributed-variants``: (VariantEffects) -> value of those that an attribution tells;
            ``baseline``: (costs, costs of the paired baseline trial) -> value.
            A value of NaN means that the score is not defined there.
        function: pure function of arrays; its docstring has the formula and the source.
        floor: value for a model that knows nothing, where it follows from the formula: for metrics
            of the scopes ``model`` and ``filters``, and of discovered motifs. None where it is
            measured.
        perfect: value of a perfect prediction or attribution, where it follows from the formula;
            None where it is unknown or unbounded.
        main: whether reports show the metric at first sight.
        published: the paper that defines the value (its function says where it differs); "" for a
            score of this program's own. A published form is tested only where it is declared as
            primary.
        every_base: whether the value needs the attribution of all four bases.
    """

    name: str
    axis: Axis
    unit: str
    higher_is_better: bool | None
    summary: str
    scope: Literal[
        "trial",
        "seeds",
        "model",
        "filters",
        "motifs",
        "motif-sets",
        "arm",
        "variants",
        "attributed-variants",
        "baseline",
    ]
    function: Callable[..., Any]
    floor: float | None = None
    perfect: float | None = None
    main: bool = False
    published: str = ""
    every_base: bool = False

    @property
    def of_attribution(self) -> bool:
        """Whether the metric depends on how the trained model is explained."""
        return self.axis not in ("prediction", "cost") and self.scope != "variants"

    @property
    def of_pairs(self) -> bool:
        """Whether the metric scores every two trials of an arm, so that values share trials."""
        return self.scope in ("seeds", "motif-sets")

    @property
    def of_arm(self) -> bool:
        """Whether a trial's value depends on the other seeds."""
        return self.of_pairs or self.scope == "arm"

    @property
    def optimised_for(self) -> bool:
        """Whether priors optimise the metric directly, so that it is never ranked."""
        return self.axis == "smoothness"


class Probe(Protocol):
    """What a metric of scope ``model`` is given: a trained model, k sequences and an explainer.

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
        """(k, L) attribution of the sequences whose references are drawn among these k only.

        It is what attributions of changed sequences or models are compared with, as these draw
        the same references; those of ``attribution`` were drawn among all attributed sequences.
        """

    @property
    def mutagenesis(self) -> NDArray[np.float64]:
        """(k, L) in-silico mutagenesis."""

    def of_reverse_complement(self) -> NDArray[np.float64]:
        """Return the (k, L) attribution of the reverse complements, turned back."""

    def of_random_weights(self) -> NDArray[np.float64]:
        """Return the (k, L) attribution of the model with all its parameters drawn anew."""

    def of_mutations(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield (k,) positions outside motifs, and the (k, L) attribution with them mutated."""

    def values(
        self, replaced: NDArray[np.bool_] | None = None, shuffle: int = 0
    ) -> NDArray[np.float64]:
        """Return the (k,) target of the sequences, some of whose positions are replaced.

        Args:
            replaced: (k, L) bool, positions that are taken from a dinucleotide shuffle of the
                sequence; none by default.
            shuffle: number of the shuffle, 0 to 3.
        """
