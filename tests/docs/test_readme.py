"""The code in README.md does what it says."""

import re

import torch
from fixtures.places import ROOT

from priorbench import load_prior
from priorbench.components import registry

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_prior_is_a_plug_in(tmp_path):
    (tmp_path / "my_prior.py").write_text(BLOCKS[0])
    registry.add_plugin(tmp_path / "my_prior.py")
    prior = load_prior("my-prior:power=3")
    from priorbench import Attribution

    for track in (torch.zeros(2, 9), torch.eye(2, 9)):
        value = prior.penalty(Attribution(track[:, None], track), None)
        assert torch.equal(value, -track.sum(dim=1))
    assert prior.default_weight("binary") == 0.1


def test_the_example_loop_trains_a_network_with_and_without_batch_norm():
    for norm in (torch.nn.BatchNorm1d(8), torch.nn.Identity()):
        model = torch.nn.Sequential(
            torch.nn.Conv1d(4, 8, 5),
            norm,
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(288, 1),
        )
        sequence = torch.eye(4)[torch.arange(6 * 40).reshape(6, 40) % 4].transpose(1, 2)
        loader = [(sequence, torch.tensor([1.0, 0, 1, 1, 0, 0]))] * 2
        exec(
            BLOCKS[1],
            {
                "model": model,
                "optimiser": torch.optim.Adam(model.parameters()),
                "loader": loader,
                "loss_function": torch.nn.functional.binary_cross_entropy_with_logits,
            },
        )
        assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.dim() > 1)
