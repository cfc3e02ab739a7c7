"""Layers on a batch in parts: values and derivatives of first and second order are torch's."""

import pytest
import torch
import torch.nn.functional as F

from priorbench.autograd.batch_norm import BatchNorm, Running, normalise
from priorbench.autograd.layer_chain import Gate, Parts, Step, joined, run, separate
from priorbench.autograd.torch_layers import chain_of, recognise
from priorbench.training.adam import Adam


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parts_of(*sizes, shape=(3, 20)):
    return [random(size, *shape, seed=size).requires_grad_() for size in sizes]


WIDE = random(5, 3, 15, seed=7)  # torch pads itself in the backward pass of narrower ones
CALLS = {
    "conv": (torch.conv1d, (random(5, 3, 4, seed=2), random(5, seed=3)), {}),
    "conv without bias": (torch.conv1d, (random(5, 3, 4, seed=2),), {"padding": 2}),
    "conv, dilated": (torch.conv1d, (random(5, 3, 3, seed=2), None, 1, "same", 4), {}),
    "conv, valid": (torch.conv1d, (random(5, 3, 4, seed=2),), {"padding": "valid"}),
    "wide conv": (torch.conv1d, (WIDE, random(5, seed=3)), {}),
    "wide conv, padded": (torch.conv1d, (WIDE, None, (1,), (1,), (1,)), {}),
    "relu": (F.relu, (), {}),
    "max-pool": (F.max_pool1d, (3,), {}),
    "max-pool, overlapping": (F.max_pool1d, (4, 3), {"padding": 2, "ceil_mode": True}),
    "max-pool, dilated": (torch.max_pool1d, (2, 2, 0, 3), {}),
}


def ours(function, parts, args, kwargs, gate=None):
    step = recognise(function, parts[0], args, kwargs)
    return run([step], gate or Gate(), Parts(parts)).parts.pieces


def same(found, expected, tolerance=1e-12):
    return all(torch.allclose(a, b, atol=tolerance) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_torchs(name):
    function, args, kwargs = CALLS[name]
    args = tuple(a.clone().requires_grad_() if isinstance(a, torch.Tensor) else a for a in args)
    leaves = [a for a in args if isinstance(a, torch.Tensor)]
    parts = parts_of(2, 4)
    results = ours(function, parts, args, kwargs)
    expected = [function(part, *args, **kwargs) for part in parts]
    assert same(results, expected)
    weights = [random(*r.shape, seed=i) for i, r in enumerate(expected)]
    found, wanted = (
        torch.autograd.grad(list(values), [*parts, *leaves], weights)
        for values in (results, expected)
    )
    assert same(found, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_attributions_are_differentiated_as_torchs(name):
    # the gradient of one part by its input, and the derivatives of a function of it
    function, args, kwargs = CALLS[name]
    args = tuple(a.clone().requires_grad_() if isinstance(a, torch.Tensor) else a for a in args)
    parts, gate = parts_of(2, 4), Gate()
    result = ours(function, parts, args, kwargs, gate)[0]
    plain = function(parts[0], *args, **kwargs)
    slope = random(*plain.shape).requires_grad_()
    with gate.closed():
        (found,) = torch.autograd.grad(result, parts[0], slope, create_graph=True)
    (expected,) = torch.autograd.grad(plain, parts[0], slope, create_graph=True)
    assert same([found], [expected])
    leaves = [slope, *(a for a in args[:1] if isinstance(a, torch.Tensor))]
    second, wanted = (
        torch.autograd.grad(value.pow(3).sum(), leaves) for value in (found, expected)
    )
    assert same(second, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_with_an_open_gate_derivatives_of_any_order_are_exact(name):
    function, args, kwargs = CALLS[name]
    args = tuple(a.clone().requires_grad_() if isinstance(a, torch.Tensor) else a for a in args)
    leaves = [a for a in args if isinstance(a, torch.Tensor)]
    parts = parts_of(2, 1, shape=(3, 18))

    def squares(*tensors):
        return tuple(r.pow(2) for r in ours(function, tensors[: len(parts)], args, kwargs))

    assert torch.autograd.gradgradcheck(squares, (*parts, *leaves), atol=1e-6)


def test_a_part_without_a_gradient_counts_as_zero():
    weight = WIDE.clone().requires_grad_()
    parts = parts_of(2, 3)
    first, _ = ours(torch.conv1d, parts, (weight,), {})
    found = torch.autograd.grad(first.square().sum(), weight)
    expected = torch.autograd.grad(torch.conv1d(parts[0], weight).square().sum(), weight)
    assert same(found, expected)


def test_nobody_pays_for_the_gradient_by_the_points():
    weight = WIDE.clone().requires_grad_()
    points, rest = parts_of(2, 3)
    gate = Gate(points)
    results = ours(torch.conv1d, [points, rest.detach()], (weight,), {}, gate)
    with gate.closed():
        (slope,) = torch.autograd.grad(results[0].sum(), points, create_graph=True)
    assert slope.abs().sum() > 0
    (sum(r.square().sum() for r in results) + slope.square().sum()).backward()
    assert points.grad is None
    assert weight.grad is not None


def normed(parts, affine, gate=None, *, eps, running=None, examples=None):
    examples = sum(map(len, parts)) if examples is None else examples
    layer = BatchNorm(eps, examples, running or Running(None, None, 0.1))
    return run([Step(layer, affine)], gate or Gate(), Parts(parts))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 7), (3,)])
