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
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from priorbench.errors import UserError, unknown

from . import composition, specs
from .architecture import Architecture
from .prior import HOOKS, Prior
from .section import Section
from .source_code import class_texts
from .task import Task

CONTRACTS: dict[str, type] = {
    "prior": Prior,
    "task": Task,
    "architecture": Architecture,
    "report": Section,
}
_PLUGIN_KINDS = ("prior", "task")


@dataclass(frozen=True)
class FoundComponent:
    """A component that was found, not yet imported.

    Attributes:
        name: the file's name with hyphens.
        module: dotted module name, or the made-up one of a plug-in file.
        path: its source file.
        plugin: whether it came from ``--plugin``.
    """

    name: str
    module: str
    path: Path
    plugin: bool = False


_plugins: dict[str, dict[str, FoundComponent]] = {kind: {} for kind in CONTRACTS}


def _name(stem: str) -> str:
    return stem.replace("_", "-")


@cache
def _installed(kind: str) -> dict[str, FoundComponent]:
    found: dict[str, FoundComponent] = {}
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
                name = _name(module.name)
                if name in found:
                    raise UserError(
                        f"{kind} {name!r} is installed twice: {found[name].path} and "
                        f"{Path(location) / module.name}.py; uninstall one"
                    )
                path = Path(location) / f"{module.name}.py"
                found[name] = FoundComponent(name, f"{entry.value}.{module.name}", path)
    return found


def components(kind: str) -> dict[str, FoundComponent]:
    """Every component of a kind by name, plug-ins included, sorted by name.

    Args:
        kind: ``"prior"``, ``"task"``, ``"architecture"`` or ``"report"``.
    """
    return dict(sorted({**_installed(kind), **_plugins[kind]}.items()))


def describe(component: FoundComponent) -> dict[str, str]:
    """The literal ``summary`` and ``citation`` of a component, read without importing it."""
    found = {"summary": "", "citation": ""}
    for texts in class_texts(component.path).values():
        found |= texts
    return found


def describe_spec(spec: str) -> dict[str, str]:
    """As :func:`describe`, of a prior's spec; the texts of a composition's parts are joined."""
    known = components("prior")
    texts = [describe(known[name]) for name in names_in("prior", spec)]
    return {
        key: "; ".join(text[key] for text in texts if text[key]) for key in ("summary", "citation")
    }


def prior_facts(spec: str) -> dict[str, Any]:
    """What a reader of a run has to know of a prior: texts, cut in bp and options, as plain values.

    A composition has the options of none of its parts.
    """
    prior: Prior = build("prior", spec)
    composed = isinstance(prior, composition.Composition)
    options = {} if composed else dataclasses.asdict(prior)
    return {**describe_spec(spec), "cut": load_prior(spec).cut, "options": options}


def _defined(module: ModuleType, kinds: Iterable[str]) -> list[tuple[str, type]]:
    return [
        (kind, value)
        for kind in kinds
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CONTRACTS[kind])
        and value.__module__ == module.__name__
    ]


