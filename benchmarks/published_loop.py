"""Training with the Fourier prior: this suite's loop against the published one, side by side.

Paper's binary network, 1,000 bp, batch 128, Adam, data in memory, one thread. The published loop
is written after its description (Tseng, Shrikumar & Kundaje 2020): one-hot data, the whole batch
differentiated, the Fourier loss over the positives, torch's Adam as it comes; and a validation
pass in training mode that attributes too, as epochs were chosen by prediction loss and prior loss
together. The suite's loop is the one that trials run: codes, both strands, hashes of the order,
validation in eval mode.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from priorbench import Attribution, Batch, load_attribution, load_prior
from priorbench.components import registry
from priorbench.data.codes import TRAIN, VALID
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.training.loop import Trainer
from priorbench.training.objective import Regularisation
from priorbench.training.schedules import Schedule

LENGTH, BATCH, STEPS, VALIDATION, ROUNDS = 1000, 128, 3, 128, 3


@dataclass(frozen=True)
class Epochs:
    """Median processor seconds.

    Attributes:
        ours: an epoch of this suite's loop, validation included.
        published: of the published loop.
        ours_training: of this suite's loop, validation left out.
        published_training: of the published loop.
    """

    ours: float
    published: float
    ours_training: float
    published_training: float


def epochs(*, batch_norm: bool) -> Epochs:
    """Both loops in turns, on the same data and network."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder) / "data")
        ways = {"ours": _ours(dataset, batch_norm), "published": _published(dataset, batch_norm)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(ROUNDS + 1):
            for name, epoch in ways.items():
                taken = epoch()
                if turn:  # the first is for warming up
                    found[name].append(taken)
    whole = {name: statistics.median(t for t, _ in taken) for name, taken in found.items()}
    training = {name: statistics.median(t for _, t in taken) for name, taken in found.items()}
    return Epochs(whole["ours"], whole["published"], training["ours"], training["published"])


def _dataset(folder: Path) -> Dataset:
    count = STEPS * BATCH + VALIDATION
    generator = np.random.default_rng(0)
    split = np.where(np.arange(count) < STEPS * BATCH, TRAIN, VALID).astype(np.uint8)
    with DatasetWriter(folder) as writer:
        codes = generator.integers(0, 4, (count, LENGTH)).astype(np.uint8)
        writer.append(codes, (np.arange(count) % 2 == 0).astype(np.float32), split)
        writer.attribute(np.empty(0, dtype=np.int64))
        writer.finish()
    return load_dataset(folder)


def _network(batch_norm: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = f"three-conv:batch_norm={str(batch_norm).lower()}"
    task = registry.build("task", "binary")
    return registry.build("architecture", spec).build(
        task.network_shape(LENGTH, {"label": ()}), "paper"
    )


def _ours(dataset: Dataset, batch_norm: bool) -> Callable[[], tuple[float, float]]:
    prior = load_prior("fourier")
    trainer = Trainer(
        _network(batch_norm),
        registry.build("task", "binary"),
        Regularisation(prior.parts(1.0, "binary"), load_attribution("input-x-gradient")),
        dataset,
        schedule=Schedule(epochs=1, batch_size=BATCH),
        streams=RandomStreams(0, ("loop",), 0),
    )

    def epoch() -> tuple[float, float]:
        started = time.process_time()
        done = trainer.epoch(0)
        return time.process_time() - started, done.seconds_per_step * STEPS

    return epoch


def _published(dataset: Dataset, batch_norm: bool) -> Callable[[], tuple[float, float]]:
    model, prior = _network(batch_norm), load_prior("fourier")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    sets = []
    for split in (TRAIN, VALID):
        rows = dataset.rows(split)
        sets.append((one_hot(dataset.codes(rows)), torch.from_numpy(_labels(dataset, rows))))
    generator = np.random.default_rng(0)

    def loss(sequence: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        sequence.requires_grad_()
        logit = model(sequence)[:, 0]
        (gradient,) = torch.autograd.grad(logit.sum(), sequence, create_graph=True)
        positive = label == 1
        observed = (gradient * sequence).sum(dim=1)[positive]
        attribution = Attribution(gradient[positive], observed)
        penalty = prior.penalty(attribution, Batch(sequence[positive], label[positive])).mean()
        return F.binary_cross_entropy_with_logits(logit, label) + penalty

    def batches(split: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        sequence, label = sets[split]
        for rows in torch.from_numpy(generator.permutation(len(label))).split(BATCH):
            batch = sequence[rows]
            flip = torch.from_numpy(generator.random(len(rows)) < 0.5)
            batch[flip] = batch[flip].flip(1, 2)
            yield batch, label[rows]

    def epoch() -> tuple[float, float]:
        started = time.process_time()
        for batch in batches(0):
            optimiser.zero_grad()
            loss(*batch).backward()
            optimiser.step()
        trained = time.process_time()
        for batch in batches(1):
            loss(*batch).detach().item()
        return time.process_time() - started, trained - started

    return epoch


def _labels(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    return dataset.columns["label"].take(rows)


def main() -> None:
    torch.set_num_threads(1)
    for batch_norm in [name == "with" for name in sys.argv[1:]] or (False, True):
        found = epochs(batch_norm=batch_norm)
        print(f"batch norm {batch_norm}: {found}")


if __name__ == "__main__":
    main()
