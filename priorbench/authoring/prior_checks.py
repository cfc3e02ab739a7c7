"""The checks that every prior must pass: ``priorbench check``.

A check is a function of a prior that returns what it saw in a few words, or raises
:class:`CheckFailed` or :class:`NotApplicable`. All run on the CPU, from fixed seeds.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from priorbench.components import registry
from priorbench.components.prior import Attribution, Prior
from priorbench.components.task import Batch
from priorbench.errors import UserError
from priorbench.study.tuning_rule import weight_grid
from priorbench.training.loop import seeded_torch

from .check_tools import (
    MIXED,
    TASK,
    AllocatedBytes,
    CheckFailed,
    CheckResult,
    NotApplicable,
    TrainingStep,
    arrays_for,
    gradients,
    kept_for_backward,
    network,
    one_thread,
    penalty_of,
    require_hook,
    run_check,
    sequences,
    weight_of,
)
from .hook_checks import (
    asks_for_a_final_phase,
    averages_weights,
    changes_input,
    changes_the_examples,
    keeps_initial_weights,
    penalises_parameters,
    penalises_the_loss,
)

_LENGTHS = (50, 101, 1000, 5000)
"""bp of the sequences whose penalties are checked"""
Check = Callable[[Prior], str]


def describes_itself(prior: Prior) -> str:
    """Check that there are a summary, a citation and a valid default weight."""
    if not getattr(prior, "summary", ""):
        raise CheckFailed("has no summary: set the class attribute `summary`, one line")
    cited = [getattr(part.prior, "citation", "") for part in prior.parts(1.0, TASK)]
    if prior.acts and not all(cited):
        raise CheckFailed("has no citation: set the class attribute `citation`")
    if not prior.acts:
        return "does nothing, and says so"
    try:
        weight = prior.default_weight(TASK)
    except UserError:
        return f"no default weight for {TASK}: runs need --weights"
    prior.check_weight(weight)
    return f"default weight {weight:g} for {TASK}"


def can_be_tuned(prior: Prior) -> str:
    """Check that the prior allows the weights that ``--tune 5`` tries."""
    if not prior.has_strength:
        raise NotApplicable("has no strength to tune")
    try:
        default = prior.default_weight(TASK)
    except UserError:
        raise NotApplicable(f"no default weight for {TASK}") from None
    if not default:
        raise NotApplicable("its default weight is 0")
    bound = prior.weight_bound(TASK)
    if default >= bound:
        raise NotApplicable("its default weight is the largest that there is")
    weights = weight_grid(default, 5, bound)
    for weight in weights:
        try:
            for part in prior.parts(weight, TASK):
                part.prior.check_weight(part.weight)
        except UserError as error:
            raise CheckFailed(
                f"{error}: give its bound in `weight_bound`, or set `has_strength = False`"
            ) from None
    return ", ".join(f"{weight:g}" for weight in weights)


def is_plain_data(prior: Prior) -> str:
    """Check for a frozen dataclass that survives pickling, so that workers can have it."""
    parameters = vars(type(prior)).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        raise CheckFailed(
            "is no frozen dataclass of its own: decorate it with @dataclass(frozen=True)"
        )
    hash(prior)
    pickle.dumps(prior)
    if copy.copy(prior) != prior:  # by the same protocol as pickling
        raise CheckFailed("a copy is not equal: options must be plain values")
    return ", ".join(field.name for field in dataclasses.fields(prior)) or "no options"


def trains(prior: Prior) -> str:
    """Take one step with positives and negatives."""
    return _finite(TrainingStep(prior, MIXED))


def trains_without_positives(prior: Prior) -> str:
    """Take one step on a batch without an example that priors apply to by default."""
    return _finite(TrainingStep(prior, (0.0, 0.0, 0.0)))


def trains_on_one_example(prior: Prior) -> str:
    """Take one step on a batch of one example."""
    return _finite(TrainingStep(prior, (1.0,)))


def _finite(step: TrainingStep) -> str:
    """Take the step; return its losses if they and their gradients are finite."""
    with seeded_torch(0, torch.device("cpu")):
        values = step.take(step.start())
    if not all(torch.isfinite(value).all() for value in values):
        raise CheckFailed("a loss or its gradient is not finite")
    return f"losses {values[0].item():.3g} + {values[1].item():.3g}"


def repeats_itself(prior: Prior) -> str:
    """Check that the same seed gives the same losses and gradients, two steps long."""
    step = TrainingStep(prior, MIXED)
    runs = []
    for _ in range(2):
        with seeded_torch(5, torch.device("cpu")):
            objective = step.start()
            runs.append(step.take(objective) + step.take(objective))
    if not all(map(_same_bits, *runs)):
        raise CheckFailed(
            "two trainings from one seed differ: draw from the generator that is given"
        )
    return "bit by bit"


def _same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether values are equal, with NaN in the same places; another check refuses NaN."""
    return torch.equal(first.nan_to_num(), second.nan_to_num()) and torch.equal(
        first.isnan(), second.isnan()
    )


