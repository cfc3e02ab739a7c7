"""A model and its target in the form that tangermeme wants."""

from __future__ import annotations

import torch

from priorbench.autograd.model_call import modules_of

from .subject import ExplainedModel


class TangermemeModel(torch.nn.Module):
    """A network whose output is the target, (B, 1), as tangermeme requires.

    Its one argument, beside the sequence, is a row of each example: tangermeme would cast further
    arguments to the type of the sequence.
    """

    def __init__(self, subject: ExplainedModel) -> None:
        """Hold the model, in eval mode, and all its modules, to which tangermeme adds hooks."""
        super().__init__()
        self.subject = subject
        link = [] if subject.link is None else [subject.link]
        self.parts = torch.nn.ModuleList([*modules_of(subject.model), *link])
        self.training = False

    @property
    def rows(self) -> tuple[torch.Tensor]:
        """(k,) the row of each sequence."""
        sequence = self.subject.sequence
        return (torch.arange(len(sequence), device=sequence.device),)

    def forward(self, sequence: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the target (B, 1) of sequences, with the arguments of those at the rows."""
        rows = rows.round().long() if rows.is_floating_point() else rows.long()
        args = [value.index_select(0, rows) for value in self.subject.args]
        return self.subject.scalars(self.subject.model(sequence, *args))[:, None]
