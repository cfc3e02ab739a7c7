"""The ways that `make bench-gpu` compares train the same networks, as far as a CPU can tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from fixtures.places import BENCHMARKS

from priorbench.autograd.layers import Convolution, SavedLayer

sys.path.insert(0, str(BENCHMARKS))
import gpu
import same_verdicts
from gpu_ways import Fixed, ProductConvolution, products

CPU = torch.device("cpu")


@pytest.mark.parametrize(("padding", "dilation", "groups"), [(0, 1, 1), (3, 2, 1), (2, 1, 4)])
def test_a_convolution_by_matrix_products_is_one(padding, dilation, groups):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    value, weight, bias = drawn(3, 4 * groups, 30), drawn(6 * groups, 4, 5), drawn(6 * groups)
    bias.requires_grad_()
    usual = Convolution(padding, dilation, groups)
    other = ProductConvolution(padding, dilation, groups)
    result = usual.forward(value, (weight, bias)).result
    torch.testing.assert_close(other.forward(value, (weight, bias)).result, result)
    gradient, slope = torch.randn_like(result), torch.randn_like(value)
    saved = SavedLayer(usual, (weight, bias), value, None, ())
    for one, same in zip(
        [*usual.all_gradients(gradient, saved, (), True)[1], usual.input_gradient(gradient, saved)],
        [*other.all_gradients(gradient, saved, (), True)[1], other.input_gradient(gradient, saved)],
        strict=True,
    ):
        torch.testing.assert_close(one, same)
    one, same = (
        usual.second_derivatives(slope, gradient, saved),
        other.second_derivatives(slope, gradient, saved),
    )
    torch.testing.assert_close(one.by_gradient, same.by_gradient)
    torch.testing.assert_close(one.by_parameters[0], same.by_parameters[0])


@pytest.mark.parametrize("problem", gpu.problems("smoke", CPU), ids=lambda one: one.kind)
@pytest.mark.parametrize("within", [gpu.nullcontext, products], ids=["grouped", "products"])
def test_a_step_of_fixed_sizes_is_that_of_the_suite(problem, within):
    batch = problem.batch(2)
    with within():
        members = problem.members(2)
        parts = [problem.part(seed) for seed in range(2)]
        objective = gpu.EnsembleObjective(members, problem.built, parts)
        prediction, penalty = objective.losses(batch, 0.0)
        form = (problem.built, problem.prior, problem.weight, batch, problem.applies)
        fixed = Fixed(problem.members(2), *form).loss()
    torch.testing.assert_close(fixed, (prediction + penalty).sum(), rtol=1e-5, atol=1e-5)


def test_a_compiled_step_takes_the_same_gradients(monkeypatch):
    problem = next(one for one in gpu.problems("smoke", CPU) if one.kind == gpu.PLAIN)
    # what is compiled, as it stands: compiling takes half a minute
    monkeypatch.setattr(torch, "compile", lambda function: function)
    network = problem.network(0)
    found = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: found.extend(self.param_groups))
    form = (network, problem.built, problem.prior, problem.weight)
    gpu.compiled(*form, batch=problem.batch(1), members=1)()
    objective = gpu.Objective(
        network, problem.built, problem.part(0).regularisation, problem.part(0).streams
    )
    sum(objective.losses(problem.batch(1), 0.0)).backward()
    (group,) = found
    for own, expected in zip(group["params"], network.parameters(), strict=True):
        torch.testing.assert_close(own.grad[0], expected.grad, rtol=1e-4, atol=1e-5)


def test_the_table_has_every_way(monkeypatch):
    monkeypatch.setattr(gpu, "processes", lambda problem, count, seconds: 4.0 * count)
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    problem = gpu.problems("smoke", CPU)[0]
    lines = list(gpu.rows(problem, [1, 2], 0.01, deadline=float("inf")))
    told = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    assert [cells[:2] for cells in told[:3]] == [
        ["one after another", "1"],
        ["ensemble, grouped convolutions", "1"],
        ["ensemble, grouped convolutions", "2"],
    ]
    assert told[-1][:2] == ["processes of one network each", "2"]
    assert float(told[0][4]) == 1.0
    assert all(float(cells[3]) > 0 for cells in told)
    late = list(gpu.rows(problem, [1], 0.01, deadline=0.0))
    assert all("no time left" in line for line in late)


def test_out_of_memory_is_a_line_of_the_table(monkeypatch, capsys):
    def fails(problem, members):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(gpu, "WAYS", (gpu.Way("one", fails, kinds=(gpu.PLAIN,)),))
    problem = next(one for one in gpu.problems("smoke", CPU) if one.kind == gpu.PLAIN)
    (line,) = gpu.rows(problem, [8], 0.01, deadline=float("inf"))
    assert line.startswith("| one | 8 | out of memory |")


def test_without_a_gpu_it_says_so_in_a_line():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("torch finds no GPU here")


class TestSameVerdicts:
    def run(self, folder: Path, shift: float) -> Path:
        folder.mkdir()
        key = {"task": "t", "dataset": "d", "architecture": "a", "metric": "auroc"}
        rows = [
            {
                **key,
                "stage": "evaluate",
                "prior": prior,
                "attribution": "",
                "seed": seed,
                "value": 0.8 + 0.01 * seed + shift * (prior == "tv"),
            }
            for prior in ("none", "tv")
            for seed in range(8)
        ]
        pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
        verdict = "better" if shift else "equivalent"
        comparison = {**key, "prior": "tv", "attribution": "", "family": "primary"}
        comparison |= {"difference": shift, "p_adjusted": 0.01, "verdict": verdict}
        pd.DataFrame([comparison]).to_csv(folder / "comparisons.csv", index=False)
        return folder

    def test_arm_by_arm_and_verdict_by_verdict(self, tmp_path):
        one, other = self.run(tmp_path / "one", 0.0), self.run(tmp_path / "other", 0.1)
        found = same_verdicts.compare(one, other)
        scores = found.scores.set_index("prior")
        assert scores.loc["tv", "difference"] == pytest.approx(0.1)
        assert scores.loc["tv", "p"] == pytest.approx(2 / 2**8)
        assert scores.loc["tv", "p_adjusted"] == pytest.approx(4 / 2**8)
        assert scores.loc["none", "p"] == 1
        assert found.same == 0
        assert same_verdicts.compare(one, one).same == 1
