"""Torch functions in forms that can be differentiated twice, batch statistics held fixed or not.

They take the place of torch's own within a block of one thread; nothing global is switched.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from .batch_norm import BatchNorm, RunningStatistics, normalise
from .run_layers import LayerWithParameters, run
from .statistics_gate import StatisticsGate

_Function = Callable[..., Any]
_WHOLE_PROCESS = Lock()
_prepared: WeakSet[Any] = WeakSet()
"""checkpoints (``torch.utils.checkpoint``) whose second run is prepared"""
_ATTENTION = inspect.signature(F.multi_head_attention_forward)


class TwiceDifferentiable(TorchFunctionMode):
    """Attention and recurrent layers with a second derivative, where torch would choose others.

    Attention is computed by softmax and products, as torch's own ``math`` kernel does. On CUDA,
    recurrent layers go without cuDNN, whose switch is the whole process's: it is off while such a
    layer is called, by one thread at a time.

    Attributes:
        needed: whether anything is replaced.
    """

    def __init__(self, *, needed: bool = True) -> None:
        """Prepare a block."""
        super().__init__()
        self.needed = needed

    def replacement(self, function: _Function) -> _Function | None:
        """Return what is called in place of a torch function; None to leave it."""
        return _REPLACED.get(function) if self.needed else None

    def again(self) -> Callable[[], TorchFunctionMode]:
        """Return what makes a mode for a checkpoint that is run again from here."""
        return partial(TwiceDifferentiable, needed=self.needed)

    def __torch_function__(
        self,
        function: _Function,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the replacement, if there is one."""
        replacement = self.replacement(function)
        if replacement is None:
            return function(*args, **(kwargs or {}))
        _again_within(self.again)
        other: Any = next((kind for kind in types if not issubclass(kind, torch.Tensor)), None)
        if other is not None:  # it takes the replacement apart itself
            return other.__torch_function__(replacement, types, args, kwargs)
        return replacement(*args, **(kwargs or {}))


def _again_within(again: Callable[[], Callable[[], AbstractContextManager[Any]]]) -> None:
    """Let the checkpoint that is being run now, if there is one, be run again in a block.

    Torch runs it again under the autocast and the default device of the first run, but under no
    other mode. What it will run stands in the frame that its hooks on saved tensors share.

    Args:
        again: function that returns what makes a block; called at most once for a checkpoint.
    """
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is None or not inspect.isfunction(hooks[1]):
        return
    frame: Any = inspect.getclosurevars(hooks[1]).nonlocals.get("frame")
    if frame is None or frame in _prepared or not callable(getattr(frame, "recompute_fn", None)):
        return
    _prepared.add(frame)
    first, block = frame.recompute_fn, again()

    def recompute(*args: Any) -> None:
        with block():
            first(*args)

    frame.recompute_fn = recompute


def _attention(  # noqa: PLR0917 (the signature of torch)
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> torch.Tensor:
    """``scaled_dot_product_attention`` by its ``math`` kernel."""
    kind, tensors = query.device.type, [query, key, value]
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(
            ~attn_mask, -torch.inf
        )
    if torch.is_autocast_enabled(kind):  # it would cast what torch calls attention
        lower = torch.get_autocast_dtype(kind)
        tensors = [_cast(tensor, lower) for tensor in tensors]
        attn_mask = None if attn_mask is None else _cast(attn_mask, lower)
    with torch.autocast(kind, enabled=False):
        result: torch.Tensor = torch.ops.aten._scaled_dot_product_attention_math(
            *tensors, attn_mask, dropout_p, is_causal, **options
        )[0]
    return result


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.to(dtype)


def _multi_head_attention(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``multi_head_attention_forward`` by its softmax, which it takes where weights are wanted."""
    call = _ATTENTION.bind(*args, **kwargs)
    wanted = call.arguments.get("need_weights", True)
    call.arguments["need_weights"] = True
    output, weights = F.multi_head_attention_forward(*call.args, **call.kwargs)
    return output, weights if wanted else None


def _without_cudnn(function: _Function) -> _Function:
    def call(input: torch.Tensor, *args: Any) -> Any:
        if not input.is_cuda:
            return function(input, *args)
        with _WHOLE_PROCESS, torch.backends.cudnn.flags(enabled=False):
            return function(input, *args)

    return call


_REPLACED: Mapping[_Function, _Function] = {
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head_attention,
    **{
        function: _without_cudnn(function)
        for function in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
    },
}


class GatedBatchNorm(TwiceDifferentiable):
    """Batch norm in training mode with a gate to its statistics; attention and recurrence too.

    Attributes:
        gate: the gate.
        statistics: mean and variance of every call so far in a pass of examples; in a pass of path
            points, those that are still to be used.
    """

    def __init__(
        self,
        gate: StatisticsGate,
        statistics: Sequence[Sequence[torch.Tensor]] | None = None,
        *,
        needed: bool = True,
    ) -> None:
        """Prepare a pass of examples or, if statistics are given, one of path points.

        Args:
            gate: the gate to the batch statistics.
            statistics: mean and variance of every call in the pass of examples.
            needed: whether attention and recurrent layers are replaced too.
        """
        super().__init__(needed=needed)
        self.gate, self.statistics = gate, list(statistics or [])
        self._has_examples = statistics is None

    def replacement(self, function: _Function) -> _Function | None:
        """Replace batch norm too, under either of its names."""
        if function is F.batch_norm:
            return self._batch_norm
        if function is torch.batch_norm:
            return self._direct_batch_norm
        return super().replacement(function)

    def again(self) -> Callable[[], TorchFunctionMode]:
        """Return what makes a mode that begins with the next call's statistics, and tracks none."""
        if self._has_examples:
            return partial(_Untracked, self.gate, needed=self.needed)
        return partial(GatedBatchNorm, self.gate, list(self.statistics), needed=self.needed)

    def _direct_batch_norm(self, *args: Any) -> torch.Tensor:
        """``torch.batch_norm``: the same by position, in another order."""
        value, weight, bias, mean, variance, training, momentum, eps, *_ = args
        return self._batch_norm(value, mean, variance, weight, bias, training, momentum, eps)

    def _batch_norm(  # noqa: PLR0917 (the signature of torch)
        self,
        input: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if not training:
            return F.batch_norm(
                input, running_mean, running_var, weight, bias, False, momentum, eps
            )
        if not self._has_examples:
            return normalise(input, self.statistics.pop(0), (weight, bias), eps)
        running = self._running(running_mean, running_var, momentum)
        layer = BatchNorm(eps, len(input), running)
        output = run([LayerWithParameters(layer, (weight, bias))], self.gate, [input])
        self.statistics.append(output.statistics)
        return output.parts[0]

    def _running(
        self, mean: torch.Tensor | None, variance: torch.Tensor | None, momentum: float
    ) -> RunningStatistics:
        return RunningStatistics(mean, variance, momentum)


class _Untracked(GatedBatchNorm):
    """Batch norm of examples that have had their share in the running statistics."""

    def _running(
        self, mean: torch.Tensor | None, variance: torch.Tensor | None, momentum: float
    ) -> RunningStatistics:
        return RunningStatistics(None, None, momentum)
