"""Methods in words: true to the run, complete, and with references that exist in one place."""

from __future__ import annotations

import dataclasses
import html
import re

import pandas as pd
import pytest
from fixtures.run_directories import make_run

from priorbench.attribution.explainers import EXPLAINERS
from priorbench.attribution.methods import METHODS
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.reports._shared import methods_text
from priorbench.reports._shared.citations import (
    REFERENCES,
    Bibliography,
    named_works,
    publications,
)
from priorbench.reports.environment import Environment
from priorbench.reports.methods import Methods
from priorbench.results.finished_run import load_run


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", str(page)))


def citations():
    """What every component that comes with the program cites."""
    components = [
        registry.load(kind, name)
        for kind in ("prior", "task", "architecture")
        for name in registry.components(kind)
    ]
    for component in (*components, *METHODS.values(), *EXPLAINERS.values()):
        yield from named_works(component.citation)


class TestLiterature:
    def test_everything_that_components_cite_is_there_in_full(self):
        assert set(citations()) <= {work.cited_as for work in publications().values()}

    def test_nothing_is_there_for_a_citation_that_no_component_has(self):
        named = {work.cited_as for work in publications().values() if work.cited_as}
        assert named <= set(citations())

    @pytest.mark.parametrize("work", publications().values(), ids=list(publications()))
    def test_entries_are_complete(self, work):
        year = re.search(r"\((\d{4})\)\. ", work.full)
        assert year
        assert work.short.endswith(year[1])
        first = work.short.split(" ")[0].rstrip(",")
        assert work.full.startswith(first)
        assert work.full.endswith(".")
        assert not work.doi or re.fullmatch(r"10\.\d{4,}/\S+", work.doi)

    def test_every_entry_of_the_file_is_read(self):
        keys = re.findall(r"^@\w+\{(\w+),", REFERENCES.read_text(encoding="utf-8"), re.MULTILINE)
        assert keys == sorted(keys) == list(publications())

    @pytest.mark.parametrize(
        ("key", "short", "full"),
        [
            (
                "benavoli",
                "Benavoli et al. 2016",
                "Benavoli, A., Corani, G. & Mangili, F. (2016). Should we really use post-hoc "
                "tests based on mean-ranks? Journal of Machine Learning Research 17(5), 1–10.",
            ),
            (
                "deeplift",
                "Shrikumar et al. 2017",
                "Shrikumar, A., Greenside, P. & Kundaje, A. (2017). Learning important features "
                "through propagating activation differences. Proceedings of the 34th International "
                "Conference on Machine Learning, PMLR 70, 3145–3153.",
            ),
            (
                "fisher",
                "Fisher 1935",
                "Fisher, R. A. (1935). The Design of Experiments. Oliver and Boyd, Edinburgh.",
            ),
            (
                "modisco",
                "Shrikumar et al. 2018",
                "Shrikumar, A. et al. (2018). Technical note on transcription factor motif "
                "discovery from importance scores (TF-MoDISco) version 0.5.6.5. arXiv:1811.00416.",
            ),
            (
                "adam",
                "Kingma & Ba 2015",
                "Kingma, D. P. & Ba, J. (2015). Adam: a method for stochastic optimization. "
                "International Conference on Learning Representations. arXiv:1412.6980.",
            ),
        ],
    )
    def test_entries_are_written_in_one_style(self, key, short, full):
        assert (publications()[key].short, publications()[key].full) == (short, full)

    def test_what_is_cited_is_listed_once_and_no_more(self):
        works = Bibliography()
        assert works.cite("pitman", "fisher") == "(Pitman 1937; Fisher 1935)"
        assert works.cite("fisher") == "(Fisher 1935)"
        assert [entry.split(",")[0] for entry in works.references] == ["Fisher", "Pitman"]
        assert works.references[1].endswith("https://doi.org/10.2307/2984124")

    def test_components_cite_several_works_or_their_own(self):
        works = Bibliography()
        text = works.cite_component(EXPLAINERS["deep-lift-shap"].citation)
        assert text == "(Shrikumar et al. 2017; Lundberg & Lee 2017; Schreiber 2025)"
        assert len(works.references) == 3
        assert works.cite_component("me; me") == "(me)"
        assert works.cite_component("") == ""
        assert len(works.references) == 3


