"""Hyper-parameters of training, as the options of a task change them."""

from dataclasses import replace

import pytest

from priorbench.components import registry
from priorbench.training.schedules import SCHEDULES, schedule_of


@pytest.mark.parametrize(("share", "longer"), [(1.0, 1.0), (0.5, 2.5)])
def test_longer_training_has_as_much_more_patience(share, longer):
    task = registry.build("task", f"binary:train_share={share}:train_epochs={longer}")
    usual = SCHEDULES["quick"]
    schedule = schedule_of(task, "quick")
    assert schedule == replace(
        usual, epochs=round(usual.epochs * longer), patience=round(usual.patience * longer)
    )
