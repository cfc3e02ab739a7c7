"""What a study may declare: primary metrics, margins, the baseline."""

import math
from dataclasses import replace

import pytest

from priorbench.components.registry import build
from priorbench.errors import UserError
from priorbench.metrics import METRICS
from priorbench.statistics.equivalence import Margin
from priorbench.study.declared import (
    ALL,
    EXPLORATORY,
    PRIMARY,
    DeclaredClaims,
    check_margins,
    claims_of,
    default_primary,
    resolve_primary,
)
from priorbench.study.study import SKILL_MARGINS, Study, make_study

NAN = math.nan
CLAIMS = DeclaredClaims(
    {"binary": {"prediction": "auroc", "localisation": "motif-auprc", "cost": "peak-memory"}},
    attribution="input-x-gradient",
)


class TestDeclaring:
    def test_defaults_are_one_metric_an_axis(self):
        assert default_primary(build("task", "binary")) == {
            "prediction": "auroc",
            "localisation": "motif-auprc",
            "stability": "seed-cosine-corrected",
            "faithfulness": "mutagenesis-correlation",
        }
        assert default_primary(build("task", "profile"))["prediction"] == "profile-nll"
        assert default_primary(build("task", "suboptimal"))["localisation"] == "suboptimal-sign"

    def test_a_study_may_name_others(self):
        declared = {"prediction": "auprc", "rbp": {"stability": ""}}
        study = make_study({"primary": declared}, where="here")
        primary = resolve_primary(study, ["binary", "rbp"])
        assert primary["binary"]["prediction"] == primary["rbp"]["prediction"] == "auprc"
        assert "stability" in primary["binary"]
        assert "stability" not in primary["rbp"]

    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({"binry": {"prediction": "auprc"}}, "did you mean 'binary'"),
            ({"predicton": "auroc"}, "did you mean 'prediction'"),
            ({"prediction": "aurocc"}, "did you mean 'auroc'"),
            ({"prediction": "motif-auprc"}, "metric of axis 'localisation'"),
            ({"prediction": "profile-nll"}, "unknown metric of this task"),
            ({"smoothness": "entropy"}, "only shown, never ranked"),
        ],
    )
    def test_what_cannot_be_primary_is_refused(self, declared, message):
        study = make_study({"primary": declared}, where="here")
        with pytest.raises(UserError, match=message):
            resolve_primary(study, ["binary"])


