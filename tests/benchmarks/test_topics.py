"""Every topic of `make bench` runs to its end, which types alone do not tell."""

import subprocess
import sys

import pytest
from fixtures.places import BENCHMARKS, EVERYTHING

sys.path.insert(0, str(BENCHMARKS))
import bench


@pytest.mark.skipif(not EVERYTHING, reason="make test-all: some minutes")
@pytest.mark.parametrize("topic", bench.SPEED)
def test_a_topic_prints_its_table(topic):
    command = [sys.executable, str(BENCHMARKS / "bench.py"), topic, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("|") > 6
