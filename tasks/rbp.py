"""Does a protein bind this RNA? Short, degenerate motifs, several copies, one strand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from priorbench import UserError
from priorbench.components.architecture import Scale
from priorbench.data.codes import DECOY, MOTIF
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    TRANSCRIPT_DINUCLEOTIDES,
    draw_places,
    mark_lookalikes,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
)

from ._logit import LogitTask, alternate
from ._motifs import check_fidelity

# consensus in IUPAC letters with T for U, and where the specificity was established
_PROTEINS: Mapping[str, tuple[str, str]] = {
    "PUM2": ("TGTANATA", "Hafner et al., Cell 2010"),
    "RBFOX2": ("TGCATG", "Yeo et al., Nature Structural & Molecular Biology 2009"),
    "TARDBP": ("TGTGTG", "Tollervey et al., Nature Neuroscience 2011"),
    "HNRNPC": ("TTTTT", "Konig et al., Nature Structural & Molecular Biology 2010"),
    "QKI": ("ACTAAY", "Galarneau & Richard, Nature Structural & Molecular Biology 2005"),
    "PTBP1": ("YTCTTY", "Xue et al., Molecular Cell 2009"),
    "ELAVL1": ("TTWTTTW", "Lebedeva et al., Molecular Cell 2011"),
}
_DECOY = "GAAGAA"
_MOST_COPIES = 4


@dataclass(frozen=True)
class Rbp(LogitTask):
    """Bound against unbound windows of RNA, cross-entropy, attribution of the logit.

    Simulated: a Markov chain with the dinucleotides of human transcripts; positives hold several
    instances of the protein's motif, on the given strand; a purine-rich decoy is in both classes.
    Motifs so short also occur by chance, in both classes. The prior applies to positives.

    Attributes:
        protein: protein whose motif is planted: PUM2 UGUANAUA (Hafner et al. 2010), RBFOX2 UGCAUG
            (Yeo et al. 2009), TARDBP UGUGUG (Tollervey et al. 2011), HNRNPC UUUUU (Konig et al.
            2010), QKI ACUAAY (Galarneau & Richard 2005), PTBP1 YUCUUY (Xue et al. 2009), ELAVL1
            UUWUUUW (Lebedeva et al. 2011).
        fidelity: probability of the consensus in every motif column; lower is more degenerate.
        copies: mean number of instances in a positive: one and a Poisson number more, at most four
            in all.
    """

    summary: ClassVar[str] = "binding or not of a protein to RNA, one logit per window, one strand"
    citation: ClassVar[str] = "Strazar et al., Bioinformatics 2016"
    reverse_complement: ClassVar[bool] = False
    sizes: ClassVar[Mapping[Scale, tuple[int, int, int, int]]] = {
        "smoke": (80, 400, 100, 200),
        "quick": (100, 3000, 800, 1000),
        "standard": (100, 20000, 4000, 4000),
        "paper": (200, 50000, 10000, 10000),
    }

    protein: Literal["PUM2", "RBFOX2", "TARDBP", "HNRNPC", "QKI", "PTBP1", "ELAVL1"] = "QKI"
    fidelity: float = 0.9
    copies: float = 2.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        check_fidelity(self.fidelity)
        if not 1 <= self.copies <= _MOST_COPIES:
            raise UserError(f"copies {self.copies:g} is not between 1 and {_MOST_COPIES}")

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        consensus, _ = _PROTEINS[self.protein]
        return len(consensus) * _MOST_COPIES + len(_DECOY)

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows of RNA, with motifs on the given strand."""
        consensus, _ = _PROTEINS[self.protein]
        motif = motif_from_consensus(self.protein, consensus, self.fidelity)
        decoy = motif_from_consensus("decoy", _DECOY, self.fidelity)
        labels = alternate(count)
        sequences = markov_background(count, length, generator, TRANSCRIPT_DINUCLEOTIDES)
        planted = nothing_planted(sequences)
        copies = np.minimum(1 + generator.poisson(self.copies - 1, count), _MOST_COPIES)
        # the places of all copies are kept free in both classes
        widths = [motif.width] * _MOST_COPIES + [decoy.width]
        places = draw_places(count, widths, length, generator)
        chosen = [(labels == 1) & (copies > copy) for copy in range(_MOST_COPIES)]
        chosen.append(generator.random(count) < 0.5)
        for index, where in enumerate(chosen):
            drawn, code = (motif, MOTIF) if index < _MOST_COPIES else (decoy, DECOY)
            rows = np.flatnonzero(where)
            starts = places[:, index]
            plant(planted, drawn, rows, generator, code=code, both_strands=False, starts=starts)
        mark_lookalikes(planted, motif, both_strands=False)
        return SimulatedExamples(labels, planted)
