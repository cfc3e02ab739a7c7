"""What the page says first, and whether everybody can read it."""

from __future__ import annotations

import dataclasses
import re
from itertools import product
from pathlib import Path

import pandas as pd
import priorbench.reports
import pytest
from fixtures.run_directories import make_run
from priorbench.reports import write_report
from priorbench.reports._shared.figures.colours import BASE_COLOURS, INK, SEED_COLOURS, SOFT
from priorbench.reports.answer import TheAnswer
from priorbench.reports.matrix import Matrix

from priorbench.comparison.over_datasets import ACROSS_COLUMNS
from priorbench.results.finished_run import load_run
from priorbench.statistics.families.multiplicity import HOLM
from priorbench.study.declared import PRIMARY

STYLE = (
    Path(priorbench.reports.__file__).parent / "_shared" / "templates" / "style.jinja"
).read_text()
TEXTS, GROUNDS = ("ink", "soft", "link", "good", "bad"), ("page", "panel", "good-tint", "bad-tint")


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", str(html)))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "r", ("none", "tv", "l1"), range(8))


def answer_with(root, **changes):
    """The section, with verdicts and other columns of tv set by metric; l1 is left out."""
    run = load_run(root)
    table = run.comparisons[run.comparisons["prior"] == "tv"].copy()
    for metric, columns in changes.items():
        for column, value in columns.items():
            table.loc[table["metric"] == metric.replace("_", "-"), column] = value
    table.to_csv(root / "comparisons.csv", index=False)
    return words(TheAnswer().render(load_run(root)))


@pytest.fixture
def two(tmp_path):
    return make_run(tmp_path / "r", ("none", "tv"), range(8))


def verdict(word, **more):
    return {"verdict": word, "p_adjusted": 0.01 if word in ("better", "worse") else 0.5, **more}


