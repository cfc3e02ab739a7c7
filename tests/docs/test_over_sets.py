"""Several real sets together: advice, verdicts, ranks and profiles of facts that are known."""

import json

import numpy as np
import pytest
from fixtures.places import DOCS, docs_program

PRIORS = ("fourier", "tv")
AXES = {"prediction": "auroc", "localisation": "motif-auprc"}


def program():
    return docs_program("findings_over_sets")


def facts(dataset, gains, *, width=1.0):
    """Return facts of a set in which the priors gain so much, on both axes, in four seeds."""
    place = {"task": "binary", "dataset": dataset, "architecture": "deepbind"}
    rows, known = [], []
    for prior, gain in zip(PRIORS, gains, strict=True):
        for axis, metric in AXES.items():
            common = {**place, "prior": prior, "axis": axis, "metric": metric}
            verdict = "better" if gain > 0 else "worse" if gain < 0 else "equivalent"
            rows.append({**common, "baseline": "none", "difference": gain, "verdict": verdict})
            known.append(
                {**common, "range": width, "gains": [gain + 0.01 * i for i in (-1, 1, -2, 2)]}
            )
    return {"compared": rows, "gains": known, "advice": [{"advice": PRIORS[0], "basis": ""}]}


def section(title, own, again=None):
    return {"title": title, "facts": own, "again": again, "digest": title}


def three_sets():
    first = facts("SRF", (0.3, 0.1))
    again = facts("SRF", (0.2, -0.1))
    return [
        section("SRF", first, again),
        section("QKI", facts("QKI", (0.2, 0.0), width=0.5)),
        section("Fis", facts("Fis", (0.4, -0.2), width=None)),
    ]


def test_priors_are_ranked_over_sets_beside_none():
    ranked = program().rankings(three_sets())
    assert [ranking.axis for ranking in ranked] == list(AXES)
    for ranking in ranked:
        assert ranking.priors == ("none", *PRIORS)
        assert ranking.datasets == 3
        # fourier is first everywhere; none and tv are second and third, alike, and third and second
        np.testing.assert_allclose(ranking.ranking.ranks, [(3 + 2.5 + 2) / 3, 1, (2 + 2.5 + 3) / 3])


def test_a_set_without_one_of_the_priors_is_not_ranked():
    sets = three_sets()
    short = [row for row in sets[2]["facts"]["gains"] if row["prior"] != "tv"]
    sets[2]["facts"]["gains"] = short
    assert {ranking.datasets for ranking in program().rankings(sets)} == {2}
    assert program().rankings(sets[1:]) == []


def test_tables_say_the_advice_the_verdicts_and_what_replicates():
    text = program().over_sets_text({"title": "All sets"}, three_sets())
    assert "## All sets\n" in text
    assert "| SRF | deepbind | `fourier` | `fourier` | 2 of 4 |" in text
    assert "| QKI | deepbind | `fourier` | not asked | – |" in text
    assert "in the order prediction and localisation" in text
    assert "| `fourier` | ✓ ✓ | ✓ ✓ | ✓ ✓ |" in text
    assert "| `tv` | ✓ ✓ | = = | ✗ ✗ |" in text
    assert "With 3 sets no two priors can be told apart" in text


def test_words_are_shown_with_the_results_they_were_written_for_alone():
    sets = three_sets()
    said = {"title": "All", "words": "Fourier wins.", "of": program().digest_of(sets)}
    assert "Fourier wins." in program().over_sets_text(said, sets)
    sets[0]["again"]["compared"][0]["verdict"] = "inconclusive"
    assert "Fourier wins." not in program().over_sets_text(said, sets)


def test_fewer_than_two_sets_have_no_section():
    assert program().over_sets_text({"title": "All"}, three_sets()[:1]) == ""


def test_gains_in_skill_leave_out_sets_whose_range_is_unknown():
    gains = program().skill_gains(three_sets(), "prediction")
    assert list(gains) == list(PRIORS)
    assert [len(values) for values in gains.values()] == [2, 2]
    np.testing.assert_allclose(gains["fourier"][1], np.array([0.19, 0.21, 0.18, 0.22]) / 0.5)


def test_the_figure_is_drawn_the_same_every_time(tmp_path):
    for name in ("first.svg", "second.svg"):
        program().draw_over_sets(three_sets(), tmp_path / name)
    first = (tmp_path / "first.svg").read_bytes()
    assert first == (tmp_path / "second.svg").read_bytes()
    for prior in PRIORS:
        assert prior.encode() in first


def test_gains_that_the_page_keeps_are_those_of_its_comparisons():
    """The mean of the seeds is the difference that was tested, up to its rounding."""
    for path in sorted((DOCS / "real-data").glob("*.json")):
        known = json.loads(path.read_text(encoding="utf-8"))
        tested = {
            (row["dataset"], row["prior"], row["axis"]): row["difference"]
            for row in known["compared"]
            if row["baseline"] == "none"
        }
        for row in known.get("gains", []):
            key = (row["dataset"], row["prior"], row["axis"])
            assert np.mean(row["gains"]) == pytest.approx(tested[key], abs=2e-4), key
