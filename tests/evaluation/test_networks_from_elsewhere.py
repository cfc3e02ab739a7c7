"""A network of ours that a user's code builds is explained as it is, by every attribution."""

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, WINDOW, build_network

from priorbench.attribution.explainers import EXPLAINERS
from priorbench.components import registry
from priorbench.evaluation.stored_arrays import explain, predict
from priorbench.user_models.factory import load_factory
from priorbench.user_models.network import build_network as build_own


@pytest.fixture(scope="module")
def both():
    """A network as our architecture builds it, and as it comes from a user, with its weights."""
    ours = build_network(seed=3).eval()
    theirs = build_own(load_factory("fixtures.user_networks:of_shape"), WINDOW, "B4L")
    theirs.network.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.fixture(scope="module")
def turned(both):
    """The same weights in a network that takes (B, L, 4) and returns (B,)."""
    network = build_own(load_factory("fixtures.user_networks:Lettered"), WINDOW, "BL4")
    network.network.inner.load_state_dict(both[0].state_dict())
    return network


@pytest.mark.parametrize("attributed", ["logit", "probability"])
@pytest.mark.parametrize("spec", EXPLAINERS)
def test_every_attribution_is_the_same_to_the_last_bit(both, simulated, spec, attributed):
    task = registry.build("task", f"binary:attributed={attributed}")
    ours, theirs = (explain(model, task, simulated, CPU, spec) for model in both)
    assert torch.equal(ours.attribution, theirs.attribution)
    assert ours.attribution.abs().max() > 0


@pytest.mark.parametrize("spec", EXPLAINERS)
def test_another_layout_changes_nothing_but_rounding(both, turned, simulated, spec):
    task = registry.build("task", "binary")
    ours, theirs = (explain(m, task, simulated, CPU, spec).attribution for m in (both[0], turned))
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-4)


def test_predictions_are_the_same(both, turned, simulated):
    task = registry.build("task", "binary")
    ours, theirs, other = (
        predict(model, task, simulated, CPU)["logit"] for model in (*both, turned)
    )
    assert np.array_equal(ours, theirs)
    assert other == pytest.approx(ours, abs=1e-6)
