"""Every architecture keeps its contract, and one that says too much of itself is told so."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from priorbench import Architecture, UserError
from priorbench.authoring import architecture_checks
from priorbench.authoring.architecture_checks import check_architecture
from priorbench.authoring.check_tools import run_check
from priorbench.components import registry

SPECS = [
    *registry.components("architecture"),
    "three-conv:batch_norm=false",
    "deepbind:batch_norm=false",
]


@pytest.mark.parametrize("spec", SPECS)
def test_every_architecture_conforms_and_may_be_taken_apart(spec):
    results = {result.check: result for result in check_architecture(spec)}
    assert {result.outcome for result in results.values()} == {"passed"}


def test_unknown_architectures_are_refused():
    with pytest.raises(UserError, match="did you mean"):
        list(check_architecture("three-conf"))


class Net(torch.nn.Module):
    def __init__(self, outputs, between):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 3, 5)
        self.head = torch.nn.Linear(3, outputs)
        self.between = between

    def forward(self, sequence):
        return self.head(self.between(self, self.conv(sequence)).mean(dim=2))


def mixing(net, value):
    return value - value.mean(dim=0, keepdim=True)


def keeping(net, value):
    net.activity = value.abs().mean()
    return value.tanh()


@pytest.mark.parametrize(
    ("between", "apart", "outcome", "detail"),
    [
        (mixing, True, "failed", "an example has another output beside other examples"),
        (keeping, True, "failed", "it keeps tensors in Net.activity"),
        (mixing, False, "not applicable", "batches are never taken apart"),
        (lambda net, value: value.tanh(), True, "passed", "those of the parts"),
    ],
)
def test_what_a_class_says_of_its_examples_is_tested(between, apart, outcome, detail):
    @dataclass(frozen=True)
    class Own(Architecture):
        summary: ClassVar[str] = "for a test"
        examples_apart: ClassVar[bool] = apart

        def build(self, shape, scale):
            return Net(shape.outputs, between)

    result = run_check(architecture_checks.treats_examples_apart, Own())
    assert result.outcome == outcome
    assert detail in result.detail
    assert run_check(architecture_checks.predicts_numbers, Own()).outcome == "passed"


def test_plug_ins_are_not_taken_apart_unless_they_say_so():
    assert not Architecture.examples_apart


def test_what_an_architecture_builds_is_checked():
    @dataclass(frozen=True)
    class Wrong(Architecture):
        summary: ClassVar[str] = ""

        def build(self, shape, scale):
            generator = torch.Generator()
            generator.seed()
            net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(320, 2))
            torch.nn.init.normal_(net[1].weight, generator=generator)
            return net

    outcomes = [run_check(check, Wrong()).outcome for check in architecture_checks.CHECKS]
    assert outcomes == ["failed", "failed", "failed", "not applicable"]
