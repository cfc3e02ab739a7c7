"""Groups of trials that train at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from priorbench.components import registry
from priorbench.execution.ensemble_groups import group_trials
from priorbench.study.trial import Trial


class TestGroups:
    def trial(self, prior="fourier", seed=0, weight=1.0, **others) -> Trial:
        values = ("binary", "d", "three-conv", prior, weight, "a", seed, "evaluate", "smoke")
        return replace(Trial(*values, 0, "cuda", "", ""), **others)

    def test_seeds_weights_and_options_of_one_prior(self):
        trials = [
            self.trial(prior, seed, weight)
            for prior in ("fourier", "tv", "fourier:boundary=reflect", "fourier+tv")
            for weight in (0.1, 1.0)
            for seed in range(2)
        ]
        groups = group_trials(trials, 100)
        assert [len(group) for group in groups] == [8, 4, 4]
        assert groups[0] == [
            t for t in trials if t.prior in ("fourier", "fourier:boundary=reflect")
        ]

    def test_priors_that_change_the_network_differ_in_their_seeds_only(self):
        trials = [self.trial("dropout", seed, weight) for weight in (0.1, 0.2) for seed in range(3)]
        assert [len(group) for group in group_trials(trials, 100)] == [3, 3]
        mixed = [self.trial("tv+dropout", 0), self.trial("tv=2+dropout", 0)]
        assert len(group_trials(mixed, 100)) == 2

    @pytest.mark.parametrize(
        ("prior", "sizes"),
        [
            *((name, [1, 1, 1]) for name in ("swa", "ema", "evoaug", "distillation", "consensus")),
            *((name, [1, 1, 1]) for name in ("double-backprop", "fourier+adversarial")),
            *((name, [1, 1, 1]) for name in ("strand-consistency", "mask:form=log-probabilities")),
            *((name, [3]) for name in ("mixup", "label-smoothing", "spectral-norm", "mask")),
        ],
    )
    def test_priors_that_need_more_than_a_step_stay_alone(self, prior, sizes):
        trials = [self.trial(prior, seed) for seed in range(3)]
        assert [len(group) for group in group_trials(trials, 100)] == sizes

    def test_a_prior_without_a_weight_for_any_task(self, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text(
            "from priorbench import Prior\n"
            "class Mine(Prior):\n"
            "    summary = citation = 'for a test'\n"
            "    default_weights = {'binary': 1.0}\n"
            "    def penalty(self, attribution, batch):\n"
            "        return attribution.observed.square().mean(dim=1)\n"
        )
        registry.use_plugins([plugin])
        trials = [self.trial("mine+weight-l2", seed) for seed in range(3)]
        assert group_trials(trials, 3) == [trials]

    @pytest.mark.parametrize(
        "other",
        [
            {"task": "rbp"},
            {"dataset": "e"},
            {"architecture": "basset"},
            {"stage": "tune"},
            {"train_attribution": "gradient"},
            {"scale": "quick"},
            {"device": "cpu"},
            {"precision": "bf16"},
        ],
    )
    def test_all_else_is_the_same(self, other):
        assert len(group_trials([self.trial(), self.trial(seed=1, **other)], 100)) == 2

    def test_large_groups_are_parted_evenly(self):
        trials = [self.trial(seed=seed) for seed in range(10)]
        assert [len(group) for group in group_trials(trials, 4)] == [3, 4, 3]
        assert [t for group in group_trials(trials, 4) for t in group] == trials
        assert group_trials(trials, 1) == [[trial] for trial in trials]
