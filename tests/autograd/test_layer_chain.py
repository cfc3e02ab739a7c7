"""Networks whose derivatives are written out: they are torch's, and anything else is refused."""

import copy

import pytest
import torch
from fixtures.networks import build_network
from fixtures.tensors import random_tensor, same

from priorbench.autograd.chain_step import _SavedChain
from priorbench.autograd.layer_chain import LayerChain
from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.run_layers import run
from priorbench.autograd.split.routes import choose_route, forward_apart
from priorbench.autograd.split.ways import CannotTakeApart, as_chain, side_by_side
from priorbench.autograd.statistics_gate import StatisticsGate


def network(kind=LayerChain, **options):
    torch.manual_seed(0)
    modules = [
        torch.nn.Conv1d(4, 3, 5, padding="same"),
        torch.nn.BatchNorm1d(3, **options),
        torch.nn.ReLU(inplace=True),
        torch.nn.Conv1d(3, 3, 3),
        torch.nn.MaxPool1d(4, ceil_mode=True),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(5 * 3, 4),
        torch.nn.BatchNorm1d(4, **options),
        torch.nn.Linear(4, 1),
    ]
    return kind(*modules).double()


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}, {"eps": 0.1}],
)
def test_a_chain_has_torchs_outputs_gradients_and_buffers(options):
    chained, plain = network(**options), network(**options)
    for step in range(2):
        parts = [random_tensor(size, 4, 20, seed=10 * step + size) for size in (2, 3)]
        output = torch.cat(list(run(chained.written_out(5), StatisticsGate(), parts).parts))
        expected = plain(torch.cat(parts))
        assert same([output], [expected])
        output.pow(2).sum().backward()
        expected.pow(2).sum().backward()
    for mine, theirs in zip(chained.parameters(), plain.parameters(), strict=True):
        assert same([mine.grad], [theirs.grad])
    for mine, theirs in zip(chained.buffers(), plain.buffers(), strict=True):
        assert same([mine.double()], [theirs.double()])


@pytest.mark.parametrize("sizes", [(5,), (2, 3)])
def test_values_are_saved_without_history(sizes):
    parts = [random_tensor(size, 4, 20).requires_grad_() for size in sizes]
    result = run(network().written_out(5), StatisticsGate(), parts).parts[0]
    saved = _SavedChain.of(result.grad_fn)
    assert not any(layer.value.requires_grad for layer in saved.layers)
    assert all(part.requires_grad for part in saved.parts)


def way_of(model, dtype=torch.float64, length=20):
    parts = [[random_tensor(size, 4, length).to(dtype)] for size in (2, 3)]
    return choose_route(ModelCall(model, count=5), parts, 2).way


def replaced(index, module, kind=LayerChain):
    model = network(kind)
    model[index] = module
    return model.double()


class OtherConvolution(torch.nn.Conv1d):
    """What it does is not known."""


def test_only_what_was_built_as_a_chain_is_one():
    assert way_of(network()) is as_chain
    assert way_of(network(torch.nn.Sequential)) is side_by_side
    assert way_of(torch.nn.Sequential(network())) is side_by_side
    assert way_of(network().eval()) is side_by_side


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("three-conv", as_chain),
        ("basset", as_chain),
        ("three-conv:batch_norm=false", side_by_side),
        ("deepsea", side_by_side),
        ("deepbind", side_by_side),
        ("bpnet", side_by_side),
    ],
)
def test_rows_of_layers_with_batch_norm_are_chains(name, way):
    assert way_of(build_network(name), torch.float32, 80) is way


class OtherChain(LayerChain):
    """It does more than its modules."""

    def forward(self, value):
        return 2 * super().forward(value)


def untracked(channels):
    """Batch norm that keeps running statistics, and is told afterwards to leave them alone."""
    norm = torch.nn.BatchNorm1d(channels)
    norm.track_running_stats = False
    return norm


@pytest.mark.parametrize(
    ("index", "module"),
    [
        (0, torch.nn.Conv1d(4, 3, 5, padding=2)),
        (0, torch.nn.Conv1d(4, 3, 2, padding="same", dilation=4)),
        (0, torch.nn.Conv1d(4, 3, 5, padding="same", dilation=(3,), bias=False)),
        (1, untracked(3)),
        (3, torch.nn.Conv1d(3, 3, 1, padding="valid")),
        (4, torch.nn.MaxPool1d((4,), stride=(4,), padding=(0,), ceil_mode=True)),
        (8, untracked(4)),
    ],
)
def test_options_that_are_written_out_are_those_of_autograd(index, module):
    chained = replaced(index, module)
    plain = replaced(index, copy.deepcopy(module), torch.nn.Sequential)
    assert way_of(chained) is as_chain
    sequence, gate = random_tensor(5, 4, 20).requires_grad_(), StatisticsGate()
    output = run(chained.written_out(5), gate, [sequence]).parts[0]
    expected = plain(sequence)
    assert same([output], [expected])
    pairs = ((output, chained), (expected, plain))
    gradients = [
        torch.autograd.grad(value.pow(2).sum(), [sequence, *model.parameters()])
        for value, model in pairs
    ]
    assert same(*gradients, 1e-10)
    mine, theirs = ([buffer.double() for buffer in model.buffers()] for _, model in pairs)
    assert same(mine, theirs)


