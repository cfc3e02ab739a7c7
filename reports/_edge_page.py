"""All three levels of edge artifacts at one length, as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from priorbench.components.specs import split_spec
from priorbench.edges.contrasts import CONTRASTS
from priorbench.edges.penalty_effects import NEAR, WIDTH
from priorbench.edges.summary import NOTABLE, EdgeConclusion, Effects, conclusions
from priorbench.edges.trained_models import TrainedEdges
from priorbench.statistics.signflip import smallest_p
from priorbench.statistics.verdicts import ALPHA

from ._edge_figures import (
    Look,
    draw,
    gradient_panels,
    key_figure,
    looks,
    penalty_panels,
    trained_panels,
)
from ._numbers import decimals_for, exact_p, fixed, listed, p_value
from ._page import render

FOURIER = "fourier"
_SIGNS = {"better": "✓", "worse": "✗", "inconclusive": "?"}


def body(effects: Effects, trained: Sequence[TrainedEdges]) -> Markup:
    """All three levels at one length.

    Args:
        effects: of the penalties.
        trained: of trained models with windows of the same length; may be none.
    """
    others = [prior for setting in trained for prior in setting.priors]
    look = looks(list(dict.fromkeys([*effects, *others])))
    length = next(iter(effects.values()))[0].length
    return render(
        "edge_artifacts",
        length=length,
        width=WIDTH,
        near=NEAR,
        verdict=[_coded(text) for text in verdict(effects, trained)],
        key=key_figure({prior: look[prior] for prior in effects}),
        rows=_summary(effects),
        levels=[
            {
                "title": title,
                "panels": [{"panel": panel, "svg": draw(panel, look)} for panel in panels],
            }
            for title, panels in (
                ("Penalty", penalty_panels(effects)),
                ("Gradient", gradient_panels(effects)),
            )
        ],
        trained=[_trained(setting, look) for setting in trained],
    )


def _summary(effects: Effects) -> list[dict[str, str]]:
    return [
        {
            "prior": prior,
            "end": _percent(penalty.end_cost),
            "wrap": _percent(penalty.wrap_gain),
            "jump": _percent(penalty.jump_cost),
            "size": fixed(gradient.end_size, 2),
            "push": fixed(gradient.end_push, 2, signed=True),
            "far": fixed(gradient.far_push, 2, signed=True),
        }
        for prior, (penalty, gradient) in effects.items()
    ]


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 1, signed=True)}%"


def _trained(setting: TrainedEdges, look: Mapping[str, Look]) -> dict[str, Any]:
    known = {contrast.name: contrast for contrast in CONTRASTS}
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in setting.table.to_dict("records"):
        row_of = {str(key): value for key, value in row.items()}
        tables.setdefault(str(row["baseline"]), []).append(row_of)
    return {
        "setting": setting,
        "of": listed(setting.runs) if setting.runs else "",
        "key": key_figure({prior: look[prior] for prior in setting.priors}),
        "panels": [{"panel": p, "svg": draw(p, look)} for p in trained_panels(setting)],
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
    sign = _SIGNS.get(row["verdict"], "")
    return {
        "difference": fixed(row["difference"], places, signed=True),
        "interval": f"[{fixed(row['ci_low'], places)}, {fixed(row['ci_high'], places)}]",
        "p": p_value(row["p_adjusted"]),
        "verdict": row["verdict"],
        "remark": f"{sign} {row['verdict']}" if sign else "one seed: no p",
        "failed": row["failed"],
    }


def verdict(effects: Effects, trained: Sequence[TrainedEdges]) -> list[str]:
    """One paragraph a Fourier prior: whether its boundary matters here, and which to use."""
    found = conclusions(effects, trained)
    told = [_paragraph(one, effects, bool(trained)) for one in found]
    covered = {spec for one in found for spec in one.boundaries}
    alone = [s for s in effects if s not in covered and split_spec(s)[0] == FOURIER]
    return told + [_alone(spec, effects) for spec in alone]


def _in_penalty(spec: str, effects: Effects) -> str:
    penalty, gradient = effects[spec]
    return (
        f"a motif at the very end costs {_percent(penalty.end_cost)} against one in the middle, "
        f"two that meet across the ends gain {_percent(penalty.wrap_gain)}, a jump in level "
        f"between the ends moves the value by {_percent(penalty.jump_cost)}, and the push on "
        "attribution at the end across from a motif is "
        f"{fixed(gradient.far_push, 2, signed=True)}"
    )


def _paragraph(one: EdgeConclusion, effects: Effects, ran: bool) -> str:
    length = effects[one.default][0].length
    others = [spec for spec in (one.gentlest, *one.boundaries) if spec != one.default]
    default, rival = (_in_penalty(spec, effects) for spec in (one.default, others[0]))
    size = "real" if one.notable else f"small (below {_percent(NOTABLE).lstrip('+')})"
    return (
        f"At {length:,} bp, with `{one.default}`: {default} (percentages are of what separates "
        f"noise from one motif). With `{others[0]}`: {rival}. So the effect of the ends on the "
        f"penalty of `{one.default}` is {size}. {_in_models(one, ran)}{_against_none(one)} "
        f"{_use(one, effects)}"
    )


def _in_models(one: EdgeConclusion, ran: bool) -> str:
    if not one.tests:
        how = "no trained models here compare boundaries" if ran else "nothing was trained for this"
        return (
            f"Whether it reaches trained models is not known: {how}; `priorbench run edges` asks."
        )
    tests = f"{one.tests} tests of a boundary against `{one.default}` ({one.seeds} seeds)"
    if not one.reachable:
        return f"In trained models, {tests} cannot be significant with so few seeds."
    called = [
        f"{listed([f'`{prior}` on {contrast}' for prior, contrast in found])} {verdict}"
        for verdict, found in (("better", one.better), ("worse", one.worse))
        if found
    ]
    if not called:
        return (
            f"In trained models, none of {tests} finds a difference: that the ends count as "
            "neighbours was not seen to matter in what is learnt at this length."
        )
    return (
        f"In trained models, of {tests}, Holm-corrected, some find a difference: {listed(called)}."
    )


def _against_none(one: EdgeConclusion) -> str:
    """What sets the prior apart from no prior, and whether its boundary is to blame."""
    texts = [
        f" Against no prior it is {verdict} on {contrast}, "
        + (
            "as every boundary is, so that this is not the boundary’s doing."
            if (contrast, verdict) in one.shared
            else "which not every boundary is."
        )
        for contrast, verdict in one.own
    ]
    return "".join(texts)


def _use(one: EdgeConclusion, effects: Effects) -> str:
    largest = _percent(effects[one.advised][0].largest).lstrip("+")
    if one.advised == one.default:
        return f"Keep `{one.default}`: every gentler boundary does worse in trained models."
    safe = " and no test calls it worse" if one.tests and one.reachable else ""
    return (
        f"Use `{one.advised}`: its largest effect on the penalty is {largest}, the smallest of "
        f"all{safe}."
    )


def _coded(text: str) -> Markup:
    """Escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _alone(spec: str, effects: Effects) -> str:
    penalty, _ = effects[spec]
    return (
        f"At {penalty.length:,} bp, with `{spec}`: {_in_penalty(spec, effects)} (percentages are "
        "of what separates noise from one motif). `priorbench edges --length "
        f"{penalty.length}` compares it with other boundaries."
    )
