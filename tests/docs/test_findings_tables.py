"""Tables of the pages on findings: what they say of their tests."""

import pytest
from fixtures.places import docs_program


@pytest.fixture
def tables():
    return docs_program("findings_tables")


def row(metric, attribution=None, p=0.01):
    """A comparison of one prior; without an attribution it is of the primary family."""
    about = {"task": "binary", "dataset": "d", "architecture": "x", "prior": "tv", "metric": metric}
    numbers = {"difference": 0.1, "ci_low": 0.05, "ci_high": 0.15, "p_adjusted": p, "n": 8}
    numbers |= {"mean_baseline": 0.5, "tests": 3, "verdict": "better", "baseline": "none"}
    return about | numbers | ({"attribution": attribution} if attribution else {})


def test_only_columns_of_the_primary_family_are_called_primary(tables):
    scored = [("motif-auprc", "gradient", 0.01), ("motif-auprc", "deep-lift-shap", 0.02)]
    scored += [("seed-cosine", "gradient", 0.01), ("seed-cosine", "deep-lift-shap", 0.02)]
    facts = {"explained": [row(*key) for key in scored], "compared": [row("motif-auprc")]}
    text = tables.explained(facts)
    assert "| motif-auprc | gradient (primary) | deep-lift-shap |" in text
    assert "| seed-cosine | gradient | deep-lift-shap |" in text


@pytest.mark.parametrize(
    ("advised", "text"), [("tv", "Advised: `tv`."), ("", "Advised: none, as effects have no scale")]
)
def test_a_boundary_is_named_where_one_is_advised(tables, advised, text):
    conclusion = {"default": "fourier", "advised": advised, "tests": 2, "better": [], "worse": []}
    shares = dict.fromkeys(("end_cost", "wrap_gain", "jump_cost"))
    facts = {"length": 48, "effects": [{"prior": "fourier", **shares}], "trained": []}
    assert text in tables.edges({"edges": {**facts, "conclusions": [conclusion]}})


def test_seeds_stand_behind_an_interval_where_they_were_counted(tables):
    counted = row("motif-auprc") | {"seeds_better": 7, "seeds_worse": 1}
    assert tables._cell(counted) == "✓ +0.100 [0.050, 0.150] 7:1"
    assert tables._cell(row("motif-auprc")) == "✓ +0.100 [0.050, 0.150]"


@pytest.mark.parametrize(
    ("edge", "note", "text"),
    [
        (False, "best motif-auprc of the 3 that qualify", ""),
        (False, "the reference", ""),
        (True, "best motif-auprc of the 3 that qualify", " (edge of its grid)"),
        (True, "none qualifies: the smallest weight", " (edge of its grid; none qualifies: the"),
        (False, "every weight failed: the smallest weight", " (every weight failed: the smallest"),
    ],
)
def test_what_speaks_against_a_weight_is_told(edge, note, text):
    told = docs_program("findings").reservation({"edge": edge, "note": note})
    assert told.startswith(text)
    assert bool(told) == bool(text)
    assert docs_program("findings").reservation({"edge": edge}) == " (edge of its grid)" * edge
