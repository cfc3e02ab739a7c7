"""Lines of progress name what differs among the trials to be run, and nothing else."""

import dataclasses

import pytest

from priorbench.cli.console import trial_progress
from priorbench.cli.output.trial_words import trial_words
from priorbench.study.trial import Trial

BASE = Trial(
    task="binary",
    dataset="simulated",
    architecture="three-conv",
    prior="fourier",
    weight=0.3,
    train_attribution="input-x-gradient",
    seed=3,
    stage="evaluate",
    scale="smoke",
    root_seed=0,
    device="cpu",
    digest="d",
    code="c",
)


def trial(**changes):
    return dataclasses.replace(BASE, **changes)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "fourier seed 3"),
        ([{"seed": 4}], "seed 3"),
        ([{"prior": "none", "weight": 0.0}], "fourier"),
        ([{"prior": "none", "weight": 0.0}, {"seed": 4}], "fourier seed 3"),
        ([{"task": "rbp"}, {"prior": "none"}, {"seed": 1}], "binary fourier seed 3"),
        ([{"dataset": "mine"}, {"seed": 1}], "simulated seed 3"),
        ([{"architecture": "bpnet"}], "three-conv"),
        ([{"weight": 1.0}], "weight 0.3"),
        # another weight of another prior, or on another task, is no choice between weights
        ([{"prior": "tv", "weight": 0.1}, {"task": "rbp", "weight": 9.0}], "binary fourier"),
        ([{"prior": "fourier:boundary=zero"}, {"seed": 1}], "fourier seed 3"),
        ([{"prior": "fourier+tv"}], "fourier"),
        ([{"stage": "tune"}], ""),
        ([{"precision": "bf16"}], "fourier seed 3"),
    ],
)
def test_only_what_differs_is_named(others, words):
    assert trial_words([BASE, *(trial(**other) for other in others)])(BASE) == words


def test_options_are_named_where_they_differ():
    tasks = [f"short-motif:width={width}:fidelity=0.75" for width in (4, 6)]
    trials = [trial(task=task, seed=seed) for task in tasks for seed in (0, 1)]
    assert [trial_words(trials)(t) for t in trials][:3] == [
        "width=4 seed 0",
        "width=4 seed 1",
        "width=6 seed 0",
    ]
    mixed = [*trials, trial(task="binary:fidelity=0.9")]
    assert trial_words(mixed)(trials[0]) == "short-motif:width=4 seed 0"
    assert trial_words(mixed)(mixed[-1]) == "binary seed 3"
    priors = ["none", "fourier:boundary=zero:every=2", "fourier:boundary=taper:every=2"]
    of_priors = [trial(prior=prior) for prior in priors]
    assert list(map(trial_words(of_priors), of_priors)) == [
        "none",
        "fourier:boundary=zero",
        "fourier:boundary=taper",
    ]


def test_the_stage_is_named_where_there_are_several():
    trials = [BASE, trial(stage="tune", weight=1.0), trial(stage="select")]
    assert list(map(trial_words(trials), trials)) == [
        "weight 0.3",
        "tune weight 1",
        "select weight 0.3",
    ]


def test_no_trial_is_no_error(capsys):
    with trial_progress([]):
        pass
    assert capsys.readouterr().err == ""
