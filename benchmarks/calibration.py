"""Simulated studies whose truth is known: are verdicts and advice false, do intervals hold?

Everything is deterministic. Functions take the number of studies, so that tests run small versions.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain, product
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from measuring import Row, markdown
from simulated import bounds, intervals, power, rates
from simulated.laws import SYMMETRIC, Array, AttributionArms
from simulated.whole_path import GAINS, HARM, LOSSES, NOTHING, TEMPTATION

from priorbench.statistics import signflip as flips
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.families.verdicts import ALPHA

HERE = Path(__file__).parent
PAGE, NULL_RUN = HERE.parent / "docs" / "calibration.md", HERE.parent / "runs" / "null"
STUDIES = 1_000
WHOLE_PATH = 5
"""how many fewer studies are carried through the whole path, which takes 20 ms and more each"""
SHOWN = {
    NOTHING: ("different", "unfounded", "covered"),
    GAINS: ("different", "found", "by holm", "deserved", "covered"),
    LOSSES: ("different", "non-inferior", "equivalent", "covered"),
    HARM: ("different", "non-inferior", "advised", "provisional", "covered"),
    TEMPTATION: ("non-inferior", "advised", "provisional", "per prior", "covered"),
}
"""rates that the page shows of each truth"""


def simulations(n: int, jobs: int = -1) -> dict[str, Iterable[Row]]:
    """Return the rows of the page's tables, each simulated when it is asked for."""
    kinds = {
        "main": rates.main_kinds(),
        "found": rates.power_kinds(),
        "tempting": rates.tempting_kinds(),
        "asymmetric": rates.asymmetric_kinds(),
    }
    carried = {
        name: chain.from_iterable(_lazily(some, n // WHOLE_PATH, jobs))
        for name, some in kinds.items()
    }
    arms = product((1, 6), (8, 20), (False, True), (1.0, 0.4, 0.0))
    claims = [*product((6, 8, 10, 14, 20, 25), (0.8, 0.95), (1, 5, 20)), (30, 0.8, 300)]
    joint = product((6, 8, 10, 12, 20), (0.8, 0.95), (5, 20))
    skews = product((0.5, 1.0), (8, 20, 50))
    losses = product((8, 10, 20), ((0.03, 15.0), (0.05, 10.0), (0.1, 5.0)))
    return {
        **carried,
        "looks": (power.growing(law, n) | {"studies": n} for law in SYMMETRIC),
        "stability": (
            intervals.false_agreement(AttributionArms(10, *kind, cosine=cosine), n, d)
            for d, *kind, cosine in arms
        ),
        "power": chain(
            (row | {"studies": 2 * n} for claim in claims for row in power.planted(*claim, 2 * n)),
            (row | {"studies": n} for claim in joint for row in power.planted_jointly(*claim, n)),
        ),
        "pilots": power.piloted(n),
        "coverage": intervals.coverages(n),
        "skewed": (
            row for kind in skews for row in intervals.skewed_coverage(*kind, n, bootstraps=n // 5)
        ),
        "rare": (intervals.rare_bad_runs(seeds, *loss, 2 * n) for seeds, loss in losses),
    }


def _lazily(kinds: Iterable[rates.StudyKind], studies: int, jobs: int) -> Iterator[Iterable[Row]]:
    """Yield the rates of all kinds at once, but not before they are asked for."""
    yield rates.every_rate(kinds, studies, jobs)


def split_null(values: Array, studies: int) -> float:
    """Return how often random halves of (n,) scores of one arm are called different."""
    generator, half = np.random.default_rng(9), len(values) // 2
    order = np.stack([generator.permutation(len(values)) for _ in range(studies)])
    gains = values[order[:, :half]] - values[order[:, half : 2 * half]]
    return np.mean(flips.sign_flip_ps(gains) <= ALPHA)


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
    if not quick and (failures := complaints(tables, comparisons)):
        sys.exit("\n".join(["out of bounds:", *failures]))


def complaints(tables: bounds.Tables, comparisons: pd.DataFrame) -> list[str]:
    """Return what is out of bounds, in simulation and in the null study."""
    primary = comparisons[comparisons["family"] == "primary"]
    different = primary[~primary["verdict"].isin(["equivalent", "inconclusive"])]
    lines = [f"null study: {row.metric} {row.verdict}" for row in different.itertuples()]
    return [*bounds.complaints(tables), *lines]


def page(tables: bounds.Tables, comparisons: pd.DataFrame, results: pd.DataFrame, n: int) -> str:
    """Return the text of docs/calibration.md."""
    comparisons = comparisons[comparisons["verdict"].notna()]
    covered = tables["coverage"].sort_values("interval", kind="stable", ignore_index=True)
    offered = covered[(covered["offered"] == "yes") & (covered["seeds"] >= 8)]
    kinds = comparisons.groupby(["family", "verdict"])
    alone = results[(results["stage"] == "evaluate") & (results["prior"] == "none")]
    primary = comparisons.loc[comparisons["family"] == "primary", ["metric", "axis"]]
    names = primary.loc[primary["axis"] != "stability", "metric"].unique()
    values = {name: alone.loc[alone["metric"] == name, "value"].to_numpy() for name in names}
    shares = {name: split_null(values[name], n) for name in names}
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"share": _share, "table": _table}
    environment.globals |= {"rated": _rated, "largest": _largest}
    return environment.from_string((HERE / "calibration.md.jinja").read_text("utf-8")).render(
        **{**tables, "coverage": covered},
        truths=dict(iter(tables["main"].groupby("truth", sort=False))),
        studies=n,
        carried=n // WHOLE_PATH,
        alpha=ALPHA,
        level=level_of_look(1),
        bound=ALPHA + bounds.error(ALPHA, n // WHOLE_PATH),
        lowest=offered.loc[offered["covered"].idxmin()],
        highest=offered.loc[offered["covered"].idxmax()],
        worst=tables["rare"].loc[tables["rare"]["non-inferior"].idxmax()],
        null_study=kinds.size().reset_index(name="comparisons"),
        splits=pd.DataFrame(shares.items(), columns=["metric", "splits with p of .05 or less"]),
    )


def _rated(rows: pd.DataFrame, *about: str) -> str:
    """Return a table of kinds of studies: within a dataset / over all of them together."""
    shown = rows[["datasets", "seeds", "priors", "law", *about]].rename(columns={"law": "scores"})
    truth = str(rows["truth"].iloc[0])
    for name in SHOWN[truth]:
        shown[name] = [
            " / ".join(_share(row[c]) for c in _scopes(name) if not np.isnan(row.get(c, np.nan)))
            for row in rows.to_dict("records")
        ]
    return _table(shown)


def _scopes(name: str) -> tuple[str, str]:
    return f"{rates.WITHIN} {name}", f"{rates.OVERALL} {name}"


def _largest(rows: pd.DataFrame, *names: str) -> float:
    """Return the largest of some rates, within and over datasets."""
    return float(max(rows[c].max() for name in names for c in _scopes(name) if c in rows))


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"


def _table(frame: pd.DataFrame) -> str:
    plain = dict.fromkeys(("their loss (sd)", "margin", "harm"), "{:g}".format)
    others = {"r": str, "effect": "{:.2f}".format} | plain
    columns = {
        name: values.map(others.get(name, _share if values.dtype == float else str))
        for name, values in frame.items()
    }
    return "\n".join(markdown(pd.DataFrame(columns).to_dict("records")))
