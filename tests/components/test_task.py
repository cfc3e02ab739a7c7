"""Options that every task has."""

import pytest

from priorbench import UserError
from priorbench.components import registry


@pytest.mark.parametrize("option", ["train_share=0", "train_share=1.1", "train_epochs=0"])
@pytest.mark.parametrize("name", ["binary", "profile", "multitask"])
def test_shares_and_lengths_of_training_that_make_no_sense_are_refused(name, option):
    with pytest.raises(UserError, match=r"train_(share|epochs) [\d.]+ is not above 0"):
        registry.build("task", f"{name}:{option}")