@pytest.fixture
def run(tmp_path):
    return load_run(make_run(tmp_path / "r", ("none", "tv"), range(7), failed={("tv", 1)}))


def study(run, **changes):
    return dataclasses.replace(run, study={**run.study, **changes})


class TestTraining:
    def test_networks_that_were_trained_at_once(self, run):
        assert "trained together" not in words(Methods().render(run))
        sizes = dict.fromkeys(list(run.records)[:3], 4)
        records = {
            trial: {**record, **({"ensemble": sizes[trial]} if trial in sizes else {})}
            for trial, record in run.records.items()
        }
        page = words(Methods().render(dataclasses.replace(run, records=records)))
        assert "3 of 14 networks were trained together with others of the same prior" in page
        assert "up to 4 at once" in page
        assert "to the last bit" not in page

    def test_precision(self, run):
        assert "bfloat16" not in words(Methods().render(run))
        page = words(Methods().render(study(run, precision="bf16")))
        assert "networks ran in bfloat16 in training" in page

    def test_a_schedule_of_the_studys_own(self, run):
        usual = words(Methods().render(run))
        assert "epoch with the lowest prediction loss on validation data" in usual
        assert "the study's own" not in html.unescape(usual)
        table = {
            "epochs": 50,
            "patience": 7,
            "min_delta": 0.0,
            "monitor": "auroc",
            "keep": "last",
            "l2": 1e-6,
            "plateau": {"factor": 0.2, "patience": 5, "smallest": 1e-7},
        }
        page = html.unescape(words(Methods().render(study(run, schedule=table))))
        assert (
            "at most 50 epochs, ended after 7 epochs in a row in which the area under the ROC "
            "curve of the validation data did not rise; the learning rate was multiplied by 0.2, "
            "down to 1e-07 at most, after 5 epochs in a row" in page
        )
        assert "1e-06 times the sum of squares of the weights" in page
        assert "The weights that were kept are those of the last epoch" in page
        assert "same for every prior, and is the study's own." in page
        best = {"monitor": "auroc"}
        page = html.unescape(words(Methods().render(study(run, schedule=best))))
        assert "epoch with the largest area under the ROC curve of validation data" in page


