"""Numbers and lists as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

MISSING = "–"


def decimals_for(values: Iterable[float]) -> int:
    """Return the number of decimal places that gives the largest of some values three digits.

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
    """Return a number with a true minus sign; ``MISSING`` where it is not finite.

    Args:
        value: the number.
        places: number of decimal places.
        signed: whether a positive number has a plus sign.
    """
    if not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{places}f}"
    if not float(text.replace(",", "")):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def interval(low: float, high: float, places: int) -> str:
    """Return ``[low, high]``; "" where there is no interval."""
    return f"[{fixed(low, places)}, {fixed(high, places)}]" if math.isfinite(low) else ""


def p_value(p: float) -> str:
    """Return a probability without the leading zero: ``.031``, ``<.001``, ``1``."""
    if not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "<.001"
    rounded = Decimal(repr(float(p))).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return str(rounded).lstrip("0") if rounded < 1 else "1"


def with_relation(p: str) -> str:
    """Return a probability as text with its relation: ``= .031``, ``<.001``."""
    return p if p.startswith("<") else f"= {p}"


def percent(share: float) -> str:
    """Return a share as a signed percentage with one decimal place; ``MISSING`` for NaN."""
    return f"{fixed(100 * share, 1, signed=True)}%" if math.isfinite(share) else MISSING


def exact_p(p: float) -> str:
    """Return a probability with more digits than :func:`p_value`, for sentences: ``.0625``."""
    return f"{p:.4f}".strip("0").rstrip(".") if p >= 0.001 else p_value(p)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 seed``, ``5 seeds``, ``4,000 sequences``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers as a command takes them, each once: ``0-9, 12``; "" for none."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
