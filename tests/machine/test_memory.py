"""Memory that is at hand on a machine and in a container."""

from __future__ import annotations

import pytest

from priorbench.machine import memory

GIB = 2**30


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A function that makes a container of a machine with 16 GiB free; it returns what is left."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {16 * 2**20} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)

    def make(limit: object, used: int, files: int) -> int:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
        half = files // 2
        stat = f"anon {used - files}\nfile {files}\nactive_file {half}\ninactive_file {half}\n"
        (tmp_path / "memory.stat").write_text(stat)
        return memory.memory_at_hand()

    return make


def test_a_container_may_have_less_than_its_machine(container):
    assert container(8 * GIB, 2 * GIB, 0) == 6 * GIB
    assert container(64 * GIB, 2 * GIB, 0) == 16 * GIB


def test_files_that_were_read_do_not_fill_a_container(container):
    assert container(8 * GIB, 8 * GIB, 6 * GIB) == 6 * GIB


def test_a_full_container_has_nothing_left(container):
    assert container(GIB, 2 * GIB, 0) == 0


@pytest.mark.parametrize("limit", ["max", ""])
def test_a_container_without_a_limit_is_as_its_machine(container, limit):
    assert container(limit, 2 * GIB, 0) == 16 * GIB
