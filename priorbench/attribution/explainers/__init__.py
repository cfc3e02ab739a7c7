"""Explainers: attributions of trained models, which metrics score; penalties in training are read
from the differentiable ones beside this folder.

Each is a small class, chosen with ``--attributions``; :func:`load_explainer` builds one for use
alone. Their random draws (shuffled sequences, references) depend on the sequences and their places
only, so that all models that are compared are explained with the same references.
"""

from __future__ import annotations

from priorbench.components import specs

from .deep_lift import DeepLiftShapExplainer
from .gradients import (
    ExpectedGradientsExplainer,
    GradientExplainer,
    InputXGradientExplainer,
    IntegratedGradientsExplainer,
    SimplexGradientExplainer,
)
from .mutagenesis import InSilicoMutagenesisExplainer
from .subject import Explainer

EXPLAINERS: dict[str, type[Explainer]] = {
    specs.kebab(cls.__name__.removesuffix("Explainer")): cls
    for cls in (
        InputXGradientExplainer,
        GradientExplainer,
        SimplexGradientExplainer,
        IntegratedGradientsExplainer,
        ExpectedGradientsExplainer,
        DeepLiftShapExplainer,
        InSilicoMutagenesisExplainer,
    )
}
"""explainers by the name that ``--attributions`` takes"""


def load_explainer(spec: str) -> Explainer:
    """Build an explainer from a spec such as ``deep-lift-shap:shuffles=50``.

    Raises:
        UserError: if a name or option is unknown; the message suggests the nearest.
    """
    return specs.build_one_of("attribution", EXPLAINERS, spec)
