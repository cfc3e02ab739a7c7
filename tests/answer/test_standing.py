"""What is shown of one prior, on hand-made rows."""

from dataclasses import replace

import pytest
from fixtures.comparison_rows import (
    ALMOST,
    BETTER,
    LOST,
    MARGIN,
    NAN,
    SAFE,
    UNSURE,
    UNTESTED,
    WORSE,
    across_row,
    advice_across,
    advice_of,
    price,
    row,
    rows,
)

from priorbench.answer.standing import (
    ADVISED,
    COSTLESS,
    HARMFUL,
    OPEN,
    PROVISIONAL,
    STANDINGS,
    TRADE_OFF,
    FailureCount,
)
from priorbench.comparison.over_datasets import SKILL
from priorbench.metrics import METRICS
from priorbench.study.declared import EXPLORATORY


def standing_of(*own, others=0, **more):
    """Return the standing of a prior beside others of which nothing is known."""
    beside = [r for i in range(others) for r in rows(f"other{i}", UNSURE, UNSURE, UNSURE)]
    return advice_of(*own, *beside, **more).standings[0]


class TestKinds:
    @pytest.mark.parametrize(
        ("kinds", "others", "kind"),
        [
            ((SAFE, BETTER, BETTER), 0, ADVISED),
            ((SAFE, BETTER, SAFE), 5, ADVISED),
            ((ALMOST, BETTER, SAFE), 0, ADVISED),
            # .03 is below the level, and twice .03 above it
            ((ALMOST, BETTER, SAFE), 1, PROVISIONAL),
            ((WORSE, BETTER, SAFE), 0, TRADE_OFF),
            ((LOST, BETTER, SAFE), 0, TRADE_OFF),
            ((LOST, BETTER, BETTER), 3, TRADE_OFF),
            ((UNSURE, BETTER, SAFE), 0, OPEN),
            ((UNTESTED, BETTER, SAFE), 0, OPEN),
            ((WORSE, SAFE, UNSURE), 0, HARMFUL),
            ((WORSE, WORSE, WORSE), 2, HARMFUL),
            ((LOST, SAFE, UNSURE), 0, OPEN),
            ((SAFE, SAFE, SAFE), 0, COSTLESS),
            ((ALMOST, SAFE, SAFE), 1, OPEN),
            ((UNSURE, UNSURE, UNSURE), 0, OPEN),
            ((UNTESTED, UNTESTED, UNTESTED), 0, OPEN),
        ],
    )
    def test_every_kind(self, kinds, others, kind):
        standing = standing_of(*rows("tv", *kinds), others=others)
        assert standing.kind == kind
        assert kind in STANDINGS

    def test_that_no_loss_was_shown_is_no_safety(self):
        # a verdict of nothing, and an estimate within the margin
        unshown = {**UNSURE, "gain": -0.05, "safe_p": 0.2}
        standing = standing_of(*rows("tv", unshown, BETTER, SAFE))
        assert standing.kind == OPEN
        assert standing.losses == []
        assert [result.axis for result in standing.estimated_losses] == ["prediction"]

    def test_an_axis_without_a_margin_is_not_safe(self):
        unknown = {**SAFE, "margin": NAN, "safe_p": NAN}
        standing = standing_of(*rows("tv", unknown, BETTER, SAFE))
        assert (standing.kind, standing.p_safe) == (OPEN, 1.0)

    def test_a_shown_loss_that_is_proved_to_be_small_is_no_trade_off(self):
        small = {**WORSE, "gain": -0.02, "low": -0.03, "safe_p": 0.004}
        standing = standing_of(*rows("tv", small, BETTER, SAFE))
        assert standing.kind == ADVISED
        assert [result.verdict for result in standing.estimated_losses] == ["worse"]
        unproved = {**small, "safe_p": 0.05}
        assert standing_of(*rows("tv", unproved, BETTER, SAFE)).kind == TRADE_OFF
        # the same without a gain
        assert standing_of(*rows("tv", small, SAFE, SAFE)).kind == COSTLESS
        assert standing_of(*rows("tv", unproved, SAFE, SAFE)).kind == HARMFUL

    def test_a_loss_among_the_priors_own_tests_counts_whatever_the_company(self):
        # corrected for many priors it is not shown; among its own tests it is
        hidden = {**WORSE, "verdict": "inconclusive", "p": 0.2, "p_own": 0.02, "gain": -0.05}
        standing = standing_of(*rows("tv", hidden, BETTER, SAFE))
        assert standing.kind == TRADE_OFF
        # it withholds advice, and is no verdict
        assert standing_of(*rows("tv", hidden, SAFE, SAFE)).kind == OPEN
        shown = {**hidden, "verdict": "worse"}
        assert standing_of(*rows("tv", shown, SAFE, SAFE)).kind == HARMFUL

    @pytest.mark.parametrize("level", [0.04, 0.005, 0.0025])
    def test_a_loss_is_likely_at_every_look(self, level):
        likely = {**WORSE, "verdict": "inconclusive", "p_own": 0.05, "gain": -0.05}
        at_this_look = [{**r, "level": level} for r in rows("tv", likely, BETTER, SAFE)]
        assert standing_of(*at_this_look).kind == TRADE_OFF
        less_likely = {**likely, "p_own": 0.051}
        at_this_look = [{**r, "level": level} for r in rows("tv", less_likely, BETTER, SAFE)]
        assert standing_of(*at_this_look).kind == OPEN

    @pytest.mark.parametrize(("n", "likely"), [(2, True), (5, True), (6, False)])
    def test_below_six_pairs_students_interval_says_whether_a_loss_is_likely(self, n, likely):
        # its upper end is below 0, and no p of so few pairs is small enough
        loss = {**UNSURE, "gain": -0.05, "low": -0.09, "p_own": 0.0625, "n": n}
        standing = standing_of(row("tv", "prediction", **loss), row("tv", "stability", **BETTER))
        assert standing.results[0].high_alone == pytest.approx(-0.01)
        assert standing.results[0].likely_worse == likely
        assert standing.kind == (TRADE_OFF if likely else OPEN)
        wide = {**loss, "low": -0.12}
        assert not standing_of(row("tv", "prediction", **wide)).results[0].likely_worse
        untested = {**loss, "low": NAN}
        assert not standing_of(row("tv", "prediction", **untested)).results[0].likely_worse

    def test_provisional_advice_excludes_the_margin_among_the_tests_of_the_family(self):
        for safe_p_family, kind in ((0.04, PROVISIONAL), (0.041, OPEN), (NAN, OPEN)):
            almost = {**ALMOST, "safe_p_family": safe_p_family}
            standing = standing_of(*rows("tv", almost, BETTER, SAFE), others=1)
            assert standing.kind == kind
            assert standing.results[0].safe_alone == (kind == PROVISIONAL)
        # one claim about the prior is not corrected for the number of axes
        almost = {**SAFE, "safe_p_family": 0.2}
        assert standing_of(*rows("tv", almost, BETTER, SAFE)).kind == ADVISED

    def test_an_axis_that_others_were_asked_about_is_missing(self):
        for kinds in ((SAFE, BETTER), (ALMOST, BETTER)):
            standing = standing_of(*rows("tv", *kinds), others=1)
            assert (standing.kind, standing.missing) == (OPEN, ("stability",))
            assert not standing.asked
        assert standing_of(*rows("tv", SAFE, BETTER)).missing == ()
        # nor is it without cost
        assert standing_of(*rows("tv", SAFE, SAFE), others=1).kind == OPEN
        # what is lost is lost
        assert standing_of(*rows("tv", LOST, BETTER), others=1).kind == TRADE_OFF

    def test_a_claim_that_was_changed_is_not_safe(self):
        for kinds in ((BETTER, BETTER, SAFE), (ALMOST, BETTER, SAFE)):
            standing = standing_of(*rows("tv", *kinds), withheld=("faithfulness",), others=1)
            assert standing.kind == OPEN
        assert standing_of(*rows("tv", SAFE, SAFE), withheld=("stability",)).kind == OPEN
        # what is lost is lost
        assert standing_of(*rows("tv", LOST, BETTER), withheld=("stability",)).kind == TRADE_OFF

    def test_the_level_is_that_of_the_look(self):
        later = [{**r, "level": 0.0025} for r in rows("tv", SAFE, BETTER, SAFE)]
        assert standing_of(*rows("tv", SAFE, BETTER, SAFE)).safe
        assert not standing_of(*later).safe  # .004 is above .0025


