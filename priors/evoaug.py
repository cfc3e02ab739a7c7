"""Augmentations that imitate evolution: deletions, insertions, mutations and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from priorbench import Prior, Task, UserError
from priorbench.components.hooks import FinalPhase

_Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
_CHANGED = 3 / 4
"""probability that a base which is drawn anew is another one"""


@dataclass(frozen=True)
class EvoAug(Prior):
    """Every training sequence is changed with probability = weight, by some of seven changes.

    Each sequence draws ``most`` of the changes whose option is above 0; they are carried out in the
    order of the options. Lengths are drawn uniformly from 0 to the option's. The window keeps its
    length: what a deletion leaves empty at both ends is filled with random bases, and what an
    insertion pushes out at both ends is lost (the publication lengthens every window instead).
    The published reverse complement is off by default, as tasks of DNA show both strands anyway,
    and so are inversions, which are not among the published example's.

    Attributes:
        deletion: largest length of a deletion in bp.
        insertion: largest length of an insertion of random bases in bp.
        translocation: largest distance in bp by which the sequence is moved, its end to its front.
        inversion: largest length of a segment that becomes its reverse complement, in bp.
        mutation: share of the bases that become others.
        reverse_complement: probability of the reverse complement.
        noise: standard deviation of normal noise that is added to the one-hot input.
        most: number of different changes of a sequence.
        fine_tuning: share of the epochs, at their end, in which the best network so far is trained
            on the sequences as they are, at a tenth of the learning rate; 0 for none.
    """

    summary: ClassVar[str] = "changes sequences as evolution does, with probability = weight"
    citation: ClassVar[str] = "Lee, Tang, Toneyan & Koo, Genome Biology 2023"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.9}

    deletion: int = 20
    insertion: int = 20
    translocation: int = 20
    inversion: int = 0
    mutation: float = 0.05
    reverse_complement: float = 0.0
    noise: float = 0.2
    most: int = 2
    fine_tuning: float = 0.25

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        for name in ("deletion", "insertion", "translocation", "inversion", "noise"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} {getattr(self, name):g} is negative; use 0 for none")
        for name, largest in (("mutation", _CHANGED), ("reverse_complement", 1.0)):
            if not 0 <= getattr(self, name) <= largest:
                raise UserError(f"{name} {getattr(self, name):g} is not between 0 and {largest:g}")
        if not 0 <= self.fine_tuning < 1:
            raise UserError(f"fine_tuning {self.fine_tuning:g} is not at least 0 and below 1")
        kinds = len(list(self._changes()))
        if not 1 <= self.most <= kinds:
            raise UserError(
                f"most {self.most} is not between 1 and {kinds}, the number of changes above 0"
            )

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the changed input (B, 4, L); UserError for windows that a change would fill."""
        longest = max(self.deletion, self.insertion, self.translocation, self.inversion)
        if longest >= sequence.shape[2]:
            raise UserError(
                f"evoaug: changes of up to {longest} bp do not fit into {sequence.shape[2]} bp"
            )
        changes = list(self._changes())
        draws = _uniform((len(changes) + 1, len(sequence)), sequence, generator)
        # the changes with the smallest draws are the ones that a sequence gets
        smallest = draws[:-1].argsort(dim=0).argsort(dim=0) < self.most
        chosen = smallest & (draws[-1] < weight)
        result = sequence
        for change, rows in zip(changes, chosen, strict=True):
            result = torch.where(rows[:, None, None], change(result, generator), result)
        return result

    def _changes(self) -> Iterator[_Change]:
        """Yield the changes whose option is above 0."""
        for size, change in (
            (self.deletion, _delete),
            (self.insertion, _insert),
            (self.translocation, _translocate),
            (self.inversion, _invert),
            (self.mutation, _mutate),
            (self.reverse_complement, _turn),
            (self.noise, _add_noise),
        ):
            if size:
                yield partial(change, size)

    def final_phase(self, weight: float) -> FinalPhase | None:
        """Return the phase of training on the sequences as they are."""
        if not self.fine_tuning:
            return None
        return FinalPhase(self.fine_tuning, learning_rate=0.1, rests=True)

    @property
    def moves_bases(self) -> bool:
        """Whether a change other than mutations and noise may be drawn."""
        lengths = (self.deletion, self.insertion, self.translocation, self.inversion)
        return any(lengths) or self.reverse_complement > 0

    def check_task(self, task: Task) -> None:
        """Raise UserError if bases would move away from their tracks, or strands mean something."""
        if not task.labels_are_classes and self.moves_bases:
            raise UserError(
                "evoaug: reads would no longer lie where their bases are; write deletion=0, "
                "insertion=0 and translocation=0, and leave inversion and reverse_complement out"
            )
        if not task.reverse_complement and (self.inversion or self.reverse_complement):
            raise UserError(
                "evoaug: the other strand is another molecule there; leave inversion and "
                "reverse_complement out"
            )

    def weight_bound(self, task: str) -> float:
        """Return 1, the probability with which all sequences are changed."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a probability."""
        super().check_weight(weight)
        if weight > 1:
            raise UserError(f"weight {weight:g} is not a probability of at most 1")


