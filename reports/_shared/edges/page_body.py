"""Effects near the ends on penalties, gradients and trained models, as HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from priorbench.components.specs import split_spec
from priorbench.edges.contrasts import CONTRASTS
from priorbench.edges.penalty_effects import NEAR, WIDTH
from priorbench.edges.summary import NOTABLE, EdgeConclusion, Effects, conclusions
from priorbench.edges.trained_models import TrainedEdges
from priorbench.number_text import decimals_for, exact_p, fixed, listed, p_value, percent
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.signflip import smallest_p

from ..page import render
from ..settings import SIGNS
from .figures import Line, draw, gradient_panels, key_of, lines_of, penalty_panels, trained_panels

FOURIER = "fourier"
_UNIT = " (percentages are of what separates noise from one motif)"


def body(effects: Effects, trained: Sequence[TrainedEdges]) -> Markup:
    """Return all effects at one length.

    Args:
        effects: effects on penalties and their gradients.
        trained: effects on trained models with windows of the same length; may be empty.
    """
    others = [prior for setting in trained for prior in setting.priors]
    lines = lines_of(list(dict.fromkeys([*effects, *others])))
    length = next(iter(effects.values()))[0].length
    return render(
        "edge_artifacts",
        length=length,
        width=WIDTH,
        near=NEAR,
        verdict=[_coded(text) for text in verdict(effects, trained)],
        key=key_of({prior: lines[prior] for prior in effects}),
        rows=_summary(effects),
        unscaled=any(math.isnan(penalty.scale) for penalty, _ in effects.values()),
        levels=[
            {
                "title": title,
                "panels": [{"panel": panel, "svg": draw(panel, lines)} for panel in panels],
            }
            for title, panels in (
                ("Penalty", penalty_panels(effects)),
                ("Gradient", gradient_panels(effects)),
            )
        ],
        trained=[_trained(setting, lines) for setting in trained],
    )


def _summary(effects: Effects) -> list[dict[str, str]]:
    return [
        {
            "prior": prior,
            "end": percent(penalty.end_cost),
            "wrap": percent(penalty.wrap_gain),
            "jump": percent(penalty.jump_cost),
            "size": fixed(gradient.end_size, 2),
            "push": fixed(gradient.end_push, 2, signed=True),
            "far": fixed(gradient.far_push, 2, signed=True),
        }
        for prior, (penalty, gradient) in effects.items()
    ]


def _trained(setting: TrainedEdges, lines: Mapping[str, Line]) -> dict[str, Any]:
    known = {contrast.name: contrast for contrast in CONTRASTS}
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in setting.table.to_dict("records"):
        tables.setdefault(str(row["baseline"]), []).append({str(k): v for k, v in row.items()})
    return {
        "setting": setting,
        "runs": listed(setting.runs) if setting.runs else "",
        "key": key_of({prior: lines[prior] for prior in setting.priors}),
        "panels": [{"panel": p, "svg": draw(p, lines)} for p in trained_panels(setting)],
        "tables": [
            {
                "baseline": baseline,
                "arms": (arms := len({row["prior"] for row in rows})),
                "smallest": exact_p(min(1.0, arms * smallest_p(max(row["n"] for row in rows)))),
                "priors": list(dict.fromkeys(row["prior"] for row in rows)),
                "contrasts": [
                    {
                        "contrast": known[name],
                        "baseline": fixed(cells[0]["mean_baseline"], places, signed=True),
                        "cells": [_cell(row, places) for row in cells],
                    }
                    for name in dict.fromkeys(row["contrast"] for row in rows)
                    for cells in [[row for row in rows if row["contrast"] == name]]
                    for places in [decimals_for([row["mean_baseline"] for row in cells])]
                ],
            }
            for baseline, rows in tables.items()
        ],
        "alpha": exact_p(ALPHA),
    }


def _cell(row: dict[str, Any], places: int) -> dict[str, Any]:
    verdict = row["verdict"]
    return {
        "difference": fixed(row["difference"], places, signed=True),
        "interval": f"[{fixed(row['ci_low'], places)}, {fixed(row['ci_high'], places)}]",
        "p": p_value(row["p_adjusted"]),
        "verdict": verdict,
        "remark": f"{SIGNS[verdict]} {verdict}" if verdict else "one seed: no p",
        "failed": row["failed"],
    }


def verdict(effects: Effects, trained: Sequence[TrainedEdges]) -> list[str]:
    """Return a paragraph about every Fourier prior: whether its boundary matters, which to use."""
    compared = conclusions(effects, trained)
    paragraphs = [_paragraph(conclusion, effects, bool(trained)) for conclusion in compared]
    covered = {spec for conclusion in compared for spec in conclusion.boundaries}
    alone = [s for s in effects if s not in covered and split_spec(s)[0] == FOURIER]
    return paragraphs + [_alone(spec, effects) for spec in alone]


def _in_penalty(spec: str, effects: Effects, unit: str = _UNIT) -> str:
    penalty, gradient = effects[spec]
    push = (
        "the push on attribution at the end across from a motif is "
        f"{fixed(gradient.far_push, 2, signed=True)}"
    )
    if math.isnan(penalty.scale):
        costs = [penalty.noise, penalty.centre]
        noise, motif = (fixed(cost, decimals_for(costs)) for cost in costs)
        return (
            f"noise and one motif cost about the same ({noise} and {motif}), so that effects of "
            f"the ends on the penalty have no scale, and {push}"
        )
    return (
        f"a motif at the very end costs {percent(penalty.end_cost)} against one in the middle, "
        f"two that meet across the ends gain {percent(penalty.wrap_gain)}, a jump in level "
        f"between the ends moves the value by {percent(penalty.jump_cost)}{unit}, and {push}"
    )


def _paragraph(conclusion: EdgeConclusion, effects: Effects, ran: bool) -> str:
    default = conclusion.default
    length = effects[default][0].length
    others = [s for s in (conclusion.gentlest, *conclusion.boundaries) if s != default]
    unit = _UNIT if default in conclusion.unscaled else ""  # the default's sentence has said it
    return (
        f"At {length:,} bp, with `{default}`: {_in_penalty(default, effects)}. With "
        f"`{others[0]}`: {_in_penalty(others[0], effects, unit)}. {_size(conclusion)} "
        f"{_in_models(conclusion, ran)}{_against_none(conclusion)} {_advice(conclusion, effects)}"
    )


def _size(conclusion: EdgeConclusion) -> str:
    default = conclusion.default
    if default in conclusion.unscaled:
        return f"How large the effect of the ends on the penalty of `{default}` is, nobody can say."
    size = "real" if conclusion.notable else f"small (below {percent(NOTABLE).lstrip('+')})"
    return f"So the effect of the ends on the penalty of `{default}` is {size}."


def _in_models(conclusion: EdgeConclusion, ran: bool) -> str:
    if not conclusion.tests:
        why = "no trained models here compare boundaries" if ran else "nothing was trained for this"
        return (
            f"Whether it reaches trained models is not known: {why}; `priorbench run edges` tests "
            "it."
        )
    tests = (
        f"{conclusion.tests} tests of a boundary against `{conclusion.default}` "
        f"({conclusion.seeds} seeds)"
    )
    if not conclusion.reachable:
        return f"In trained models, {tests} cannot be significant with so few seeds."
    called = [
        f"{listed([f'`{prior}` on {contrast}' for prior, contrast in contrasts])} {verdict}"
        for verdict, contrasts in (("better", conclusion.better), ("worse", conclusion.worse))
        if contrasts
    ]
    if not called:
        return (
            f"In trained models, none of {tests} finds a difference: whether the ends count as "
            "neighbours made no visible difference to what is learnt at this length."
        )
    return (
        f"In trained models, of {tests}, Holm-corrected, some find a difference: {listed(called)}."
    )


def _against_none(conclusion: EdgeConclusion) -> str:
    """Return where the prior differs from no prior, and whether its boundary is the cause."""
    texts = [
        f" Against no prior it is {verdict} on {contrast}, "
        + (
            "as with every boundary, so that the boundary is not the cause."
            if (contrast, verdict) in conclusion.shared
            else "but not with every boundary."
        )
        for contrast, verdict in conclusion.own
    ]
    return "".join(texts)


def _advice(conclusion: EdgeConclusion, effects: Effects) -> str:
    default, advised = conclusion.default, conclusion.advised
    if not advised:
        return f"So the penalty advises no other boundary than that of `{default}`."
    if advised == default != conclusion.gentlest:
        return f"Keep `{default}`: every gentler boundary does worse in trained models."
    largest = percent(effects[advised][0].largest).lstrip("+")
    tested = conclusion.tests and conclusion.reachable and advised != default
    safe = " and no test calls it worse" if tested else ""
    of = "all"
    if conclusion.unscaled:
        unscaled = listed([f"`{spec}`" for spec in conclusion.unscaled])
        of = f"all but {unscaled}, whose effects have no scale"
    return (
        f"{'Keep' if advised == default else 'Use'} `{advised}`: its largest effect on the penalty "
        f"is {largest}, the smallest of {of}{safe}."
    )


def _coded(text: str) -> Markup:
    """Return a text escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _alone(spec: str, effects: Effects) -> str:
    penalty, _ = effects[spec]
    return (
        f"At {penalty.length:,} bp, with `{spec}`: {_in_penalty(spec, effects)}. `priorbench edges "
        f"--length {penalty.length}` compares it with other boundaries."
    )
