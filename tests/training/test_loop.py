"""The rules of honest comparison, as the training loop keeps them."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import CPU, build_network, regularisation

from priorbench import (
    Attribution,
    Batch,
    Prior,
    attribute_and_predict,
    load_prior,
)
from priorbench.components import registry
from priorbench.data.codes import VALID
from priorbench.seeds import RandomStreams
from priorbench.training.batches import load_batch
from priorbench.training.loop import Trainer, fit, mean_prediction_loss
from priorbench.training.schedules import SCHEDULES, Schedule

TASK = registry.build("task", "binary")
SHORT = replace(SCHEDULES["smoke"], epochs=2)
NAMES = sorted(registry.components("prior"))


def train(
    simulated,
    prior,
    *,
    seed=0,
    weight=None,
    schedule=SHORT,
    task=TASK,
    attribution="input-x-gradient",
):
    prior = load_prior(prior) if isinstance(prior, str) else prior
    weight = prior.default_weight("binary") if weight is None else weight
    streams = RandomStreams(0, ("binary", "simulated"), seed)
    model = build_network(seed=streams.derive("init"))
    added = regularisation(prior, weight, attribution)
    return fit(
        model,
        task,
        added,
        simulated,
        schedule=schedule,
        streams=streams,
        device=CPU,
        teachers=[build_network(seed=number) for number in range(added.teachers)],
    )


@pytest.fixture(scope="module")
def with_channel(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("data") / "binary", "binary:channels=motif")


@pytest.fixture(scope="module")
def baseline(with_channel):
    return train(with_channel, "none")


@pytest.mark.parametrize("name", NAMES)
def test_every_prior_sees_the_same_weights_and_order(with_channel, baseline, name):
    trained = train(with_channel, name)
    assert trained.initial_weights == baseline.initial_weights
    assert [e.order for e in trained.history] == [e.order for e in baseline.history]
    weights = torch.cat([p.flatten() for p in trained.model.parameters()])
    same = torch.cat([p.flatten() for p in baseline.model.parameters()])
    assert torch.equal(weights, same) == (name == "none")


def test_biases_that_batch_norm_takes_away_stay_as_they_were_drawn(simulated):
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    before = dict(build_network(seed=streams.derive("init")).named_parameters())
    after = dict(train(simulated, "weight-l2").model.named_parameters())
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert same == {"0.bias", "3.bias", "6.bias", "11.bias", "14.bias"}


@pytest.mark.parametrize("name", ["none", "fourier", "tv+weight-l2"])
def test_bfloat16_is_for_the_forward_pass_only(simulated, name):
    exact = train(simulated, name)
    rough = train(simulated, name, schedule=replace(SHORT, precision="bf16"))
    assert [e.order for e in rough.history] == [e.order for e in exact.history]
    assert rough.history[0].training_loss != exact.history[0].training_loss
    for epoch, other in zip(rough.history, exact.history, strict=True):
        assert epoch.training_loss == pytest.approx(other.training_loss, rel=0.05)
        assert epoch.penalty == pytest.approx(other.penalty, rel=0.1)
    assert all(value.dtype == torch.float32 for value in rough.model.parameters())


def test_a_penalty_sees_attributions_in_float32(simulated):
    dtypes = []

    @dataclass(frozen=True)
    class Watching(Prior):
        summary = "for a test"
        citation = "none"

        def penalty(self, attribution, batch):
            dtypes.append((attribution.gradient.dtype, attribution.observed.dtype))
            assert not torch.is_autocast_enabled("cpu")
            return attribution.observed.square().mean(dim=1)

    train(simulated, Watching(), weight=1.0, schedule=replace(SHORT, epochs=1, precision="bf16"))
    assert set(dtypes) == {(torch.float32, torch.float32)}


def test_another_seed_draws_other_weights_and_another_order(simulated):
    first, second = train(simulated, "none"), train(simulated, "none", seed=1)
    assert first.initial_weights != second.initial_weights
    assert first.history[0].order != second.history[0].order
    assert first.history[0].order != first.history[1].order


@pytest.mark.parametrize("name", ["none", "fourier", "dropout"])
def test_training_again_gives_the_same_bits(simulated, name):
    first, second = train(simulated, name), train(simulated, name)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [replace(e, seconds_per_step=0) for e in first.history] == [
        replace(e, seconds_per_step=0) for e in second.history
    ]


def test_torch_generator_of_the_caller_is_left_alone(simulated):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(simulated, "dropout")
    assert torch.equal(before, torch.get_rng_state())


@dataclass(frozen=True)
class Sabotage(Prior):
    """A penalty whose value falls while the model gets worse."""

    summary = "for a test"
    citation = "none"

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        return -torch.stack([p.abs().sum() for p in model.parameters() if p.dim() > 1]).sum()


def test_best_epoch_is_chosen_by_prediction_loss_and_its_weights_are_copies(simulated):
    schedule = Schedule(epochs=8, batch_size=32, learning_rate=3e-3, patience=8)
    trained = train(simulated, Sabotage(), weight=3e-2, schedule=schedule)
    losses = [epoch.validation_loss for epoch in trained.history]
    assert trained.best_epoch == int(np.argmin(losses))
    assert trained.best_epoch < len(losses) - 1  # else nothing would tell copies from references
    kept = mean_prediction_loss(trained.model, TASK, simulated, VALID, CPU)
    assert kept == pytest.approx(min(losses), abs=1e-9)
    assert not trained.model.training


def test_training_stops_after_patience(simulated):
    schedule = Schedule(epochs=20, batch_size=64, learning_rate=0.0, patience=2)
    assert len(train(simulated, "none", schedule=schedule).history) <= 2 + 3
    frozen = Schedule(epochs=20, batch_size=64, learning_rate=0.0, patience=2, min_delta=10.0)
    assert len(train(simulated, "none", schedule=frozen).history) == 3


@dataclass(frozen=True)
class Explode(Prior):
    """A penalty that is not finite."""

    summary = "for a test"
    citation = "none"

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        return attribution.observed.sum(dim=1) * float("inf")


def test_divergence_is_recorded(simulated):
    trained = train(simulated, Explode(), weight=1.0)
    assert trained.divergence == "loss is not finite in epoch 1"
    assert trained.best_epoch == -1
    assert len(trained.history) == 1


@dataclass(frozen=True)
class Spy(Prior):
    """Remembers what it is shown."""

    summary = "for a test"
    citation = "none"

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        assert batch.label.eq(1).all()
        assert attribution.observed.shape == (len(batch.label), 80)
        assert attribution.gradient.shape == batch.sequence.shape
        expected = (attribution.gradient * batch.sequence).sum(dim=1)
        assert torch.allclose(attribution.observed, expected)
        return attribution.observed.square().mean(dim=1)


def test_a_prior_sees_positives_and_their_own_attributions(simulated):
    trained = train(simulated, Spy(), weight=1.0)
    assert trained.history[0].penalty > 0


def test_single_stranded_tasks_are_not_reverse_complemented(simulated):
    @dataclass(frozen=True)
    class SingleStranded(type(TASK)):
        reverse_complement = False

    single = train(simulated, "none", task=SingleStranded())
    both = train(simulated, "none")
    assert single.history[0].order != both.history[0].order
    assert single.initial_weights == both.initial_weights


def test_a_step_descends_prediction_loss_plus_weight_times_mean_penalty(simulated):
    weight, rate = 0.7, 1e-3
    model, reference = build_network(), build_network()
    batch = load_batch(simulated, np.arange(20), CPU)
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    added = regularisation("l2", weight)
    trainer = Trainer(model, TASK, added, simulated, schedule=SHORT, streams=streams)
    trainer.optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    prediction, penalty = trainer.step(batch, 0.0)
    positives = batch.label == 1
    output, attribution = attribute_and_predict(reference, batch.sequence, positives, TASK.target)
    expected = attribution.observed.square().mean(dim=1).mean()
    loss = TASK.prediction_loss(output, batch).mean()
    assert penalty.item() == pytest.approx(weight * expected.item(), rel=1e-5)
    assert prediction.item() == pytest.approx(loss.item(), rel=1e-5)
    (loss + weight * expected).backward()
    for moved, start in zip(model.parameters(), reference.parameters(), strict=True):
        slope = torch.zeros_like(start) if start.grad is None else start.grad
        assert torch.allclose(moved, start - rate * slope, atol=1e-7)


def test_a_penalty_of_the_wrong_shape_is_refused(simulated):
    @dataclass(frozen=True)
    class Scalar(Prior):
        summary = "for a test"
        citation = "none"

        def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
            return attribution.observed.mean()

    with pytest.raises(ValueError, match=r"penalty has shape \(\), wanted \(\d+,\)"):
        train(simulated, Scalar(), weight=1.0)


def test_weight_of_zero_is_none(simulated):
    nothing, zero = train(simulated, "none"), train(simulated, "fourier", weight=0.0)
    for a, b in zip(nothing.model.parameters(), zero.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_model_given_to_fit_is_what_is_trained(simulated):
    model = build_network()
    before = copy.deepcopy(model.state_dict())
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    trained = fit(
        model,
        TASK,
        regularisation("none", 0.0),
        simulated,
        schedule=SHORT,
        streams=streams,
        device=CPU,
    )
    assert trained.model is model
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())
