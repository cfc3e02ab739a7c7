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

    In all else it is a ``torch.nn.Sequential``. Convolutions (stride 1, padding 'same' or in
    numbers), batch norm, rectifiers, max-pooling (pools side by side, ceil mode), flattening and
    dense layers have written-out derivatives. ``choose_way`` tries once whether they are those of
    autograd and leaves the network to autograd if not.
    """

    def written_out(self, example_rows: int) -> list[LayerWithParameters]:
        """Return the layers that do what the modules do in training mode.

        Args:
            example_rows: number of rows that make the statistics of batch norm.

        Raises:
            TypeError: if a module has no derivatives here, or was changed, for instance by a prior.
        """
        layers = []
        for module in self:
            to_layer = _TO_LAYER.get(type(module))
            if to_layer is None or is_changed(module):
                raise TypeError(f"no derivatives are written out for {module}")
            names = [name for name in ("weight", "bias") if hasattr(module, name)]
            parameters = [getattr(module, name) for name in names]
            layers.append(LayerWithParameters(to_layer(module, example_rows), parameters))
        return layers


def is_changed(module: torch.nn.Module) -> bool:
    """Return whether a hook or a replaced ``forward`` changes what a module's class does."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks or module._backward_hooks or module._backward_pre_hooks) or (
        "forward" in module.__dict__
    )


def _convolution(module: Any, example_rows: int) -> Layer:
    dilation = module.dilation[0]
    same = dilation * (module.kernel_size[0] - 1) // 2
    return Convolution(same if module.padding == "same" else int(module.padding[0]), dilation)


def _batch_norm(module: Any, example_rows: int) -> Layer:
    running = RunningStatistics(
        module.running_mean, module.running_var, module.momentum, module.num_batches_tracked
    )
    return BatchNorm(module.eps, example_rows, running)


_TO_LAYER: Mapping[type, Callable[[Any, int], Layer]] = {
    torch.nn.Conv1d: _convolution,
    torch.nn.BatchNorm1d: _batch_norm,
    torch.nn.MaxPool1d: lambda module, example_rows: MaxPool(module.kernel_size),
    torch.nn.Linear: lambda module, example_rows: Linear(),
    torch.nn.ReLU: lambda module, example_rows: Rectifier(),
    torch.nn.Flatten: lambda module, example_rows: Flatten(),
}
