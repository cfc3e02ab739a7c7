"""A factory is given the sizes that it needs, and what it makes is put into our form."""

from functools import partial

import pytest
import torch
from fixtures import user_networks
from fixtures.networks import WINDOW, build_network
from fixtures.sequences import random_sequences

from priorbench import UserError
from priorbench.components.architecture import NetworkShape
from priorbench.user_models.factory import load_factory
from priorbench.user_models.network import build_network as build_own
from priorbench.user_models.network import check_call, check_output

one_hot = partial(random_sequences, dtype=torch.float32)


def factory(name):
    return load_factory(f"fixtures.user_networks:{name}")


@pytest.mark.parametrize("name", ["of_shape", "of_sizes", "Lettered", "Noisy"])
def test_factories_are_given_what_they_need(name):
    layout = "BL4" if name == "Lettered" else "B4L"
    own = build_own(factory(name), WINDOW, layout)
    assert not any(module.training for module in own.modules())
    ours = build_network()
    inner = getattr(own.network, "inner", own.network)
    inner.load_state_dict(ours.state_dict())
    sequence = one_hot(5, 80)
    output = own(sequence)
    assert output.shape == (5, 1)
    assert torch.equal(output, ours.eval()(sequence))
    check_output(own, sequence, [], WINDOW)


def test_a_model_that_was_made_already_is_copied(monkeypatch):
    made = build_network()
    monkeypatch.setattr(user_networks, "made", made, raising=False)
    own = build_own(factory("made"), WINDOW, "B4L").network
    assert own is not made
    assert torch.equal(own(one_hot(2, 80)), made.eval()(one_hot(2, 80)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demanding", r"demanding\(\) needs width; it may need shape, length, outputs, profile"),
        ("failing", r"failing\(\) raises RuntimeError: two lines"),
        ("nothing", r"nothing\(\) returns a NoneType"),
        ("NUMBER", "NUMBER is a int; name a function"),
    ],
)
def test_what_makes_no_model_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        factory(name).make(WINDOW)


def test_outputs_of_another_shape_are_named():
    sequence = one_hot(3, 80)
    wide = build_own(factory("wide"), WINDOW, "B4L")
    with pytest.raises(UserError, match=r"returns \(3, 3\) for .*; the task reads \(3, 1\), a log"):
        check_output(wide, sequence, [], WINDOW)
    with pytest.raises(UserError, match=r"reads \(3, 2, 20\) and \(3, 2\), logits of the profile"):
        check_output(wide, sequence, [], NetworkShape(80, 2, 20))
    with pytest.raises(UserError, match=r"does not take \(3, 4, 80\) and \(3, 2, 20\): TypeError"):
        check_output(wide, sequence, [torch.zeros(3, 2, 20)], NetworkShape(80, 2, 20, 2))
    letters = build_own(factory("of_shape"), WINDOW, "BL4")
    with pytest.raises(UserError, match="the model does not take"):
        check_output(letters, sequence, [], WINDOW)


def called(name):
    """What a network's calls say, where it and one built anew have the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of some untrained networks, outputs differ by no more than rounding
        own, rebuilt = (build_own(factory(name), WINDOW, "B4L") for _ in range(2))
    rebuilt.load_state_dict(own.state_dict())
    check_output(own, one_hot(12, 80), [], WINDOW)
    return check_call(own, rebuilt, one_hot(12, 80), [])


def test_outputs_in_a_tuple_or_by_name_are_refused():
    for name, kind in (("Wrapped", "tuple"), ("Named", "dict")):
        with pytest.raises(UserError, match=rf"a {kind} of \(12, 1\) for .* \(12, 1\), a l"):
            called(name)


@pytest.mark.parametrize("name", ["of_shape", "Noisy", "Squeezed"])
def test_calls_that_repeat_raise_no_doubt(name):
    assert called(name) == []


def test_a_squeezed_output_of_one_example_is_a_logit():
    own = build_own(factory("Squeezed"), WINDOW, "B4L")
    sequence = one_hot(3, 80)
    assert own(sequence[:1]).shape == (1, 1)
    torch.testing.assert_close(own(sequence[:1]), own(sequence)[:1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Restless", "returns something else when it is called again"),
        ("Crowded", "depends on the others of its batch"),
    ],
)
def test_calls_that_differ_raise_a_doubt(name, message):
    (doubt,) = called(name)
    assert message in doubt


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Learning", r"a call of the model changes inner\.\S+, in eval mode too"),
        ("Forgetful", "the weights do not hold all that the model computes with"),
    ],
)
def test_calls_of_another_network_than_the_weights_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        called(name)


def test_probabilities_are_told_from_logits():
    sequence = one_hot(20, 80)
    assert check_output(build_own(factory("Probable"), WINDOW, "B4L"), sequence, [], WINDOW)
    own = build_own(factory("of_shape"), WINDOW, "B4L")
    list(own.parameters())[-1].data -= 3
    assert not check_output(own, sequence, [], WINDOW)


def test_another_code_has_another_digest(tmp_path):
    digests = []
    for number, text in enumerate(("x = 1", "x = 2", "x = 2  # the same")):
        (tmp_path / f"nets_{number}.py").write_text(f"def make():\n    {text}\n")
        digests.append(load_factory(f"nets_{number}:make", tmp_path).code_digest())
    assert digests[0] != digests[1] == digests[2]
