"""Outputs of networks: whatever they are nested in, no tensor is lost."""

from collections import OrderedDict, UserDict, namedtuple

import pytest
import torch

from priorbench.autograd.output_trees import join_trees, map_tensors, tensors_in

Pair = namedtuple("Pair", "profile count")


class OwnList(list):
    pass


class OwnTuple(tuple):
    __slots__ = ()


class OwnPair(Pair):
    __slots__ = ()


def tree_of(value):
    """A tree with four tensors, a number and nothing."""
    return {
        "list": OwnList([value, OwnTuple([value + 1, None])]),
        "pair": OwnPair(value + 2, "logits"),
        "own": UserDict({"last": (value + 3,), "number": 5}),
    }


def test_all_tensors_are_reached_and_all_else_stays():
    tree = tree_of(torch.zeros(2))
    assert [int(value[0]) for value in tensors_in(tree)] == [0, 1, 3, 2]  # keys are sorted
    mapped = map_tensors(lambda value: value[:1] + 10, tree)
    assert mapped == {
        "list": [torch.tensor([10.0]), (torch.tensor([11.0]), None)],
        "pair": OwnPair(torch.tensor([12.0]), "logits"),
        "own": {"last": (torch.tensor([13.0]),), "number": 5},
    }
    assert type(mapped["list"]) is list
    assert type(mapped["pair"]) is OwnPair


def test_trees_are_joined_tensor_by_tensor():
    joined = join_trees(tree_of(torch.zeros(2, 3)), tree_of(torch.ones(2, 1)), 1)
    assert [tuple(value.shape) for value in tensors_in(joined)] == [(2, 4)] * 4
    assert joined["list"][1][1] is None
    assert joined["own"]["number"] == 5
    assert join_trees(None, None, 0) is None


@pytest.mark.parametrize(
    "other",
    [
        [torch.zeros(2)],
        [torch.zeros(2), None],
        [torch.zeros(2), 1.0],
        [torch.zeros(2), [torch.zeros(2)]],
        (torch.zeros(2), torch.zeros(2)),
        OrderedDict(a=torch.zeros(2), b=torch.zeros(2)),
    ],
)
def test_trees_of_another_form_are_not_joined(other):
    with pytest.raises(ValueError, match=r"(?i)expected"):
        join_trees([torch.zeros(2), torch.zeros(2)], other, 0)
