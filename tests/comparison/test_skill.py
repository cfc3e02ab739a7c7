"""The range of a score: chance, and the best that is possible."""

import math

import pandas as pd
import pytest
from fixtures.score_tables import BASE, score_table

from priorbench.comparison.skill import UNKNOWN_RANGE, ScoreRange, score_ranges

KEY = ("binary", "simulated", "three-conv")


def range_of(metric, **references):
    table = score_table({"none": BASE}, metric, references=references)
    return score_ranges(table).get((*KEY, metric), UNKNOWN_RANGE)


def test_the_width_is_the_distance_between_chance_and_the_best():
    assert ScoreRange(0.5, 1.0).width == 0.5
    assert ScoreRange(8.0, 6.0).width == 2.0
    for unknown in (ScoreRange(0.5, math.nan), ScoreRange(math.nan, 1.0), UNKNOWN_RANGE):
        assert math.isnan(unknown.width)
    assert math.isnan(ScoreRange(1.0, 1.0).width)  # a share of nothing


@pytest.mark.parametrize(
    ("references", "ceiling"),
    [
        ({"perfect": 0.97, "oracle": 0.9}, 0.97),
        ({"oracle": 0.9}, 0.9),
        ({"oracle": math.nan}, 1.0),
        ({"perfect": math.nan, "oracle": 0.9}, 0.9),
        ({}, 1.0),
    ],
)
def test_the_ceiling_is_what_was_measured_before_what_the_formula_says(references, ceiling):
    assert range_of("motif-auprc", random=0.2, **references) == ScoreRange(0.2, ceiling)


def test_a_score_without_bound_has_the_oracles():
    assert range_of("mass-enrichment", random=1.0, oracle=7.5) == ScoreRange(1.0, 7.5)
    assert math.isnan(range_of("mass-enrichment", random=1.0).ceiling)


def test_a_loss_has_its_ceiling_below_its_floor():
    assert range_of("cross-entropy", random=0.69) == ScoreRange(0.69, 0.0)


def test_without_chance_there_is_no_floor():
    assert math.isnan(range_of("motif-auprc", oracle=0.9).floor)
    assert range_of("motif-auprc") == UNKNOWN_RANGE


def test_every_setting_has_its_own():
    tables = [
        score_table({"none": BASE}, references={"random": floor}, dataset=name)
        for name, floor in (("x", 0.5), ("y", 0.6))
    ]
    ranges = score_ranges(pd.concat(tables, ignore_index=True))
    floors = {key[1]: score_range.floor for key, score_range in ranges.items()}
    assert floors == {"x": 0.5, "y": 0.6}


def test_trials_are_no_references():
    table = score_table({"random": BASE, "perfect": BASE}, references={"random": 0.5})
    assert score_ranges(table)[(*KEY, "auroc")] == ScoreRange(0.5, 1.0)
    assert score_ranges(table[table["stage"] == "evaluate"]) == {}
