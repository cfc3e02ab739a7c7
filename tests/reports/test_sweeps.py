"""The sweep section: it draws the differences of comparisons.csv along an option."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.run_directories import seal_again
from fixtures.runs import run_smoke

from priorbench import load_prior
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS
from priorbench.components import registry
from priorbench.reports._shared.figures.colours import SEED_COLOURS
from priorbench.reports._shared.option_curves import option_curve
from priorbench.reports.sweeps import Sweeps, sweeps
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.results.finished_run import Run, load_run
from priorbench.study.trial import SETTING_COLUMNS

LOW, WIDE = "fourier", "fourier:frequency_limit=0.3"
CUTS = {LOW: 1 / 0.15, WIDE: 1 / 0.3}
EVIL = "<b>mine</b>"
SCORED = "input-x-gradient"


def difference(width: float, prior: str) -> float:
    return 0.01 * width if prior == LOW else -0.02 * width


def make_run(
    options: list[dict[str, Any]],
    priors: list[str],
    cuts: Mapping[str, float] = CUTS,
    **environment: Any,
) -> Run:
    """A run of a task ``short-motif`` at these options; every difference is known."""
    results, comparisons, tasks = [], [], {}
    for values in options:
        spec = ":".join(["short-motif", *(f"{key}={value}" for key, value in values.items())])
        tasks[spec] = {"options": values, "motif_length_option": "width"}
        setting = (spec, "simulated", "three-conv")
        for prior in ["none", *priors]:
            for metric, axis in [("auroc", "prediction"), ("motif-auprc", "localisation")]:
                for seed in (0, 1):
                    row = ("x", "evaluate", "done", *setting, prior, 1.0, seed)
                    spec = SCORED if axis == "localisation" else ""
                    results.append((*row, spec, metric, axis, 0.5, True))
                if prior != "none":
                    value = difference(values["width"], prior)
                    comparisons.append(
                        {
                            **dict(zip(SETTING_COLUMNS, setting, strict=True)),
                            "prior": prior,
                            "baseline": "none",
                            "attribution": spec,
                            "metric": metric,
                            "n": 2,
                            "difference": value,
                            "ci_low": value - 0.001,
                            "ci_high": value + 0.002,
                            "verdict": "inconclusive",
                        }
                    )
    facts = {
        "tasks": tasks,
        "priors": {
            prior: {"summary": "", "citation": "", "cut": cuts.get(prior)} for prior in priors
        },
    }
    return Run(
        Path("run"),
        {"attributions": [SCORED]},
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
        points = [(value, setting, prior) for value, setting in sweep.points]
        curve = option_curve(points, sweep.metrics[0])
        assert curve.values.tolist() == [3, 6, 9, 12]
        expected = np.array([difference(width, prior) for width in curve.values])
        np.testing.assert_allclose(curve.differences, expected)
        np.testing.assert_allclose(curve.low, expected - 0.001)
        np.testing.assert_allclose(curve.high, expected + 0.002)


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
    swept = sweeps(make_run(grid, [LOW]))
    assert [sweep.option for sweep in swept] == ["width", "width"]
    assert [sweep.title.rpartition(" (")[2] for sweep in swept] == [
        "fidelity=0.75)",
        "fidelity=0.9)",
    ]
    assert [len(sweep.points) for sweep in swept] == [3, 3]


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


def paths(svg: str) -> list[tuple[str, np.ndarray]]:
    """Style and (k, 2) points of every path that is made of straight lines."""
    texts = []
    for tag in re.findall(r"<path [^>]*>", svg):
        points = re.search(r' d="([^"]*)"', tag)[1]
        if "stroke" in tag and not re.search("[CQz]", points):
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", points)]
            texts.append((tag, np.reshape(numbers, (-1, 2))))
    return texts


def drawn(svg: str, colour: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A prior's line (k, 2), its intervals (k, 2, 2) and dashed cuts (c, 2, 2), in pixels."""
    of_prior = [(tag, points) for tag, points in paths(svg) if f"stroke: {colour}" in tag]
    (line,) = [p for tag, p in of_prior if len(p) > 2]
    bars = [p for tag, p in of_prior if len(p) == 2 and "stroke-dasharray" not in tag]
    cuts = [p for tag, p in of_prior if len(p) == 2 and "stroke-dasharray" in tag]
    return line, np.array(bars), np.array(cuts)


def svgs(run: Run) -> list[str]:
    return re.findall("<svg.*?</svg>", Sweeps().render(run), re.DOTALL)


def test_the_figure_shows_the_numbers_of_the_table() -> None:
    run = make_run(WIDTHS, [LOW, WIDE])
    panel, _, scaled, _ = svgs(run)
    widths = np.array([3, 6, 9, 12])
    curves = [drawn(panel, colour) for colour in SEED_COLOURS[:2]]
    pixels, values = [], []
    for prior, (line, bars, _) in zip((LOW, WIDE), curves, strict=True):
        rows = run.comparisons[
            (run.comparisons["prior"] == prior) & (run.comparisons["metric"] == "auroc")
        ].sort_values("difference", key=abs)
        assert [f"width={width}" in task for width, task in zip(widths, rows["task"], strict=True)]
        pixels += [line[:, 1], bars[:, 0, 1], bars[:, 1, 1]]
        values += [rows[column] for column in ("difference", "ci_low", "ci_high")]
        np.testing.assert_allclose(bars[:, :, 0], line[:, [0, 0]], atol=0.02)
    # one scale serves the points and both ends of every interval; pixels grow downwards
    slope, zero = np.polyfit(np.concatenate(values), np.concatenate(pixels), 1)
    assert slope < 0
    np.testing.assert_allclose(
        np.concatenate(pixels), np.concatenate(values) * slope + zero, atol=0.02
    )
    assert any(np.allclose(points[:, 1], zero, atol=0.02) for _, points in paths(panel))
    # priors stand side by side around the value itself, far closer than the next value
    (left, _, first), (right, _, second) = curves
    per_bp, origin = np.polyfit(widths, (left[:, 0] + right[:, 0]) / 2, 1)
    assert np.all((right[:, 0] - left[:, 0] > 0) & (right[:, 0] - left[:, 0] < per_bp))
    for cuts, cut in ((first, 1 / 0.15), (second, 1 / 0.3)):
        np.testing.assert_allclose(cuts[:, :, 0], cut * per_bp + origin, atol=0.05)
        assert len(cuts) == 1
    # in multiples of the cut, the same width of the wider prior lies twice as far
    low, wide = (drawn(scaled, colour)[0][:, 0] for colour in SEED_COLOURS[:2])
    assert np.ptp(wide) == pytest.approx(2 * np.ptp(low), abs=0.1)


