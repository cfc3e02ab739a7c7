"""The rules of honest comparison, as the training loop keeps them."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, build_network, regularisation

from priorbench import (
    Attribution,
    Batch,
    Prior,
    UserError,
    attribute_and_predict,
    load_prior,
)
from priorbench.attribution.explainers import Explanation
from priorbench.components import registry
from priorbench.data.codes import TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.encoding import one_hot
from priorbench.evaluation.measure import collapse_of_attribution, collapse_of_predictions
from priorbench.evaluation.stored_arrays import (
    explain,
    pack_explanation,
    pack_predictions,
    read_arrays,
    unpack,
)
from priorbench.seeds import RandomStreams
from priorbench.training.batches import batches, epoch_order, load_batch
from priorbench.training.loop import Trainer, fit, mean_prediction_loss
from priorbench.training.schedules import SCHEDULES, Schedule, schedule_of

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
    return fit(model, task, added, simulated, schedule=schedule, streams=streams, device=CPU)


@pytest.mark.parametrize("name", NAMES)
def test_every_prior_sees_the_same_weights_and_order(simulated, name):
    baseline, trained = train(simulated, "none"), train(simulated, name)
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


def test_another_seed_gives_other_draws(simulated):
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


@pytest.mark.parametrize("share", [0.25, 0.3, 0.7, 1.0])
def test_a_share_of_the_data_is_passed_through_more_often_in_as_many_steps(simulated, share):
    used = replace(simulated, train_share=share)
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    order = epoch_order(used, TASK, streams, 0).rows
    rows, times = np.unique(order, return_counts=True)
    assert (rows == used.rows(TRAIN)).all()
    assert times.max() - times.min() <= 1
    assert len(order) == len(simulated.rows(TRAIN))
    assert (epoch_order(used, TASK, streams, 1).rows != order).any()
    assert len(batches(used, SHORT)) == len(batches(simulated, SHORT))


@pytest.mark.parametrize(("share", "longer"), [(1.0, 1.0), (0.5, 2.5)])
def test_longer_training_has_as_much_more_patience(share, longer):
    task = registry.build("task", f"binary:train_share={share}:train_epochs={longer}")
    usual = SCHEDULES["quick"]
    schedule = schedule_of(task, "quick")
    assert schedule == replace(
        usual, epochs=round(usual.epochs * longer), patience=round(usual.patience * longer)
    )


@pytest.mark.parametrize("option", ["train_share=0", "train_share=1.1", "train_epochs=0"])
@pytest.mark.parametrize("name", ["binary", "profile", "multitask"])
def test_shares_and_lengths_of_training_that_make_no_sense_are_refused(name, option):
    with pytest.raises(UserError, match=r"train_(share|epochs) [\d.]+ is not above 0"):
        registry.build("task", f"{name}:{option}")


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


def test_batches_hold_what_the_dataset_says_and_flipped_rows_their_reverse_complement(simulated):
    rows = np.array([5, 2, 9])
    flip = np.array([True, False, True])
    plain, flipped = (load_batch(simulated, rows, CPU, flip=f) for f in (None, flip))
    codes = simulated.columns["sequence"].take(rows)
    assert torch.equal(plain.sequence, one_hot(codes))
    turned = plain.sequence.flip(1, 2)  # A C G T upside down is T G C A
    for row, is_flipped in enumerate(flip):
        expected = turned if is_flipped else plain.sequence
        assert torch.equal(flipped.sequence[row], expected[row])
    assert plain.label.tolist() == simulated.columns["label"].take(rows).tolist()


@pytest.fixture
def tracked(tmp_path):
    """A dataset of windows of 6 bp with a margin of 2, and two tracks along their middle 4 bp."""
    generator = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(
            generator.integers(0, 4, (5, 10)).astype(np.uint8),
            np.zeros(5, dtype=np.float32),
            np.zeros(5, dtype=np.uint8),
            reads=np.arange(5 * 2 * 8, dtype=np.float32).reshape(5, 2, 8),
        )
        writer.attribute(np.empty(0, dtype=np.int64))
        writer.finish(margin=2)
    return load_dataset(tmp_path / "data")


def test_tracks_are_shifted_and_turned_with_their_sequence(tracked):
    rows = np.array([3, 1])
    codes, reads = (tracked.columns[name].take(rows) for name in ("sequence", "reads"))
    middle = load_batch(tracked, rows, CPU)
    assert torch.equal(middle.sequence, one_hot(codes[:, 2:8]))
    assert np.array_equal(middle.arrays["reads"], reads[:, :, 2:6])
    flip = np.array([False, True])
    moved = load_batch(tracked, rows, CPU, flip=flip, shift=np.array([2, -1]))
    assert torch.equal(moved.sequence[0], one_hot(codes[:1, 4:10])[0])
    assert torch.equal(moved.sequence[1], one_hot(codes[1:, 1:7])[0].flip(0, 1))
    assert np.array_equal(moved.arrays["reads"][0], reads[0, :, 4:8])
    assert np.array_equal(moved.arrays["reads"][1], reads[1, ::-1, 1:5][:, ::-1])
    assert tracked.length == 6
    form = TASK.network_shape_of(tracked)
    assert (form.length, form.outputs) == (6, 1)


def test_windows_with_a_margin_are_shifted_anew_in_every_epoch(tracked):
    streams = RandomStreams(0, ("binary", "simulated"), 0)
    drawn = [epoch_order(tracked, TASK, streams, epoch).shifts for epoch in range(40)]
    assert set(np.concatenate(drawn).tolist()) == {-2, -1, 0, 1, 2}
    assert np.array_equal(epoch_order(tracked, TASK, streams, 3).shifts, drawn[3])


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


def test_stored_attributions_are_those_of_the_attributed_rows(simulated):
    model = build_network().eval()
    attribution = explain(model, TASK, simulated, CPU, "input-x-gradient").attribution
    row = 7
    batch = load_batch(simulated, simulated.attributed[row : row + 1], CPU)
    sequence = batch.sequence.requires_grad_()
    (gradient,) = torch.autograd.grad(model(sequence)[0, 0], sequence)
    expected = (gradient * sequence).sum(dim=1)[0].detach().numpy()
    assert attribution.shape == simulated.truth.shape
    assert attribution[row] == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected).max() > 1e-4


def test_packed_attributions_keep_three_digits_at_any_scale(simulated, tmp_path):
    track = np.random.default_rng(0).normal(size=simulated.truth.shape).astype(np.float32) * 1e-6
    explanation = Explanation(torch.from_numpy(track), torch.zeros(len(track)))
    packed = pack_explanation("gradient", explanation)
    packed |= pack_predictions({"logit": np.ones(200, np.float32)})
    np.savez(tmp_path / "arrays.npz", **packed)
    arrays = unpack(read_arrays(tmp_path / "arrays.npz"), "gradient", simulated, {})
    assert arrays.sums[0] == pytest.approx(track.sum(axis=1, dtype=np.float64))
    assert arrays.attribution == pytest.approx(track, rel=1e-3, abs=1e-9)
    assert arrays.label.shape == arrays.prediction["logit"].shape


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


def test_collapse_names_its_reason():
    varied, track = np.linspace(0, 1, 10, dtype=np.float32), np.ones((4, 5), dtype=np.float32)
    mostly_zero = track.copy()
    mostly_zero[:3] = 0
    predicted, attributed = collapse_of_predictions, collapse_of_attribution
    assert predicted({"logit": varied}) == ""
    assert predicted({"logit": np.full(10, 0.3)}) == "predictions are constant"
    assert predicted({"logit": varied * np.nan}) == "a prediction is not finite"
    assert attributed(track, "gradient") == ""
    assert attributed(track * np.inf, "gradient") == "an attribution is not finite (gradient)"
    assert attributed(track * np.nan, "gradient") == "an attribution is not finite (gradient)"
    assert "vanished" in attributed(mostly_zero, "gradient")
    assert attributed(mostly_zero[2:], "gradient") == ""  # half of them


def test_an_undefined_score_of_an_example_is_no_collapse():
    varied = np.linspace(0, 1, 10, dtype=np.float32)
    without_reads = varied.copy()
    without_reads[3] = np.nan
    assert collapse_of_predictions({"nll": varied, "jsd": without_reads}) == ""
    assert collapse_of_predictions({"nll": without_reads, "jsd": without_reads}) != ""
    outputs = np.stack([varied, without_reads], axis=1)
    assert collapse_of_predictions({"logit": outputs}) == "a prediction is not finite"
    flat, nowhere = np.full(10, 0.3), np.full(10, np.nan)
    assert collapse_of_predictions({"nll": flat, "jsd": nowhere}) == "predictions are constant"
    assert collapse_of_predictions({"nll": flat, "jsd": without_reads}) == ""
