"""Several networks of one form as one: their parameters stacked, all of them run at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from priorbench.autograd import Arguments, SplitBatch, StatisticsGate, Way, choose_way
from priorbench.components.contracts import Prior


class CannotStack(Exception):
    """Networks, or priors, that cannot be run as one, and why."""


class MemberGenerators:
    """The state of torch's default generators, by member, as each would have it alone.

    Attributes:
        device: where.
        count: how often something was drawn for all members.
    """

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        """Seed every member's generators."""
        self.device = device
        self.count = 0
        self._states = []
        for seed in seeds:
            with self._forked():
                torch.manual_seed(seed)
                self._states.append(self._present())

    @contextmanager
    def of(self, member: int) -> Iterator[None]:
        """Draw from the member's generators within the block."""
        with self._forked():
            self._set(self._states[member])
            yield
            self._states[member] = self._present()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Forget within the block's end what was drawn in it."""
        before = list(self._states)
        try:
            yield
        finally:
            self._states = before

    def keep(self, index: Sequence[int]) -> None:
        """Go on with these members only."""
        self._states = [self._states[i] for i in index]

    def _forked(self) -> Any:
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def _present(self) -> list[torch.Tensor]:
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def _set(self, states: Sequence[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.device)


class StackedNetworks:
    """M networks of one form.

    Attributes:
        parameters: (M, ...) each, by name; leaves that ask for gradients where the networks' do.
        buffers: (M, ...) each, by name.
        draws: what the networks' own random draws (dropout) come from.
        form: a network of the same form; its own weights are those that the first began with.
    """

    def __init__(self, models: Sequence[torch.nn.Module], draws: MemberGenerators) -> None:
        """Copy the parameters and buffers of networks in training mode, on one device.

        Raises:
            NotTogether: if they have not the same form.
        """
        self.form = copy.deepcopy(models[0])
        self.draws = draws
        named = {name for name, _ in [*self.form.named_parameters(), *self.form.named_buffers()]}
        if named != set(self.form.state_dict()):
            raise CannotStack("the networks share parameters, or keep more than tensors")
        self.parameters = {
            name: value.detach().requires_grad_(like.requires_grad)
            for (name, value), like in zip(
                _stacked([dict(model.named_parameters()) for model in models]).items(),
                models[0].parameters(),
                strict=True,
            )
        }
        self.buffers = _stacked([dict(model.named_buffers()) for model in models])

    def __len__(self) -> int:
        """How many networks."""
        return len(next(iter(self.parameters.values())))

    def train(self, mode: bool) -> None:
        """Training mode or not, for all."""
        self.form.train(mode)

    def forward(self, parts: Sequence[Arguments], gate: StatisticsGate, counted: int) -> list[Any]:
        """As ``streams.forward_parts``, of arguments and outputs with a first dimension M.

        The gate must be one for as many members.
        """
        way = self._way(parts, counted)

        def go(one: Sequence[Arguments]) -> list[Any]:
            return way(self.form, one, gate, counted)

        with _MemberDropout(self.draws, len(self)):
            found: list[Any] = self._mapped(go, (list(map(list, parts)),), 0)
        return found

    def evaluate(self, arguments: Arguments) -> Any:
        """The output of every network for the same examples, in eval mode: (M, B, ...)."""

        def go(*one: torch.Tensor) -> Any:
            return self.form(*one)

        return self._mapped(go, tuple(arguments), None)

    def parameter_penalty(self, prior: Prior, places: torch.Tensor) -> torch.Tensor:
        """(k,): of the networks at (k,) places."""

        def go() -> torch.Tensor:
            return prior.parameter_penalty(self.form)

        found: torch.Tensor = self._mapped(go, (), None, places)
        return found

    def state(self, member: int) -> dict[str, torch.Tensor]:
        """A copy of one network's parameters and buffers."""
        tensors = {**self.parameters, **self.buffers}
        return {name: value.detach()[member].clone() for name, value in tensors.items()}

    def keep(self, index: Sequence[int]) -> None:
        """Go on with these networks only."""
        places = torch.tensor(index, device=self.draws.device)
        self.parameters = {
            name: value.detach()[places].requires_grad_(value.requires_grad)
            for name, value in self.parameters.items()
        }
        self.buffers = {name: value[places] for name, value in self.buffers.items()}
        self.draws.keep(index)

    def _way(self, parts: Sequence[Arguments], counted: int) -> Way:
        """How a network alone would take its batch, tried with the form's own weights."""
        alone = [[value[0] for value in arguments] for arguments in parts]
        if len(alone) == 1:
            # the ways of a divided batch are the faster ones
            half = len(alone[0][0]) // 2
            alone = [[v[:half] for v in alone[0]], [v[half:] for v in alone[0]]]
            counted = 2
        return choose_way(self.form, alone, counted)

    def _mapped(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        dim: int | None,
        places: torch.Tensor | None = None,
    ) -> Any:
        """A function that reads the form's weights, for those of every member, or of some."""
        caller = _Caller(self.form, function)

        def go(tensors: dict[str, torch.Tensor], *one: Any) -> Any:
            return functional_call(caller, tensors, one)

        tensors = {
            f"form.{name}": value if places is None else value[places]
            for name, value in {**self.parameters, **self.buffers}.items()
        }
        dims = (0, *[dim] * len(arguments))
        return torch.vmap(go, in_dims=dims, randomness="error")(tensors, *arguments)


class _Caller(torch.nn.Module):
    """A module around the form, so that anything may be called with its weights exchanged."""

    def __init__(self, form: torch.nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.form, self._function = form, function

    def forward(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _stacked(tensors: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    shapes = [{name: value.shape for name, value in one.items()} for one in tensors]
    if any(one != shapes[0] for one in shapes):
        raise CannotStack("the networks have not the same form")
    return {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}


class _MemberDropout(TorchFunctionMode):
    """Dropout that draws from every member's own generator what the member would draw alone."""

    def __init__(self, draws: MemberGenerators, members: int) -> None:
        super().__init__()
        self.draws, self.members = draws, members

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is not F.dropout:
            return function(*args, **(kwargs or {}))
        return self._dropped(*args, **(kwargs or {}))

    def _dropped(
        self, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Any:
        if not training:
            return input
        if isinstance(input, SplitBatch):
            return input.like([self._dropped(part, p) for part in input.parts])
        return input * _Mask.apply(input, self.draws, p)  # type: ignore[no-untyped-call]


class _Mask(torch.autograd.Function):
    """What dropout multiplies by; drawn within ``torch.vmap`` member by member."""

    generate_vmap_rule = False

    @staticmethod
    def forward(*_: Any) -> Any:
        raise NotImplementedError("for use within torch.vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], value: torch.Tensor, draws: MemberGenerators, p: float
    ) -> tuple[torch.Tensor, int]:
        ones = torch.ones_like(value.detach().select(in_dims[0], 0))
        draws.count += 1
        masks = []
        for member in range(info.batch_size):
            with draws.of(member):
                masks.append(F.dropout(ones, p))
        return torch.stack(masks), 0
