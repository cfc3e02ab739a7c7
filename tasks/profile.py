"""How many reads, and where? Base-resolution profiles on both strands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench import Batch, Task, UserError
from priorbench.components.architecture import NetworkShape, Scale
from priorbench.data.codes import MOTIF, TRAIN
from priorbench.data.dataset import Dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.mean_profile import MeanProfile
from priorbench.data.readers.data_file import DataFile
from priorbench.data.readers.read_profiles import read_profiles
from priorbench.data.simulated_examples import SimulatedExamples, write_examples
from priorbench.data.simulation import (
    draw_places,
    make_instances,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    write_instance,
)
from priorbench.evaluation.profile_scores import log_likelihood, profile_scores, reference_profiles

from ._motifs import DECOY_CONSENSUS, OCTAMER, TARGET_CONSENSUS, plant_decoy

_SIZES: dict[Scale, tuple[int, int, int, int, int]] = {
    "smoke": (120, 80, 600, 100, 150),
    "quick": (240, 160, 2500, 600, 800),
    "standard": (520, 320, 20000, 4000, 4000),
    "paper": (1346, 1000, 50000, 10000, 10000),
}
"""window and profile in bp, then sequences for training, validation and test"""
_MOTIFS = ((TARGET_CONSENSUS, 60.0, 0.8), (OCTAMER, 30.0, 0.6))
"""consensus, mean reads of a strand's footprint, and share of the sequences that hold the motif"""
_FIDELITY = 0.85
_SHIFT = 8
"""bp by which reads of the plus strand lie before a motif, and of the minus strand behind it"""
_WIDTH = 3.0
"""standard deviation of a footprint in bp"""
_BACKGROUND = 0.02
"""expected reads of a base outside footprints"""
_MOST_JITTER = 128
_CHUNK = 1000
_OFFSET = "mean_profile"
"""array of the mean profile's logits"""


