"""What ``check_model`` and ``priorbench check --model`` say of models of every kind."""

import json

import pytest
import torch
from fixtures.sequences import random_sequences

from priorbench import UserError, check_model
from priorbench.cli.app import execute_command

SEQUENCE = random_sequences(count=6, length=40, seed=0, dtype=torch.float32)


class Net(torch.nn.Module):
    def __init__(self, *, norm=False, between=lambda net, value: value):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 8, 5)
        self.norm = torch.nn.BatchNorm1d(8) if norm else torch.nn.Identity()
        self.activation = torch.nn.Tanh()
        self.head = torch.nn.Linear(8, 2)
        self.between = between

    def forward(self, sequence):
        value = self.between(self, self.activation(self.norm(self.conv(sequence))))
        return self.head(value.mean(dim=2))


class Once(torch.autograd.Function):
    """A square that can be differentiated once."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 2 * slope * ctx.saved_tensors[0]


def keep(net, value):
    net.activity = value.mean()
    return value


def mix(net, value):
    return value - value.mean(dim=0, keepdim=True)


def once(net, value):
    return Once.apply(value)


def in_place(sequence):
    sequence *= 2
    return sequence


def first(output):
    return output[:, 0]


def check(model, **options):
    return check_model(model, SEQUENCE, first, repeats=1, **options)


def outcomes(model):
    return {finding.name: finding.outcome for finding in check(model).findings}


GOOD = {
    "default": "ok",
    "split=True": "ok",
    "torch.compile": "note",
    "second derivatives": "ok",
    "examples apart": "ok",
    "batch norm": "ok",
    "hooks": "ok",
    "input": "ok",
    "kept": "ok",
}


def test_a_plain_model_may_be_trained_in_every_way():
    found = check(Net())
    assert {each.name: each.outcome for each in found.findings} == GOOD
    assert found.usable
    assert found.seconds > 0
    priced = {each.name for each in found.findings if each.price is not None}
    assert priced == {"default", "split=True"}
    assert all(each.price > 0.1 for each in found.findings if each.name in priced)


@pytest.mark.parametrize(
    ("options", "unlike", "details"),
    [
        ({"norm": True}, {"batch norm": "note"}, {"batch norm": "in 1 layer;"}),
        (
            {"between": keep},
            {"kept": "note", "split=True": "refused"},
            {"kept": "Net.activity", "split=True": "it keeps tensors in Net.activity"},
        ),
        (
            {"between": mix},
            {"examples apart": "failed", "split=True": "refused"},
            {"split=True": "in parts"},
        ),
    ],
)
def test_what_is_special_is_found(options, unlike, details):
    model = Net(**options)
    assert outcomes(model) == GOOD | unlike
    found = check(model)
    assert found.usable == ("failed" not in unlike.values())
    for name, detail in details.items():
        assert detail in found[name].detail


def test_a_model_without_second_derivatives_cannot_be_trained():
    found = check(Net(between=once))
    assert not found.usable
    assert found["default"].outcome == found["second derivatives"].outcome == "failed"
    assert "once_differentiable" in found["second derivatives"].detail
    assert "split=True" not in {each.name for each in found.findings}


def test_a_lazy_model_becomes_what_it_is():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(3), torch.nn.Tanh())
    assert check(net).usable
    assert net[1].in_features == 160


def test_hooks_and_changes_in_place_are_found():
    model = Net()
    calls = []
    model.conv.register_forward_hook(lambda *_: calls.append(1))
    found = check(model)
    assert found["hooks"].detail == "on Conv1d; called once a step, as always"
    assert found["split=True"].outcome == "refused"
    model = Net()
    found = check(lambda value: model(in_place(value)))
    assert found["input"].outcome == "note"
    assert found["split=True"].detail == "a function is no torch.nn.Module"


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_left_as_it_was(mode):
    model = Net(norm=True, between=keep).train(mode)
    model(SEQUENCE)
    model.norm.eval()
    kept, state = model.activity, {k: v.clone() for k, v in model.state_dict().items()}
    model.head.bias.grad = marker = torch.ones(2)
    generator = torch.get_rng_state()
    check(model)
    assert torch.equal(generator, torch.get_rng_state())
    assert model.activity is kept
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert (model.training, model.norm.training) == (mode, False)
    assert model.head.bias.grad is marker
    assert model.conv.weight.grad is None


def test_what_cannot_be_checked_is_said():
    with pytest.raises(UserError, match=r"does not take \(6, 4, 40\): RuntimeError: "):
        check(torch.nn.Linear(3, 2))
    with pytest.raises(UserError, match=r"target gives \(6, 2\), wanted \(6,\)"):
        check_model(Net(), SEQUENCE, lambda output: output)
    with pytest.raises(UserError, match="no parameter that is trained"):
        check(Net().requires_grad_(False))
    with pytest.raises(ValueError, match="sequence has 2 examples"):
        check_model(Net(), SEQUENCE[:2], first)
    with pytest.raises(ValueError, match=r"sequence is torch\.int64"):
        check_model(Net(), SEQUENCE.long(), first)


MODULE = """
import torch
print("imported")

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = torch.nn.Conv1d(4, 3, 5), torch.nn.Linear(3, 2)
    def forward(self, sequence):
        return {"logits": self.head(self.conv(sequence).tanh().mean(dim=2))}

