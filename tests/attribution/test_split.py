"""``split=True``: refused where it changes what a model gives or shows, chosen anew on change."""

import threading
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from fixtures.sequences import random_sequences
from torch.nn.modules.module import register_module_forward_hook

from priorbench import attribute_and_predict, load_attribution
from priorbench.autograd.split import routes
from priorbench.autograd.split.split_batch import SplitBatch

MEASURED = routes.FEWEST_NUMBERS
HALF = torch.arange(8) % 2 == 0


def sequences(count=8, dtype=torch.float64, seed=1):
    return random_sequences(count, 40, seed=seed, dtype=dtype)


def target(output):
    return output[:, 0]


def row(norm=True):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5, padding=2),
        torch.nn.Softplus(),
        torch.nn.AvgPool1d(4),
        torch.nn.BatchNorm1d(6) if norm else torch.nn.Identity(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(1),
    ).double()


def made(norm=True):
    model = row(norm)
    model(sequences())
    return model


def agree(model, x=None, chosen=HALF, **more):
    """Whether both ways agree in output, attribution, gradients and buffers."""
    x = sequences() if x is None else x
    results = []
    before = [b.clone() for b in model.buffers()]
    for split in (True, False):
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.data.copy_(value)
        output, attribution = attribute_and_predict(model, x, chosen, target, split=split, **more)
        loss = output.square().sum() + attribution.observed.square().sum()
        slopes = torch.autograd.grad(loss, list(model.parameters()))
        buffers = [b.clone().double() for b in model.buffers()]
        results.append([output, attribution.observed, attribution.gradient, *slopes, *buffers])
    return all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*results, strict=True))


