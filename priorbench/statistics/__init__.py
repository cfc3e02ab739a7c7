"""Paired statistics: pure functions on documented arrays."""

from __future__ import annotations

from .agreement import agreement_differences, leave_one_out
from .paired import (
    EXACT_UP_TO,
    PairedDifference,
    impute_failures,
    paired_difference,
    sign_flip_p,
    smallest_p,
    summarise_differences,
)

__all__ = [
    "EXACT_UP_TO",
    "PairedDifference",
    "agreement_differences",
    "impute_failures",
    "leave_one_out",
    "paired_difference",
    "sign_flip_p",
    "smallest_p",
    "summarise_differences",
]