class TestAnswer:
    def test_a_winner_is_named_with_gain_price_and_certainty(self, two):
        margin = {"margin": 0.005, "p_noninferior_adjusted": 0.02}
        text = answer_with(
            two,
            auroc=verdict("non-inferior", **margin),
            motif_auprc=verdict("better", p_adjusted=0.031),
            seed_cosine=verdict("inconclusive"),
        )
        assert "Train with tv. It buys better localisation than none (motif-auprc +0.050" in text
        assert "It costs no accuracy that matters: auroc is non-inferior (a loss of 0.005" in text
        assert "8 paired seeds; 3 tests of a difference in the primary family" in text
        assert (
            "Holm’s method and significant up to .05; the largest p behind this answer is .031"
            in text
        )
        assert "Weights: not tuned" in text

    def test_an_open_price_is_said(self, two):
        text = answer_with(
            two,
            auroc=verdict("inconclusive"),
            motif_auprc=verdict("better"),
            seed_cosine=verdict("inconclusive"),
        )
        assert "Train with tv, provisionally." in text
        assert "Whether it costs accuracy is not settled: auroc +0.050 is inconclusive" in text

    def test_a_trade_off_is_left_to_the_reader(self, two):
        text = answer_with(
            two,
            auroc=verdict("worse", p_noninferior_adjusted=1, p_equivalent_adjusted=1),
            motif_auprc=verdict("better"),
            seed_cosine=verdict("inconclusive"),
        )
        assert "Stay with the plain baseline none, unless you can pay for a trade-off." in text
        assert "tv buys better localisation" in text
        assert "and costs prediction (auroc" in text

    def test_nothing_conclusive_is_said(self, two):
        metrics = ("auroc", "motif_auprc", "seed_cosine")
        text = answer_with(two, **{metric: verdict("inconclusive") for metric in metrics})
        assert "Nothing conclusive speaks for a prior: train with the plain baseline none." in text
        assert "undecided, which is no evidence that there is no difference" in text
        assert "3 undecided comparisons, and the seeds they would take" in text
        assert "largest p" not in text

    def test_means_do_not_speak(self, two):
        """All means of tv are better here, and none of that is an answer without verdicts."""
        run = load_run(two)
        assert (run.comparisons["difference"] >= 0).all()
        metrics = ("auroc", "motif_auprc", "seed_cosine")
        changes = {metric: verdict("inconclusive", difference=0.4) for metric in metrics}
        assert "plain baseline none" in answer_with(two, **changes)

    def test_one_seed(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), (3,)))
        text = words(TheAnswer().render(run))
        assert "Nothing conclusive speaks for a prior" in text
        assert "How sure: one seed, so there is no test at all" in text

    def test_too_few_seeds(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), (0, 1, 2)))
        text = words(TheAnswer().render(run))
        assert "so few seeds cannot reach that on any of them (7 could)" in text
        assert "--seeds 7" in text
        assert (
            "so few seeds cannot establish a difference on a primary metric, however large" in text
        )

    def test_failures_are_named(self, tmp_path):
        failed = {("tv", 1), ("tv", 2)}
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), range(8), failed=failed))
        assert "Failures: 2 of 8 trials of tv failed or collapsed." in words(
            TheAnswer().render(run)
        )

    def test_baseline_alone(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none",), (0, 1)))
        text = words(TheAnswer().render(run))
        assert "Nothing was compared. The study has one prior; add another with --priors" in text
        assert "The rule behind" not in text
        assert Matrix().render(run) == ""

    def test_chosen_weights_at_the_edge(self, two):
        row = {"task": "binary", "dataset": "simulated", "architecture": "three-conv"}
        rows = [
            {**row, "prior": "tv", "weight": weight, "chosen": chosen, "edge": chosen}
            for weight, chosen in ((1.0, False), (3.0, True))
        ]
        run = load_run(two)
        object.__setattr__(run, "tuning", pd.DataFrame(rows))
        text = words(TheAnswer().render(run))
        assert "those chosen for tv are at the edge of those tried" in text

    def test_it_is_first(self, root, tmp_path):
        page = tmp_path / "report.html"
        write_report([root], page)
        titles = re.findall(r'<h3 id="[^"]*">([^<]*)</h3>', page.read_text())
        assert titles[:3] == ["The answer", "Priors by axes", "What was compared"]


def across_row(prior, metric, word, **more):
    axis = {"auroc": "prediction", "motif-auprc": "localisation", "seed-cosine": "stability"}
    blank = dict.fromkeys(ACROSS_COLUMNS, float("nan"))
    texts = {"prior": prior, "metric": metric, "axis": axis[metric], "verdict": word}
    texts |= {"family": PRIMARY, "correction": HOLM, "baseline": "none"}
    numbers = {"difference": 0.05, "runs": 48, "datasets": 6, "settings": 6, "better_in": 5}
    return {**blank, **texts, **numbers, "tests": 3, "p_adjusted": 0.01, **more}


class TestTogether:
    def run(self, root, *rows, **changes):
        """The run with across.csv of these rows, and verdicts of tv set as in answer_with."""
        table = load_run(root).comparisons
        for metric, word in changes.items():
            chosen = (table["metric"] == metric.replace("_", "-")) & (table["prior"] == "tv")
            table.loc[chosen, "verdict"] = word
            table.loc[chosen, ["p_noninferior_adjusted", "p_equivalent_adjusted"]] = 1.0
        loaded = load_run(root)
        across = pd.DataFrame(rows, columns=ACROSS_COLUMNS)
        return dataclasses.replace(loaded, across=across, comparisons=table)

    def rows(self, **more):
        return [
            across_row("tv", "auroc", "non-inferior", p_noninferior_adjusted=0.02),
            across_row("tv", "motif-auprc", "better", p_wilcoxon=0.031, **more),
            across_row("tv", "seed-cosine", "inconclusive"),
        ]

    def test_verdicts_over_datasets_come_first(self, two):
        text = words(TheAnswer().render(self.run(two, *self.rows())))
        first = text.index("All datasets together: 6 settings of 6 datasets")
        assert first < text.index("Train with tv. It buys better localisation")
        assert text.index("Each setting alone") > first
        assert "at least 48 pairs of trials" in text
        assert "Motif-auprc is better in 5 of 6 datasets (Wilcoxon’s p over datasets .031)" in text
        assert "So few datasets cannot show" not in text

    def test_few_datasets_say_nothing_about_others(self, two):
        rows = [row | {"datasets": 3} for row in self.rows(better_in=3)]
        text = words(TheAnswer().render(self.run(two, *rows)))
        assert "Motif-auprc is better in 3 of 3 datasets. " in text
        assert "So few datasets cannot show whether others would agree." in text
        assert "Wilcoxon" not in text

    def test_settings_of_one_dataset_say_so(self, two):
        rows = [row | {"datasets": 1} for row in self.rows(better_in=1)]
        text = words(TheAnswer().render(self.run(two, *rows)))
        assert "All settings together: 6 settings of 1 dataset" in text
        assert "These are settings of one dataset: it says nothing about others." in text

    def test_where_it_is_worse_is_said(self, two):
        run = self.run(two, *self.rows(), seed_cosine="worse")
        text = words(TheAnswer().render(run))
        assert "Not everywhere: it was shown to be worse on stability in binary · simulated" in text

    def test_nothing_conclusive_over_datasets_is_said_first(self, two):
        rows = [across_row("tv", "auroc", "inconclusive")]
        run = self.run(two, *rows, motif_auprc="better")
        text = words(TheAnswer().render(run))
        assert text.index("Nothing conclusive speaks for a prior") < text.index(
            "Each setting alone"
        )

    def test_settings_are_folded_below(self, two):
        html = TheAnswer().render(self.run(two, *self.rows(), motif_auprc="better"))
        assert "<summary>binary · simulated · three-conv: train with" in html


class TestMatrix:
    def test_a_cell_has_effect_interval_sign_and_word(self, root):
        html = str(Matrix().render(load_run(root)))
        (row,) = re.findall(r'<tr><th scope="row">tv.*?</tr>', html, flags=re.DOTALL)
        cells = re.findall(r"<td.*?</td>", row, flags=re.DOTALL)
        comparison = load_run(root).comparisons.set_index(["prior", "metric"]).loc["tv", "auroc"]
        low = f"[{comparison['ci_low']:.3f}"
        assert re.search(rf'data-sort="{comparison["difference"]}"', cells[1])
        assert words(cells[1]).startswith("✓ better+0.050" + low)
        assert "8 done" in words(cells[-1])

    def test_only_primary_metrics_have_a_column(self, root):
        html = str(Matrix().render(load_run(root)))
        assert "seed-cosine" in html
        assert "high-frequency" not in html

    def test_failures_are_counted(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), (0, 1), failed={("tv", 1)}))
        assert "✗ 1 of 2 failed" in words(Matrix().render(run))


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colour, other):
    dark, light = sorted(map(luminance, (colour, other)))
    return (light + 0.05) / (dark + 0.05)


