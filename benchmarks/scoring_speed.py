"""Seconds and memory that all metrics take, and in-silico mutagenesis."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_TIMED = """
import resource, time
import numpy as np, tempfile, torch
from pathlib import Path
from priorbench import registry
from priorbench.components.architecture import NetworkShape
from priorbench.components.metric import TrialArrays
from priorbench.data.dataset import TEST, TRAIN, VALID, DatasetWriter, load_dataset
from priorbench.attribution.explainers import InSilicoMutagenesis, Subject, load_explainer
from priorbench.metrics import METRICS
from priorbench.evaluation.model_probe import ModelProbe, ProbedModel, probed_places
from priorbench.evaluation.scoring import score_attribution, score_predictions, score_seeds
from priorbench.data.formats.encoding import one_hot
torch.set_num_threads(1)
task = registry.build("task", "binary")
generator = np.random.default_rng(0)
def network(length):
    torch.manual_seed(0)
    shape = NetworkShape(length)
    return registry.build("architecture", "three-conv").build(shape, "paper").eval()
{work}
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
_METRICS = """
count, length, seeds = 1000, 1000, 10
codes = generator.integers(0, 4, (count, length)).astype(np.uint8)
truth = np.zeros((count, length), dtype=np.uint8)
truth[:, 400:412], truth[:, 600:610] = 1, 2
folder = Path(tempfile.mkdtemp()) / "d"
with DatasetWriter(folder) as writer:
    split = np.full(count, TEST, dtype=np.uint8)
    writer.append(codes, (np.arange(count) % 2).astype(np.float32), split)
    writer.attribute(np.arange(count), truth, (truth == 1).astype(np.float32))
    writer.finish(task="binary", name="benchmark")
data = load_dataset(folder)
tracks = [generator.standard_normal((count, length), dtype=np.float32) for _ in range(seeds)]
model = network(length)
started = time.process_time()
explainer = load_explainer("input-x-gradient")
places = probed_places(data, "paper")
for track in tracks:
    logit = {"logit": generator.standard_normal(count).astype(np.float32)}
    label = data.columns["label"].take(np.arange(count))
    arrays = TrialArrays(logit, label, track, data.truth, data.oracle, {})
    score_predictions(arrays, task.metrics)
    score_attribution(arrays)
    probed = ProbedModel(model, task, data, places=places, device=torch.device("cpu"))
    probe = ModelProbe(probed, explainer, track[places].astype(np.float64))
    for metric in METRICS.values():
        if metric.scope == "model" and metric.name != "mutagenesis-correlation":
            metric.function(probe)
score_seeds(tracks)
"""
_MUTAGENESIS = """
sequence = one_hot(generator.integers(0, 4, (100, 200)).astype(np.uint8), torch.device("cpu"))
subject = Subject(network(200), task.target, sequence)
import tangermeme.saturation_mutagenesis
started = time.process_time()
InSilicoMutagenesis().explain(subject)
"""


@dataclass(frozen=True)
class ScoringTiming:
    """What a piece of work took, on one thread.

    Attributes:
        name: of the work.
        seconds: of processor time, imports left out.
        peak_gb: peak resident memory of the process.
    """

    name: str
    seconds: float
    peak_gb: float


def timings() -> Iterator[ScoringTiming]:
    """All metrics but mutagenesis and discovery, then mutagenesis."""
    for name, work in (
        ("metrics of 10 seeds, 1,000 sequences of 1,000 bp", _METRICS),
        ("mutagenesis of 100 sequences of 200 bp, paper's network", _MUTAGENESIS),
    ):
        done = subprocess.run(
            [sys.executable, "-c", _TIMED.replace("{work}", work)],
            check=True,
            capture_output=True,
            text=True,
        )
        elapsed, peak = map(float, done.stdout.split()[-2:])
        yield ScoringTiming(name, elapsed, peak)
