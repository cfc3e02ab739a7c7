"""Attributions of the same test sequences under every prior and several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.data.dataset import Dataset
from priorbench.data.formats.encoding import decode
from priorbench.results.finished_run import Run

from ._blocks import MANY_BLOCKS, ComparisonBlock, blocks
from ._examples import SHOWN, BlockExamples, SequenceExample, all_examples, typical_example
from ._page import render
from ._tracks import BANDS, TrackFigure, draw

FEW_BLOCKS = 3
"""a run of more has the typical sequence of each alone"""


class Attributions(Section):
    """Logos of one seed and strips of several, a track a prior, over the same positions."""

    title: ClassVar[str] = "Attributions"
    position: ClassVar[int] = 40

    def render(self, run: Run) -> str:
        """See Section."""
        found = blocks(run)
        few = len(found) <= FEW_BLOCKS
        choose = all_examples if few else typical_example
        parts = [
            _block(run, block, examples)
            for block in found[:MANY_BLOCKS]
            if (examples := choose(run, block)) is not None
        ]
        if not parts:
            return ""
        key = render("attributions_key", attribution=run.attributions[0], few=few)
        rest = found[MANY_BLOCKS:]
        more = [render("not_drawn", blocks=rest, many=MANY_BLOCKS)] if rest else []
        return Markup("").join([key, *parts, *more])


def _block(run: Run, block: ComparisonBlock, examples: BlockExamples) -> Markup:
    dataset = run.datasets[block.key]
    figures = [_figure(dataset, block, examples, example) for example in examples.examples]
    return render(
        "attributions",
        block=block,
        examples=examples,
        figures=figures,
        truth_known=dataset.truth is not None,
        oracle=any(figure["oracle"] for figure in figures),
        bands=list(dict.fromkeys(name for figure in figures for name in figure["bands"])),
        length=dataset.length,
        shown=SHOWN,
        several=len(examples.seeds) > 1,
    )


def _figure(
    dataset: Dataset, block: ComparisonBlock, examples: BlockExamples, example: SequenceExample
) -> Mapping[str, Any]:
    row = example.case.row
    codes = dataset.codes(dataset.attributed[[row]])[0]
    truth = dataset.truth[row] if dataset.truth is not None else None
    oracle = dataset.oracle[row] if dataset.oracle is not None else None
    if oracle is not None and not np.any(oracle):
        oracle = None
    shown = set() if truth is None else set(truth[example.start : example.stop])
    label = (
        f"Attributions ({' and '.join(example.case.names)}) of a test sequence of {block.title}, "
        f"positions {example.start} to {example.stop - 1}, under {', '.join(example.tracks)}; "
        f"letters of seed {examples.lettered}, strips of seeds "
        f"{', '.join(map(str, examples.seeds))}. "
        f"Sequence: {decode(codes[example.start : example.stop])}"
    )
    scene = TrackFigure(example, codes, truth, oracle, examples.seeds, examples.lettered)
    return {
        "example": example,
        "svg": draw(scene, label),
        "oracle": oracle is not None,
        "bands": [name for code, (name, _) in BANDS.items() if code in shown],
    }
