"""What the filters of a network's first layer respond to."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def filter_matrices(
    model: torch.nn.Module, sequence: torch.Tensor
) -> list[NDArray[np.float64] | None]:
    """Return the (4, width) frequencies of bases where each filter of the first layer responds.

    They are of the windows in which the response of the first convolution, without its bias, is
    above half its largest (Koo & Ploenzke 2021; Alipanahi et al. 2015). None for a filter that is
    positive nowhere. The list is empty if the first layer with weights is no plain convolution of
    four channels, or is wider than the sequences.

    Args:
        model: the model.
        sequence: (k, 4, L) one-hot.
    """
    layers = (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    first = next(layers, None)
    if not isinstance(first, torch.nn.Conv1d) or first.in_channels != 4 or first.dilation != (1,):
        return []
    width = first.kernel_size[0]
    if width > sequence.shape[2]:
        return []
    with torch.no_grad():
        response = torch.nn.functional.conv1d(sequence.float(), first.weight.float())
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
