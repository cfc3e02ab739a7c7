"""A small version of `make calibrate`: false verdicts, power, coverage, and a real null study."""

import sys

import numpy as np
import pandas as pd
import pytest
from fixtures.places import BENCHMARKS

from priorbench.cli.app import execute_command

sys.path.insert(0, str(BENCHMARKS))
import calibrate as full
import calibration as small
from calibration import Cell

STUDIES = 300


def above(rate, studies=STUDIES):
    """A rate and four times its Monte Carlo error."""
    return rate + 4 * np.sqrt(rate * (1 - rate) / studies)


def test_simulated_arms_have_deviation_one_and_are_paired():
    generator = np.random.default_rng(0)
    for shape in small.SHAPES:
        drawn = small.scores(Cell(shape, 0.7, 8), 2, 20_000, generator)[:, 0]
        centred = drawn - drawn.mean(axis=(1, 2), keepdims=True)
        gain = drawn[:, 1] - drawn[:, 0]
        assert abs(gain.mean()) < 0.02
        assert centred.std() == pytest.approx(1, abs=0.3)
        assert gain.std() < 1.1  # unpaired it would be sqrt(2)


@pytest.mark.parametrize(
    "cell",
    [
        Cell("normal", 0.0, 8),
        Cell("skewed", 0.7, 8),
        Cell("heavy tails", 0.0, 20),
        Cell("skewed", 0.7, 5, datasets=6),
    ],
    ids=str,
)
def test_false_verdicts_are_at_most_alpha(cell):
    assert small.false_verdicts(cell, STUDIES).worst <= above(small.ALPHA)


@pytest.mark.parametrize("cosine", [1.0, 0.4, 0.0])
def test_arms_that_are_equally_stable_are_not_told_apart(cosine):
    # exchanging the two trials of a seed would call a third of the last different
    found = small.false_agreement(small.AttributionArms(10, heavy=True, cosine=cosine), 600)
    assert found.different <= above(small.ALPHA, 600)


def test_a_family_that_is_not_corrected_would_be_caught(monkeypatch):
    monkeypatch.setattr(small.s, "judge", lambda family, _: [_uncorrected(one) for one in family])
    found = small.false_verdicts(Cell("normal", 0.0, 8), STUDIES)
    assert found.different > above(small.ALPHA)


def _uncorrected(one):
    from priorbench.statistics.verdicts import Judgement

    return Judgement(one.p, one.p_noninferior, one.p_equivalent, 1, 1, "")


def test_planted_effects_are_found_as_often_as_predicted():
    for n, tests in ((8, 5), (12, 20), (16, 1)):
        for found in small.planted(n, 0.8, tests, studies=STUDIES):
            error = 4 * np.sqrt(0.8 * 0.2 / STUDIES)
            assert found.found == pytest.approx(found.predicted, abs=error)


@pytest.mark.parametrize("shape", small.SHAPES)
def test_offered_intervals_hold_their_level(shape):
    covered = small.mean_coverage(Cell(shape, 0.7, 8), 600, bootstraps=200)
    error = 4 * np.sqrt(0.05 * 0.95 / 600)
    for one in covered:
        if one.offered:
            assert 0.93 - error <= one.covered <= 0.97 + error
    assert next(one.covered for one in covered if one.interval == "BCa bootstrap") < 0.93


def test_intervals_of_effects_hold_their_level():
    found = [
        small.improvement_coverage(Cell("normal", 0.7, 16), 0.5, 600),
        small.agreement_coverage(small.AttributionArms(10, heavy=True, gain=1.5), 400),
        *small.across_coverage(Cell("normal", 0.7, 8, 6), 120, models=40),
        *small.across_coverage(Cell("normal", 0.95, 8, 6), 120, models=0, shift=1.5),
        *small.across_coverage(Cell("normal", 0.95, 8, 6), 120, models=0, shift=0.7),
    ]
    for one in found:
        error = 4 * np.sqrt(0.05 * 0.95 / one.studies)
        assert 0.93 - error <= one.covered <= min(1, 0.97 + error), one


def test_a_loss_that_few_runs_have_may_be_missed():
    # what the definitions warn of; a test that holds for skewed differences would change them
    found = small.rare_bad_runs(10, 0.05, 10, STUDIES)
    assert found.noninferior > 0.15
    assert "few runs" in small.s.DEFINITIONS["non-inferior"]


def test_splits_of_one_arm_differ_one_time_in_twenty():
    values = np.random.default_rng(1).standard_t(3, size=20)
    assert small.split_null(values, 1000) < above(0.05, 1000)


def test_the_page_says_what_is_out_of_bounds():
    bad = small.Coverage("made up", Cell("normal", 0, 8), True, 0.8, 1000)
    unstable = small.FalseAgreement("noise alike", 8, 1, 0.2, 1000)
    comparisons = pd.DataFrame({"family": ["primary"], "metric": ["auroc"], "verdict": ["worse"]})
    lines = full.complaints([], [unstable], [bad], [], comparisons)
    assert len(lines) == 3
    assert "noise alike" in lines[0]
    assert "made up" in lines[1]
    assert lines[2] == "null study: auroc worse"


def test_a_real_null_study_has_no_difference(tmp_path):
    study = str(BENCHMARKS / "null.toml")
    arguments = ["--seeds", "3", "--out", str(tmp_path / "out"), "--jobs", "1", "--no-report"]
    assert execute_command(["run", study, *arguments]) == 0
    found = pd.read_csv(tmp_path / "out" / "comparisons.csv", keep_default_na=False)
    primary = found[found["family"] == "primary"]
    assert len(primary) == 4
    assert (primary["difference"].astype(float) == 0).all()
    assert set(primary["verdict"]) <= {"equivalent", "inconclusive"}