class Own(torch.nn.Module):
    """Subclasses do something between the convolution and the head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv1d(4, 3, 5)
        self.head = torch.nn.Linear(108, 1)
        self.double()

    def forward(self, x):
        return self.head(self.between(self.conv(x)).flatten(1))

    def between(self, h):
        return h.tanh()


class Keeps(Own):
    def between(self, h):
        self.activity = h.abs().mean()
        return h.tanh()


class Window(Own):
    def __init__(self):
        super().__init__()
        self.window = [torch.hann_window(36, dtype=torch.float64)]

    def between(self, h):
        return h * self.window[0]


class Counts(Own):
    passes = 0

    def between(self, h):
        self.passes += 1
        return h.tanh()


class Appends(Own):
    def __init__(self):
        super().__init__()
        self.log = []

    def between(self, h):
        self.log.append("pass")
        return h.tanh()


class Mixes(Own):
    def between(self, h):
        return (h - h.mean(0, keepdim=True)).tanh()


class Summarises(Own):
    def forward(self, x):
        output = super().forward(x)
        return torch.cat([output, output]), output.mean()


def hooked(register):
    model = made()
    getattr(model[0], register)(lambda *arguments: None)
    return model


def replaced():
    model = made()
    model.forward = model.forward
    return model


REFUSED = {
    "function": (lambda: made().forward, "a method is no torch.nn.Module"),
    "forward hook": (lambda: hooked("register_forward_hook"), "its Conv1d has a hook"),
    "pre-hook": (lambda: hooked("register_forward_pre_hook"), "its Conv1d has a hook"),
    "backward hook": (lambda: hooked("register_full_backward_hook"), "its Conv1d has a hook"),
    "backward pre-hook": (
        lambda: hooked("register_full_backward_pre_hook"),
        "its Conv1d has a hook",
    ),
    "replaced forward": (replaced, "a forward that was replaced"),
    "wrapped": (lambda: torch.nn.DataParallel(made()), "DataParallel wraps it"),
    "keeps a tensor": (Keeps, r"a pass changes Keeps.activity, which is no buffer"),
    "holds a tensor": (Window, r"it keeps tensors in Window.window"),
    "counts": (Counts, r"a pass changes Counts.passes"),
    "appends": (Appends, r"a pass changes Appends.log"),
    "mixes": (Mixes, "its examples, in parts, do not have the outputs"),
    "summarises": (Summarises, "it returns a tensor without a row for each example"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason(name):
    make, reason = REFUSED[name]
    for _ in range(2):
        with pytest.raises(ValueError, match=f"split=True does not suit this model: .*{reason}"):
            attribute_and_predict(make(), sequences(), HALF, target, split=True)
    model = make()
    state = dict(vars(model)) if isinstance(model, torch.nn.Module) else {}
    for _ in range(3):
        with pytest.raises(ValueError, match="split=True does not suit this model"):
            attribute_and_predict(model, sequences(), HALF, target, split=True)
    if state:
        assert vars(model) == state


def test_hooks_on_every_module_refuse_it():
    model = made()
    handle = register_module_forward_hook(lambda *arguments: None)
    try:
        with pytest.raises(ValueError, match="there are hooks on every module"):
            attribute_and_predict(model, sequences(), HALF, target, split=True)
    finally:
        handle.remove()
    assert agree(model)


def test_a_model_that_is_refused_is_not_tried_at_every_step():
    model, passes = Counts(), []
    model.head.register_module("inner", torch.nn.Identity())
    plain = model.between

    def between(h):
        passes.append(1)
        return plain(h)

    type(model).between, kept = staticmethod(between), type(model).between
    try:
        for _ in range(4):
            with pytest.raises(ValueError, match="does not suit"):
                attribute_and_predict(model, sequences(), HALF, target, split=True)
    finally:
        type(model).between = kept
    assert len(passes) == 1


CHANGES = {
    "another activation": lambda m: m.__setitem__(1, torch.nn.GELU()),
    "another pooling": lambda m: m.__setitem__(2, torch.nn.MaxPool1d(4)),
    "padding": lambda m: (setattr(m[0], "padding", (4,)), setattr(m[0], "dilation", (2,))),
    "stride": lambda m: (setattr(m[0], "stride", (4,)), m.__setitem__(2, torch.nn.Identity())),
    "pool width": lambda m: (setattr(m[2], "kernel_size", (3,)), setattr(m[2], "stride", (4,))),
    "eval mode": lambda m: m.eval(),
    "frozen": lambda m: m[0].requires_grad_(False).weight.requires_grad_(True),
    "float32": lambda m: m.float(),
    "a module that mixes": lambda m: m.__setitem__(1, torch.nn.Softmax(0)),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("norm", [True, False])
def test_a_route_does_not_outlive_a_change_of_the_model(name, norm):
    model = made(norm)
    assert agree(model)
    CHANGES[name](model)
    x = sequences(dtype=next(model.parameters()).dtype)
    if name == "a module that mixes":
        with pytest.raises(ValueError, match="its examples, in parts"):
            attribute_and_predict(model, x, HALF, target, split=True)
        return
    if name == "frozen":
        model[0].bias = None
    if name == "float32":
        first = attribute_and_predict(model, x, HALF, target, split=True)[1].observed
        second = attribute_and_predict(model, x, HALF, target)[1].observed
        assert torch.allclose(first, second, atol=1e-5)
        return
    assert agree(model, x)


class Branching(Own):
    """Its forward has a branch on a plain attribute, and one on something that is not seen."""

    sized = False

    def __init__(self, box):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3).double()
        self.read = lambda: box

    def between(self, h):
        h = self.norm(h)
        if self.read().sized:
            return h.view(h.shape[0], -1).tanh()
        if self.read().broken:
            raise RuntimeError("on purpose")
        return h.exp() if self.sized else h.tanh()


class Box:
    sized = broken = False


def test_a_branch_by_an_attribute_is_seen():
    model = Branching(Box())
    assert agree(model)
    model.sized = True
    assert agree(model)


class Configured(Own):
    """Does what a configuration, or an argument, says."""

    def __init__(self):
        super().__init__()
        self.options = SimpleNamespace(mixing=False)

    def forward(self, x, mixing=False):
        h = self.conv(x)
        h = h - h.mean(0, keepdim=True) if mixing or self.options.mixing else h
        return self.head(h.tanh().flatten(1))


def test_a_configuration_that_changes_is_seen():
    model = Configured()
    assert agree(model)
    model.options.mixing = True
    with pytest.raises(ValueError, match="side by side, other numbers; one by one, other numbers"):
        agree(model)
    model.options.mixing = False
    assert agree(model, kwargs={"mixing": False})
    with pytest.raises(ValueError, match="its examples, in parts"):
        agree(model, kwargs={"mixing": True})


class Coupled(Own):
    """Couples examples in some batches only."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def between(self, h):
        if self.kind == "branch":
            return h.tanh() if (h > 1e6).any() else h
        if self.kind == "any":
            return h if bool((h.flatten(1).amax(1) > 1e6)[0]) else h.tanh()
        largest = 1e6 if self.kind == "clipped" else 1e-6
        return h * (largest / h.norm()).clamp(max=1)


