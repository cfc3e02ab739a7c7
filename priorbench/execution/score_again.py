"""Scores a trained trial again where a score is missing, or was computed by other code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from priorbench.attribution.variant_effects import without_effects
from priorbench.components import registry
from priorbench.evaluation import scoring
from priorbench.evaluation.hypothetical import with_every_base
from priorbench.evaluation.measure import measure, write_arrays
from priorbench.evaluation.modisco import without_motifs
from priorbench.evaluation.stored_arrays import read_arrays, without_hypothetical
from priorbench.metrics import METRICS
from priorbench.storage.run_directory import ARRAYS, COLLAPSED, DONE, RunDirectory
from priorbench.study.study import Measurements

from .devices import claim_device
from .job import Job
from .process_state import set_torch
from .stored_model import stored_model


def needs_scoring(record: Mapping[str, Any], measurements: Measurements) -> bool:
    """Return whether a trained trial lacks a score, or has one by other code than the present."""
    metrics, specs = record.get("metrics"), measurements.attributions
    if not metrics:
        return False
    if (
        record.get("scored_by") != scoring.metrics_digest()
        or record.get("probed_by") != scoring.probes_digest()
        or record.get("variants", "") != scoring.effects_digest(measurements.variants)
        or not set(specs) <= set(metrics)
    ):
        return True
    every_base = set(with_every_base(specs))
    current = record.get("discovered_by") == scoring.discovery_digest()
    discovered = current and all("motifs-found" in metrics[spec] for spec in every_base)
    kept = current and every_base <= set(record.get("kept_hypothetical", ()))
    return (measurements.discovery and not discovered) or (
        measurements.keep_hypothetical and not kept
    )


def score_again(job: Job) -> None:
    """Attribute and score what is missing of a trial that was trained before.

    Its arrays and its record are replaced, each whole; the model and what was measured of its
    training stay.

    Raises:
        Exception: whatever goes wrong; then the trial is left as it was.
    """
    set_torch()
    run, trial = RunDirectory(job.run), job.trial.id
    record = run.record(trial)
    assert record is not None
    registry.use_plugins(job.plugins)
    trained = stored_model(job, run, claim_device(job.trial.device, job.run))
    current = record["probed_by"] == scoring.probes_digest()
    probing = {metric.name for metric in METRICS.values() if metric.scope == "model"}
    known = {
        spec: {name: value for name, value in scores.items() if name in probing}
        for spec, scores in record["metrics"].items()
        if spec and current
    }
    stored = read_arrays(run.read_file(trial, ARRAYS)) if current else {}
    if record.get("discovered_by") != scoring.discovery_digest():
        stored = without_hypothetical(without_motifs(stored))
    if record.get("variants", "") != scoring.effects_digest(job.measurements.variants):
        stored = without_effects(stored)
    measured = measure(trained, job.measurements, stored, known)
    new = run.trial(trial) / f".{ARRAYS}.new"
    write_arrays(new, measured.arrays)
    run.replace_file(trial, ARRAYS, new)
    reason = record.get("divergence", "") or measured.reason
    status = COLLAPSED if reason else DONE
    record.pop("variants", None)  # a dataset may have none any more
    record |= {"status": status, "reason": reason, **measured.as_record()}
    run.seal_trial(run.trial(trial), record)
