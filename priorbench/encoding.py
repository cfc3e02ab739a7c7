"""Sequences encoded in one byte a base: A C G T/U N are 0 1 2 3 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # listing what there is must not wait for torch
    import torch

BASES = "ACGT"
N_CODE = 4
ILLEGAL = 255
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
_ENCODING = np.full(256, ILLEGAL, dtype=np.uint8)
_ENCODING[np.frombuffer(b"ACGTUNacgtun", dtype=np.uint8)] = [0, 1, 2, 3, 3, N_CODE] * 2
_DECODING = np.frombuffer(b"ACGTN", dtype=np.uint8)


def encode(text: bytes) -> NDArray[np.uint8]:
    """Return the codes of ASCII letters.

    Args:
        text: letters, ACGTUN in either case.

    Returns:
        (length,) uint8; a letter that is not one of ACGTUN becomes ``ILLEGAL``.
    """
    return _ENCODING[np.frombuffer(text, dtype=np.uint8)]


def decode(codes: NDArray[np.uint8]) -> str:
    """Return the letters ACGTN of (length,) uint8 codes."""
    return _DECODING[codes].tobytes().decode("ascii")


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the reverse complement of (..., length) uint8 codes; N stays N."""
    return np.ascontiguousarray(_COMPLEMENT[codes[..., ::-1]])


def one_hot(
    codes: NDArray[np.uint8],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Return the one-hot encoding of codes, computed on the device.

    Args:
        codes: (batch, length) uint8, 0 to 4.
        device: device of the result; one byte a base is sent there.
        dtype: a floating dtype; None for float32.

    Returns:
        (batch, 4, length), rows A C G T; N is an all-zero column.
    """
    import torch

    on_device = torch.from_numpy(np.ascontiguousarray(codes)).to(device)
    bases = torch.arange(4, dtype=torch.uint8, device=on_device.device)
    return (on_device[:, None, :] == bases[None, :, None]).to(dtype or torch.float32)
