"""Which prior is advised: the rule on hand-made rows, and that company never makes advice."""

import numpy as np
import pandas as pd
import pytest
from fixtures.comparison_rows import (
    ALMOST,
    BETTER,
    LOST,
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
    table,
)
from fixtures.places import EVERYTHING
from fixtures.result_tables import answer_to, result_table
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.answer.advice import RULE, advise
from priorbench.answer.standing import ADVISED, OPEN, PROVISIONAL, TRADE_OFF, FailureCount
from priorbench.study.declared import EXPLORATORY

CANDIDATES = (ADVISED, PROVISIONAL)


class TestRule:
    def test_a_clear_winner_is_advised(self):
        advice = advice_of(
            *rows("fourier", SAFE, BETTER, BETTER), *rows("tv", UNSURE, UNSURE, UNSURE)
        )
        assert (advice.prior, advice.basis, advice.rivals) == ("fourier", ADVISED, ())
        assert [r.metric for r in advice.advised.gains] == ["motif-auprc", "seed-cosine-corrected"]
        assert (advice.seeds, advice.tests, advice.correction) == ((8, 8), 6, "joint")
        assert advice.level == 0.04

    def test_a_trade_off_is_named_and_not_advised(self):
        for loss in (WORSE, LOST):
            advice = advice_of(*rows("fourier", loss, BETTER, UNSURE))
            assert (advice.prior, advice.basis, advice.advised) == ("none", TRADE_OFF, None)
            (standing,) = advice.standings
            assert [result.axis for result in standing.gains] == ["localisation"]
            assert [result.axis for result in standing.losses] == ["prediction"]

    def test_a_trade_off_does_not_hide_a_winner(self):
        advice = advice_of(*rows("fourier", WORSE, BETTER, BETTER), *rows("tv", SAFE, BETTER, SAFE))
        assert (advice.prior, advice.basis) == ("tv", ADVISED)
        assert advice.rivals == ()

    def test_safety_that_does_not_survive_company_is_provisional(self):
        advice = advice_of(*rows("fourier", ALMOST, BETTER, SAFE), *rows("tv", *[UNSURE] * 3))
        assert (advice.prior, advice.basis) == ("fourier", PROVISIONAL)

    def test_a_gain_whose_safety_is_open_is_no_advice(self):
        for open_axis in (UNSURE, UNTESTED):
            advice = advice_of(*rows("fourier", open_axis, BETTER, SAFE))
            assert (advice.prior, advice.basis) == ("none", OPEN)

    @pytest.mark.parametrize("kind", [SAFE, UNSURE, UNTESTED, WORSE])
    def test_without_a_gain_the_baseline_stays(self, kind):
        advice = advice_of(*rows("fourier", kind, kind, kind))
        assert (advice.prior, advice.basis) == ("none", OPEN)

    def test_a_changed_claim_leaves_the_baseline(self):
        advice = advice_of(*rows("fourier", SAFE, BETTER, SAFE), withheld=("faithfulness",))
        assert (advice.prior, advice.basis) == ("none", OPEN)

    def test_nothing_was_compared(self):
        advice = advice_of()
        assert (advice.prior, advice.basis, advice.seeds) == ("none", OPEN, (0, 0))
        assert advice.standings == ()
        assert advice_across().seeds == (0, 0)

    def test_another_baseline(self):
        comparisons = table(*rows("none", UNSURE, UNSURE, UNSURE))
        assert advise(comparisons, comparisons, baseline="fourier").prior == "fourier"

    def test_is_stated_in_words(self):
        text = " ".join(RULE)
        for word in ("margin", "intersection-union", "provisionally", "trade-off", "cheaper"):
            assert word in text


class TestOrder:
    def test_the_advised_go_before_the_provisional_whatever_they_gain(self):
        advice = advice_of(
            *rows("fourier", ALMOST, BETTER, BETTER),
            *rows("tv", SAFE, BETTER, SAFE),
            *rows("l1", UNSURE, UNSURE, UNSURE),
        )
        assert [standing.kind for standing in advice.standings] == [PROVISIONAL, ADVISED, OPEN]
        assert (advice.prior, advice.rivals) == ("tv", ())

    def test_more_axes_go_first_at_any_price(self):
        advice = advice_of(
            *rows("tv", SAFE, BETTER, SAFE),
            *rows("fourier", SAFE, BETTER, BETTER),
            price("tv", 1.0),
            price("fourier", 3.0),
        )
        assert (advice.prior, advice.rivals) == ("fourier", ())

    def test_two_metrics_of_an_axis_are_one_axis(self):
        second = row("tv", "localisation", metric="motif-auroc", **BETTER)
        advice = advice_of(
            *rows("tv", SAFE, BETTER, SAFE), second, *rows("fourier", SAFE, BETTER, SAFE)
        )
        assert (advice.prior, advice.rivals) == ("tv", ("fourier",))

    def test_the_cheaper_of_equals_goes_first_and_the_other_is_named(self):
        both = [*rows("tv", SAFE, BETTER, BETTER), *rows("fourier", SAFE, BETTER, BETTER)]
        advice = advice_of(*both, price("tv", 1.5), price("fourier", 1.4))
        assert (advice.prior, advice.rivals, advice.advised.price) == ("fourier", ("tv",), 1.4)

    def test_a_known_price_goes_before_an_unknown_one(self):
        both = [*rows("tv", SAFE, BETTER, BETTER), *rows("fourier", SAFE, BETTER, BETTER)]
        assert advice_of(*both, price("fourier", 9.0)).prior == "fourier"

    def test_equals_stay_in_the_order_of_the_study(self):
        both = [*rows("tv", SAFE, BETTER, BETTER), *rows("fourier", SAFE, BETTER, BETTER)]
        advice = advice_of(*both)
        assert (advice.prior, advice.rivals) == ("tv", ("fourier",))

    def test_the_size_of_a_gain_decides_nothing(self):
        larger = {**BETTER, "gain": 3.0}
        both = [*rows("tv", SAFE, BETTER, SAFE), *rows("fourier", SAFE, larger, SAFE)]
        assert advice_of(*both).prior == "tv"


