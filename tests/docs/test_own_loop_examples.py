"""The examples of docs/how-to/own-loop-examples.md run, and train what they say they train."""

import copy
import os
import re
import subprocess
import sys
import types
import warnings
from unittest import mock

import pytest
import torch
from fixtures.foreign.convolutions import Tower
from fixtures.places import DOCS
from fixtures.sequences import random_sequences
from torch.utils.data import DataLoader, TensorDataset

PAGE = (DOCS / "how-to/own-loop-examples.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n.*?```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
PLAIN = SECTIONS["A plain loop"]
LABELS = [1.0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1]


def data(labels=LABELS):
    sequences = random_sequences(len(labels), 100, dtype=torch.float32)
    return DataLoader(TensorDataset(sequences, torch.tensor(labels)), batch_size=4)


def run(section, **names):
    """Run a section after the first one, whose model it may go on training; return its names."""
    torch.manual_seed(0)
    names = {"loader": data()} | names
    exec(PLAIN, names)
    before = [p.detach().clone() for p in names["model"].parameters()]
    exec(SECTIONS[section], names)
    now = names["model"].parameters()
    return names | {"moved": [not torch.equal(p, old) for p, old in zip(now, before, strict=True)]}


def assert_has_gradients(*modules):
    for module in modules:
        for name, parameter in module.named_parameters():
            assert torch.isfinite(parameter).all(), name
            assert parameter.grad.abs().sum() > 0, name


def test_every_section_has_a_program_that_is_run_here():
    assert len(SECTIONS) == PAGE.count("\n## ") == PAGE.count("```python") == 7


@pytest.mark.parametrize("labels", [LABELS, [0.0] * 12, [1.0] * 12])
def test_the_plain_loop(labels):
    names = {"loader": data(labels)}
    exec(PLAIN, names)
    assert_has_gradients(names["model"][-1])
    assert names["model"][1].num_batches_tracked == 3


def test_recurrent_and_attentive_models():
    names = run("A recurrent network, and attention")
    assert_has_gradients(names["recurrent"], names["attentive"])
    assert names["attribution"].gradient.shape == (2, 4, 100)


def test_a_profile_model_with_controls(monkeypatch):
    try:
        import bpnetlite  # noqa: F401
    except ImportError:  # MACS3, which it needs, is compiled
        stand_in = types.SimpleNamespace(
            BPNet=lambda *, n_control_tracks, trimming, **others: Tower(n_control_tracks, trimming)
        )
        monkeypatch.setitem(sys.modules, "bpnetlite", stand_in)
    tracks = torch.rand(3, 2, 100, generator=torch.Generator().manual_seed(0))
    peaks = [
        (random_sequences(3, 100, dtype=torch.float32), tracks, tracks[:, :, 10:-10], is_peak)
        for is_peak in (torch.tensor([True, False, True]), torch.zeros(3, dtype=torch.bool))
    ]
    names = run("bpnet-lite's BPNet, with control tracks", peaks_and_background=peaks)
    assert_has_gradients(names["bpnet"])


@pytest.mark.parametrize(("casts", "tolerance"), [("enabled=False", 1e-5), ("", 0.2)])
def test_gradients_that_are_accumulated_are_those_of_the_batch(casts, tolerance):
    section = SECTIONS["Gradient accumulation and autocast"]
    assert "dtype=torch.bfloat16" in section
    names = run("A plain loop")
    model, batch = names["model"].eval(), next(iter(data()))
    plain = copy.deepcopy(model)
    plain.zero_grad()
    names["loss_of"](plain, *batch).backward()
    names["loader"] = [batch]
    exec(section.replace("dtype=torch.bfloat16", casts or "dtype=torch.bfloat16"), names)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert (mine.grad - theirs.grad).norm() <= tolerance * theirs.grad.norm()


def test_lightning():
    pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on workers and devices
        names = run("Lightning")
    assert all(names["moved"])
    assert names["trainer"].global_step == 3
    assert names["trainer"].callback_metrics["validation_loss"] > 0


def test_accelerate():
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    with mock.patch.dict(os.environ), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = run("Accelerate")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    assert all(names["moved"])
    assert names["optimiser"].state_dict()["state"][0]["step"] == 2  # for three batches


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes(tmp_path):
    start = PLAIN[: PLAIN.index("\nmodel = ")]
    section = SECTIONS["Several processes: DistributedDataParallel"]
    (tmp_path / "train.py").write_text(start + section)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*launch, "train.py"], check=False, **options)
    # gloo's threads may end a process that has done its part, under load once in a dozen times
    left = "terminate called without an active exception" in done.stderr
    assert done.returncode == 0 or left, done.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    trained = [name for name in first if "running" not in name]  # buffers are those of a process
    assert all(torch.equal(first[name], second[name]) for name in trained)
    assert first["1.num_batches_tracked"] == 2
