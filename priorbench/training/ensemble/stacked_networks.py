"""Several networks of the same form as one: their parameters stacked, all of them run at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from priorbench.autograd.functions.twice_differentiable import TwiceDifferentiable
from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.module_state import forked_generators
from priorbench.autograd.run_layers import WithinVmap
from priorbench.autograd.split.routes import choose_route
from priorbench.autograd.split.split_batch import SplitBatch
from priorbench.autograd.split.ways import Arguments, CannotTakeApart, Way, in_one_tensor
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.components.prior import Prior


class CannotStack(Exception):
    """Networks or priors that cannot be trained as one; the message says why."""


class MemberGenerators:
    """The states of torch's default generators by member, as each would have them alone.

    Attributes:
        device: device of the networks.
        draws: number of times that all members have drawn.
    """

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        """Seed every member's generators."""
        self.device = device
        self.draws = 0
        self._states = []
        for seed in seeds:
            with forked_generators(self.device):
                torch.manual_seed(seed)
                self._states.append(self._present())

    @contextmanager
    def of(self, member: int) -> Iterator[None]:
        """Draw from the member's generators within the block."""
        with forked_generators(self.device):
            self._set(self._states[member])
            yield
            self._states[member] = self._present()

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Undo at the end of the block what was drawn in it."""
        before = list(self._states)
        try:
            yield
        finally:
            self._states = before

    def keep(self, index: Sequence[int]) -> None:
        """Keep these members only."""
        self._states = [self._states[i] for i in index]

    def _present(self) -> list[torch.Tensor]:
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def _set(self, states: Sequence[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.device)


class StackedNetworks:
    """M networks of the same form.

    Attributes:
        parameters: (M, ...) each, by name; leaves that need gradients where the networks' do.
        buffers: (M, ...) each, by name.
        generators: generators of the networks' own random draws (dropout).
        template: network of the same form, with the weights that the first began with.
    """

    def __init__(
        self,
        models: Sequence[torch.nn.Module],
        generators: MemberGenerators,
        *,
        apart: bool = True,
    ) -> None:
        """Copy the parameters and buffers of networks in training mode, on one device.

        Args:
            models: the networks.
            generators: generators of their own random draws.
            apart: whether a batch may go through them in parts, as their architecture says.

        Raises:
            CannotStack: if they differ in form.
        """
        self.template = copy.deepcopy(models[0])
        self.generators, self.apart = generators, apart
        named = [*self.template.named_parameters(), *self.template.named_buffers()]
        if {name for name, _ in named} != set(self.template.state_dict()):
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
        """Return the number of networks."""
        return len(next(iter(self.parameters.values())))

    def train(self, mode: bool) -> None:
        """Put all networks in training mode, or in eval mode."""
        self.template.train(mode)

    def forward(
        self,
        parts: Sequence[Arguments],
        gate: StatisticsGate,
        examples: int,
        *,
        twice: bool = False,
    ) -> list[Any]:
        """Return the output of every network for groups of examples that share batch statistics.

        Arguments and outputs have a first dimension M. The gate must be made for M members. If
        ``twice``, outputs have a second derivative.
        """
        way = self._way(parts, examples)

        def go(member_parts: Sequence[Arguments]) -> list[Any]:
            return way(self.template, member_parts, gate, examples)

        with TwiceDifferentiable(needed=twice), _MemberDropout(self.generators, len(self)):
            outputs: list[Any] = self._mapped(go, (list(map(list, parts)),), 0)
        return outputs

    def evaluate(self, arguments: Arguments) -> Any:
        """Return the output (M, B, ...) of every network for the same examples, in eval mode."""

        def go(*shared: torch.Tensor) -> Any:
            return self.template(*shared)

        return self._mapped(go, tuple(arguments), None)

    def parameter_penalty(self, prior: Prior, places: torch.Tensor) -> torch.Tensor:
        """Return the penalties (k,) of the networks at (k,) places."""

        def go() -> torch.Tensor:
            return prior.parameter_penalty(self.template)

        penalties: torch.Tensor = self._mapped(go, (), None, places)
        return penalties

    def state(self, member: int) -> dict[str, torch.Tensor]:
        """Return a copy of one network's parameters and buffers."""
        tensors = {**self.parameters, **self.buffers}
        return {name: value.detach()[member].clone() for name, value in tensors.items()}

    def keep(self, index: Sequence[int]) -> None:
        """Keep these networks only."""
        places = torch.tensor(index, device=self.generators.device)
        self.parameters = {
            name: value.detach()[places].requires_grad_(value.requires_grad)
            for name, value in self.parameters.items()
        }
        self.buffers = {name: value[places] for name, value in self.buffers.items()}
        self.generators.keep(index)

    def _way(self, parts: Sequence[Arguments], examples: int) -> Way:
        """Return how a network alone would take its batch, tried with the template's weights."""
        if not self.apart:
            return in_one_tensor
        alone = [[value[0] for value in arguments] for arguments in parts]
        if len(alone) == 1:
            # the ways of a divided batch are the faster ones
            half = len(alone[0][0]) // 2
            alone = [[v[:half] for v in alone[0]], [v[half:] for v in alone[0]]]
            examples = 2
        call = ModelCall(self.template, alone[0][1:], count=len(alone[0][0]))
        try:
            route = choose_route(call, alone, examples)
        except CannotTakeApart:
            return in_one_tensor
        return in_one_tensor if route is None else route.way

    def _mapped(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        dim: int | None,
        places: torch.Tensor | None = None,
    ) -> Any:
        """Call a function that reads the template's weights with those of every member, or some.

        Args:
            function: function of the arguments of one member.
            arguments: arguments of all members.
            dim: dimension of the arguments along which members lie; None if they share them.
            places: (k,) int64 places of the members; None for all.
        """
        caller = _Caller(self.template, function)

        def go(tensors: dict[str, torch.Tensor], *own: Any) -> Any:
            return functional_call(caller, tensors, own)

        tensors = {
            f"template.{name}": value if places is None else value[places]
            for name, value in {**self.parameters, **self.buffers}.items()
        }
        dims = (0, *[dim] * len(arguments))
        return torch.vmap(go, in_dims=dims, randomness="error")(tensors, *arguments)


class _Caller(torch.nn.Module):
    """A module around the template, so that anything may be called with its weights exchanged."""

    def __init__(self, template: torch.nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.template, self._function = template, function

    def forward(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _stacked(networks: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    shapes = [{name: value.shape for name, value in tensors.items()} for tensors in networks]
    if any(others != shapes[0] for others in shapes):
        raise CannotStack("the networks have not the same form")
    return {name: torch.stack([tensors[name] for tensors in networks]) for name in networks[0]}


class _MemberDropout(TorchFunctionMode):
    """Dropout that draws from every member's own generator what the member would draw alone."""

    def __init__(self, generators: MemberGenerators, members: int) -> None:
        super().__init__()
        self.generators, self.members = generators, members

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
        return input * _Mask.apply(input, self.generators, p)  # type: ignore[no-untyped-call]


class _Mask(WithinVmap):
    """The factors of dropout, drawn member by member."""

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        value: torch.Tensor,
        generators: MemberGenerators,
        p: float,
    ) -> tuple[torch.Tensor, int]:
        ones = torch.ones_like(value.detach().select(in_dims[0], 0))
        generators.draws += 1
        masks = []
        for member in range(info.batch_size):
            with generators.of(member):
                masks.append(F.dropout(ones, p))
        return torch.stack(masks), 0
