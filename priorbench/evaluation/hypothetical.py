"""Hypothetical contributions of a trained model: what attributions would be of the other bases.

They take eight times the room of attributions and are stored only where a study keeps them
(``--keep-hypothetical``); the model, which is stored too, gives them again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers import EXPLAINERS, load_explainer
from priorbench.components import specs
from priorbench.components.task import Task
from priorbench.data.dataset import Dataset
from priorbench.training.batches import load_batch

from .stored_arrays import explained_model

WITHOUT = "does not depend on the observed base, so that it has no hypothetical contributions"
"""what is said of an attribution that has none"""


def with_every_base(written: Sequence[str]) -> list[str]:
    """Return the specs of those attributions that have hypothetical contributions."""
    return [spec for spec in written if EXPLAINERS[specs.name_of(spec)].every_base]


def explain_every_base(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device, spec: str
) -> NDArray[np.float32]:
    """Return (M, 4, L) hypothetical contributions of the dataset's attributed rows.

    The model is in eval mode, on the device; the attribution of the spec must have them.
    """
    batch = load_batch(dataset, dataset.attributed, device)
    subject = explained_model(model, task, batch)
    hypothetical = load_explainer(spec).explain(subject, every_base=True).hypothetical
    assert hypothetical is not None
    values: NDArray[np.float32] = hypothetical.float().cpu().numpy()
    return values
