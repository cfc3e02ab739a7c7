"""Choice of weights before evaluation: those tried, those chosen, the rule and the reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from markupsafe import Markup

from priorbench import Section
from priorbench.metrics import METRICS
from priorbench.number_text import MISSING, counted, decimals_for, fixed, percent
from priorbench.results.chosen_weights import goes_by_median, validation_loss
from priorbench.results.finished_run import Run
from priorbench.study.study import BASELINE
from priorbench.study.trial import SETTING_COLUMNS
from priorbench.study.tuning_rule import LOCALISATION, LOSS, STABILITY

from ._shared.figures.colours import BLUE, INK, SOFT, VERMILION
from ._shared.figures.style import pale_grid, style
from ._shared.figures.svg import to_svg
from ._shared.page import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 3.7, 3.9  # inches


class Tuning(Section):
    """A table of the choices, and one figure a prior, setting by setting."""

    title: ClassVar[str] = "Tuning"
    position: ClassVar[int] = 45

    def render(self, run: Run) -> str:
        """Return the choices, run by run; empty where no run tuned weights."""
        return Markup("").join(
            _of_run(part, label if len(run.parts) > 1 else "")
            for label, part in run.parts.items()
            if not part.tuning.empty
        )


def _of_run(run: Run, label: str) -> Markup:
    trials = _trials(run)
    return render(
        "tuning",
        label=label,
        study=run.study,
        trials=counted(trials["trial"].nunique(), "trial"),
        by_median=goes_by_median(run.tuning),
        settings=[
            _setting(tuple(map(str, key)), table, trials, run.study["loss_margin"])
            for key, table in run.tuning.groupby(SETTING_COLUMNS, sort=False)
        ],
    )


def _trials(run: Run) -> pd.DataFrame:
    """Return a row for every tuning trial: setting, prior, weight, seed, loss and two criteria."""
    spec = run.attributions[0]
    rows = []
    for trial, record in run.records.items():
        if record["stage"] != "tune":
            continue
        scores = record.get("metrics", {}).get(spec, {})
        row = {key: record[key] for key in (*SETTING_COLUMNS, "prior", "weight", "seed")}
        value = scores.get(LOCALISATION)
        row |= {"trial": trial, LOSS: validation_loss(record)}
        rows.append({**row, LOCALISATION: math.nan if value is None else value})
    agreement = run.results[
        (run.results["stage"] == "tune")
        & (run.results["metric"] == STABILITY)
        & (run.results["attribution"] == spec)
    ].set_index("trial")["value"]
    columns = [*SETTING_COLUMNS, "prior", "weight", "seed", "trial", LOSS, LOCALISATION]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(**{STABILITY: table["trial"].map(agreement)})


@dataclass(frozen=True)
class _Panel:
    """Contents of a figure of one prior.

    Attributes:
        prior: spec of the prior.
        rows: its rows of tuning.csv, ascending by weight.
        trials: its trials.
        baseline: trials of ``none``.
        metric: name of the metric that is drawn below the loss.
        allowed: largest loss that qualifies; NaN if there is none.
    """

    prior: str
    rows: pd.DataFrame
    trials: pd.DataFrame
    baseline: pd.DataFrame
    metric: str
    allowed: float


def _setting(
    key: Sequence[str], table: pd.DataFrame, trials: pd.DataFrame, margin: float
) -> dict[str, Any]:
    here = trials[(trials[SETTING_COLUMNS].astype(str) == list(key)).all(axis=1)]
    baseline = here[here["prior"] == BASELINE]
    reference = table[table["prior"] == BASELINE].iloc[0]
    metric = LOCALISATION if here[LOCALISATION].notna().any() else STABILITY
    panels = [
        _Panel(
            str(prior),
            rows,
            here[here["prior"] == prior],
            baseline,
            metric,
            _reference_loss(table, margin) + reference["allowed"],
        )
        for prior, rows in table.groupby("prior", sort=False)
        if (rows["trials"] > 0).any() and prior != BASELINE
    ]
    return {
        "title": " · ".join(key),
        "criterion": reference["criterion"],
        "chosen": _texts(table[table["chosen"]], table, margin),
        "rows": _texts(table, table, margin),
        "comparable": bool(np.isfinite(reference["allowed"])),
        "panels": [{"prior": panel.prior, "svg": _figure(panel)} for panel in panels],
        "metric": METRICS[metric],
        "edges": table.loc[table["edge"], "prior"].tolist(),
        "unqualified": [
            prior
            for prior, rows in table[table["trials"] > 0].groupby("prior", sort=False)
            if not rows["qualifies"].any()
        ],
        "untuned": table.loc[table["criterion"] == "", "prior"].tolist(),
    }


def _reference_loss(table: pd.DataFrame, margin: float) -> float:
    """Return the mean loss of ``none`` over seeds where it did not fail; NaN if it failed on all.

    The allowed difference is a share of this mean; the mean over all seeds is infinite where one
    failed.
    """
    return float(table.loc[table["prior"] == BASELINE, "allowed"].iloc[0]) / margin


def _texts(rows: pd.DataFrame, table: pd.DataFrame, margin: float) -> list[Mapping[str, Any]]:
    """Return rows of the table as text, numbers of a column with the same decimal places."""
    reference = _reference_loss(table, margin)
    by_median = goes_by_median(table)
    losses = decimals_for(table["loss"]) + 1
    values = decimals_for(table["value"])
    return [
        {
            "prior": row["prior"],
            "tried": ", ".join(
                f"{weight:g}"
                for weight in table.loc[
                    (table["prior"] == row["prior"]) & (table["trials"] > 0), "weight"
                ]
                if weight
            ),
            "weight": f"{row['weight']:g}",
            "loss": fixed(row["loss"], losses) if row["trials"] else MISSING,
            "relative": percent(row["difference"] / reference),
            "median": percent(row["median_difference"] / reference)
            if by_median and row["trials"]
            else "",
            "value": fixed(row["value"], values),
            "qualifies": bool(row["qualifies"]),
            "chosen": bool(row["chosen"]),
            "edge": bool(row["edge"]),
            "note": row["note"],
        }
        for row in rows.to_dict("records")
    ]


def _figure(panel: _Panel) -> Markup:
    """Return validation loss above, localisation or stability below, along the weight."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        _draw(upper, panel, LOSS)
        _draw(lower, panel, panel.metric)
        if math.isfinite(panel.allowed):
            upper.axhline(panel.allowed, color=VERMILION, linewidth=0.9, linestyle=(0, (1, 2)))
            _name(upper, "margin", panel.allowed, above=True)
        lower.set_xscale("log")
        weights = panel.rows["weight"].tolist()
        lower.set_xticks(weights, [f"{weight:g}" for weight in weights], rotation=_turn(weights))
        lower.minorticks_off()
        lower.set_xlabel("weight")
        # room beside the outermost weights, at any number of them
        span = max(math.log10(weights[-1] / weights[0]), 0.5) * 0.1
        lower.set_xlim(weights[0] / 10**span, weights[-1] * 10**span)
        return to_svg(figure, _description(panel))