def _delete(longest: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    length, at = x.shape[2], _positions(x)
    size = _whole(x, longest, generator)
    start = (_of_each(x, generator) * (length - size + 1)).long()
    kept = at - size // 2  # place in what is left
    source = torch.where(kept < start, kept, kept + size)
    return _taken(x, source, (kept >= 0) & (kept < length - size), generator)


def _insert(longest: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    length, at = x.shape[2], _positions(x)
    size = _whole(x, longest, generator)
    start = (_of_each(x, generator) * (length + 1)).long()
    place = at + size // 2  # in the longer sequence
    source = torch.where(place < start, place, place - size)
    return _taken(x, source, (place < start) | (place >= start + size), generator)


def _translocate(longest: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    length = x.shape[2]
    shift = _whole(x, 2 * longest, generator) - int(longest)
    return _gathered(x, (_positions(x) - shift) % length)


def _invert(longest: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    length, at = x.shape[2], _positions(x)
    size = _whole(x, longest, generator)
    start = (_of_each(x, generator) * (length - size + 1)).long()
    inside = (at >= start) & (at < start + size)
    turned = _gathered(x.flip(1), torch.where(inside, 2 * start + size - 1 - at, at))
    return torch.where(inside[:, None], turned, x)


def _mutate(share: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    place = _uniform((x.shape[0], x.shape[2]), x, generator)
    present = x.sum(dim=1) != 0  # an unknown base stays unknown
    return torch.where(
        ((place < share / _CHANGED) & present)[:, None], _random_bases(x, generator), x
    )


def _turn(probability: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    # A C G T upside down is T G C A
    return torch.where((_of_each(x, generator) < probability)[..., None], x.flip(1, 2), x)


def _add_noise(deviation: float, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x + deviation * torch.empty_like(x).normal_(generator=generator)


def _positions(x: torch.Tensor) -> torch.Tensor:
    """Return the (1, L) positions."""
    return torch.arange(x.shape[2], device=x.device)[None]


def _uniform(shape: tuple[int, int], x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw float32 numbers from 0 to 1, on the device of x; 1 is never drawn."""
    return torch.empty(shape, device=x.device).uniform_(generator=generator)


def _of_each(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw a (B, 1) number from 0 to 1 for every sequence."""
    return _uniform((len(x), 1), x, generator)


def _whole(x: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a (B, 1) whole number from 0 to ``most`` for every sequence."""
    return (_of_each(x, generator) * (int(most) + 1)).long()


def _random_bases(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return (B, 4, L) one-hot bases, all equally likely."""
    base = torch.randint(4, (x.shape[0], x.shape[2]), device=x.device, generator=generator)
    return torch.nn.functional.one_hot(base, 4).transpose(1, 2).to(x.dtype)


def _gathered(x: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Return (B, 4, L), whose columns come from the (B, L) or (1, L) places."""
    return x.gather(2, source.expand(len(x), -1)[:, None].expand(-1, 4, -1))


def _taken(
    x: torch.Tensor, source: torch.Tensor, known: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return (B, 4, L), columns from the places (B, L) where they are known, others random."""
    old = _gathered(x, source.clamp(0, x.shape[2] - 1))
    return torch.where(known[:, None], old, _random_bases(x, generator))
