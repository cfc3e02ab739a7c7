"""The optimiser against torch's."""

import torch
from fixtures.tensors import random_tensor

from priorbench.training.adam import Adam


def test_adam_is_torchs_to_the_last_bit():
    # of three parameters one is frozen and one has a gradient at every other step only
    mine, theirs = (
        [torch.nn.Parameter(random_tensor(3, 5, seed=i).float()) for i in range(3)]
        for _ in range(2)
    )
    for parameters in (mine, theirs):
        parameters[2].requires_grad_(False)
    ours, torchs = Adam(mine, 1e-2), torch.optim.Adam(theirs, lr=1e-2, fused=True)
    for step in range(5):
        for optimiser, parameters in ((ours, mine), (torchs, theirs)):
            optimiser.zero_grad()
            used = parameters[: 1 + step % 2]
            sum((p - step).pow(2).sum() for p in used).backward()
            optimiser.step()
        assert all(map(torch.equal, mine, theirs))
    assert not torch.equal(mine[1], random_tensor(3, 5, seed=1).float())