def has_one_value_per_example(prior: Prior) -> str:
    """Check for shape (B,), the dtype of the attribution, and the same value in a second call."""
    require_hook(prior, "penalty")
    for count, length, dtype in ((3, 50, torch.float32), (1, 101, torch.float64)):
        inputs = gradients(count, length, dtype), sequences(count, length, dtype)
        value = penalty_of(prior, *inputs)
        if value.shape != (count,):
            raise CheckFailed(f"shape {tuple(value.shape)}, wanted ({count},)")
        if value.dtype != dtype:
            raise CheckFailed(
                f"{value.dtype} for attributions of {dtype}: follow the input's dtype"
            )
        if not _same_bits(value, penalty_of(prior, *inputs)):
            raise CheckFailed(
                "two values for one attribution: a penalty must not draw random numbers or "
                "remember earlier calls"
            )
    return "(B,), float32 and float64"


def is_finite(prior: Prior) -> str:
    """Check value and gradient, also of attributions that are zero in all examples or in one."""
    require_hook(prior, "penalty")
    for length in _LENGTHS:
        for count in (1, 3):
            noise = gradients(count, length)
            partly_zero = noise.clone()
            partly_zero[0] = 0
            for name, gradient in (
                ("noise", noise),
                ("zero", torch.zeros_like(noise)),
                ("partly zero", partly_zero),
            ):
                gradient.requires_grad_()
                value = penalty_of(prior, gradient, sequences(count, length))
                slope = torch.zeros_like(gradient)  # of a value that does not depend on it
                if value.requires_grad:
                    (slope,) = torch.autograd.grad(value.sum(), gradient)
                for what, tensor in (("value", value), ("gradient", slope)):
                    if not torch.isfinite(tensor).all():
                        raise CheckFailed(f"{what} is not finite: {name}, {count} x {length} bp")
    return f"{_LENGTHS[0]} to {_LENGTHS[-1]} bp, zero attributions too"


def leaves_arguments_alone(prior: Prior) -> str:
    """Check that the hooks do not change their arguments in place."""
    if prior.overrides("penalty"):
        gradient, sequence = gradients(3, 50), sequences(3, 50)
        values = (gradient, (gradient * sequence).sum(dim=1), sequence, torch.ones(3))
        kept = [value.clone() for value in values]
        arrays = arrays_for(prior, sequence, gradient)
        kept += [value.clone() for value in arrays.values()]
        prior.penalty(Attribution(*values[:2]), Batch(*values[2:], arrays))
        _refuse_changed(kept, (*values, *arrays.values()), "penalty")
    if prior.overrides("parameter_penalty"):
        model = network()
        kept = [parameter.detach().clone() for parameter in model.parameters()]
        prior.parameter_penalty(model).backward()  # type: ignore[no-untyped-call]
        _refuse_changed(kept, list(model.parameters()), "parameter_penalty")
    if prior.overrides("augment"):
        sequence = sequences(3, 50)
        kept = [sequence.clone()]
        prior.augment(sequence, weight_of(prior), torch.Generator().manual_seed(0))
        _refuse_changed(kept, (sequence,), "augment")
    if prior.overrides("change_examples"):
        sequence, label = sequences(3, 50), torch.tensor([1.0, 0.0, 1.0])
        batch = Batch(sequence, label, arrays_for(prior, sequence, sequence))
        kept = [batch.sequence.clone(), batch.label.clone()]
        prior.change_examples(batch, weight_of(prior), torch.Generator().manual_seed(0))
        _refuse_changed(kept, (batch.sequence, batch.label), "change_examples")
    return "same bits after the call"