def fails(): raise RuntimeError("two\\nlines")
def number(): return 3
def narrow(): return torch.nn.Linear(3, 1)
def second(output): return output["logits"][:, 1]
def coupled():
    net = Net()
    net.forward = lambda x: net.head(net.conv(x - x.mean(dim=0)).tanh().mean(dim=2))
    return net
constant = 3
def meta():
    with torch.device("meta"):
        return Net()
class Last(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()
    def forward(self, sequence):
        return self.net(sequence.transpose(1, 2))
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of the user, in the working directory."""
    name = f"nets_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


SMALL = ["--length", "40", "--batch", "6"]


def test_the_command_prints_a_table_or_json(nets, capsys):
    assert execute_command(["check", "--model", f"{nets}:Net", *SMALL]) == 0
    output = capsys.readouterr()
    assert "split=True" in output.out
    assert "imported" in output.err
    assert "imported" not in output.out
    for target in ([], ["--target", "-1"], ["--target", "second"]):
        command = ["check", "--model", f"{nets}:Net", *SMALL, *target, "--json"]
        assert execute_command(command) == 0
        found = json.loads(capsys.readouterr().out)
        assert set(found) == {"model", "seconds", "findings"}
        assert [row["name"] for row in found["findings"]] == list(GOOD)
        assert {row["name"]: row["outcome"] for row in found["findings"]} == GOOD
        assert found["findings"][0]["price"] > 0
        assert found["findings"][4]["price"] is None
    assert execute_command(["check", "--model", f"{nets}:coupled", *SMALL]) == 1
    assert "not fit" in capsys.readouterr().err


def test_a_model_that_takes_bases_last_is_checked(nets, capsys):
    assert execute_command(["check", "--model", f"{nets}:Last", *SMALL, "--layout", "BL4"]) == 0
    assert "default" in capsys.readouterr().out


def test_the_checks_of_a_prior_are_printed_as_json(capsys):
    assert execute_command(["check", "dropout", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prior"] == "dropout"
    assert {row["outcome"] for row in found["findings"]} == {"passed", "not applicable"}


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("nowhere_at_all:make", [], "'nowhere_at_all' cannot be imported: ModuleNotFoundError"),
        ("{}", [], "write module:factory"),
        ("{}:", [], "write module:factory"),
        ("{}.py:Net", [], "write the module without .py"),
        ("{}:Nett", [], "unknown function of module .* did you mean 'Net'"),
        ("{}:fails", [], r"fails\(\) raises RuntimeError: two lines$"),
        ("{}:number", [], r"number\(\) returns a int, wanted a torch.nn.Module"),
        ("{}:constant", [], "constant is a int; name a function"),
        ("{}:narrow", [], r"the model does not take \(6, 4, 40\): RuntimeError"),
        ("{}:meta", [], "the model is on torch's meta device, where tensors have no numbers"),
        ("{}:Last", [], r"the model does not take \(6, 4, 40\): RuntimeError"),
        ("{}:Net", ["--target", "2"], "--target 2: the output has columns 0 to 1"),
        ("{}:Net", ["--target", "third"], "unknown function of module"),
        ("{}:Net", ["--target", "constant"], "--target constant: is no function"),
        ("{}:Net", ["--batch", "3"], "--batch 3: give at least 4"),
        ("{}:Net", ["--length", "100000000"], "at most 10,000,000 bases"),
    ],
)
def test_wrong_models_are_one_line(nets, model, options, message):
    command = ["check", "--model", model.format(nets), *SMALL, *options]
    with pytest.raises(UserError, match=message) as error:
        execute_command(command)
    assert "\n" not in str(error.value)


def test_a_module_that_fails_or_ends_the_program_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"broken_syntax_": "def (", "leaving_": "raise SystemExit(3)"}.items():
        (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises(UserError, match="cannot be imported: S"):
            execute_command(["check", "--model", f"{name}:make"])


def test_one_thing_is_checked():
    for command in (["check"], ["check", "fourier", "--model", "nets:Net"]):
        with pytest.raises(UserError, match="name a prior, such as fourier, or --model"):
            execute_command(command)