class TestText:
    def test_has_the_numbers_of_the_run(self, run):
        text = words(Methods().render(run))
        assert "1 prior was compared with training without any (none) on 1 dataset" in text
        assert "8 windows of 40 bp for training, 4 for validation and 6 for testing" in text
        assert "at most 3 epochs, ended after 3 epochs in a row" in text
        assert "batches of about 32" in text
        assert "over 7 pairs with the same seed" in text
        assert "p of the 3 primary comparisons of all priors was adjusted by step-down" in text
        assert "Adjusted p of at most .04 makes a prior better or worse" in text
        assert "The first look at a study's results has a level of .04" in html.unescape(text)
        assert "2% of the baseline’s gain over chance in prediction" in text
        assert "10% of the way from chance to a perfect score in localisation" in text
        assert "were sealed with a digest before the first training, and are those" in text
        assert "Seed-cosine compares networks with each other" in text
        assert "1 training of 14 failed or collapsed" in text
        assert "Weights were fixed beforehand" in text

    def test_cites_what_it_uses(self, run):
        listed = re.findall(r'<p class="reference">(.*?)</p>', str(Methods().render(run)))
        for name in (
            "Westfall",
            "Romano",
            "Rubin",
            "Benjamini",
            "Fisher",
            "Pitman",
            "Schuirmann",
            "Arvesen",
            "Kingma",
        ):
            assert any(entry.startswith(name) for entry in listed), name
        for name in ("Gupta", "Wilcoxon", "Phipson", "DeLong", "Holm"):
            assert not any(entry.startswith(name) for entry in listed), name

    def test_one_seed_has_no_statistics(self, tmp_path):
        text = words(Methods().render(load_run(make_run(tmp_path / "x", ("none", "tv"), (0,)))))
        assert "With one seed there is no test" in text
        assert "Holm 1979" not in text

    def test_few_seeds_have_no_corrected_interval(self, tmp_path):
        root = make_run(tmp_path / "x", ("none", "tv"), range(4))
        text = words(Methods().render(load_run(root)))
        assert "Fewer than 6 pairs have no corrected interval" in text
        assert "Hartigan" not in text

    def test_holms_method_is_told_where_it_was_declared(self, run):
        text = words(Methods().render(study(run, correction="holm")))
        assert "was adjusted by Holm’s method (Holm 1979)" in text
        assert "Westfall" not in text

    def test_many_seeds_are_flipped_at_random(self, tmp_path):
        root = make_run(tmp_path / "x", ("none", "tv"), range(22))
        text = words(Methods().render(load_run(root)))
        assert "with 10,000 random sign patterns" in text
        assert "DeLong et al. 1988" in text

    def test_tuning_is_told_by_its_rule(self, run):
        tuned = study(run, tune=5, tuning_seeds=[1000, 1001], loss_margin=0.03)
        text = words(Methods().render(tuned))
        assert "trained at 5 weights on 2 seeds that evaluation did not use" in text
        assert "at most 3% above that of none, in the mean and in the median over seeds" in text
        earlier = study(tuned)
        table = earlier.tuning.drop(columns="median_difference")
        object.__setattr__(earlier, "tuning", table)  # as earlier versions wrote it
        assert "of none, in the mean over seeds, the one" in words(Methods().render(earlier))
        by_loss = study(tuned, tuning_rule="best-prediction")
        assert "The weight with the lowest mean validation loss was taken" in words(
            Methods().render(by_loss)
        )

    def test_discovery_is_told_where_it_was_asked_for(self, run):
        assert "TF-MoDISco" not in words(Methods().render(run))
        text = words(Methods().render(study(run, discovery=True)))
        assert "TF-MoDISco (Shrikumar et al. 2018)" in text
        assert "TOMTOM (Gupta et al. 2007)" in text

    def test_several_datasets(self, run):
        across = pd.DataFrame({"settings": [4, 4], "datasets": [3, 3]})
        text = words(Methods().render(dataclasses.replace(run, across=across)))
        assert "Over 4 settings of 3 datasets" in text
        assert "Wilcoxon’s signed-rank test over datasets (Wilcoxon 1945)" in text

    def test_settings_of_one_dataset_are_not_ranked(self, run):
        across = pd.DataFrame({"settings": [4], "datasets": [1]})
        text = words(Methods().render(dataclasses.replace(run, across=across)))
        assert "Several settings. Over 4 settings of 1 dataset" in text
        assert "Wilcoxon" not in text
        assert "Friedman" not in text

    def test_many_datasets_are_summed_up(self, run):
        (dataset,) = run.datasets.values()
        many = dataclasses.replace(run, datasets={f"binary/d{i}": dataset for i in range(9)})
        text = words(Methods().render(many))
        assert "The 9 datasets have windows of 40 bp: 8 for training, 4 for validation" in text

    def test_a_plugin_that_is_not_loaded_is_no_error(self, run):
        (dataset,) = run.datasets.values()
        text = words(Methods().render(dataclasses.replace(run, datasets={"my/d": dataset})))
        assert "Task my: of a plug-in." in text

    def test_baselines_other_than_none_are_named(self, run):
        text = words(Methods().render(study(run, baseline="tv")))
        assert "Differences are to tv." in text


