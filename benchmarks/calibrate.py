"""Runs every calibration and writes docs/calibration.md: `make calibrate`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from calibration import (
    ALPHA,
    CORRELATIONS,
    PRIORS,
    SHAPES,
    STUDIES,
    AttributionArms,
    Cell,
    Coverage,
    FalseAgreement,
    FalseVerdicts,
    Found,
    RareRuns,
    across_coverage,
    agreement_coverage,
    cells,
    false_agreement,
    false_verdicts,
    improvement_coverage,
    mean_coverage,
    piloted,
    planted,
    rare_bad_runs,
    skewed_coverage,
    split_null,
)

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "calibration.md"
NULL = ROOT / "runs" / "null"
WANTED = (0.93, 0.97)
CAUTIOUS = ("improvement over datasets",)
"""intervals that may cover more: this one is too wide where runs of a seed are all but equal"""
_HEAD = """\
# Calibration

Made by `make calibrate`; do not edit. Studies are simulated, so the truth is known; verdicts and
intervals are computed by the functions that make comparisons.csv. Where a shape is named, the
scores of a run have it: normal, *heavy tails* (Student's t with 3 degrees of freedom), *skewed*
(log-normal). r is the correlation of the runs of a seed, before they are given their shape.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown, and a blank line."""
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(map(str, line)) + " |" for line in lines), ""]


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def bound(rate: float, studies: int) -> float:
    """A rate and three times its Monte Carlo error."""
    return rate + 3 * float(np.sqrt(rate * (1 - rate) / studies))


def null_part(found: Sequence[FalseVerdicts]) -> list[str]:
    worst = max(found, key=lambda one: one.worst)
    return [
        "## False verdicts",
        "",
        f"{STUDIES:,} studies a row, each of {PRIORS} priors and a baseline that do not differ, "
        "corrected by Holm's method as a primary family. With several datasets it is the family "
        "of all datasets together. Given is the share of studies with a false verdict or more:",
        "",
        "- *better or worse* where nothing differs;",
        "- *equivalent* where every prior gains exactly the margin;",
        "- *non-inferior* where every prior loses exactly the margin. Where nothing differs it "
        "would be true, and no error.",
        "",
        f"All should be at most {share(ALPHA)}, and with the error of {STUDIES:,} studies at most "
        f"{share(bound(ALPHA, STUDIES))}. Five seeds and three priors cannot reach significance, "
        f"hence the zeros. The largest is {share(worst.worst)}.",
        "",
        *table(
            ["datasets", "seeds", "scores", "r", "better or worse", "equivalent", "non-inferior"],
            (
                [
                    one.cell.datasets,
                    one.cell.seeds,
                    one.cell.shape,
                    one.cell.correlation,
                    share(one.different),
                    share(one.equivalent),
                    share(one.noninferior),
                ]
                for one in found
            ),
        ),
        "Every dataset's own family is corrected by itself. In a study of six datasets, a quarter "
        "would show a false difference in one dataset or more; the table of all datasets together "
        "is what speaks for the study.",
        "",
    ]


def coverage_part(found: Sequence[Coverage]) -> list[str]:
    offered = [one for one in found if one.offered and one.cell.seeds >= 8]
    low, high = (pick(offered, key=lambda one: one.covered) for pick in (min, max))
    lines = [
        "## Coverage of 95% intervals",
        "",
        "An interval is offered for as many seeds as it holds its level for. From 8 seeds on, "
        f"those offered cover {share(low.covered)} ({low.interval}, {_told(low.cell)}) to "
        f"{share(high.covered)} ({high.interval}, {_told(high.cell)}). The Monte Carlo error of a "
        "row is about 0.7 points with 1,000 studies. The interval of the improvement over datasets "
        "is too wide, rather than too narrow, where the runs of a seed are strongly correlated and "
        "seeds are few.",
        "",
    ]
    groups: dict[str, list[Coverage]] = {}
    for one in found:
        groups.setdefault(one.interval, []).append(one)
    for name, rows in groups.items():
        lines += [f"### {name.capitalize() if name[0].islower() else name}", ""]
        lines += table(
            ["datasets", "seeds", "scores", "r", "offered", "studies", "covered"],
            (
                [
                    one.cell.datasets,
                    one.cell.seeds,
                    one.cell.shape,
                    one.cell.correlation,
                    "yes" if one.offered else "no",
                    one.studies,
                    share(one.covered),
                ]
                for one in rows
            ),
        )
    return lines


def _told(cell: Cell) -> str:
    return f"{cell.seeds} seeds, {cell.shape}, r {cell.correlation:g}"


def agreement_part(found: Sequence[FalseAgreement]) -> list[str]:
    worst = max(one.different for one in found)
    return [
        "### Stability",
        "",
        "Attributions of two arms whose runs agree equally well, each among themselves. The cosine "
        "is that of what they attribute: below 1 it is not the same. Given is how often one test, "
        f"not corrected, calls them better or worse. The largest is {share(worst)}.",
        "",
        *table(
            ["datasets", "seeds", "attributions", "studies", "better or worse"],
            (
                [one.datasets, one.seeds, one.told, one.studies, share(one.different)]
                for one in found
            ),
        ),
    ]


def skewed_part(found: Sequence[Coverage], rare: Sequence[RareRuns]) -> list[str]:
    worst = max(rare, key=lambda one: one.noninferior)
    return [
        "## Where it does not hold: skewed differences",
        "",
        "The sign-flip test and its interval suppose differences that are symmetric about their "
        "mean. They are, whatever the shape of the scores, if a prior moves scores without "
        "changing their shape. If it does change it, differences may be skewed, and no interval "
        "of a mean that was tried covers 95% with few seeds; here differences are log-normal "
        "(sigma: standard deviation of the logarithm). What an interval misses is also how often "
        "the test of a mean of zero rejects it.",
        "",
        *table(
            ["seeds", "differences", "interval", "covered"],
            ([one.cell.seeds, one.cell.shape, one.interval, share(one.covered)] for one in found),
        ),
        "The worst for a claim of no loss are losses that few runs have: most studies do not hold "
        "such a run. Here the mean loss is exactly the margin, so that *non-inferior* is false; "
        f"it is shown in up to {share(worst.noninferior)} of studies ({worst.seeds} seeds). A loss "
        "that few runs have may be missed, however small p is.",
        "",
        *table(
            ["seeds", "bad runs", "their loss (sd)", "non-inferior", "interval covers"],
            (
                [
                    one.seeds,
                    share(one.share),
                    f"{one.loss:g}",
                    share(one.noninferior),
                    share(one.covered),
                ]
                for one in rare
            ),
        ),
    ]


def power_part(found: Sequence[Found], pilots: Sequence[Found]) -> list[str]:
    return [
        "## Power",
        "",
        "Effects are planted that `priorbench power` says are found with a power of 80 or 95%; "
        "2,000 studies a row, the other tests of the family being of nothing. Effects are in "
        "standard deviations of the differences.",
        "",
        *table(
            ["claim", "seeds", "tests", "effect", "predicted", "found"],
            (
                [
                    one.claim,
                    one.seeds,
                    one.tests,
                    f"{one.effect:.2f}",
                    share(one.predicted),
                    share(one.found),
                ]
                for one in found
            ),
        ),
        "A plan from a pilot of 8 seeds knows the standard deviation only so well. Planned for 80% "
        "power, over lucky and unlucky pilots, a difference of one standard deviation was found:",
        "",
        *table(
            ["planned with", "median seeds", "found"],
            (
                [
                    "the standard deviation " + one.claim
                    if one.claim != "cautious"
                    else "its upper 80% limit",
                    one.seeds,
                    share(one.found),
                ]
                for one in pilots
            ),
        ),
    ]


def real_part(comparisons: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    judged = comparisons[comparisons["verdict"].notna()]
    counts = judged.groupby(["family", "verdict"]).size()
    evaluated = results[(results["stage"] == "evaluate") & (results["prior"] == "none")]
    names = judged.loc[judged["family"] == "primary", "metric"].unique()
    alone = [name for name in names if name != "seed-cosine"]
    scored = {
        name: evaluated.loc[evaluated["metric"] == name, "value"].to_numpy() for name in alone
    }
    return [
        "## A real null study",
        "",
        "`none` against an identical copy under another name (benchmarks/null.toml), 20 seeds of "
        "the binary task at smoke scale. Pairs are exact: with the same seed both give the same "
        "scores to the last bit, prices aside.",
        "",
        *table(
            ["family", "verdict", "comparisons"],
            ([*map(str, key), count] for key, count in counts.items()),
        ),
        "The scores of these trainings, split at random into two arms of ten, 1,000 times: share "
        "of splits with p of at most .05.",
        "",
        *table(
            ["metric", "splits with p of .05 or less"],
            ([name, share(split_null(values, STUDIES))] for name, values in scored.items()),
        ),
    ]


def null_study() -> tuple[pd.DataFrame, pd.DataFrame]:
    """comparisons.csv and results.csv of the null study, which is run where it is missing."""
    study = Path(__file__).parent / "null.toml"
    command = [sys.executable, "-m", "priorbench", "run", str(study), "--out", str(NULL)]
    subprocess.run([*command, "--no-report"], check=True)
    names = ("comparisons.csv", "results.csv")
    comparisons, results = (
        pd.read_csv(NULL / name, keep_default_na=False, na_values=[""]) for name in names
    )
    return comparisons, results


def coverages() -> list[Coverage]:
    """Every interval in every kind of study."""
    found: list[Coverage] = []
    for n, shape, r in product((5, 6, 8, 10, 20), SHAPES, CORRELATIONS):
        found += mean_coverage(Cell(shape, r, n), STUDIES, bootstraps=200)
    for shift, n, shape, r in product(
        (0.0, 0.5, 1.0, 1.5, 2.0), (15, 20, 40), SHAPES, CORRELATIONS
    ):
        found.append(improvement_coverage(Cell(shape, r, n), shift, 2 * STUDIES))
    for gain, n, heavy in product((1.0, 1.5, 3.0), (6, 8, 10, 20), (False, True)):
        found.append(agreement_coverage(AttributionArms(n, heavy, gain), STUDIES))
    for n, heavy in product((10, 20), (False, True)):
        found.append(agreement_coverage(AttributionArms(n, heavy, 1.5, 0.4), STUDIES))
    for n, shape in product((8, 20), SHAPES):
        found += across_coverage(Cell(shape, 0.7, n, 6), 600, models=200)
    for n, r, shift in product((5, 8, 20), (0.0, 0.7, 0.95), (0.0, 0.7, 1.5)):
        found += across_coverage(Cell("normal", r, n, 6), 400, models=0, shift=shift)
    return sorted(found, key=lambda one: one.interval)


def main() -> int:
    """Write the page; 1 if a rate or a coverage is out of its bounds."""
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {what}", flush=True)

    say("false verdicts")
    nulls = [false_verdicts(cell, STUDIES) for cell in cells()]
    stable = [
        false_agreement(AttributionArms(n, heavy, cosine=cosine), STUDIES, datasets)
        for datasets, n, heavy, cosine in product(
            (1, 6), (5, 8, 20), (False, True), (1.0, 0.7, 0.4, 0.0)
        )
    ]
    say("coverage")
    covered = coverages()
    skewed = [
        one
        for sigma, n in product((0.5, 1.0), (8, 20, 50))
        for one in skewed_coverage(n, sigma, STUDIES, bootstraps=200)
    ]
    rare = [
        rare_bad_runs(n, bad, loss, 2 * STUDIES)
        for n, (bad, loss) in product((8, 10, 20), ((0.03, 15.0), (0.05, 10.0), (0.1, 5.0)))
    ]
    say("power")
    powers = [
        one
        for n, power, tests in product((6, 8, 10, 14, 20, 25), (0.8, 0.95), (1, 5, 20))
        for one in planted(n, power, tests, studies=2 * STUDIES)
    ]
    powers += planted(30, 0.8, 300, studies=2 * STUDIES)
    pilots = piloted(STUDIES)
    say("null study")
    comparisons, results = null_study()
    parts = [null_part(nulls), agreement_part(stable), power_part(powers, pilots)]
    parts += [coverage_part(covered), skewed_part(skewed, rare), real_part(comparisons, results)]
    text = "\n".join([_HEAD, *(line for part in parts for line in part)]).rstrip() + "\n"
    PAGE.write_text(text, encoding="utf-8")
    say(str(PAGE))
    failures = complaints(nulls, stable, covered, powers, comparisons)
    for line in failures:
        print(f"out of bounds: {line}")
    return 1 if failures else 0


def complaints(
    nulls: Sequence[FalseVerdicts],
    stable: Sequence[FalseAgreement],
    covered: Sequence[Coverage],
    powers: Sequence[Found],
    comparisons: pd.DataFrame,
) -> list[str]:
    """What is further from where it should be than three times its Monte Carlo error."""
    lines = [f"{one}" for one in nulls if one.worst > bound(ALPHA, STUDIES)]
    lines += [f"{one}" for one in stable if one.different > bound(ALPHA, one.studies)]
    for one in covered:
        error = 3 * np.sqrt(0.95 * 0.05 / one.studies)
        upper = 1.0 if one.interval in CAUTIOUS else WANTED[1] + error
        inside = WANTED[0] - error <= one.covered <= upper
        if one.offered and one.cell.seeds >= 8 and not inside:
            lines.append(f"{one}")
    for power in powers:
        # the prediction is simulated too
        error = 3 * np.sqrt(2 * power.predicted * (1 - power.predicted) / (2 * STUDIES))
        if abs(power.found - power.predicted) > error:
            lines.append(f"{power}")
    primary = comparisons[comparisons["family"] == "primary"]
    wrong = ~primary["verdict"].isin(["equivalent", "inconclusive"])
    false = primary[wrong]
    found = zip(false["metric"], false["verdict"], strict=True)
    return lines + [f"null study: {metric} {verdict}" for metric, verdict in found]


if __name__ == "__main__":
    sys.exit(main())
