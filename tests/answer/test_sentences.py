"""The sentences of the answer: what they name, with which sizes."""

from dataclasses import replace

import pytest
from fixtures.comparison_rows import (
    ALMOST,
    BETTER,
    LOST,
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
from hypothesis import given, settings
from hypothesis import strategies as st

from priorbench.answer.sentences import (
    advice_sentences,
    claims_sentences,
    level_text,
    reach_sentence,
)
from priorbench.answer.standing import TRADE_OFF
from priorbench.number_text import decimals_for, fixed
from priorbench.statistics.families.multiplicity import HOLM
from priorbench.study.declared import ALL, EXPLORATORY, DeclaredClaims

CLAIMS = DeclaredClaims()
SMALL = {**SAFE, "gain": -0.02}
"""an estimated loss within the margin, which is proved to be"""
KINDS = (SAFE, ALMOST, SMALL, BETTER, WORSE, LOST, UNSURE, UNTESTED)


def text_of(*rows, **more):
    return " ".join(advice_sentences(advice_of(*rows, **more)))


def starting(sentences, start):
    (sentence,) = [line for line in sentences if line.startswith(start)]
    return sentence


class TestAdvised:
    def test_says_what_for_and_why_it_is_safe(self):
        sentences = advice_sentences(advice_of(*rows("tv", SAFE, BETTER, SAFE)))
        assert sentences[0] == ("Train with `tv`: it is better than `none` on localisation.")
        assert sentences[1] == (
            "A loss as large as the margin is excluded on every axis (p = .004, one prior)."
        )
        assert not any("corrected for" in sentence for sentence in sentences)
        assert sentences[2] == (
            "That is one claim about all axes; by verdicts of their own, prediction and stability "
            "are open."
        )
        assert sentences[3] == "Its gain: motif-auprc +0.300 [0.100, 0.500]."
        assert sentences[4] == "No axis has an estimated loss."

    def test_says_how_many_networks_gain_and_lose_more_than_the_margin(self):
        counts = {"seeds_gaining": 5, "seeds_losing": 1}
        start = "Pairs of networks that gain and that lose more than the margin: "
        kinds = [{**kind, **counts} for kind in (SAFE, BETTER)]
        counted = [*rows("tv", *kinds, SAFE), *rows("l1", *kinds, UNSURE)]
        assert starting(advice_sentences(advice_of(*counted)), start) == (
            f"{start}prediction 5 and 1 of 8; localisation 5 and 1 of 8."
        )
        # over settings those of all settings count; folders of earlier versions have no counts
        within = [
            *rows("tv", *kinds, SAFE),
            *rows("tv", SAFE, BETTER, SAFE, task="rbp"),
            *rows("tv", *kinds, SAFE, dataset="b"),
        ]
        across = [
            across_row("tv", "prediction", **SAFE),
            across_row("tv", "localisation", **BETTER),
            across_row("tv", "stability", **SAFE),
        ]
        assert starting(advice_sentences(advice_across(*across, within=within)), start) == (
            f"{start}prediction 10 and 2 of 16; localisation 10 and 2 of 16."
        )
        assert start not in text_of(*rows("tv", SAFE, BETTER, SAFE))
        # how a network agrees with all others is of no pair
        agreement = [SAFE, BETTER, {**SAFE, **counts}]
        assert start not in text_of(*rows("tv", *agreement))

    def test_says_for_how_many_priors_it_is_corrected(self):
        text = text_of(*rows("tv", SAFE, BETTER, SAFE), *rows("l1", UNSURE, UNSURE, UNSURE))
        assert "on every axis (p = .008, corrected for 2 priors)." in text

    def test_axes_without_a_verdict_of_their_own_are_named(self):
        sure = {**SAFE, "verdict": "non-inferior"}
        assert "by verdicts of their own, prediction is open." in text_of(
            *rows("tv", SAFE, BETTER, sure)
        )
        assert "verdicts of their own" not in text_of(*rows("tv", sure, BETTER, sure))

    def test_every_estimated_loss_has_its_size_and_margin(self):
        tiny = {**SAFE, "gain": -0.004}
        sentences = advice_sentences(advice_of(*rows("tv", SMALL, BETTER, tiny)))
        assert starting(sentences, "Its estimated losses, each within the margin: ") == (
            "Its estimated losses, each within the margin: prediction (auroc −0.020, margin 0.100) "
            "and stability (seed-cosine-corrected −0.004, margin 0.100)."
        )

    def test_a_loss_has_the_sign_of_its_metric(self):
        loss = row("tv", "prediction", metric="profile-nll", **SMALL)
        text = text_of(loss, row("tv", "localisation", **BETTER))
        assert "prediction (profile-nll +0.020, margin 0.100)" in text

    def test_provisional_says_so(self):
        advice = advice_of(*rows("tv", ALMOST, BETTER, SAFE), *rows("l1", UNSURE, UNSURE, UNSURE))
        sentences = advice_sentences(advice)
        assert sentences[0].startswith("Train with `tv`, provisionally: it is better")
        assert sentences[1] == (
            "Every axis excludes a loss beyond its margin among the tests of the family; as one "
            "claim about the prior it is not yet excluded (p = .060, corrected for 2 priors), for "
            "which more seeds are needed."
        )

    def test_the_price_and_what_would_do_as_well(self):
        both = [*rows("tv", SAFE, BETTER, SAFE), *rows("l1", SAFE, BETTER, SAFE)]
        text = text_of(*both, price("tv", 1.4), price("l1", 1.5))
        assert "A training step takes 1.40 times as long as with `none`." in text
        assert "By verdicts `l1` would do as well" in text
        assert "training step" not in text_of(*both)

    def test_trade_offs_are_named_beside_it(self):
        text = text_of(*rows("tv", SAFE, BETTER, SAFE), *rows("l1", LOST, BETTER, SMALL))
        assert text.startswith("Train with `tv`")
        assert (
            "`l1` is a trade-off: better on localisation (motif-auprc +0.300 [0.100, 0.500]); with "
            "an estimated loss on prediction (auroc −0.300, margin 0.100). Smaller estimated "
            "losses: stability (seed-cosine-corrected −0.020, margin 0.100)." in text
        )


class TestNotAdvised:
    def test_trade_offs(self):
        sentences = advice_sentences(advice_of(*rows("tv", WORSE, BETTER, SAFE)))
        assert sentences[0] == "Stay with `none`, unless you can pay for a trade-off."
        assert sentences[1].endswith("; worse on prediction (auroc −0.300, margin 0.100).")

    def test_only_a_verdict_is_called_worse(self):
        likely = {**WORSE, "verdict": "inconclusive", "p_own": 0.02}
        text = text_of(*rows("tv", likely, BETTER, WORSE))
        assert (
            "; worse on stability (seed-cosine-corrected −0.300, margin 0.100); with an estimated "
            "loss on prediction (auroc −0.300, margin 0.100)."
        ) in text
        good = [across_row("tv", "prediction", **SAFE), across_row("tv", "localisation", **BETTER)]
        within = (row("tv", "prediction", **likely), row("tv", "localisation", **BETTER))
        text = " ".join(advice_sentences(advice_across(*good, within=within)))
        assert "; likely worse in binary · simulated · three-conv on prediction (auroc" in text
        assert "worse" not in text_of(*rows("tv", likely, UNSURE, UNSURE)).lower()

    def test_a_loss_in_one_setting_is_named_with_its_place(self):
        good = [across_row("tv", "prediction", **SAFE), across_row("tv", "localisation", **BETTER)]
        within = (row("tv", "prediction", **WORSE),)
        text = " ".join(
            advice_sentences(advice_across(*good, within=within), "network over all settings")
        )
        assert (
            "; worse in binary · simulated · three-conv on prediction (auroc −0.300, margin 0.100)."
        ) in text
        assert "How sure: 8 paired networks over all settings; 6 tests" in text

    def test_a_gain_whose_safety_is_open_says_why(self):
        text = text_of(*rows("tv", UNSURE, BETTER, SAFE))
        assert text.startswith("No prior is advised: train with `none`.")
        assert (
            "but a loss beyond the margin is not excluded on prediction (auroc 0.000, margin 0.100)"
        ) in text
        unknown = {**SAFE, "margin": NAN, "safe_p": NAN, "gain": -0.2}
        text = text_of(*rows("tv", unknown, BETTER, SAFE))
        assert "but no margin is known on prediction (auroc)" in text
        assert "Its estimated losses: prediction (auroc −0.200" in text
        text = text_of(*rows("tv", SAFE, BETTER, SAFE), withheld=("stability",))
        assert "but the claim on stability was changed after training" in text
        text = text_of(*rows("tv", SAFE, BETTER), *rows("l1", UNSURE, UNSURE, UNSURE))
        assert "but nothing was asked about stability." in text

    def test_harmful_costless_and_open(self):
        text = text_of(
            *rows("l1", WORSE, UNSURE, UNSURE),
            *rows("l2", SAFE, SAFE, SAFE),
            *rows("tv", SAFE, SAFE, SAFE),
            *rows("dropout", UNSURE, UNSURE, UNSURE),
        )
        assert (
            "Worse, and better on nothing: `l1` on prediction (auroc −0.300, margin 0.100)." in text
        )
        both = "`l2` and `tv` cost nothing that matters, and were not shown to gain anything."
        assert both in text
        assert "Open, which is no evidence that there is no difference: `dropout`." in text
        assert "Estimated losses of" not in text

    def test_harm_in_one_setting_is_named_with_its_place(self):
        safe = [across_row("tv", axis, **SAFE) for axis in ("prediction", "localisation")]
        within = (row("tv", "prediction", **WORSE), row("tv", "localisation", **SAFE))
        assert (
            "Worse, and better on nothing: `tv` in binary · simulated · three-conv on prediction "
            "(auroc −0.300, margin 0.100)."
        ) in advice_sentences(advice_across(*safe, within=within))

    def test_what_costs_nothing_that_matters_has_its_estimated_losses_named(self):
        assert (
            "Estimated losses of `tv`, each within the margin: prediction (auroc −0.020, margin "
            "0.100)."
        ) in text_of(*rows("tv", SMALL, SAFE, SAFE))

    def test_nothing_was_compared(self):
        (sentence,) = advice_sentences(advice_of())
        assert sentence.startswith("Train with `none`: nothing was compared")

    def test_nothing_is_as_it_was_declared(self):
        exploratory = rows("tv", SAFE, BETTER, SAFE, family=EXPLORATORY)
        (sentence,) = advice_sentences(advice_of(*exploratory, withheld=("prediction",)))
        assert sentence.startswith("Train with `none`: no verdict counts")

    def test_an_axis_that_some_settings_lack_is_named(self):
        good = [across_row("tv", "prediction", **SAFE), across_row("tv", "localisation", **BETTER)]
        within = [
            row("tv", "prediction", **SAFE, dataset="x"),
            row("tv", "prediction", **SAFE, dataset="y"),
            row("tv", "localisation", **BETTER, dataset="x"),
        ]
        named = "Of the 2 settings, 1 has a result on localisation: nothing was asked about it"
        assert named in " ".join(advice_sentences(advice_across(*good, within=tuple(within))))
        within.append(row("tv", "localisation", **SAFE, dataset="y"))
        assert "nothing was asked" not in " ".join(
            advice_sentences(advice_across(*good, within=tuple(within)))
        )


class TestHowSure:
    def test_every_prior_has_its_own_number_of_seeds(self):
        many = rows("tv", SAFE, BETTER, SAFE, n=16)
        text = text_of(*many, *rows("l1", UNSURE, UNSURE, UNSURE, n=8))
        assert "How sure: paired seeds: `tv` 16, `l1` 8; 6 tests of a difference" in text
        text = text_of(*many, *rows("l1", UNSURE, UNSURE, UNSURE, n=16))
        assert "How sure: 16 paired seeds; 6 tests" in text

    def test_correction_and_level_are_said(self):
        text = text_of(*rows("tv", SAFE, BETTER, SAFE))
        assert (
            "p corrected by joint sign flips of whole seeds (step-down max |t|), at a level of .04."
        ) in text
        by_holm = [{**r, "correction": HOLM} for r in rows("tv", SAFE, BETTER, SAFE)]
        assert "p corrected by Holm’s method" in text_of(*by_holm)
        levels = [0.04, 0.005, 0.0025, 0.02 / 2**15, 0.02 / 2**20]
        texts = [".04", ".005", ".0025", ".00000061", ".0000000191"]
        assert [level_text(level) for level in levels] == texts


class TestLeads:
    @pytest.mark.parametrize("verdict", ["inconclusive", "non-inferior", "equivalent"])
    def test_are_listed_whatever_the_verdict(self, verdict):
        lead = {**UNSURE, "verdict": verdict, "gain": 0.05, "p": 0.03, "p_adjusted": 0.2}
        for beside in (UNSURE, BETTER):
            text = text_of(*rows("tv", lead, beside, UNSURE))
            assert "Leads, not findings, for seeds to come: `tv` auroc +0.050" in text
            assert "p = .030, corrected .200." in text

    def test_are_not_what_was_shown_or_is_far_from_it(self):
        assert "Leads" not in text_of(*rows("tv", SAFE, BETTER, WORSE))
        assert "Leads" not in text_of(*rows("tv", {**UNSURE, "p": 0.051}, UNSURE, UNSURE))
        at_the_end = {**UNSURE, "p": 0.05}
        assert "Leads" in text_of(*rows("tv", at_the_end, UNSURE, UNSURE))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(KINDS)] * 3), min_size=1, max_size=4))
