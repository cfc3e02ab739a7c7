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
