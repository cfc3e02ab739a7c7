"""The architecture: who may import whom, and what the wheel carries."""

import ast
import tomllib
from pathlib import Path

import pytest

from priorbench import plan, trial

ROOT = Path(__file__).parent.parent
CONTENT = ("priors", "tasks", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imports(path: Path) -> set[str]:
    """Dotted names of what a file imports; relative ones with their dots."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {base} if node.module else {base + alias.name for alias in node.names}
    return found


def content_files():
    return [p for folder in CONTENT for p in sorted((ROOT / folder).glob("*.py"))]


@pytest.mark.parametrize("path", content_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_content_imports_the_engine_and_underscore_siblings_only(path):
    for name in imports(path):
        assert not name.startswith(".."), f"{path}: {name}"
        if name.startswith("."):
            assert name.startswith("._"), f"{path}: {name}"
        assert not name.startswith(tuple(f"priorbench.{c}" for c in CONTENT)), f"{path}: {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "priorbench").rglob("*.py")), ids=lambda p: p.stem)
def test_the_engine_imports_no_content(path):
    for name in imports(path):
        stripped = name.lstrip(".").removeprefix("priorbench.")
        assert stripped.split(".")[0] not in CONTENT, f"{path}: {name}"


def test_every_package_on_disk_is_in_the_wheel():
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    folders = [ROOT / "priorbench", *(ROOT / folder for folder in mapping.values())]
    found = set()
    for folder in folders:
        for init in folder.rglob("__init__.py"):
            relative = init.parent.relative_to(ROOT)
            dotted = ".".join(relative.parts)
            found.add(dotted if dotted.startswith("priorbench") else f"priorbench.{dotted}")
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_data_files_are_in_the_wheel():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT / mapping.get(package, package.replace(".", "/"))
        covered = {p for pattern in data.get(package, []) for p in folder.glob(pattern)}
        # folders of data are no packages
        plain = [d for d in folder.iterdir() if d.is_dir() and not (d / "__init__.py").exists()]
        inside = [p for d in [folder, *plain] if d.name != "__pycache__" for p in d.iterdir()]
        others = {p for p in inside if p.is_file() and p.suffix != ".py"}
        assert others == covered, package


def reached(start: set[str]) -> set[str]:
    """Engine modules that some modules import, directly or not."""
    todo, found = list(start), set()
    while todo:
        name = todo.pop()
        path = ROOT / "priorbench" / f"{name}.py"
        if name in found or not path.exists():
            continue
        found.add(name)
        todo += [i.lstrip(".").removeprefix("priorbench.").split(".")[0] for i in imports(path)]
        todo += [i.lstrip(".") for i in imports(path)]
    return found


def test_trial_ids_depend_on_every_module_that_decides_a_result():
    # finding components, storing and scoring do not change what a training computes
    no_influence = {"errors", "registry", "specs", "store", "scoring", "trial", "datafile"}
    # nor does which of several GPUs a trial is on, or with whom it is trained at once
    no_influence |= {"__init__", "metrics", "priorbench", "study", "tuning", "devices", "grouping"}
    # what is measured of a trained model has versions of its own (scoring.probes_digest)
    no_influence |= {"measuring", "explainers", "probes", "discovery"}
    assert reached({"worker_ensemble", "penalties"}) - no_influence == set(trial.DECIDING_MODULES)


def test_datasets_depend_on_every_module_that_reads_or_simulates():
    no_influence = {
        "errors",
        "attributions",
        "batch_norm",
        "chain",
        "composition",
        "fused",
        "layers",
        "penalties",
        "streams",
        "trees",
        "contracts",
        "priorbench",
    }
    found = reached({"classification", "labelled", "profiles", "simulation", "seeds"})
    assert found - no_influence == set(plan.DATA_MODULES)


def test_content_has_no_global_random_state():
    for path in [*content_files(), *(ROOT / "priorbench").rglob("*.py")]:
        text = path.read_text()
        for call in ("np.random.seed", "np.random.rand", "random.random()", "torch.rand("):
            assert call not in text, f"{path}: {call}"


def test_nothing_is_unpickled():
    for path in [*content_files(), *(ROOT / "priorbench").rglob("*.py")]:
        text = path.read_text()
        for call in ("pickle.load", "torch.load", "allow_pickle=True", "joblib.load"):
            assert call not in text, f"{path}: {call}"
