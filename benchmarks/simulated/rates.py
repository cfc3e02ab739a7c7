"""How often the verdicts, intervals and advice of simulated studies are false or miss."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.answer.run_answer import Answer
from priorbench.answer.standing import ADVISED, PROVISIONAL
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.families.verdicts import BETTER, EQUIVALENT, NONINFERIOR, WORSE

from .laws import HEAVY, SKEWED, SYMMETRIC, TIES, UNEQUAL
from .whole_path import (
    AXES,
    GAINS,
    HARM,
    LOSSES,
    NOTHING,
    TEMPTATION,
    TRUTHS,
    CarriedOut,
    StudyKind,
    all_carried_out,
)

Flags = NDArray[np.bool_]
"""(families, axes, priors)"""
ROUNDING = 1e-9
"""share of a margin that counts as rounding"""
WITHIN, OVERALL = "within", "overall"
"""families of single datasets, and the family of all datasets together"""


class JudgedFamilies:
    """The tests of one study, by (families, axes, priors), beside the truth."""

    def __init__(self, kind: StudyKind, table: pd.DataFrame) -> None:
        """Read comparisons.csv, of which every dataset is a family, or across.csv, one family."""
        self.table = table
        self.shape = (-1, len(AXES), kind.priors)
        self.effects = kind.effects.T[None]
        self.margin = kind.margin
        self.truth = self.effects * kind.units[:, None]
        self.level = float(table["level"].iloc[0])

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return the (families, axes, priors) numbers of a column."""
        return self.table[column].to_numpy(dtype=float).reshape(self.shape)

    def rejected(self, column: str) -> Flags:
        """Return where an adjusted p is at most the level."""
        return self.numbers(column) <= self.level

    def found(self, different: Flags) -> Flags:
        """Return where a difference is shown in its true direction, and there is one."""
        return different & (np.sign(self.numbers("difference")) * self.effects > 0)

    def by_holm(self) -> Flags:
        """Return where Holm's method would show a difference."""
        p = self.numbers("p")
        families = p.reshape(len(p), -1)
        adjusted = [adjust(family, HOLM) for family in families]
        return np.reshape(adjusted, p.shape) <= self.level

    def contradictions(self) -> int:
        """Return how many intervals say something else than their verdict, of 0 or the margin."""
        verdict = self.table["verdict"].to_numpy(dtype=str).reshape(self.shape)
        low, high, margin = map(self.numbers, ("ci_low", "ci_high", "margin"))
        slack = ROUNDING * margin
        safe = (verdict == NONINFERIOR) | (verdict == EQUIVALENT)
        wrong = np.select(
            [verdict == BETTER, verdict == WORSE, safe],
            [low < 0, high > 0, (low < -margin - slack) | (low > 0) | (high < 0)],
            (low > -margin + slack) | (low > 0) | (high < 0),
        )
        return int((wrong | ((verdict == EQUIVALENT) & (high > margin + slack))).sum())

    def rates(self) -> dict[str, float]:
        """Return shares of families, and of the true differences that are shown."""
        different = self.rejected("p_adjusted")
        low, high = self.numbers("ci_low"), self.numbers("ci_high")
        offered = np.isfinite(low).any(axis=(1, 2))
        held = ~((low > self.truth) | (high < self.truth)).any(axis=(1, 2))
        true = np.broadcast_to(self.effects > 0, different.shape)
        lost = self.effects <= -self.margin
        claims = {
            "different": different & ~self.found(different),
            "non-inferior": self.rejected("p_noninferior_adjusted") & lost,
            "equivalent": self.rejected("p_equivalent_adjusted")
            & (abs(self.effects) >= self.margin),
        }
        return {
            **{name: float(false.any(axis=(1, 2)).mean()) for name, false in claims.items()},
            "offered": float(offered.mean()),
            "covered": float(held[offered].mean()) if offered.any() else np.nan,
            "found": float(self.found(different)[true].mean()) if true.any() else np.nan,
            "by holm": float(self.found(self.by_holm())[true].mean()) if true.any() else np.nan,
            "contradictions": float(self.contradictions()),
        }


