"""What runs on real data advise, as a row of the table on the first page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from findings_rows import gain, reservation

from priorbench.number_text import MISSING, fixed, listed

_NONE = "none"


def advised_cells(facts: Mapping[str, Any], again: Mapping[str, Any] | None) -> list[str]:
    """Return what the run of one setting advises, its weight, price and gains, and those again."""
    if any("predicts no better" in text for text in facts["network"]):
        return ["open: its networks predict no better than averages do", *[MISSING] * 4]
    (advice,) = facts["advice"]
    prior = advice["advice"]
    anew = f"advised: `{again['advice'][0]['advice']}`" if again else "not asked"
    if prior == _NONE:
        why = "what gains has a price" if advice["basis"] == "trade-off" else "no gain was shown"
        return [f"no prior: {why}", *[MISSING] * 3, anew]
    gains, later = _established(facts, prior), _established(again or facts, prior)
    kept = {axis: gain for axis, gain in later.items() if axis in gains}
    weights = [row for row in facts["weights"] if row["prior"] == prior]
    prices = [f"{row['ratio']:.2f} ×" for row in facts["prices"] if row["prior"] == prior]
    return [
        f"`{prior}`{'' if advice['basis'] == 'advised' else ', ' + advice['basis']}",
        "".join(f"{row['weight']:g}{reservation(row)}" for row in weights) or MISSING,
        "".join(prices) or MISSING,
        _listed(gains),
        f"confirmed: {_listed(kept)}; {anew}" if again else anew,
    ]


def _established(facts: Mapping[str, Any], prior: str) -> dict[str, str]:
    """Return the gains by axis on which a prior is better than none."""
    return {
        row["axis"]: fixed(gain(row, "difference"), 3, signed=True)
        for row in facts["compared"]
        if (row["prior"], row["baseline"], row["verdict"]) == (prior, _NONE, "better")
    }


def _listed(gains: Mapping[str, str]) -> str:
    return listed([f"{axis} {gain}" for axis, gain in gains.items()]) if gains else "nothing"