def test_batch_norm_has_torchs_values_gradients_and_running_statistics(affine, shape):
    parts = parts_of(2, 4, shape=shape)
    scale = (random(3, seed=5).requires_grad_(), random(3, seed=6).requires_grad_())
    scale = scale if affine else (None, None)
    leaves = [*parts, *(s for s in scale if s is not None)]
    mine, theirs = ([torch.zeros(3).double(), torch.ones(3).double()] for _ in range(2))
    passed = normed(parts, scale, eps=1e-3, running=Running(*mine, 0.3))
    found = torch.cat(list(passed.parts.pieces))
    expected = F.batch_norm(torch.cat(parts), *theirs, *scale, True, 0.3, 1e-3)
    assert same([found, *mine], [expected, *theirs])
    weight = random(*expected.shape)
    pair = (torch.autograd.grad((v * weight).sum(), leaves) for v in (found, expected))
    assert same(*pair)


@pytest.mark.parametrize("examples", [5, 3])
def test_batch_norm_can_be_differentiated_twice_through_all_its_outputs(examples):
    # with three examples, the last two rows are guests
    parts = parts_of(3, 2, shape=(2, 3))
    affine = (random(2, seed=5).requires_grad_(), random(2, seed=6).requires_grad_())

    def outputs(*tensors):
        passed = normed(tensors[:2], tensors[2:], eps=0.1, examples=examples)
        other = normalise(random(1, 2, 3), passed.statistics, tensors[2:], 0.1)
        return (*passed.parts.pieces, *passed.statistics, other)

    assert torch.autograd.gradcheck(outputs, (*parts, *affine))
    assert torch.autograd.gradgradcheck(outputs, (*parts, *affine))


@pytest.mark.parametrize("place", [0, 1])
def test_a_closed_gate_holds_the_statistics_fixed_and_is_differentiated_through_them(place):
    # of an example and of a guest
    parts = parts_of(3, 2, shape=(2, 3))
    weight, slope = random(2, seed=5).requires_grad_(), random(*parts[place].shape, seed=8)

    def attribution(*tensors):
        gate = Gate()
        pieces = [t.clone() for t in tensors[:2]]
        passed = normed(pieces, (tensors[2], None), gate, eps=0.1, examples=3)
        with gate.closed():
            return torch.autograd.grad(
                passed.parts.pieces[place], pieces[place], slope, create_graph=True
            )[0]

    scale = weight / (parts[0].var((0, 2), unbiased=False) + 0.1).sqrt()
    assert same([attribution(*parts, weight)], [slope * scale[:, None]])
    assert torch.autograd.gradcheck(attribution, (*parts, weight))
    assert torch.autograd.gradgradcheck(attribution, (*parts, weight))


