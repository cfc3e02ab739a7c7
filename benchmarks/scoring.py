"""Seconds and memory that scoring a trial takes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measuring import Row, in_new_process, three_conv

from priorbench.components import registry
from priorbench.components.architecture import Scale
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.evaluation.measure import TrainedModel, measure
from priorbench.study.study import Measurements


def scoring(*, quick: bool = False) -> Iterator[Row]:
    """Time predictions, attributions and scores of a trial of the binary task, by scale."""
    for scale in ("smoke",) if quick else ("quick", "standard", "paper"):
        yield {"scale": scale, **in_new_process(scored, scale)}


def scored(scale: Scale) -> Iterator[None]:
    task = registry.build("task", "binary")
    with tempfile.TemporaryDirectory() as folder:
        with DatasetWriter(Path(folder) / "data") as writer:
            task.simulate(writer, scale, np.random.default_rng(0))
            writer.finish(task="binary", name="simulated")
        data = load_dataset(Path(folder) / "data")
        network = three_conv(data.length, scale).eval()
        yield
        model = TrainedModel(network, task, data, scale, torch.device("cpu"))
        measure(model, Measurements(["input-x-gradient"], discovery=False))
