"""Numbers and lists as a reader expects them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

MISSING = "–"


def decimals_for(values: Iterable[float]) -> int:
    """Decimal places that give the largest of the values three digits, all alike.

    Scores up to 1 get three places, so that 1 does not look coarser than .99; what is below .01
    gets two digits.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if not sizes:
        return 3
    if 0.01 <= max(sizes) <= 1:
        return 3
    digits = 3 if max(sizes) > 1 else 2
    return min(max(digits - 1 - math.floor(math.log10(max(sizes))), 0), 6)


def fixed(value: float, places: int, *, signed: bool = False) -> str:
    """A number with so many decimal places, a true minus sign, and a dash where there is none."""
    if not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{places}f}"
    if not float(text.replace(",", "")):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def interval(low: float, high: float, places: int) -> str:
    """``[low, high]``, or "" where none is offered."""
    return f"[{fixed(low, places)}, {fixed(high, places)}]" if math.isfinite(low) else ""


def p_value(p: float) -> str:
    """A probability without the leading zero: ``.031``, ``<.001``, ``1``."""
    if not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "<.001"
    rounded = Decimal(repr(float(p))).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return str(rounded).lstrip("0") if rounded < 1 else "1"


def exact_p(p: float) -> str:
    """A probability with more digits than :func:`p_value`, for sentences about one: ``.0625``."""
    return f"{p:.4f}".strip("0").rstrip(".") or "1" if p >= 0.001 else p_value(p)


def counted(count: int, noun: str) -> str:
    """``1 seed``, ``5 seeds``, ``4,000 sequences``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
