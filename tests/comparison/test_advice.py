"""Which prior is advised, on hand-made tables of comparisons."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.answer.advice import advise, advise_across
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
from priorbench.comparison.over_datasets import ACROSS_COLUMNS
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS
from priorbench.metrics import METRICS
from priorbench.statistics.families.multiplicity import HOLM
from priorbench.study.declared import EXPLORATORY, PRIMARY

AXES = {"prediction": "auroc", "localisation": "motif-auprc", "stability": "seed-cosine"}
SIGNS = {"better": 1, "worse": -1}
NAN = float("nan")


def row(prior, axis, verdict, *, metric="", family=PRIMARY, n=8, **more):
    """Return a row whose mean difference goes against its verdict, so that reading means shows."""
    blank = dict.fromkeys(COMPARISON_COLUMNS, NAN)
    texts = {"prior": prior, "axis": axis, "verdict": verdict, "family": family}
    texts |= {"metric": metric or AXES[axis], "correction": HOLM, "baseline": "none"}
    numbers = {"difference": -9.0 * SIGNS.get(verdict, 0), "n": n, "tests": 6, "p_adjusted": 0.04}
    return {**blank, **texts, **numbers, **more}


def price(prior, ratio):
    return row(
        prior, "cost", "worse", metric="step-time-ratio", family=EXPLORATORY, mean_prior=ratio
    )


def table(*rows):
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def verdicts(prior, *words, **more):
    """Return the rows of a prior on prediction, localisation and stability."""
    return [row(prior, axis, word, **more) for axis, word in zip(AXES, words, strict=False)]


def advice_of(*rows, **more):
    return advise(table(*rows), baseline="none", **more)


class TestRule:
    def test_a_clear_winner_is_advised(self):
        advice = advice_of(
            *verdicts("fourier", "non-inferior", "better", "better"),
            *verdicts("tv", "inconclusive", "inconclusive", "inconclusive"),
        )
        assert (advice.prior, advice.basis, advice.rivals) == ("fourier", ADVISED, ())
        assert [result.metric for result in advice.advised.gains] == ["motif-auprc", "seed-cosine"]
        assert (advice.n, advice.tests, advice.correction) == (8, 6, HOLM)

    def test_a_trade_off_is_named_and_not_advised(self):
        advice = advice_of(*verdicts("fourier", "worse", "better", "inconclusive"))
        assert (advice.prior, advice.basis) == ("none", TRADE_OFF)
        assert advice.advised is None
        (standing,) = advice.standings
        assert standing.kind == TRADE_OFF
        assert [result.axis for result in standing.gains] == ["localisation"]
        assert [result.axis for result in standing.losses] == ["prediction"]

    def test_a_trade_off_does_not_hide_a_winner(self):
        advice = advice_of(
            *verdicts("fourier", "worse", "better", "better"),
            *verdicts("tv", "equivalent", "better", "inconclusive"),
        )
        assert (advice.prior, advice.basis) == ("tv", ADVISED)

    def test_nothing_conclusive_leaves_the_baseline(self):
        advice = advice_of(*verdicts("fourier", *["inconclusive"] * 3))
        assert (advice.prior, advice.basis) == ("none", OPEN)
        assert len(advice.standings[0].undecided) == 3

    def test_no_loss_alone_is_no_reason(self):
        advice = advice_of(*verdicts("fourier", "equivalent", "inconclusive", "inconclusive"))
        assert (advice.prior, advice.basis) == ("none", OPEN)
        assert advice.standings[0].kind == COSTLESS

    def test_one_seed_leaves_the_baseline(self):
        advice = advice_of(*verdicts("fourier", "", "", "", n=1, tests=0, p_adjusted=NAN))
        assert (advice.prior, advice.basis, advice.n) == ("none", OPEN, 1)

    def test_a_gain_at_an_open_price_is_provisional(self):
        advice = advice_of(*verdicts("fourier", "inconclusive", "better", "inconclusive"))
        assert (advice.prior, advice.basis) == ("fourier", PROVISIONAL)

    def test_prediction_that_was_not_declared_is_open(self):
        advice = advice_of(row("fourier", "localisation", "better"))
        assert advice.basis == PROVISIONAL

    def test_settled_prediction_goes_before_more_gains(self):
        advice = advice_of(
            *verdicts("fourier", "inconclusive", "better", "better"),
            *verdicts("tv", "non-inferior", "better", "inconclusive"),
        )
        assert (advice.prior, advice.rivals) == ("tv", ())

    def test_a_loss_below_the_margin_is_no_loss(self):
        small = row("fourier", "prediction", "worse", margin=0.01, p_equivalent_adjusted=0.03)
        advice = advice_of(small, row("fourier", "localisation", "better"))
        assert advice.basis == ADVISED
        assert advice.advised.losses == []
        large = row("fourier", "prediction", "worse", margin=0.01, p_equivalent_adjusted=0.06)
        assert advice_of(large, row("fourier", "localisation", "better")).basis == TRADE_OFF

    def test_worse_everywhere_is_harmful(self):
        advice = advice_of(*verdicts("l1", "worse", "inconclusive", "worse"))
        assert (advice.prior, advice.basis) == ("none", OPEN)
        assert advice.standings[0].kind == HARMFUL


class TestOrder:
    def test_more_axes_go_first_at_any_price(self):
        advice = advice_of(
            *verdicts("tv", "equivalent", "better", "inconclusive"),
            *verdicts("fourier", "equivalent", "better", "better"),
            price("tv", 1.0),
            price("fourier", 3.0),
        )
        assert (advice.prior, advice.rivals) == ("fourier", ())

    def test_the_cheaper_of_equals_goes_first_and_the_other_is_named(self):
        same = ("equivalent", "better", "better")
        rows = [*verdicts("tv", *same), *verdicts("fourier", *same)]
        advice = advice_of(*rows, price("tv", 1.5), price("fourier", 1.4))
        assert (advice.prior, advice.rivals, advice.advised.price) == ("fourier", ("tv",), 1.4)

    def test_unknown_prices_leave_the_order_of_the_study(self):
        same = ("equivalent", "better", "better")
        advice = advice_of(*verdicts("tv", *same), *verdicts("fourier", *same))
        assert (advice.prior, advice.rivals) == ("tv", ("fourier",))


class TestWhatDoesNotCount:
    @pytest.mark.parametrize("verdict", ["better", "worse"])
    def test_exploratory_metrics(self, verdict):
        rows = verdicts("fourier", *["inconclusive"] * 3)
        lead = row("fourier", "localisation", verdict, metric="motif-auprc", family=EXPLORATORY)
        assert advice_of(*rows, lead).basis == advice_of(*rows).basis == OPEN

    def test_what_priors_optimise(self):
        smooth = [name for name, metric in METRICS.items() if metric.optimised_for]
        assert smooth
        rows = [row("fourier", "smoothness", "better", metric=name) for name in smooth]
        assert advice_of(*rows).prior == "none"

    def test_nothing_was_compared(self):
        advice = advice_of()
        assert (advice.prior, advice.basis, advice.n, advice.standings) == ("none", OPEN, 0, ())


class TestFailures:
    def test_are_carried_and_do_not_change_the_verdict(self):
        rows = verdicts("fourier", "equivalent", "better", "better")
        advice = advice_of(*rows, failures={"fourier": FailureCount(2, 8)})
        assert advice.prior == "fourier"
        assert advice.advised.failures == FailureCount(2, 8)

    def test_another_baseline(self):
        advice = advise(
            table(*verdicts("none", *["inconclusive"] * 3)), baseline="fourier", failures={}
        )
        assert advice.prior == "fourier"


WORDS = st.sampled_from(["better", "worse", "equivalent", "non-inferior", "inconclusive", ""])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_means_never_matter_and_only_gains_are_advised(words_by_prior, seed):
    names = [f"p{i}" for i in range(len(words_by_prior))]
    rows = [
        r for name, words in zip(names, words_by_prior, strict=True) for r in verdicts(name, *words)
    ]
    generator = np.random.default_rng(seed)
    moved = [
        {**r, "difference": x, "mean_prior": x, "mean_baseline": -x}
        for r, x in zip(rows, generator.normal(size=len(rows)), strict=True)
    ]
    advice, other = advice_of(*rows), advice_of(*moved)
    assert (advice.prior, advice.basis, advice.rivals) == (other.prior, other.basis, other.rivals)
    assert all(standing.kind in STANDINGS for standing in advice.standings)
    if advice.prior == "none":
        assert not any(s.gains and not s.losses for s in advice.standings)
    else:
        assert advice.advised.gains
        assert not advice.advised.losses


def across_row(prior, axis, verdict, **more):
    blank = dict.fromkeys(ACROSS_COLUMNS, NAN)
    texts = {"prior": prior, "axis": axis, "metric": AXES[axis], "verdict": verdict}
    texts |= {"family": PRIMARY, "correction": HOLM, "baseline": "none"}
    numbers = {"difference": -9.0, "runs": 24, "datasets": 3, "settings": 3, "tests": 6}
    return {**blank, **texts, **numbers, "p_adjusted": 0.04, **more}


def advice_across(*rows, prices=(), **more):
    table_across = pd.DataFrame(rows, columns=ACROSS_COLUMNS)
    return advise_across(table_across, table(*prices), baseline="none", **more)


class TestAcross:
    def test_the_rule_is_the_same(self):
        advice = advice_across(
            *(
                across_row("tv", axis, word)
                for axis, word in zip(AXES, ("non-inferior", "better", "inconclusive"), strict=True)
            ),
            *(across_row("l1", axis, "inconclusive") for axis in AXES),
        )
        assert (advice.prior, advice.basis, advice.n, advice.tests) == ("tv", ADVISED, 24, 6)
        assert [result.metric for result in advice.advised.gains] == ["motif-auprc"]

    def test_prices_are_means_over_settings(self):
        same = [across_row(p, "localisation", "better") for p in ("tv", "l1")]
        rows = [price("tv", 1.2), price("tv", 2.0), price("l1", 1.5), price("l1", 1.5)]
        advice = advice_across(*same, prices=rows)
        assert (advice.prior, advice.rivals) == ("l1", ("tv",))
        assert advice.advised.price == 1.5

    def test_an_axis_with_two_metrics_is_worse_if_one_of_them_is(self):
        advice = advice_across(
            across_row("tv", "localisation", "better"),
            across_row("tv", "prediction", "non-inferior"),
            across_row("tv", "prediction", "worse", metric="profile-nll"),
        )
        assert (advice.prior, advice.basis) == ("none", TRADE_OFF)

    def test_without_a_common_prediction_metric_the_price_is_open(self):
        assert advice_across(across_row("tv", "localisation", "better")).basis == PROVISIONAL

    def test_a_loss_within_the_margin_is_no_loss(self):
        small = across_row("tv", "prediction", "worse", p_equivalent_adjusted=0.03)
        advice = advice_across(across_row("tv", "localisation", "better"), small)
        assert (advice.prior, advice.basis) == ("tv", ADVISED)

    def test_nothing_is_shared(self):
        assert advice_across().n == 0
