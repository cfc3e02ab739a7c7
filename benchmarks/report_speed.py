"""Seconds and memory that the report of 10,000 trials takes, on results made up for it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers import Explanation
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.components.metric import Metric
from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.evaluation.scoring import RANDOM
from priorbench.evaluation.stored_arrays import pack_explanation, pack_predictions
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.results.tables import as_csv
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.study import make_study, read_toml

PRIORS = ("none", "fourier", "tv", "l1", "l2", "gini", "dropout", "weight-l2", "exponential")
PRIORS += ("input-noise",)
DATASETS, SEEDS, LENGTH, ROWS = 20, 50, 150, 40
_SPEC = "input-x-gradient"
_REPORT = """
import resource, sys
from pathlib import Path
from priorbench.reports import write_report
write_report([Path(sys.argv[1])], Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@dataclass(frozen=True)
class ReportTiming:
    """What the report took.

    Attributes:
        trials: how many it is about.
        comparing: seconds that comparisons of these results take, for comparison.
        seconds: of the report, start of the process included.
        peak_gb: peak resident memory of its process.
        page_mb: size of the page.
    """

    trials: int
    comparing: float
    seconds: float
    peak_gb: float
    page_mb: float


def timed_report(datasets: int = DATASETS, seeds: int = SEEDS) -> ReportTiming:
    """Time the report of a run of made-up results.

    Args:
        datasets: of the binary task, each a setting of its own.
        seeds: of every prior.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "run"
        comparing = make_run(root, datasets, seeds)
        page = Path(name) / "report.html"
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _REPORT, str(root), str(page)],
            check=True,
            capture_output=True,
            text=True,
        )
        elapsed = time.perf_counter() - started
        return ReportTiming(
            trials=datasets * len(PRIORS) * seeds,
            comparing=comparing,
            seconds=elapsed,
            peak_gb=float(done.stdout.split()[-1]),
            page_mb=page.stat().st_size / 1e6,
        )


def make_run(root: Path, datasets: int, seeds: int) -> float:
    """A finished run directory of made-up results; seconds that its comparisons took."""
    root.mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [f"set{i:02d}" for i in range(datasets)]
    _write_study(root, names, seeds)
    for name in names:
        _write_dataset(root / "data" / name, name, generator)
    trials = list(_trials(names, seeds))
    for trial in trials:
        _write_trial(root, trial, generator)
    pd.DataFrame({"trial": [trial["trial"] for trial in trials]}).to_csv(
        root / "plan.csv", index=False
    )
    results = _results(trials, names, generator)
    (root / "results.csv").write_text(as_csv(results))
    started = time.perf_counter()
    claims = claims_of(read_toml(root / "study.toml"))
    _compare(root, results, claims)
    return time.perf_counter() - started


def _write_study(root: Path, names: list[str], seeds: int) -> None:
    primary = {"prediction": "auroc", "localisation": "motif-auprc", "stability": "seed-cosine"}
    study = {
        "name": "made up",
        "priors": list(PRIORS),
        "seeds": list(range(seeds)),
        "tasks": ["binary"],
        "weights": {prior: {"binary": 0.5} for prior in PRIORS},
        "attributions": [_SPEC],
        "primary": {"binary": primary},
        "margins": {"auroc": 0.005},
    }
    (root / "study.toml").write_text(make_study(study, where="benchmark").to_toml())
    environment = {"datasets": {f"binary/{name}": f"data/{name}" for name in names}}
    (root / "environment.json").write_text(json.dumps(environment))


def _write_dataset(folder: Path, name: str, generator: np.random.Generator) -> None:
    count = 3 * ROWS
    split = np.repeat(np.array([TRAIN, VALID, TEST], dtype=np.uint8), ROWS)
    truth = np.zeros((ROWS, LENGTH), dtype=np.uint8)
    truth[:, 60:72] = MOTIF
    with DatasetWriter(folder) as writer:
        codes = generator.integers(0, 4, (count, LENGTH)).astype(np.uint8)
        writer.append(codes, (np.arange(count) % 2).astype(np.float32), split)
        known = (truth, (truth == MOTIF).astype(np.float32))
        writer.attribute(np.arange(2 * ROWS, count), *known)
        writer.finish(task="binary", name=name)


def _trials(names: list[str], seeds: int) -> Iterator[dict[str, object]]:
    for name in names:
        for prior in PRIORS:
            for seed in range(seeds):
                yield {
                    "trial": f"{name}-{prior}-{seed}",
                    "stage": "evaluate",
                    # one in a hundred fails
                    "status": "failed" if (seed + len(prior)) % 100 == 7 else "done",
                    "task": "binary",
                    "dataset": name,
                    "architecture": "three-conv",
                    "prior": prior,
                    "weight": 0.0 if prior == "none" else 0.5,
                    "seed": seed,
                }


def _write_trial(root: Path, trial: Mapping[str, object], generator: np.random.Generator) -> None:
    folder = root / "trials" / str(trial["trial"])
    folder.mkdir(parents=True)
    done = trial["status"] == "done"
    record = {**trial, "reason": "" if done else "RuntimeError: made up", "flags": []}
    (folder / "record.json").write_text(json.dumps(record))
    if done:
        track = generator.standard_normal((ROWS, LENGTH), dtype=np.float32)
        track[:, 60:72] += 1
        logit = {"logit": generator.standard_normal(ROWS).astype(np.float32)}
        explained = pack_explanation(_SPEC, Explanation(torch.from_numpy(track)))
        np.savez(folder / "arrays.npz", **pack_predictions(logit), **explained)


def _measured() -> list[Metric]:
    """What a run of the binary task measures without motif discovery."""
    left_out = ("profile", "count", "suboptimal", "motif-", "motifs")
    return [
        metric
        for name, metric in METRICS.items()
        if not name.startswith(left_out) or name == "motif-auprc"
    ]


def _results(
    trials: list[dict[str, object]], names: list[str], generator: np.random.Generator
) -> pd.DataFrame:
    metrics = _measured()
    table = pd.DataFrame(trials)
    better = table["prior"].map({prior: i for i, prior in enumerate(PRIORS)}) / 500
    parts = []
    for metric in metrics:
        values = 0.7 + better + generator.normal(0, 0.02, len(table))
        parts.append(table.assign(**_of(metric), value=values.where(table["status"] == "done")))
    floor = {"stage": "reference", "status": "done", "task": "binary", "prior": RANDOM}
    for name in names:
        setting = {**floor, "trial": "", "dataset": name, "architecture": "three-conv"}
        rows = [{**setting, **_of(metric), "value": 0.5} for metric in metrics[:6]]
        parts.append(pd.DataFrame(rows))
    whole = pd.concat(parts, ignore_index=True)
    return whole[RESULT_COLUMNS].astype({"seed": "Int64"})


def _of(metric: Metric) -> dict[str, object]:
    return {
        "metric": metric.name,
        "axis": metric.axis,
        "attribution": _SPEC if metric.of_attribution else "",
        "higher_is_better": metric.higher_is_better,
    }


def _agreement(trials: pd.DataFrame, metric: Metric, attribution: str) -> NDArray[np.float64]:
    """Of attributions that were never made: as if runs of a prior agreed a little."""
    same = trials["prior"].to_numpy()[:, None] == trials["prior"].to_numpy()[None, :]
    noise = np.random.default_rng(len(trials)).normal(0, 0.05, same.shape)
    return np.where(same, 0.3, 0.25) + (noise + noise.T) / 2


def _compare(root: Path, results: pd.DataFrame, claims: DeclaredClaims) -> None:
    pairs = paired_runs(results, _agreement, claims.baseline)
    (root / "comparisons.csv").write_text(as_csv(compare_pairs(pairs, claims)))
    (root / "across.csv").write_text(as_csv(compare_across(pairs, claims)))


if __name__ == "__main__":
    print(timed_report(*map(int, sys.argv[1:])))