class TestWhatDoesNotCount:
    @pytest.mark.parametrize("kind", [BETTER, WORSE])
    def test_exploratory_metrics(self, kind):
        own = rows("fourier", UNSURE, UNSURE, UNSURE)
        lead = row("fourier", "localisation", **kind, family=EXPLORATORY)
        assert advice_of(*own, lead).basis == advice_of(*own).basis == OPEN

    def test_failures_beside_the_scores_that_they_count_as(self):
        own = rows("fourier", SAFE, BETTER, BETTER)
        advice = advice_of(*own, failures={"fourier": FailureCount(2, 8)})
        assert advice.prior == "fourier"
        assert advice.advised.failures == FailureCount(2, 8)


class TestAcross:
    def test_a_loss_in_one_setting_is_left_to_the_reader(self):
        good = [
            across_row("tv", "prediction", **SAFE),
            across_row("tv", "localisation", **BETTER),
        ]
        assert advice_across(*good).prior == "tv"
        advice = advice_across(*good, within=(row("tv", "prediction", **WORSE),))
        assert (advice.prior, advice.basis) == ("none", TRADE_OFF)


METRICS = ("auroc", "motif-auprc", "mutagenesis-correlation")
EFFECTS = (0.0, 0.0, 0.005, 0.03, 0.1, -0.005, -0.03, -0.1)


def random_scores(generator, priors, seeds):
    """Return scores of priors with effects of all sizes, and gains that a seed shares."""
    scores = {metric: {} for metric in METRICS}
    most = max(seeds.values())
    for by_prior in scores.values():
        base = 0.7 + 0.02 * generator.standard_normal(most)
        by_prior["none"] = base
        shared = generator.standard_normal(most)
        for prior in priors:
            spread = generator.choice([0.002, 0.01, 0.05])
            noise = generator.standard_normal(most) + generator.uniform(-1, 1) * shared
            values = base + generator.choice(EFFECTS) + spread * noise
            by_prior[prior] = values[: seeds[prior]]
    return scores


def only(scores, priors):
    return {metric: {p: by_prior[p] for p in priors} for metric, by_prior in scores.items()}


def kinds(advice):
    return {standing.prior: standing.kind for standing in advice.standings}


def company(seed, count, extra, lengths):
    """Return scores by name of prior: ``count`` priors, and ``extra`` ones that are added."""
    generator = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(count)]
    added = [f"x{i}" for i in range(extra)]
    seeds = {name: int(lengths[0]) for name in names}
    seeds |= {name: int(generator.choice(lengths)) for name in added}
    return names, added, random_scores(generator, [*names, *added], {**seeds, "none": max(lengths)})


def check(alone, few, many, names):
    """Assert that no prior is nearer to advice in company than it is alone."""
    for name in names:
        if kinds(alone[name])[name] not in CANDIDATES:
            assert kinds(few)[name] not in CANDIDATES
            assert kinds(many)[name] not in CANDIDATES
        if kinds(few)[name] == TRADE_OFF:
            assert kinds(many)[name] not in CANDIDATES
            assert many.prior != name
        for advice in (few, many):
            if advice.prior == name:
                assert alone[name].prior == name


class TestCompany:
    """Arms that are added to a study never turn a trade-off into advice."""

    @settings(deadline=None, max_examples=60 if EVERYTHING else 20)
    @given(
        st.integers(0, 2**32 - 1),
        st.integers(1, 3),
        st.integers(1, 3),
        # fewer and more seeds than are flipped exhaustively
        st.sampled_from([(6,), (8,), (8, 12), (10, 16), (14, 17), (16,)]),
    )
    def test_in_one_setting(self, seed, count, extra, lengths):
        names, added, scores = company(seed, count, extra, lengths)

        def advice(priors):
            (answer,) = answer_to(result_table(only(scores, ["none", *priors]))).settings
            return answer.advice

        alone = {name: advice([name]) for name in names}
        check(alone, advice(names), advice([*names, *added]), names)

    @pytest.mark.slow
    @settings(deadline=None, max_examples=12 if EVERYTHING else 5)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(1, 2))
    def test_over_several_settings(self, seed, count, extra):
        names, added, first = company(seed, count, extra, (8,))
        *_, second = company(seed + 1, count, extra, (8,))

        def advice(priors):
            tables = [
                result_table(only(scores, ["none", *priors]), dataset=dataset)
                for dataset, scores in (("x", first), ("y", second))
            ]
            return answer_to(pd.concat(tables, ignore_index=True)).together.advice

        alone = {name: advice([name]) for name in names}
        check(alone, advice(names), advice([*names, *added]), names)

    def test_the_property_is_not_empty(self):
        seen = set()
        for seed in range(60):
            names, _, scores = company(seed, 2, 1, (8,))
            (answer,) = answer_to(result_table(only(scores, ["none", *names]))).settings
            seen |= set(kinds(answer.advice).values())
        assert {ADVISED, TRADE_OFF, OPEN} <= seen