class TestSafety:
    def test_is_as_sure_as_its_least_sure_axis(self):
        kinds = ({**SAFE, "safe_p": 0.02}, BETTER, {**SAFE, "safe_p": 0.01})
        assert standing_of(*rows("tv", *kinds)).p_safe == pytest.approx(0.02)

    def test_is_corrected_for_the_number_of_priors_and_not_of_axes(self):
        sure = rows("tv", SAFE, BETTER, SAFE)
        assert standing_of(*sure).p_safe == pytest.approx(0.004)
        assert standing_of(*sure, others=3).p_safe == pytest.approx(4 * 0.004)

    def test_priors_that_are_added_make_none_safer(self):
        own = rows("tv", ALMOST, BETTER, SAFE)
        before = standing_of(*own).p_safe
        for others in ((SAFE, SAFE, SAFE), (LOST, LOST, LOST), (UNTESTED, UNTESTED, UNTESTED)):
            added = advice_of(*own, *rows("l1", *others)).standings[0].p_safe
            assert added >= before


class TestResults:
    def test_are_in_the_good_direction(self):
        losses = row("tv", "prediction", metric="cross-entropy", **BETTER)
        (result,) = standing_of(losses).results
        assert not result.higher_is_better
        assert (result.gain, result.difference) == (0.3, -0.3)
        assert (result.low, result.high) == pytest.approx((0.1, 0.5))
        assert (result.low_alone, result.high_alone) == pytest.approx((0.1, 0.5))
        (lost,) = standing_of(row("tv", "prediction", metric="cross-entropy", **LOST)).results
        assert lost.lost
        assert lost.difference == 0.3

    def test_of_skill_are_better_where_higher(self):
        across = across_row("tv", "prediction", metric=SKILL, **BETTER)
        (result,) = advice_across(across).standings[0].results
        assert (result.metric, result.gain, result.higher_is_better) == (SKILL, 0.3, True)

    def test_leads_are_small_p_that_correction_does_not_let_stand(self):
        cases = {0.03: True, 0.05: True, 0.06: False}
        for p, lead in cases.items():
            for verdict in ("inconclusive", "non-inferior", "equivalent"):
                cells = {**UNSURE, "verdict": verdict, "p": p, "p_adjusted": 0.2}
                assert standing_of(row("tv", "prediction", **cells)).results[0].lead == lead
        assert not standing_of(row("tv", "prediction", **BETTER)).results[0].lead

    def test_lost_and_safe_are_about_the_margin(self):
        (result,) = standing_of(row("tv", "prediction", **SAFE)).results
        assert not replace(result, gain=-MARGIN).lost
        assert replace(result, gain=-MARGIN - 1e-9).lost
        assert result.safe_alone
        assert not replace(result, low_alone=-MARGIN).safe_alone
        assert not replace(result, gain=-MARGIN).safe_alone
        assert not replace(result, low_alone=NAN).safe_alone
        assert not replace(result, margin=NAN).safe_alone
        assert not replace(result, p_noninferior_adjusted=0.041).safe_alone

    def test_what_does_not_count_is_not_there(self):
        smooth = [name for name, metric in METRICS.items() if metric.optimised_for]
        assert smooth
        standing = standing_of(
            *rows("tv", UNSURE, UNSURE, UNSURE),
            row("tv", "localisation", **BETTER, family=EXPLORATORY),
            *(row("tv", "smoothness", metric=name, **BETTER) for name in smooth),
        )
        assert len(standing.results) == 3
        assert standing.kind == OPEN

    def test_every_prior_has_its_own_number_of_pairs(self):
        advice = advice_of(
            *rows("tv", SAFE, BETTER, SAFE, n=16), *rows("l1", UNSURE, UNSURE, UNSURE, n=8)
        )
        assert [standing.n for standing in advice.standings] == [16, 8]
        assert advice.seeds == (8, 16)

    def test_failures_and_prices_are_carried(self):
        own = [*rows("tv", SAFE, BETTER, SAFE), price("tv", 1.4)]
        standing = standing_of(*own, failures={"tv": FailureCount(2, 8)})
        assert (standing.failures, standing.price) == (FailureCount(2, 8), 1.4)
        assert standing.kind == ADVISED


