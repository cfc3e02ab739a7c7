"""The report, on small run directories made here: nothing is trained."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import tomli_w
from fixtures.run_directories import (
    CLAIMS,
    EVIL,
    make_run,
    seal_again,
    unrelated,
    write_tables,
)

from priorbench import UserError
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare, compare_pairs
from priorbench.components import registry
from priorbench.metrics import METRICS
from priorbench.number_text import decimals_for, exact_p, fixed, listed, p_value
from priorbench.reports import write_report
from priorbench.reports._shared.settings import settings_of
from priorbench.reports._shared.tests_table import reach, seeds_text
from priorbench.reports.pareto import axes_of, points
from priorbench.results.finished_run import load_run
from priorbench.statistics.families.verdicts import DEFINITIONS
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile

VOID = {"meta", "br", "wbr", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    """Collects tags, ids, headings and text; fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.inside = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title", "script"):
            self.text.append(data)


def check(html):
    """The page's text, after what must hold for every page."""
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert not checker.open
    ids = Counter(attributes["id"] for _, attributes in checker.tags if "id" in attributes)
    assert not [name for name, count in ids.items() if count > 1]
    for tag, attributes in checker.tags:
        assert tag not in ("link", "img", "iframe", "object")
        for key in ("src", "href", "xlink:href", "data"):
            target = attributes.get(key, "#")
            if not (tag == "image" and target.startswith("data:image/png;base64,")):
                assert target.startswith("#")
                assert target[1:] in {"", *ids}
        assert not any(key.startswith("on") for key in attributes)
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    assert [attributes for tag, attributes in checker.tags if tag == "script"] == [{}]
    assert html.rindex("</article>") < html.index("<script>")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    levels = [int(tag[1]) for tag, _ in checker.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    tables = sum(tag == "table" for tag, _ in checker.tags)
    assert tables == sum(tag == "caption" for tag, _ in checker.tags)
    return re.sub(r"\s+", " ", "".join(checker.text))


def report(tmp_path, *roots):
    page = tmp_path / "report.html"
    write_report(roots, page)
    return page.read_text()


PRIORS = ("none", "fourier:softness=0.3", "a$b$<i>")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose name, question, reasons, notes and priors are not to be trusted."""
    root = tmp_path_factory.mktemp("runs") / "evil"
    return make_run(root, PRIORS, (0, 1, 2), failed={(PRIORS[1], 1)}, name=EVIL)


@pytest.fixture(scope="module")
def hostile_page(hostile, tmp_path_factory):
    return report(tmp_path_factory.mktemp("page"), hostile)


class TestPage:
    def test_is_well_formed_and_loads_nothing(self, hostile_page):
        check(hostile_page)

    def test_escapes_what_users_wrote(self, hostile_page):
        assert EVIL not in hostile_page
        assert "<i>" not in hostile_page
        text = check(hostile_page)
        assert f"Is {EVIL} asked?" in text
        assert f"{EVIL} was dropped" in text

    def test_names_every_prior(self, hostile_page):
        text = check(hostile_page)
        for prior in PRIORS:
            assert prior in text

    def test_has_every_section_in_order(self, hostile, hostile_page):
        run = load_run(hostile)
        sections = [registry.load("report", name)() for name in registry.components("report")]
        shown = sorted((s for s in sections if s.render(run)), key=lambda s: s.position)
        titles = [section.title for section in shown]
        assert {"What was compared", "Comparison", "Paired seeds", "Failures", "Methods"} <= set(
            titles
        )
        places = [hostile_page.index(f">{title}</h3>") for title in titles]
        assert places == sorted(places)

    def test_says_what_so_few_seeds_can_show(self, hostile_page):
        text = check(hostile_page)
        # the smallest p of joint flips is 2/2**3; 2/2**6 is the first that is at most .04
        assert "With 3 seeds this study cannot show that any prior is better or worse" in text
        assert "6 seeds are the fewest that can" in text
        assert "Smallest possible adjusted p in the primary family: .25, so no" in text

    def test_lists_failures_with_their_reason(self, hostile_page):
        text = check(hostile_page)
        assert "1 of 9 trials did not end well" in text
        assert f"RuntimeError: {EVIL}" in text
        assert "1 failed: as worst" in text
        assert "1 failed: left out" in text

    def test_is_the_same_twice(self, hostile, hostile_page, tmp_path):
        assert report(tmp_path, hostile) == hostile_page

    def test_bars_smoothness_from_ranking(self, hostile_page):
        text = check(hostile_page)
        assert "optimised-for, not ranked" in text
        assert "high-frequency" in text


@pytest.mark.slow
class TestEdges:
    def test_one_seed_has_differences_without_p(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), (3,))))
        assert "With 1 seed this study cannot show" in text
        assert "too few seeds: no p" in text
        assert "+0.050" in text

    def test_baseline_alone(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none",), (0, 1))))
        assert "The study has one prior; add another with --priors" in text

    def test_prior_without_a_finished_trial(self, tmp_path):
        failed = {("tv", 0), ("tv", 1)}
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1), failed=failed)
        text = check(report(tmp_path, root))
        assert "2 of 4 trials did not end well" in text
        assert "failed or collapsed: tv" in text
        assert "no trial finished" in text

    def test_no_truth(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1), truth=False)
        text = check(report(tmp_path, root))
        assert "not defined on these data" in text
        assert "its seed-cosine, averaged over all priors and seeds 0 and 1" in text
        assert "Where motifs are is not known" in text

    def test_trials_that_have_not_run_are_counted(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
        with (root / "plan.csv").open("a") as file:
            file.write("later\n")
        seal_again(root)
        assert "1 planned trial did not run yet" in check(report(tmp_path, root))

    def test_nothing_left_a_score(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0,))
        results = pd.read_csv(root / "results.csv", keep_default_na=False, na_values=[""])
        references = results[results["stage"] == "reference"]
        nothing = compare(results.iloc[:0], unrelated, CLAIMS)
        tables = {"results.csv": references, "comparisons.csv": nothing}
        write_tables(RunDirectory(root), tables)
        text = check(report(tmp_path, root))
        assert "No trial left a score" in text

    def test_enough_seeds_lead_to_findings(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), range(7))))
        assert "Train with tv: it is better than none on prediction" in text
        assert "cannot show" not in text
        assert "✓ better" in text

    def test_several_architectures_have_a_table_each(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
        results = load_run(root).results
        other = results.assign(architecture="other")
        both = pd.concat([results, other], ignore_index=True).astype({"seed": "Int64"})
        tables = {"results.csv": both, "comparisons.csv": compare(both, unrelated, CLAIMS)}
        write_tables(RunDirectory(root), tables)
        text = check(report(tmp_path, root))
        assert text.count("on the primary metric of every axis") == 2
        assert "binary · simulated · other" in text

    def test_many_seeds(self, tmp_path):
        check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), range(12))))

    def test_long_windows_are_cut(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none",), (0,), length=260)))
        assert "Shown are 200 of 260 bp around the motif" in text

    def test_folder_without_results(self, tmp_path):
        page = tmp_path / "report.html"
        with pytest.raises(UserError, match="not a run directory"):
            write_report([tmp_path], page)
        root = make_run(tmp_path / "r", ("none", "tv"), (0,))
        (root / "results.csv").unlink()
        seal_again(root)  # as a run that has not come so far
        with pytest.raises(UserError, match="not a finished run"):
            write_report([root], page)
        assert not page.exists()


@pytest.mark.slow
class TestStatistics:
    def test_tables_say_what_was_corrected_and_how(self, hostile_page):
        text = check(hostile_page)
        family = "Primary family: 6 tests of a difference and 6 against a margin"
        assert family in text
        assert "p adjusted by joint sign flips of whole seeds" in text
        assert "corrected as p is, so that it never contradicts the verdict" in text
        for word in ("equivalent", "non-inferior", "inconclusive"):
            assert DEFINITIONS[word] in text

    def test_intervals_are_named(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), range(7))))
        assert "(simultaneous; sign-flip for high-frequency)" in text

    def test_graded_answers_describe(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), range(7))))
        assert "100 · 0 · 0 %" in text
        assert "a description, never a verdict" in text

    def test_one_seed_has_no_interval(self, tmp_path):
        text = check(report(tmp_path, make_run(tmp_path / "r", ("none", "tv"), (3,))))
        assert "With one seed there is no p" in text

    def test_datasets_together(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), range(3))
        settings_of = [("x", "three-conv"), ("x", "basset"), ("y", "three-conv")]
        both = pd.concat(
            [load_run(root).results.assign(dataset=d, architecture=a) for d, a in settings_of]
        )
        both = both.astype({"seed": "Int64"})
        pairs = paired_runs(both, unrelated, "none")
        tables = {"results.csv": both, "comparisons.csv": compare_pairs(pairs, CLAIMS)}
        write_tables(RunDirectory(root), {**tables, "across.csv": compare_across(pairs, CLAIMS)})
        text = check(report(tmp_path, root))
        assert "dataset, architecture) of the difference to none" in text
        assert "2 of 2 3 settings, 9 pairs" in text
        assert "in one or more of 3 settings a false claim is up to 3 times as likely, 12%" in text
        assert "Performance profiles: the share of paired trials" in text
        assert "So few seeds have no bands." in text
        assert "so few cannot distinguish any two priors" in text

    def test_a_folder_of_an_earlier_version_is_refused(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
        study = tomllib.loads((root / "study.toml").read_text())
        del study["format"]
        (root / "study.toml").write_text(tomli_w.dumps(study))
        (root / "manifest.json").unlink()
        with pytest.raises(UserError, match="by an earlier version of priorbench") as caught:
            report(tmp_path, root)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["results.csv", "comparisons.csv", "plan.csv", "study.toml"])
    def test_a_file_that_was_edited_is_refused(self, tmp_path, name):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
        with (root / name).open("a") as file:
            file.write("\n")
        with pytest.raises(DamagedFile, match=f"{name}: was edited by hand or damaged"):
            report(tmp_path, root)
        assert not (tmp_path / "report.html").exists()


class TestFront:
    def run(self, tmp_path, values):
        """Trials of tv at some weights in tuning: (auroc, motif-auprc) by weight."""
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
        results = load_run(root).results
        some = results[(results["prior"] == "tv") & (results["stage"] == "evaluate")]
        parts = [results]
        for weight, scores in values.items():
            tuned = some.assign(stage="tune", weight=weight)
            for metric, value in zip(("auroc", "motif-auprc"), scores, strict=True):
                tuned.loc[tuned["metric"] == metric, "value"] = value
            parts.append(tuned)
        write_tables(RunDirectory(root), {"results.csv": pd.concat(parts)})
        return root

    def test_points_that_nothing_beats_are_marked(self, tmp_path):
        run = load_run(self.run(tmp_path, {0.1: (0.9, 0.3), 1: (0.8, 0.5), 10: (0.7, 0.4)}))
        (setting,) = settings_of(run)
        axes = axes_of(run, setting)
        assert [metric.name for metric in axes] == ["auroc", "motif-auprc"]
        tuned = {p.weight: p.best for p in points(run, setting, axes) if p.stage == "tune"}
        assert tuned == {0.1: True, 1: True, 10: False}

    def test_spread_is_that_of_seeds(self, tmp_path):
        run = load_run(self.run(tmp_path, {}))
        (setting,) = settings_of(run)
        (none, tv) = points(run, setting, axes_of(run, setting))
        assert none.x == pytest.approx(0.501)
        assert none.x_spread == pytest.approx(0.002 / np.sqrt(2))
        assert tv.best
        assert not none.best

    def test_tuning_and_evaluation_are_told_apart(self, tmp_path):
        text = check(report(tmp_path, self.run(tmp_path, {0.1: (0.9, 0.3), 1: (0.8, 0.5)})))
        assert "The two are scored on different data and cannot be compared" in text

    def test_nothing_to_trade_is_left_out(self, tmp_path):
        root = make_run(tmp_path / "r", ("none", "tv"), (0, 1), truth=False)
        assert "Prediction against localisation" not in check(report(tmp_path, root))


class TestReading:
    def test_import_waits_for_nothing_heavy(self):
        code = (
            "import sys, priorbench.reports; "
            "sys.exit(bool({'torch', 'matplotlib', 'pandas', 'bibtexparser'} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_failed_trials_have_the_worst_value(self, hostile):
        (setting,) = settings_of(load_run(hostile))
        scores = setting.scores(METRICS["auroc"])
        failed = scores[scores["failed"]]
        assert list(failed["prior"]) == [PRIORS[1]]
        assert failed["value"].item() == scores["value"].min()

    def test_reach(self, hostile):
        run = load_run(hostile)
        (setting,) = settings_of(run)
        limits = reach(run, setting)
        assert (limits.n, limits.tests, limits.smallest, limits.needed) == (3, 6, 0.25, 6)
        assert limits.level == pytest.approx(0.04)
        assert not limits.enough


class TestNumbers:
    @pytest.mark.parametrize(
        ("p", "short", "exact"),
        [
            (0.0625, ".063", ".0625"),
            (0.0312, ".031", ".0312"),
            (1.0, "1", "1"),
            (0.9996, "1", ".9996"),
            (0.5, ".500", ".5"),
            (0.0004, "<.001", "<.001"),
            (float("nan"), "–", "–"),
        ],
    )
    def test_p(self, p, short, exact):
        assert p_value(p) == short
        assert exact_p(p) == exact

    def test_fixed(self):
        assert fixed(-0.0312, 3) == "−0.031"
        assert fixed(0.5, 1, signed=True) == "+0.5"
        assert fixed(-0.0001, 3, signed=True) == "0.000"
        assert fixed(12345.6, 0) == "12,346"
        assert fixed(float("nan"), 3) == "–"

    def test_decimals(self):
        assert decimals_for([0.91, 0.05]) == 3
        assert decimals_for([5.2, 1.0]) == 2
        assert decimals_for([391.0]) == 0
        assert decimals_for([0.00012]) == 5
        assert decimals_for([0.0041, 0.0002]) == 4
        assert decimals_for([float("nan"), 0.0]) == 3

    def test_listed(self):
        assert listed(["a"]) == "a"
        assert listed(["a", "b", "c"]) == "a, b and c"


def test_seeds_are_told_where_they_were_counted():
    assert seeds_text({"seeds_better": 18, "seeds_worse": 2}) == "18 : 2"
    # a table of before, or of others
    assert seeds_text({}) == seeds_text({"seeds_better": float("nan")}) == "–"