REFUSED = {
    "a module without derivatives": (2, torch.nn.Softplus()),
    "a subclass": (0, OtherConvolution(4, 3, 5, padding="same")),
    "stride": (0, torch.nn.Conv1d(4, 3, 5, padding=2, stride=2)),
    "padding mode": (0, torch.nn.Conv1d(4, 3, 5, padding=2, padding_mode="circular")),
    "padding of one more at one end": (0, torch.nn.Conv1d(4, 3, 4, padding="same")),
    "the same, dilated": (0, torch.nn.Conv1d(4, 3, 4, padding="same", dilation=3)),
    "groups": (3, torch.nn.Conv1d(3, 3, 3, groups=3)),
    "floor mode": (4, torch.nn.MaxPool1d(4)),
    "pools that overlap": (4, torch.nn.MaxPool1d(4, 3, ceil_mode=True)),
    "pools apart": (4, torch.nn.MaxPool1d(3, 4, ceil_mode=True)),
    "padded pools": (4, torch.nn.MaxPool1d(4, 4, padding=1, ceil_mode=True)),
    "dilated pools": (4, torch.nn.MaxPool1d(4, 4, dilation=2, ceil_mode=True)),
    "places of maxima": (4, torch.nn.MaxPool1d(4, ceil_mode=True, return_indices=True)),
    "flattening of the rows": (6, torch.nn.Flatten(0)),
    "flattening of some dimensions": (6, torch.nn.Flatten(1, 1)),
    "no flattening, then dense": (6, torch.nn.ReLU()),
    "convolution of flat values": (7, torch.nn.Conv1d(5, 15, 1)),
    "pooling of flat values": (8, torch.nn.MaxPool1d(4, ceil_mode=True)),
    "running statistics": (1, torch.nn.BatchNorm1d(3).eval()),
    "statistics of the batch in eval mode": (
        1,
        torch.nn.BatchNorm1d(3, track_running_stats=False).eval(),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_modules_and_options_without_written_out_derivatives_are_refused(name):
    with pytest.raises(TypeError, match="no derivatives are written out for"):
        replaced(*REFUSED[name]).written_out(5)


@pytest.mark.parametrize(
    "name", ["a module without derivatives", "a subclass", "padding mode", "groups", "padded pools"]
)
def test_what_is_refused_is_left_to_autograd(name):
    assert way_of(replaced(*REFUSED[name])) is side_by_side


def test_flat_input_needs_no_flattening():
    chain = LayerChain(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    assert len(chain.double().written_out(5, 2)) == 3
    with pytest.raises(TypeError, match="no derivatives are written out for"):
        chain.written_out(5)
    parts = [[random_tensor(2, 6)], [random_tensor(3, 6)]]
    assert choose_route(ModelCall(chain, count=5), parts, 2).way is as_chain


def test_changed_modules_are_left_to_autograd():
    def hook(module, inputs, output):
        return output

    def pre_hook(module, inputs):
        return tuple(3 * value for value in inputs)

    models = [network() for _ in range(6)]
    models[0][3].register_forward_hook(hook)
    models[1][2].forward = lambda value: value
    models[2].register_forward_hook(hook)
    models[3].register_forward_pre_hook(pre_hook)
    models[4].forward = lambda value: value.sum((1, 2))[:, None]
    models[5] = network(OtherChain)
    for model in models:
        with pytest.raises(TypeError, match="no derivatives are written out for"):
            model.written_out(5)
    for model in models[:5]:
        with pytest.raises(CannotTakeApart, match="has a hook, or a forward that was replaced"):
            way_of(model)
    assert way_of(models[5]) is side_by_side


def test_a_hook_that_is_added_later_ends_it():
    model, parts = network(), [[random_tensor(size, 4, 20)] for size in (2, 3)]
    call = ModelCall(model, count=5)
    plain = torch.cat(forward_apart(call, parts, StatisticsGate(), 2))
    handle = model.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(CannotTakeApart, match="has a hook"):
        forward_apart(call, parts, StatisticsGate(), 2)
    handle.remove()
    assert same([torch.cat(forward_apart(call, parts, StatisticsGate(), 2))], [plain])


def test_chains_step_aside_under_autocast():
    model = network().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert way_of(model, torch.float32) is not as_chain
    assert way_of(model, torch.float32) is as_chain
