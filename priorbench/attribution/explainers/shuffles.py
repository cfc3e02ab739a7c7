"""References that are drawn by shuffling a sequence: its pairs of bases, or its positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def shuffled(sequence: torch.Tensor, count: int, seeds: Sequence[int]) -> torch.Tensor:
    """Return dinucleotide shuffles of sequences.

    Args:
        sequence: (k, 4, L) one-hot float.
        count: number of shuffles of each sequence.
        seeds: a seed for each sequence.

    Returns:
        (k, count, 4, L) on the sequences' device and of their dtype; first and last base stay.
    """
    from tangermeme.ersatz import dinucleotide_shuffle

    shuffles: torch.Tensor = dinucleotide_shuffle(
        sequence.cpu(), n=count, random_state=list(seeds), allow_N=True
    )
    return shuffles.to(sequence)


def shuffled_positions(sequence: torch.Tensor, count: int, seeds: Sequence[int]) -> torch.Tensor:
    """Return sequences whose positions are in a random order.

    Args:
        sequence: (k, 4, L) float.
        count: number of shuffles of each sequence.
        seeds: a seed for each sequence.

    Returns:
        (k, count, 4, L) on the sequences' device and of their dtype.
    """
    shuffles = []
    for row, seed in zip(sequence, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed)
        length = row.shape[1]
        orders = [torch.randperm(length, generator=generator) for _ in range(count)]
        shuffles.append(torch.stack([row[:, order.to(row.device)] for order in orders]))
    return (
        torch.stack(shuffles) if shuffles else sequence.new_zeros((0, count, *sequence.shape[1:]))
    )
