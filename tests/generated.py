"""Run directories made by hand: nothing is trained."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch

from priorbench.attribution.explainers import Explanation
from priorbench.comparison.within_dataset import compare
from priorbench.components import registry
from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.stored_arrays import pack_explanation, pack_predictions
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.study.declared import DeclaredClaims
from priorbench.study.study import make_study

EVIL = "<script>alert(1)</script>"
MEASURED = ("auroc", "motif-auprc", "seed-cosine", "high-frequency")


SCORED = "input-x-gradient"
PRIMARY = {"prediction": "auroc", "localisation": "motif-auprc", "stability": "seed-cosine"}
CLAIMS = DeclaredClaims({"binary": PRIMARY}, {"auroc": 0.005}, attribution=SCORED)


def write_dataset(folder, *, length, truth):
    generator = np.random.default_rng(0)
    split = np.repeat(np.array([TRAIN, VALID, TEST], dtype=np.uint8), [8, 4, 6])
    sequence = generator.integers(0, 5, (18, length)).astype(np.uint8)
    codes = np.zeros((6, length), dtype=np.uint8)
    codes[:, length // 2 : length // 2 + 5] = MOTIF
    with DatasetWriter(folder) as writer:
        writer.append(sequence, np.tile([0, 1], 9).astype(np.float32), split)
        known = (codes, (codes == MOTIF).astype(np.float32)) if truth else ()
        writer.attribute(np.arange(12, 18), *known)
        writer.finish(task="binary", name="simulated")


def pack(logit, attribution):
    """Arrays of a trial, as the engine stores them."""
    found = Explanation(torch.from_numpy(attribution))
    return pack_predictions({"logit": logit}) | pack_explanation(SCORED, found)


def spec_of(metric):
    return SCORED if METRICS[metric].of_attribution else ""


def score(metric, prior, seed):
    if METRICS[metric].scope == "seeds" and seed is None:
        return np.nan
    return 0.5 + 0.05 * prior + 0.002 * (seed or 0) ** 2


def make_run(
    root, priors, seeds, *, failed=(), truth=True, name="study", length=40, data="d", numbers=None
):
    """A run directory; ``failed`` are pairs of prior and seed.

    The number of a prior decides its trials' ids, scores and attributions: its place among the
    priors, unless ``numbers`` says otherwise.
    """
    numbers = numbers or {prior: k for k, prior in enumerate(priors)}
    study = {"name": name, "question": f"Is {EVIL} asked?", "priors": list(priors)}
    weights = {prior: {"binary": 1.0} for prior in priors}
    study |= {"seeds": list(seeds), "tasks": ["binary"], "scale": "smoke", "weights": weights}
    study |= {"attributions": [SCORED], "primary": {"binary": PRIMARY}}
    root.mkdir()
    (root / "study.toml").write_text(make_study(study, where="test").to_toml())
    environment = {
        "python": "3.11",
        "packages": {"torch": "2"},
        "command": f"priorbench run --out '{EVIL}'",
        "datasets": {"binary/simulated": f"data/{data}"},
        "notes": {"binary/simulated": [f"{EVIL} was dropped"]},
    }
    (root / "environment.json").write_text(json.dumps(environment))
    write_dataset(root / "data" / data, length=length, truth=truth)
    rows = [
        row
        for seed in seeds
        for prior in priors
        for row in write_trial(root, prior, numbers[prior], seed, (prior, seed) in failed, length)
    ]
    plan = pd.DataFrame({"trial": list(dict.fromkeys(row[0] for row in rows))})
    plan.to_csv(root / "plan.csv", index=False)
    rows += reference_rows(load_dataset(root / "data" / data))
    results = pd.DataFrame(rows, columns=RESULT_COLUMNS).astype({"seed": "Int64"})
    if not truth:
        results.loc[results["metric"] == "motif-auprc", "value"] = np.nan
    results.to_csv(root / "results.csv", index=False)
    compare(results, unrelated, CLAIMS).to_csv(root / "comparisons.csv", index=False)
    return root


def unrelated(trials, metric, attribution):
    """Trials that agree with themselves only, and a little with their seed."""
    seeds = trials["seed"].to_numpy(dtype=float)
    return np.eye(len(trials)) + 0.01 * np.minimum.outer(seeds, seeds)


def write_trial(root, prior, k, seed, failed, length):
    trial = f"{k}x{seed}"
    folder = root / "trials" / trial
    folder.mkdir(parents=True)
    status = "failed" if failed else "done"
    setting = ["binary", "simulated", "three-conv"]
    record = dict(zip(("task", "dataset", "architecture"), setting, strict=True))
    record |= {"trial": trial, "prior": prior, "weight": 1.0, "seed": seed, "stage": "evaluate"}
    record |= {"scale": "smoke", "root_seed": 0, "device": "cpu", "code": prior, "scored_by": "s"}
    record |= {"status": status, "reason": f"RuntimeError: {EVIL}" if failed else ""}
    (folder / "record.json").write_text(json.dumps(record))
    if not failed:
        generator = np.random.default_rng([k, seed])
        attribution = generator.standard_normal((6, length)).astype(np.float32)
        logit = generator.standard_normal(6).astype(np.float32)
        np.savez(folder / "arrays.npz", **pack(logit, attribution))
    return [
        (
            *(trial, "evaluate", status, *setting, prior, 1.0, seed),
            *(spec_of(name), name, METRICS[name].axis),
            value,
            up,
        )
        for name in MEASURED
        for value in [np.nan if failed else score(name, k, seed)]
        for up in [METRICS[name].higher_is_better]
    ]


def reference_rows(dataset):
    setting = ("reference", "done", "binary", "simulated", "three-conv")
    return [
        ("", *setting, name, None, None, spec_of(metric), metric, METRICS[metric].axis, value, up)
        for name, scores in reference_scores(dataset, registry.build("task", "binary")).items()
        for metric, value in scores.items()
        for up in [METRICS[metric].higher_is_better]
        if np.isfinite(value)
    ]