def schemes():
    """Colours by name: light, dark, print; each repeats what the first says and it does not."""
    themes = [
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]+)", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    ]
    return {
        name: {**themes[0], **own}
        for name, own in zip(("light", "dark", "print"), themes, strict=True)
    }


class TestContrast:
    def test_the_ratio_itself(self):
        assert contrast("#000", "#ffffff") == pytest.approx(21)
        assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)

    @pytest.mark.parametrize("scheme", ["light", "dark", "print"])
    @pytest.mark.parametrize(("text", "ground"), list(product(TEXTS, GROUNDS)))
    def test_text(self, scheme, text, ground):
        colours = schemes()[scheme]
        assert contrast(colours[text], colours[ground]) >= 4.5

    def test_no_other_colours_are_used_for_text(self):
        rules = re.findall(r"([^{}]+)\{([^{}]*)\}", STYLE)
        used = [
            (where, c) for where, rule in rules for c in re.findall(r"(?<!-)color: ?([^;]+)", rule)
        ]
        assert used
        for where, colour in used:
            if colour.startswith("#"):  # cards are white in any scheme, as figures are drawn on it
                assert ".card" in where
                assert contrast(colour, "#fff") >= 4.5
            else:
                assert re.fullmatch(rf"var\(--({'|'.join(TEXTS)})\)", colour), (where, colour)

    def test_curves_and_letters(self):
        assert min(contrast(c, "#fff") for c in (*SEED_COLOURS, *BASE_COLOURS.values())) >= 3
        assert min(contrast(c, "#fff") for c in (INK, SOFT)) >= 4.5

    def test_text_in_figures(self, root, tmp_path):
        page = tmp_path / "report.html"
        write_report([root], page)
        texts = re.findall(r"<text[^>]*style=\"([^\"]*)\"", page.read_text())
        assert len(texts) > 20
        for style in texts:
            fill = re.search(r"fill: (#\w+)", style)
            assert contrast(fill[1] if fill else "#000", "#fff") >= 4.5, style
