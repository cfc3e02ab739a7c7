"""Networks that were trained before a training, on the same data, and that it learns from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from priorbench.attribution.methods import AttributionMethod
from priorbench.attribution.passes import Chosen, Reading, attribute, attribute_apart
from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.output_trees import map_tensors
from priorbench.components.task import Batch, Task


class Teachers:
    """Trained networks, asked for what they predict and attribute."""

    def __init__(
        self,
        models: Sequence[torch.nn.Module],
        task: Task,
        method: AttributionMethod,
        *,
        apart: bool,
    ) -> None:
        """Take the networks as they are, from now on in eval mode and without gradients.

        Args:
            models: at least one network, on the device of the batches.
            task: task that they were trained for.
            method: attribution method.
            apart: whether a batch may go through a network in parts.
        """
        self._models = [model.eval().requires_grad_(requires_grad=False) for model in models]
        self._task, self._method = task, method
        self._take = attribute_apart if apart else attribute

    @torch.no_grad()
    def labels(self, batch: Batch) -> torch.Tensor:
        """Return the mean predicted probability of every label, in the form of the labels."""
        total = torch.zeros_like(batch.label)
        for model in self._models:
            output = model(batch.sequence, *self._task.inputs(batch))
            output = map_tensors(lambda value: value.to(batch.label.dtype), output)
            total += self._task.predictions(output, batch)["logit"].sigmoid()
        return total / len(self._models)

    def attributions(
        self, batch: Batch, chosen: Chosen, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Return the (k, L) mean attribution of the examples chosen, each of length 1.

        The generator is that of methods that draw.
        """
        sequence = batch.sequence.detach()
        state = None if generator is None else generator.get_state()
        tracks = []
        for model in self._models:
            if generator is not None and state is not None:
                generator.set_state(state)  # every teacher has the same references
            call = ModelCall(model, self._task.inputs(batch), count=len(sequence))
            reading = Reading(self._task.explained, self._method, generator, create_graph=False)
            _, attribution = self._take(call, sequence, chosen, reading)
            tracks.append(F.normalize(attribution.observed.detach(), dim=1))
        return torch.stack(tracks).mean(dim=0)
