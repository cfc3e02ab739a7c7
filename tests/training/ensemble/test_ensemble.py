"""Networks that train at once have the numbers that each has alone."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import CPU, build_network, regularisation
from fixtures.sequences import random_sequences

from priorbench import Batch, Prior, load_attribution
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.data.codes import TRAIN
from priorbench.seeds import RandomStreams
from priorbench.training.batches import epoch_order, load_batch
from priorbench.training.ensemble.fit import fit_ensemble, require_same_first_step
from priorbench.training.ensemble.objective import EnsembleObjective, MemberTraining
from priorbench.training.ensemble.stacked_networks import (
    CannotStack,
    MemberGenerators,
    StackedNetworks,
)
from priorbench.training.ensemble.trainer import CommonTraining, Ensemble
from priorbench.training.loop import Trainer, fit, seeded_torch
from priorbench.training.objective import Objective, Regularisation
from priorbench.training.schedules import SCHEDULES

TASK = registry.build("task", "binary")
SHORT = replace(SCHEDULES["smoke"], epochs=2)
SIZE, LENGTH = 12, 80


def part(
    prior: str, seed: int, weight=None, attribution="input-x-gradient", task="binary"
) -> MemberTraining:
    added = regularisation(prior, weight, attribution, task)
    return MemberTraining(added, RandomStreams(0, (task, "simulated"), seed))


def network(architecture: str, form: NetworkShape, own: MemberTraining) -> torch.nn.Module:
    return build_network(architecture, form, seed=own.streams.derive("init"))


def examples(seed: int, positives: int, size: int = SIZE) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    label = (torch.randperm(size, generator=generator) < positives).double()
    sequence = random_sequences(size, LENGTH, seed=seed)
    return Batch(sequence, label, {"channel:motif": sequence[:, 1:2] + sequence[:, 2:3]})


def joined(batches: list[Batch]) -> Batch:
    return Batch(
        torch.cat([batch.sequence for batch in batches]),
        torch.cat([batch.label for batch in batches]),
        {name: torch.cat([batch.arrays[name] for batch in batches]) for name in batches[0].arrays},
    )


def assert_same_as_alone(parts, batches, task=TASK, architecture="three-conv", form=None, steps=2):
    """Losses, gradients and buffers of some steps, in float64."""
    form = form or NetworkShape(LENGTH)
    draws = MemberGenerators(CPU, [own.streams.derive("prior") for own in parts])
    models = []
    for place, own in enumerate(parts):
        with draws.of(place):
            adapted = own.regularisation.adapt(network(architecture, form, own))
        models.append(adapted.double().train())
    alone = copy.deepcopy(models)
    members = StackedNetworks(models, draws)
    together = EnsembleObjective(members, task, parts)
    objectives = [
        Objective(model, task, own.regularisation, own.streams)
        for model, own in zip(alone, parts, strict=True)
    ]
    states = []
    for own in parts:
        with seeded_torch(own.streams.derive("prior"), CPU):
            states.append(torch.get_rng_state())
    for step in range(steps):
        prediction, penalty = together.losses(joined(batches), elapsed=step / 2)
        (prediction + penalty).sum().backward()
        for place, (model, objective, batch) in enumerate(
            zip(alone, objectives, batches, strict=True)
        ):
            with torch.random.fork_rng([]):
                torch.set_rng_state(states[place])
                own_prediction, own_penalty = objective.losses(batch, elapsed=step / 2)
                states[place] = torch.get_rng_state()
            (own_prediction + own_penalty).backward()
            torch.testing.assert_close(prediction[place], own_prediction)
            torch.testing.assert_close(penalty[place], own_penalty)
            for name, value in model.named_parameters():
                gradient = members.parameters[name].grad
                if value.grad is not None:
                    torch.testing.assert_close(gradient[place], value.grad, rtol=1e-6, atol=1e-9)
                else:
                    assert gradient is None or not gradient[place].any()
            for name, value in model.named_buffers():
                torch.testing.assert_close(members.buffers[name][place], value)


MIXED = [("fourier", 0.3, 5), ("fourier:boundary=reflect", 2.0, 8), ("fourier:examples=all", 1, 3)]


@pytest.mark.parametrize("architecture", ["three-conv", "basset", "deepsea", "deepbind", "bpnet"])
def test_every_network_of_numbers(architecture):
    parts = [part(prior, seed, weight) for seed, (prior, weight, _) in enumerate(MIXED)]
    batches = [examples(seed, positives) for seed, (*_, positives) in enumerate(MIXED)]
    assert_same_as_alone(parts, batches, architecture=architecture)


@pytest.mark.parametrize(
    "attribution",
    [
        "gradient",
        "simplex-gradient",
        "input-x-gradient:through_statistics=true",
        "expected-gradients",
        "integrated-gradients:steps=3",
        "integrated-gradients:steps=2:reference=uniform",
    ],
)
@pytest.mark.parametrize("architecture", ["three-conv", "deepbind"])
def test_every_attribution(attribution, architecture):
    parts = [part("l2", seed, 2.0, attribution) for seed in range(3)]
    batches = [examples(seed, 4 + 2 * seed) for seed in range(3)]
    assert_same_as_alone(parts, batches, architecture=architecture)


ALONE = [name for name in registry.components("prior") if registry.load_prior(name).alone]


@pytest.mark.parametrize("name", sorted({*registry.components("prior")} - {*ALONE}))
def test_every_prior(name):
    parts = [part(name, seed) for seed in range(3)]
    assert_same_as_alone(parts, [examples(seed, 5 + seed) for seed in range(3)])


@pytest.mark.parametrize(
    "priors",
    [
        ("tv+weight-l2=1e-3", "tv=2+weight-l2=1e-2"),
        ("tv:every=2", "tv"),
        ("tv:schedule=warm-up", "tv:schedule=deflate:schedule_speed=2"),
        ("fourier+input-noise", "fourier=0+input-noise"),
        ("fourier+label-smoothing", "fourier+mixup"),
        ("l1:sign=signed", "l1:examples=all"),
    ],
)
def test_members_with_other_options_schedules_and_weights(priors):
    parts = [part(prior, seed) for seed, prior in enumerate(priors)]
    assert_same_as_alone(parts, [examples(seed, 4 + seed) for seed in range(2)], steps=3)


def test_the_published_off_simplex_prior():
    name = "off-simplex:form=published"
    parts = [part(name, seed, 1.0, registry.load_prior(name).sees) for seed in range(3)]
    assert_same_as_alone(parts, [examples(seed, 5 + seed) for seed in range(3)])


@pytest.mark.parametrize("name", ALONE)
def test_a_prior_that_acts_through_what_members_lack_is_refused(name):
    parts = [part(name, seed) for seed in range(2)]
    models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
    members = StackedNetworks(models, MemberGenerators(CPU, range(2)))
    with pytest.raises(CannotStack, match="trained alone only"):
        EnsembleObjective(members, TASK, parts)


def test_a_member_of_weight_0():
    parts = [part("fourier", 0, weight=0.0), part("fourier", 1)]
    assert_same_as_alone(parts, [examples(seed, 4) for seed in range(2)])


@pytest.mark.parametrize("positives", [(0, 0), (0, 7), (1, 1), (1, 12), (12, 12)])
@pytest.mark.parametrize("attribution", ["input-x-gradient", "expected-gradients"])
def test_any_number_of_examples_that_priors_apply_to(positives, attribution):
    parts = [part("fourier", seed, attribution=attribution) for seed in range(2)]
    batches = [examples(seed, count) for seed, count in enumerate(positives)]
    assert_same_as_alone(parts, batches, steps=1)


@dataclass(frozen=True)
class Root(Prior):
    """Its gradient is not finite where it is 0."""

    summary: ClassVar[str] = "for a test"
    citation: ClassVar[str] = "none"

    def parameter_penalty(self, model):
        return (0 * next(model.parameters())).sum().sqrt()


def test_a_penalty_of_weight_0_touches_nobody():
    def root(seed: int, weight: float) -> MemberTraining:
        added = regularisation(Root(), weight)
        return MemberTraining(added, RandomStreams(0, ("binary", "simulated"), seed))

    parts = [root(0, 0.0), root(1, 1.0)]
    models = [network("three-conv", NetworkShape(LENGTH), own).double() for own in parts]
    members = StackedNetworks(models, MemberGenerators(CPU, range(2)))
    objective = EnsembleObjective(members, TASK, parts)
    losses = objective.losses(joined([examples(seed, 4) for seed in range(2)]), 0.0)
    torch.stack(losses).sum().backward()
    finite = torch.stack(
        [
            value.grad.flatten(1).isfinite().all(dim=1)
            for value in members.parameters.values()
            if value.grad is not None
        ]
    )
    assert finite[:, 0].all()
    assert not finite[:, 1].all()


def test_profiles_with_control_tracks(tmp_path):
    dataset = simulate(tmp_path / "profile", "profile")
    task = registry.build("task", "profile")
    form = task.network_shape_of(dataset)
    rows = dataset.rows(TRAIN)
    batches = []
    for start in (0, 8):
        batch = load_batch(dataset, rows[start : start + 8], CPU)
        arrays = {name: value.double() for name, value in batch.arrays.items()}
        batches.append(Batch(batch.sequence.double(), batch.label.double(), arrays))
    parts = [part("fourier", seed, task="profile") for seed in range(2)]
    assert_same_as_alone(parts, batches, task=task, architecture="bpnet", form=form)


class TestMembers:
    def members(self, count=3, architecture="three-conv"):
        parts = [part("none", seed) for seed in range(count)]
        models = [network(architecture, NetworkShape(LENGTH), own).train() for own in parts]
        return models, StackedNetworks(models, MemberGenerators(CPU, range(count)))

    @pytest.mark.parametrize("architecture", ["three-conv", "deepbind", "bpnet"])
    def test_in_eval_mode(self, architecture):
        models, members = self.members(3, architecture)
        sequence = examples(0, 3).sequence.float()
        members.train(mode=False)
        outputs = members.evaluate([sequence])
        for model, own in zip(models, outputs, strict=True):
            torch.testing.assert_close(own, model.eval()(sequence))

    def test_some_go_on_without_the_others(self):
        models, members = self.members()
        members.keep([2, 0])
        assert len(members) == 2
        for place, index in enumerate([2, 0]):
            state = members.state(place)
            for name, value in models[index].state_dict().items():
                assert torch.equal(state[name], value)

    def test_a_state_is_a_copy(self):
        _, members = self.members()
        state = members.state(1)
        before = {name: value.clone() for name, value in state.items()}
        with torch.no_grad():
            for value in members.parameters.values():
                value.add_(1)
        assert all(torch.equal(state[name], value) for name, value in before.items())

    def test_networks_of_another_form_are_refused(self):
        with pytest.raises(CannotStack, match="not the same form"):
            StackedNetworks(
                [torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)],
                MemberGenerators(CPU, range(2)),
            )

    def test_networks_that_share_parameters_are_refused(self):
        layer = torch.nn.Linear(2, 2)
        with pytest.raises(CannotStack, match="share parameters"):
            StackedNetworks(
                [torch.nn.Sequential(layer, layer)] * 2, MemberGenerators(CPU, range(2))
            )


@pytest.mark.slow
class TestTraining:
    def train(self, parts, dataset, schedule=SHORT):
        models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
        terms = CommonTraining(TASK, dataset, schedule, CPU)
        return dict(fit_ensemble(models, parts, terms))

    def alone(self, own, dataset, schedule=SHORT):
        model = network("three-conv", NetworkShape(LENGTH), own)
        added = own.regularisation
        return fit(model, TASK, added, dataset, schedule=schedule, streams=own.streams, device=CPU)

    @pytest.mark.parametrize("prior", ["none", "fourier", "dropout", "weight-l1"])
    def test_a_member_is_trained_as_it_would_be_alone(self, prior, simulated):
        parts = [part(prior, seed) for seed in range(3)]
        fits = self.train(parts, simulated)
        assert sorted(fits) == [0, 1, 2]
        for place, own in enumerate(parts):
            fitted, expected = fits[place], self.alone(own, simulated)
            assert fitted.initial_weights == expected.initial_weights
            assert not fitted.model.training
            assert [e.order for e in fitted.history] == [e.order for e in expected.history]
            first, same = fitted.history[0], expected.history[0]
            # rounding grows from step to step
            assert first.training_loss == pytest.approx(same.training_loss, abs=5e-3)
            assert first.penalty == pytest.approx(same.penalty, abs=5e-3)
            assert first.validation_loss == pytest.approx(same.validation_loss, abs=3e-2)
            best = fitted.history[fitted.best_epoch].validation_loss
            assert best == min(epoch.validation_loss for epoch in fitted.history)

    def test_the_model_has_the_weights_of_its_best_epoch(self, simulated, monkeypatch):
        losses = iter([[0.5, 0.2, 0.4], [0.3, 0.4, 0.6]])
        states = []

        def pretended(self):
            states.append([self.members.state(place) for place in range(3)])
            return torch.tensor(next(losses), dtype=torch.float64)

        monkeypatch.setattr(Ensemble, "_validation_losses", pretended)
        fits = self.train([part("none", seed) for seed in range(3)], simulated)
        for place, best in enumerate((1, 0, 0)):
            assert fits[place].best_epoch == best
            for name, value in fits[place].model.state_dict().items():
                assert torch.equal(value, states[best][place][name])

    def test_members_end_one_by_one_and_do_not_hold_the_others(self, simulated, monkeypatch):
        schedule = replace(SHORT, epochs=5, patience=2)
        # the second improves no more after its first epoch, the first after its second
        losses = iter([[0.9, 0.5, 0.9], [0.8, 0.5, 0.8], [0.8, 0.5, 0.7], [0.8, 0.6], [0.5]])
        monkeypatch.setattr(
            Ensemble,
            "_validation_losses",
            lambda self: torch.tensor(next(losses), dtype=torch.float64),
        )
        parts = [part("fourier", seed) for seed in range(3)]
        models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
        ends = fit_ensemble(models, parts, CommonTraining(TASK, simulated, schedule, CPU))
        ends = [(index, len(trained.history)) for index, trained in ends]
        assert ends == [(1, 3), (0, 4), (2, 5)]

    def test_who_goes_on_has_its_own_losses(self, simulated, monkeypatch):
        schedule = replace(SHORT, epochs=3, patience=1)
        validation = Ensemble._validation_losses

        def first_is_over(self):
            losses = validation(self)
            losses[0] = 0.1 if len(losses) == 3 else losses[0]
            return losses

        monkeypatch.setattr(Ensemble, "_validation_losses", first_is_over)
        parts = [part("weight-l2", seed) for seed in range(3)]
        fits = self.train(parts, simulated, schedule)
        assert len(fits[0].history) == 2
        monkeypatch.undo()
        expected = self.alone(parts[2], simulated, schedule)
        for fitted, same in zip(fits[2].history, expected.history, strict=False):
            assert fitted.order == same.order
            assert fitted.training_loss == pytest.approx(same.training_loss, abs=5e-3)

    def test_a_member_that_diverges_leaves_the_others_alone(self, simulated):
        parts = [part("l2", 0), part("l2", 1, weight=1e39), part("l2", 2)]
        fits = self.train(parts, simulated)
        assert fits[1].divergence == "loss is not finite in epoch 1"
        for place in (0, 2):
            assert not fits[place].divergence
            assert len(fits[place].history) == 2
            same = self.alone(parts[place], simulated).history[0]
            assert fits[place].history[0].training_loss == pytest.approx(
                same.training_loss, abs=5e-3
            )

    @pytest.mark.parametrize("prior", ["weight-l2", "dropout", "input-noise", "tv:every=2"])
    def test_who_goes_on_is_trained_as_before(self, prior, simulated, monkeypatch):
        def in_float64(*args, **kwargs) -> Batch:
            batch = load_batch(*args, **kwargs)
            return Batch(batch.sequence.double(), batch.label.double(), batch.arrays)

        monkeypatch.setattr("priorbench.training.ensemble.trainer.load_batch", in_float64)
        monkeypatch.setattr("priorbench.training.loop.load_batch", in_float64)
        parts = [part(prior, seed) for seed in range(3)]
        models = [network("three-conv", NetworkShape(LENGTH), own).double() for own in parts]
        alone = copy.deepcopy(models[2])
        ensemble = Ensemble(models, parts, CommonTraining(TASK, simulated, SHORT, CPU))
        for _ in islice(ensemble.steps(0, ensemble.order(0)), 3):
            pass
        ensemble._keep([2, 0])
        ensemble.present = [2, 0]
        for _ in islice(ensemble.steps(1, ensemble.order(1)), 3):
            pass
        own = parts[2]
        with seeded_torch(own.streams.derive("prior"), CPU):
            alone = own.regularisation.adapt(alone)
            trainer = Trainer(
                alone, TASK, own.regularisation, simulated, schedule=SHORT, streams=own.streams
            )
            for epoch in range(2):
                order = epoch_order(simulated, TASK, own.streams, epoch)
                for _ in islice(trainer.steps(epoch, order), 3):
                    pass
        state = ensemble.members.state(0)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-7)

    def test_schedules_are_told_the_part_of_the_epoch(self, simulated, monkeypatch):
        elapsed_times = []

        def step(self, batch, elapsed):
            elapsed_times.append(elapsed)
            return torch.zeros(2, 2)

        monkeypatch.setattr(Ensemble, "_step", step)
        parts = [part("none", seed) for seed in range(2)]
        models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
        ensemble = Ensemble(models, parts, CommonTraining(TASK, simulated, SHORT, CPU))
        list(ensemble.steps(3, ensemble.order(3)))
        count = len(ensemble.batches)
        assert elapsed_times == [3 + done / count for done in range(count)]

    def test_the_time_of_a_step_is_shared(self, simulated, monkeypatch):
        parts = [part("none", seed) for seed in range(2)]
        models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
        ensemble = Ensemble(models, parts, CommonTraining(TASK, simulated, SHORT, CPU))
        times = iter([5.0, 25.0])
        monkeypatch.setattr(
            "priorbench.training.ensemble.trainer.clock", lambda device: next(times)
        )
        list(ensemble.epoch())
        seconds = ensemble.progress[0].history[0].seconds_per_step
        assert seconds == pytest.approx(20 / len(ensemble.batches) / 2)

    @pytest.mark.parametrize("prior", ["none", "fourier", "dropout"])
    def test_in_bfloat16(self, prior, simulated):
        parts = [part(prior, seed) for seed in range(2)]
        schedule = replace(SHORT, precision="bf16")
        fits = self.train(parts, simulated, schedule)
        for place, own in enumerate(parts):
            same, other = (self.alone(own, simulated, how).history[0] for how in (schedule, SHORT))
            fitted = fits[place].history[0]
            assert fitted.training_loss == pytest.approx(same.training_loss, rel=0.03)
            assert fitted.training_loss != other.training_loss
            assert fitted.penalty == pytest.approx(same.penalty, rel=0.1)

    @pytest.mark.parametrize("positives", [(5, 5), (5, 6)])
    def test_what_draws_in_another_order_is_refused(self, positives):
        parts = [part("fourier+dropout", seed) for seed in range(2)]
        batch = joined([examples(seed, count) for seed, count in enumerate(positives)])
        models = [
            own.regularisation.adapt(network("three-conv", NetworkShape(LENGTH), own)).double()
            for own in parts
        ]
        members = StackedNetworks(models, MemberGenerators(CPU, range(2)))
        members.train(mode=True)
        with pytest.raises(CannotStack, match="dropout draws in another order"):
            EnsembleObjective(members, TASK, parts).losses(batch, 0.0)

    def test_penalties_that_see_different_attributions_are_refused(self, simulated):
        parts = [part("l2", 0), part("l2", 1, attribution="gradient")]
        with pytest.raises(CannotStack, match="different attributions"):
            self.train(parts, simulated)

    @pytest.mark.parametrize("seeds", [(0, 1), (0, 0)])
    def test_a_prior_that_looks_at_other_examples_is_found_out(self, seeds, simulated):
        class Batchwise(Prior):
            summary = citation = "normalises over the batch, against the contract"

            def penalty(self, attribution, batch):
                return (attribution.observed / attribution.observed.abs().sum()).abs().mean(dim=1)

        prior, method = Batchwise(), load_attribution("input-x-gradient")
        parts = [
            MemberTraining(
                Regularisation(prior.parts(weight, "binary"), method, apart=True),
                RandomStreams(0, ("binary", "simulated"), seed),
            )
            for seed, weight in zip(seeds, (50.0, 20.0), strict=True)
        ]
        with pytest.raises(CannotStack, match="their penalty would not be that of a training"):
            self.train(parts, simulated)


class TestFirstStep:
    def ensemble(self, simulated, priors=("fourier", "fourier", "fourier")) -> Ensemble:
        parts = [part(prior, seed) for seed, prior in enumerate(priors)]
        models = [network("three-conv", NetworkShape(LENGTH), own) for own in parts]
        return Ensemble(models, parts, CommonTraining(TASK, simulated, SHORT, CPU))

    @pytest.mark.parametrize("prior", ["fourier", "dropout"])
    def test_it_leaves_no_trace(self, prior, simulated):
        ensemble = self.ensemble(simulated, (prior, prior))
        before = [ensemble.members.state(place) for place in range(2)]
        drawn = copy.deepcopy(ensemble.generators._states)
        require_same_first_step(ensemble)
        for place, state in enumerate(before):
            for name, value in ensemble.members.state(place).items():
                assert torch.equal(value, state[name])
            assert all(map(torch.equal, ensemble.generators._states[place], drawn[place]))
        assert all(value.grad is None for value in ensemble.members.parameters.values())
        assert ensemble.objective.steps == 0

    @pytest.mark.parametrize(
        ("place", "priors"),
        [
            (0, ("fourier", "fourier", "fourier")),
            (2, ("fourier", "fourier", "fourier")),
            (1, ("fourier", "fourier:boundary=zero", "fourier")),
        ],
    )
    @pytest.mark.parametrize("what", ["prediction loss", "penalty", "gradient"])
    def test_what_is_not_as_alone_is_seen(self, place, priors, what, simulated, monkeypatch):
        real = EnsembleObjective.losses

        def other(self, batch, elapsed):
            losses = list(real(self, batch, elapsed))
            which = 1 if what == "penalty" else 0
            change = torch.zeros(3)
            if what == "gradient":
                weight = next(iter(self.members.parameters.values()))[place].sum()
                change[place] = 1
                losses[which] = losses[which] + change * (weight - weight.detach())
            else:
                change[place] = 0.01
                losses[which] = losses[which] + change * losses[which]
            return tuple(losses)

        monkeypatch.setattr(EnsembleObjective, "losses", other)
        with pytest.raises(CannotStack, match=f"their {what} would not be"):
            require_same_first_step(self.ensemble(simulated, priors))

    def test_a_buffer_that_is_lost_is_seen(self, simulated):
        class Counting(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("passes", torch.zeros(()))
                self.inner = network("three-conv", NetworkShape(LENGTH), part("none", 0))

            def forward(self, sequence):
                if self.training:
                    self.passes = self.passes + 1
                return self.inner(sequence)

        parts = [part("none", seed) for seed in range(2)]
        ensemble = Ensemble(
            [Counting(), Counting()], parts, CommonTraining(TASK, simulated, SHORT, CPU)
        )
        with pytest.raises(CannotStack, match="their buffer passes would not be"):
            require_same_first_step(ensemble)
