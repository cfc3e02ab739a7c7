"""A small version of `make calibrate`: power, looks, coverage, the page, and a real null study."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from fixtures.places import BENCHMARKS

from priorbench.cli.app import execute_command
from priorbench.statistics.confidence import Interval
from priorbench.statistics.families.verdicts import DEFINITIONS

sys.path.insert(0, str(BENCHMARKS))
import calibration as small
from simulated import bounds, intervals, laws, power, rates
from simulated.laws import AttributionArms, Cell

pytestmark = pytest.mark.slow

STUDIES = 300


def above(rate, studies=STUDIES):
    """A rate and four times its Monte Carlo error."""
    return rate + 4 * np.sqrt(rate * (1 - rate) / studies)


def test_simulated_arms_have_deviation_one_and_are_paired():
    generator = np.random.default_rng(0)
    for shape in laws.SHAPES:
        drawn = laws.null_scores(Cell(shape, 0.7, 8), 2, 20_000, generator)[:, 0]
        centred = drawn - drawn.mean(axis=(1, 2), keepdims=True)
        gain = drawn[:, 1] - drawn[:, 0]
        assert abs(gain.mean()) < 0.02
        assert centred.std() == pytest.approx(1, abs=0.3)
        assert gain.std() < 1.1  # unpaired it would be sqrt(2)


@pytest.mark.parametrize("cosine", [1.0, 0.4, 0.0])
def test_arms_that_are_equally_stable_are_not_told_apart(cosine):
    # exchanging the two trials of a seed would call a third of the last different
    arms = AttributionArms(10, 10, heavy=True, cosine=cosine)
    assert intervals.false_agreement(arms, 600)["better or worse"] <= above(small.ALPHA, 600)


def test_planted_effects_are_found_as_often_as_predicted():
    error = 4 * np.sqrt(0.8 * 0.2 / STUDIES)
    for n, tests in ((8, 5), (12, 20), (16, 1)):
        for row in power.planted(n, 0.8, tests, STUDIES):
            assert row["found"] == pytest.approx(row["predicted"], abs=error)


def test_the_joint_correction_finds_about_what_is_predicted():
    error = 4 * np.sqrt(0.8 * 0.2 / STUDIES)
    for row in power.planted_jointly(10, 0.8, 20, STUDIES):
        assert row["predicted"] >= 0.8
        assert row["found"] >= row["predicted"] - bounds.PREDICTION_ERROR - error


def test_looks_at_a_growing_study_share_one_level():
    row = power.growing("normal", STUDIES)
    assert row["level of each look"] <= above(small.ALPHA)
    assert row["level of each look"] < row[".05 at each look"]
    assert row["first look"] <= row["level of each look"]


@pytest.mark.parametrize("shape", laws.SHAPES)
def test_offered_intervals_hold_their_level(shape):
    covered = intervals.mean_coverage(Cell(shape, 0.7, 8), 600, bootstraps=200)
    rows = {row["interval"]: row for row in covered}
    error = 4 * np.sqrt(0.05 * 0.95 / 600)
    offered = [row for row in rows.values() if row["offered"] == "yes"]
    assert offered
    for row in offered:
        assert 0.93 - error <= row["covered"] <= 0.97 + error
    assert rows["BCa bootstrap"]["covered"] < 0.93


def test_intervals_of_effects_hold_their_level():
    rows = [
        intervals.improvement_coverage(Cell("normal", 0.7, 16), 0.5, 600),
        intervals.agreement_coverage(AttributionArms(7, 10, heavy=True, gain=1.5), 400),
        *intervals.across_coverage(Cell("normal", 0.7, 8, 6), 120, models=40),
        *intervals.across_coverage(Cell("normal", 0.95, 8, 6), 120, models=0, shift=1.5),
        *intervals.across_coverage(Cell("normal", 0.95, 8, 6), 120, models=0, shift=0.7),
    ]
    for row in rows:
        error = 4 * np.sqrt(0.05 * 0.95 / row["studies"])
        assert 0.93 - error <= row["covered"] <= min(1, 0.97 + error), row


def test_a_loss_that_few_runs_have_may_be_missed():
    # what the definitions warn of; a test that holds for skewed differences would change them
    assert intervals.rare_bad_runs(10, 0.05, 10, STUDIES)["non-inferior"] > 0.15
    assert "few runs" in DEFINITIONS["non-inferior"]


def test_splits_of_one_arm_differ_one_time_in_twenty():
    values = np.random.default_rng(1).standard_t(3, size=20)
    assert small.split_null(values, 1000) < above(0.05, 1000)


def test_what_is_out_of_bounds_is_named():
    cell = Cell("normal", 0, 8)
    kind = {"seeds": 8, "attributions": "noise alike", "studies": 1000}
    planted = {"claim": "planted", "seeds": 8, "predicted": 0.8, "studies": 1000}
    study = {"truth": "nothing", "law": "normal", "seeds": 8, "datasets": 1, "priors": 3}
    study |= {"margin": 1.0, "harm": 1.5, "studies": 1000}
    good = {"within different": 0.04, "within covered": 0.96, "within contradictions": 0}
    bad = {"within different": 0.2, "within covered": 0.8, "within contradictions": 1}
    tables = {
        "main": [study | good, study | {"truth": "made up"} | bad],
        "tempting": [study | good],
        "found": [study | {"within found": found} for found in (0.8, 0.3)],
        "looks": [{"level of each look": rate, "studies": 1000} for rate in (0.04, 0.11)],
        "stability": [kind | {"better or worse": rate} for rate in (0.05, 0.2)],
        "coverage": [
            intervals.coverage(name, cell.row(), [Interval(-1, 1, "")] * inside + missed, 0)
            for name, inside in (("wrong", 800), ("fine", 950))
            for missed in [[Interval(1, 2, "")] * (1000 - inside)]
        ],
        "power": [
            planted | {"correction": correction, "found": share}
            for correction, share in (("holm", 0.8), ("holm", 0.5), ("joint", 0.9), ("joint", 0.5))
        ],
    }
    comparisons = pd.DataFrame({"family": ["primary"], "metric": ["auroc"], "verdict": ["worse"]})
    tables = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    lines = small.complaints(tables, comparisons)
    words = ["different 0.200: truth made up", "different 0.200 over all", "covered", "contra"]
    words += ["found 0.300", "noise alike", "0.11", "wrong", "holm", "joint", "auroc worse"]
    assert len(lines) == len(words)
    for word, line in zip(words, lines, strict=True):
        assert word in line


def test_the_page_is_written_by_its_template(monkeypatch):
    # one kind of every truth
    for name in ("main_kinds", "tempting_kinds", "asymmetric_kinds", "power_kinds"):
        kinds = {kind.truth: kind for kind in getattr(rates, name)()}
        monkeypatch.setattr(rates, name, kinds.values)
    simulated = small.simulations(10, jobs=1)
    few = {name: list(itertools.islice(rows, 4)) for name, rows in simulated.items()}
    few["coverage"] += intervals.mean_coverage(Cell("normal", 0.7, 10), 20, bootstraps=4)
    tables = {name: pd.DataFrame(rows) for name, rows in few.items()}
    about = {"family": "primary", "axis": "prediction", "metric": "auroc", "verdict": "equivalent"}
    arm = {"stage": "evaluate", "prior": "none", "metric": "auroc"}
    scores = pd.DataFrame([arm | {"value": value} for value in range(8)])
    text = small.page(tables, pd.DataFrame([about]), scores, 10)
    written = small.PAGE.read_text().splitlines()
    heads = [line for line in text.splitlines() if line.startswith(("#", "| datasets", "| seeds"))]
    assert set(heads) <= set(written)
    assert text.splitlines()[:6] == written[:6]


def test_a_real_null_study_has_no_difference(tmp_path):
    study = str(BENCHMARKS / "null.toml")
    arguments = ["--seeds", "3", "--out", str(tmp_path / "out"), "--jobs", "1", "--no-report"]
    assert execute_command(["run", study, *arguments]) == 0
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv", keep_default_na=False)
    primary = table[table["family"] == "primary"]
    assert len(primary) == 4
    assert (primary["difference"].astype(float) == 0).all()
    assert set(primary["verdict"]) <= {"equivalent", "inconclusive"}