def _turn(weights: Sequence[float]) -> int:
    return 60 if len(weights) > 5 else 0


def _draw(axes: Axes, panel: _Panel, score: str) -> None:
    """Draw seeds as dots, means as a line, the chosen weight as a ring, failures at the top."""
    finite = panel.trials[np.isfinite(panel.trials[score])]
    axes.plot(finite["weight"], finite[score], "o", color=BLUE, ms=3.5, alpha=0.45, mew=0)
    failed = panel.trials.loc[~np.isfinite(panel.trials[LOSS]), "weight"].unique()
    # where some trials failed, the mean of the others would look too good
    means = finite[~finite["weight"].isin(failed)].groupby("weight")[score].mean()
    axes.plot(means.index, means, color=BLUE, linewidth=1.3, marker="_", ms=9, mew=1.6)
    baseline = panel.baseline.loc[np.isfinite(panel.baseline[score]), score]
    if len(baseline):
        axes.axhline(baseline.mean(), color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        _name(axes, BASELINE, float(baseline.mean()), above=False)
    chosen = float(panel.rows.loc[panel.rows["chosen"], "weight"].iloc[0])
    if chosen in means.index:
        axes.plot(chosen, means[chosen], "o", ms=12, mfc="none", mec=INK, mew=1.5, zorder=4)
    if len(failed):  # a line without points upsets the layout
        above, top = np.ones(len(failed)), axes.get_xaxis_transform()
        axes.plot(failed, above, "x", color=VERMILION, ms=8, mew=2, transform=top, clip_on=False)
    axes.set_ylabel("validation loss" if score == LOSS else f"{score} (validation)")
    pale_grid(axes)
    axes.margins(y=0.12)


def _name(axes: Axes, text: str, height: float, *, above: bool) -> None:
    axes.annotate(
        text,
        (1, height),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, 1 if above else -1),
        textcoords="offset points",
        va="bottom" if above else "top",
        fontsize=7.5,
        color=SOFT,
    )


def _description(panel: _Panel) -> str:
    weights = ", ".join(
        f"{row['weight']:g} loss {fixed(row['loss'], 3)}{' (chosen)' if row['chosen'] else ''}"
        for row in panel.rows.to_dict("records")
    )
    return f"validation loss and {panel.metric} of {panel.prior} by weight: {weights}"
