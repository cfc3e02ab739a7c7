"""The architecture: who may import whom, how large folders may be, and what the wheel carries."""

import ast
import re
import tomllib
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from fixtures.places import DOCS, ENGINE, LONGEST_FIRST, ROOT, TESTS

from priorbench.storage import source_code
from priorbench.study import data_sources, trial

CONTENT = ("priors", "tasks", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FACADE = "priorbench"
"""the public names; priorbench/__init__.py"""
IMPORTS = (ast.Import, ast.ImportFrom)
MOST_MODULES = 12
MOST_AT_THE_ROOT = 8
MOST_LEVELS = 13


def dotted(path: Path) -> str:
    """Module name of a file, as it is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == FACADE else (FACADE, *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def engine_modules() -> dict[str, Path]:
    return {dotted(path): path for path in sorted(ENGINE.rglob("*.py"))}


def content_files() -> list[Path]:
    return [p for folder in CONTENT for p in sorted((ROOT / folder).rglob("*.py"))]


@cache
def public_names() -> dict[str, str]:
    """The module that each public name stands for, as the facade's stub says."""
    tree = ast.parse((ENGINE / "__init__.pyi").read_text())
    sources = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{FACADE}.{node.module}" for node in sources for alias in node.names}


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules that a file imports anywhere: lazily, and for types only, too; absolute names."""
    known = engine_modules()
    name = dotted(path)
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                modules.add(full if full in known or (source == FACADE and node.level) else source)
                if source == FACADE and alias.name in public_names():
                    modules.add(public_names()[alias.name])
    return frozenset(modules)


def direction() -> list[list[str]]:
    """The lines of docs/design.md that say what may import what: folders and root modules."""
    text = (DOCS / "design.md").read_text()
    block = re.search(r"<!-- import direction -->\s*```\n(.*?)```", text, re.DOTALL)
    assert block is not None, "docs/design.md lacks the block on the import direction"
    return [re.split(r"\s{2,}", line)[0].split(" | ") for line in block[1].splitlines() if line]


def line_of(module: str) -> int:
    """Number of the line on which the folder (or root module) of an engine module stands."""
    parts = module.split(".")[1:]
    places = ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    ranks = {place: number for number, line in enumerate(direction()) for place in line}
    for place in places:
        if place in ranks:
            return ranks[place]
    raise AssertionError(f"{module}: its folder is on no line of docs/design.md")


def place_of(module: str) -> str:
    """The entry of docs/design.md that an engine module belongs to."""
    parts = module.split(".")[1:]
    known = {place for line in direction() for place in line}
    return next(
        place for depth in range(len(parts), 0, -1) if (place := "/".join(parts[:depth])) in known
    )


def engine_arrows():
    """(importing module, imported module) within the engine, the public names aside."""
    known = engine_modules()
    for module, path in known.items():
        for target in imports(path) & set(known):
            if FACADE not in (module, target):
                yield module, target


def test_every_line_of_the_direction_names_what_exists():
    for place in (place for line in direction() for place in line):
        exists = (ENGINE / place / "__init__.py").exists() or (ENGINE / f"{place}.py").exists()
        assert exists, f"docs/design.md names {place}, which does not exist"


@pytest.mark.parametrize("module", [m for m in engine_modules() if m != FACADE])
def test_folders_import_only_what_stands_above_them(module):
    for target in imports(engine_modules()[module]):
        if target == FACADE:
            # the version; everything else of the engine is imported from where it is
            assert module.startswith(f"{FACADE}.cli") or module == f"{FACADE}.__main__", module
        elif target in engine_modules() and place_of(module) != place_of(target):
            assert line_of(target) < line_of(module), f"{module} imports {target}"


def test_the_public_names_are_those_of_low_folders():
    for target in imports(ENGINE / "__init__.pyi"):
        if target in engine_modules():
            assert line_of(target) < line_of("priorbench.training"), target


def test_no_circle_and_few_levels():
    places, modules = defaultdict(set), defaultdict(set)
    for module, target in engine_arrows():
        modules[module].add(target)
        # a folder is one room, with all that is below it
        one, other = (m.split(".")[1] for m in (module, target))
        if one != other:
            places[one].add(other)
    for graph in (places, modules):
        levels: dict[str, int] = {}

        def level(name, path=(), *, graph=graph, levels=levels):
            assert name not in path, f"a circle: {' -> '.join((*path, name))}"
            if name not in levels:
                below = (level(other, (*path, name)) for other in graph.get(name, ()))
                levels[name] = 1 + max(below, default=0)
            return levels[name]

        for name in list(graph):
            level(name)
        if graph is places:
            assert max(levels.values()) <= MOST_LEVELS, levels


def test_folders_are_small_and_say_what_belongs_there():
    shared = (ROOT / "reports" / "_shared").rglob("*.py")
    counts = Counter(path.parent for path in [*engine_modules().values(), *shared])
    assert counts.pop(ENGINE) <= MOST_AT_THE_ROOT
    for folder, count in counts.items():
        assert count <= MOST_MODULES, f"{folder}: {count} modules"
        words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert words, f"{folder}: its __init__.py does not say what belongs there"
        assert ";" in words.split(".")[0], f"{folder}: its __init__.py does not say what does not"


def test_reports_holds_sections_with_their_templates_and_nothing_else():
    modules, templates = (
        {path.stem for path in (ROOT / "reports").glob(f"*.{ending}")} for ending in ("py", "jinja")
    )
    assert modules - {"__init__"} == templates
    assert not [name for name in templates if name.startswith("_")]


@pytest.mark.parametrize("path", content_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_content_imports_the_engine_and_underscore_siblings_only(path):
    here = f"{FACADE}.{path.relative_to(ROOT).parts[0]}"
    for name in imports(path):
        if name == here or name.startswith(f"{here}."):
            sibling = name.removeprefix(here).lstrip(".").split(".")[0]
            assert sibling.startswith("_") or not sibling, f"{path}: {name}"
        assert not name.startswith(tuple(f"{FACADE}.{c}" for c in CONTENT if here[11:] != c)), name


@pytest.mark.parametrize("path", content_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_content_imports_no_more_of_the_engine_than_it_may(path):
    allowed = {
        "priors": ("components",),
        "tasks": ("components", "data", "evaluation.profile_scores"),
    }
    forbidden = ("cli", "execution", "backends", "authoring")
    folder = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        if not name.startswith(f"{FACADE}.") or name.split(".")[1] in CONTENT:
            continue
        inside = name.removeprefix(f"{FACADE}.")
        if folder in allowed:
            fits = inside == "errors" or inside.startswith(allowed[folder])
            assert fits, f"{path}: {name}"
        assert inside.split(".")[0] not in forbidden, f"{path}: {name}"


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=dotted)
def test_the_engine_imports_no_content(path):
    for name in imports(path):
        stripped = name.removeprefix(f"{FACADE}.")
        assert stripped.split(".")[0] not in CONTENT, f"{path}: {name}"


def test_every_package_on_disk_is_in_the_wheel():
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    folders = [ENGINE, *(ROOT / folder for folder in mapping.values())]
    packages = {dotted(init) for folder in folders for init in folder.rglob("__init__.py")}
    assert packages == set(PROJECT["tool"]["setuptools"]["packages"])


def test_data_files_are_in_the_wheel():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        above = next((name for name in mapping if f"{package}.".startswith(f"{name}.")), "")
        inside = package.removeprefix(above).lstrip(".").replace(".", "/")
        folder = ROOT / mapping.get(above, "") / inside
        covered = {p for pattern in data.get(package, []) for p in folder.glob(pattern)}
        # folders of data are no packages
        plain = [d for d in folder.iterdir() if d.is_dir() and not (d / "__init__.py").exists()]
        files = [p for d in [folder, *plain] if d.name != "__pycache__" for p in d.iterdir()]
        others = {p for p in files if p.is_file() and p.suffix != ".py"}
        assert others == covered, package


def reached(*start: str) -> set[str]:
    """Engine modules that some modules import, directly or not, as paths below the engine."""
    known = engine_modules()
    todo, seen = [f"{FACADE}.{name}" for name in start], set()
    while todo:
        module = todo.pop()
        if module in known and module not in seen and module != FACADE:
            seen.add(module)
            todo += imports(known[module])
    return {str(known[module].relative_to(ENGINE)) for module in seen}


def files_in(places) -> set[str]:
    return {str(path.relative_to(ENGINE)) for path in source_code.engine_files(*places)}


# What a training imports and what yet does not change what it computes: finding components,
# storing, scoring, which of several GPUs a trial is on, with whom it is trained at once; what is
# measured of a trained model, which has versions of its own (evaluation/scoring.py); what makes
# datasets, whose contents are hashed with a trial; and the networks, whose own file is.
# A folder ends in a slash.
NOT_DECIDING_TRIALS = (
    "architectures/",
    "attribution/differentiable.py",
    "attribution/explainers/",
    "attribution/variant_effects.py",
    "components/metric.py",
    "components/registry.py",
    "components/section.py",
    "storage/source_code.py",
    "components/specs.py",
    "data/dataset_writer.py",
    "data/doubts/",
    "data/formats/",
    "data/instances.py",
    "data/mean_profile.py",
    "data/readers/",
    "data/sequence_hashes.py",
    "data/simulated_examples.py",
    "data/simulation.py",
    "data/variants.py",
    "errors.py",
    "inputs.py",
    "evaluation/first_filters.py",
    "evaluation/hypothetical.py",
    "evaluation/measure.py",
    "evaluation/model_probe.py",
    "evaluation/modisco.py",
    "evaluation/scoring.py",
    "execution/devices.py",
    "execution/ensemble_groups.py",
    "machine/",
    "metrics/",
    "statistics/agreement.py",
    "storage/",
    "study/keys/",
    "study/study.py",
    "study/trial.py",
    "study/tuning_rule.py",
)


def belongs_to(path: str, place: str) -> bool:
    """Whether a module is the one that is named, or in the folder that is named."""
    return path.startswith(place) if place.endswith("/") else path == place


def training_reaches() -> set[str]:
    """What a training and its components import, directly or not, less what is empty."""
    components = [p for p in content_files() if p.relative_to(ROOT).parts[0] in ("priors", "tasks")]
    components += (ENGINE / "architectures").glob("*.py")
    used = {name for path in components for name in imports(path) if name in engine_modules()}
    starts = {name.removeprefix(f"{FACADE}.") for name in used - {FACADE}}
    paths = reached("execution.run_ensemble", "components.prior_bases", *starts)
    return {path for path in paths if not path.endswith("__init__.py")}


def deciding_trials() -> set[str]:
    return {
        path
        for path in training_reaches()
        if not any(belongs_to(path, place) for place in NOT_DECIDING_TRIALS)
    }


def test_every_exception_from_trial_ids_is_one():
    reaches = training_reaches()
    for place in NOT_DECIDING_TRIALS:
        assert any(belongs_to(path, place) for path in reaches), place


def test_trial_ids_depend_on_every_module_that_decides_a_result():
    listed = {path for path in files_in(trial.DECIDES_TRIALS) if not path.endswith("__init__.py")}
    assert listed == deciding_trials()


@pytest.fixture
def copied_engine(tmp_path, monkeypatch) -> Path:
    """A copy of the engine's source, of which hashes are made instead."""
    copy = tmp_path / "priorbench"
    for path in ENGINE.rglob("*.py"):
        to = copy / path.relative_to(ENGINE)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    monkeypatch.setattr(source_code, "PACKAGE", copy)
    return copy


def changing(root: Path, digest) -> set[str]:
    """The modules of a copied engine whose edit changes a hash."""
    before, changed = digest(), set()
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        path.write_bytes(source + b"\n_edited = 1\n")
        if digest() != before:
            changed.add(str(path.relative_to(root)))
        path.write_bytes(source)
    assert digest() == before
    return {name for name in changed if not name.endswith("__init__.py")}


def test_an_edit_changes_trial_ids_where_it_changes_results_and_nowhere_else(copied_engine):
    deciding = deciding_trials()
    assert len(deciding) > 15
    assert changing(copied_engine, trial.engine_digest.__wrapped__) == deciding


def test_an_edit_encodes_data_anew_where_it_reads_or_simulates_them_and_nowhere_else(copied_engine):
    tasks = [path for path in content_files() if path.relative_to(ROOT).parts[0] == "tasks"]
    used = {name for path in tasks for name in imports(path)}
    # a dataset that is written is opened by data/dataset.py, which changes nothing in it
    inside = [n.removeprefix(f"{FACADE}.") for n in used if n.startswith(f"{FACADE}.data.")]
    starts = [name for name in inside if name != "data.dataset"]
    starts += ["data.doubts.written_data", "data.smoke_sample"]
    starts += ["data.readers.sequences.variant_table"]
    deciding = reached(*starts, "data.dataset_writer", "seeds")
    deciding -= {"errors.py", "inputs.py", "machine/caches.py"}
    # how a file reaches the disk changes nothing in it
    deciding = {path for path in deciding if not path.startswith("storage/")}
    deciding = {path for path in deciding if not path.endswith("__init__.py")}
    assert len(deciding) > 15

    def digest() -> str:
        return source_code.code_hash(*data_sources.DECIDES_DATA)

    assert changing(copied_engine, digest) == deciding


def test_a_module_that_moved_cannot_fall_out_of_a_hash(copied_engine):
    (copied_engine / "seeds.py").rename(copied_engine / "randomness.py")
    with pytest.raises(FileNotFoundError, match=r"seeds\.py: no module of the engine"):
        trial.engine_digest.__wrapped__()


def test_content_has_no_global_random_state():
    for path in [*content_files(), *ENGINE.rglob("*.py")]:
        text = path.read_text()
        for call in ("np.random.seed", "np.random.rand", "random.random()", "torch.rand("):
            assert call not in text, f"{path}: {call}"


def test_nothing_is_unpickled():
    safe = 'torch.load(path, map_location="cpu", weights_only=True)'  # tensors, and no code
    for path in [*content_files(), *ENGINE.rglob("*.py")]:
        text = path.read_text().replace(safe, "")
        for call in ("pickle.load", "torch.load", "allow_pickle=True", "joblib.load"):
            assert call not in text, f"{path}: {call}"


def test_no_test_imports_another():
    files = list(TESTS.rglob("test_*.py"))
    names = {path.stem for path in files}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, IMPORTS):
                continue
            modules = [alias.name for alias in node.names]
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            parts = {part for module in modules for part in module.split(".")}
            assert not parts & names, f"{path}: line {node.lineno}"


def test_the_longest_tests_are_there():
    assert [name for name in LONGEST_FIRST if not (TESTS / name).exists()] == []


def test_no_two_classes_share_a_name():
    names = defaultdict(set)
    files = [*content_files(), *ENGINE.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names[node.name].add(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not {name: places for name, places in names.items() if len(places) > 1}
