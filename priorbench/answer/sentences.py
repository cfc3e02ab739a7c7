"""The sentences of the answer: what the advice is, what it rests on, what was not shown.

Names of priors are between backquotes, which the report turns into its own type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from priorbench.comparison.correction_families import CORRECTIONS_IN_WORDS
from priorbench.number_text import (
    counted,
    decimals_for,
    fixed,
    interval,
    listed,
    p_value,
    with_relation,
)
from priorbench.statistics.families.verdicts import WORSE
from priorbench.statistics.power import ClaimKind, fewest_pairs, smallest_adjusted_p
from priorbench.study.declared import DeclaredClaims

from .advice import Advice
from .primary_result import PrimaryResult
from .standing import (
    ADVISED,
    COSTLESS,
    HARMFUL,
    OPEN,
    PROVISIONAL,
    TRADE_OFF,
    PriorStanding,
)


def advice_sentences(advice: Advice, unit: str = "seed", *, elsewhere: bool = False) -> list[str]:
    """Return the sentences about one setting, or about all of them, the advice first.

    Args:
        advice: the advice.
        unit: what a pair is of: a seed, or a network over all settings.
        elsewhere: whether the networks were trained elsewhere, of which nothing is advised.
    """
    if not any(standing.results for standing in advice.standings):
        first = "No answer: " if elsewhere else f"Train with `{advice.baseline}`: "
        if any(standing.withheld for standing in advice.standings):
            return [f"{first}no verdict counts, as what is claimed is not what was declared."]
        return [
            f"{first}nothing was compared, as no primary metric has a value in every paired trial."
        ]
    sentences = [
        *_headline(advice, elsewhere=elsewhere),
        *advice.partial,
        *_how_sure(advice, unit.replace("seed", "network") if elsewhere else unit),
        *_leads(advice),
    ]
    return [sentence for sentence in sentences if sentence]


def claims_sentences(claims: DeclaredClaims) -> list[str]:
    """Return what a reader must know of the seal on the claims, and of the look."""
    sentences = [
        f"Not as declared before training, so that verdicts on it are exploratory: {text}."
        for text in dict.fromkeys(claims.changed.values())
    ]
    if not claims.sealed and not claims.changed:
        sentences.append("The claims of this run were not sealed before training.")
    if claims.look > 1:
        sentences.append(
            f"This is look {claims.look} at these results, with other seeds, priors or weights "
            f"than before: its level is {level_text(claims.level)}, as every look spends some of "
            ".05."
        )
    return sentences


def reach_sentence(seeds: int, tests: int, claims: DeclaredClaims, settings: int = 1) -> str:
    """Return what a number of seeds can conclude in a family of so many tests; "" if enough.

    It names the number of seeds to ask for.

    Args:
        seeds: number of seeds.
        tests: number of tests of one setting.
        claims: what is declared.
        settings: number of settings of the run; over several, few seeds may conclude something.
    """
    claim = ClaimKind(claims.level, tests=max(tests, 1), correction=claims.correction)
    smallest, fewest = smallest_adjusted_p(seeds, claim), fewest_pairs(claim)
    if seeds >= fewest:
        return ""
    least = f"its smallest adjusted p is {p_value(smallest)}" if seeds > 1 else "it has no test"
    where = "this study" if settings == 1 else "one setting alone"
    what, pair, ask = "prior", "seed", f"`--seeds {max(fewest, 8)}` finds"
    if claims.elsewhere:
        what, pair, ask = "group", "pair", f"{max(fewest, 8)} find"
    return (
        f"With {counted(seeds, pair)} {where} cannot show that any {what} is better or worse, "
        f"whatever the data: {least}, and the level is {level_text(claims.level)}. {fewest} "
        f"{pair}s are the fewest that can, and {ask} large effects."
    )


def _headline(advice: Advice, *, elsewhere: bool) -> Iterator[str]:
    advised = advice.advised
    if advised is not None:
        yield _better(advice, advised, elsewhere=elsewhere)
        yield from _case(advice, advised, elsewhere=elsewhere)
        return
    trade_offs = [s for s in advice.standings if s.kind == TRADE_OFF]
    if trade_offs:
        if not elsewhere:
            yield f"Stay with `{advice.baseline}`, unless you can pay for a trade-off."
        yield from (_trade_off(standing) for standing in trade_offs)
    else:
        yield (
            f"No group is shown to be better than `{advice.baseline}` at no loss."
            if elsewhere
            else f"No prior is advised: train with `{advice.baseline}`."
        )
    unsafe = [s for s in advice.standings if s.kind == OPEN and s.gains]
    yield from (_unsafe(standing) for standing in unsafe)
    yield from _harmful(advice)
    costless = [f"`{s.prior}`" for s in advice.standings if s.kind == COSTLESS]
    if costless:
        verb, was = ("costs", "was") if len(costless) == 1 else ("cost", "were")
        yield (
            f"{listed(costless)} {verb} nothing that matters, and {was} not shown to gain anything."
        )
        for standing in advice.standings:
            if standing.kind == COSTLESS and standing.estimated_losses:
                losses = _results(standing.estimated_losses, margins=True)
                yield f"Estimated losses of `{standing.prior}`, each within the margin: {losses}."
    rest = [f"`{s.prior}`" for s in advice.standings if s.kind == OPEN and not s.gains]
    if rest:
        yield f"Open, which is no evidence that there is no difference: {listed(rest)}."


def _better(advice: Advice, advised: PriorStanding, *, elsewhere: bool) -> str:
    how = ", provisionally" if advice.basis == PROVISIONAL else ""
    axes = listed(list(dict.fromkeys(result.axis for result in advised.gains)))
    if elsewhere:
        return f"`{advice.prior}` is better than `{advice.baseline}` on {axes}{how}."
    return f"Train with `{advice.prior}`{how}: it is better than `{advice.baseline}` on {axes}."


def _case(advice: Advice, advised: PriorStanding, *, elsewhere: bool) -> Iterator[str]:
    """Yield what speaks for the advised prior, what it costs, and what it is not told from."""
    if advice.basis == ADVISED:
        yield (
            "A loss as large as the margin is excluded on every axis "
            f"(p {with_relation(p_value(advised.p_safe))}, {_of_priors(advice)})."
        )
        if advised.undecided:
            undecided = list(dict.fromkeys(result.axis for result in advised.undecided))
            verb = "is" if len(undecided) == 1 else "are"
            yield (
                "That is one claim about all axes; by verdicts of their own, "
                f"{listed(undecided)} {verb} open."
            )
    else:
        yield (
            "Every axis excludes a loss beyond its margin among the tests of the family; as one "
            "claim about the prior it is not yet excluded "
            f"(p {with_relation(p_value(advised.p_safe))}, {_of_priors(advice)}), for which more "
            "seeds are needed."
        )
    gains = "; ".join(map(_result, advised.gains))
    yield f"Its gain{'' if len(advised.gains) == 1 else 's'}: {gains}."
    yield from _small_losses(advised)
    yield from _single_networks(advised)
    if math.isfinite(advised.price):
        yield f"A training step takes {fixed(advised.price, 2)} times as long as with `none`."
    if advice.rivals:
        rivals = listed([f"`{rival}`" for rival in advice.rivals])
        what = "groups" if elsewhere else "priors"
        yield f"By verdicts {rivals} would do as well; {what} are not tested against each other."
    trade_offs = [s for s in advice.standings if s.kind == TRADE_OFF]
    yield from (_trade_off(standing) for standing in trade_offs)
    yield from _harmful(advice)


def _small_losses(advised: PriorStanding) -> Iterator[str]:
    """Yield every loss of the advised prior with its size: those that are shown, and the others."""
    losses = advised.estimated_losses
    shown = [result for result in losses if result.verdict == WORSE]
    others = [result for result in losses if result.verdict != WORSE]
    if shown:
        yield f"It is worse, by less than the margin, on {_results(shown, margins=True)}."
    if others:
        yield f"Its estimated losses, each within the margin: {_results(others, margins=True)}."
    if not losses:
        yield "No axis has an estimated loss."


def _single_networks(advised: PriorStanding) -> Iterator[str]:
    """Yield what one training may expect: a mean may be of many that gain and a few that lose."""
    if advised.beyond:
        counts = [f"{a.axis} {a.gaining} and {a.losing} of {a.pairs}" for a in advised.beyond]
        text = "; ".join(counts)
        yield f"Pairs of networks that gain and that lose more than the margin: {text}."


def _harmful(advice: Advice) -> Iterator[str]:
    harmful = [standing for standing in advice.standings if standing.kind == HARMFUL]
    if harmful:
        yield f"Worse, and better on nothing: {'; '.join(map(_losses_of, harmful))}."


def _of_priors(advice: Advice) -> str:
    count = len(advice.standings)
    return "one prior" if count == 1 else f"corrected for {count} priors"


def _trade_off(standing: PriorStanding) -> str:
    parts = [f"`{standing.prior}` is a trade-off: better on {_results(standing.gains)}"]
    for shown, words in ((True, "worse on"), (False, "with an estimated loss on")):
        losses = [r for r in standing.losses if (r.verdict == WORSE) == shown]
        if losses:
            parts.append(f"{words} {_results(losses, margins=True)}")
    for result in standing.lost_in:
        how = "worse" if result.verdict == WORSE else "likely worse"
        parts.append(f"{how} in {result.setting} on {_results([result], margins=True)}")
    others = [r for r in standing.estimated_losses if r not in standing.losses]
    also = f" Smaller estimated losses: {_results(others, margins=True)}." if others else ""
    return f"{'; '.join(parts)}.{also}"


def _unsafe(standing: PriorStanding) -> str:
    """Return a sentence about a prior with a gain whose safety was not shown."""
    unknown = [result for result in standing.results if not math.isfinite(result.margin)]
    open_axes = [r for r in standing.results if r not in unknown and not r.safe_alone]
    reasons = []
    if open_axes:
        reasons.append(
            f"a loss beyond the margin is not excluded on {_results(open_axes, margins=True)}"
        )
    if unknown:
        axes = listed([f"{result.axis} ({result.metric})" for result in unknown])
        reasons.append(f"no margin is known on {axes}")
    if standing.missing:
        reasons.append(f"nothing was asked about {listed(standing.missing)}")
    if standing.withheld:
        reasons.append(f"the claim on {listed(standing.withheld)} was changed after training")
    why = " and ".join(reasons) or "its safety was not shown"
    others = [result for result in standing.estimated_losses if result not in open_axes]
    also = f" Its estimated losses: {_results(others, margins=True)}." if others else ""
    return f"`{standing.prior}` is better on {_results(standing.gains)}, but {why}.{also}"


def _losses_of(standing: PriorStanding) -> str:
    shown = [r for r in standing.results if r.verdict == WORSE and r.lost]
    elsewhere = [r for r in standing.lost_in if r.verdict == WORSE]
    parts = [f"on {_results(shown, margins=True)}"] if shown else []
    parts += [f"in {r.setting} on {_results([r], margins=True)}" for r in elsewhere]
    return f"`{standing.prior}` {', '.join(parts)}"


def _how_sure(advice: Advice, unit: str) -> Iterator[str]:
    fewest, most = advice.seeds
    noun, *rest = unit.split(" ", maxsplit=1)
    where = "".join(f" {words}" for words in rest)
    if fewest == most:
        pairs = f"{counted(fewest, f'paired {noun}')}{where}"
    else:
        by_prior = [f"`{s.prior}` {s.n}" for s in advice.standings if s.results]
        pairs = f"paired {noun}s{where}: {', '.join(by_prior)}"
    correction = CORRECTIONS_IN_WORDS.get(advice.correction, advice.correction)
    yield (
        f"How sure: {pairs}; {counted(advice.tests, 'test')} of a difference in the primary "
        f"family, p corrected by {correction}, at a level of {level_text(advice.level)}."
    )


def _leads(advice: Advice) -> Iterator[str]:
    leads = [result for standing in advice.standings for result in standing.leads]
    if leads:
        shown = "; ".join(
            f"`{r.prior}` {_result(r)}, p {with_relation(p_value(r.p_raw))}, corrected "
            f"{p_value(r.p)}"
            for r in leads
        )
        yield f"Leads, not findings, for seeds to come: {shown}."


def _results(results: Iterable[PrimaryResult], *, margins: bool = False) -> str:
    return listed([f"{r.axis} ({_result(r, margin=margins)})" for r in results])


def _result(result: PrimaryResult, *, margin: bool = False) -> str:
    """Return a metric with its difference, and its interval or its margin."""
    places = decimals_for([result.difference, result.margin])
    span = interval(*result.ends, places)
    text = f"{result.metric} {fixed(result.difference, places, signed=True)}"
    if margin and math.isfinite(result.margin):
        return f"{text}, margin {fixed(result.margin, places)}"
    return f"{text} {span}".rstrip()


def level_text(level: float) -> str:
    """Return a level without the leading zero: ``.04``, ``.0025``."""
    return np.format_float_positional(level, precision=3, fractional=False, trim="-").lstrip("0")
