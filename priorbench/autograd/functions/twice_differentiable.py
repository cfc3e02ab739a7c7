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
from weakref import WeakSet, ref

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from priorbench.autograd.batch_norm import BatchNormCall, normalise
from priorbench.autograd.model_call import modules_of
from priorbench.autograd.run_layers import LayerWithParameters, run
from priorbench.autograd.statistics_gate import StatisticsGate

from .convolution import CONVOLUTIONS, replace_convolution

_Function = Callable[..., Any]
_Statistics = Sequence[tuple[Callable[[], Any], Sequence[torch.Tensor]]]
"""function that returns a tensor of the layer, if it is there still, and mean and variance of every
call of batch norm"""
_WHOLE_PROCESS = Lock()
_prepared: WeakSet[Any] = WeakSet()
"""checkpoints (``torch.utils.checkpoint``) whose second run is prepared"""
_ATTENTION = inspect.signature(F.multi_head_attention_forward)


class TwiceDifferentiable(TorchFunctionMode):
    """Attention and recurrent layers with a second derivative, where torch would choose others.

    Attention is computed by softmax and products, as torch's own ``math`` kernel does. On CUDA,
    recurrent layers go without cuDNN, whose switch is the whole process's: it is off while such a
    layer is called, by one thread at a time. Large convolutions have a faster second derivative.

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
    other mode. What it will run stands in the frame that its hooks on saved tensors share. Batch
    norm does not count the batch again.

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
    norms = [module for module in modules_of(first) if isinstance(module, _BatchNorm)]

    def recompute(*args: Any) -> None:
        counters = [
            norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None
        ]
        before = [counter.clone() for counter in counters]
        try:
            with block():
                first(*args)
        finally:  # torch ends a run by an error once it has what it needs
            for counter, value in zip(counters, before, strict=True):
                counter.copy_(value)

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
    **{function: replace_convolution(function) for function in CONVOLUTIONS},
}


class GatedBatchNorm(TwiceDifferentiable):
    """Batch norm in training mode with a gate to its statistics; attention and recurrence too.

    Attributes:
        gate: the gate.
        rows: number of examples. What makes one row of several examples, as instance norm and
            norms of weights do, has statistics of another kind and is left as it is.
        statistics: layer, mean and variance of every call so far in a pass of examples; in a pass
            of path points, those that are still to be used.
    """

    def __init__(
        self,
        gate: StatisticsGate,
        rows: int,
        statistics: _Statistics | None = None,
        *,
        needed: bool = True,
    ) -> None:
        """Prepare a pass of examples or, if statistics are given, one of path points.

        Args:
            gate: the gate to the batch statistics.
            rows: number of examples.
            statistics: layer, mean and variance of every call in the pass of examples.
            needed: whether attention and recurrent layers are replaced too.
        """
        super().__init__(needed=needed)
        self.gate, self.rows, self.statistics = gate, rows, list(statistics or [])
        self._has_examples, self._tracked = statistics is None, True

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
            return self._untracked
        return partial(
            GatedBatchNorm, self.gate, self.rows, list(self.statistics), needed=self.needed
        )

    def at_points(self) -> GatedBatchNorm:
        """Return the mode of a pass of path points, which takes this one's statistics."""
        return GatedBatchNorm(self.gate, self.rows, self.statistics, needed=self.needed)

    def _untracked(self) -> GatedBatchNorm:
        """Return the mode of examples that have had their share in the running statistics."""
        mode = GatedBatchNorm(self.gate, self.rows, needed=self.needed)
        mode._tracked = False
        return mode

    def _direct_batch_norm(  # noqa: PLR0917 (the signature of torch)
        self,
        input: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool,
    ) -> torch.Tensor:
        """``torch.batch_norm``: the same in another order."""
        statistics = (running_mean, running_var)
        return self._batch_norm(input, *statistics, weight, bias, training, momentum, eps)

    def _batch_norm(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        call = BatchNormCall(*args, **kwargs)
        transformed = torch._C._functorch.peek_interpreter_stack() is not None
        foreign = len(call.input) == 1 < self.rows or (transformed and not self.gate.members)
        if foreign or not call.training:
            return F.batch_norm(*call)
        layer = call.weight if call.running_mean is None else call.running_mean
        if not self._has_examples:
            return normalise(call.input, self._next(layer), call.parameters, call.eps)
        norm = call.layer(len(call.input), tracked=self._tracked)
        output = run([LayerWithParameters(norm, call.parameters)], self.gate, [call.input])
        known = layer is not None and not transformed
        self.statistics.append((ref(layer) if known else _unknown, output.statistics))
        return output.parts[0]

    def _next(self, layer: torch.Tensor | None) -> Sequence[torch.Tensor]:
        """Return the layer's next statistics; those of a layer that is not known, in order."""
        for place, (known, _) in enumerate(self.statistics):
            if known() is layer or known() is None:
                return self.statistics.pop(place)[1]
        raise ValueError(
            "a batch norm that was not called for the batch is called at points of a path: a model "
            "that leaves out layers at random suits no attribution along a path"
        )


def _unknown() -> None:
    """Return no layer."""
