"""What the page says first, and whether everybody can read it."""

from __future__ import annotations

import dataclasses
import html
import re
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from fixtures.run_directories import CLAIMS, make_run, unrelated, write_tables

import priorbench.reports
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.metrics import METRICS
from priorbench.reports import write_figures, write_report
from priorbench.reports._shared.figures.colours import BASE_COLOURS, INK, SEED_COLOURS, SOFT
from priorbench.reports._shared.seed_gains import seed_gains, skill_gains
from priorbench.reports._shared.settings import settings_of
from priorbench.reports.answer import TheAnswer
from priorbench.reports.matrix import Matrix
from priorbench.results.finished_run import load_run
from priorbench.storage.run_directory import RunDirectory

STYLE = (
    Path(priorbench.reports.__file__).parent / "_shared" / "templates" / "style.jinja"
).read_text()
TEXTS, GROUNDS = ("ink", "soft", "link", "good", "bad"), ("page", "panel", "good-tint", "bad-tint")


def words(page):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", str(page))))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "r", ("none", "tv", "l1"), range(8))


@pytest.fixture
def two(tmp_path):
    return make_run(tmp_path / "r", ("none", "tv"), range(8))


def answered(run, **changes):
    """The run, with other parts of the answer about its only setting."""
    (part,) = run.answer.settings
    answer = dataclasses.replace(run.answer, settings=(dataclasses.replace(part, **changes),))
    run.__dict__["answer"] = answer
    return run


class TestAnswer:
    def test_the_sentences_are_those_of_the_engine(self, two):
        run = load_run(two)
        (part,) = run.answer.settings
        text = words(TheAnswer().render(run))
        assert len(part.sentences) > 1
        places = [text.index(sentence.replace("`", "")) for sentence in part.sentences]
        assert places == sorted(places)

    def test_names_are_code_and_the_first_sentence_is_strong(self, two):
        sentences = ("Train with `tv:a=1`.", "It is <b>more</b>, `none` is less.")
        page = str(TheAnswer().render(answered(load_run(two), sentences=sentences)))
        assert "<strong>Train with <code>tv:<wbr>a=1</code>.</strong>" in page
        assert "<p>It is &lt;b&gt;more&lt;/b&gt;, <code>none</code> is less.</p>" in page

    def test_network_then_advice_then_figure_then_what_is_folded(self, two):
        run = answered(load_run(two), network=("The network of `none` is at chance.",))
        page = str(TheAnswer().render(run))
        order = [
            page.index("<p>The network of <code>none</code> is at chance.</p>"),
            page.index(run.answer.settings[0].sentences[0].split("`")[0]),
            page.index("<svg"),
            page.index("<details>"),
        ]
        assert order == sorted(order)

    def test_without_a_doubt_about_the_network_there_is_no_callout(self, two):
        run = answered(load_run(two), network=())
        run.__dict__["answer"] = dataclasses.replace(run.answer, notes=())
        assert "callout" not in TheAnswer().render(run)

    def test_notes_on_claims_stand_before_the_answer(self, two):
        run = load_run(two)
        note = "The claims were changed: `x`."
        run.__dict__["answer"] = dataclasses.replace(run.answer, notes=(note,))
        page = str(TheAnswer().render(run))
        assert page.index("The claims were changed: <code>x</code>.") < page.index('class="answer"')

    def test_a_run_whose_seal_was_lost_says_so(self, two):
        (two / "claims.json").unlink()
        text = words(TheAnswer().render(load_run(two)))
        assert "Not as declared before training, so that verdicts on it are exploratory" in text

    def test_undecided_comparisons_have_the_seeds_they_would_take(self, root):
        run = load_run(root)
        table = run.comparisons
        table.loc[table["prior"] == "tv", "verdict"] = "inconclusive"
        run = dataclasses.replace(run, comparisons=table)
        text = words(TheAnswer().render(run))
        assert "3 undecided comparisons, and the seeds they would take" in text

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
        assert "<svg" not in TheAnswer().render(run)
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


def labels(page):
    return [html.unescape(label) for label in re.findall(r'aria-label="(Gains[^"]*)"', str(page))]


