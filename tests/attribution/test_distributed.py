"""DistributedDataParallel on two processes: gradients are the mean of those of plain loops."""

import os
import subprocess
import sys
import warnings
from datetime import timedelta

import pytest
import torch
from fixtures.places import TESTS
from fixtures.sequences import random_sequences
from torch.nn.parallel import DistributedDataParallel

from priorbench import Batch, attribute_and_predict, load_attribution, load_prior

CASES = [
    (norm, unused, spec)
    for norm in (True, False)
    for unused in (True, False)
    for spec in ("input-x-gradient", "integrated-gradients:steps=2")
]
WORLD = 2


def target(output):
    return output[:, 0]


def built(norm):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5),
        torch.nn.BatchNorm1d(6) if norm else torch.nn.Identity(),
        torch.nn.Softplus(),
        torch.nn.Flatten(),
        torch.nn.Linear(216, 1),
    ).double()


def loss_of(model, rank, spec):
    """The loss of a rank, whose second one has no positives."""
    x = random_sequences(6, 40, seed=rank)
    label = torch.tensor([1.0, 0, 1, 0, 0, 1], dtype=torch.float64) * (rank == 0)
    output, attribution = attribute_and_predict(
        model, x, label == 1, target, method=load_attribution(spec)
    )
    batch = Batch(x, label).select(label == 1)
    penalty = load_prior("fourier").mean_penalty(attribution, batch)
    return (target(output) - label).square().mean() + 0.3 * penalty


def steps(rank, folder):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=60),
    )
    for number, (norm, unused, spec) in enumerate(CASES):
        model = DistributedDataParallel(built(norm), find_unused_parameters=unused)
        for call in (model, lambda value, model=model: model(value)):
            model.zero_grad()
            loss_of(call, rank, spec).backward()
        if rank == 0:
            torch.save([p.grad for p in model.parameters()], f"{folder}/{number}.pt")
        del model
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_gradients_are_those_of_plain_loops_where_a_rank_has_no_positives(tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(TESTS)},
        )
        for rank in range(WORLD)
    ]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    for number, (norm, _, spec) in enumerate(CASES):
        expected = []
        for rank in range(WORLD):
            model = built(norm)
            loss_of(model, rank, spec).backward()
            expected.append([p.grad for p in model.parameters()])
        for grad, *alone in zip(torch.load(tmp_path / f"{number}.pt"), *expected, strict=True):
            assert grad.abs().sum() > 0
            assert torch.allclose(grad, sum(alone) / WORLD), CASES[number]


if __name__ == "__main__":
    steps(int(sys.argv[1]), sys.argv[2])
