"""Small datasets and runs that tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch

from priorbench.components import registry
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter

torch.set_num_threads(1)  # networks this small are slowed by a second thread; so are busy machines


@pytest.fixture(autouse=True)
def _no_plugins_left():
    yield
    registry.forget_plugins()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Dataset:
    """The binary task's simulated data at smoke scale."""
    return load_dataset(simulate(tmp_path_factory.mktemp("data") / "binary"))


def simulate(folder: Path, task: str = "binary") -> Path:
    with DatasetWriter(folder) as writer:
        registry.build("task", task).simulate(writer, "smoke", np.random.default_rng(0))
        writer.finish(task=task, name="simulated")
    return folder
