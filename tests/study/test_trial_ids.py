"""A study's schedule is part of its trials' ids and records only where it is given."""

import dataclasses
import json

import pytest

from priorbench.schedule_table import ScheduleTable
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.plan import make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, first_difference, make_study
from priorbench.study.trial import Trial, hash_of

TRIAL = Trial(
    task="binary",
    dataset="simulated",
    architecture="three-conv",
    prior="none",
    weight=0.0,
    train_attribution="input-x-gradient",
    seed=0,
    stage="evaluate",
    scale="quick",
    root_seed=0,
    device="cpu",
    digest="d",
    code="c",
)


def test_trials_without_what_most_lack_keep_their_ids():
    assert TRIAL.id == "4160c39bfa55ac50"
    fields = dataclasses.asdict(TRIAL)
    del fields["schedule"], fields["network"]
    assert TRIAL.id == hash_of(fields)
    assert TRIAL.as_record() == fields
    assert Trial.from_record(fields) == TRIAL


def test_a_schedule_makes_another_trial_and_is_recorded():
    given = [
        dataclasses.replace(TRIAL, schedule=ScheduleTable(epochs=epochs).text) for epochs in (5, 6)
    ]
    assert len({TRIAL.id, *(trial.id for trial in given)}) == 3
    record = json.loads(json.dumps(given[0].as_record()))
    assert record["schedule"] == '{"epochs": 5}'
    assert Trial.from_record(record) == given[0]


def test_a_seed_is_trained_in_all_settings_before_the_next_one(tmp_path):
    study = make_study(
        {
            "scale": "smoke",
            "seeds": 2,
            "priors": ["l1"],
            "architectures": ["three-conv", "koo-local"],
            "schedule": {"epochs": 1},
        },
        where="s.toml",
    )
    plan = make_plan(resolve(study, "cpu"), RunDirectory(tmp_path), lambda line: None)
    order = [(trial.seed, trial.architecture, trial.prior) for trial in plan.trials]
    assert order == [
        (seed, network, prior)
        for seed in (0, 1)
        for network in ("three-conv", "koo-local")
        for prior in ("none", "l1")
    ]
    assert {trial.schedule for trial in plan.trials} == {'{"epochs": 1}'}


def test_studies_that_differ_in_their_schedule_are_not_the_same():
    plain = Study().model_dump(mode="json")
    given = make_study({"schedule": {"epochs": 5}}, where="s.toml").model_dump(mode="json")
    assert first_difference(plain, given) == "schedule was {} there and is {'epochs': 5} here"
    old = {key: value for key, value in plain.items() if key != "schedule"}
    assert not first_difference(old, plain)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epochs": 0}, "schedule.epochs = 0: give a number that is at least 1"),
        ({"epochs": 2.5}, "schedule.epochs = 2.5: give a whole number"),
        ({"epoch": 3}, "schedule: unknown key 'epoch'; did you mean 'epochs'"),
        ({"monitor": "accuracy"}, "schedule.monitor = 'accuracy': give loss or auroc"),
        ({"keep": "first"}, "schedule.keep = 'first': give best or last"),
        ({"learning_rate": 0}, "schedule.learning_rate = 0"),
        ({"l2": -1}, "schedule.l2 = -1"),
        ({"plateau": {"factor": 2, "patience": 1}}, "schedule.plateau.factor = 2"),
        ({"plateau": {"factor": 0.5}}, "schedule.plateau: key 'patience' is missing"),
        ({"plateau": {"factor": 0.5, "patience": 1, "min": 1}}, "schedule.plateau: unknown key"),
        ({"plateau": 3}, "schedule.plateau = 3: give a table"),
    ],
)
def test_a_schedule_is_strictly_checked(table, message):
    from priorbench import UserError

    with pytest.raises(UserError) as caught:
        make_study({"schedule": table}, where="s.toml")
    assert message in str(caught.value)
