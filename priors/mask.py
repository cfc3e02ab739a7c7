"""Right for the right reasons: no attribution where a mask of the data forbids it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench import Attribution, Batch, GradientPrior, Task, UserError
from priorbench.components.prior_bases import at_least_float32, unit

from ._channels import channel_of, share_of


@dataclass(frozen=True)
class Mask(GradientPrior):
    """Attribution where a channel of the dataset forbids it.

    With f_i, 0 to 1, how much position i is forbidden, g_i the gradient of the four bases, and a_i
    the attribution:

        squared:            mean_i f_i sum_b g_ib ** 2
        log-probabilities:  the same, with the gradient of log p + log (1 - p) in place of g, p the
                            probability whose log-odds are the task's target (as published)
        share:              sum_i f_i |a_i| / sum_i |a_i|, which does not depend on the scale

    Attributes:
        channel: name of the channel.
        forbidden: where attribution is forbidden: ``outside``, f = 1 - channel, or ``inside`` of
            what the channel marks, f = channel; values below 0 count as 0, those above 1 as 1.
        form: formula.
        moved: whether the channel is moved by half of the window, its end to its front: a control,
            which knows nothing and should not help.
    """

    summary: ClassVar[str] = "penalises attribution where a channel of the data forbids it"
    citation: ClassVar[str] = "Ross, Hughes & Doshi-Velez, IJCAI 2017"
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    channel: str = "motif"
    forbidden: Literal["outside", "inside"] = "outside"
    form: Literal["share", "squared", "log-probabilities"] = "share"
    moved: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that the penalty reads."""
        target = ("target",) if self.form == "log-probabilities" else ()
        return (f"channel:{self.channel}", *target)

    @property
    def scale_free(self) -> bool:
        """Whether a share of the attribution is penalised."""
        return self.form == "share"

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,)."""
        channel = channel_of(batch, self.channel, moved=self.moved)
        if self.form == "share":
            mass = at_least_float32(attribution.observed).abs()
            forbidden = self._forbidden(channel.to(mass.dtype))
            return (forbidden * share_of(unit(mass, 1))).sum(dim=1)
        gradient = at_least_float32(attribution.gradient)
        squared = gradient.square().sum(dim=1)
        value = (self._forbidden(channel.to(squared.dtype)) * squared).mean(dim=1)
        if self.form == "log-probabilities":
            # the derivative of log p + log (1 - p) by the log-odds is 1 - 2 p
            slope = 1 - 2 * torch.sigmoid(batch.arrays["target"].to(value.dtype))
            value = slope.square() * value
        return value

    def check_task(self, task: Task) -> None:
        """Raise UserError unless the target is log-odds, and attributed itself, where form asks."""
        if self.form != "log-probabilities":
            return
        if not task.labels_are_classes:
            raise UserError("mask: form=log-probabilities is for tasks whose labels are classes")
        if task.link is not None:
            raise UserError(
                "mask: form=log-probabilities takes attributions of the logit; write "
                "attributed=logit, or another form"
            )

    def _forbidden(self, channel: torch.Tensor) -> torch.Tensor:
        channel = channel.clamp(0, 1)
        return channel if self.forbidden == "inside" else 1 - channel
