"""Which workers of a cluster may work for a run."""

from __future__ import annotations

import json

import pytest

from priorbench.backends import worker_check
from priorbench.execution.environment import PACKAGES
from priorbench.run_directory import RunDirectory


class TestWorkerCheck:
    @pytest.fixture
    def run(self, tmp_path):
        return RunDirectory(tmp_path)

    def test_a_worker_like_the_driver_may_work_while_the_session_lasts(self, run):
        with worker_check.session(run, PACKAGES, []) as path:
            assert worker_check.refusal(str(path)) == ""
        assert "sees no" in worker_check.refusal(str(path))

    def test_other_folders_versions_code_and_plug_ins_are_refused(self, run, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text("x = 1")
        with worker_check.session(run, PACKAGES, [str(plugin)]) as path:
            assert worker_check.refusal(str(path)) == ""
            plugin.write_text("x = 2")
            assert f"finds plug-in {plugin} with other contents" in worker_check.refusal(str(path))
            plugin.unlink()
            assert "not readable (No such file" in worker_check.refusal(str(path))
            facts = json.loads(path.read_text())["facts"]
        reason = worker_check.difference(facts, {**facts, "torch": "1.0"})
        assert reason.startswith(f"has torch 1.0, the driver {facts['torch']}")
        changed = {**facts, "the code of priorbench": "0"}
        assert "restart workers" in worker_check.difference(facts, changed)
        assert worker_check.difference(facts, {**facts, "more": "x"}) == ""

    def test_versions_count_as_they_were_when_the_worker_began(self, monkeypatch):
        first = worker_check.facts_here(["torch"], [])
        monkeypatch.setattr("importlib.metadata.version", lambda package: "later")
        assert worker_check.facts_here(["torch"], []) == first

    def test_a_package_that_is_missing_is_a_difference(self):
        facts = worker_check.facts_here(["no-such-package"], [])
        assert facts["no-such-package"] == "not installed"
