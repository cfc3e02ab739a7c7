"""How jobs are dealt to a cluster, and what its workers run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.engines import PretendedCluster, planned_jobs, pretended_job, single_jobs

from priorbench import UserError
from priorbench.backends import worker_check
from priorbench.backends.cluster import Refused, _Losses, run_admitted
from priorbench.execution import run_trial
from priorbench.execution.job import Job
from priorbench.execution.run_group import DIED_TWICE, TrialOutcome
from priorbench.storage.run_directory import RunDirectory


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> list[Job]:
    """Four seeds of the Fourier prior, not yet run."""
    return planned_jobs(tmp_path_factory.mktemp("run"))


@pytest.fixture
def new(jobs, tmp_path) -> tuple[Job, ...]:
    """The same jobs in a run directory of their own."""
    return tuple(replace(job, run=tmp_path) for job in jobs)


class TestDealing:
    def test_every_job_ends_once_and_few_are_under_way(self, tmp_path):
        cluster = PretendedCluster()
        outcomes = cluster.run(single_jobs(tmp_path, 500), RunDirectory(tmp_path))
        expected = [job.trial.id for (job,) in single_jobs(tmp_path, 500)]
        assert [outcome.trial for outcome in outcomes] == expected
        assert cluster.most == 4
        many = PretendedCluster(slots=100)
        assert len(list(many.run(single_jobs(tmp_path, 500), RunDirectory(tmp_path)))) == 500
        assert many.most == 200

    def test_jobs_are_at_once_what_the_user_wants(self, tmp_path):
        cluster = PretendedCluster(jobs=3)
        assert len(list(cluster.run(single_jobs(tmp_path, 9), RunDirectory(tmp_path)))) == 9
        assert cluster.most == 3

    def test_jobs_are_made_when_they_are_needed(self, tmp_path):
        taken = []
        ends = PretendedCluster().run(single_jobs(tmp_path, 10_000, taken), RunDirectory(tmp_path))
        next(ends)
        assert len(taken) == 4
        ends.close()

    def test_closing_the_iterator_cancels_the_rest(self, tmp_path):
        cluster = PretendedCluster()
        ends = cluster.run(single_jobs(tmp_path, 100), RunDirectory(tmp_path))
        next(ends)
        ends.close()
        assert len(cluster.cancelled) == 3
        assert not list(tmp_path.glob(".session-*"))

    def test_what_cannot_be_cancelled_does_not_hide_why_the_run_ended(self, tmp_path):
        class CannotCancel(PretendedCluster):
            def ended_handles(self, handles, timeout):
                raise KeyboardInterrupt

            def cancel(self, handles):
                raise OSError("the scheduler is gone")

        cluster, said = CannotCancel(), []
        cluster.say = said.append
        with pytest.raises(KeyboardInterrupt):
            next(cluster.run(single_jobs(tmp_path, 3), RunDirectory(tmp_path)))
        assert said == [
            "--scheduler x: cancelling what has not ended failed (OSError: the scheduler is gone)"
        ]

    def test_a_lost_job_is_handed_over_again_and_given_up_in_the_end(self, tmp_path):
        cluster = PretendedCluster({0: [None, None, "done"], 1: [None, None, None]})
        outcomes = cluster.run(single_jobs(tmp_path, 3), RunDirectory(tmp_path))
        by_trial = {outcome.trial: outcome for outcome in outcomes}
        first, second, third = (pretended_job(number, tmp_path).trial.id for number in range(3))
        assert by_trial[first].status == by_trial[third].status == "done"
        assert by_trial[second].reason == "its workers died again and again"
        assert RunDirectory(tmp_path).record(second)["status"] == "failed"

    def test_a_cluster_that_loses_everything_fails_no_trial(self, tmp_path):
        cluster = PretendedCluster(dict.fromkeys(range(100), None), slots=100)
        with pytest.raises(UserError, match="workers die as soon as they have a trial"):
            list(cluster.run(single_jobs(tmp_path, 100), RunDirectory(tmp_path)))
        assert not (tmp_path / "trials").exists()

    def test_a_worker_that_refuses_ends_the_run_with_a_line(self, tmp_path):
        cluster = PretendedCluster({1: Refused("the worker on h has torch 1")})
        ends = cluster.run(single_jobs(tmp_path, 3), RunDirectory(tmp_path))
        with pytest.raises(UserError, match="--scheduler x: the worker on h has torch 1"):
            list(ends)

    def test_workers_are_asked_before_anything_is_run(self, tmp_path, monkeypatch):
        cluster = PretendedCluster()
        monkeypatch.setattr(cluster, "refusals", lambda path: {"h": "sees no run", "g": ""})
        with pytest.raises(UserError, match="the worker on h sees no run"):
            list(cluster.run(single_jobs(tmp_path, 3), RunDirectory(tmp_path)))
        assert not cluster.waiting

    def test_nothing_to_do_asks_nobody(self, tmp_path):
        assert list(PretendedCluster().run(iter(()), RunDirectory(tmp_path))) == []
        assert not list(tmp_path.iterdir())


class TestAdmitted:
    def test_a_job_of_a_run_that_is_over_is_refused(self, tmp_path):
        refused = run_admitted(str(tmp_path / ".session-x"), (pretended_job(0, tmp_path),))
        assert isinstance(refused, Refused)
        assert "sees no" in refused.reason

    def test_a_job_whose_workers_died_twice_is_given_up(self, tmp_path):
        run, lost = RunDirectory(tmp_path), pretended_job(0, tmp_path)
        with (
            worker_check.session(run, [], []) as path,
            run.in_progress(lost.trial.id),
            run.in_progress(lost.trial.id),
        ):
            outcomes = run_admitted(str(path), (lost,))
        assert outcomes == [TrialOutcome(lost.trial.id, "failed", DIED_TWICE)]
        assert run.record(lost.trial.id)["reason"] == DIED_TWICE


class TestWorkersThatDie:
    def test_on_a_cluster_they_are_tried_one_by_one(self, new, monkeypatch):
        run, sizes = RunDirectory(new[0].run), []

        def pretended(group):
            sizes.append(len(group))
            return [TrialOutcome(job.trial.id, "done", "") for job in group]

        monkeypatch.setattr("priorbench.backends.cluster.run_group", pretended)
        with worker_check.session(run, [], []) as path:
            assert len(run_admitted(str(path), new)) == 4
            assert sizes == [4]
            with (
                run.in_progress(new[0].trial.id),
                run.in_progress(new[1].trial.id),
                run.in_progress(new[1].trial.id),
            ):
                outcomes = run_admitted(str(path), new)
        assert sizes == [4, 1, 1, 1]
        assert [outcome.status for outcome in outcomes] == ["done", "failed", "done", "done"]
        assert outcomes[1].reason == DIED_TWICE

    def test_what_was_finished_is_not_begun_again(self, new, monkeypatch):
        run, begun = RunDirectory(new[0].run), []

        def pretended(group):
            begun.append([job.trial.seed for job in group])
            return [TrialOutcome(job.trial.id, "done", "") for job in group]

        monkeypatch.setattr("priorbench.backends.cluster.run_group", pretended)
        run_trial.run_trial(new[0])
        with worker_check.session(run, [], []) as path:
            assert len(run_admitted(str(path), new)) == 4
            with run.in_progress(new[1].trial.id):
                assert len(run_admitted(str(path), new)) == 4
        assert begun == [[1, 2, 3], [1], [2], [3]]
        run_trial.run_trial(new[1])
        lost = _Losses()
        cluster = PretendedCluster()
        for _ in range(3):
            outcomes = cluster._outcomes(new[:3], None, lost)
        assert [outcome.status for outcome in outcomes] == ["done", "done", "failed"]
        assert run.record(new[1].trial.id)["status"] == "done"
