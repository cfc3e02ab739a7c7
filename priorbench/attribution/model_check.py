"""What a model allows an attribution prior to do, and at what price: tried on one batch."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from priorbench.autograd.layer_chain import is_changed
from priorbench.autograd.model_call import ModelCall, modules_of
from priorbench.autograd.module_state import ModuleState, forked_generators
from priorbench.errors import UserError
from priorbench.number_text import counted

from .differentiable import attribute_and_predict, check_sequence
from .passes import Layout, Output

_REFUSED = "split=True does not suit this model: "
_FEWEST = 4
"""smallest batch of which a half may be taken apart"""


@dataclass(frozen=True)
class ModelFinding:
    """One thing that was tried.

    Attributes:
        name: what it is.
        outcome: ``ok``; ``note``, which is good to know; ``refused``, a way that the model does not
            allow; or ``failed``, which an attribution prior cannot do without.
        detail: what was seen.
        price: time of a training step in this way, in units of a step without a prior; None where
            nothing was measured.
    """

    name: str
    outcome: Literal["ok", "note", "refused", "failed"]
    detail: str
    price: float | None = None


@dataclass(frozen=True)
class ModelCheck:
    """What was found of a model.

    Attributes:
        findings: what was tried: the ways to take attributions in training first.
        seconds: time of a training step without a prior.
    """

    findings: Sequence[ModelFinding]
    seconds: float

    @property
    def usable(self) -> bool:
        """Whether the model can be trained with an attribution prior."""
        return all(finding.outcome != "failed" for finding in self.findings)

    def __getitem__(self, name: str) -> ModelFinding:
        """Return the finding of a name."""
        return {finding.name: finding for finding in self.findings}[name]


def check_model(
    model: Callable[..., Output],
    sequence: torch.Tensor,
    target: Callable[[Output], torch.Tensor],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    layout: Layout = "B4L",
    repeats: int = 5,
) -> ModelCheck:
    """Try on one batch which ways to train with attributions a model allows, and what each costs.

    Half of the examples are attributed, by gradient x input. The model is left as it was, in its
    mode, of which the answer depends: pass it as it is trained.

    Args:
        model: module or other callable, as in :func:`attribute_and_predict`.
        sequence: (B, 4, L) one-hot, floating, or (B, L, 4), with ``layout="BL4"``; at least 4
            examples.
        target: function from the model's output to one scalar per example, (B,).
        args: further arguments of the model.
        kwargs: further arguments of the model by keyword.
        layout: order of the sequence's dimensions, ``B4L`` or ``BL4``.
        repeats: number of steps of each way that are timed; the price is the median.

    Returns:
        the ModelCheck, with findings ``default``, ``split=True``, ``torch.compile``,
        ``second derivatives``, ``examples apart``, ``batch norm``, ``hooks``, ``input`` and
        ``kept``.

    Raises:
        UserError: if the model does not take the sequence, the target gives no scalars, or there
            is nothing to train.
        ValueError: if the sequence has the wrong shape or dtype.
    """
    check_sequence(sequence, layout)
    if len(sequence) < _FEWEST:
        raise ValueError(f"sequence has {len(sequence)} examples, wanted at least {_FEWEST}")
    call = ModelCall(model, args, kwargs, count=len(sequence))
    if any(v.is_meta for m in modules_of(model) for v in [*m.parameters(), *m.buffers()]):
        raise UserError("the model is on torch's meta device, where tensors have no numbers")
    trial = _Trial(call, sequence.detach(), target, layout, tuple(args), dict(kwargs or {}))
    with torch.enable_grad(), forked_generators(sequence.device):
        if any(isinstance(module, LazyModuleMixin) for module in trial.modules):
            trial.first_pass()  # which makes it what it is
        state = ModuleState(trial.modules)
        try:
            trial.first_pass()
            return _checked(trial, state, repeats)
        finally:
            state.restore()


@dataclass
class _Trial:
    """A model, a batch, and steps of training with them.

    Attributes:
        call: call of the model.
        sequence: (B, 4, L), or in another layout, the batch.
        target: function from the model's output to (B,).
        layout: order of the sequence's dimensions.
        args: further arguments.
        kwargs: further arguments by keyword.
        parameters: what is trained.
    """

    call: ModelCall
    sequence: torch.Tensor
    target: Callable[[Any], torch.Tensor]
    layout: Layout
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parameters: list[torch.nn.Parameter] = field(default_factory=list)

    @property
    def modules(self) -> list[torch.nn.Module]:
        """All modules."""
        return modules_of(self.call.model)

    @property
    def applies(self) -> torch.Tensor:
        """(B,) bool, every second example."""
        return torch.arange(len(self.sequence), device=self.sequence.device) % 2 == 0

    def first_pass(self) -> None:
        """Call the model once; UserError if it fails, or there is nothing to train."""
        shape = tuple(self.sequence.shape)
        try:
            scalars = self.target(self.call(self.sequence.clone(), *self.call.rows))
        except UserError:
            raise
        except Exception as error:
            # whatever a user's model raises is theirs to mend
            raise UserError(f"the model does not take {shape}: {_first_line(error)}") from error
        if not isinstance(scalars, torch.Tensor) or scalars.shape != shape[:1]:
            kind = getattr(scalars, "shape", type(scalars).__name__)
            kind = tuple(kind) if isinstance(kind, torch.Size) else kind
            raise UserError(f"target gives {kind}, wanted ({shape[0]},): one scalar per example")
        own = dict.fromkeys(p for m in self.modules for p in m.parameters(recurse=False))
        self.parameters = [p for p in own if p.requires_grad]
        if not self.parameters or not scalars.requires_grad:
            raise UserError("the target depends on no parameter that is trained")

    def loss(self) -> torch.Tensor:
        """Return the loss of a step without a prior."""
        return self._loss(self.call(self.sequence.clone(), *self.call.rows))

    def penalised(self, *, split: bool = False, model: Any = None) -> torch.Tensor:
        """Return the loss of a step whose attributions are penalised."""
        output, attribution = attribute_and_predict(
            self.call.model if model is None else model,
            self.sequence,
            self.applies,
            self.target,
            args=self.args,
            kwargs=self.kwargs,
            layout=self.layout,
            split=split,
        )
        return self._loss(output) + attribution.observed.square().mean()

    def _loss(self, output: Any) -> torch.Tensor:
        return self.target(output).square().mean()

    def slopes(self, loss: torch.Tensor) -> None:
        """Differentiate a loss by all that it depends on; gradients stay as they were.

        Asked for the gradients of parameters alone, autograd would leave out what has no second
        derivative without a word.
        """
        before = [parameter.grad for parameter in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        try:
            torch.autograd.backward(loss)
        finally:
            for parameter, gradient in zip(self.parameters, before, strict=True):
                parameter.grad = gradient

    def seconds(self, step: Callable[[], torch.Tensor]) -> float:
        """Return the time of a step, its backward pass included."""
        self._wait()
        start = time.perf_counter()
        self.slopes(step())
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.sequence.is_cuda:
            torch.cuda.synchronize(self.sequence.device)


def _checked(trial: _Trial, state: ModuleState, repeats: int) -> ModelCheck:
    traits = [_examples_apart(trial), _batch_norm(trial), _hooks(trial), _input(trial)]
    traits.append(_kept(state))
    state.restore()
    default = _try("default", trial.penalised, trial)
    second = _second(default)
    ways = [default]
    if default.outcome == "ok":
        split = _split(trial)
        steps = {"plain": trial.loss, "default": trial.penalised}
        if split.outcome == "ok":
            steps["split=True"] = partial(trial.penalised, split=True)
        prices, seconds = _prices(trial, steps, repeats)
        ways = [_priced(way, prices) for way in (default, split)] + [_compiled(trial)]
    else:
        _, seconds = _prices(trial, {"plain": trial.loss}, repeats)
    return ModelCheck((*ways, second, *traits), seconds)


def _prices(
    trial: _Trial, steps: Mapping[str, Callable[[], torch.Tensor]], repeats: int
) -> tuple[dict[str, float], float]:
    """Return the median of each step's time over the plain step's, side by side; its seconds."""
    rounds = [{name: trial.seconds(step) for name, step in steps.items()} for _ in range(repeats)]
    prices = {name: statistics.median(r[name] / r["plain"] for r in rounds) for name in steps}
    return prices, statistics.median(r["plain"] for r in rounds)


def _priced(way: ModelFinding, prices: Mapping[str, float]) -> ModelFinding:
    price, detail = prices.get(way.name), way.detail
    if way.name == "split=True" and price is not None and price >= prices["default"]:
        detail += "; no faster than the default here, so leave it off"
    return ModelFinding(way.name, way.outcome, detail, price)


def _try(name: str, step: Callable[[], torch.Tensor], trial: _Trial) -> ModelFinding:
    try:
        trial.slopes(step())
    except Exception as error:
        # a model may fail anywhere; what it raises is what is to be found out
        return ModelFinding(name, "failed", _first_line(error))
    return ModelFinding(name, "ok", "one pass of the whole batch through the model as it is")


def _second(default: ModelFinding) -> ModelFinding:
    if default.outcome == "ok":
        return ModelFinding(
            "second derivatives", "ok", "a penalty on attributions reaches the parameters"
        )
    return ModelFinding("second derivatives", "failed", default.detail)


def _split(trial: _Trial) -> ModelFinding:
    try:
        trial.slopes(trial.penalised(split=True))
    except ValueError as error:
        return ModelFinding("split=True", "refused", str(error).removeprefix(_REFUSED))
    except Exception as error:
        return ModelFinding("split=True", "refused", _first_line(error))
    return ModelFinding("split=True", "ok", "only the attributed half is differentiated twice")


def _compiled(trial: _Trial) -> ModelFinding:
    name = "torch.compile"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is run uncompiled is said here
            step = partial(trial.penalised, model=torch.compile(trial.call.model, backend="eager"))
            trial.slopes(step())
    except Exception as error:
        return ModelFinding(name, "refused", _first_line(error))
    detail = "runs uncompiled where attributions are taken, at the price of the default"
    return ModelFinding(name, "note", detail)


def _examples_apart(trial: _Trial) -> ModelFinding:
    """Say whether the target of an example depends on others, in evaluation mode."""
    modes = [(module, module.training) for module in trial.modules]
    name, points = "examples apart", trial.sequence.clone().requires_grad_()
    try:
        for module, _ in modes:
            module.training = False
        scalars = trial.target(trial.call(points.clone(), *trial.call.rows))
        (slope,) = torch.autograd.grad(scalars[trial.applies].sum(), points, allow_unused=True)
    except Exception as error:
        return ModelFinding(name, "note", f"not known, in evaluation mode: {_first_line(error)}")
    finally:
        for module, mode in modes:
            module.training = mode
    if slope is not None and bool((slope[~trial.applies] != 0).any()):
        detail = "an example's target depends on other examples, which its attribution leaves out"
        return ModelFinding(name, "failed", detail)
    return ModelFinding(name, "ok", "no target depends on another example, batch norm aside")


def _batch_norm(trial: _Trial) -> ModelFinding:
    norms = [m for m in trial.modules if isinstance(m, _BatchNorm)]
    batch = [m for m in norms if m.training or m.running_mean is None]
    if not batch:
        return ModelFinding("batch norm", "ok", "none takes the statistics of the batch")
    layers = counted(len(batch), "layer")
    detail = f"statistics of the batch in {layers}; attributions hold them fixed by default"
    return ModelFinding("batch norm", "note", detail)


def _hooks(trial: _Trial) -> ModelFinding:
    names = dict.fromkeys(type(m).__name__ for m in trial.modules if is_changed(m))
    if not names:
        return ModelFinding("hooks", "ok", "none")
    return ModelFinding("hooks", "note", f"on {', '.join(names)}; called once a step, as always")


def _input(trial: _Trial) -> ModelFinding:
    given = trial.sequence.clone()
    trial.call(given, *trial.call.rows)
    if torch.equal(given, trial.sequence):
        return ModelFinding("input", "ok", "left as it was")
    return ModelFinding("input", "note", "changed in place; the model is given a copy")


def _kept(state: ModuleState) -> ModelFinding:
    changed = state.changed_attribute()
    if changed is None:
        return ModelFinding("kept", "ok", "a pass leaves nothing behind but buffers")
    return ModelFinding("kept", "note", f"a pass changes {changed}, as in a plain loop")


def _first_line(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
