"""Effects on attributions near the ends of the window, by boundary of the Fourier penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.components import registry
from priorbench.components.specs import split_composition, split_spec
from priorbench.edges.penalty_effects import SHORTEST, effects_of
from priorbench.edges.trained_models import trained_edges
from priorbench.results.finished_run import Run

from ._shared.edges.page_body import FOURIER, body
from ._shared.page import render

_CONTROL = "tv"


class EdgeArtifacts(Section):
    """Penalty, gradient and trained models near the ends, for runs with Fourier priors."""

    title: ClassVar[str] = "Edge artifacts"
    position: ClassVar[int] = 45

    def render(self, run: Run) -> str:
        """Return the effects at every window length; empty for a run without a Fourier prior."""
        specs = fourier_specs(run.study["priors"])
        if not specs:
            return ""
        trained = trained_edges(run)
        priors = [(spec, registry.load_prior(spec)) for spec in [*specs, _CONTROL]]
        lengths = {dataset.length for dataset in run.datasets.values()}
        return Markup("").join(
            body(effects_of(priors, length), [s for s in trained if s.length == length])
            if length >= SHORTEST
            else render("edges_short", length=length, shortest=SHORTEST)
            for length in sorted(lengths)
        )


def fourier_specs(priors: Sequence[str]) -> list[str]:
    """Return the Fourier priors among some specs, parts of compositions included, each once."""
    parts = [part for spec in priors for part, _ in split_composition(spec)]
    return list(dict.fromkeys(part for part in parts if split_spec(part)[0] == FOURIER))
