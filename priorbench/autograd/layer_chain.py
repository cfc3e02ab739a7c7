"""A network that is a row of modules whose derivatives are written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .batch_norm import BatchNorm, RunningStatistics
from .layers import Convolution, Flatten, Layer, Linear, MaxPool, Rectifier
from .run_layers import LayerWithParameters


class LayerChain(torch.nn.Sequential):
    """A row of modules whose derivatives of first and second order are written out.

    In all else it is a ``torch.nn.Sequential``. Derivatives are written out for a network in
    training mode, without autocast, of these modules only, none of which, nor the chain itself,
    may be of a subclass, have a hook or have its ``forward`` replaced:

    - ``Conv1d`` of stride 1, without groups, padded by as many zeros at either end;
    - ``BatchNorm1d``;
    - ``ReLU``;
    - ``MaxPool1d`` of pools side by side, without padding or dilation, in ceil mode;
    - ``Flatten`` of all dimensions but the first;
    - ``Linear`` of (B, C), which is what ``Flatten`` gives.

    Any other network is left to autograd, which gives the same numbers and takes longer.
    """

    def written_out(self, example_rows: int, dim: int = 3) -> list[LayerWithParameters]:
        """Return the layers that do what the modules do in training mode.

        Args:
            example_rows: number of rows that make the statistics of batch norm.
            dim: number of dimensions of the input, that of the rows included.

        Raises:
            TypeError: if derivatives are not written out for a module or one of its options, or if
                a module or the chain was changed, for instance by a prior.
        """
        if type(self) is not LayerChain or is_changed(self):
            raise TypeError("no derivatives are written out for a chain that was changed")
        layers = []
        for module in self:
            layer = _layer_of(module, example_rows, dim)
            if layer is None:
                raise TypeError(f"no derivatives are written out for {module}")
            names = [name for name in ("weight", "bias") if hasattr(module, name)]
            layers.append(LayerWithParameters(layer, [getattr(module, name) for name in names]))
            dim = 2 if isinstance(layer, Flatten) else dim
        return layers


def is_changed(module: torch.nn.Module) -> bool:
    """Return whether a hook or a replaced ``forward`` changes what a module's class does."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks or module._backward_hooks or module._backward_pre_hooks) or (
        "forward" in module.__dict__
    )


def _layer_of(module: torch.nn.Module, example_rows: int, dim: int) -> Layer | None:
    """Return the layer that does what a module does to such an input, or None."""
    to_layer = _TO_LAYER.get(type(module))
    if to_layer is None or is_changed(module) or _DIM.get(type(module), dim) != dim:
        return None
    return to_layer(module, example_rows)


def _convolution(module: Any, example_rows: int) -> Layer | None:
    dilation = _single(module.dilation)
    if module.padding == "same":
        padding, odd = divmod(dilation * (_single(module.kernel_size) - 1), 2)
    else:
        padding, odd = 0 if module.padding == "valid" else _single(module.padding), 0
    if odd or _single(module.stride) != 1 or module.groups != 1 or module.padding_mode != "zeros":
        return None
    return Convolution(padding, dilation)


def _batch_norm(module: Any, example_rows: int) -> Layer | None:
    if not module.training:
        return None
    statistics = (module.running_mean, module.running_var, module.num_batches_tracked)
    # statistics that were loaded but are not to be tracked stay as they are
    mean, variance, batches = statistics if module.track_running_stats else (None, None, None)
    running = RunningStatistics(mean, variance, module.momentum, batches)
    return BatchNorm(module.eps, example_rows, running)


def _max_pool(module: Any, example_rows: int) -> Layer | None:
    width = _single(module.kernel_size)
    options = (_single(module.stride), _single(module.padding), _single(module.dilation))
    if options != (width, 0, 1) or not module.ceil_mode or module.return_indices:
        return None
    return MaxPool(width)


def _flatten(module: Any, example_rows: int) -> Layer | None:
    return Flatten() if (module.start_dim, module.end_dim) == (1, -1) else None


def _single(option: Any) -> int:
    """Return a module's option along the one dimension; it may be a tuple of one."""
    return int(option[0] if isinstance(option, tuple) else option)


_TO_LAYER: Mapping[type, Callable[[Any, int], Layer | None]] = {
    torch.nn.Conv1d: _convolution,
    torch.nn.BatchNorm1d: _batch_norm,
    torch.nn.MaxPool1d: _max_pool,
    torch.nn.Linear: lambda module, example_rows: Linear(),
    torch.nn.ReLU: lambda module, example_rows: Rectifier(),
    torch.nn.Flatten: _flatten,
}
"""functions of a module and the number of example rows; None for options without derivatives"""
_DIM: Mapping[type, int] = {torch.nn.Conv1d: 3, torch.nn.MaxPool1d: 3, torch.nn.Linear: 2}
"""dimensions that the input of a module must have; torch takes others too, and means other axes"""
