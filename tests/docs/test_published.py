"""The page of published numbers says what its entries, its fixtures and its runs say."""

import re

import pytest
from fixtures.places import ROOT, docs_program


def module():
    return docs_program("published")


ENTRIES = module().entries()


def test_every_entry_has_the_keys_that_its_kind_needs_and_no_others():
    needed = {
        "held": (
            {"topic", "what", "source", "within", "test"},
            {"file", "key", "theirs", "environment"},
        ),
        "measured": ({"topic", "what", "source", "theirs"}, {"read", "ours", "command", "note"}),
        "studies": ({"run", "title"}, {"words", "of"}),
        "context": ({"what", "source", "theirs", "why"}, set()),
    }
    assert set(ENTRIES) <= set(needed)
    for kind, entries in ENTRIES.items():
        required, more = needed[kind]
        for entry in entries:
            assert required <= set(entry) <= required | more, entry


@pytest.mark.parametrize("entry", ENTRIES["held"], ids=lambda entry: entry["test"])
def test_numbers_that_are_held_have_the_test_that_holds_them(entry):
    file, _, name = entry["test"].partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.M)
    assert ("file" in entry) != ("theirs" in entry)


def test_whether_numbers_agree_is_computed():
    agreement = module().agreement
    ours = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    assert agreement({"mean": 0.6}, ours) == "agrees"
    assert agreement({"mean": 0.61}, ours) == "ours is lower"
    assert agreement({"mean": 0.39}, ours) == "ours is higher"
    assert agreement({"mean": 0.39}, {}) == "not run"
    assert agreement({"mean": 0.99}, {"value": 0.9901, "within": 0.001}) == "agrees"
    assert agreement({"mean": 0.99}, {"value": 0.98, "within": 0.001}) == "differs"


def test_measured_numbers_are_shown_with_both_sides():
    entry = {
        "topic": "Scores",
        "what": "auROC | of GATA",
        "source": "a paper",
        "read": "plot",
        "theirs": {"mean": 0.9939, "sd": 0.01, "n": 4},
        "ours": {"mean": 0.97, "low": 0.96, "high": 0.98, "n": 8},
        "command": "priorbench run DIR",
        "note": "other data.",
    }
    text = "".join(module()._measured([entry]))
    assert (
        "| auROC \\| of GATA | a paper (plot) | 0.9939 ± 0.01 (n = 4) | 0.97 [0.96, 0.98] (n = 8) "
        "| ours is lower. other data. | `priorbench run DIR` |"
    ) in text


def test_a_run_is_shown_row_by_row_and_its_words_only_with_their_facts():
    row = {
        **{"metric": "auroc", "attribution": "", "task": "binary", "dataset": "simulated"},
        **{"architecture": "three-conv", "prior": "none", "weight": None},
        **{"published_mean": 0.9, "published_sd": 0.02, "published_n": 10},
        **{"source": "a paper", "read": "its table 2", "n": 8, "failed": 0},
        **{"mean": 0.91, "ci_low": 0.89, "ci_high": 0.93, "verdict": "agrees", "words": "yes"},
    }
    absent = {**row, "prior": "fourier", "mean": None, "ci_low": None, "ci_high": None, "n": 0}
    absent |= {"verdict": "not run", "words": "not run"}
    facts = {"command": "priorbench run x", "date": "2026-11-29", "scale": "quick", "minutes": 3}
    facts["rows"] = [row, absent]
    study = {"run": "x", "title": "Table 2", "words": "It agrees.", "of": module().digest(facts)}
    text = "".join(module()._study(study, facts))
    assert "It agrees." in text
    assert "1 of 1 published mean lies in our 95% interval; of 1 more nothing can be said." in text
    assert "| prior | theirs | ours | in the interval? |" in text
    assert "| `none` | 0.9 ± 0.02 (n = 10) | 0.9100 [0.8900, 0.9300] (n = 8) | yes |" in text
    assert "| `fourier` | 0.9 ± 0.02 (n = 10) | – | not run |" in text
    other = {**facts, "rows": [row]}
    assert "It agrees." not in "".join(module()._study(study, other))
