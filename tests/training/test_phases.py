"""Last phases of training, averages of weights, and networks that are learnt from."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.networks import CPU, build_network, regularisation

from priorbench import Prior, UserError, load_prior
from priorbench.attribution.methods import load_attribution
from priorbench.attribution.passes import Chosen
from priorbench.components import registry
from priorbench.components.hooks import FinalPhase
from priorbench.data.codes import TRAIN
from priorbench.execution.training_price import price_of_training
from priorbench.seeds import RandomStreams
from priorbench.training.adam import Adam
from priorbench.training.batches import epoch_order, load_batch
from priorbench.training.loop import Trainer, fit
from priorbench.training.progress import Epoch, Fit, TrainingProgress
from priorbench.training.schedules import SCHEDULES
from priorbench.training.teachers import Teachers

TASK = registry.build("task", "binary")
LONG = replace(SCHEDULES["smoke"], epochs=4, patience=9, keep="last")
STREAMS = RandomStreams(0, ("binary", "simulated"), 3)


def train(dataset, prior, weight=None, *, schedule=LONG, teachers=(), task=TASK):
    return fit(
        build_network(seed=1),
        task,
        regularisation(prior, weight),
        dataset,
        schedule=schedule,
        streams=STREAMS,
        device=CPU,
        teachers=teachers,
    )


def weights_by_step(dataset, epochs, restart=None):
    """Weights after every step of a training without a prior, epoch by epoch."""
    model = build_network(seed=1)
    trainer = Trainer(model, TASK, regularisation("none"), dataset, schedule=LONG, streams=STREAMS)
    recorded = []
    for number in range(epochs):
        if number == restart:
            trainer.optimiser = Adam(model.parameters(), LONG.learning_rate)
        order = epoch_order(dataset, TASK, STREAMS, number)
        recorded.append(
            [[p.detach().clone() for p in model.parameters()] for _ in trainer.steps(number, order)]
        )
    return recorded


def mean(weights, shares=None):
    shares = shares or [1 / len(weights)] * len(weights)
    return [
        sum(s * w for s, w in zip(shares, each, strict=True)) for each in zip(*weights, strict=True)
    ]


def statistics_of(model, dataset, name):
    """Mean over training batches of the batch means that the first batch norm sees."""
    layers = list(model)
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, torch.nn.BatchNorm1d))
    rows, means = dataset.rows(TRAIN), []
    for part in np.array_split(rows, round(len(rows) / LONG.batch_size)):
        batch = load_batch(dataset, part, CPU)
        with torch.no_grad():
            means.append(torch.nn.Sequential(*layers[:first])(batch.sequence).mean(dim=(0, 2)))
    return torch.stack(means).mean(dim=0)


class TestSwa:
    def test_the_mean_of_the_last_epochs_is_kept(self, simulated):
        trained = train(simulated, "swa", 0.5)
        assert len(trained.history) == 4
        assert trained.final_epochs == 2
        steps = weights_by_step(simulated, 4, restart=2)
        expected = mean([steps[2][-1], steps[3][-1]])
        for found, wanted in zip(trained.model.parameters(), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)

    def test_batch_norm_has_the_statistics_of_the_averaged_network(self, simulated):
        trained = train(simulated, "swa", 0.5)
        first = next(m for m in trained.model if isinstance(m, torch.nn.BatchNorm1d))
        expected = statistics_of(trained.model, simulated, first)
        torch.testing.assert_close(first.running_mean, expected, rtol=1e-4, atol=1e-6)
        assert first.momentum == 0.1

    def test_no_batch_of_the_statistics_is_short(self, simulated):
        # one example over a whole batch: batch norm of dense layers takes no batch of one
        size = len(simulated.rows(TRAIN)) - 1
        trained = train(simulated, "swa", 0.5, schedule=replace(LONG, epochs=2, batch_size=size))
        assert trained.best_epoch == 1
        norms = [m for m in trained.model if isinstance(m, torch.nn.BatchNorm1d)]
        assert {int(norm.num_batches_tracked) for norm in norms} == {1}

    def test_the_phase_before_is_that_of_none(self, simulated):
        none, averaged = train(simulated, "none"), train(simulated, "swa", 0.5)
        for number in range(2):
            assert replace(none.history[number], seconds_per_step=0) == replace(
                averaged.history[number], seconds_per_step=0
            )

    def test_it_costs_the_statistics_and_no_more_steps(self, simulated):
        short = replace(LONG, epochs=3)
        assert len(train(simulated, "swa", 0.9, schedule=short).history) == 3

    def test_weights_that_leave_nothing_are_refused(self):
        for name in ("swa", "ema"):
            with pytest.raises(UserError, match="below 1"):
                load_prior(name).check_weight(1.0)
        with pytest.raises(UserError, match="learning_rate 0 is not above 0"):
            load_prior("swa:learning_rate=0")


def test_ema_weighs_steps_by_the_powers_of_its_weight(simulated):
    trained = train(simulated, "ema", 0.8, schedule=replace(LONG, epochs=1))
    (steps,) = weights_by_step(simulated, 1)
    powers = [0.8 ** (len(steps) - 1 - n) for n in range(len(steps))]
    shares = [power / sum(powers) for power in powers]
    for found, wanted in zip(trained.model.parameters(), mean(steps, shares), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_network_itself_is_trained_on_as_it_is(simulated):
    averaged, none = train(simulated, "ema", 0.9), train(simulated, "none")
    for one, other in zip(averaged.history, none.history, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=1e-6)
        assert one.validation_loss != other.validation_loss


def test_two_averages_of_one_network_are_refused():
    with pytest.raises(UserError, match="each average the weights"):
        load_prior("swa+ema")


@dataclass(frozen=True)
class Recorded(Prior):
    """Asks for a last phase, and writes down when it changes examples."""

    summary = citation = "for a test"
    rests: bool = True

    def final_phase(self, weight):
        return FinalPhase(weight, 0.1, rests=self.rests)

    def augment(self, sequence, weight, generator):
        CALLS.append(len(sequence))
        return sequence


CALLS: list[int] = []


@pytest.mark.parametrize(("rests", "epochs"), [(True, 3), (False, 4)])
def test_a_prior_rests_in_its_last_phase_if_it_says_so(simulated, rests, epochs):
    CALLS.clear()
    train(simulated, Recorded(rests), 0.25)
    assert sum(CALLS) == epochs * len(simulated.rows(TRAIN))


def epoch(loss):
    return Epoch(loss, 0.0, loss, 0.0, "")


class TestProgress:
    schedule = replace(SCHEDULES["quick"], epochs=10, patience=2)

    def run(self, losses, phase):
        progress = TrainingProgress(self.schedule, phase)
        finals = []
        for loss in losses:
            if progress.is_over:
                break
            finals.append(progress.final)
            progress.add(epoch(loss), partial(dict, loss=loss))
        return progress, finals

    def test_early_stopping_begins_the_last_phase(self):
        losses = [1.0, 0.8, 0.9, 0.9, 0.7, 0.6, 0.65, 0.64, 0.1]
        progress, finals = self.run(losses, FinalPhase(0.4, 0.5))
        assert finals == [False] * 4 + [True] * 4
        assert progress.is_over
        assert progress.best_epoch == 5
        assert progress.best_state == {"loss": 0.6}
        assert progress.learning_rate == 0.5 * self.schedule.learning_rate

    def test_no_more_epochs_than_without_a_last_phase(self):
        losses = [1 - 0.05 * n for n in range(30)]
        for share, first in ((0.3, 7), (0.01, 9), (0.99, 1)):
            _, finals = self.run(losses, FinalPhase(share))
            assert len(finals) == 10
            assert finals.index(True) == first

    def test_one_epoch_leaves_no_room(self):
        progress = TrainingProgress(replace(self.schedule, epochs=1), FinalPhase(0.5))
        progress.add(epoch(1.0), dict)
        assert progress.is_over
        assert not progress.final

    def test_divergence_ends_it_in_either_phase(self):
        progress, _ = self.run([1.0, float("nan"), 0.5], FinalPhase(0.4))
        assert progress.is_over
        assert len(progress.history) == 2


class TestTeachers:
    def networks(self, count):
        return [build_network(seed=10 + number).eval() for number in range(count)]

    def test_one_teacher_and_weight_1_is_plain_fitting_to_its_predictions(self, simulated):
        (teacher,) = self.networks(1)

        class Taught(type(TASK)):
            def prediction_loss(self, output, batch):
                if not torch.is_grad_enabled():  # validation is by the labels
                    return super().prediction_loss(output, batch)
                with torch.no_grad():
                    label = teacher(batch.sequence)[:, 0].sigmoid()
                return F.binary_cross_entropy_with_logits(output[:, 0], label, reduction="none")

        distilled = train(simulated, "distillation:members=1", 1.0, teachers=[teacher])
        plain = train(simulated, "none", task=Taught())
        for one, other in zip(distilled.model.parameters(), plain.model.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)

    def test_labels_are_the_mean_of_probabilities(self, simulated):
        models = self.networks(3)
        batch = load_batch(simulated, simulated.rows(TRAIN)[:9], CPU)
        teachers = Teachers(models, TASK, load_attribution("input-x-gradient"), apart=True)
        expected = torch.stack([m(batch.sequence)[:, 0].sigmoid() for m in models]).mean(dim=0)
        torch.testing.assert_close(teachers.labels(batch), expected)

    def test_attributions_are_those_of_each_over_its_length(self, simulated):
        models = self.networks(2)
        batch = load_batch(simulated, simulated.rows(TRAIN)[:9], CPU)
        rows = torch.tensor([1, 4, 8])
        teachers = Teachers(models, TASK, load_attribution("input-x-gradient"), apart=True)
        found = teachers.attributions(batch, Chosen(9, rows), None)
        tracks = []
        for model in models:
            x = batch.sequence[rows].clone().requires_grad_()
            (slope,) = torch.autograd.grad(model(x).sum(), x)
            tracks.append(F.normalize((slope * x).sum(dim=1).detach(), dim=1))
        torch.testing.assert_close(found, torch.stack(tracks).mean(dim=0), rtol=1e-4, atol=1e-6)
        assert not found.requires_grad

    def test_consensus_moves_attributions_towards_the_teachers(self, simulated):
        models = self.networks(1)
        taught = train(simulated, "consensus:members=1", 30.0, teachers=models)
        assert taught.history[-1].penalty < 0.95 * taught.history[0].penalty

    def test_their_time_belongs_to_the_price(self):
        def fitted(seconds, epochs):
            history = [replace(epoch(1.0), seconds_per_step=seconds)] * epochs
            return Fit(torch.nn.Identity(), history, 0, "", "")

        price = price_of_training(fitted(2.0, 4), CPU, [fitted(1.0, 6), fitted(3.0, 2)])
        # 12 seconds a step's place in an epoch, over the 4 epochs of the student
        assert price.seconds_per_step == pytest.approx(2.0 + 12 / 4)

    def test_a_last_phase_has_its_share_of_the_price(self):
        history = [replace(epoch(1.0), seconds_per_step=s) for s in (1.0, 9.0, 1.0, 5.0, 5.0)]
        price = price_of_training(Fit(torch.nn.Identity(), history, 0, "", "", 2), CPU)
        assert price.seconds_per_step == pytest.approx((3 * 1.0 + 2 * 5.0) / 5)

    def test_a_penalty_may_read_their_labels(self, simulated):
        model = self.networks(1)
        given = []

        @dataclass(frozen=True)
        class Watching(Prior):
            summary = citation = "for a test"
            needs = ("teachers:label",)

            def penalty(self, attribution, batch):
                given.append((batch.sequence, batch.arrays["teachers:label"]))
                return attribution.observed.square().mean(dim=1)

        train(simulated, Watching(), 1.0, schedule=replace(LONG, epochs=1), teachers=model)
        for sequence, labels in given:
            torch.testing.assert_close(labels, model[0](sequence)[:, 0].sigmoid())

    def test_as_many_for_all_that_learn_from_them(self):
        load_prior("distillation:members=3+consensus:members=3")
        with pytest.raises(UserError, match="different numbers of networks"):
            load_prior("distillation:members=3+consensus")

    def test_how_many_is_bounded(self):
        for name in ("distillation", "consensus"):
            with pytest.raises(UserError, match="members 0 is not between 1 and 50"):
                load_prior(f"{name}:members=0")
