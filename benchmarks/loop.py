"""Training with the Fourier prior: the suite's loop and the published one.

The published loop is written after its description (Tseng, Shrikumar & Kundaje 2020): one-hot data,
the whole batch differentiated, torch's Adam as it comes; and a validation pass in training mode
that attributes too, as epochs were chosen by prediction loss and prior loss together. The suite's
is the one that trials run: codes, both strands, hashes of the order, validation in eval mode.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import Row, in_turns, optimised, published_loss, regularised, three_conv

from priorbench import Batch, load_prior
from priorbench.components import registry
from priorbench.data.codes import TRAIN, VALID
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.training.batches import epoch_order
from priorbench.training.loop import Trainer
from priorbench.training.progress import TrainingProgress
from priorbench.training.schedules import Schedule

BATCH, TRAINING, VALIDATION, ROUNDS = 128, 384, 128, 3


def loop(*, quick: bool = False) -> Iterator[Row]:
    """Time an epoch of the published training loop over one of the suite's, Fourier prior on."""
    with tempfile.TemporaryDirectory() as folder:
        length, scale = (120, "quick") if quick else (1000, "paper")
        dataset = _dataset(Path(folder) / "data", length)
        for batch_norm, goal in ((False, 1.4), (True, 1.3)):
            networks = (three_conv(length, scale, batch_norm=batch_norm) for _ in range(2))
            ways = _suite(dataset, next(networks)) | _published(dataset, next(networks))
            seconds = in_turns(ways, ROUNDS)
            yield {
                "network": f"{'with' if batch_norm else 'without'} batch norm",
                "training": seconds["published, training"] / seconds["suite, training"],
                "with validation": seconds["published, epoch"] / seconds["suite, epoch"],
                "goal": goal,
            }


def _dataset(folder: Path, length: int) -> Dataset:
    place = np.arange(TRAINING + VALIDATION)
    with DatasetWriter(folder) as writer:
        codes = np.random.default_rng(0).integers(0, 4, (len(place), length)).astype(np.uint8)
        split = np.where(place < TRAINING, TRAIN, VALID).astype(np.uint8)
        writer.append(codes, (place % 2 == 0).astype(np.float32), split)
        writer.attribute(np.empty(0, dtype=np.int64))
        writer.finish()
    return load_dataset(folder)


def _suite(dataset: Dataset, network: torch.nn.Module) -> dict[str, Callable[[], object]]:
    task, streams = registry.build("task", "binary"), RandomStreams(0, ("loop",), 0)
    schedule, added = Schedule(epochs=1, batch_size=BATCH), regularised("fourier", "binary")
    trainer = Trainer(network, task, added, dataset, schedule=schedule, streams=streams)

    def training() -> None:
        deque(trainer.steps(0, epoch_order(dataset, task, streams, 0)), maxlen=0)

    def epoch() -> None:
        trainer.epoch(0, TrainingProgress(schedule))

    return {"suite, training": training, "suite, epoch": epoch}


def _published(dataset: Dataset, network: torch.nn.Module) -> dict[str, Callable[[], object]]:
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    generator, prior, data = np.random.default_rng(0), load_prior("fourier"), {}
    for split in (TRAIN, VALID):
        rows = dataset.rows(split)
        label = torch.from_numpy(dataset.columns["label"].take(rows))
        data[split] = Batch(one_hot(dataset.codes(rows)), label)

    def batches(split: int) -> Iterator[Batch]:
        order = torch.from_numpy(generator.permutation(len(data[split].label)))
        for rows in order.split(BATCH):
            batch = data[split].select(rows)
            flip = torch.from_numpy(generator.random(len(rows)) < 0.5)
            batch.sequence[flip] = batch.sequence[flip].flip(1, 2)
            yield batch

    def training() -> None:
        for batch in batches(TRAIN):
            optimised(partial(published_loss, network, prior, batch), optimiser)()

    def epoch() -> None:
        training()
        for batch in batches(VALID):
            published_loss(network, prior, batch).item()

    return {"published, training": training, "published, epoch": epoch}
