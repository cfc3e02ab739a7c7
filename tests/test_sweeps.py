"""The sweep section: it draws the differences of comparisons.csv along an option."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from priorbench.reports.sweeps import Sweeps, _rows, sweeps

from priorbench import load_prior, registry
from priorbench.comparisons import COMPARISON_COLUMNS
from priorbench.results import RESULT_COLUMNS, Run

LOW, WIDE = "fourier", "fourier:frequency_limit=0.3"
EVIL = "<b>mine</b>"


def difference(width: float, prior: str) -> float:
    return 0.01 * width if prior == LOW else -0.02 * width


def make_run(options: list[dict[str, Any]], priors: list[str], **environment: Any) -> Run:
    """A run of a task ``short-motif`` at these options; every difference is known."""
    results, comparisons, tasks = [], [], {}
    for values in options:
        spec = ":".join(["short-motif", *(f"{key}={value}" for key, value in values.items())])
        tasks[spec] = {"options": values, "motif_length_option": "width"}
        block = (spec, "simulated", "three-conv")
        for prior in ["none", *priors]:
            for metric, axis in [("auroc", "prediction"), ("motif-auprc", "localisation")]:
                for seed in (0, 1):
                    row = ("x", "evaluate", "done", *block, prior, 1.0, seed, metric, axis)
                    results.append((*row, 0.5, True))
                if prior != "none":
                    value = difference(values["width"], prior)
                    numbers = (2, 0.5, 0.5, value, value - 0.001, value + 0.002, 1.0, 0.5, 1.0)
                    comparisons.append(
                        (*block, prior, "none", metric, axis, *numbers, "sign-flip", "inconclusive")
                    )
    facts = {
        "tasks": tasks,
        "priors": {prior: {"summary": "", "citation": "", "cut": None} for prior in priors},
    }
    for prior, cut in ((LOW, 1 / 0.15), (WIDE, 1 / 0.3)):
        if prior in priors:
            facts["priors"][prior]["cut"] = cut
    return Run(
        Path("run"),
        {},
        facts | environment,
        pd.DataFrame(results, columns=RESULT_COLUMNS),
        pd.DataFrame(comparisons, columns=COMPARISON_COLUMNS),
        len(results),
        {},
        {},
    )


WIDTHS = [{"width": width, "fidelity": 0.9} for width in (9, 3, 6, 12)]


def test_points_are_the_differences_in_order_of_the_option() -> None:
    (sweep,) = sweeps(make_run(WIDTHS, [LOW, WIDE]))
    assert (sweep.option, sweep.is_length) == ("width", True)
    assert [metric.name for metric in sweep.metrics] == ["auroc", "motif-auprc"]
    for prior in (LOW, WIDE):
        place, rows = _rows(sweep, sweep.metrics[0], prior)
        assert place.tolist() == [3, 6, 9, 12]
        expected = [difference(width, prior) for width in place]
        np.testing.assert_allclose(rows[:, 0], expected)
        np.testing.assert_allclose(rows[:, 1:], np.add.outer(expected, [-0.001, 0.002]))


def test_the_page_shows_cuts_and_what_was_swept() -> None:
    page = Sweeps().render(make_run(WIDTHS, [LOW, WIDE, "tv"]))
    assert page.count("<svg") == 4  # two metrics, by length and by length over cut
    assert "cut 6.7 bp" in page
    assert "cut 3.3 bp" in page
    assert "+0.060" in page  # of fourier at 6 bp, for those who cannot see the figure
    assert "−0.120" in page
    without = Sweeps().render(make_run(WIDTHS, ["tv"]))
    assert without.count("<svg") == 2
    assert "cut 6.7" not in without


def test_one_sweep_for_every_value_of_the_other_options() -> None:
    grid = [{"width": w, "fidelity": f} for f in (0.75, 0.9) for w in (3, 4, 5)]
    found = sweeps(make_run(grid, [LOW]))
    assert [sweep.option for sweep in found] == ["width", "width"]
    assert [sweep.title.rpartition(" (")[2] for sweep in found] == [
        "fidelity=0.75)",
        "fidelity=0.9)",
    ]
    assert [len(sweep.points) for sweep in found] == [3, 3]


@pytest.mark.parametrize(
    "run",
    [
        make_run(WIDTHS[:2], [LOW]),  # two points are no curve
        make_run(WIDTHS, [LOW], tasks={}),  # a run of an earlier version
        make_run([{"width": 3, "protein": name} for name in "abc"], [LOW]),  # names, not numbers
        make_run(WIDTHS, []),  # nothing is compared
    ],
)
def test_no_section_without_a_sweep(run: Run) -> None:
    assert Sweeps().render(run) == ""


def test_names_are_escaped() -> None:
    page = Sweeps().render(make_run(WIDTHS, [LOW, EVIL]))
    assert EVIL not in page
    assert "&lt;b&gt;mine" in page


def test_priors_and_tasks_say_what_a_sweep_needs() -> None:
    cuts = {spec: load_prior(spec).cut for spec in ("fourier", WIDE, "tv", "fourier+tv")}
    assert cuts == {"fourier": 1 / 0.15, WIDE: 1 / 0.3, "tv": None, "fourier+tv": 1 / 0.15}
    assert load_prior(f"fourier+{WIDE}").cut is None
    assert load_prior("fourier:frequency_limit=0").cut is None
    assert not math.isinf(cuts["fourier"])
    for name in registry.components("task"):
        task = registry.build("task", name)
        option = type(task).motif_length_option
        assert option == "" or isinstance(getattr(task, option), int)
