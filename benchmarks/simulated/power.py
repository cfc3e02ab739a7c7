"""Power that is predicted against power that is found, and the looks at a study that grows."""

from collections.abc import Iterator

import numpy as np
from measuring import Row

from priorbench.statistics import power as planning
from priorbench.statistics import signflip as flips
from priorbench.statistics.agreement import agreement_pseudo_values, leave_one_out
from priorbench.statistics.families.joint import step_down_p
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.families.multiplicity import HOLM, JOINT, adjust
from priorbench.statistics.families.verdicts import ALPHA

from .laws import Array
from .whole_path import STABILITY, StudyKind, agreement_of_scores, scores

LOOKS = (8, 10, 12, 16, 20)
"""seeds at each look at a study that grows"""


def planted(n: int, power: float, tests: int, studies: int) -> Iterator[Row]:
    """Return how often effects are found that n seeds should find with that power.

    A difference and a non-inferiority; the other tests of a family are of nothing, and independent:
    Holm's first step, for which power is predicted. Effects are in standard deviations of the
    differences.
    """
    generator = np.random.default_rng([2, n, tests])
    for name, sides in (("difference", 2), ("non-inferiority", 1)):
        claim = planning.ClaimKind(sides=sides, tests=tests)
        effect = planning.smallest_effect(n, power, claim)
        if np.isfinite(effect):
            test = flips.sign_flip_p if sides == 2 else flips.sign_flip_greater_p
            draws = generator.standard_normal((studies, n)) + effect
            families = ([test(d), *[1.0] * (tests - 1)] for d in draws)
            hits = [adjust(family, HOLM)[0] <= ALPHA for family in families]
            yield _found(name, claim, n, effect, float(np.mean(hits)))


def planted_jointly(n: int, power: float, tests: int, studies: int) -> Iterator[Row]:
    """Return the same for the joint correction, whose other tests are drawn too.

    They are of nothing, and independent of each other and of the effect.
    """
    generator = np.random.default_rng([12, n, tests])
    for name, sides in (("difference", 2), ("non-inferiority", 1)):
        claim = planning.ClaimKind(sides=sides, tests=tests, correction=JOINT)
        effect = planning.smallest_effect(n, power, claim)
        if np.isfinite(effect):
            families = generator.standard_normal((studies, tests, n))
            families[:, 0] += effect
            adjusted = (step_down_p(family, two_sided=sides == 2)[0] for family in families)
            hits = [p <= ALPHA for p in adjusted]
            yield _found(name, claim, n, effect, float(np.mean(hits)))


def _found(name: str, claim: planning.ClaimKind, n: int, effect: float, share: float) -> Row:
    about = {"claim": name, "correction": claim.correction, "seeds": n, "tests": claim.tests}
    predicted = planning.sign_flip_power(effect, n, claim)
    return {**about, "effect": effect, "predicted": predicted, "found": share}


def piloted(studies: int) -> Iterator[Row]:
    """Return how often an effect of one standard deviation is found by plans from a pilot.

    A pilot of 8 seeds estimates the deviation; a new study has the seeds that it says are needed.
    """
    generator = np.random.default_rng(3)
    for name in ("the standard deviation as estimated", "its upper 80% limit"):
        counts, hits = [], []
        for _ in range(studies):
            spread = float(generator.standard_normal(8).std(ddof=1))
            spread = planning.cautious_spread(spread, 8) if name.startswith("its") else spread
            n = planning.needed_runs(round(20 / spread) / 20, 0.8, planning.ClaimKind()) or 1_000
            counts.append(n)
            hits.append(flips.sign_flip_p(generator.standard_normal(n) + 1) <= ALPHA)
        yield {"planned with": name, "median seeds": int(np.median(counts)), "found": np.mean(hits)}


def growing(law: str, studies: int, priors: int = 5) -> Row:
    """Return how often a study that grows shows a difference at any look, where nothing differs.

    Every look is at the seeds of the look before and some more; p is adjusted as that of a primary
    family. The same studies are judged at the level of each look, and at ALPHA at every look.
    """
    kind = StudyKind("nothing", law, max(LOOKS), priors=priors)
    generator = kind.generator()
    smallest = np.array(
        [
            [step_down_p(differences).min() for differences in looks]
            for looks in _growing_differences(kind, studies, generator)
        ]
    )
    levels = np.array([level_of_look(look) for look in range(1, len(LOOKS) + 1)])
    return {
        "scores": law,
        "first look": float((smallest[:, 0] <= levels[0]).mean()),
        "level of each look": float((smallest <= levels).any(axis=1).mean()),
        ".05 at each look": float((smallest <= ALPHA).any(axis=1).mean()),
    }


def _growing_differences(
    kind: StudyKind, studies: int, generator: np.random.Generator
) -> Iterator[list[Array]]:
    """Yield (tests, seeds) differences of one study at each look.

    Those of earlier seeds stay as they are but on stability, whose pseudo-values are of all seeds.
    """
    for values in scores(kind, studies, generator):
        matrix = agreement_of_scores(kind, values, generator).matrices[0]
        plain = (values[0, :, 1:] - values[0, :, :1]).copy()
        looks = []
        for n in LOOKS:
            differences = plain[..., :n].copy()
            for prior in range(kind.priors):
                first = (0, (1 + prior) * kind.seeds)
                arms = (leave_one_out(matrix[k : k + n, k : k + n]) for k in first)
                differences[STABILITY, prior] = agreement_pseudo_values(*arms)
            looks.append(differences.reshape(-1, n))
        yield looks