class TestFacts:
    def test_a_share_of_the_training_data(self, run):
        (dataset,) = run.datasets.values()
        key = "binary:train_share=0.3:train_epochs=2/simulated"
        records = {
            trial: {**record, "task": key.rpartition("/")[0]}
            for trial, record in run.records.items()
        }
        less = dataclasses.replace(run, datasets={key: dataset}, records=records)
        (data,) = methods_text.data_of(less)
        assert (data.training, data.available, data.shared) == (3, 8, True)
        (training,) = methods_text.trainings_of(less)
        assert (training.schedule.epochs, training.schedule.patience) == (6, 6)
        text = words(Methods().render(less))
        assert "3 windows of 40 bp for training (of 8, the same for all seeds and priors" in text
        assert "at most 6 epochs, ended after 6 epochs" in text

    def test_tasks_with_other_schedules_are_told_apart(self, run):
        (dataset,) = run.datasets.values()
        keys = ("binary/a", "rbp/b", "binary:fidelity=0.9/c", "binary:train_epochs=3/d")
        trainings = methods_text.trainings_of(
            dataclasses.replace(run, datasets=dict.fromkeys(keys, dataset))
        )
        assert [
            (training.tasks, training.schedule.epochs, training.strands) for training in trainings
        ] == [
            (["binary", "binary:fidelity=0.9"], 3, True),
            (["rbp"], 3, False),
            (["binary:train_epochs=3"], 9, True),
        ]

    def test_options_of_simulated_tasks_are_told(self):
        key = "binary:fidelity=0.9"
        run = type("Run", (), {"datasets": {f"{key}/simulated": None}, "study": {}})
        data = [type("Data", (), {"task": key, "source": methods_text.SIMULATION})]
        (task,) = methods_text.tasks_of(run, data)
        assert task.summary.endswith(
            "Options: channels none, fidelity 0.9, copies 2, co_factors 0, gc_shift 0.0."
        )

    def test_networks_are_counted_as_they_are_built(self):
        from priorbench.reports._shared.methods_text import _network

        form = NetworkShape(80, outputs=1)
        network = _network("three-conv", [form], "smoke")
        built = registry.build("architecture", "three-conv").build(form, "smoke")
        assert network.parameters == [sum(p.numel() for p in built.parameters())]
        assert "Conv1d(4, 8, kernel_size=(7,)" in network.layers
        assert network.citation == "Tseng, Shrikumar & Kundaje, NeurIPS 2020"

    def test_windows_too_short_for_a_network_leave_its_size_out(self):
        from priorbench.reports._shared.methods_text import _network

        assert _network("three-conv", [NetworkShape(10)], "smoke").parameters == []

    def test_epochs(self, run):
        assert methods_text.epochs_of(run) is None
        history = {"history": [{}] * 4, "best_epoch": 2}
        records = {k: {**r, **history} for k, r in run.records.items()}
        assert methods_text.epochs_of(dataclasses.replace(run, records=records)) == {
            "run": 4,
            "kept": 3,
        }


class TestAbout:
    TEXT = "What is asked.\n\nA loss. Simulated: a motif. The prior applies to\n``some``."

    def test_simulated(self):
        text = methods_text.task_text(self.TEXT, simulated=True)
        assert text == "What is asked. A loss. Simulated: a motif. The prior applies to some."

    def test_own_data(self):
        text = methods_text.task_text(self.TEXT, simulated=False)
        assert text == "What is asked. A loss. The prior applies to some."

    def test_a_text_that_is_all_about_simulation(self):
        text = "What is asked.\n\nNegatives hold one. The prior applies to positives."
        stated = methods_text.task_text(text, simulated=False)
        assert stated == "What is asked. The prior applies to positives."

    @pytest.mark.parametrize("name", registry.components("task"))
    def test_every_task_says_whom_the_prior_applies_to(self, name):
        run = type("Run", (), {"datasets": {f"{name}/x": None}, "study": {}})
        (task,) = methods_text.tasks_of(run, [])
        assert "The prior applies to" in task.summary
        assert "Simulated" not in task.summary


class TestEnvironment:
    def test_the_study_is_there_in_full(self, run):
        section = Environment().render(run)
        study = (run.root / "study.toml").read_text()
        assert study.strip() in html.unescape(str(section))
        assert f"priorbench run {run.root / 'study.toml'}" in words(section)

    def test_time_and_hosts(self, run):
        records = {k: {**r, "seconds": 360.0, "host": "a"} for k, r in run.records.items()}
        text = words(Environment().render(dataclasses.replace(run, records=records)))
        assert "1.4 h, on a" in text
