"""What `priorbench new` writes passes the checks of the tree that it is written into."""

import keyword
import re
import shutil
import subprocess
import sys

import pytest
from fixtures.places import ROOT

from priorbench import UserError
from priorbench.authoring import templates
from priorbench.authoring.component_checks import check_component
from priorbench.authoring.templates import write_new
from priorbench.cli.app import execute_command
from priorbench.components import registry

pytestmark = pytest.mark.slow

FOLDERS = {
    "prior": "priors",
    "task": "tasks",
    "architecture": "priorbench/architectures",
    "metric": ".",
}
"""folders that docs/contributing says to write into"""
LONGEST = "a" * 30 + "-" + "b" * 9
NAMED = (
    "tests/architectures",
    "tests/authoring/test_architecture_checks.py",
    "tests/tasks/test_tasks.py",
    "tests/test_language.py",
    "tests/test_structure.py",
)
"""tests that docs/contributing and the gate name, those aside that run `priorbench check`"""
CHOSEN = (
    "aaab or aaa_b or aaa-b or folders_are_small or no_two_classes"
    " or every_module_that_decides or global_random"
)
IN_THE_COPY = """
import sys
sys.path.insert(0, ".")
import priorbench
assert not priorbench.__file__.startswith(sys.argv[1]), priorbench.__file__
priorbench.__path__.append(".")  # where its priors, tasks and reports are
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.fixture
def tree(tmp_path):
    """A copy of the source."""
    copy = tmp_path / "tree"
    for folder in ("priorbench", "priors", "tasks", "reports", "benchmarks", "tests"):
        shutil.copytree(ROOT / folder, copy / folder)  # with what Python compiled, to start soon
    for name in ("pyproject.toml", "docs/design.md"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.mark.parametrize("name", ["x", "my-own", "residual-network", LONGEST])
def test_templates_are_formatted_whatever_their_name(name, tmp_path):
    pytest.importorskip("ruff")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for kind, folder in FOLDERS.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write_new(kind, f"{kind[0]}{name[1:]}", tmp_path / folder)
    for arguments in (("check",), ("format", "--check")):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_templates_pass_the_tests_of_the_tree(tree):
    for kind, folder in FOLDERS.items():
        write_new(kind, f"{kind}-{'a' * 20}-b", tree / folder)
    arguments = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-k", CHOSEN, *NAMED]
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_COPY, str(ROOT), *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", FOLDERS)
def test_words_of_python_are_no_names(kind, tmp_path):
    for name in [*keyword.kwlist, "true", "false", "class"]:
        with pytest.raises(UserError, match="choose another name"):
            write_new(kind, name, tmp_path)
    with pytest.raises(UserError, match="at most 40"):
        write_new(kind, f"{LONGEST}b", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_name_that_occurs_in_the_template_is_refused_or_works(kind, tmp_path):
    text = (templates._TEMPLATES / f"{kind}.txt").read_text()
    refused = []
    for name in sorted(set(re.findall(r"(?<!\$)\b[A-Za-z]\w*[A-Za-z0-9]\b", text))):
        try:
            path = write_new(kind, name, tmp_path)
        except UserError:
            refused.append(name)
            continue
        if kind == "metric":
            assert "failed" not in {result.outcome for result in check_component(str(path)).results}
        else:
            registry.import_file(path)
    wanted = {"metric": {"np", "float", "METRIC", "MOTIF"}}
    assert wanted.get(kind, {"ClassVar"}) <= set(refused)


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lambda", "np", "print"):
        with pytest.raises(UserError, match=f"{name!r}.*; choose another name"):
            execute_command(["new", "metric", name])
