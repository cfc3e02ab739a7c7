"""Trials whose networks learn from others, which are trained first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fixtures.engines import planned_jobs

from priorbench.execution import run_trial
from priorbench.execution.job import Job
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.trial import code_digest
from priorbench.training.loop import fit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> list[Job]:
    """Jobs of the Fourier prior."""
    return planned_jobs(tmp_path_factory.mktemp("run"))


@pytest.fixture
def trainings(monkeypatch) -> list[tuple]:
    """Random streams, priors, teachers and result of every training, in their order."""
    recorded = []

    def recording(model, task, regularisation, dataset, *, streams, teachers, **others):
        trained = fit(
            model, task, regularisation, dataset, streams=streams, teachers=teachers, **others
        )
        recorded.append((streams, regularisation.parts, teachers, trained))
        return trained

    monkeypatch.setattr(run_trial, "fit", recording)
    return recorded


def run(job: Job, prior: str, weight: float, where) -> dict:
    code = code_digest(task=job.trial.task, architecture=job.trial.architecture, prior=prior)
    trial = replace(job.trial, prior=prior, weight=weight, code=code)
    run_trial.run_trial(replace(job, trial=trial, run=where))
    return RunDirectory(where).record(trial.id)


def test_they_are_trained_first_without_a_prior_and_by_other_streams(planned, trainings, tmp_path):
    record = run(planned[0], "distillation:members=2+fourier", 1.0, tmp_path)
    assert record["status"] == "done"
    *first, (streams, parts, taught_by, trained) = trainings
    assert len(first) == 2
    assert all(own_parts == [] and not own_teachers for _, own_parts, own_teachers, _ in first)
    assert [fitted.model for *_, fitted in first] == list(taught_by)
    assert len(parts) == 2
    # the student's streams are those of every prior
    plain = run(planned[0], "none", 0.0, tmp_path)
    assert trainings[-1][0] == streams
    assert plain["initial_weights"] == record["initial_weights"]
    assert plain["batch_order"] == record["batch_order"]
    initial = {fitted.initial_weights for *_, fitted in trainings}
    orders = {fitted.history[0].order for *_, fitted in trainings}
    assert len(initial) == len(orders) == 3
    assert record["costs"]["seconds_per_step"] > sum(
        epoch.seconds_per_step for *_, fitted in first for epoch in fitted.history
    ) / len(trained.history)


def test_they_are_the_same_for_every_prior_and_others_for_every_seed(planned, trainings, tmp_path):
    for job, prior in (
        (planned[0], "distillation:members=1"),
        (planned[0], "consensus:members=1"),
        (planned[1], "consensus:members=1"),
    ):
        assert run(job, prior, 0.5, tmp_path)["status"] == "done"
    weights = [list(fitted.model.parameters()) for *_, fitted in trainings[::2]]
    same = [all(map(torch.equal, weights[0], other)) for other in weights]
    assert same == [True, True, False]


def test_a_weight_of_0_has_none(planned, trainings, tmp_path):
    assert run(planned[0], "distillation", 0.0, tmp_path)["status"] == "done"
    assert len(trainings) == 1