class TestFigure:
    def test_it_tells_gain_interval_margin_and_verdict_of_every_axis(self, root):
        run = load_run(root)
        page = TheAnswer().render(run)
        (label,) = labels(page)
        for axis in ("prediction: auroc, margin 0.005", "localisation: motif-auprc", "stability"):
            assert axis in label
        row = run.comparisons.set_index(["prior", "metric"]).loc["tv", "auroc"]
        assert f"tv +0.050 [{row['ci_low']:.3f}, {row['ci_high']:.3f}] better" in label
        assert "simultaneous 96% intervals" in words(page)
        for word in ("✓ better", "prediction: auroc", "right of 0 is better"):
            assert f">{word}" in page or word in page

    def test_losses_of_a_metric_that_is_better_lower_are_left_of_zero(self, root):
        run = load_run(root)
        (part,) = run.answer.settings
        (standing, *_) = part.advice.standings
        worse = dataclasses.replace(
            standing.results[0], metric="log-loss", gain=-0.2, low=-0.3, high=-0.1, verdict="worse"
        )
        standing = dataclasses.replace(standing, results=(worse,))
        advice = dataclasses.replace(part.advice, standings=(standing,))
        (label,) = labels(TheAnswer().render(answered(run, advice=advice)))
        assert "log-loss" in label
        assert "−0.200 [−0.300, −0.100] worse" in label

    def test_few_seeds_are_drawn_one_by_one_without_intervals(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), (0, 1, 2)))
        page = TheAnswer().render(run)
        (label,) = labels(page)
        assert "[" not in label
        assert "single seeds as strokes: fewer than 6 pairs have no interval" in words(page)
        assert "intervals" not in label

    def test_one_seed(self, tmp_path):
        run = load_run(make_run(tmp_path / "r", ("none", "tv"), (3,)))
        page = TheAnswer().render(run)
        assert "tv +0.050 not tested" in labels(page)[0]
        assert "Means: fewer than 6 pairs have no interval" in words(page)

    def test_an_axis_without_margin_is_named(self, root):
        run = load_run(root)
        table = run.comparisons
        table.loc[table["metric"] == "seed-cosine", "margin"] = float("nan")
        text = words(TheAnswer().render(dataclasses.replace(run, comparisons=table)))
        assert "within the margin (none known on stability)" in text

    def test_it_is_written_as_a_file_with_its_description(self, root, tmp_path):
        paths = write_figures(load_run(root), tmp_path / "figures")
        table = pd.read_csv(paths[-1])
        (row,) = table[table["section"] == "answer"].to_dict("records")
        assert row["shows"].startswith("Gains over none with simultaneous intervals on binary")
        assert (tmp_path / "figures" / f"{row['figure']}.png").exists()

    def test_gains_of_seeds_count_failures_as_comparisons_do(self, tmp_path):
        failed = {("tv", 1)}
        root = make_run(tmp_path / "r", ("none", "tv", "l1"), range(3), failed=failed)
        (setting,) = settings_of(load_run(root))
        gains = seed_gains(setting, "tv", METRICS["auroc"])
        row = setting.comparison("tv", METRICS["auroc"])
        assert gains.mean() == pytest.approx(row["difference"])
        assert skill_gains(setting, "tv", METRICS["auroc"]) == pytest.approx(gains / 0.5)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A run of three settings on two datasets."""
    root = make_run(tmp_path_factory.mktemp("runs") / "r", ("none", "tv"), range(8))
    places = [("x", "three-conv"), ("x", "basset"), ("y", "three-conv")]
    results = pd.concat(
        [load_run(root).results.assign(dataset=d, architecture=a) for d, a in places]
    ).astype({"seed": "Int64"})
    pairs = paired_runs(results, unrelated, "none")
    tables = {"results.csv": results, "comparisons.csv": compare_pairs(pairs, CLAIMS)}
    write_tables(RunDirectory(root), {**tables, "across.csv": compare_across(pairs, CLAIMS)})
    return root


class TestTogether:
    def test_the_answer_over_all_settings_comes_first(self, several):
        run = load_run(several)
        page = TheAnswer().render(run)
        text = words(page)
        first = text.index("All datasets together: 3 settings of 2 datasets")
        sentence = run.answer.together.sentences[0].replace("`", "")
        assert first < text.index(sentence) < text.index("Each setting alone")
        assert labels(page)[0].startswith("Gains over none with simultaneous intervals on all")
        assert len(labels(page)) == 4

    def test_networks_of_all_settings_are_named_before_it(self, several):
        run = load_run(several)
        parts = [
            dataclasses.replace(part, network=("At chance in one.",) if i else ())
            for i, part in enumerate(run.answer.settings)
        ]
        run.__dict__["answer"] = dataclasses.replace(run.answer, settings=tuple(parts))
        text = words(TheAnswer().render(run))
        assert text.index("At chance in one.") < text.index(
            run.answer.together.sentences[0].replace("`", "")
        )

    def test_few_datasets_say_nothing_about_others(self, several):
        text = words(TheAnswer().render(load_run(several)))
        assert "is better in 2 of 2 datasets" in text
        assert "So few datasets cannot show whether others would agree." in text
        assert "Wilcoxon" not in text

    def test_settings_of_one_dataset_say_so(self, several):
        run = load_run(several)
        across = run.across.assign(datasets=1)
        text = words(TheAnswer().render(dataclasses.replace(run, across=across)))
        assert "All settings together: 3 settings of 1 dataset" in text
        assert "These are settings of one dataset: it says nothing about others." in text

    def test_settings_are_folded_below(self, several):
        page = TheAnswer().render(load_run(several))
        assert page.count("<summary>binary · ") == 3


class TestMatrix:
    def test_a_cell_has_effect_interval_sign_and_word(self, root):
        page = str(Matrix().render(load_run(root)))
        (row,) = re.findall(r'<tr><th scope="row">tv.*?</tr>', page, flags=re.DOTALL)
        cells = re.findall(r"<td.*?</td>", row, flags=re.DOTALL)
        comparison = load_run(root).comparisons.set_index(["prior", "metric"]).loc["tv", "auroc"]
        low = f"[{comparison['ci_low']:.3f}"
        assert re.search(rf'data-sort="{comparison["difference"]}"', cells[1])
        assert words(cells[1]).startswith("✓ better+0.050" + low)
        assert "8 done" in words(cells[-1])

    def test_only_primary_metrics_have_a_column(self, root):
        page = str(Matrix().render(load_run(root)))
        assert "seed-cosine" in page
        assert "high-frequency" not in page

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
