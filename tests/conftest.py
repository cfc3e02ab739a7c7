"""Small datasets and runs that tests share."""

import pytest
import torch
from fixtures.datasets import simulate

from priorbench.components import registry
from priorbench.data.dataset import Dataset, load_dataset

torch.set_num_threads(1)  # networks this small are slowed by a second thread; so are busy machines


@pytest.fixture(autouse=True)
def _no_plugins_left():
    yield
    registry.forget_plugins()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Dataset:
    """The binary task's simulated data at smoke scale."""
    return load_dataset(simulate(tmp_path_factory.mktemp("data") / "binary"))