def advice_rates(kind: StudyKind, answers: Sequence[Answer]) -> dict[str, float]:
    """Return shares of answers that speak for a prior that does not deserve it.

    ``advised`` and ``provisional``: the advice is a prior that truly loses as much as the margin on
    some axis. ``per prior``: such a prior has one of these standings, whatever is advised.
    ``unfounded``: the advice is a prior that truly gains on no axis. ``deserved``: it is a prior
    that gains and does no such harm.
    """
    harmful = (kind.effects <= -kind.margin).any(axis=1)
    gaining = (kind.effects > 0).any(axis=1)
    unsafe = {f"prior-{i + 1}" for i in np.flatnonzero(harmful)}
    vain = {f"prior-{i + 1}" for i in np.flatnonzero(~gaining)}
    spoken_for = [
        standing.kind in (ADVISED, PROVISIONAL)
        for answer in answers
        for standing in answer.advice.standings
        if standing.prior in unsafe
    ]
    harm = [(a.advice.basis if a.advice.prior in unsafe else "") for a in answers]
    good = [a.advice.advised is not None and a.advice.prior not in unsafe | vain for a in answers]
    return {
        **{basis: harm.count(basis) / len(harm) for basis in (ADVISED, PROVISIONAL)},
        "per prior": float(np.mean(spoken_for)) if spoken_for else np.nan,
        "unfounded": float(np.mean([a.advice.prior in vain for a in answers])),
        "deserved": float(np.mean(good)),
    }


def study_rates(kind: StudyKind, study: CarriedOut) -> dict[str, float]:
    """Return the rates of one study: within datasets and, if there are several, overall."""
    parts = {WITHIN: (study.comparisons, study.answer.settings)}
    if study.answer.together is not None:
        parts[OVERALL] = (study.across, (study.answer.together,))
    return {
        f"{scope} {name}": float(rate)
        for scope, (table, answers) in parts.items()
        for name, rate in _rates(kind, table, answers)
    }


def _rates(
    kind: StudyKind, table: pd.DataFrame, answers: Sequence[Answer]
) -> Iterator[tuple[str, float]]:
    yield from JudgedFamilies(kind, table).rates().items()
    yield from advice_rates(kind, answers).items()


def kind_rates(kind: StudyKind, studies: int) -> dict[str, object]:
    """Return a kind of study with its mean rates over so many studies.

    Contradictions are counted, not averaged.
    """
    every = pd.DataFrame([study_rates(kind, s) for s in all_carried_out(kind, studies)])
    counted = [name for name in every if name.endswith("contradictions")]
    return {
        **vars(kind),
        "studies": studies,
        **every.drop(columns=counted).mean(),
        **every[counted].sum(),
    }


def main_kinds() -> list[StudyKind]:
    """Return the studies whose rates have bounds: one thing varied at a time, and some pairs."""
    designs = [
        *({"seeds": seeds} for seeds in (3, 5, 8, 10, 20)),
        *({"priors": priors} for priors in (1, 6)),
        *({"law": law} for law in (HEAVY, SKEWED, TIES)),
        {"datasets": 3, "seeds": 3, "law": TIES},
        *({"datasets": 3, "seeds": 5, "law": law} for law in (HEAVY, SKEWED)),
        {"datasets": 10, "seeds": 3},
    ]
    return [StudyKind(truth, **design) for truth, design in product(TRUTHS, designs)]


def power_kinds() -> list[StudyKind]:
    """Return the studies of eight seeds and five priors, half of whose cells gain."""
    return [StudyKind(GAINS, law, seeds=8, priors=5) for law in SYMMETRIC]


def tempting_kinds() -> list[StudyKind]:
    """Return studies in which wrong advice is likeliest: all priors gain, and lose on one axis.

    They lose 1.5 margins, or as much as the margin, beyond which a loss matters. A small margin, a
    quarter of a standard deviation, leaves 1.5 margins close to one.
    """
    harms = ({"harm": 1.5}, {"harm": 1.0}, {"harm": 1.5, "margin": 0.25})
    designs = [
        *({"priors": priors, **harm} for priors, harm in product((1, 3, 6), harms)),
        *({"priors": 6, "law": law, "harm": 1.0} for law in (HEAVY, SKEWED, TIES)),
        *({"priors": 6, "datasets": 3, "seeds": 3, **harm} for harm in harms[1:]),
    ]
    return [StudyKind(TEMPTATION, **design) for design in designs]


def asymmetric_kinds() -> list[StudyKind]:
    """Return studies whose differences are skewed, so that no sign-flip test keeps its level."""
    same = [StudyKind(truth, UNEQUAL) for truth in (NOTHING, LOSSES, HARM)]
    return [*same, StudyKind(TEMPTATION, UNEQUAL, harm=1.0)]


def every_rate(kinds: Iterable[StudyKind], studies: int, jobs: int = -1) -> list[dict[str, object]]:
    """Return the rates of every kind of study, in so many processes at once; -1 for all cores."""
    work = (joblib.delayed(kind_rates)(kind, studies) for kind in kinds)
    return list(joblib.Parallel(n_jobs=jobs)(work))