def test_cuts_beyond_the_axis_and_shared_cuts() -> None:
    far = "fourier:frequency_limit=0.05"
    page = Sweeps().render(make_run(WIDTHS, [far, LOW, "tv"], {far: 20.0, LOW: 1 / 0.15}))
    assert page.count(">cut 20.0 bp<") == 0  # in figures
    assert page.count(">cut 6.7 bp<") == 2
    assert "(cut 20.0 bp)" in page  # in the key
    mirrored = "fourier:boundary=reflect"
    both = make_run(WIDTHS, [LOW, mirrored], dict.fromkeys([LOW, mirrored], 1 / 0.15))
    assert Sweeps().render(both).count(">cut 6.7 bp<") == 2
    for svg in svgs(both)[2:]:  # nor do their intervals hide each other
        (left, _, _), (right, _, _) = (drawn(svg, colour) for colour in SEED_COLOURS[:2])
        assert np.all(right[:, 0] - left[:, 0] > 1)
        assert "stroke-dasharray" in svg


def test_one_seed_has_no_intervals() -> None:
    run = make_run(WIDTHS, [LOW])
    run.comparisons[["ci_low", "ci_high"]] = np.nan
    page = Sweeps().render(run)
    assert "without intervals" in page
    assert page.count("<svg") == 4


def test_more_priors_than_colours() -> None:
    priors = [LOW, *(f"mine-{i}" for i in range(len(SEED_COLOURS) + 1))]
    page = Sweeps().render(make_run(WIDTHS, priors))
    for prior in priors:
        assert f"</span> {prior}" in page


@pytest.mark.slow
def test_a_real_run_says_what_was_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lacks the facts has no sweep."""
    # how many motifs make a positive is no matter here, and takes time to find
    monkeypatch.setattr("priorbench.tasks.short_motif.copies_for", lambda *_: 1.0)
    tasks = [f"short-motif:width={width}" for width in (8, 10, 12)]
    root = tmp_path / "run"
    assert run_smoke(root, "--tasks", ",".join(tasks), "--priors", LOW, "--seeds", "1") == 0
    page = Sweeps().render(load_run(root))
    assert page.count("<svg") == 4  # one seed has no stability
    assert ">cut 6.7 bp<" not in page  # the axis begins at 8 bp
    facts = json.loads((root / "environment.json").read_text())
    assert facts["tasks"][tasks[1]]["motif_length_option"] == "width"
    assert facts["tasks"][tasks[1]]["options"]["width"] == 10
    assert facts["priors"][LOW]["cut"] == pytest.approx(1 / 0.15)
    del facts["tasks"], facts["priors"][LOW]["cut"]
    (root / "environment.json").write_text(json.dumps(facts))
    seal_again(root)
    assert Sweeps().render(load_run(root)) == ""


def test_an_option_of_a_prior_with_three_values_is_swept_one_line_a_value_of_the_others() -> None:
    run = make_run([{"width": 6}], [])
    cuts, softness = (0.05, 0.15, 0.35), (0.0, 0.2)
    specs = {f"fourier:frequency_limit={c}:softness={s}": (c, s) for c in cuts for s in softness}
    results, comparisons = [run.results], []
    for spec, (cut, soft) in specs.items():
        results.append(run.results.assign(prior=spec))
        comparisons.append(
            {
                **dict(
                    zip(
                        SETTING_COLUMNS,
                        ("short-motif:width=6", "simulated", "three-conv"),
                        strict=True,
                    )
                ),
                "prior": spec,
                "baseline": "none",
                "attribution": "",
                "metric": "auroc",
                "difference": cut + soft,
                "ci_low": cut + soft - 0.01,
                "ci_high": cut + soft + 0.01,
            }
        )
    facts = {
        spec: {"summary": "", "options": {"frequency_limit": cut, "softness": soft}}
        for spec, (cut, soft) in specs.items()
    }
    swept = Run(
        run.root,
        run.study,
        {**run.environment, "priors": facts},
        pd.concat(results, ignore_index=True),
        pd.DataFrame(comparisons, columns=COMPARISON_COLUMNS),
        1,
        {},
        {},
    )
    page = Sweeps().render(swept)
    assert page.count("<svg") == 2  # auroc and motif-auprc; softness has two values alone
    assert "softness=0.0: 0.05 +0.050, 0.15 +0.150, 0.35 +0.350" in page
    assert "softness=0.2: 0.05 +0.250, 0.15 +0.350, 0.35 +0.550" in page
    facts[next(iter(specs))]["options"] = {}
    assert "<svg" not in Sweeps().render(
        Run(swept.root, swept.study, swept.environment, run.results, run.comparisons, 1, {}, {})
    )
