"""Paired statistics: pure functions on documented arrays."""

from __future__ import annotations

from .paired import PairedDifference, impute_failures, paired_difference, sign_flip_p, smallest_p

__all__ = [
    "PairedDifference",
    "impute_failures",
    "paired_difference",
    "sign_flip_p",
    "smallest_p",
]
