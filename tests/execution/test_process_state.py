"""What a worker does to its process before it trains."""

import platform
import subprocess
import sys

import pytest

_WORKER = """
import resource, sys
import torch
from priorbench.execution.process_state import prepare_process

prepare_process()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2, 2**20) + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print("torch._dynamo" in sys.modules, torch.are_deterministic_algorithms_enabled(), faults())
"""


@pytest.fixture(scope="module")
def prepared():
    command = [sys.executable, "-c", _WORKER]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
def test_a_worker_asks_for_the_same_bits_without_loading_the_compiler(prepared):
    assert prepared[:2] == ["False", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library gives memory")
def test_memory_that_a_step_frees_is_there_for_the_next(prepared):
    # 20 pairs of tensors of 8 MiB have 81,920 pages
    assert int(prepared[2]) < 2_000