def test_every_estimated_loss_of_a_prior_with_a_gain_is_named_with_its_size(kinds):
    """Also of a prior that is not advised: who reads of its gain must read of its losses."""
    every = [r for i, own in enumerate(kinds) for r in rows(f"p{i}", *own)]
    advice = advice_of(*every)
    sentences = advice_sentences(advice)
    assert all(sentence.endswith(".") for sentence in sentences)
    assert "nan" not in " ".join(sentences)
    for standing in advice.standings:
        advised = standing.prior == advice.prior
        # beside an advised prior others are described where they are trade-offs
        described = standing.kind == TRADE_OFF or (standing.gains and advice.advised is None)
        about = [s for s in sentences if f"`{standing.prior}`" in s and not s.startswith("Leads")]
        named = " ".join(sentences if advised else about)
        for result in standing.estimated_losses if advised or described else ():
            size = fixed(result.difference, decimals_for([result.difference, result.margin]))
            assert f"{result.axis} ({result.metric} {size}" in named


class TestClaims:
    def test_nothing_is_said_of_what_is_as_declared(self):
        assert claims_sentences(CLAIMS) == []

    def test_every_change_is_named_once(self):
        changed = {"auroc": "the margin was moved", "auprc": "the margin was moved", ALL: "and x"}
        sentences = claims_sentences(replace(CLAIMS, changed=changed))
        assert len(sentences) == 2
        assert sentences[0].endswith("exploratory: the margin was moved.")

    def test_a_run_without_a_seal_says_so(self):
        (sentence,) = claims_sentences(replace(CLAIMS, sealed=False))
        assert "were not sealed before training" in sentence

    def test_a_further_look_says_its_level(self):
        (sentence,) = claims_sentences(replace(CLAIMS, look=3))
        assert sentence == (
            "This is look 3 at these results, with other seeds, priors or weights than before: its "
            "level is .0025, as every look spends some of .05."
        )