@pytest.mark.parametrize("kind", ["branch", "any", "clipped"])
def test_what_may_couple_examples_in_other_batches_is_refused(kind):
    wanted = "'(any|norm|__getitem__)' makes one number of its examples"
    with pytest.raises(ValueError, match=wanted):
        agree(Coupled(kind))


class Reads(Own):
    def between(self, h):
        assert torch.allclose(h, h)
        return h.tanh()


def test_what_reads_numbers_is_refused():
    with pytest.raises(ValueError, match=r"depends on numbers of the batch \(allclose\)"):
        agree(Reads())


class Sized(Own):
    def between(self, h):
        return h.view(h.shape[0], 3, 36).tanh()


def test_a_refusal_names_what_cannot_be_split():
    model = Sized()
    model.norm = torch.nn.BatchNorm1d(3)  # couples parts, so that they cannot go one by one
    with pytest.raises(ValueError, match=r"side by side, 'shape' is not defined"):
        agree(model)


def test_a_model_that_is_tried_all_the_time_is_warned_of():
    model = Own()

    def loop():
        for step in range(20):
            model.step = step
            attribute_and_predict(model, sequences(), HALF, target, split=True)

    with pytest.warns(UserWarning, match="has tried this model 17 times") as said:
        loop()
    assert len(said) == 1


def seeing(width=1):
    """A model whose layers note what they are given, and the notes."""
    seen = []

    class Seeing(Own):
        def between(self, h):
            seen.append(type(h))
            return h.repeat(1, width, 1).sigmoid().sin().cos()[:, :3]

    return Seeing(), seen


@pytest.mark.parametrize(
    ("count", "width", "method", "apart"),
    [
        (8, 1, "input-x-gradient", False),
        (200, 1, "input-x-gradient", False),
        (200, 20, "input-x-gradient", True),
        (2000, 1, "input-x-gradient", True),
        (2000, 1, "integrated-gradients:steps=2", False),
    ],
)
def test_batches_that_gain_nothing_by_it_are_taken_whole(monkeypatch, count, width, method, apart):
    monkeypatch.setattr(routes, "FEWEST_NUMBERS", MEASURED)
    (model, seen), x = seeing(width), sequences(count)
    half = torch.arange(count) % 2 == 0
    assert agree(model, x, half, method=load_attribution(method))
    seen.clear()
    attribute_and_predict(model, x, half, target, method=load_attribution(method), split=True)
    assert set(seen) == {SplitBatch if apart else torch.Tensor}  # nothing is tried any more


def test_the_same_call_goes_the_same_way_whatever_came_before(monkeypatch):
    monkeypatch.setattr(routes, "FEWEST_NUMBERS", MEASURED)

    seen = []

    class Squared(Own):
        """A model whose operators make numbers by the square of the length."""

        def forward(self, x):
            seen.append(type(x))
            x = x * self.head.bias
            return torch.matmul(x.transpose(1, 2), x).sin().mean(dim=2).cos()[:, :1]

    ways = []
    for lengths in ((10, 100), (300, 100)):
        model = Squared()
        for length in lengths:
            x = random_sequences(60, length, seed=1, dtype=torch.float64)
            half = torch.arange(60) % 2 == 0
            attribute_and_predict(model, x, half, target, split=True)
            seen.clear()
            attribute_and_predict(model, x, half, target, split=True)
        ways.append(set(seen))
    assert ways == [{SplitBatch}] * 2


def test_an_attribute_named_model_is_the_models_own_affair():
    class Named(Own):
        def __init__(self, model):
            super().__init__()
            self.norm, self.model = torch.nn.BatchNorm1d(3).double(), model

        def between(self, h):
            return self.norm(h).tanh()

    for model in ("bpnet", torch.nn.Identity()):
        assert agree(Named(model), method=load_attribution("integrated-gradients:steps=2"))


