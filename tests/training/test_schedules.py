"""Hyper-parameters of training, as the options of a task and a study's table change them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import CPU, build_network, regularisation

from priorbench import UserError
from priorbench.components import registry
from priorbench.data.codes import VALID
from priorbench.schedule_table import Plateau, ScheduleTable
from priorbench.seeds import RandomStreams
from priorbench.training.batches import load_batch
from priorbench.training.ensemble.fit import fit_ensemble
from priorbench.training.ensemble.objective import MemberTraining
from priorbench.training.ensemble.stacked_networks import CannotStack
from priorbench.training.ensemble.trainer import CommonTraining
from priorbench.training.loop import Epoch, TrainingProgress, fit, shrunk_weights
from priorbench.training.schedules import SCHEDULES, Schedule, schedule_of

TASK = registry.build("task", "binary")
PUBLISHED = {
    "epochs": 100,
    "batch_size": 100,
    "patience": 20,
    "min_delta": 0,
    "monitor": "auroc",
    "keep": "last",
    "l2": 1e-6,
    "plateau": {"factor": 0.2, "patience": 5, "smallest": 1e-7},
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("data") / "data", "binary")


def streams(seed=0):
    return RandomStreams(0, ("binary", "simulated"), seed)


def train(dataset, schedule, network="three-conv", seed=0):
    return fit(
        build_network(network, seed=seed),
        TASK,
        regularisation("none"),
        dataset,
        schedule=schedule,
        streams=streams(seed),
        device=CPU,
    )


@pytest.mark.parametrize(("share", "longer"), [(1.0, 1.0), (0.5, 2.5)])
def test_longer_training_has_as_much_more_patience(share, longer):
    task = registry.build("task", f"binary:train_share={share}:train_epochs={longer}")
    usual = SCHEDULES["quick"]
    schedule = schedule_of(task, "quick")
    assert schedule == replace(
        usual, epochs=round(usual.epochs * longer), patience=round(usual.patience * longer)
    )


def test_a_table_takes_the_place_of_the_scale_where_it_says_something():
    table = ScheduleTable(**PUBLISHED).text
    schedule = schedule_of(TASK, "paper", table=table)
    plateau = Plateau(factor=0.2, patience=5, smallest=1e-7)
    assert schedule == Schedule(
        100, 100, 1e-3, 20, 0.0, monitor="auroc", keep="last", l2=1e-6, plateau=plateau
    )
    longer = registry.build("task", "multitask:train_epochs=2")
    given = ScheduleTable(epochs=7).text
    # twice the epochs by the option; the factor of the task's kind is for the scale's epochs
    assert schedule_of(longer, "quick", table=given).epochs == 14
    assert schedule_of(longer, "quick", table=given).batch_size == SCHEDULES["quick"].batch_size
    assert schedule_of(TASK, "quick", table="") == schedule_of(TASK, "quick")
    assert ScheduleTable().text == ""
    assert ScheduleTable.from_text(table) == ScheduleTable(**PUBLISHED)


def epochs_of(values, schedule):
    """The progress of a training whose validation data give these areas under the ROC curve."""
    progress = TrainingProgress(schedule)
    for number, value in enumerate(values):
        if progress.is_over:
            break
        epoch = Epoch(0.1, 0.0, number / 10, 0.1, "", value, progress.learning_rate)
        progress.add(epoch, lambda number=number: {"epoch": torch.tensor(number)})
    return progress


@pytest.mark.parametrize(("smallest", "last"), [(1.0, 1e-3), (1e-3, 1e-3), (5e-4, 5e-4)])
def test_a_plateau_never_raises_the_learning_rate(smallest, last):
    table = {**PUBLISHED, "plateau": {"factor": 0.2, "patience": 2, "smallest": smallest}}
    schedule = schedule_of(TASK, "paper", table=ScheduleTable(**table).text)
    rates = [epoch.learning_rate for epoch in epochs_of([0.5] * 10, schedule).history]
    assert (rates[0], rates[-1]) == (1e-3, last)


def by_keras(values, table):
    """Epochs run and learning rates of Keras' EarlyStopping and ReduceLROnPlateau."""
    rate, rates = 1e-3, []
    stop_best = plateau_best = -np.inf
    stop_wait = plateau_wait = 0
    for value in values[: table["epochs"]]:
        rates.append(rate)
        if value > plateau_best + 1e-4:
            plateau_best, plateau_wait = value, 0
        else:
            plateau_wait += 1
            if plateau_wait >= table["plateau"]["patience"]:
                if rate > table["plateau"]["smallest"]:
                    rate = max(rate * table["plateau"]["factor"], table["plateau"]["smallest"])
                plateau_wait = 0
        if value > stop_best:
            stop_best, stop_wait = value, 0
        else:
            stop_wait += 1
            if stop_wait >= table["patience"]:
                break
    return rates


