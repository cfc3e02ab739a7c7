"""The ways that `make bench-gpu` compares train the same networks, as far as a CPU can tell."""

import itertools
import os
import sys
import time

import pytest
import torch
from fixtures.places import BENCHMARKS

sys.path.insert(0, str(BENCHMARKS))
import devices
import gpu
import typer

COMPILED = ("compiled, torch.func.grad inside", "compiled, CUDA graphs")
COMPARED = ("ensemble", "ensemble, bfloat16", *COMPILED)
PROBLEMS = [gpu.Problem(task, "smoke", torch.device("cpu")) for task in gpu.LENGTHS]


@pytest.fixture(autouse=True)
def _nothing_is_compiled(monkeypatch):
    # what is compiled, as it stands: compiling takes half a minute
    monkeypatch.setattr(torch, "compile", lambda function, mode: function)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
@pytest.mark.parametrize("way", COMPARED)
def test_networks_take_the_steps_that_they_take_alone(problem, way):
    expected = sum(gpu.first_losses(gpu.alone(problem, 1, seed)) for seed in range(2))
    # compiled, attributions see statistics of batch norm, which the profile network lacks
    otherwise = (("ensemble, bfloat16", problem.name), *((way, "binary") for way in COMPILED))
    tolerance = 0.02 if (way, problem.name) in otherwise else 1e-5
    losses = gpu.first_losses(gpu.WAYS[way](problem, 2))
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=0)
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_the_table_has_every_way(monkeypatch):
    # each way takes the steps of one network; the test above compares what they do for several
    one = {way: lambda problem, count: gpu.alone(problem, 1) for way in gpu.WAYS}
    monkeypatch.setattr(gpu, "WAYS", one)
    monkeypatch.setattr(gpu, "processes", lambda problem, count, seconds: 4.0 * count)
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    rows = list(gpu.rows(PROBLEMS[0], [1, 20], 0.01, deadline=float("inf")))
    assert {tuple(row) for row in rows} == {gpu.COLUMNS}
    tried = [(row["way"], row["at once"]) for row in rows]
    ways = itertools.product(list(gpu.WAYS)[1:], [1, 20])
    assert tried == [("alone", 1), *(way for way in ways if way != ("processes", 20))]
    assert rows[0]["over alone"] == 1
    assert all(row["trials an hour"] > 0 for row in rows)
    late = list(gpu.rows(PROBLEMS[0], [1], 0.01, deadline=0.0))
    assert all(row["ms a step"] == "TimeoutError" for row in late)


def test_without_the_way_alone_nothing_is_compared_with_it(monkeypatch):
    def fails(problem, count):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(gpu, "WAYS", {"alone": fails, "ensemble": gpu.ensemble})
    monkeypatch.setattr(gpu, "first_losses", lambda step: torch.ones(1))
    monkeypatch.setattr(gpu, "alone", lambda problem, count, seed: None)
    _, together = gpu.rows(PROBLEMS[0], [2], 0.01, deadline=float("inf"))
    assert together["over alone"] == ""
    assert together["trials an hour"] > 0


def test_the_use_of_one_gpu_is_asked_again_and_again(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/asked\necho 40\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(gpu, "LOOK_EVERY", 0.01)
    with gpu.shares_of_use("GPU-1f") as shares:
        while len(shares) < 3:
            time.sleep(0.01)
    assert set(shares) == {40}
    asked = (tmp_path / "asked").read_text().splitlines()
    assert {line.split()[0] for line in asked} == {"--id=GPU-1f"}
    with gpu.shares_of_use("") as shares:
        pass
    assert shares == []
    assert gpu.gpu_id_of(torch.device("cpu")) == ""


def test_out_of_memory_is_a_row_of_the_table(monkeypatch):
    def fails(problem, count):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(gpu, "WAYS", {"alone": fails})
    monkeypatch.setattr(gpu, "first_losses", lambda step: torch.ones(1))
    (row,) = gpu.rows(PROBLEMS[0], [8], 0.01, deadline=float("inf"))
    assert row["ms a step"] == "no memory"


def test_steps_on_a_device_are_compared_with_those_on_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "set_torch", lambda: None)
    own, cases = devices.step, list(devices.cases())
    assert {case[1] for case in cases} >= {"none", "fourier", "distillation"}
    assert {"bpnet", "deepsea"} <= {case[3] for case in cases}
    monkeypatch.setattr(devices, "cases", lambda: [*cases[:1], *["left out"] * 8, cases[1]])
    rows = list(devices.devices(quick=True))
    assert [row["agrees"] for row in rows] == ["yes", "yes"]
    calls = itertools.count()

    def wrong(case, device, seed=0):
        loss, slopes = own(case, device, seed)
        return (loss, slopes * 1.001) if next(calls) % 3 == 2 else (loss, slopes)

    monkeypatch.setattr(devices, "step", wrong)
    monkeypatch.setattr(devices, "cases", lambda: cases[:1])
    compared = devices.devices(quick=True)
    assert next(compared)["agrees"] == "NO"
    with pytest.raises(typer.Exit):
        next(compared)


@pytest.mark.parametrize("topic", [gpu.gpu, devices.devices])
def test_without_a_gpu_it_says_so_in_a_line(topic, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(typer.Exit) as ended:
        next(topic())
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err.startswith("torch finds no GPU here")
