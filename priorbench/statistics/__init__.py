"""Paired statistics: pure functions on documented arrays."""

from __future__ import annotations

from .across import (
    MixedModel,
    Resampled,
    blocked,
    blocked_interval,
    interquartile_difference,
    interquartile_mean,
    mean_improvement,
    mixed_model,
)
from .agreement import agreement_pseudo_values, leave_one_out
from .confidence import (
    NO_INTERVAL,
    Interval,
    agreement_interval,
    bca_interval,
    mean_interval,
    t_interval,
)
from .effects import (
    cliffs_delta,
    improvement_interval,
    pair_correlation,
    probability_of_improvement,
    standardised_difference,
)
from .equivalence import Margin, equivalence_p, noninferiority_p
from .multiplicity import BENJAMINI_HOCHBERG, CORRECTIONS, HOLM, adjust
from .paired import (
    PairedDifference,
    compared_agreement,
    impute_failures,
    paired_difference,
    paired_t_p,
    wilcoxon_p,
)
from .power import (
    Claim,
    attainable_level,
    cautious_spread,
    needed_runs,
    sign_flip_power,
    smallest_effect,
)
from .ranks import Ranking, rank_priors
from .signflip import (
    EXACT_UP_TO,
    sign_flip_bounds,
    sign_flip_greater_p,
    sign_flip_greater_ps,
    sign_flip_p,
    sign_flip_ps,
    smallest_p,
    typical_values,
)
from .verdicts import ALPHA, DEFINITIONS, Evidence, Judgement, judge

__all__ = [
    "ALPHA",
    "BENJAMINI_HOCHBERG",
    "CORRECTIONS",
    "DEFINITIONS",
    "EXACT_UP_TO",
    "HOLM",
    "NO_INTERVAL",
    "Claim",
    "Evidence",
    "Interval",
    "Judgement",
    "Margin",
    "MixedModel",
    "PairedDifference",
    "Ranking",
    "Resampled",
    "adjust",
    "agreement_interval",
    "agreement_pseudo_values",
    "attainable_level",
    "bca_interval",
    "blocked",
    "blocked_interval",
    "cautious_spread",
    "cliffs_delta",
    "compared_agreement",
    "equivalence_p",
    "improvement_interval",
    "impute_failures",
    "interquartile_difference",
    "interquartile_mean",
    "judge",
    "leave_one_out",
    "mean_improvement",
    "mean_interval",
    "mixed_model",
    "needed_runs",
    "noninferiority_p",
    "pair_correlation",
    "paired_difference",
    "paired_t_p",
    "probability_of_improvement",
    "rank_priors",
    "sign_flip_bounds",
    "sign_flip_greater_p",
    "sign_flip_greater_ps",
    "sign_flip_p",
    "sign_flip_power",
    "sign_flip_ps",
    "smallest_effect",
    "smallest_p",
    "standardised_difference",
    "t_interval",
    "typical_values",
    "wilcoxon_p",
]
