"""Completion by the shell, through the program's own way of ending."""

import os
import subprocess
import sys

import pytest

from priorbench.cli.look_up.completion import metric_names
from priorbench.metrics import METRICS

PROGRAM = (
    "import sys; sys.argv[0] = 'priorbench'\n"
    "from priorbench.cli.app import main\n"
    "try:\n    main()\n"
    "finally:\n    assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)"
)


def program(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "completed", "others"),
    [
        ("priorbench ru", ["run", "runs"], ["show"]),
        ("priorbench run --pri", ["--priors"], ["--tasks"]),
        ("priorbench run --priors fo", ["fourier"], ["tv", "binary"]),
        ("priorbench run --priors fourier,t", ["fourier,tv"], ["tv"]),
        ("priorbench run --priors fourier,f", [], ["fourier,fourier"]),
        ("priorbench run --tasks b", ["binary"], ["fourier"]),
        ("priorbench run short", ["short-motif"], ["binary"]),
        ("priorbench run --architectures bp", ["bpnet"], []),
        ("priorbench run --scale st", ["standard"], []),
        ("priorbench score DIR --attributions deep", ["deep-lift-shap"], []),
        ("priorbench compare DIR --metric motif-au", ["motif-auprc", "motif-auroc"], ["auroc"]),
        ("priorbench show tra", ["train-against-eval"], ["binary"]),
        ("priorbench show seed-cos", ["seed-cosine", "seed-cosine-corrected"], []),
        ("priorbench list m", ["metrics"], ["studies"]),
    ],
)
def test_bash_completes_names_without_torch(words, completed, others):
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = program(_PRIORBENCH_COMPLETE="complete_bash", **variables)
    assert done.returncode == 0
    assert done.stderr == ""
    offered = done.stdout.split("\n")
    assert set(completed) <= set(offered)
    assert not set(others) & set(offered)


def test_the_script_for_the_shell_can_be_shown():
    done = program("--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="")
    assert "Traceback" not in done.stderr
    script = program(_PRIORBENCH_COMPLETE="source_bash")
    assert script.returncode == 0
    assert "complete_bash" in script.stdout


def test_all_metrics_are_completed():
    assert sorted(metric_names()) == sorted(METRICS)