def _refuse_changed(
    before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], hook: str
) -> None:
    """Raise CheckFailed if a hook has changed a tensor that it was given."""
    if not all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
        raise CheckFailed(f"{hook} changes its arguments in place")


def differentiates(prior: Prior) -> str:
    """Compare first and second derivatives with finite differences, in float64."""
    require_hook(prior, "penalty")
    length = _LENGTHS[0]
    sequence = sequences(1, length, torch.float64)
    gradient = gradients(1, length, torch.float64).requires_grad_()

    def value(x: torch.Tensor) -> torch.Tensor:
        return penalty_of(prior, x, sequence)

    if not value(gradient).requires_grad:
        raise NotApplicable(f"is constant at {length} bp")
    try:
        torch.autograd.gradcheck(value, gradient, eps=1e-6, atol=1e-5)
        if _bends(value, gradient):
            # by random projections: the whole matrix would take minutes
            torch.autograd.gradgradcheck(value, gradient, eps=1e-6, atol=1e-4, fast_mode=True)
    except (RuntimeError, AssertionError) as error:
        raise CheckFailed(f"derivatives are wrong: {str(error).strip().splitlines()[0]}") from error
    return "gradcheck and gradgradcheck in float64"


def _bends(value: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor) -> bool:
    """Return whether there is a second derivative; a sum of absolute values has none."""
    (slope,) = torch.autograd.grad(value(at).sum(), at, create_graph=True)
    return slope.requires_grad


