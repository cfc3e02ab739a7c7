"""What a training costs, measured over a few steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fixtures.engines import planned_jobs
from fixtures.networks import regularisation

from priorbench.execution import training_price
from priorbench.execution.job import Job, TrialParts
from priorbench.execution.training_price import price_of_some_steps
from priorbench.training.objective import Objective
from priorbench.training.schedules import SCHEDULES


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> list[Job]:
    """Four seeds of the Fourier prior, not yet run."""
    return planned_jobs(tmp_path_factory.mktemp("run"))


@pytest.fixture
def new(jobs, tmp_path) -> tuple[Job, ...]:
    """The same jobs in a run directory of their own."""
    return tuple(replace(job, run=tmp_path) for job in jobs)


class TestPrices:
    def training(self, job):
        return TrialParts.of(job), SCHEDULES["smoke"], torch.device("cpu")

    def test_schedules_have_begun(self, new, monkeypatch):
        times = []
        real = Objective.losses

        def losses(self, batch, elapsed):
            times.append(elapsed)
            return real(self, batch, elapsed)

        monkeypatch.setattr(Objective, "losses", losses)
        price_of_some_steps(*self.training(new[0]))
        assert len(times) == 4
        assert min(times) >= 1

    @pytest.mark.parametrize(
        ("prior", "steps"), [("tv", 3), ("tv:every=2", 4), ("tv:every=5", 5), ("tv:every=99", 24)]
    )
    def test_penalties_of_some_steps_have_their_share(self, prior, steps, new, monkeypatch):
        counts = []
        monkeypatch.setattr(
            training_price, "mean_step_time", lambda *_, most: counts.append(most) or 0.5
        )
        added = regularisation(prior, 1.0)
        parts, *where = self.training(new[0])
        price = price_of_some_steps(replace(parts, regularisation=added), *where)
        assert counts == [steps]
        assert price.seconds_per_step == 0.5