class TestReach:
    def test_says_nothing_of_enough_seeds(self):
        assert reach_sentence(6, 20, CLAIMS) == ""
        assert reach_sentence(8, 500, CLAIMS) == ""

    @pytest.mark.parametrize(
        ("seeds", "smallest"), [(5, ".063"), (4, ".125"), (3, ".250"), (2, ".500")]
    )
    def test_says_what_too_few_seeds_cannot_show_and_how_many_can(self, seeds, smallest):
        sentence = reach_sentence(seeds, 20, CLAIMS)
        assert sentence.startswith(f"With {seeds} seeds this study cannot show")
        assert f"its smallest adjusted p is {smallest}, and the level is .04" in sentence
        assert "6 seeds are the fewest that can, and `--seeds 8`" in sentence

    def test_one_seed_has_no_test(self):
        assert "With 1 seed this study" in reach_sentence(1, 1, CLAIMS)
        assert "With 1 seed one setting alone" in reach_sentence(1, 1, CLAIMS, 3)
        assert "it has no test" in reach_sentence(1, 1, CLAIMS)

    def test_the_number_to_ask_for_grows_with_holms_tests_and_with_looks(self):
        by_holm = replace(CLAIMS, correction=HOLM)
        assert "10 seeds are the fewest that can, and `--seeds 10`" in reach_sentence(
            8, 20, by_holm
        )
        later = replace(CLAIMS, look=2)
        assert "9 seeds are the fewest that can, and `--seeds 9`" in reach_sentence(8, 20, later)
