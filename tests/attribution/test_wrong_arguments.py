"""What is easily passed in place of what is wanted is refused, by the name of the argument."""

import pytest
import torch
from fixtures.sequences import random_sequences

from priorbench import attribute_and_predict, input_x_gradient

SEQUENCES = random_sequences(6, 20)
LABEL = torch.tensor([1, 0, 1, 0, 0, 1])
TRACKS = torch.rand(6, 2)


def model(sequence, *tracks):
    return sequence.square().sum((1, 2))[:, None] + sum(track[:, :1] for track in tracks)


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
    "column": ({"target": lambda output: output}, r"target gives shape \(6, 1\), wanted \(6,\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused(name):
    wrong, message = WRONG[name]
    given = {"applies": LABEL == 1, "target": target} | wrong
    with pytest.raises(ValueError, match=message):
        attribute_and_predict(model, SEQUENCES, **given)


def test_one_tensor_of_arguments_is_refused_where_all_are_attributed():
    with pytest.raises(ValueError, match="args is a tensor"):
        input_x_gradient(model, SEQUENCES, target, args=TRACKS)


@pytest.mark.parametrize("rows", [[3], [4, 1], [5, 3, 1, 0, 2, 4]])
def test_rows_are_taken_in_their_order(rows):
    _, attribution = attribute_and_predict(model, SEQUENCES, torch.tensor(rows), target)
    assert torch.equal(attribution.gradient, 2 * SEQUENCES[rows])