def load(kind: str, name: str) -> type[Any]:
    """The class of a component.

    Raises:
        UserError: for an unknown name, with a did-you-mean.
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


def build(kind: str, spec: str) -> Any:
    """An instance from a spec such as ``fourier:softness=0.3``; UserError as :func:`load`.

    Priors may be composed: ``fourier+dropout``.
    """
    if kind == "prior":
        return load_prior(spec)
    return _build(kind, spec)


def _build(kind: str, spec: str) -> Any:
    name, _ = specs.split_spec(spec)
    return specs.build(kind, load(kind, name), spec)


def load_prior(spec: str) -> Prior:
    """A prior from a spec, for use in any training loop.

    Args:
        spec: ``fourier``, with options ``fourier:softness=0.3``, or several priors at once, with
            or without their weights, ``fourier=1+weight-l2=1e-5``.

    Raises:
        UserError: for an unknown name or option, with a did-you-mean, and for compositions that
            make no sense.
    """
    written = specs.split_composition(spec)
    if len(written) == 1:
        text, weight = written[0]
        if weight is not None:
            raise UserError(
                f"{spec!r}: the weight of a single prior is written --weights {text}={weight:g}"
            )
        prior: Prior = _build("prior", text)
        return prior
    found: list[composition.WeightedPart] = []
    for text, weight in written:
        part: Prior = _build("prior", text)
        normal = normal_spec("prior", text)
        if not part.acts:
            raise UserError(f"{spec!r}: {normal!r} adds nothing to a composition; leave it out")
        if normal in [component.spec for component in found]:
            raise UserError(f"{spec!r}: {normal!r} occurs twice")
        try:
            if weight is not None:
                part.check_weight(weight)
        except UserError as error:
            raise UserError(f"{spec!r}: {normal!r}: {error}") from None
        found.append(composition.WeightedPart(normal, part, weight))
    return composition.Composition(tuple(found))


def normal_spec(kind: str, spec: str) -> str:
    """The shortest spec that builds the same: options at their default are left out."""
    component = build(kind, spec)
    if not isinstance(component, composition.Composition):
        return specs.normalise(specs.split_spec(spec)[0], component)
    return "+".join(
        part.spec if part.weight is None else f"{part.spec}={specs.number(part.weight)}"
        for part in component.components
    )


def data_spec(task: str) -> str:
    """The normal spec of a task without what does not decide its data: how it is trained on."""
    return specs.without(normal_spec("task", task), specs.TRAINING_OPTIONS)


def names_in(kind: str, spec: str) -> list[str]:
    """The names of the components that a spec is made of: several for composed priors."""
    written = specs.split_composition(spec) if kind == "prior" else [(spec, None)]
    return [specs.split_spec(text)[0] for text, _ in written]


def add_plugin(path: Path) -> FoundComponent:
    """Register the one Prior (or Task) that a file defines, under the file's name.

    Raises:
        UserError: if the file is missing, does not import, or defines none or several.
    """
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"plug-in {path}: no such file")
    name = _name(path.stem)
    if any(letter in name for letter in "+:=, "):
        raise UserError(
            f"plug-in {path}: {name!r} cannot be written in a list of priors; name the file with "
            "letters, digits and underscores"
        )
    module_name = f"priorbench_plugin_{path.stem}"
    for kind in _PLUGIN_KINDS:
        known = components(kind).get(name)
        if known is not None and known.path == path:
            return known
        if known is not None:
            raise UserError(f"plug-in {path}: {kind} {name!r} exists already; rename the file")
    module = _import_file(path, module_name)
    classes = _defined(module, _PLUGIN_KINDS)
    if len(classes) != 1:
        names = ", ".join(cls.__name__ for _, cls in classes) or "none"
        sys.modules.pop(module_name, None)
        raise UserError(
            f"plug-in {path}: must define exactly one subclass of priorbench.Prior "
            f"(or of priorbench.Task), found {names}"
        )
    cls = classes[0][1]
    if inspect.isabstract(cls):
        sys.modules.pop(module_name, None)
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise UserError(f"plug-in {path}: {cls.__name__} lacks {missing}")
    if issubclass(cls, Prior) and all(getattr(cls, h) is getattr(Prior, h) for h in HOOKS):
        sys.modules.pop(module_name, None)
        raise UserError(
            f"plug-in {path}: {cls.__name__} overrides none of {', '.join(HOOKS)}, so it would do "
            "nothing"
        )
    try:
        if dataclasses.is_dataclass(cls):
            specs.check_options(cls)
    except UserError as error:
        sys.modules.pop(module_name, None)
        raise UserError(f"plug-in {path}: {error}") from None
    component = FoundComponent(name, module_name, path, plugin=True)
    _plugins[classes[0][0]][name] = component
    return component


def _import_file(path: Path, module_name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in {path}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        sys.modules.pop(module_name, None)
        raise UserError(f"plug-in {path}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        # whatever a user's file raises while it is imported is theirs to mend
        sys.modules.pop(module_name, None)
        raise UserError(f"plug-in {path}: {type(error).__name__}: {error}") from error
    return module


def use_plugins(paths: Iterable[Path]) -> None:
    """Register these plug-in files and no others, as they are now; raises as add_plugin does."""
    forget_plugins()
    for path in paths:
        add_plugin(path)


def forget_plugins() -> None:
    """Remove every plug-in from the registry."""
    for found in _plugins.values():
        for component in found.values():
            sys.modules.pop(component.module, None)
        found.clear()


def reports_package() -> ModuleType:
    """``priorbench.reports``; UserError where priorbench is not installed."""
    for entry in importlib.metadata.entry_points(group="priorbench.reports", name="builtin"):
        package: ModuleType = entry.load()
        return package
    raise UserError("priorbench is not installed; `pip install .` in its folder")
