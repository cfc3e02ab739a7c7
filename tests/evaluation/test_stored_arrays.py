"""Arrays that a trial stores: what they hold, and what is lost when they are packed."""

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, build_network

from priorbench.attribution.explainers.subject import Explanation
from priorbench.components import registry
from priorbench.evaluation.measure import collapse_of_attribution, write_arrays
from priorbench.evaluation.stored_arrays import (
    explain,
    pack_explanation,
    pack_predictions,
    read_arrays,
    stored_attribution,
    unpack,
)
from priorbench.training.batches import load_batch

TASK = registry.build("task", "binary")


def test_stored_attributions_are_those_of_the_attributed_rows(simulated):
    model = build_network().eval()
    attribution = explain(model, TASK, simulated, CPU, "input-x-gradient").attribution
    row = 7
    batch = load_batch(simulated, simulated.attributed[row : row + 1], CPU)
    sequence = batch.sequence.requires_grad_()
    (gradient,) = torch.autograd.grad(model(sequence)[0, 0], sequence)
    expected = (gradient * sequence).sum(dim=1)[0].detach().numpy()
    assert attribution.shape == simulated.truth.shape
    assert attribution[row] == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected).max() > 1e-4


def test_packed_attributions_keep_three_digits_at_any_scale(simulated, tmp_path):
    track = np.random.default_rng(0).normal(size=simulated.truth.shape).astype(np.float32) * 1e-6
    explanation = Explanation(torch.from_numpy(track), torch.zeros(len(track)))
    packed = pack_explanation("gradient", explanation)
    packed |= pack_predictions({"logit": np.ones(200, np.float32)})
    np.savez(tmp_path / "arrays.npz", **packed)
    arrays = unpack(read_arrays((tmp_path / "arrays.npz").read_bytes()), "gradient", simulated, {})
    assert arrays.sums[0] == pytest.approx(track.sum(axis=1, dtype=np.float64))
    assert arrays.attribution == pytest.approx(track, rel=1e-3, abs=1e-9)
    assert arrays.label.shape == arrays.prediction["logit"].shape


def test_packed_attributions_keep_three_digits_in_every_row(simulated):
    track = np.random.default_rng(0).normal(size=simulated.truth.shape).astype(np.float32)
    track *= np.logspace(-30, 0, len(track), dtype=np.float32)[:, None]
    track[3], track[5, 7], track[6, 2] = 0, np.nan, np.inf
    packed = pack_explanation("gradient", Explanation(torch.from_numpy(track), None))
    back = stored_attribution(packed, "gradient")
    assert back.dtype == np.float32
    assert not back[3].any()
    assert np.isnan(back[5, 7])
    assert np.isposinf(back[6, 2])
    kept = np.isfinite(track)
    track, back = np.where(kept, track, 0), np.where(kept, back, 0)
    assert (np.abs(back - track) <= 5e-4 * np.abs(track).max(axis=1, keepdims=True)).all()


def test_attributions_with_one_scale_for_all_rows_are_read_as_before():
    fraction = np.array([[1, -0.5], [0.25, 0]], dtype=np.float16)
    stored = {"attribution.gradient": fraction, "scale.gradient": np.asarray(np.float32(3))}
    back = stored_attribution(stored, "gradient")
    assert back.dtype == np.float32
    assert back.tolist() == [[3, -1.5], [0.75, 0]]


def test_a_saturated_output_does_not_make_a_trial_collapse():
    track = np.ones((10, 4), np.float32)
    track[:6] = 1e-12
    packed = pack_explanation("gradient", Explanation(torch.from_numpy(track), None))
    assert collapse_of_attribution(stored_attribution(packed, "gradient"), "gradient") == ""
    track[:6] = 0
    packed = pack_explanation("gradient", Explanation(torch.from_numpy(track), None))
    assert "vanished" in collapse_of_attribution(stored_attribution(packed, "gradient"), "gradient")


def test_nothing_is_stored_beside_the_arrays(tmp_path):
    write_arrays(tmp_path / "arrays.npz", {"a": np.zeros(2, dtype=np.float32)})
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as stored:
        assert stored.files == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["arrays.npz"]