def network(**options):
    torch.manual_seed(0)
    modules = [
        torch.nn.Conv1d(4, 3, 5, padding=2),
        torch.nn.BatchNorm1d(3, **options),
        torch.nn.ReLU(inplace=True),
        torch.nn.Sequential(torch.nn.Conv1d(3, 3, 3), torch.nn.MaxPool1d(2), torch.nn.ReLU()),
        torch.nn.Flatten(),
        torch.nn.Linear(9 * 3, 4),
        torch.nn.BatchNorm1d(4, **options),
        torch.nn.Linear(4, 1),
    ]
    return torch.nn.Sequential(*modules).double()


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}, {"eps": 0.1}],
)
def test_a_network_is_one_chain_with_torchs_outputs_gradients_and_buffers(options):
    chained, plain = network(**options), network(**options)
    for step in range(2):
        parts = [random(size, 4, 20, seed=10 * step + size) for size in (2, 3)]
        steps = chain_of(chained, parts[0], 5)
        found = torch.cat(list(run(steps, Gate(), Parts(parts)).parts.pieces))
        expected = plain(torch.cat(parts))
        assert same([found], [expected])
        found.pow(2).sum().backward()
        expected.pow(2).sum().backward()
    for mine, theirs in zip(chained.parameters(), plain.parameters(), strict=True):
        assert same([mine.grad], [theirs.grad])
    for mine, theirs in zip(chained.buffers(), plain.buffers(), strict=True):
        assert same([mine.double()], [theirs.double()])


def test_what_is_no_row_of_known_layers_is_no_chain():
    part = random(2, 4, 20)
    assert chain_of(network(), part, 2) is not None
    for other in (torch.nn.Softplus(), torch.nn.Linear(20, 20)):  # of three dimensions
        assert chain_of(torch.nn.Sequential(torch.nn.Conv1d(4, 4, 1), other), part, 2) is None
    assert chain_of(network().eval(), part, 2) is None
    assert chain_of(network(), part.float(), 2) is None
    hooked, replaced = network(), network()
    hooked[3][0].register_forward_hook(lambda module, inputs, output: output)
    replaced[2].forward = lambda value: value
    assert chain_of(hooked, part, 2) is None
    assert chain_of(replaced, part, 2) is None

    class Other(torch.nn.Conv1d):
        pass

    assert chain_of(torch.nn.Sequential(Other(4, 1, 3)), part, 2) is None


def test_parts_that_lie_one_behind_the_other_are_joined_without_a_copy():
    whole = random(6, 2)
    with torch.no_grad():
        pieces = separate(whole, [2, 3, 1])
        assert joined(pieces).data_ptr() == whole.data_ptr()
        assert torch.equal(joined(pieces), whole)
        assert torch.equal(joined(pieces[1:]), whole[2:])
        for order in ([1, 0, 2], [0, 2, 1], [0, 0, 1]):
            moved = [pieces[i] for i in order]
            assert torch.equal(joined(moved), torch.cat(moved))
        turned = [piece.t() for piece in separate(random(4, 4), [2, 2])]
        assert torch.equal(joined(turned[:1]), turned[0])
    pieces[0].add_(1)  # which one of several views would refuse
    assert torch.equal(whole[:2], pieces[0])


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (torch.conv1d, (random(5, 3, 4), None, 2), {}),
        (torch.conv1d, (random(3, 1, 4), None, 1, 0, 1, 3), {}),
        (torch.conv1d, (random(5, 3, 4), None, 1, "same"), {}),
        (torch.conv1d, (random(5, 3, 4).float(),), {}),
        (F.relu, (True,), {}),
        (F.max_pool1d, (2,), {"return_indices": True}),
        (torch.tanh, (), {}),
    ],
)
def test_calls_without_a_layer_are_left_to_torch(function, args, kwargs):
    assert recognise(function, random(2, 3, 20), args, kwargs) is None


def test_layers_step_aside_under_autocast():
    part = random(2, 3, 20).float()
    assert recognise(F.relu, part, (), {}) is not None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert recognise(F.relu, part, (), {}) is None


def test_adam_is_torchs_to_the_last_bit():
    # of three parameters one is frozen and one has a gradient at every other step only
    mine, theirs = (
        [torch.nn.Parameter(random(3, 5, seed=i).float()) for i in range(3)] for _ in range(2)
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
    assert not torch.equal(mine[1], random(3, 5, seed=1).float())
