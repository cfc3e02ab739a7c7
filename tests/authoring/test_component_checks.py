"""Every task and metric keeps its contract, broken ones are told, and what `new` writes passes."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from fixtures.runs import run_smoke

from priorbench import Metric, UserError
from priorbench.authoring import metric_checks, task_checks
from priorbench.authoring.check_tools import run_check
from priorbench.authoring.component_checks import check_component
from priorbench.authoring.templates import write_new
from priorbench.cli.app import execute_command
from priorbench.components import registry
from priorbench.metrics import METRICS
from priorbench.tasks.binary import Binary

# each of them is trained in tests/tasks
TASK_CHECKS = [check for check in task_checks.CHECKS if check is not task_checks.can_be_learnt]
KINDS = ("prior", "task", "architecture", "metric")


def outcomes(text):
    return {result.check: result for result in check_component(text).results}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_conforms(name):
    checked = check_component(name)
    assert checked.kind == "metric"
    assert "failed" not in {result.outcome for result in checked.results}


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.components("task"))
def test_every_task_conforms(name, tmp_path):
    subject = task_checks.TaskSubject(name, tmp_path)
    results = {check.__name__: run_check(check, subject) for check in TASK_CHECKS}
    kept = {"passed"} if name != "motif-grammar" else {"passed", "not applicable"}
    assert {result.outcome for result in results.values()} == kept


@pytest.mark.parametrize("kind", KINDS)
def test_what_new_writes_passes_its_checks(kind, tmp_path):
    path = write_new(kind, "my-own", tmp_path)
    checked = check_component(str(path))
    assert (checked.kind, checked.name) == (kind, "my-own")
    results = {result.check: result.outcome for result in checked.results}
    assert "failed" not in results.values()
    assert kind == "prior" or "not applicable" not in results.values()


def test_a_task_and_a_network_of_ones_own_are_trained(tmp_path):
    task, network = (write_new(k, f"own-{k}", tmp_path) for k in ("task", "architecture"))
    plugins = ["--plugin", str(task), "--plugin", str(network)]
    chosen = ["--tasks", "own-task", "--architectures", "own-architecture:batch_norm=false"]
    arguments = [*plugins, *chosen, "--priors", "l1", "--seeds", "1"]
    assert run_smoke(tmp_path / "run", *arguments) == 0
    text = (tmp_path / "run" / "results.csv").read_text()
    assert "own-task,simulated,own-architecture:batch_norm=false,l1" in text


def test_a_metric_is_no_plug_in_and_several_are_not_checked(tmp_path):
    path = write_new("metric", "mine", tmp_path)
    with pytest.raises(UserError, match="defines a metric, which `priorbench check` takes"):
        registry.add_plugin(path)
    path.write_text(path.read_text() + "\nANOTHER = METRIC.__class__(**vars(METRIC))\n")
    with pytest.raises(UserError, match="defines several metrics"):
        check_component(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_every_kind_are_taken(kind, tmp_path):
    for name in ("fourier", "binary", "bpnet", "auroc"):
        with pytest.raises(UserError, match="exists already"):
            write_new(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="did you mean"):
        check_component("motif-auprk")


def test_the_command_says_what_failed(tmp_path, capsys):
    path = write_new("metric", "mine", tmp_path)
    path.write_text(path.read_text().replace("float(((size", "-float(((size"))
    assert execute_command(["check", str(path)]) == 1
    output = capsys.readouterr()
    assert "FAILED" in output.out
    assert "mine: 1 of 8 checks failed" in output.err
    assert execute_command(["check", "auroc", "--json"]) == 0
    assert '"metric": "auroc"' in capsys.readouterr().out


def broken(function, **fields):
    function.__doc__ = "A formula."
    about = {"name": "mine", "axis": "localisation", "unit": "", "higher_is_better": True}
    about |= {"summary": "for a test", "scope": "trial", "function": function} | fields
    return Metric(**about)


def changing(arrays):
    arrays.attribution[0] += 1
    return 0.0


BROKEN_METRICS = {
    "describes_itself": broken(lambda arrays: 0.0, axis="beauty"),
    "gives_a_number": broken(lambda arrays: float("inf")),
    "works_without_truth": broken(lambda arrays: float(arrays.truth.sum())),
    "leaves_arrays_alone": broken(changing),
    "ignores_scale": broken(lambda arrays: float(np.abs(arrays.attribution).sum())),
    "ignores_strand": broken(lambda arrays: float(np.abs(arrays.attribution).argmax())),
    "ignores_order": broken(lambda arrays: float(arrays.label[0]), axis="prediction"),
    "prefers_what_is_better": broken(lambda arrays: float(arrays.label.mean())),
}


def test_every_check_of_metrics_has_a_metric_that_fails_it():
    assert list(BROKEN_METRICS) == [check.__name__ for check in metric_checks.CHECKS]


@pytest.mark.parametrize("check", metric_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_broken_metric_is_told(check):
    assert run_check(check, BROKEN_METRICS[check.__name__]).outcome == "failed"


class NoSummary(Binary):
    summary: ClassVar[str] = ""


class OwnSeed(Binary):
    def draw(self, count, length, generator):
        other = np.random.default_rng(np.random.randint(1 << 30))  # noqa: NPY002
        return super().draw(count, length, other)


class NothingAttributed(Binary):
    def positive(self, labels):
        return np.zeros(len(labels), dtype=bool)


class WrongTruth(Binary):
    def draw(self, count, length, generator):
        drawn = super().draw(count, length, generator)
        codes = np.roll(drawn.planted.codes, 30, axis=1)
        return dataclasses.replace(drawn, planted=dataclasses.replace(drawn.planted, codes=codes))


class OneLoss(Binary):
    def prediction_loss(self, output, batch):
        return super().prediction_loss(output, batch).mean()


class Constant(Binary):
    def target(self, output):
        return 0 * output[:, 0]


class NoFloor(Binary):
    def chance(self, dataset):
        return {}


class NothingToLearn(Binary):
    def prediction_loss(self, output, batch):
        return 0 * output[:, 0] + 1


BROKEN_TASKS = {
    "describes_itself": NoSummary,
    "draws_from_its_generator": OwnSeed,
    "fills_every_split": NothingAttributed,
    "knows_its_motifs": WrongTruth,
    "has_a_row_for_each_example": OneLoss,
    "attributes_the_sequence": Constant,
    "has_a_floor": NoFloor,
    "can_be_learnt": NothingToLearn,
}


@pytest.mark.parametrize("check", task_checks.CHECKS, ids=lambda check: check.__name__)
def test_a_broken_task_is_told(check, tmp_path):
    subject = task_checks.TaskSubject("binary", tmp_path)
    subject.task = dataclass(frozen=True)(BROKEN_TASKS[check.__name__])()
    result = run_check(check, subject)
    assert result.outcome == "failed", result
