"""Simulated results go through everything that a run's results go through."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures.places import BENCHMARKS, EVERYTHING

from priorbench.answer.standing import ADVISED, PROVISIONAL
from priorbench.metrics import METRICS
from priorbench.statistics.families import verdicts

sys.path.insert(0, str(BENCHMARKS))
from simulated import bounds, rates, whole_path
from simulated.laws import HEAVY, SKEWED, SYMMETRIC, TIES, UNEQUAL
from simulated.whole_path import AXES, GAINS, HARM, LOSSES, NOTHING, STABILITY, StudyKind

pytestmark = pytest.mark.slow

STUDIES = 60 if EVERYTHING else 30


def one_study(kind, *, described=False):
    generator = kind.generator()
    values = whole_path.scores(kind, 1, generator)[0]
    agreement = whole_path.agreement_of_scores(kind, values, generator)
    return values, whole_path.carried_out(values, agreement, described=described)


@pytest.mark.parametrize("law", [*SYMMETRIC, UNEQUAL])
def test_differences_have_the_effects_and_deviations_that_are_said(law):
    kind = StudyKind(HARM, law, seeds=200, priors=2, margin=0.5)
    drawn = whole_path.scores(kind, 200, kind.generator())[:, 0]
    differences = (drawn[:, :, 1:] - drawn[:, :, :1]) / kind.units[:, None, None]
    assert differences.mean(axis=(0, 3)) == pytest.approx(kind.effects.T, abs=0.03)
    assert differences.std(axis=3).mean(axis=0) == pytest.approx(np.ones((4, 2)), abs=0.08)
    if law == TIES:
        assert len(np.unique(differences[0, 0, 0].round(6))) < 20


def test_effects_are_what_the_truth_says():
    assert not StudyKind(NOTHING).effects.any()
    assert (StudyKind(GAINS, priors=6).effects == 2).mean() == 0.5
    assert set(StudyKind(LOSSES, margin=0.5).effects.ravel()) == {0.0, -0.5}
    harm = StudyKind(HARM, margin=0.5).effects
    assert sorted(harm[0]) == [-0.75, 0, 0, 2]
    assert sorted(StudyKind(whole_path.TEMPTATION).effects[1]) == [-1.5, 2, 2, 2]


def test_margins_of_the_run_are_those_that_are_meant():
    kind = StudyKind(NOTHING, seeds=50, margin=2.0)
    _, study = one_study(kind)
    margins = study.comparisons.groupby("metric", sort=False)["margin"].mean()
    assert margins.to_numpy() == pytest.approx(2 * kind.units, rel=0.02)


def test_stability_is_tested_by_pseudo_values_of_simulated_agreement():
    kind = StudyKind(GAINS)
    values, study = one_study(kind)
    rows = study.comparisons.set_index("metric").loc[AXES[STABILITY].metric]
    gained = (values[0, STABILITY, 1:] - values[0, STABILITY, :1]).mean(axis=1)
    noise = 0.3 * kind.units[STABILITY]
    assert rows["difference"].to_numpy() == pytest.approx(gained, abs=noise)
    assert METRICS[AXES[STABILITY].metric].of_pairs
    assert rows["p_t"].isna().all()


def test_rows_stand_in_the_order_that_rates_read_them_in():
    kind = StudyKind(NOTHING, seeds=3, datasets=2, priors=2)
    _, study = one_study(kind)
    datasets = study.comparisons["dataset"].to_numpy().reshape(2, 4, 2)
    metrics = study.comparisons["metric"].to_numpy().reshape(2, 4, 2)
    assert (datasets == np.array(["data-0", "data-1"])[:, None, None]).all()
    assert (metrics == np.array([axis.metric for axis in AXES])[:, None]).all()
    for table, shape in ((study.comparisons, (2, 4, 2)), (study.across, (1, 4, 2))):
        priors = table["prior"].to_numpy().reshape(shape)
        assert (priors == np.array(["prior-1", "prior-2"])).all()


def test_what_only_describes_changes_no_verdict_and_no_answer():
    kind = StudyKind(GAINS, HEAVY, seeds=5, datasets=2, priors=2)
    _, whole = one_study(kind, described=True)
    _, fast = one_study(kind)
    assert whole.across["mixed_effect"].notna().any()
    described = whole.across.columns[fast.across.isna().all() & whole.across.notna().any()]
    assert set(described) == set(whole_path.over_datasets._MODEL_COLUMNS)
    pd.testing.assert_frame_equal(
        whole.across.drop(columns=described), fast.across.drop(columns=described)
    )
    assert whole.answer.to_json() == fast.answer.to_json()


@pytest.fixture(scope="module")
def table():
    """Rates of few studies of some kinds."""
    kinds = [
        StudyKind(NOTHING),
        StudyKind(LOSSES, SKEWED),
        StudyKind(HARM, TIES),
        StudyKind(GAINS, seeds=3, datasets=3),
        StudyKind(GAINS, priors=5),
    ]
    return pd.DataFrame(rates.every_rate(kinds, STUDIES, jobs=1))


def test_false_claims_wrong_advice_and_missing_intervals_are_rare(table):
    tables = {"main": table, "tempting": table, "found": table[table["priors"] == 5]}
    assert [*bounds._false_claims(tables), *bounds._missed(tables)] == []
    assert table.filter(like="contradictions").sum(axis=None) == 0


def test_eight_seeds_find_large_effects_that_holm_cannot(table):
    row = table[table["priors"] == 5].iloc[0]
    assert row["within found"] >= bounds.FOUND
    assert row["within by holm"] == 0
    over = table[table["datasets"] == 3].iloc[0]
    assert over["within found"] == 0  # three seeds
    assert over["overall found"] > bounds.FOUND


def test_a_family_that_is_not_corrected_would_be_caught(monkeypatch):
    monkeypatch.setattr(verdicts, "_adjusted", lambda gains, p, correction: p)
    row = rates.kind_rates(StudyKind(NOTHING), STUDIES)
    assert row["within different"] > verdicts.ALPHA + bounds.error(verdicts.ALPHA, STUDIES)


def families(**columns):
    """One prior of which nothing is true, with the first row changed."""
    row = dict.fromkeys(("p_adjusted", "p_noninferior_adjusted", "p_equivalent_adjusted"), 0.5)
    row |= {
        "p": 0.5,
        "difference": 0.1,
        "ci_low": -1.0,
        "ci_high": 1.0,
        "level": 0.04,
        "margin": 0.5,
    }
    rows = [row | {"verdict": "inconclusive", "level": 0.04} for _ in AXES]
    rows[0] = rows[0] | columns
    return rates.JudgedFamilies(StudyKind(NOTHING, priors=1), pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("columns", "contradictions"),
    [
        ({}, 0),
        ({"verdict": "better", "ci_low": -0.1}, 1),
        ({"verdict": "better", "ci_low": 0.0}, 0),
        ({"verdict": "worse", "ci_high": 0.1}, 1),
        ({"verdict": "equivalent", "ci_low": 0.1}, 1),
        ({"verdict": "equivalent", "ci_low": -0.5}, 1),
        ({"verdict": "equivalent", "ci_low": -0.5, "ci_high": 0.5}, 0),
        ({"verdict": "non-inferior", "ci_low": -0.5}, 0),
        ({"verdict": "non-inferior", "ci_low": -0.6}, 1),
        ({"ci_low": -0.4}, 1),
        ({"ci_low": np.nan, "ci_high": np.nan}, 0),
    ],
)
def test_intervals_that_contradict_their_verdict_are_counted(columns, contradictions):
    assert families(**columns).contradictions() == contradictions


def test_what_is_false_is_told_from_what_is_true():
    assert families(p_adjusted=0.01).rates()["different"] == 1
    assert families().rates()["different"] == 0
    assert families(ci_low=0.05).rates()["covered"] == 0
    # where nothing differs, no loss as large as the margin is true
    claims = {"p_noninferior_adjusted": 0.01, "p_equivalent_adjusted": 0.01}
    assert {families(**claims).rates()[name] for name in ("non-inferior", "equivalent")} == {0}


def test_advice_for_a_prior_that_does_harm_is_counted_by_its_basis():
    def answer(prior, basis):
        kinds = {"prior-1": "open", "prior-2": "open"} | ({prior: basis} if prior else {})
        standings = [SimpleNamespace(prior=name, kind=kind) for name, kind in kinds.items()]
        advised = next((s for s in standings if s.prior == prior), None)
        advice = SimpleNamespace(prior=prior, basis=basis, standings=standings, advised=advised)
        return SimpleNamespace(advice=advice)

    answers = [
        answer("prior-1", ADVISED),
        answer("prior-2", PROVISIONAL),
        answer("", "open"),
        answer("", "open"),
    ]
    harmful = rates.advice_rates(StudyKind(HARM, priors=2), answers)
    assert harmful[ADVISED] == harmful[PROVISIONAL] == harmful["per prior"] == 0.25
    assert harmful["unfounded"] == harmful["deserved"] == 0
    assert rates.advice_rates(StudyKind(NOTHING, priors=2), answers)["unfounded"] == 0.5
    assert rates.advice_rates(StudyKind(GAINS, priors=2), answers)["deserved"] == 0.5
