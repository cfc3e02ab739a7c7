"""Several real sets together: advice, verdicts, ranks and profiles of facts that are known."""

import json

import numpy as np
import pytest
from fixtures.places import DOCS, docs_program

from priorbench.metrics import METRICS

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
    over_axes = program().axes_over_sets(three_sets())
    assert [over_axis.axis for over_axis in over_axes] == list(AXES)
    for over_axis in over_axes:
        ranking = over_axis.ranking
        assert ranking.priors == ("none", *PRIORS)
        assert ranking.datasets == 3
        # fourier is first everywhere; none and tv are third and second, alike, and second and third
        wanted = [(3 + 2.5 + 2) / 3, 1, (2 + 2.5 + 3) / 3]
        np.testing.assert_allclose(ranking.ranking.ranks, wanted)


def test_a_set_without_one_of_the_priors_is_in_neither_ranks_nor_profiles():
    sets = three_sets()
    sets[0]["facts"]["gains"] = [r for r in sets[0]["facts"]["gains"] if r["prior"] != "tv"]
    for over_axis in program().axes_over_sets(sets):
        assert list(over_axis.sets) == ["QKI", "Fis"]
        assert over_axis.profiled == ["QKI"]  # the other has no range
        assert [len(gains) for gains in over_axis.skill.values()] == [1, 1]
    assert "prediction: QKI and Fis (with a range, and in the profile: QKI)" in (
        program().over_sets_text({"title": "All"}, sets, "real-data")
    )
    broken = sets[1]["facts"]["gains"]
    broken[0]["gains"][2] = None  # a seed of one prior on one axis
    assert [over_axis.axis for over_axis in program().axes_over_sets(sets)] == ["localisation"]


def test_settings_of_a_set_are_one_in_ranks_and_profiles():
    first, second = facts("SRF", (0.3, 0.1)), facts("SRF", (0.1, 0.5), width=0.5)
    for rows in (second["compared"], second["gains"]):
        for row in rows:
            row["architecture"] = "basset"
    both = {key: first[key] + second[key] for key in first}
    sets = [section("SRF", both), section("QKI", facts("QKI", (0.2, 0.0)))]
    over_axis = program().axes_over_sets(sets)[0]
    np.testing.assert_allclose(over_axis.ranking.ranking.ranks, [2.75, 1.5, 1.75])
    assert [len(gains) for gains in over_axis.skill.values()] == [2, 2]
    noise = np.array([-0.01, 0.01, -0.02, 0.02])
    wanted = ((0.3 + noise) + (0.1 + noise) / 0.5) / 2
    np.testing.assert_allclose(over_axis.skill["fourier"][0], wanted)
    assert "╱" in program().verdict_table(sets)


def test_tables_say_the_advice_the_verdicts_and_what_replicates():
    text = program().over_sets_text({"title": "All sets"}, three_sets(), "real-data")
    assert "## All sets\n" in text
    assert "| SRF | deepbind | `fourier` | `fourier` | 2 of 4 |" in text
    assert "| QKI | deepbind | `fourier` | not asked | – |" in text
    assert "in the order prediction and localisation" in text
    assert "| `fourier` | ✓ ✓ | ✓ ✓ | ✓ ✓ |" in text
    assert "| `tv` | ✓ ✓ | = = | ✗ ✗ |" in text
    assert "3 sets cannot tell any two priors apart" in text
    assert "](real-data/over-sets.svg)" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda sets: sets[0]["again"]["compared"][0].update(verdict="inconclusive"),
        lambda sets: sets[1]["facts"]["advice"][0].update(advice="none"),
        lambda sets: sets[0]["again"]["advice"][0].update(advice="none"),
        lambda sets: sets[2]["facts"]["gains"][0]["gains"].reverse(),
        lambda sets: sets[2].update(title="other"),
    ],
)
def test_words_are_shown_with_the_results_they_were_written_for_alone(change):
    sets = three_sets()
    said = {"title": "All", "words": "Fourier wins.", "of": program().digest_of(sets)}
    assert "Fourier wins." in program().over_sets_text(said, sets, "x")
    change(sets)
    assert "Fourier wins." not in program().over_sets_text(said, sets, "x")


def test_fewer_than_two_sets_have_no_section_and_no_figure(tmp_path):
    figure = tmp_path / "old.svg"
    figure.write_text("of an earlier page")
    assert program().over_sets_text({"title": "All"}, three_sets()[:1], "x") == ""
    program().draw_over_sets(three_sets()[:1], figure)
    assert not figure.exists()


def test_sets_that_share_no_axis_have_tables_and_no_figure(tmp_path):
    sets = three_sets()[:2]
    for each, axis in zip(sets, AXES, strict=True):
        for key in ("compared", "gains"):
            each["facts"][key] = [row for row in each["facts"][key] if row["axis"] == axis]
    text = program().over_sets_text({"title": "All"}, sets, "x")
    assert "| `fourier` | ✓ – | – ✓ |" in text
    assert "![" not in text
    program().draw_over_sets(sets, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_facts_of_an_earlier_version_are_named():
    sets = three_sets()
    del sets[1]["facts"]["gains"]
    with pytest.raises(ValueError, match="QKI: its facts hold no gains; read its run again"):
        program().axes_over_sets(sets)


def test_the_figure_is_drawn_the_same_every_time_with_a_key(tmp_path):
    sets = three_sets()
    for row in sets[0]["facts"]["gains"] + sets[1]["facts"]["gains"]:
        if row["axis"] == "prediction":
            row["range"] = None  # so that the first panel has no profile
    for name in ("first.svg", "second.svg"):
        program().draw_over_sets(sets, tmp_path / name)
    first = (tmp_path / "first.svg").read_bytes()
    assert first == (tmp_path / "second.svg").read_bytes()
    for prior in PRIORS:
        # in the ranks of both axes, and in the key
        assert first.count(f">{prior}".encode()) + first.count(f"-- {prior}".encode()) >= 3


def test_gains_that_the_page_keeps_are_those_of_its_comparisons():
    """The mean of the seeds is the difference that was tested, up to its rounding and its sign."""
    for path in sorted((DOCS / "real-data").glob("*.json")):
        known = json.loads(path.read_text(encoding="utf-8"))
        tested = {
            (row["dataset"], row["prior"], row["axis"]): row["difference"]
            for row in known["compared"]
            if row["baseline"] == "none"
        }
        for row in known.get("gains", []):
            key = (row["dataset"], row["prior"], row["axis"])
            sign = -1 if METRICS[row["metric"]].higher_is_better is False else 1
            assert sign * np.mean(row["gains"]) == pytest.approx(tested[key], abs=2e-4), key
