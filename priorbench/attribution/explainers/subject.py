"""What explainers are given, what they return, and their base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from priorbench.attribution import differentiable

BASES_AT_ONCE = 1 << 17
"""number of bases that go through a model at once"""
_MOST_ROWS = 256
"""largest number of sequences at once: half-precision numbers count no further"""
CONVERGED = 0.01
"""largest error, as a share of the change of the target, of attributions that add up"""


@dataclass(frozen=True)
class ExplainedModel:
    """A model and the sequences to explain.

    Attributes:
        model: network in eval mode, or a callable of one, called with a sequence and ``args``.
        target: function from the model's output to (B,), the scalar that is explained.
        sequence: (k, 4, L) one-hot float; N is an all-zero column.
        args: further arguments of the model, (k, ...) each.
        origin: (k, 4, L) the sequences before they were changed, from which references are drawn,
            so that only the change differs; None for the sequences themselves.
        turned: whether they are reverse complements; then the references are too.
        references: (k, R, 4, L) references of each sequence, in place of those that explainers
            draw; None for theirs.
        seed: seed of what explainers draw.
        link: elementwise module that is applied to the target, and whose value is explained; None
            for the target itself.
    """

    model: Callable[..., Any]
    target: Callable[[Any], torch.Tensor]
    sequence: torch.Tensor
    args: Sequence[torch.Tensor] = ()
    origin: torch.Tensor | None = None
    turned: bool = False
    references: torch.Tensor | None = None
    seed: int = 0
    link: torch.nn.Module | None = None

    def scalars(self, output: Any) -> torch.Tensor:
        """Return the (B,) values that are explained of a model's output."""
        value = self.target(output)
        return value if self.link is None else self.link(value)

    def at(self, rows: torch.Tensor) -> ExplainedModel:
        """Return the same for the sequences at ``rows``, (n,) int64."""
        rows = rows.to(self.sequence.device)
        return replace(
            self,
            sequence=self.sequence[rows],
            args=[a[rows] for a in self.args],
            origin=None if self.origin is None else self.origin[rows],
            references=None if self.references is None else self.references[rows],
        )

    @property
    def sources(self) -> torch.Tensor:
        """Sequences (k, 4, L) before any change, from which references are drawn."""
        return self.sequence if self.origin is None else self.origin

    def facing(self, references: torch.Tensor) -> torch.Tensor:
        """Return references (..., 4, L) on the strand of these sequences."""
        return references.flip(-2, -1) if self.turned else references

    def chunks(self, copies: int = 1) -> Iterator[ExplainedModel]:
        """Yield a few sequences at a time, so that ``copies`` of each fit in memory together."""
        count, length = len(self.sequence), self.sequence.shape[2]
        step = min(max(1, BASES_AT_ONCE // (length * copies)), _MOST_ROWS)
        for start in range(0, count, step):
            yield self.at(torch.arange(start, min(start + step, count)))

    def values(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the target (k,) of other sequences, (k, 4, L), with the arguments of these."""
        with torch.no_grad():
            return self.scalars(self.model(sequence, *self.args))

    def gradient(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the gradient (k, 4, L) at other sequences, with the arguments of these."""
        attribution = differentiable.input_x_gradient(
            self.model, sequence, self.scalars, args=self.args, create_graph=False
        )
        return attribution.gradient.detach()


@dataclass(frozen=True)
class Explanation:
    """Attributions of k sequences, of the sequences' dtype and on their device.

    A method that multiplies by the difference to references promises what its attributions add up
    to: the change of the target, x against references. Where they do not, the method has failed.

    Attributes:
        attribution: (k, L), one signed value per position.
        expected: (k,) the value that each row should add up to, if the method promises one; else
            None.
        hypothetical: (k, 4, L), hypothetical contributions: what the attribution would be of each
            of the four bases; at the observed one it is the attribution. None where they were not
            wanted, or the method has none.
        error: (k,) convergence: mean magnitude over references of what is missing of the change of
            the target, as a share of that of the change; None if the method promises none.
    """

    attribution: torch.Tensor
    expected: torch.Tensor | None = None
    hypothetical: torch.Tensor | None = None
    error: torch.Tensor | None = None

    @property
    def delta(self) -> torch.Tensor | None:
        """(k,) the sum of each row less the value that it should have."""
        return None if self.expected is None else self.attribution.sum(dim=1) - self.expected

    @property
    def converged(self) -> torch.Tensor | None:
        """(k,) bool, whether the error is at most 0.01; None if the method promises nothing."""
        return None if self.error is None else self.error <= CONVERGED


@dataclass(frozen=True)
class Explainer(ABC):
    """A method that attributes a trained model's output to its input."""

    summary: ClassVar[str]
    citation: ClassVar[str]
    every_base: ClassVar[bool] = True
    """whether it has hypothetical contributions, of bases that were not observed"""
    takes_references: ClassVar[bool] = False
    """whether it compares sequences with references, which may be given"""
    needs_bases: ClassVar[bool] = False
    """whether sequences must be one-hot, N aside"""

    @property
    def draws_whole_bases(self) -> bool:
        """Whether sequences must be one-hot, N aside, for it to draw references of its own."""
        return False

    @property
    def adds_up(self) -> bool:
        """Whether its attributions promise a sum: the change of the target against references."""
        return type(self).takes_references

    @abstractmethod
    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the attributions of all sequences; the same for the same sequences.

        Args:
            subject: a model and the sequences to explain.
            every_base: whether hypothetical contributions are wanted too.
        """


def joined(parts: Sequence[Explanation]) -> Explanation:
    """Return the explanations of all sequences from those of some, without a graph."""

    def together(values: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        there = [value for value in values if value is not None]
        return torch.cat(there).detach() if len(there) == len(parts) else None

    return Explanation(
        torch.cat([part.attribution for part in parts]).detach(),
        together([part.expected for part in parts]),
        together([part.hypothetical for part in parts]),
        together([part.error for part in parts]),
    )


def from_reference(multipliers: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return hypothetical contributions m_b - sum_c m_c r_c, (..., 4, L).

    The difference of base b from the reference, times the multipliers that are there (Shrikumar et
    al. 2018, arXiv:1811.00416, section 2).
    """
    return multipliers - (multipliers * reference).sum(dim=-2, keepdim=True)


def relative_error(
    missing: torch.Tensor, change: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Return the (k,) error of k sequences; 0 where nothing is missing.

    Args:
        missing: (k, R) attributions' sum less the change of the target, for each reference.
        change: (k, R) the change of the target.
        value: (k,) the target itself, whose rounding is no change.
    """
    rounding = 100 * torch.finfo(value.dtype).eps * value.abs()
    size = change.abs().mean(dim=1).maximum(rounding)
    short = missing.abs().mean(dim=1)
    return torch.where(short > 0, short / size, short)
