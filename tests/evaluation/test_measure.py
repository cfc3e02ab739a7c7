"""When a trained network counts as collapsed, and what measuring leaves behind."""

import os
import subprocess
import sys

import numpy as np
import pytest
from fixtures.networks import CPU, build_network
from fixtures.places import TESTS

from priorbench.components import registry
from priorbench.evaluation import measure
from priorbench.evaluation.measure import (
    collapse_of_attribution,
    collapse_of_predictions,
    write_arrays,
)
from priorbench.evaluation.stored_arrays import stored_attribution
from priorbench.execution.score_again import needs_scoring
from priorbench.metrics.tools.motif_set import MotifSet
from priorbench.study.study import Measurements


def test_collapse_names_its_reason():
    varied, track = np.linspace(0, 1, 10, dtype=np.float32), np.ones((4, 5), dtype=np.float32)
    mostly_zero = track.copy()
    mostly_zero[:3] = 0
    predicted, attributed = collapse_of_predictions, collapse_of_attribution
    assert predicted({"logit": varied}) == ""
    assert predicted({"logit": np.full(10, 0.3)}) == "predictions are constant"
    assert predicted({"logit": varied * np.nan}) == "a prediction is not finite"
    assert attributed(track, "gradient") == ""
    assert attributed(track * np.inf, "gradient") == "an attribution is not finite (gradient)"
    assert attributed(track * np.nan, "gradient") == "an attribution is not finite (gradient)"
    assert "vanished" in attributed(mostly_zero, "gradient")
    assert attributed(mostly_zero[2:], "gradient") == ""  # half of them


def test_an_undefined_score_of_an_example_is_no_collapse():
    varied = np.linspace(0, 1, 10, dtype=np.float32)
    without_reads = varied.copy()
    without_reads[3] = np.nan
    assert collapse_of_predictions({"nll": varied, "jsd": without_reads}) == ""
    assert collapse_of_predictions({"nll": without_reads, "jsd": without_reads}) != ""
    outputs = np.stack([varied, without_reads], axis=1)
    assert collapse_of_predictions({"logit": outputs}) == "a prediction is not finite"
    flat, nowhere = np.full(10, 0.3), np.full(10, np.nan)
    assert collapse_of_predictions({"nll": flat, "jsd": nowhere}) == "predictions are constant"
    assert collapse_of_predictions({"nll": flat, "jsd": without_reads}) == ""


SCORES_MOTIFS = """
import sys
from pathlib import Path
import numba
import torch
from fixtures.datasets import simulate
from fixtures.networks import CPU, build_network
from priorbench.components import registry
from priorbench.evaluation import measure
from priorbench.evaluation.modisco import pack_motifs
from priorbench.metrics.tools.motif_set import FoundMotif, MotifSet
from priorbench.study.study import Measurements

assert numba.config.NUMBA_NUM_THREADS == 2
dataset, task, spec = simulate(Path(sys.argv[1])), registry.build("task", "binary"), "gradient"
trained = measure.TrainedModel(build_network().eval(), task, dataset, "smoke", CPU)
stored = measure.measure(trained, Measurements([spec], discovery=False)).arrays
(motif, *_) = dataset.motifs.values()
# what TF-MoDISco finds is there already
stored = {**stored, **pack_motifs(spec, MotifSet([FoundMotif(motif, 50, 1)], True))}
threads, score_model = [], measure.scoring.score_model

def noting_threads(probe):
    threads.append(torch.get_num_threads())
    return score_model(probe)

measure.scoring.score_model = noting_threads
torch.set_num_threads(1)
scores = measure.measure(trained, Measurements([spec], discovery=True), stored).metrics[spec]
assert scores["motif-recall"] == 1
assert (threads, torch.get_num_threads()) == ([1], 1)
"""


@pytest.mark.slow
def test_matching_motifs_leaves_torch_its_one_thread(tmp_path):
    # here numba has one thread anyway (conftest.py)
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", SCORES_MOTIFS, str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_arrays_are_stored_in_the_same_bytes_whenever_they_are(tmp_path, monkeypatch):
    arrays = {"prediction.logit": np.arange(6.0), "scale.a:b=1": np.float32(2)}
    write_arrays(tmp_path / "first.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(tmp_path / "second.npz", arrays)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with np.load(tmp_path / "first.npz", allow_pickle=False) as stored:
        assert set(stored) == set(arrays)
        assert all((stored[name] == array).all() for name, array in arrays.items())


def test_motifs_are_not_looked_for_where_there_are_no_hypothetical_contributions(
    simulated, monkeypatch
):
    searched = []

    def search(codes, every_base, *, both_strands):
        searched.append(every_base)
        return MotifSet((), both_strands)

    monkeypatch.setattr(measure, "discover", search)
    task, names = registry.build("task", "binary"), ["gradient", "simplex-gradient"]
    trained = measure.TrainedModel(build_network().eval(), task, simulated, "smoke", CPU)
    measured = measure.measure(trained, Measurements(names, discovery=True))
    (every_base,) = searched
    assert every_base.shape == (len(simulated.attributed), 4, simulated.length)
    stored = stored_attribution(measured.arrays, "simplex-gradient")
    one_hot = simulated.codes(simulated.attributed)[:, None] == np.arange(4)[:, None]
    observed = (one_hot * every_base).sum(axis=1)
    np.testing.assert_allclose(observed, stored, atol=1e-3 * np.abs(stored).max())
    assert "motifs-found" in measured.metrics["simplex-gradient"]
    assert "motifs-found" not in measured.metrics["gradient"]
    assert [flag for flag in measured.flags if "no motifs are looked for" in flag] == [
        "gradient: does not depend on the observed base, so that it has no hypothetical "
        "contributions, and no motifs are looked for in it"
    ]
    record = {"status": "done", **measured.as_record()}
    assert not needs_scoring(record, Measurements(names, discovery=True))


def test_attributions_of_all_four_bases_are_kept_where_they_are_asked_for(simulated):
    task, names = registry.build("task", "binary"), ["gradient", "input-x-gradient"]
    trained = measure.TrainedModel(build_network().eval(), task, simulated, "smoke", CPU)
    without = measure.measure(trained, Measurements(names))
    wanted = Measurements(names, keep_hypothetical=True)
    kept = measure.measure(trained, wanted)
    assert set(kept.arrays) - set(without.arrays) == {"hypothetical.input-x-gradient"}
    every_base = kept.arrays["hypothetical.input-x-gradient"]
    assert every_base.shape == (len(simulated.attributed), 4, simulated.length)
    assert every_base.dtype == np.float32
    for spec, scores in kept.metrics.items():
        for name, value in scores.items():
            before = without.metrics[spec][name]
            if name in ("matrix-cosine", "matrix-cosine-centred", "kmer-consistency"):
                assert np.isnan(before)
                assert np.isfinite(value) == (spec == "input-x-gradient")
            else:
                np.testing.assert_equal(value, before)
    assert any("gradient: does not depend" in f and "none are kept" in f for f in kept.flags)
    records = [{"status": "done", **m.as_record()} for m in (without, kept)]
    assert [needs_scoring(record, wanted) for record in records] == [True, False]
    assert not any(needs_scoring(record, Measurements(names)) for record in records)
    again = measure.measure(trained, wanted, kept.arrays)
    assert again.arrays["hypothetical.input-x-gradient"] is every_base
