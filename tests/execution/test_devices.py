"""Devices: which kind a run gets, and which GPU a worker claims."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from priorbench import UserError
from priorbench.execution import devices


class TestDevices:
    def choose(self, requested, gpus, jobs=None):
        return devices.choose_device(requested, gpus=gpus, cores=4, jobs=jobs, hint="none here")

    def test_auto_says_what_it_chose(self):
        assert self.choose("auto", 0).summary == "cpu, 4 workers (auto: no GPU found)"
        assert self.choose("auto", 2).summary == "cuda, 2 workers (auto: 2 GPUs found)"
        assert self.choose("cpu", 2, jobs=1).summary == "cpu, 1 worker (as asked)"
        assert "more than the 4 cores" in self.choose("cpu", 0, jobs=5).summary
        assert "more than" not in self.choose("cpu", 0, jobs=4).summary

    def test_jobs_may_share_a_gpu(self):
        assert self.choose("cuda", 2, jobs=5) == devices.Device("cuda", 5, "2 GPUs")

    def test_cuda_without_a_gpu_is_an_error(self):
        with pytest.raises(UserError, match="--device cuda: none here"):
            self.choose("cuda", 0)


class TestClaims:
    @pytest.fixture
    def gpus(self, monkeypatch):
        """Two GPUs; which of them this process sees as which number."""
        seen = ["A", "B"]
        taken = []
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(seen))
        properties = lambda index: SimpleNamespace(uuid=seen[index])  # noqa: E731
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr(torch.cuda, "set_device", lambda index: taken.append(seen[index]))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: seen.index(taken[-1]))
        monkeypatch.setattr(devices, "_CLAIMED", [])
        held = []
        yield SimpleNamespace(seen=seen, taken=taken, held=held)
        for file in [*held, *devices._CLAIMED]:
            file.close()

    def another_process(self, gpus):
        """A claim as of a process of its own: the locks of the others are held."""
        gpus.held += devices._CLAIMED
        devices._CLAIMED.clear()

    def test_processes_take_every_gpu_once_before_one_is_shared(self, gpus, tmp_path):
        for _ in range(5):
            devices.claim_device("cuda", tmp_path)
            self.another_process(gpus)
        assert gpus.taken == ["A", "B", "A", "B", "A"]

    def test_a_process_keeps_its_gpu(self, gpus, tmp_path):
        first = devices.claim_device("cuda", tmp_path)
        assert devices.claim_device("cuda", tmp_path) == first == torch.device("cuda", 0)
        assert gpus.taken == ["A"]

    def test_a_process_that_died_frees_its_gpu(self, gpus, tmp_path):
        devices.claim_device("cuda", tmp_path)
        self.another_process(gpus)
        gpus.held.pop().close()
        devices.claim_device("cuda", tmp_path)
        assert gpus.taken == ["A", "A"]

    def test_numbers_of_gpus_do_not_matter(self, gpus, tmp_path):
        devices.claim_device("cuda", tmp_path)
        self.another_process(gpus)
        gpus.seen.reverse()  # CUDA_VISIBLE_DEVICES=1,0
        assert devices.claim_device("cuda", tmp_path) == torch.device("cuda", 0)
        assert gpus.taken == ["A", "B"]

    def test_no_gpu_and_no_need(self, monkeypatch, tmp_path):
        assert devices.claim_device("cpu", tmp_path) == torch.device("cpu")
        monkeypatch.setattr(devices, "_CLAIMED", [])
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(RuntimeError, match="sees no GPU"):
            devices.claim_device("cuda", tmp_path)
        assert not list(tmp_path.iterdir())
