"""Small datasets, and the rules that hold for every test."""

import copy
import gc
import os
from dataclasses import replace

import pytest
from markupsafe import Markup

# Threads of tests that run side by side hinder each other. numba's own, where it may have any, are
# torch's too after a search for motifs.
os.environ |= dict.fromkeys(
    [f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")], "1"
)

from fixtures.datasets import simulate
from fixtures.places import LONGEST_FIRST, TESTS
from fixtures.runs import in_processes, in_this_process

from priorbench.autograd.split import routes
from priorbench.components import registry
from priorbench.data.dataset import Dataset
from priorbench.evaluation import reference_scores, scoring
from priorbench.metrics import METRICS
from priorbench.training.schedules import SCHEDULES


def pytest_collection():
    """Look for no garbage among modules and tests, which stay: it takes a third of collection."""
    gc.disable()


def pytest_collection_modifyitems(items):
    """Begin with what takes longest: begun last, the other workers would wait for it."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish():
    """Leave modules and tests out of the search for garbage, which every trial makes."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _trials_in_this_process():
    with in_this_process():
        yield


@pytest.fixture(scope="session", autouse=True)
def _parts_of_small_batches():
    """Take batches of a few examples apart, which gain nothing by it, as if they were large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "FEWEST_NUMBERS", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _references_of_a_dataset_are_computed_once():
    """Most runs of these tests are of a few datasets, whose references take a fifth of a run."""
    compute = reference_scores.reference_scores
    scores = {}

    def remembered(dataset, task):
        key = repr(dataset.meta), repr(task), scoring.metrics_digest(), *METRICS
        if key not in scores:
            scores[key] = compute(dataset, task)
        return copy.deepcopy(scores[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_scores, "reference_scores", remembered)
        yield


@pytest.fixture(scope="session", autouse=True)
def _coarse_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("priorbench.reports._shared.figures.files._DPI", 40)
        yield


@pytest.fixture(scope="module")
def one_epoch():
    """Train for one epoch at smoke scale, where it does not matter what a network has learnt.

    A module names it in its ``pytestmark``, and trains in this process alone.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCHEDULES, "smoke", replace(SCHEDULES["smoke"], epochs=1))
        yield


@pytest.fixture(scope="module")
def sketches():
    """Leave figures of attributions empty, most of a report's time, where nobody looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "priorbench.reports.attributions.draw",
            lambda scene, label: Markup('<svg role="img" aria-label="{}"></svg>').format(label),
        )
        yield


@pytest.fixture
def worker_processes():
    """Train the trials of this test in processes of their own."""
    with in_processes():
        yield


@pytest.fixture(autouse=True)
def _no_plugins_left():
    yield
    registry.forget_plugins()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Dataset:
    """The binary task's simulated data at smoke scale."""
    return simulate(tmp_path_factory.mktemp("data") / "binary")