class TestOverSettings:
    def good(self, prior="tv"):
        return [
            across_row(prior, axis, **kind)
            for axis, kind in (("prediction", SAFE), ("localisation", BETTER), ("stability", SAFE))
        ]

    def test_the_rule_is_the_same(self):
        (standing,) = advice_across(*self.good()).standings
        assert (standing.kind, standing.n) == (ADVISED, 8)

    def test_a_loss_shown_in_one_setting_makes_a_trade_off_of_the_whole(self):
        within = (
            row("tv", "prediction", **WORSE),
            row("tv", "prediction", **SAFE, dataset="other"),
        )
        (standing,) = advice_across(*self.good(), within=within).standings
        assert standing.kind == TRADE_OFF
        ((result),) = standing.lost_in
        assert (result.axis, result.setting) == (
            "prediction",
            "binary · simulated · three-conv",
        )
        assert not standing.safe

    def test_the_same_without_a_gain_is_harmful(self):
        safe = [across_row("tv", axis, **SAFE) for axis in ("prediction", "localisation")]
        within = (row("tv", "prediction", **WORSE),)
        assert advice_across(*safe, within=within).standings[0].kind == HARMFUL
        assert advice_across(*safe).standings[0].kind == COSTLESS

    def test_an_estimate_in_one_setting_does_not(self):
        within = (row("tv", "prediction", **LOST), row("l1", "prediction", **WORSE))
        assert advice_across(*self.good(), within=within).standings[0].kind == ADVISED

    def test_nor_does_one_that_is_proved_to_be_small(self):
        small = {**WORSE, "gain": -0.02, "low": -0.03, "safe_p": 0.004}
        within = (row("tv", "prediction", **small),)
        assert advice_across(*self.good(), within=within).standings[0].kind == ADVISED

    def test_nor_an_exploratory_one(self):
        within = (row("tv", "prediction", **WORSE, family=EXPLORATORY),)
        assert advice_across(*self.good(), within=within).standings[0].kind == ADVISED

    def test_a_likely_loss_in_one_setting_withholds_advice_and_is_no_harm(self):
        likely = {**WORSE, "verdict": "inconclusive", "p": 0.2, "p_own": 0.03}
        within = (row("tv", "prediction", **likely),)
        assert advice_across(*self.good(), within=within).standings[0].kind == TRADE_OFF
        safe = [across_row("tv", axis, **SAFE) for axis in ("prediction", "localisation")]
        assert advice_across(*safe, within=within).standings[0].kind == OPEN

    def test_a_setting_that_others_were_asked_in_is_missing(self):
        within = (
            row("tv", "prediction", **SAFE, dataset="x"),
            row("tv", "prediction", **SAFE, dataset="y"),
            row("l1", "prediction", **SAFE, dataset="x"),
        )
        tv, l1 = advice_across(*self.good(), *self.good("l1"), within=within).standings
        assert (tv.kind, tv.missing) == (ADVISED, ())
        assert (l1.kind, l1.missing) == (OPEN, ("prediction in binary · y · three-conv",))

    def test_prices_are_means_over_settings(self):
        within = (price("tv", 1.2), price("tv", 2.0))
        assert advice_across(*self.good(), within=within).standings[0].price == 1.6
