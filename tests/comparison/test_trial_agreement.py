"""Agreement of an arm's trials by what they stored, also where some or all of them failed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from priorbench.comparison.trial_agreement import agreement_of
from priorbench.metrics import METRICS
from priorbench.statistics.agreement import leave_one_out

SPEC = "input-x-gradient"
NAMES = [metric.name for metric in METRICS.values() if metric.scope == "seeds"]


def results(failed=()):
    """Return rows of two priors and four seeds; of failed ones the ids are given."""
    rows = [
        {"trial": f"{prior}{seed}", "task": "t", "dataset": "d", "prior": prior, "seed": seed}
        | {"metric": name, "status": "failed" if f"{prior}{seed}" in failed else "done"}
        for prior in "ab"
        for seed in range(4)
        for name in NAMES
    ]
    return pd.DataFrame(rows)


def track(trial):
    generator = np.random.default_rng([ord(trial[0]), int(trial[1])])
    return generator.standard_normal((5, 30)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("failed", [(), ("a1",), ("a0", "a1", "a2", "a3")], ids=["0", "1", "all"])
def test_failed_trials_are_without_attribution_as_long_as_the_others(name, failed):
    table = results(failed)
    agreement = agreement_of(table, lambda trial, spec: track(trial), lambda trial, spec: None)
    arm = table[(table["prior"] == "a") & (table["metric"] == name)]
    nothing = np.zeros((5, 30), dtype=np.float32)
    tracks = [nothing if trial in failed else track(trial) for trial in arm["trial"]]
    wanted = leave_one_out(METRICS[name].function(tracks))
    np.testing.assert_array_equal(agreement(arm, METRICS[name], SPEC), wanted)
