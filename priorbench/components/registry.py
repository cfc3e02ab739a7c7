"""Finds components: one file each, in packages named by entry points, or in plug-in files.

Listing reads source files without importing them, so that it needs no torch.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from priorbench.errors import UserError, unknown
from priorbench.inputs import problem_of_file
from priorbench.storage.source_code import class_texts

from . import specs
from .architecture import Architecture
from .composition import Composition, Summand
from .hooks import HOOKS
from .metric import Metric
from .prior import Prior, hooks_of
from .section import Section
from .task import Task

CONTRACTS: dict[str, type] = {
    "prior": Prior,
    "task": Task,
    "architecture": Architecture,
    "report": Section,
}
PLUGIN_KINDS = ("prior", "task", "architecture")
"""kinds of components that a plug-in file may define"""


@dataclass(frozen=True)
class FoundComponent:
    """A component whose file was found, but not imported.

    Attributes:
        name: the file's name with hyphens.
        module: dotted name of the module, or the made-up name of a plug-in file.
        path: its source file.
        plugin: whether it came from ``--plugin``.
    """

    name: str
    module: str
    path: Path
    plugin: bool = False


_plugins: dict[str, dict[str, FoundComponent]] = {kind: {} for kind in CONTRACTS}


def components(kind: str) -> dict[str, FoundComponent]:
    """Return every component of a kind in CONTRACTS by name, plug-ins included, sorted by name."""
    return dict(sorted({**_installed(kind), **_plugins[kind]}.items()))


@cache
def _installed(kind: str) -> dict[str, FoundComponent]:
    installed: dict[str, FoundComponent] = {}
    for entry in importlib.metadata.entry_points(group=f"priorbench.{kind}s"):
        spec = importlib.util.find_spec(entry.value)
        if spec is None or spec.submodule_search_locations is None:
            raise UserError(
                f"entry point {entry.name!r} of group {entry.group!r}: {entry.value!r} is not "
                "a package; fix or uninstall the distribution that declares it"
            )
        for location in spec.submodule_search_locations:
            for module in pkgutil.iter_modules([location]):
                if module.name.startswith("_"):
                    continue
                name, path = _name(module.name), Path(location) / f"{module.name}.py"
                if name in installed:
                    raise UserError(
                        f"{kind} {name!r} is installed twice: {installed[name].path} and {path}; "
                        "uninstall one"
                    )
                installed[name] = FoundComponent(name, f"{entry.value}.{module.name}", path)
    return installed


def _name(stem: str) -> str:
    return stem.replace("_", "-")


def describe(component: FoundComponent) -> dict[str, str]:
    """Return the literal ``summary`` and ``citation`` of a component, without importing it."""
    texts = {"summary": "", "citation": ""}
    for of_class in class_texts(component.path).values():
        texts |= of_class
    return texts


def load(kind: str, name: str) -> type[Any]:
    """Return the class of a component.

    Raises:
        UserError: if the name is unknown, with a did-you-mean, or its file defines no component,
            several, or one with options that a spec cannot give.
    """
    known = components(kind)
    if name not in known:
        raise unknown(kind, name, known)
    module = sys.modules.get(known[name].module) or importlib.import_module(known[name].module)
    classes = _defined(module, [kind])
    if len(classes) != 1:
        raise UserError(
            f"{known[name].path}: defines {len(classes)} classes of contract "
            f"{CONTRACTS[kind].__name__}, wanted exactly one"
        )
    cls = classes[0][1]
    if dataclasses.is_dataclass(cls):
        try:
            specs.check_options(cls)
        except UserError as error:
            raise UserError(f"{known[name].path}: {error}") from None
    return cls


def _defined(module: ModuleType, kinds: Iterable[str]) -> list[tuple[str, type]]:
    """Return the components that a module itself defines: kind and class."""
    return [
        (kind, value)
        for kind in kinds
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CONTRACTS[kind])
        and value.__module__ == module.__name__
    ]


def build(kind: str, spec: str) -> Any:
    """Return an instance of a component of a kind in CONTRACTS; priors may be composed.

    Raises:
        UserError: if a name or option is unknown, with a did-you-mean.
    """
    return load_prior(spec) if kind == "prior" else _build_single(kind, spec)


def load_prior(spec: str) -> Prior:
    """Return a prior for use in any training loop.

    A spec is ``fourier``, with options ``fourier:softness=0.3``, or several priors at once, with or
    without their weights, ``fourier=1+weight-l2=1e-5``. One prior with its weight, ``fourier=1``,
    is a composition too, so that several weights of a prior can be compared.

    Raises:
        UserError: if a name or option is unknown, with a did-you-mean, or a composition makes no
            sense.
    """
    written = specs.split_composition(spec)
    text, weight = written[0]
    if len(written) > 1 or weight is not None:
        return _compose(spec, written)
    prior: Prior = _build_single("prior", text)
    return prior


def _compose(spec: str, written: Sequence[tuple[str, float | None]]) -> Composition:
    summands: list[Summand] = []
    for text, weight in written:
        prior: Prior = _build_single("prior", text)
        normal = normal_spec("prior", text)
        if not prior.acts:
            raise UserError(f"{spec!r}: {normal!r} adds nothing to a composition; leave it out")
        if normal in [summand.spec for summand in summands]:
            raise UserError(f"{spec!r}: {normal!r} occurs twice")
        try:
            if weight is not None:
                prior.check_weight(weight)
        except UserError as error:
            raise UserError(f"{spec!r}: {normal!r}: {error}") from None
        summands.append(Summand(normal, prior, weight))
    return Composition(tuple(summands))


def _build_single(kind: str, spec: str) -> Any:
    return specs.build(kind, load(kind, specs.name_of(spec)), spec)


def normal_spec(kind: str, spec: str) -> str:
    """Return the shortest spec that builds the same: options at their default are left out."""
    component = build(kind, spec)
    if not isinstance(component, Composition):
        return specs.normalise(specs.name_of(spec), component)
    return "+".join(
        part.spec if part.weight is None else f"{part.spec}={specs.number(part.weight)}"
        for part in component.summands
    )


def data_spec(task: str) -> str:
    """Return the normal spec of a task without the options that do not decide its data."""
    return specs.without(normal_spec("task", task), specs.TRAINING_OPTIONS)


def names_in(kind: str, spec: str) -> list[str]:
    """Return the names of the components in a spec: several for composed priors."""
    written = specs.split_composition(spec) if kind == "prior" else [(spec, None)]
    return [specs.name_of(text) for text, _ in written]


def prior_facts(spec: str) -> dict[str, Any]:
    """Return what a run records of a prior: summary, citation, cut in bp and options.

    The texts of a composition's priors are joined; it has the options of none of them.
    """
    prior = load_prior(spec)
    known = components("prior")
    texts = [describe(known[name]) for name in names_in("prior", spec)]
    options = {} if isinstance(prior, Composition) else dataclasses.asdict(prior)
    joined = {key: "; ".join(filter(None, (text[key] for text in texts))) for key in texts[0]}
    return {**joined, "cut": prior.cut, "options": options}


def add_plugin(path: Path) -> FoundComponent:
    """Register the one prior, task or architecture that a file defines, under the file's name.

    Raises:
        UserError: if the file is missing, does not import, or defines none or several.
    """
    path = path.resolve()
    problem = problem_of_file(path)
    if problem:
        raise UserError(f"plug-in {path}: {problem}")
    name = _name(path.stem)
    if any(letter in name for letter in "+:=, "):
        raise UserError(
            f"plug-in {path}: {name!r} cannot be written in a list of priors; name the file with "
            "letters, digits and underscores"
        )
    for kind in PLUGIN_KINDS:
        known = components(kind).get(name)
        if known is not None and known.path == path:
            return known
        if known is not None:
            raise UserError(f"plug-in {path}: {kind} {name!r} exists already; rename the file")
    module = import_file(path)
    try:
        kind = _kind_defined(module)
    except UserError as error:
        sys.modules.pop(module.__name__, None)
        raise UserError(f"plug-in {path}: {error}") from None
    component = FoundComponent(name, module.__name__, path, plugin=True)
    _plugins[kind][name] = component
    return component


def import_file(path: Path) -> ModuleType:
    """Import a file of the user's as a module of a made-up name.

    Raises:
        UserError: if it is no Python file, or does not import; the message is one line.
    """
    name = f"priorbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in {path}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # whatever a user's file raises while it is imported is theirs to mend
        sys.modules.pop(name, None)
        if isinstance(error, SyntaxError):
            line = f", line {error.lineno}" if error.lineno else ""
            raise UserError(f"plug-in {path}{line}: {error.msg}; write Python, in UTF-8") from error
        raise UserError(f"plug-in {path}: {type(error).__name__}: {error}") from error
    return module


def _kind_defined(module: ModuleType) -> str:
    """Return the kind of the one component that a plug-in defines, if it can be used."""
    classes = _defined(module, PLUGIN_KINDS)
    if not classes and any(isinstance(value, Metric) for value in vars(module).values()):
        raise UserError(
            "defines a metric, which `priorbench check` takes; runs compute those of the program"
        )
    if len(classes) != 1:
        names = ", ".join(cls.__name__ for _, cls in classes) or "none"
        raise UserError(
            "must define exactly one subclass of priorbench.Prior (or of priorbench.Task, or of "
            f"priorbench.Architecture), found {names}"
        )
    kind, cls = classes[0]
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise UserError(f"{cls.__name__} lacks {missing}")
    if issubclass(cls, Prior) and not hooks_of(cls):
        raise UserError(
            f"{cls.__name__} overrides none of {', '.join(HOOKS)}, so it would do nothing"
        )
    if dataclasses.is_dataclass(cls):
        specs.check_options(cls)
    return kind


def use_plugins(paths: Iterable[Path]) -> None:
    """Register these plug-in files and no others, as they are now.

    Raises:
        UserError: if one of them cannot be used, as in :func:`add_plugin`.
    """
    forget_plugins()
    for path in paths:
        add_plugin(path)


def forget_plugins() -> None:
    """Remove every plug-in from the registry."""
    for plugins in _plugins.values():
        for component in plugins.values():
            sys.modules.pop(component.module, None)
        plugins.clear()


def reports_package() -> ModuleType:
    """Return ``priorbench.reports``.

    Raises:
        UserError: if priorbench is not installed.
    """
    for entry in importlib.metadata.entry_points(group="priorbench.reports", name="builtin"):
        package: ModuleType = entry.load()
        return package
    raise UserError("priorbench is not installed; `pip install .` in its folder")
