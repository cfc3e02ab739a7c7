"""What is easily passed in place of what is wanted is refused, by the name of the argument."""

import pytest
import torch
from fixtures.sequences import random_sequences

from priorbench import (
    UserError,
    attribute_and_predict,
    explain,
    input_x_gradient,
    integrated_gradients,
)

SEQUENCES = random_sequences(6, 20)
LABEL = torch.tensor([1, 0, 1, 0, 0, 1])
TRACKS = torch.rand(6, 2)


class Model(torch.nn.Module):
    def forward(self, sequence, *tracks):
        return sequence.square().sum((1, 2))[:, None] + sum(track[:, :1] for track in tracks)


model = Model()


def target(output):
    return output[:, 0]


WRONG = {
    "labels": (
        {"applies": LABEL},
        r"applies is torch.int64 .* a mask, such as label == 1, is bool",
    ),
    "floats": (
        {"applies": LABEL.double()},
        r"applies is torch.float64 of shape \(6,\), wanted bool",
    ),
    "list": ({"applies": [True] * 6}, "applies is a list, wanted a tensor"),
    "array": ({"applies": (LABEL == 1).numpy()}, "applies is a ndarray, wanted a tensor"),
    "one tensor": ({"args": TRACKS}, r"args is a tensor, wanted .* such as \(controls,\)"),
    "text": ({"method": "gradient"}, "method is a str, wanted what load_attribution gives"),
    "column": (
        {"target": lambda output: output},
        r"target gives torch.float64 of shape \(\d, 1\), wanted floating \(\d,\)",
    ),
    "number": ({"target": lambda output: 0.5}, r"target gives <class 'float'>.*wanted floating"),
    "complex": (
        {"target": lambda output: torch.complex(output[:, 0], output[:, 0])},
        "target gives torch.complex128",
    ),
    "column's number": ({"target": 0}, "target is a int, wanted a function"),
    "no model": ({"model": None}, "model is a NoneType, wanted a module or another callable"),
    "numpy": ({"sequence": SEQUENCES.numpy()}, "sequence is a ndarray, wanted a tensor"),
    "seed": ({"generator": 3}, "generator is a int, wanted a torch.Generator"),
    "one argument": ({"args": 3}, r"args is a int, wanted .* such as \(controls,\)"),
    "pairs": ({"kwargs": [("a", 1)]}, "kwargs is a list, wanted arguments by name"),
    "row twice": ({"applies": torch.tensor([0, 0, 1])}, "not rows of a batch of 6, each once"),
    "row too far": ({"applies": torch.tensor([0, 6])}, "not rows of a batch of 6, each once"),
    "negative row": ({"applies": torch.tensor([-1])}, "not rows of a batch of 6, each once"),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused(name):
    wrong, message = WRONG[name]
    right = {"model": model, "sequence": SEQUENCES, "applies": LABEL == 1, "target": target}
    for split in (False, True):
        with pytest.raises(ValueError, match=message):
            attribute_and_predict(**right | wrong, split=split)


@pytest.mark.parametrize("steps", [2.5, 0, 1001])
def test_steps_of_a_path_are_counted(steps):
    with pytest.raises(UserError, match="is not a whole number from 1 to 1000"):
        integrated_gradients(model, SEQUENCES, target, steps=steps)


@pytest.mark.parametrize(("name", "wrong"), [("model", "CNN"), ("target", 0), ("args", 3)])
def test_explain_names_them_too(name, wrong):
    given = {"model": model, "sequence": SEQUENCES, "target": target} | {name: wrong}
    with pytest.raises(ValueError, match=f"{name} is a "):
        explain(**given)


def test_one_tensor_of_arguments_is_refused_where_all_are_attributed():
    with pytest.raises(ValueError, match="args is a tensor"):
        input_x_gradient(model, SEQUENCES, target, args=TRACKS)


@pytest.mark.parametrize("rows", [[3], [4, 1], [5, 3, 1, 0, 2, 4]])
def test_rows_are_taken_in_their_order(rows):
    _, attribution = attribute_and_predict(model, SEQUENCES, torch.tensor(rows), target)
    assert torch.equal(attribution.gradient, 2 * SEQUENCES[rows])