def _alike(values: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether values are equal up to rounding in float64 of the largest one."""
    size = float(expected.detach().abs().max()) if expected.numel() else 0.0
    return torch.allclose(values, expected, rtol=1e-7, atol=1e-10 * size)


def ignores_order(prior: Prior) -> str:
    """Check that examples in another order have their penalties in that order."""
    require_hook(prior, "penalty")
    gradient, sequence = gradients(5, 60, torch.float64), sequences(5, 60, torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = penalty_of(prior, gradient[order], sequence[order])
    if not _alike(moved, penalty_of(prior, gradient, sequence)[order]):
        raise CheckFailed("penalties do not follow their examples when the batch is reordered")
    return "5 examples"


def ignores_scale(prior: Prior) -> str:
    """Check that a prior which claims to be scale-free is."""
    require_hook(prior, "penalty")
    if not prior.scale_free:
        raise NotApplicable("does not claim to be scale-free")
    gradient, sequence = gradients(4, 60, torch.float64), sequences(4, 60, torch.float64)
    value = penalty_of(prior, gradient, sequence)
    for factor in (1e-6, 10.0, 1e6):
        if not _alike(penalty_of(prior, factor * gradient, sequence), value):
            raise CheckFailed(
                f"claims to be scale-free, and is not at {factor:g} times the attribution"
            )
    return "1e-6 to 1e6 times"


def ignores_strand(prior: Prior) -> str:
    """Check that a prior which claims to be invariant to reverse complement is."""
    require_hook(prior, "penalty")
    claims = [p.prior for p in prior.parts(1.0, TASK) if p.prior.overrides("penalty")]
    if not all(prior.reverse_complement_invariant for prior in claims):
        raise NotApplicable("does not claim to be invariant to reverse complement")
    for length in (60, 101):
        gradient = gradients(4, length, torch.float64)
        sequence = sequences(4, length, torch.float64)
        # A C G T upside down is T G C A
        turned = penalty_of(prior, gradient.flip(1, 2), sequence.flip(1, 2))
        if not _alike(turned, penalty_of(prior, gradient, sequence)):
            raise CheckFailed("claims to be invariant to reverse complement, and is not")
    return "even and odd lengths"


def maps_over_models(prior: Prior) -> str:
    """Check value and gradient of several models at once, by ``torch.func.vmap``."""
    require_hook(prior, "penalty")
    reason = "; ".join(
        part.prior.not_vmappable for part in prior.parts(1.0, TASK) if part.prior.not_vmappable
    )
    sequence = sequences(3, 40, torch.float64)
    models = torch.stack([gradients(3, 40, torch.float64) * factor for factor in (1.0, -2.0)])

    def value(gradient: torch.Tensor) -> torch.Tensor:
        return penalty_of(prior, gradient, sequence).sum()

    both = torch.func.grad_and_value(value)
    try:
        mapped = torch.func.vmap(both)(models)
    except RuntimeError as error:
        if reason:
            raise NotApplicable(reason) from error
        raise CheckFailed(
            f"vmap: {str(error).splitlines()[0]}; set `not_vmappable` to say why it cannot be"
        ) from error
    for index, model in enumerate(models):
        for values, expected in zip(mapped, both(model), strict=True):
            if not _alike(values[index], expected):
                raise CheckFailed("vmap gives another result than one model at a time")
    return "value and gradient"


def needs_linear_memory(prior: Prior) -> str:
    """Check that memory grows no faster than batch x length, in value and gradient."""
    require_hook(prior, "penalty")
    base = _bytes_of_penalty(prior, 8, 1024)
    for count, length in ((16, 1024), (8, 4096), (1024, 50)):
        factor = count * length / (8 * 1024)
        needed = _bytes_of_penalty(prior, count, length)
        if needed > 1.25 * factor * base + 64 * count:  # and a few numbers an example
            times = f"{needed / base:.1f} times the memory for {factor:g} times"
            raise CheckFailed(f"{times} the batch x length")
    return f"{base / (8 * 1024 * 4):.0f} numbers a position in total"


def _bytes_of_penalty(prior: Prior, count: int, length: int) -> int:
    gradient = gradients(count, length).requires_grad_()
    sequence = sequences(count, length)
    with AllocatedBytes() as allocated:
        value = penalty_of(prior, gradient, sequence)
        if value.requires_grad:
            torch.autograd.grad(value.sum(), gradient)
    return int(allocated.bytes)


def has_a_price(prior: Prior) -> str:
    """Return time and memory of a training step over those of ``none``; this never fails."""
    priors = (registry.load_prior("none"), prior)
    steps = [TrainingStep(each, MIXED * 8, 200, "standard") for each in priors]
    times: tuple[list[float], list[float]] = ([], [])
    kept = []
    with seeded_torch(0, torch.device("cpu")), one_thread():
        objectives = [step.start() for step in steps]
        for step, objective in zip(steps, objectives, strict=True):
            step.take(objective)  # the first step also records how the network takes its parts
            with kept_for_backward() as sizes:
                step.take(objective)
            kept.append(sum(sizes.values()))
        for _ in range(7):
            for step, objective, seconds in zip(steps, objectives, times, strict=True):
                started = time.process_time()
                step.take(objective)
                seconds.append(time.process_time() - started)
    none, own = map(statistics.median, times)
    memory = kept[1] / kept[0]
    return f"{own / none:.1f} x the time, {memory:.1f} x the memory kept for backward, of none"


FIRST: tuple[Check, ...] = (describes_itself, is_plain_data, has_one_value_per_example)
"""checks whose failure would only be repeated by the others"""
CHECKS: tuple[Check, ...] = (
    *FIRST,
    can_be_tuned,
    is_finite,
    leaves_arguments_alone,
    differentiates,
    ignores_order,
    ignores_scale,
    ignores_strand,
    maps_over_models,
    needs_linear_memory,
    penalises_the_loss,
    penalises_parameters,
    changes_input,
    changes_the_examples,
    averages_weights,
    asks_for_a_final_phase,
    keeps_initial_weights,
    trains,
    trains_without_positives,
    trains_on_one_example,
    repeats_itself,
    has_a_price,
)


def check_prior(spec: str) -> Iterator[CheckResult]:
    """Run every check on the prior of a spec, one after the other.

    Raises:
        UserError: if there is no such prior.
    """
    prior = registry.load_prior(spec)
    broken = ""
    for check in CHECKS:
        if broken and check not in FIRST:
            name = check.__name__.replace("_", " ")
            yield CheckResult(name, "not applicable", f"not run: {broken!r} failed")
            continue
        result = run_check(check, prior)
        yield result
        if result.outcome == "failed" and check in FIRST:
            broken = broken or result.check
