"""What the checks of a prior share: results, small random data on the CPU, a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from priorbench.attribution.methods import load_attribution
from priorbench.components import registry
from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.components.hooks import COMPUTED
from priorbench.components.prior import Attribution, Prior
from priorbench.components.task import Batch, Task
from priorbench.data.codes import CHANNEL
from priorbench.errors import UserError
from priorbench.seeds import RandomStreams
from priorbench.training.loop import seeded_torch
from priorbench.training.objective import Objective, Regularisation

TASK = "binary"
LENGTH = 80
"""bp of the sequences that networks are trained on"""
MIXED = (1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0)
"""labels of a batch with positives and negatives"""
_ARCHITECTURE = "three-conv:batch_norm=false"  # one example is enough for it
_STREAMS = RandomStreams(0, ("conformance",), 0)
"""the random draws of every training step"""


Subject = TypeVar("Subject")


class CheckFailed(Exception):
    """The subject breaks its contract; the message says how, and what to do."""


class NotApplicable(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        check: name of the check.
        outcome: ``passed``, ``failed`` or ``not applicable``.
        detail: what the check saw, in a few words.
    """

    check: str
    outcome: Literal["passed", "failed", "not applicable"]
    detail: str


def run_check(check: Callable[[Subject], str], subject: Subject) -> CheckResult:
    """Return the result of a check; an exception of the subject's own is a failure."""
    name = check.__name__.replace("_", " ")
    try:
        return CheckResult(name, "passed", check(subject))
    except NotApplicable as reason:
        return CheckResult(name, "not applicable", str(reason))
    except CheckFailed as reason:
        return CheckResult(name, "failed", str(reason))
    except (Exception, SystemExit) as error:
        # whatever it raises where it should not is what the check is there to find
        first = (str(error).splitlines() or [""])[0]
        return CheckResult(name, "failed", f"{type(error).__name__}: {first}")


def require_hook(prior: Prior, hook: str) -> None:
    """Raise NotApplicable unless the prior acts through the hook."""
    if not prior.overrides(hook):
        raise NotApplicable(f"has no {hook}")


def penalty_of(prior: Prior, gradient: torch.Tensor, sequence: torch.Tensor) -> torch.Tensor:
    """Return the (B,) penalty of gradient x input, all examples positive."""
    attribution = Attribution(gradient, (gradient * sequence).sum(dim=1))
    label, arrays = sequence.new_ones(len(sequence)), arrays_for(prior, sequence, gradient)
    value: object = prior.penalty(attribution, Batch(sequence, label, arrays))
    if not isinstance(value, torch.Tensor):
        raise CheckFailed(f"penalty returns a {type(value).__name__}, wanted a tensor (B,)")
    return value


def arrays_for(
    prior: Prior, sequence: torch.Tensor, gradient: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the arrays that a prior's penalty needs, made so that both strands agree."""
    strong = (sequence[:, 1] + sequence[:, 2]).detach()  # C and G change places
    observed = (gradient * sequence).sum(dim=1)
    neighbours = observed.roll(1, 1) + observed.roll(-1, 1)
    known = {
        "target": strong.mean(dim=1),
        "reverse-complement": neighbours,
        "teachers:label": strong.mean(dim=1),
        "teachers:attribution": strong.roll(1, 1) + strong.roll(-1, 1),
    }
    channels = {f"{CHANNEL}{name}": strong[:, None] for name in prior.channels}
    return {**channels, **{name: known[name] for name in COMPUTED if name in prior.needs}}


def sequences(count: int, length: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return (count, 4, length) random one-hot sequences, always the same."""
    generator = torch.Generator().manual_seed(count * 100003 + length)
    codes = torch.randint(0, 4, (count, length), generator=generator)
    return torch.eye(4, dtype=dtype)[codes].transpose(1, 2).contiguous()


def gradients(count: int, length: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return (count, 4, length) random numbers in place of a gradient, always the same."""
    generator = torch.Generator().manual_seed(count * 100019 + length)
    return torch.randn(count, 4, length, generator=generator, dtype=dtype)


def network(
    length: int = LENGTH, scale: Scale = "smoke", spec: str = _ARCHITECTURE
) -> torch.nn.Module:
    """Return a small network, always with the same weights."""
    with seeded_torch(0, torch.device("cpu")):
        architecture: Architecture = registry.build("architecture", spec)
        return architecture.build(NetworkShape(length), scale)


def weight_of(prior: Prior) -> float:
    """Return the default weight of a prior, or 1 if it has none."""
    try:
        return prior.default_weight(TASK)
    except UserError:
        return 1.0


@dataclass(frozen=True)
class TrainingStep:
    """A training step of a small network under a prior, on random sequences with these labels."""

    prior: Prior
    labels: Sequence[float]
    length: int = LENGTH
    scale: Scale = "smoke"

    @cached_property
    def batch(self) -> Batch:
        """Examples of every step."""
        sequence = sequences(len(self.labels), self.length)
        arrays = arrays_for(self.prior, sequence, sequence)
        channels = {name: value for name, value in arrays.items() if name.startswith(CHANNEL)}
        return Batch(sequence, torch.tensor(self.labels), channels)

    def start(self) -> Objective:
        """Return the losses of a new network, changed by the prior."""
        task: Task = registry.build("task", TASK)
        parts = self.prior.parts(weight_of(self.prior), TASK)
        method = load_attribution(self.prior.sees or "input-x-gradient")
        regularisation = Regularisation(parts, method, apart=True)
        model = regularisation.adapt(network(self.length, self.scale))
        teachers = [network(self.length, self.scale) for _ in range(regularisation.teachers)]
        return Objective(model, task, regularisation, _STREAMS, teachers=teachers)

    def take(self, objective: Objective) -> list[torch.Tensor]:
        """Return the losses of the next step and the gradients of all parameters."""
        losses = list(objective.losses(self.batch, 1.0))
        learnt = [value for value in objective.model.parameters() if value.requires_grad]
        slopes = torch.autograd.grad(losses[0] + losses[1], learnt, allow_unused=True)
        return losses + [slope for slope in slopes if slope is not None]


class AllocatedBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes of every tensor that an operation makes: an upper bound of the peak."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it makes."""
        result = func(*args, **(kwargs or {}))
        values = result if isinstance(result, (list, tuple)) else [result]
        self.bytes += sum(v.numel() * v.element_size() for v in values if torch.is_tensor(v))
        return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, as workers do: idle threads would count as processor time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def kept_for_backward() -> Iterator[dict[int, int]]:
    """Count the bytes, by address, that operations keep for the backward pass."""
    sizes: dict[int, int] = {}
    held = []  # else an address could be used again

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        held.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        yield sizes
