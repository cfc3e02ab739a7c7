"""Further outputs of a trained model on some of its sequences, for metrics of scope ``model``."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers.mutagenesis import InSilicoMutagenesisExplainer
from priorbench.attribution.explainers.shuffles import shuffled
from priorbench.attribution.explainers.subject import ExplainedModel, Explainer
from priorbench.components.architecture import Scale
from priorbench.components.task import Task
from priorbench.data.codes import BACKGROUND
from priorbench.data.dataset import Dataset
from priorbench.encoding import one_hot
from priorbench.training.batches import load_batch
from priorbench.training.loop import seeded_torch

from .stored_arrays import explained_model

_MOST_SEQUENCES = 100
"""largest number of sequences that are probed"""
_BASES: dict[Scale, int] = {"smoke": 2_000, "quick": 5_000, "standard": 20_000, "paper": 20_000}
_MUTATIONS = 4
Track = NDArray[np.float64]
"""one value per position, or per sequence"""


def probed_places(dataset: Dataset, scale: Scale) -> NDArray[np.int64]:
    """Return the places, among the attributed sequences, of those that are probed.

    They are evenly spaced, as many as have 2,000 (smoke), 5,000 (quick) or 20,000 bases together;
    at most 100, at least 2.
    """
    count = len(dataset.attributed)
    most = min(count, _MOST_SEQUENCES, max(2, _BASES[scale] // dataset.length))
    places: NDArray[np.int64] = np.unique(np.linspace(0, count - 1, most).astype(int))
    return places


class ProbedModel:
    """A trained model and the sequences that it is probed with; the same for all explainers."""

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        dataset: Dataset,
        *,
        places: NDArray[np.int64],
        device: torch.device,
    ) -> None:
        """Load the sequences, of (k,) int64 places among the attributed ones.

        The model is in eval mode, on the device.
        """
        self.model, self.task, self.dataset = model, task, dataset
        self.places, self.device = places, device
        self.rows = dataset.attributed[places]
        self.codes = dataset.codes(self.rows)
        self.truth = None if dataset.truth is None else dataset.truth[places]
        self.subject = self._subject(model)

    def _subject(self, model: torch.nn.Module, *, turned: bool = False) -> ExplainedModel:
        flip = np.full(len(self.rows), turned)
        batch = load_batch(self.dataset, self.rows, self.device, flip=flip)
        return explained_model(model, self.task, batch)

    @cached_property
    def turned(self) -> ExplainedModel:
        """The reverse complements, whose references are those of the sequences, turned."""
        subject = self._subject(self.model, turned=True)
        return replace(subject, origin=self.subject.sequence, turned=True)

    @cached_property
    def mutagenesis(self) -> Track:
        """(k, L) in-silico mutagenesis."""
        return as_track(InSilicoMutagenesisExplainer().explain(self.subject).attribution)

    @cached_property
    def replacements(self) -> torch.Tensor:
        """(k, 4, 4, L) dinucleotide shuffles, four of each sequence."""
        return shuffled(self.subject.sequence, 4, range(len(self.rows)))

    @cached_property
    def randomised(self) -> ExplainedModel:
        """The model with all its parameters drawn anew."""
        model = copy.deepcopy(self.model)
        with seeded_torch(0, self.device):
            for module in model.modules():
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
                    continue
                for parameter in module.parameters(recurse=False):
                    order = torch.randperm(parameter.numel(), device=parameter.device)
                    parameter.data = parameter.data.flatten()[order].view_as(parameter)
        return replace(self.subject, model=model.eval())

    def mutated(self, codes: NDArray[np.uint8]) -> ExplainedModel:
        """Return the sequences with some bases changed; ``codes`` is (k, L) uint8."""
        sequence = one_hot(codes, self.device)
        return replace(self.subject, sequence=sequence, origin=self.subject.sequence)


@dataclass(frozen=True, eq=False)
class ModelProbe:
    """A model, sequences and an explainer: what a metric of scope ``model`` is given.

    Attributes:
        probed: the model and the sequences.
        explainer: the explainer whose attributions are scored.
        attribution: (k, L) float64 attribution of the sequences that is stored.
    """

    probed: ProbedModel
    explainer: Explainer
    attribution: Track

    @property
    def task(self) -> Task:
        """The task that the model was trained for."""
        return self.probed.task

    @property
    def mutagenesis(self) -> Track:
        """(k, L) in-silico mutagenesis."""
        return self.probed.mutagenesis

    @cached_property
    def own(self) -> Track:
        """(k, L) attribution of the sequences, whose references are drawn among these k only.

        It is what attributions of changed sequences or models are compared with, as these draw
        the same references; those of ``attribution`` were drawn among all attributed sequences.
        """
        return self._explain(self.probed.subject)

    def of_reverse_complement(self) -> Track:
        """Return the (k, L) attribution of the reverse complements, turned back."""
        return self._explain(self.probed.turned)[:, ::-1]

    def of_random_weights(self) -> Track:
        """Return the (k, L) attribution of the model with all its parameters drawn anew."""
        return self._explain(self.probed.randomised)

    def of_mutations(self) -> Iterator[tuple[NDArray[np.int64], Track]]:
        """Yield (k,) positions outside motifs and the (k, L) attribution mutated there; 4 pairs."""
        generator = np.random.default_rng(0)
        outside = self._outside_motifs()
        for _ in range(_MUTATIONS):
            positions = np.where(outside, generator.random(outside.shape), -1).argmax(axis=1)
            codes, rows = self.probed.codes.copy(), np.arange(len(outside))
            steps = generator.integers(1, 4, len(rows))
            codes[rows, positions] = (codes[rows, positions].astype(int) + steps) % 4
            yield positions, self._explain(self.probed.mutated(codes))

    def _outside_motifs(self) -> NDArray[np.bool_]:
        truth, size = self.probed.truth, np.abs(self.attribution)
        least = size <= np.median(size, axis=1, keepdims=True)
        if truth is None:
            return least
        background = truth == BACKGROUND
        return np.where(background.any(axis=1, keepdims=True), background, least)

    def values(self, replaced: NDArray[np.bool_] | None = None, shuffle: int = 0) -> Track:
        """Return the (k,) target of the sequences, some of whose positions are replaced.

        Args:
            replaced: (k, L) bool, positions that are taken from a dinucleotide shuffle of the
                sequence; none by default.
            shuffle: number of the shuffle, 0 to 3.
        """
        subject = self.probed.subject
        sequence = subject.sequence
        if replaced is not None:
            mask = torch.from_numpy(replaced).to(sequence.device)[:, None]
            sequence = torch.where(mask, self.probed.replacements[:, shuffle], sequence)
        return as_track(subject.values(sequence))

    def _explain(self, subject: ExplainedModel) -> Track:
        return as_track(self.explainer.explain(subject).attribution)


def as_track(values: torch.Tensor) -> Track:
    """Return a tensor as a float64 array on the CPU."""
    track: Track = values.detach().double().cpu().numpy()
    return track
