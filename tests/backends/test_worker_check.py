"""Which workers of a cluster may work for a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from fixtures.places import ENGINE, ROOT

from priorbench.backends import worker_check
from priorbench.backends.environment import PACKAGES
from priorbench.components import registry
from priorbench.storage.run_directory import RunDirectory

CONTENT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
"""the folder of each package that a wheel has inside the engine"""
DIGESTS = """
from priorbench.backends.worker_check import _code_digest

print(_code_digest.__wrapped__())
for place in ("reports/answer.py", "priors/tv.py"):
    with open(f"priorbench/{place}", "a") as file:
        file.write("\\nedited = 1\\n")
    print(_code_digest.__wrapped__())
"""


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


class TestCodeDigest:
    def test_a_wheel_and_a_checkout_of_the_same_code_agree(self, tmp_path):
        here = worker_check._code_digest.__wrapped__()
        wheel, ignored = tmp_path / "priorbench", shutil.ignore_patterns("__pycache__")
        shutil.copytree(ENGINE, wheel, ignore=ignored)
        for package, folder in CONTENT.items():
            shutil.copytree(ROOT / folder, wheel / package.rpartition(".")[2], ignore=ignored)
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        there, other_report, other_prior = done.stdout.split()
        assert there == here
        assert other_report == here
        assert other_prior != here

    def test_what_a_wheel_has_inside_the_engine_is_known(self):
        assert sorted(worker_check._CONTENT) == sorted(name.rpartition(".")[2] for name in CONTENT)

    def test_files_of_one_name_in_two_packages_both_count(self, tmp_path, monkeypatch):
        installed = {}
        for package in ("ours", "theirs"):
            folder = tmp_path / package
            folder.mkdir()
            for name in ("_shared.py", f"{package}.py"):
                (folder / name).write_text("x = 1\n")
            path = folder / f"{package}.py"
            installed[package] = registry.FoundComponent(package, f"{package}.{package}", path)
        monkeypatch.setattr(
            registry, "components", lambda kind: installed if kind == "prior" else {}
        )
        digest = worker_check._code_digest.__wrapped__
        seen = {digest()}
        for path in sorted(tmp_path.rglob("*.py")):
            path.write_text("x = 2\n")
            seen.add(digest())
        assert len(seen) == 1 + 4
