"""Models of others in loops of others: what a plain loop sees and allows, this library does."""

import functools
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F
from fixtures.sequences import random_sequences
from torch.utils.checkpoint import checkpoint

from priorbench import (
    Batch,
    attribute_and_predict,
    expected_gradients,
    input_x_gradient,
    integrated_gradients,
    load_attribution,
    load_prior,
)
from priorbench.attribution.methods import METHODS


def sequences(count=8, dtype=torch.float64, seed=1):
    return random_sequences(count, 40, seed=seed, dtype=dtype)


def target(output):
    return output[:, 0]


HALF = torch.arange(8) % 2 == 0


def seeded():
    return torch.Generator().manual_seed(0)


class Small(torch.nn.Module):
    """Convolution, batch norm, dense head."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 6, 5)
        self.norm = torch.nn.BatchNorm1d(6)
        self.head = torch.nn.Linear(216, 1)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).tanh().flatten(1))


def built(kind=Small, *arguments):
    torch.manual_seed(0)
    return kind(*arguments).double()


def by_hand(model, x, read=target, rows=None):
    """One pass, and the gradient of chosen examples with batch norm in eval mode."""
    points = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(read(model(points)).sum(), points, create_graph=True)
    return slope if rows is None else slope[rows]


# 1: hooks and kept tensors


class Keeping(Small):
    """Adds the size of its activity, and reads a size of its input."""

    def forward(self, x):
        h = self.norm(self.conv(x))
        self.activity = h.abs().mean() * x.shape[0] / len(x)
        return self.head(h.tanh().flatten(1))


@pytest.mark.parametrize("spec", [*METHODS])
def test_tensors_kept_on_modules_are_those_of_the_batch_and_go_into_the_loss(spec):
    plain, model, x = built(Keeping), built(Keeping), sequences()
    plain(x)
    for _ in range(2):
        output, attribution = attribute_and_predict(
            model, x, HALF, target, method=load_attribution(spec), generator=seeded()
        )
        assert type(model.activity) is torch.Tensor
        assert torch.allclose(model.activity, plain.activity)
    loss = output.square().mean() + model.activity + attribution.observed.square().mean()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(("spec", "calls"), [("input-x-gradient", 1), ("expected-gradients", 2)])
def test_hooks_fire_once_with_the_whole_batch_in_its_order(spec, calls):
    model, x, seen = built(), sequences(), []
    model.conv.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    for _ in range(2):
        seen.clear()
        attribute_and_predict(
            model, x, HALF, target, method=load_attribution(spec), generator=seeded()
        )
        assert len(seen) == calls
        assert torch.equal(seen[0], x)


def test_backward_hooks_see_the_whole_batch():
    model, x, seen = built(), sequences(), []
    model.register_full_backward_hook(lambda module, by_input, by_output: seen.append(by_output))
    output, _ = attribute_and_predict(model, x, HALF, target)
    assert [by[0].shape for by in seen] == [(8, 1)]  # attributions are gradients too
    output.sum().backward()
    assert [by[0].shape for by in seen] == [(8, 1)] * 2


class Auxiliary(Small):
    def forward(self, x):
        output = super().forward(x)
        return {"logit": output, "penalty": output.square().mean(), "count": len(x)}


def test_auxiliary_outputs_without_rows_stay_as_they_are():
    x = sequences()
    output, attribution = attribute_and_predict(
        built(Auxiliary), x, HALF, lambda out: out["logit"][:, 0]
    )
    expected = built(Auxiliary)(x)
    assert torch.allclose(output["penalty"], expected["penalty"])
    assert output["count"] == 8
    assert attribution.observed.shape == (4, 40)


class ChangesItsInput(Small):
    def forward(self, x):
        x[:, :, 0] = 0
        return super().forward(x)


def test_a_model_may_change_its_input_in_place():
    x = sequences()
    kept = x.clone()
    output, _ = attribute_and_predict(built(ChangesItsInput), x, HALF, target)
    assert torch.equal(x, kept)
    assert torch.allclose(output, built(ChangesItsInput)(kept))


class Counting(Small):
    """Keeps a list, a number and a buffer that is replaced."""

    def __init__(self):
        super().__init__()
        self.kept, self.passes = [], 0
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        output = super().forward(x)
        self.passes += 1
        self.kept.append(len(x))
        self.mean = 0.9 * self.mean + 0.1 * output.detach().mean()
        return output


def test_points_of_a_path_leave_no_trace_on_modules():
    model, plain, x = built(Counting), built(Counting), sequences()

    def call(value):
        return model(value)

    for chosen in (HALF, ~HALF):
        plain(x)
        attribute_and_predict(
            call,
            x,
            chosen,
            target,
            method=load_attribution("integrated-gradients:steps=3"),
        )
    assert model.kept == plain.kept == [8, 8]
    assert model.passes == 2
    for mine, theirs in zip(model.buffers(), plain.buffers(), strict=True):
        assert torch.allclose(mine, theirs)


class Loop:
    """A training loop that is no module, and holds a model."""

    def __init__(self):
        self.parts = {"model": built(Counting)}

    def attribute(self, x):
        method = load_attribution("integrated-gradients:steps=3")
        return attribute_and_predict(
            lambda value: self.parts["model"](value) * 2, x, HALF, target, method=method
        )


def test_a_model_is_found_behind_a_function_that_names_its_holder():
    loop = Loop()
    loop.attribute(sequences())
    assert loop.parts["model"].passes == 1


def test_a_model_is_found_among_the_defaults_of_a_function():
    model, method = built(Counting), load_attribution("integrated-gradients:steps=3")
    positional = [
        lambda value, model=model: model(value),
        lambda value, *, model=model: model(value),
    ]
    for passes, call in enumerate(positional, 1):
        attribute_and_predict(call, sequences(), HALF, target, method=method)
        assert model.passes == passes


# 4: compiled models


@pytest.fixture
def forget_compiled():
    yield
    torch._dynamo.reset()


def _doubling(value):
    return value.sigmoid() * 2


_doubled = torch.compile(_doubling, backend="aot_eager")


class Calling(torch.nn.Module):
    """Calls compiled functions: one that its code names, a method, and one that it holds."""

    def __init__(self, whole, kind):
        super().__init__()
        self.whole, self.kind = whole, kind
        self.own = torch.compile(self.plain, backend="aot_eager")

    def plain(self, x):
        return self.whole(x).sigmoid() * 2

    method = torch.compile(plain, backend="aot_eager")

    def forward(self, x):
        if self.kind == "named":
            return _doubled(self.whole(x))
        return self.method(x) if self.kind == "method" else self.own(x)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # within torch.compile
@pytest.mark.parametrize("kind", ["named", "method", "own", "forward"])
def test_compiled_functions_within_a_model_are_run_as_the_originals(kind, forget_compiled):
    model, x = Calling(built(), kind), sequences()
    if kind == "forward":
        model = built()
        model.forward = torch.compile(model.forward, backend="aot_eager")
    model(x)

    def loop():
        for chosen in (3, 8, 1, 0):
            _, attribution = attribute_and_predict(model, x, torch.arange(8) < chosen, target)
            attribution.observed.square().sum().backward()

    with pytest.warns(UserWarning, match="the model is compiled"):
        loop()
    with pytest.raises(ValueError, match="split=True does not suit this model"):
        attribute_and_predict(model, x, HALF, target, split=True)


def test_a_function_that_is_not_to_be_compiled_is_not_compiled():
    model = built()
    model.forward = torch.compiler.disable(model.forward)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attribute_and_predict(model, sequences(), HALF, target)


class Hiding:
    """Keeps a compiled model where it is not looked for."""

    __slots__ = ("hidden",)

    def __init__(self):
        self.hidden = torch.compile(built(), backend="aot_eager")

    def __call__(self, x):
        return self.hidden(x)


@pytest.mark.filterwarnings("ignore")  # of torch.compile
def test_a_compiled_function_that_is_not_found_is_named_as_the_reason(forget_compiled):
    with pytest.raises(ValueError, match="calls a function that torch"):
        attribute_and_predict(Hiding(), sequences(), HALF, target)


class Holding(torch.nn.Module):
    """Holds a compiled module."""

    def __init__(self, whole):
        super().__init__()
        self.whole = torch.compile(whole, backend="aot_eager")

    def forward(self, x):
        return self.whole(x)


@pytest.mark.parametrize("kind", ["module", "in place", "part", "function", "closure"])
def test_a_compiled_model_is_run_as_the_original_with_one_warning(kind, forget_compiled):
    x = sequences()
    original = built().eval()
    model = built().eval()
    compiled = {
        "module": lambda: torch.compile(model, backend="aot_eager"),
        "part": lambda: Holding(model),
        "function": lambda: torch.compile(model.forward, backend="aot_eager"),
        "closure": lambda: functools.partial(torch.compile(model, backend="aot_eager")),
        "in place": lambda: model.compile(backend="aot_eager") or model,
    }[kind]()
    compiled(x)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for chosen in (3, 8, 1, 0):
            applies = torch.arange(8) < chosen
            _, attribution = attribute_and_predict(compiled, x, applies, target)
            _, expected = attribute_and_predict(original, x, applies, target)
            assert torch.allclose(attribution.observed, expected.observed)
            attribution.observed.square().sum().backward()
    ours = [w for w in said if "second derivatives" in str(w.message)]
    assert len(ours) == 1
    with pytest.raises(ValueError, match="split=True does not suit this model"):
        attribute_and_predict(compiled, x, HALF, target, split=True)


# 5: no positives


@pytest.mark.parametrize("spec", [*METHODS])
@pytest.mark.parametrize("split", [False, True])
def test_no_example_gives_an_empty_attribution_with_gradients_of_zero(spec, split):
    model, x = built(), sequences()
    output, attribution = attribute_and_predict(
        model,
        x,
        torch.zeros(8, dtype=torch.bool),
        target,
        method=load_attribution(spec),
        generator=seeded(),
        split=split,
    )
    assert attribution.observed.shape == (0, 40)
    assert attribution.gradient.shape == (0, 4, 40)
    assert attribution.observed.dtype == torch.float64
    batch = Batch(x, torch.zeros(8)).select(torch.zeros(8, dtype=torch.bool))
    penalty = load_prior("fourier").mean_penalty(attribution, batch)
    assert penalty == 0
    penalty.backward(retain_graph=True)
    assert all((p.grad == 0).all() for p in model.parameters())
    (penalty + output.sum()).backward()
    assert model.conv.weight.grad.abs().sum() > 0


# 6: callables and their arguments


class Conditioned(Small):
    def forward(self, x, shift=None, *, controls=None, scale=1.0, tracks=()):
        value = super().forward(x) * scale
        for track in ([] if controls is None else [controls["log"]]) + list(tracks):
            value = value + track.sum(1, keepdim=True) * x[:, :1, 0]
        return value if shift is None else value + shift


CONTROLS = torch.rand(8, 3, generator=seeded(), dtype=torch.float64)


@pytest.mark.parametrize("spec", [*METHODS])
def test_any_callable_takes_arguments_of_any_kind(spec):
    model, x = built(Conditioned).eval(), sequences()

    def attributed(call, **more):
        return attribute_and_predict(
            call, x, HALF, target, method=load_attribution(spec), generator=seeded(), **more
        )

    given = {"controls": {"log": CONTROLS, "name": "input"}, "scale": 2.0, "tracks": [CONTROLS]}
    output, expected = attributed(model, args=(None,), kwargs=given)
    assert torch.allclose(output, model(x, None, **given))
    plain = METHODS[spec]
    if plain in (METHODS["input-x-gradient"],):
        slope = by_hand(functools.partial(model, **given), x)[HALF]
        assert torch.allclose(expected.gradient, slope)
    if not plain.draws and spec != "integrated-gradients":
        for call in (
            functools.partial(model, **given),
            lambda value: model(value, **given),
            functools.partial(model.forward, **given),
        ):
            again, attribution = attributed(call)
            assert torch.equal(again, output)
            assert torch.allclose(attribution.observed, expected.observed)


def test_rows_go_with_their_examples_along_a_path():
    # a linear function of the input: the gradient at every point is that of the example
    model, x = built(Conditioned).eval(), sequences()
    model.head.weight.data.zero_()
    given = {"controls": {"log": CONTROLS}}
    for spec in ("integrated-gradients", "expected-gradients"):
        _, attribution = attribute_and_predict(
            model,
            x,
            HALF,
            target,
            method=load_attribution(spec),
            kwargs=given,
            generator=seeded(),
        )
        assert torch.allclose(attribution.gradient[:, 0, 0], CONTROLS[HALF].sum(1))


def test_channels_last_gives_what_channels_first_gives():
    model, x = built().eval(), sequences()

    def last(value):
        return model(value.transpose(1, 2))

    for spec in METHODS:
        options = {"method": load_attribution(spec)}
        _, expected = attribute_and_predict(model, x, HALF, target, generator=seeded(), **options)
        for split in (False, True):
            module = Turned(model) if split else last
            _, attribution = attribute_and_predict(
                module,
                x.transpose(1, 2),
                HALF,
                target,
                generator=seeded(),
                layout="BL4",
                split=split,
                **options,
            )
            assert attribution.gradient.shape == (4, 4, 40)
            assert torch.allclose(attribution.gradient, expected.gradient)
            assert torch.allclose(attribution.observed, expected.observed)
    turned = x.transpose(1, 2)
    assert torch.allclose(
        integrated_gradients(last, turned, target, layout="BL4").observed,
        integrated_gradients(model, x, target).observed,
    )
    with pytest.raises(ValueError, match=r"wanted floating \(B, L, 4\)"):
        input_x_gradient(last, x, target, layout="BL4")
    with pytest.raises(ValueError, match="layout is 'BL'"):
        input_x_gradient(last, x, target, layout="BL")


class Turned(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, value):
        return self.model(value.transpose(1, 2))


def test_rows_may_be_given_in_place_of_a_mask():
    model, x = built(), sequences()
    rows = torch.tensor([5, 0, 6])
    _, attribution = attribute_and_predict(model, x, rows, target)
    _, whole = attribute_and_predict(model, x, torch.ones(8, dtype=torch.bool), target)
    assert torch.allclose(attribution.observed, whole.observed[rows])
    _, apart = attribute_and_predict(model, x, rows, target, split=True)
    assert torch.allclose(apart.observed, whole.observed[rows])


# 7: nothing global is touched


class Attentive(torch.nn.Module):
    """Attention by both of torch's names, with masks."""

    def __init__(self, weights=False):
        super().__init__()
        self.embed = torch.nn.Linear(4, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = torch.nn.Linear(8, 1)
        self.weights = weights
        self.barrier = None

    def forward(self, x):
        h = self.embed(x.transpose(1, 2))
        h = h + self.attention(h, h, h, need_weights=self.weights)[0]
        q = h.unflatten(2, (2, 4)).transpose(1, 2)
        seen = torch.ones(40, 40, dtype=torch.bool).tril()
        h = h + F.scaled_dot_product_attention(q, q, q, attn_mask=seen).transpose(1, 2).flatten(2)
        q = h.unflatten(2, (2, 4)).transpose(1, 2)
        one = F.scaled_dot_product_attention(q, q[:, :1], q[:, :1], is_causal=True, enable_gqa=True)
        if self.barrier is not None:
            self.barrier.wait()
        return self.head((h + one.transpose(1, 2).flatten(2)).tanh().mean(1))


SWITCHES = (
    torch.backends.cuda.flash_sdp_enabled,
    torch.backends.cuda.mem_efficient_sdp_enabled,
    torch.backends.cuda.math_sdp_enabled,
    torch.backends.cuda.cudnn_sdp_enabled,
    torch.is_grad_enabled,
    torch.get_default_dtype,
    lambda: torch.backends.cudnn.enabled,
)


def test_two_threads_leave_every_switch_as_it_was():
    before = [switch() for switch in SWITCHES]
    barrier, within = threading.Barrier(2), []

    def work(steps):
        model = built(Attentive)
        model.barrier = barrier
        for _ in range(steps):
            attribute_and_predict(model, sequences(), HALF, target)
            within.append([switch() for switch in SWITCHES])

    threads = [threading.Thread(target=work, args=(5,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [switch() for switch in SWITCHES] == before
    assert len(within) == 10
    assert all(after == before for after in within)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_attention_has_the_numbers_of_torch_and_a_second_derivative(weights, split):
    model, x = built(Attentive, weights), sequences()
    output, attribution = attribute_and_predict(model, x, HALF, target, split=split)
    assert torch.allclose(output, model(x))
    points = x.clone().requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = by_hand(built(Attentive, True), points)[HALF]
    assert torch.allclose(attribution.gradient, expected)
    value = attribution.observed.square().sum()
    (slope,) = torch.autograd.grad(value, model.embed.weight)
    step = 1e-6
    with torch.no_grad():
        model.embed.weight[1, 2] += step
    up = attribute_and_predict(model, x, HALF, target)[1].observed.square().sum()
    assert slope[1, 2].item() == pytest.approx((up - value).item() / step, rel=1e-3)


def test_attention_under_autocast_is_rounded_as_torch_rounds_it():
    model, x = built(Attentive).float(), sequences(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = attribute_and_predict(model, x, HALF, target)
        expected = model(x)
    assert output.dtype == expected.dtype
    assert torch.allclose(output.float(), expected.float(), atol=0.02)


class Checkpointed(torch.nn.Module):
    """Runs its inside again in the backward pass."""

    def __init__(self, kind):
        super().__init__()
        self.inside = kind()

    def forward(self, x):
        return checkpoint(self.inside, x, use_reentrant=False)


@pytest.mark.parametrize("kind", [Small, Attentive])
@pytest.mark.parametrize("spec", ["input-x-gradient", "integrated-gradients"])
def test_checkpoints_are_run_again_as_they_were_run(kind, spec):
    x, method = sequences(), load_attribution(spec)
    losses = []
    for model in (built(kind), built(Checkpointed, kind)):
        output, attribution = attribute_and_predict(model, x, HALF, target, method=method)
        loss = output.square().mean() + attribution.observed.square().mean()
        loss.backward()
        losses.append((loss, [p.grad for p in model.parameters()]))
    assert torch.allclose(losses[0][0], losses[1][0])
    for mine, theirs in zip(losses[1][1], losses[0][1], strict=True):
        assert torch.allclose(mine, theirs)


# 8: options of integrated gradients, and results in the input's dtype


def test_integrated_gradients_take_steps_and_reference():
    model, x = built().eval(), sequences()
    method = load_attribution("integrated-gradients:steps=3:reference=uniform")
    _, expected = attribute_and_predict(
        model, x, torch.ones(8, dtype=torch.bool), target, method=method
    )
    attribution = integrated_gradients(model, x, target, steps=3, reference="uniform")
    assert torch.allclose(attribution.observed, expected.observed)
    with pytest.raises(TypeError, match="method"):
        integrated_gradients(model, x, target, method=method)
    from priorbench import UserError

    with pytest.raises(UserError, match="reference 'mean' is neither"):
        integrated_gradients(model, x, target, reference="mean")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_results_have_the_dtype_of_the_input(dtype):
    model, x = built().eval().to(dtype), sequences(dtype=dtype)
    for attribution in (
        input_x_gradient(model, x, target),
        integrated_gradients(model, x, target),
        expected_gradients(model, x, target, seeded()),
    ):
        assert attribution.observed.dtype == attribution.gradient.dtype == dtype


# sequences that are themselves computed


class Doubling(torch.nn.Module):
    """Changes its input in place."""

    def __init__(self):
        super().__init__()
        self.inner = built().eval()

    def forward(self, x):
        return self.inner(x.mul_(2))


@pytest.mark.parametrize("leaf", [True, False])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("shares", [None, [0.25, 0.75]], ids=["inputs", "path"])
def test_a_penalty_reaches_the_sequence(shares, split, leaf):
    model, slopes = built().eval(), []
    method = None if shares is None else load_attribution("integrated-gradients:steps=2")
    for by_hand in (False, True):
        x = sequences().requires_grad_()
        given = x if leaf else x * 1
        if by_hand:
            gradients = []
            for share in shares or [1.0]:
                points = share * given
                chosen = target(model(points))[HALF].sum()
                gradients += torch.autograd.grad(chosen, points, create_graph=True)
            gradient = (sum(gradients) / len(gradients))[HALF]
            observed = (gradient * given[HALF]).sum(1)
        else:
            _, attribution = attribute_and_predict(
                model, given, HALF, target, method=method, split=split
            )
            gradient, observed = attribution.gradient, attribution.observed
        (gradient.square().sum() + observed.square().sum()).backward()
        slopes.append(x.grad)
    assert slopes[1].abs().max() > 0
    assert torch.allclose(*slopes, atol=1e-12)


def test_a_computed_sequence_may_be_changed_in_place():
    model, x = Doubling(), sequences()
    _, expected = attribute_and_predict(model, x, HALF, target)
    _, attribution = attribute_and_predict(model, x.clone().requires_grad_() * 1, HALF, target)
    assert torch.allclose(attribution.gradient, expected.gradient)


def test_attributions_without_a_graph_have_none_by_the_sequence_either():
    x = sequences().requires_grad_()
    for method in (None, load_attribution("integrated-gradients:steps=2")):
        output, attribution = attribute_and_predict(
            built(), x, HALF, target, method=method, create_graph=False
        )
        assert not attribution.observed.requires_grad
        assert output.requires_grad
