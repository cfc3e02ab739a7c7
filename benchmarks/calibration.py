"""Simulated studies whose truth is known: are verdicts false, do intervals hold, is power true?

Everything is deterministic. Functions take the number of studies, so that tests run small versions.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from measuring import Row, markdown
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import t as student

from priorbench.statistics import confidence
from priorbench.statistics import power as planning
from priorbench.statistics import several_datasets as several
from priorbench.statistics import signflip as flips
from priorbench.statistics.agreement import agreement_pseudo_values
from priorbench.statistics.confidence import SIGN_FLIP_FROM, Interval
from priorbench.statistics.effects import IMPROVEMENT_FROM, improvement_interval
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.families.verdicts import ALPHA, Evidence, Judgement, judge

Array, Tables = NDArray[np.float64], Mapping[str, pd.DataFrame]
HERE = Path(__file__).parent
PAGE, NULL_RUN = HERE.parent / "docs" / "calibration.md", HERE.parent / "runs" / "null"
STUDIES, PRIORS = 1_000, 3
MARGIN = 1.0
"""smallest loss that matters, in standard deviations of a score"""
SHAPES, CORRELATIONS = ("normal", "heavy tails", "skewed"), (0.0, 0.7)
VERDICTS = ["better or worse", "equivalent", "non-inferior"]
CAUTIOUS = "improvement over datasets"
"""an interval that may cover more than 97%: too wide where runs of a seed are all but equal"""


@dataclass(frozen=True)
class Cell:
    """A kind of study; the correlation is that of the normal scores that the shape is given to."""

    shape: str
    correlation: float
    seeds: int
    datasets: int = 1

    def generator(self, purpose: int) -> np.random.Generator:
        kind = (SHAPES.index(self.shape), round(100 * self.correlation), self.seeds, self.datasets)
        return np.random.default_rng([purpose, *kind])

    def row(self, detail: str = "") -> Row:
        cells = (self.datasets, self.seeds, self.shape + detail, self.correlation)
        return dict(zip(("datasets", "seeds", "scores", "r"), cells, strict=True))


def scores(cell: Cell, arms: int, studies: int, generator: np.random.Generator) -> Array:
    """Return (studies, datasets, arms, seeds) scores of arms that do not differ, with deviation 1.

    Datasets have levels of their own, and seeds too, which is what correlates the arms. Heavy
    tails (Student's t with 3 degrees of freedom) are scaled by their true deviation, sqrt(3).
    """
    shared = generator.standard_normal((studies, cell.datasets, 1, cell.seeds))
    own = generator.standard_normal((studies, cell.datasets, arms, cell.seeds))
    normal = np.sqrt(cell.correlation) * shared + np.sqrt(1 - cell.correlation) * own
    levels = 5 * generator.standard_normal((studies, cell.datasets, 1, 1))
    if cell.shape == "heavy tails":
        return student.ppf(ndtr(normal), 3) / np.sqrt(3) + levels
    if cell.shape == "skewed":
        return (np.exp(normal) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e) + levels
    return normal + levels


def judged(gains: Array) -> Iterator[list[Judgement]]:
    """Judge every study's family by (studies, priors, pairs) differences to the baseline."""
    flat = gains.reshape(-1, gains.shape[2])
    down, up = (flips.sign_flip_greater_ps(MARGIN + side * flat) for side in (1, -1))
    columns = (flat.mean(axis=1), flips.sign_flip_ps(flat), down, np.maximum(down, up))
    for study in np.stack(columns, axis=1).reshape(*gains.shape[:2], 4).tolist():
        yield judge([Evidence(*prior) for prior in study], HOLM)


def false_verdicts(cell: Cell, studies: int) -> Row:
    """Return how often a family has a false verdict, at the truth where it is likeliest.

    Priors are all the same: better or worse is false where nothing differs, equivalence where
    every prior gains exactly the margin, non-inferiority where every prior loses exactly the
    margin. The last two count what tests show, also where the verdict is ``better`` or ``worse``.
    """
    drawn = scores(cell, PRIORS + 1, studies, cell.generator(1)).transpose(0, 2, 1, 3)
    gains = (drawn[:, 1:] - drawn[:, :1]).reshape(studies, PRIORS, -1)

    def rate(effect: float, column: str) -> float:
        families = judged(gains + effect)
        return np.mean([any(getattr(j, column) <= ALPHA for j in family) for family in families])

    columns = ("p_adjusted", "p_equivalent_adjusted", "p_noninferior_adjusted")
    rates = map(rate, (0.0, MARGIN, -MARGIN), columns)
    return cell.row() | dict(zip(VERDICTS, rates, strict=True))


def planted(n: int, power: float, tests: int, studies: int) -> Iterator[Row]:
    """Return how often effects are found that n seeds should find with that power.

    A difference and a non-inferiority; the other tests of a family are of nothing: Holm's first
    step, for which power is predicted. Effects are in standard deviations of the differences.
    """
    generator = np.random.default_rng([2, n, tests])
    for name, sides in (("difference", 2), ("non-inferiority", 1)):
        claim = planning.ClaimKind(sides=sides, tests=tests)
        effect = planning.smallest_effect(n, power, claim)
        if np.isfinite(effect):
            test = flips.sign_flip_p if sides == 2 else flips.sign_flip_greater_p
            draws = generator.standard_normal((studies, n)) + effect
            families = ([test(d), *[1.0] * (tests - 1)] for d in draws)
            hits = [adjust(family, HOLM)[0] <= ALPHA for family in families]
            row = {"claim": name, "seeds": n, "tests": tests, "effect": effect}
            predicted = planning.sign_flip_power(effect, n, claim)
            yield {**row, "predicted": predicted, "found": np.mean(hits)}


def piloted(studies: int) -> Iterator[Row]:
    """Return how often an effect of one standard deviation is found by plans from a pilot.

    A pilot of 8 seeds estimates the deviation; a new study has the seeds that it says are needed.
    """
    generator = np.random.default_rng(3)
    for name in ("the standard deviation as estimated", "its upper 80% limit"):
        counts, hits = [], []
        for _ in range(studies):
            spread = float(generator.standard_normal(8).std(ddof=1))
            spread = planning.cautious_spread(spread, 8) if name.startswith("its") else spread
            n = planning.needed_runs(round(20 / spread) / 20, 0.8, planning.ClaimKind()) or 1_000
            counts.append(n)
            hits.append(flips.sign_flip_p(generator.standard_normal(n) + 1) <= ALPHA)
        yield {"planned with": name, "median seeds": int(np.median(counts)), "found": np.mean(hits)}


def coverage(
    name: str,
    about: Row,
    intervals: Iterable[Interval],
    truth: float,
    *,
    offered: bool = True,
) -> Row:
    """Return how often a 95% interval holds the truth, where there is one."""
    held = [i.low <= truth <= i.high for i in intervals if not np.isnan(i.low)]
    row = {"interval": name, **about, "offered": "yes" if offered else "no"}
    return {**row, "studies": len(held), "covered": np.mean(held)}


def sign_flip_interval(differences: Array) -> Interval:
    return Interval(*flips.sign_flip_bounds(differences, 1 - 0.95), "sign-flip")


def _mean_intervals(drawn: Array, about: Row, bootstraps: int) -> Iterator[Row]:
    few = drawn.shape[1] < SIGN_FLIP_FROM
    yield coverage("sign-flip", about, map(sign_flip_interval, drawn), 0, offered=not few)
    yield coverage("paired t", about, map(confidence.t_interval, drawn), 0, offered=few)
    resampled = map(confidence.bca_interval, drawn[:bootstraps])
    yield coverage("BCa bootstrap", about, resampled, 0, offered=False)


def mean_coverage(cell: Cell, studies: int, *, bootstraps: int) -> Iterator[Row]:
    """Return the coverage of intervals of the mean difference between two arms of one shape."""
    drawn = scores(cell, 2, studies, cell.generator(4))[:, 0]
    return _mean_intervals(drawn[:, 1] - drawn[:, 0], cell.row(), bootstraps)


def skewed_coverage(sigma: float, n: int, studies: int, *, bootstraps: int) -> Iterator[Row]:
    """Return the coverage where differences are log-normal with deviation sigma of the logarithm.

    So they are if a prior changes the shape of the scores, not only their place.
    """
    generator = np.random.default_rng([5, n, round(10 * sigma)])
    drawn = np.exp(sigma * generator.standard_normal((studies, n))) - np.exp(sigma**2 / 2)
    about = {"seeds": n, "differences": f"log-normal, sigma {sigma:g}"}
    for row in _mean_intervals(drawn, about, bootstraps):
        yield {column: row[column] for column in (*about, "interval", "covered")}


def rare_bad_runs(n: int, share: float, loss: float, studies: int) -> Row:
    """Return how often non-inferiority is shown, falsely, of a prior that loses much in few runs.

    Differences are normal but for a share that is lower by ``loss`` standard deviations; the mean
    loss is the margin. One test, not corrected.
    """
    generator = np.random.default_rng([11, n, round(100 * share)])
    bad = generator.random((studies, n)) < share
    beyond = generator.standard_normal((studies, n)) - loss * bad + share * loss
    row = {"seeds": n, "bad runs": share, "their loss (sd)": loss}
    row["non-inferior"] = np.mean(flips.sign_flip_greater_ps(beyond) <= ALPHA)
    intervals = map(confidence.mean_interval, beyond)
    return row | {"interval covers": coverage("", {}, intervals, 0)["covered"]}


def improvement_coverage(cell: Cell, shift: float, studies: int) -> Row:
    """Return the coverage of the probability of improvement, where the prior gains ``shift``."""
    generator = cell.generator(6)
    truth = _superiority(cell, shift, generator)
    drawn = scores(cell, 2, studies, generator)[:, 0]
    intervals = (improvement_interval(baseline, prior + shift) for baseline, prior in drawn)
    offered, about = cell.seeds >= IMPROVEMENT_FROM, cell.row(f", truth {truth:.2f}")
    return coverage("probability of improvement", about, intervals, truth, offered=offered)


def _superiority(cell: Cell, shift: float, generator: np.random.Generator) -> float:
    """Return P(a run of the prior is above one of the baseline), if the prior gains ``shift``."""
    many = scores(Cell(cell.shape, cell.correlation, 20_000), 2, 1, generator)[0, 0]
    return float(np.searchsorted(np.sort(many[0]), many[1] + shift).mean() / many.shape[1])


class AttributionArms:
    """Two arms of attributions of 100 positions: a signal each, and noise half shared by a seed."""

    def __init__(
        self, purpose: int, seeds: int, heavy: bool, *, gain: float = 1.0, cosine: float = 1.0
    ) -> None:
        """Draw the two signals, of length 10 but for the gain.

        In heavy arms trials differ in how noisy they are. With a gain above 1 the prior's trials
        agree better; with a cosine below 1 the arms attribute different things.
        """
        self.seeds, self.heavy = seeds, heavy
        noise = "noise differs by trial" if heavy else "noise alike"
        self.text = f"{noise}, gain {gain:g}, cosine {cosine:g}"
        kind = (purpose, seeds, int(heavy), round(100 * gain), round(100 * cosine))
        self.generator = np.random.default_rng(kind)
        first, other = np.linalg.qr(self.generator.standard_normal((100, 2)))[0].T
        second = cosine * first + np.sqrt(1 - cosine**2) * other
        self.signals = (10 * first, 10 * gain * second)

    def pseudo_values(self, count: int) -> Array:
        """Return (count,) pseudo-values of the difference in agreement between drawn trials."""
        shared = self.generator.standard_normal((count, 100))
        arms = []
        for signal in self.signals:
            size = self.generator.gamma(2, 1, (count, 1)) if self.heavy else 1.5
            own = self.generator.standard_normal((count, 100))
            track = signal + size * np.sqrt(0.5) * (shared + own)
            arms.append(track / np.linalg.norm(track, axis=1, keepdims=True))
        both = np.concatenate(arms)
        return agreement_pseudo_values(both @ both.T)


def agreement_coverage(arms: AttributionArms, studies: int) -> Row:
    """Return the coverage of the interval of a difference in agreement between attributions."""
    truth, n = arms.pseudo_values(2_000).mean(), arms.seeds
    intervals = (sign_flip_interval(arms.pseudo_values(n)) for _ in range(studies))
    about = {"datasets": 1, "seeds": n, "scores": arms.text, "r": 0.5}
    name, offered = "agreement, sign-flip of pseudo-values", n >= SIGN_FLIP_FROM
    return coverage(name, about, intervals, truth, offered=offered)


def false_agreement(arms: AttributionArms, studies: int, datasets: int = 1) -> Row:
    """Return how often arms of the same gain, which agree equally well, are called different."""
    shape = (studies, datasets * arms.seeds)
    drawn = [arms.pseudo_values(arms.seeds) for _ in range(studies * datasets)]
    different = np.mean(flips.sign_flip_ps(np.reshape(drawn, shape)) <= ALPHA)
    about = {"datasets": datasets, "seeds": arms.seeds, "attributions": arms.text}
    return {**about, "studies": studies, "better or worse": different}


def across_coverage(cell: Cell, studies: int, *, models: int, shift: float = 0.0) -> Iterator[Row]:
    """Return the coverage of intervals over several datasets, where the prior gains ``shift``.

    The mixed model is fitted in the first ``models`` studies.
    """
    generator, about = cell.generator(8), cell.row(f", gain {shift:g}")
    superior = _superiority(cell, shift, generator)
    arms = [
        [pairs + np.array([[0.0], [shift]]) for pairs in study]
        for study in scores(cell, 2, studies, generator)
    ]
    means = (several.blocked_interval([pairs[1] - pairs[0] for pairs in study]) for study in arms)
    yield coverage("mean over datasets", about, means, shift)
    middle = (several.interquartile_difference(study).interval for study in arms)
    yield coverage("interquartile mean", about, middle, shift)
    yield coverage(CAUTIOUS, about, (several.mean_improvement(a).interval for a in arms), superior)
    if models:
        yield coverage("mixed model", about, map(several.mixed_model, arms[:models]), shift)


def split_null(values: Array, studies: int) -> float:
    """Return how often random halves of (n,) scores of one arm are called different."""
    generator, half = np.random.default_rng(9), len(values) // 2
    order = np.stack([generator.permutation(len(values)) for _ in range(studies)])
    gains = values[order[:, :half]] - values[order[:, half : 2 * half]]
    return np.mean(flips.sign_flip_ps(gains) <= ALPHA)


def coverages(n: int) -> Iterator[Row]:
    """Return the coverage of every interval in every kind of study."""
    for seeds, shape, r in product((5, 6, 8, 10, 20), SHAPES, CORRELATIONS):
        yield from mean_coverage(Cell(shape, r, seeds), n, bootstraps=n // 5)
    shifts = (0.0, 0.5, 1.0, 1.5, 2.0)
    for shift, seeds, shape, r in product(shifts, (15, 20, 40), SHAPES, CORRELATIONS):
        yield improvement_coverage(Cell(shape, r, seeds), shift, 2 * n)
    kinds = [*product((1.0, 1.5, 3.0), (1.0,), (6, 8, 10, 20)), (1.5, 0.4, 10), (1.5, 0.4, 20)]
    for (gain, cosine, seeds), heavy in product(kinds, (False, True)):
        yield agreement_coverage(AttributionArms(7, seeds, heavy, gain=gain, cosine=cosine), n)
    for seeds, shape in product((8, 20), SHAPES):
        yield from across_coverage(Cell(shape, 0.7, seeds, 6), 3 * n // 5, models=n // 5)
    for seeds, r, shift in product((5, 8, 20), (0.0, 0.7, 0.95), (0.0, 0.7, 1.5)):
        yield from across_coverage(Cell("normal", r, seeds, 6), 2 * n // 5, models=0, shift=shift)


def simulations(n: int) -> dict[str, Iterable[Row]]:
    """Return the rows of the page's tables, each simulated when it is asked for."""
    kinds = product((1, 6), (5, 8, 20), SHAPES, CORRELATIONS)
    arms = product((1, 6), (5, 8, 20), (False, True), (1.0, 0.7, 0.4, 0.0))
    claims = chain(product((6, 8, 10, 14, 20, 25), (0.8, 0.95), (1, 5, 20)), [(30, 0.8, 300)])
    skews = product((0.5, 1.0), (8, 20, 50))
    losses = product((8, 10, 20), ((0.03, 15.0), (0.05, 10.0), (0.1, 5.0)))
    return {
        "false_verdicts": (false_verdicts(Cell(*kind, k, d), n) for d, k, *kind in kinds),
        "stability": (
            false_agreement(AttributionArms(10, *kind, cosine=cosine), n, d)
            for d, *kind, cosine in arms
        ),
        "power": (row for claim in claims for row in planted(*claim, 2 * n)),
        "pilots": piloted(n),
        "coverage": coverages(n),
        "skewed": (row for kind in skews for row in skewed_coverage(*kind, n, bootstraps=n // 5)),
        "rare": (rare_bad_runs(seeds, *loss, 2 * n) for seeds, loss in losses),
    }


def calibration(*, quick: bool = False, write: bool = False) -> Iterator[Row]:
    """Test the statistics in simulation; fails where a rate is out of bounds."""
    n, started, tables = STUDIES // 50 if quick else STUDIES, time.monotonic(), {}
    for name, rows in simulations(n).items():
        tables[name] = pd.DataFrame(rows)
        yield {"table": name, "rows": len(tables[name]), "seconds": time.monotonic() - started}
    with tempfile.TemporaryDirectory() as folder:
        run, options = (f"{folder}/run", ["--seeds", "4"]) if quick else (str(NULL_RUN), [])
        command = [sys.executable, "-m", "priorbench", "run", str(HERE / "null.toml"), *options]
        subprocess.run([*command, "--no-report", "--out", run], check=True)
        comparisons, results = (
            pd.read_csv(f"{run}/{name}.csv", keep_default_na=False, na_values=[""])
            for name in ("comparisons", "results")
        )
    text = page(tables, comparisons, results, n)
    if write and not quick:
        PAGE.write_text(text, encoding="utf-8")
    # few studies say little
    if not quick and (failures := complaints(tables, comparisons, n)):
        sys.exit("\n".join(["out of bounds:", *failures]))


def page(tables: Tables, comparisons: pd.DataFrame, results: pd.DataFrame, n: int) -> str:
    """Return the text of docs/calibration.md."""
    comparisons = comparisons[comparisons["verdict"].notna()]
    covered = tables["coverage"].sort_values("interval", kind="stable", ignore_index=True)
    offered = covered[(covered["offered"] == "yes") & (covered["seeds"] >= 8)]
    kinds = comparisons.groupby(["family", "verdict"])
    alone = results[(results["stage"] == "evaluate") & (results["prior"] == "none")]
    primary = comparisons.loc[comparisons["family"] == "primary", "metric"].unique()
    values = {name: alone.loc[alone["metric"] == name, "value"].to_numpy() for name in primary}
    shares = {name: split_null(values[name], n) for name in primary if name != "seed-cosine"}
    environment = jinja2.Environment(keep_trailing_newline=True)
    environment.filters |= {"share": _share, "table": _table}
    return environment.from_string((HERE / "calibration.md.jinja").read_text("utf-8")).render(
        **{**tables, "coverage": covered},
        studies=n,
        priors=PRIORS,
        verdicts=VERDICTS,
        alpha=ALPHA,
        bound=ALPHA + _error(ALPHA, n),
        lowest=offered.loc[offered["covered"].idxmin()],
        highest=offered.loc[offered["covered"].idxmax()],
        worst=tables["rare"].loc[tables["rare"]["non-inferior"].idxmax()],
        null_study=kinds.size().reset_index(name="comparisons"),
        splits=pd.DataFrame(shares.items(), columns=["metric", "splits with p of .05 or less"]),
    )


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"


def _table(frame: pd.DataFrame) -> str:
    others = {"r": str, "effect": "{:.2f}".format, "their loss (sd)": "{:g}".format}
    columns = {
        name: values.map(others.get(name, _share if values.dtype == float else str))
        for name, values in frame.items()
    }
    return "\n".join(markdown(pd.DataFrame(columns).to_dict("records")))


def _error(rate: float, studies: float) -> float:
    return 3 * np.sqrt(rate * (1 - rate) / studies)


def complaints(tables: Tables, comparisons: pd.DataFrame, n: int) -> list[str]:
    """Return what is further from where it should be than three times its Monte Carlo error."""
    false, stable = tables["false_verdicts"], tables["stability"]
    covered, power = tables["coverage"], tables["power"]
    miss = abs(power["found"] - power["predicted"])
    error = _error(0.95, covered["studies"])
    upper = np.where(covered["interval"] == CAUTIOUS, 1.0, 0.97 + error)
    outside = (covered["covered"] < 0.93 - error) | (covered["covered"] > upper)
    wrong = (
        false[false[VERDICTS].max(axis=1) > ALPHA + _error(ALPHA, n)],
        stable[stable["better or worse"] > ALPHA + _error(ALPHA, stable["studies"])],
        covered[outside & (covered["offered"] == "yes") & (covered["seeds"] >= 8)],
        # the prediction is simulated too
        power[miss > 2**0.5 * _error(power["predicted"], 2 * n)],
    )
    lines = [str(row) for table in wrong for row in table.to_dict("records")]
    primary = comparisons[comparisons["family"] == "primary"]
    different = primary[~primary["verdict"].isin(["equivalent", "inconclusive"])]
    return lines + [f"null study: {row.metric} {row.verdict}" for row in different.itertuples()]