@dataclass(frozen=True)
class Profile(Task):
    """Reads per base and strand around peaks: where they are, and how many.

    The loss is minus the log multinomial probability of the reads, mean over strands, plus
    ``counts_weight`` times the squared error of log(1 + reads). Simulated: two motifs leave
    footprints, reads of the plus strand 8 bp before an instance and of the minus strand 8 bp
    behind it, of known strength; a decoy leaves none; counts are Poisson. The prior applies to
    every sequence, as all are peaks.

    Attributes:
        attributed: what is attributed: ``profile``, mean-centred logits weighted by their softmax
            probabilities, which are held fixed, summed over strands (the field's form);
            ``log-probabilities``, weighted by log-probabilities instead, as published; or
            ``counts``, the predicted log counts, summed over strands.
        counts_weight: weight of the counts in the loss; 20 as published.
        controls: whether control tracks are simulated, a bias that the signal shares; users' data
            have their own.
        jitter: largest shift of windows in training, in bp.
        mean_profile: whether the network's logits are added to those of the training windows' mean
            profile, so that it only has to learn what is special about a sequence. Meant for few
            peaks, all centred in the same way; what all of them share is no longer attributed
            to the sequence.
        channels: channel that simulated data offer to priors: ``motif``, 1 inside the planted
            motifs, or none; users' data have their own.
    """

    summary: ClassVar[str] = "stranded read profiles at base resolution, and their counts"
    citation: ClassVar[str] = "Avsec et al., Nature Genetics 2021"
    architecture: ClassVar[str] = "bpnet"
    epochs: ClassVar[float] = 2.0
    reverse_complement: ClassVar[bool] = True
    labels_are_classes: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = (
        "profile-nll",
        "profile-jsd",
        "profile-pearson",
        "profile-spearman",
        "count-pearson",
    )

    attributed: Literal["profile", "log-probabilities", "counts"] = "profile"
    counts_weight: float = 20.0
    controls: bool = False
    jitter: int = 8
    mean_profile: bool = False
    channels: Literal["none", "motif"] = "none"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if self.mean_profile and self.train_share < 1:
            raise UserError(
                "mean_profile is the mean of all training windows; leave it out, or train_share"
            )
        if self.counts_weight < 0:
            raise UserError(f"counts_weight {self.counts_weight:g} is negative")
        if not 0 <= self.jitter <= _MOST_JITTER:
            raise UserError(f"jitter {self.jitter} is not between 0 and {_MOST_JITTER} bp")

    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """Write simulated sequences of the scale's size, with what is known about them."""
        length, profile, *sizes = _SIZES[scale]
        mean = MeanProfile()

        def draw(count: int, split: int) -> SimulatedExamples:
            drawn = self._draw(count, (length, profile), generator)
            if split == TRAIN:
                mean.add(drawn.arrays["reads"])
            return drawn

        writer.margin = self.jitter
        write_examples(
            writer,
            sizes,
            draw,
            lambda labels: np.ones(len(labels), bool),
            chunk=_CHUNK,
            motif_channel=self.channels == "motif",
        )
        self._share(writer, mean)

    def _draw(
        self, count: int, sizes: tuple[int, int], generator: np.random.Generator
    ) -> SimulatedExamples:
        """Draw sequences and tracks with the margin, for a window and a profile in bp."""
        length, profile = sizes
        total, inset = length + 2 * self.jitter, (length - profile) // 2
        planted = nothing_planted(markov_background(count, total, generator))
        # motifs stand where their footprints can be seen; the places of absent ones are kept free
        first = inset + self.jitter
        widths = [len(consensus) for consensus, _, _ in _MOTIFS] + [len(DECOY_CONSENSUS)]
        places = first + draw_places(count, widths, total - 2 * first, generator)
        rate = np.full((count, 2, total), _BACKGROUND)
        for index, (consensus, strength, share) in enumerate(_MOTIFS):
            motif = motif_from_consensus(consensus, consensus, _FIDELITY)
            instances = make_instances(motif, count, MOTIF, generator)
            instances = instances.turned(generator.random(count) < 0.5)
            present = generator.random(count) < share
            for row in np.flatnonzero(present).tolist():
                start = int(places[row, index])
                write_instance(planted, (row, start), instances, row)
                centre = start + motif.width / 2
                reads = strength * generator.uniform(0.5, 1.5)
                for strand, side in enumerate((-1, 1)):
                    rate[row, strand] += reads * _footprint(total, centre + side * _SHIFT)
        plant_decoy(planted, _FIDELITY, generator, places[:, len(_MOTIFS)])
        middle = slice(inset, inset + profile + 2 * self.jitter)
        tracks = {}
        if self.controls:
            bias = generator.gamma(2.0, 0.5, (count, 2, total))
            tracks["controls"] = generator.poisson(5 * bias[:, :, middle]).astype(np.float32)
            rate = rate * bias
        tracks["reads"] = generator.poisson(rate[:, :, middle]).astype(np.float32)
        reads = tracks["reads"][:, :, self.jitter : self.jitter + profile].sum(axis=2)
        return SimulatedExamples(np.log1p(reads).astype(np.float32), planted, tracks)

    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """Write the user's windows with their reads."""
        mean = read_profiles(writer, data, generator, margin=self.jitter)
        writer.margin = self.jitter
        self._share(writer, mean)

    def _share(self, writer: DatasetWriter, mean: MeanProfile) -> None:
        """Add the logits of the mean profile to a dataset, with the option ``mean_profile``."""
        if self.mean_profile:
            writer.share(_OFFSET, mean.logits.astype(np.float32))

    def network_shape(self, length: int, shapes: Mapping[str, tuple[int, ...]]) -> NetworkShape:
        """Return profiles on every strand, with controls and mean profile where there are."""
        strands, profile = shapes["reads"]
        controls = shapes["controls"][0] if "controls" in shapes else 0
        return NetworkShape(length, strands, profile, controls, offset=self.mean_profile)

    def inputs(self, batch: Batch) -> Sequence[torch.Tensor]:
        """Return the control tracks and the logits of the mean profile, where there are."""
        return [batch.arrays[name] for name in ("controls", _OFFSET) if name in batch.arrays]

    def prediction_loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Return the (B,) loss in nats, plus the weighted squared error of the log counts."""
        logits, log_counts = output
        nll = -log_likelihood(logits, batch.arrays["reads"]).mean(dim=1)
        observed = torch.log1p(batch.arrays["reads"].sum(dim=2))
        loss: torch.Tensor = nll + self.counts_weight * (log_counts - observed).square().mean(dim=1)
        return loss

    def target(self, output: Any) -> torch.Tensor:
        """Return the (B,) target that the option ``attributed`` names."""
        logits, log_counts = output
        if self.attributed == "counts":
            counts: torch.Tensor = log_counts.sum(dim=1)
            return counts
        centred = logits - logits.mean(dim=2, keepdim=True)
        weights = logits.softmax(dim=2)
        if self.attributed == "log-probabilities":
            weights = logits.log_softmax(dim=2)
        profile: torch.Tensor = (centred * weights.detach()).sum(dim=(1, 2))
        return profile

    def activity(self, output: Any) -> torch.Tensor:
        """Return the (B,) predicted log counts, summed over strands, whatever is attributed."""
        _, log_counts = output
        counts: torch.Tensor = log_counts.sum(dim=1)
        return counts

    def predictions(self, output: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return scores of every example's profile, (B,), and ``log_counts``, (B, strands)."""
        logits, log_counts = output
        return {**profile_scores(logits, batch.arrays["reads"]), "log_counts": log_counts}

    def chance(self, dataset: Dataset) -> Mapping[str, NDArray[np.float32]]:
        """Return the scores of the training windows' mean profile and counts as a prediction."""
        training, average = dataset.rows(TRAIN), MeanProfile()
        for reads in _chunks(dataset, training):
            average.add(reads)
        logits = torch.from_numpy(average.logits)
        parts: dict[str, list[NDArray[np.float32]]] = {}
        for reads in _chunks(dataset, dataset.scored_rows):
            everywhere = logits.float().expand(len(reads), -1, -1)
            for name, values in profile_scores(everywhere, torch.from_numpy(reads)).items():
                parts.setdefault(name, []).append(values.numpy())
        mean = dataset.columns["label"].take(training).mean(axis=0)
        scores = {name: np.concatenate(values) for name, values in parts.items()}
        count = len(dataset.scored_rows)
        return {**scores, "log_counts": np.broadcast_to(mean, (count, len(mean)))}

    def references(
        self, dataset: Dataset, generator: np.random.Generator
    ) -> Mapping[str, Mapping[str, NDArray[np.float32]]]:
        """Return the scores of shuffled profiles, of half of the reads for the other, of the reads.

        The last is the least possible loss: the reads' own shares as their prediction.
        """
        parts: dict[str, dict[str, list[NDArray[np.float32]]]] = {}
        for reads in _chunks(dataset, dataset.scored_rows):
            for name, scores in reference_profiles(reads, generator).items():
                for key, values in scores.items():
                    parts.setdefault(name, {}).setdefault(key, []).append(values)
        return {
            name: {key: np.concatenate(values) for key, values in scores.items()}
            for name, scores in parts.items()
        }

    def applies(self, batch: Batch) -> torch.Tensor:
        """Return (B,) bool: all of them."""
        return torch.ones(len(batch.label), dtype=torch.bool, device=batch.label.device)


def _chunks(dataset: Dataset, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Yield (k, strands, L) reads of some rows, without the margin."""
    reads, margin = dataset.columns["reads"], dataset.margin
    for part in np.array_split(rows, max(1, len(rows) // _CHUNK)):
        yield reads.take(part)[:, :, margin : reads.shape[2] - margin].astype(np.float32)


def _footprint(length: int, centre: float) -> NDArray[np.float64]:
    """Return the (length,) density of a Gaussian around ``centre``, of 3 bp standard deviation."""
    place = np.arange(length) + 0.5
    density = np.exp(-0.5 * ((place - centre) / _WIDTH) ** 2)
    footprint: NDArray[np.float64] = density / (_WIDTH * np.sqrt(2 * np.pi))
    return footprint
