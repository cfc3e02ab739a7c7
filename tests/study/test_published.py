"""Published values of a study: what may be written, and what it changes."""

import tomllib

import pytest

from priorbench import UserError
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.keys.published import resolve_published
from priorbench.study.recorded_study import record_study, recorded_study
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, first_difference, identity_of, load_study, make_study

VALUE = {"metric": "motif-auprc", "mean": 0.8, "source": "a paper, table 2", "read": "printed"}
TOML = """
priors = ["fourier"]
tasks = ["binary"]

[[published]]
metric = "auroc"
mean = 0.77
sd = 0.0132
n = 10
source = '''a paper,
table 2'''
read = "printed"
prior = "fourier:softness=0.2"
task = "binary:motifs=1"
"""


def study(*values, **more):
    return make_study({"published": list(values), **more}, where="s.toml")


def test_a_file_gives_normal_specs_and_one_line(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(TOML.replace(":motifs=1", ""))
    (value,) = resolve(load_study(path), "cpu").published
    assert value.prior == "fourier"
    assert value.source == "a paper, table 2"
    assert (value.mean, value.sd, value.n, value.weight) == (0.77, 0.0132, 10, None)
    assert (value.task, value.architecture, value.attribution) == ("binary", "", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": "0.8"}, r"s.toml: published\[1\].mean = '0.8': give a number"),
        ({"mean": float("nan")}, r"published\[1\].mean = nan: give a finite number"),
        ({"sd": -0.1}, r"published\[1\].sd = -0.1: give a number that is at least 0"),
        ({"n": 0}, r"published\[1\].n = 0: give a number that is at least 1"),
        ({"n": 2.5}, r"published\[1\].n = 2.5: give a whole number"),
        ({"weight": -1.0}, r"published\[1\].weight = -1.0: give a number that is at least 0"),
        ({"source": ""}, r"published\[1\].source = '': is blank; give some words"),
        ({"read": " \n "}, r"published\[1\].read = .*: is blank; give some words"),
        ({"read": None}, r"published\[1\]"),
        ({"metrc": "auroc"}, r"published\[1\]: unknown key 'metrc'.*metric"),
    ],
)
def test_values_of_another_kind_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        study({**VALUE, **change})


@pytest.mark.parametrize("key", ["metric", "mean", "source", "read"])
def test_a_value_without_its_metric_mean_or_source_is_refused(key):
    with pytest.raises(UserError, match=rf"published\[1\]: key '{key}' is missing"):
        study({name: value for name, value in VALUE.items() if name != key})


def test_a_single_table_is_refused():
    with pytest.raises(UserError, match="published = a table: give a list"):
        make_study({"published": VALUE}, where="s.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "motif-auprk"}, "unknown metric 'motif-auprk'.*motif-auprc"),
        ({"prior": "furier"}, "unknown prior 'furier'"),
        ({"prior": "fourier:softnes=1"}, "softnes"),
        ({"task": "binry"}, "unknown task 'binry'"),
        ({"architecture": "three-con"}, "unknown architecture 'three-con'"),
        ({"attribution": "gradent"}, "gradent"),
        ({"metric": "auroc", "attribution": "gradient"}, "auroc is of no attribution"),
    ],
)
def test_unknown_names_are_refused_with_the_number_of_the_value(change, message):
    values = study(VALUE, {**VALUE, "dataset": "other", **change}).published
    with pytest.raises(UserError, match=rf"published\[2\]: .*{message}"):
        resolve_published(values, ["input-x-gradient"])


def test_a_value_may_be_given_once():
    values = study(VALUE, {**VALUE, "prior": "none", "mean": 0.7}).published
    with pytest.raises(UserError, match=r"published\[2\]: motif-auprc of this setting is given tw"):
        resolve_published(values, ["input-x-gradient"])
    others = study(VALUE, {**VALUE, "source": "another"}, {**VALUE, "weight": 0.1}).published
    assert len(resolve_published(others, ["input-x-gradient"])) == 3


def test_the_attribution_is_the_first_of_the_study_unless_it_is_named():
    values = study(VALUE, {**VALUE, "attribution": "gradient"}, {**VALUE, "metric": "auroc"})
    resolved = resolve_published(values.published, ["deep-lift-shap", "gradient"])
    assert [value.attribution for value in resolved] == ["deep-lift-shap", "gradient", ""]


def test_settings_that_are_not_of_the_study_may_be_named():
    other = {"task": "suboptimal", "architecture": "bpnet", "prior": "off-simplex:form=published"}
    (value,) = resolve(study({**VALUE, **other}), "cpu").published
    assert (value.task, value.architecture) == ("suboptimal", "bpnet")


def test_what_is_recorded_is_read_back(tmp_path):
    resolved = resolve(study(VALUE, {**VALUE, "metric": "auroc", "sd": 0.1, "n": 3}), "cpu")
    run = RunDirectory(tmp_path / "run")
    run.root.mkdir()
    record_study(run, resolved, {})
    assert recorded_study(run)["published"] == resolved.model_dump(mode="json")["published"]
    again = load_study(run.root / "study.toml")
    assert again.published == resolved.published
    assert "sd" not in tomllib.loads(again.to_toml())["published"][0]


def test_published_values_make_no_other_study():
    plain, held = (resolve(study(*values), "cpu") for values in ((), (VALUE,)))
    assert identity_of(plain) == identity_of(held)
    assert first_difference(plain.model_dump(mode="json"), held.model_dump(mode="json")) == ""
    assert Study().published == []