@pytest.mark.parametrize("seed", range(5))
def test_training_stops_and_slows_down_as_in_keras(seed):
    generator = np.random.default_rng(seed)
    rise = 1 - np.exp(-np.arange(200) / 10)
    values = (0.5 + 0.45 * rise + 2e-3 * generator.standard_normal(200)).tolist()
    progress = epochs_of(values, schedule_of(TASK, "paper", table=ScheduleTable(**PUBLISHED).text))
    rates = by_keras(values, PUBLISHED)
    assert [epoch.learning_rate for epoch in progress.history] == pytest.approx(rates)
    assert len(set(rates)) > 2
    last = len(rates) - 1
    assert progress.best_epoch == last
    assert int(progress.best_state["epoch"]) == last


def test_the_best_epoch_is_the_one_of_what_is_monitored():
    values = [0.5, 0.9, 0.8, 0.9, 0.7]  # while the loss only rises
    by_area = Schedule(5, 10, patience=9, monitor="auroc")
    assert epochs_of(values, by_area).best_epoch == 1
    assert epochs_of(values, replace(by_area, monitor="loss")).best_epoch == 0
    assert epochs_of(values, replace(by_area, keep="last")).best_epoch == 4


def test_a_plateau_never_falls_below_its_smallest_rate():
    plateau = Plateau(factor=0.1, patience=1, smallest=2e-5)
    schedule = Schedule(6, 10, patience=9, plateau=plateau, monitor="auroc")
    rates = [epoch.learning_rate for epoch in epochs_of([0.5] * 6, schedule).history]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 2e-5, 2e-5, 2e-5])


def test_what_was_monitored_is_recorded_and_exact(simulated):
    from sklearn.metrics import roc_auc_score

    plateau = Plateau(factor=0.5, patience=1)
    schedule = Schedule(4, 32, 3e-3, monitor="auroc", keep="last", plateau=plateau)
    trained = train(simulated, schedule)
    rows = simulated.rows(VALID)
    with torch.no_grad():
        logit = trained.model(load_batch(simulated, rows, CPU).sequence)[:, 0]
    label = simulated.columns["label"].take(rows)
    record = trained.history[-1].as_record()
    assert record["validation_auroc"] == pytest.approx(roc_auc_score(label, logit.numpy()))
    assert trained.best_epoch == len(trained.history) - 1
    usual = train(simulated, replace(SCHEDULES["smoke"], epochs=1)).history[0].as_record()
    assert set(record) - set(usual) == {"validation_auroc", "learning_rate"}


def test_a_sum_of_squares_is_refused_where_a_weight_is_computed_from_others():
    normalised = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 1))
    with pytest.raises(UserError, match="leave l2 out of"):
        shrunk_weights(torch.nn.Sequential(normalised))


def test_the_sum_of_squares_is_of_weights_only_and_shrinks_them(simulated):
    network = build_network("three-conv")
    names = shrunk_weights(network)
    assert len(names) == 6
    assert all(network.get_parameter(name).dim() > 1 for name in names)
    plain = Schedule(1, 400, 1e-3)
    without, squared = (train(simulated, replace(plain, l2=value)) for value in (0.0, 0.5))
    first = sum(network.get_parameter(name).square().sum().item() for name in names)
    assert squared.history[0].penalty == pytest.approx(0.5 * first, rel=1e-5)
    assert without.history[0].penalty == 0

    def size(trained):
        return sum(trained.model.get_parameter(name).square().sum().item() for name in names)

    assert size(squared) < size(without)


def together(dataset, schedule, seeds=(0, 1)):
    common = CommonTraining(TASK, dataset, schedule, CPU)
    own = [MemberTraining(regularisation("none"), streams(seed)) for seed in seeds]
    networks = [build_network("koo-local", seed=seed) for seed in seeds]
    return dict(fit_ensemble(networks, own, common))


def test_networks_that_train_at_once_keep_to_the_table(simulated):
    schedule = Schedule(2, 40, 1e-3, keep="last", l2=1e-3)
    fits = together(simulated, schedule)
    for seed, trained in fits.items():
        alone = train(simulated, schedule, "koo-local", seed)
        assert trained.best_epoch == alone.best_epoch == 1
        for one, other in zip(trained.history, alone.history, strict=True):
            assert one.penalty == pytest.approx(other.penalty, rel=1e-4)
            assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"monitor": "auroc"}, "auroc is monitored in trainings alone only"),
        ({"plateau": Plateau(factor=0.5, patience=1)}, "fall at different epochs"),
    ],
)
def test_what_networks_at_once_cannot_do_is_refused(changes, reason, simulated):
    with pytest.raises(CannotStack, match=reason):
        together(simulated, replace(SCHEDULES["smoke"], **changes))


def test_only_labels_can_be_monitored_by_their_roc_curve(tmp_path):
    from priorbench.study.resolve import resolve
    from priorbench.study.study import make_study

    table = {"schedule": {"monitor": "auroc"}, "tasks": ["profile"]}
    with pytest.raises(UserError, match="'auroc' is no metric of task 'profile'; monitor the loss"):
        resolve(make_study(table, where="s.toml"), "cpu")