def test_a_route_that_fails_is_undone_and_another_taken():
    box = Box()
    model, x = Branching(box), sequences()
    assert agree(model)
    before = [b.clone() for b in model.buffers()]
    box.sized = True  # nothing that can be seen from outside
    output, attribution = attribute_and_predict(model, x, HALF, target, split=True)
    after = [b.clone() for b in model.buffers()]
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.data.copy_(value)
    plain, expected = attribute_and_predict(model, x, HALF, target)
    assert torch.allclose(output, plain)
    assert torch.allclose(attribution.observed, expected.observed)
    for mine, theirs in zip(after, model.buffers(), strict=True):
        assert torch.allclose(mine, theirs)
    with pytest.raises(ValueError, match="its examples, in parts"):
        attribute_and_predict(model, x, HALF, target, split=True)
    box.sized, box.broken = False, True
    with pytest.raises(RuntimeError, match="on purpose"):
        attribute_and_predict(model, x, HALF, target)


def test_the_own_error_of_a_model_whose_route_fails_is_shown():
    box = Box()
    model = Branching(box)
    assert agree(model)
    box.broken = True
    with pytest.raises(RuntimeError, match="on purpose"):
        attribute_and_predict(model, sequences(), HALF, target, split=True)


@pytest.mark.parametrize("chosen", [[0], [1, 2, 3, 4, 5, 6, 7], list(range(8)), []])
def test_batches_that_cannot_be_told_from_are_taken_whole(chosen, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("it was tried")

    monkeypatch.setattr(routes, "_tried", refuse)
    model, x = made(), sequences()
    applies = torch.zeros(8, dtype=torch.bool).index_fill(0, torch.tensor(chosen).long(), True)
    _, attribution = attribute_and_predict(model, x, applies, target, split=True)
    assert attribution.observed.shape == (len(chosen), 40)


class Controlled(Own):
    def forward(self, x, controls, *, scale=1.0, more=None):
        value = super().forward(x) + controls.sum(1, keepdim=True) * x[:, :1, 0]
        return value * scale + (0 if more is None else more["row"][:, :1] * value)


@pytest.mark.parametrize("spec", ["input-x-gradient", "integrated-gradients", "expected-gradients"])
def test_arguments_go_with_their_parts(spec):
    model, controls = Controlled(), torch.rand(8, 2, dtype=torch.float64)
    for kwargs in ({}, {"scale": 2.0, "more": {"row": controls, "name": None}}):
        results = [
            attribute_and_predict(
                model,
                sequences(),
                HALF,
                target,
                args=(controls,),
                kwargs=kwargs,
                method=load_attribution(spec),
                generator=torch.Generator().manual_seed(0),
                split=split,
            )
            for split in (True, False)
        ]
        (output, attribution), (plain, expected) = results
        assert torch.allclose(output, plain)
        assert torch.allclose(attribution.observed, expected.observed)


def test_trying_leaves_no_trace():
    model = torch.nn.Sequential(made(), torch.nn.Dropout(0.5)).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = [dict(vars(module)) for module in model.modules()]
    random = torch.get_rng_state()
    x = sequences()
    kept = x.clone()
    with pytest.raises(ValueError, match="target gives torch"):
        attribute_and_predict(model, x, HALF, lambda out: out, split=True)
    after = model.state_dict()
    plain = torch.nn.Sequential(made(), torch.nn.Dropout(0.5)).double()
    plain.load_state_dict(before)
    plain(x)
    # as after one pass
    for name, value in plain.state_dict().items():
        assert torch.allclose(after[name].double(), value.double())
    assert [dict(vars(module)) for module in model.modules()] == states
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(x, kept)
    now = torch.get_rng_state()
    torch.set_rng_state(random)
    F.dropout(torch.ones(4, 1, dtype=torch.float64), 0.5)
    F.dropout(torch.ones(4, 1, dtype=torch.float64), 0.5)
    assert torch.equal(torch.get_rng_state(), now)


class Recurrent(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.inside = kind(4, 5, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(10, 1)
        self.double()

    def forward(self, x):
        return self.head(self.inside(x.transpose(1, 2))[0].mean(1))


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_recurrent_layers_go_in_parts(kind):
    assert agree(Recurrent(kind))
    assert agree(Recurrent(kind).eval())


def test_two_threads_may_share_a_model():
    model, x, results = made(norm=False), sequences(), []

    def work():
        results.extend(
            attribute_and_predict(model, x, HALF, target, split=True)[1].observed for _ in range(5)
        )

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    assert all(torch.equal(result, results[0]) for result in results)
