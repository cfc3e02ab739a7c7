"""What `power` tells to do next: only what the pilot did not have, and what was asked for first."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from priorbench.comparison.seeds_needed import DIFFERENCE, NONINFERIORITY
from priorbench.workflow.metric_answers import _after_power


def row(prior, claim, seeds, effect):
    where = {"task": "binary", "dataset": "binary", "architecture": "three-conv"}
    counts = {"seeds_80": seeds, "cautious_80": None if seeds is None else seeds + 3}
    return {**where, "prior": prior, "claim": claim, "pilot_seeds": 8, "effect": effect, **counts}


def steps(*rows, observed=True, seeds=range(8)):
    table = pd.DataFrame(rows).astype(dict.fromkeys(("seeds_80", "cautious_80"), "Int64"))
    run = SimpleNamespace(study={"seeds": list(seeds)})
    return _after_power(run, table, observed=observed)


def test_what_the_pilot_had_enough_seeds_for_is_no_step():
    assert steps(row("tv", NONINFERIORITY, 5, 0.02), row("l1", DIFFERENCE, 8, 0.01)) == []
    (step,) = steps(row("tv", NONINFERIORITY, 5, 0.02), row("l1", DIFFERENCE, 9, 0.012))
    assert step == (
        "l1: 9 seeds of a new run (--seeds 100-108 --out NEW) show a difference of 0.012 four "
        "times in five (12 to be cautious)."
    )


def test_new_seeds_lie_beyond_those_of_the_run():
    (step,) = steps(row("tv", DIFFERENCE, 20, 0.02), seeds=[0, 107])
    assert "--seeds 200-219 --out NEW" in step


@pytest.mark.parametrize("observed", [True, False])
def test_the_effect_that_was_asked_for_comes_first(observed):
    rows = [row(prior, NONINFERIORITY, 10, 0.02) for prior in ("tv", "l1", "l2")]
    found = steps(*rows, row("l1", DIFFERENCE, 30, 0.01), observed=observed)
    assert len(found) == 2
    assert ("a difference of" in found[0]) is not observed


def test_what_is_out_of_reach_is_one_of_two_steps():
    rows = [row(prior, NONINFERIORITY, 10, 0.02) for prior in ("tv", "l1", "l2")]
    found = steps(*rows, row("l1", DIFFERENCE, None, 0.001), observed=False)
    assert len(found) == 2
    assert found[-1].endswith("give a larger --effect.")
