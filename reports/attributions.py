"""Attributions of the same test sequences under every prior and several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.data.dataset import Dataset
from priorbench.encoding import decode
from priorbench.results.finished_run import Run

from ._shared.page import not_drawn, render
from ._shared.sequences.attribution_figure import BANDS, TrackFigure, draw
from ._shared.sequences.examples import (
    MOST_POSITIONS,
    SequenceExample,
    SettingExamples,
    all_examples,
    typical_example,
)
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

FEW_SETTINGS = 3
"""number of settings beyond which only the typical sequence of each is shown"""


class Attributions(Section):
    """Letters of one seed and strips of several, one track a prior, over the same positions."""

    title: ClassVar[str] = "Attributions"
    position: ClassVar[int] = 40

    def render(self, run: Run) -> str:
        """Return the figures, setting by setting; empty if no trial finished."""
        settings = settings_of(run)
        few = len(settings) <= FEW_SETTINGS
        choose = all_examples if few else typical_example
        parts = [
            _setting(run, setting, examples)
            for setting in settings[:MANY_SETTINGS]
            if (examples := choose(run, setting)) is not None
        ]
        if not parts:
            return ""
        key = render(
            "attributions_key",
            attribution=run.attributions[0],
            few=few,
            elsewhere=run.claims.elsewhere,
        )
        return Markup("").join([key, *parts, not_drawn(settings)])


def _setting(run: Run, setting: ComparedSetting, examples: SettingExamples) -> Markup:
    dataset = run.datasets[setting.key]
    figures = [_figure(dataset, setting, examples, example) for example in examples.examples]
    return render(
        "attributions",
        setting=setting,
        examples=examples,
        figures=figures,
        truth_known=dataset.truth is not None,
        oracle=any(figure["oracle"] for figure in figures),
        bands=list(dict.fromkeys(name for figure in figures for name in figure["bands"])),
        length=dataset.length,
        shown=MOST_POSITIONS,
        several=len(examples.seeds) > 1,
    )


def _figure(
    dataset: Dataset, setting: ComparedSetting, examples: SettingExamples, example: SequenceExample
) -> Mapping[str, Any]:
    row = example.sequence.row
    codes = dataset.codes(dataset.attributed[[row]])[0]
    truth = dataset.truth[row] if dataset.truth is not None else None
    oracle = dataset.oracle[row] if dataset.oracle is not None else None
    if oracle is not None and not np.any(oracle):
        oracle = None
    shown = set() if truth is None else set(truth[example.start : example.stop])
    label = (
        f"Attributions ({' and '.join(example.sequence.names)}) of a test sequence of "
        f"{setting.title}, positions {example.start} to {example.stop - 1}, under "
        f"{', '.join(example.tracks)}; "
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
