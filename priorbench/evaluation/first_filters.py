"""What the filters of a network's first layer respond to."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

_PROBED = 8
"""positions on which a layer is tried for whether it takes each by itself"""


def filter_matrices(
    model: torch.nn.Module, sequence: torch.Tensor
) -> list[NDArray[np.float64] | None]:
    """Return the (4, width) frequencies of bases where each filter of the first layer responds.

    They are of the windows in which the activation of the first layer is above half its largest
    (Koo & Ploenzke 2021; Alipanahi et al. 2015): the first convolution, then the batch norm and the
    activation that follow it in the order of the model's modules, as in eval mode. An activation
    that is no module, or has weights, is not known, and left out. None for a filter that is
    positive nowhere. The list is empty if the first layer with weights is no plain convolution of
    four channels, or is wider than the sequences. The model stays as it is: copies of its layers
    are applied.

    Args:
        model: the model.
        sequence: (k, 4, L) one-hot.
    """
    leaves = (m for m in model.modules() if not any(True for _ in m.children()))
    first = next((m for m in leaves if next(m.parameters(recurse=False), None) is not None), None)
    if not isinstance(first, torch.nn.Conv1d) or first.in_channels != 4:
        return []
    if first.dilation != (1,) or first.groups != 1:
        return []
    width = first.kernel_size[0]
    if width > sequence.shape[2]:
        return []
    with torch.no_grad():
        # without padding, so that every response has a window of bases
        response = torch.nn.functional.conv1d(sequence.to(first.weight), first.weight, first.bias)
        for layer in _following(leaves, response):
            response = layer(response)
        largest = response.amax(dim=(0, 2))
        active = response > largest[:, None] / 2
    windows = sequence.unfold(2, width, 1)
    matrices: list[NDArray[np.float64] | None] = []
    for number in range(first.out_channels):
        row, place = torch.nonzero(active[:, number], as_tuple=True)
        counts = windows[row, :, place].sum(dim=0).double().cpu().numpy()
        total = counts.sum(axis=0)
        known = largest[number] > 0 and (total > 0).all()
        matrices.append(counts / total if known else None)
    return matrices


def _following(
    layers: Iterator[torch.nn.Module], response: torch.Tensor
) -> Iterator[torch.nn.Module]:
    """Yield copies of the layers that treat positions alike, up to the first that does not."""
    probe = response[:2, :, :_PROBED].clone()
    for own in layers:
        try:
            layer = copy.deepcopy(own).eval()
        except Exception:  # what a user's layer holds may not be copied
            return
        if isinstance(layer, torch.nn.BatchNorm1d):
            if layer.num_features != response.shape[1]:
                return
        elif any(True for _ in layer.parameters()) or not _by_position(layer, probe):
            return
        yield layer


def _by_position(layer: torch.nn.Module, probe: torch.Tensor) -> bool:
    """Return whether a layer without weights gives moved positions the same values, moved."""
    places = torch.arange(probe.shape[2])
    apart = torch.cat([places[::2], places[1::2]])  # neighbours are none any more
    try:
        # copies, as a layer may write in place
        value, moved = layer(probe.clone()), layer(probe[:, :, apart].clone())
        alike = value.shape == probe.shape == moved.shape
        return alike and torch.equal(value[:, :, apart], moved)
    except Exception:  # a user's layer that wants something else may raise anything
        return False