class TestMargins:
    def test_in_units_of_the_metric_goes_before_shares(self):
        claims = replace(CLAIMS, margins={"auroc": 0.005})
        for ends in ((0.5, 1.0), (NAN, NAN)):
            assert claims.margin(METRICS["auroc"], *ends) == Margin(absolute=0.005)

    @pytest.mark.parametrize("ceiling", [1.0, NAN])
    def test_of_predictions_is_a_share_of_the_gain_over_chance(self, ceiling):
        margin = CLAIMS.margin(METRICS["auroc"], 0.5, ceiling)
        assert margin == Margin(relative=SKILL_MARGINS["prediction"], floor=0.5)
        loss = CLAIMS.margin(METRICS["profile-nll"], 8.0, ceiling)
        assert loss == Margin(relative=SKILL_MARGINS["prediction"], floor=8.0, sign=-1.0)

    def test_of_other_axes_is_a_share_of_the_range(self):
        for axis in ("localisation", "stability", "faithfulness"):
            metric = next(m for m in METRICS.values() if m.axis == axis and m.main)
            margin = CLAIMS.margin(metric, 0.2, 0.9)
            assert margin.absolute == pytest.approx(SKILL_MARGINS[axis] * 0.7)
            assert margin.relative == 0
        # an error of 0 is perfect, and its range lies below chance
        error = CLAIMS.margin(METRICS["completeness-error"], 0.9, 0.0)
        assert error.absolute == pytest.approx(0.1 * 0.9)

    @pytest.mark.parametrize(
        ("metric", "floor", "ceiling"),
        [
            ("auroc", NAN, 1.0),
            ("motif-auprc", NAN, 1.0),
            ("mass-enrichment", 1.0, NAN),
            ("step-time-ratio", 1.0, 0.0),
        ],
    )
    def test_is_none_where_no_range_is_known(self, metric, floor, ceiling):
        assert CLAIMS.margin(METRICS[metric], floor, ceiling) is None

    def test_of_axes_that_are_not_named_are_the_usual_ones(self):
        study = make_study({"skill_margins": {"prediction": 0.05}}, where="here")
        assert study.skill_margins == {**SKILL_MARGINS, "prediction": 0.05}
        claims = claims_of({**study.model_dump(mode="json"), "attributions": ["gradient"]})
        margin = claims.margin(METRICS["motif-auprc"], 0.2, 0.9)
        assert margin.absolute == pytest.approx(SKILL_MARGINS["localisation"] * 0.7)
        assert claims.margin(METRICS["auroc"], 0.5, 1.0).relative == 0.05

    def test_is_none_on_an_axis_without_one(self):
        claims = replace(CLAIMS, skill_margins={"prediction": 0.02})
        assert claims.margin(METRICS["motif-auprc"], 0.2, 0.9) is None

    @pytest.mark.parametrize("margin", [0, -0.1, float("inf"), float("nan")])
    def test_are_numbers_above_zero(self, margin):
        with pytest.raises(UserError, match=r"a number above 0|a finite number"):
            make_study({"margins": {"auroc": margin}}, where="here")

    @pytest.mark.parametrize("share", [0, 1, 1.5, -0.1])
    def test_shares_are_between_zero_and_one(self, share):
        with pytest.raises(UserError, match=r"a number above 0|a number below 1"):
            make_study({"skill_margins": {"prediction": share}}, where="here")

    @pytest.mark.parametrize(
        ("margins", "message"),
        [
            ({"auroc": 5}, "auroc = 5: no loss of auroc that matters is as large as 1"),
            ({"motif-auprc": 1}, "give a smaller margin"),
            ({"aurocc": 0.01}, "did you mean 'auroc'"),
            ({"step-time-ratio": 0.1}, "only shown, never judged"),
            ({"peak-memory": 0.1}, "only shown, never judged"),
            ({"entropy": 0.1}, "only shown, never judged"),
            ({"motifs-found": 0.1}, "only shown, never judged"),
        ],
    )
    def test_that_cannot_be_meant_are_refused(self, margins, message):
        with pytest.raises(UserError, match=message):
            check_margins(Study(margins=margins))

    @pytest.mark.parametrize("axis", ["predicton", "cost", "smoothness"])
    def test_are_for_axes_that_are_claimed(self, axis):
        with pytest.raises(UserError, match="unknown axis"):
            check_margins(Study(skill_margins={axis: 0.1}))

    def test_of_scores_with_a_unit_or_without_bound_may_be_large(self):
        check_margins(Study(margins={"profile-nll": 5, "mass-enrichment": 2, "auroc": 0.01}))
        check_margins(Study())


class TestFamilies:
    def test_what_was_declared_is_primary(self):
        main = "input-x-gradient"
        assert CLAIMS.family("binary:length=300", "", METRICS["auroc"]) == PRIMARY
        assert CLAIMS.family("binary", main, METRICS["motif-auprc"]) == PRIMARY
        assert CLAIMS.family("binary", "gradient", METRICS["motif-auprc"]) == EXPLORATORY
        assert CLAIMS.family("binary", "", METRICS["auprc"]) == EXPLORATORY
        assert CLAIMS.family("profile", "", METRICS["auroc"]) == EXPLORATORY

    @pytest.mark.parametrize("metric", ["peak-memory", "entropy", "motifs-found"])
    def test_what_is_only_shown_has_none(self, metric):
        assert CLAIMS.family("binary", "", METRICS[metric]) == ""
        assert CLAIMS.correction_of("") == ""

    def test_primary_and_exploratory_have_corrections_of_their_own(self):
        assert CLAIMS.correction_of(PRIMARY) == "joint"
        assert replace(CLAIMS, correction="holm").correction_of(PRIMARY) == "holm"
        assert CLAIMS.correction_of(EXPLORATORY) == "benjamini-hochberg"

    def test_what_was_changed_is_exploratory(self):
        changed = replace(CLAIMS, changed={"auroc": "its margin"})
        assert changed.family("binary", "", METRICS["auroc"]) == EXPLORATORY
        assert changed.family("binary", "input-x-gradient", METRICS["motif-auprc"]) == PRIMARY
        everything = replace(CLAIMS, changed={ALL: "the baseline"})
        assert everything.family("binary", "", METRICS["auroc"]) == EXPLORATORY

    def test_nothing_is_claimed_against_another_baseline(self):
        study = Study(attributions=["gradient"]).model_dump(mode="json")
        assert claims_of(study).changed == claims_of(study, "none").changed == {}
        other = claims_of(study, "dropout")
        assert (other.baseline, other.attribution) == ("dropout", "gradient")
        assert list(other.changed) == [ALL]


def test_a_study_has_eight_seeds_and_the_joint_correction():
    study = Study()
    assert study.seed_list == list(range(8))
    assert study.correction == "joint"
    assert study.skill_margins == SKILL_MARGINS
    with pytest.raises(UserError, match="correction"):
        make_study({"correction": "none"}, where="here")
