"""Which workers of a cluster may work for a run: those that see its files, with the driver's code
and versions.

Needs no torch, so that a worker answers soon.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from priorbench.components import registry
from priorbench.storage import source_code
from priorbench.storage.files import write_json
from priorbench.storage.run_directory import RunDirectory

_CODE = "the code of priorbench"
_SESSION = ".session-"
_CONTENT = ("priors", "tasks", "reports", "studies")
"""folders that a wheel has inside the engine's, and a checkout beside it"""


@contextmanager
def session(run: RunDirectory, packages: Sequence[str], plugins: Sequence[str]) -> Iterator[Path]:
    """Write a session file and remove it in the end; workers may work for the run while it exists.

    Its name is new every time, so that no cache of a network file system has an answer to whether
    it exists. Versions of the packages and contents of the plug-in files must be the same.
    """
    path = run.root.resolve() / f"{_SESSION}{secrets.token_hex(8)}"
    compared = {"packages": list(packages), "plugins": list(plugins)}
    write_json(path, {**compared, "facts": facts_here(packages, plugins)})
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def end_sessions(run: RunDirectory) -> None:
    """Stop all work for drivers that were killed; the caller holds the run's lock."""
    for path in run.root.glob(f"{_SESSION}*"):
        path.unlink(missing_ok=True)


def refusal(path: str) -> str:
    """Return why this process may not work for the run of a session file, or ""."""
    try:
        contents = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        return (
            f"sees no {path}: the run directory must be on a file system that the driver and all "
            "workers share, under the same path; choose such an --out"
        )
    return difference(contents["facts"], facts_here(contents["packages"], contents["plugins"]))


def facts_here(packages: Sequence[str], plugins: Sequence[str]) -> dict[str, str]:
    """Return what must be the same for the driver and for every worker, by name.

    Args:
        packages: packages whose versions count.
        plugins: paths of plug-in files, which are read as they are now.
    """
    facts = {"Python": ".".join(platform.python_version_tuple()[:2]), _CODE: _code_digest()}
    facts |= {package: _version(package) for package in packages}
    for path in plugins:
        try:
            files = source_code.component_files(Path(path))
        except OSError as error:
            facts[f"plug-in {path}"] = f"not readable ({error.strerror})"
            continue
        for file in files:
            facts[f"plug-in {file}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return facts


# Remembered from the first look on: what was changed since then is not what this process runs.
@cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@cache
def _code_digest() -> str:
    """Hash all code of the engine and of the components that trials may be made of.

    The hash is the same for a checkout and for a wheel of the same code.
    """
    places = {path.relative_to(source_code.PACKAGE): path for path in source_code.engine_files(".")}
    named = {str(place): path for place, path in places.items() if place.parts[0] not in _CONTENT}
    for kind in ("prior", "task", "architecture"):
        for component in registry.components(kind).values():
            if not component.plugin:
                package = component.module.rpartition(".")[0]
                files = (component.path, *component.path.parent.glob("_*.py"))
                named |= {f"{package}/{path.name}": path for path in files}
    digest = hashlib.sha256()
    for place, path in sorted(named.items()):
        digest.update(f"{place}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def difference(driver: Mapping[str, str], worker: Mapping[str, str]) -> str:
    """Return the first of the driver's facts that a worker has not, and what to do, or ""."""
    for name, value in driver.items():
        if worker.get(name) == value:
            continue
        if name.startswith("plug-in "):
            there = worker.get(name, "")
            state = there if there.startswith("not readable") else "with other contents"
            return f"finds {name} {state}: it must be on a shared file system, under the same path"
        if name == _CODE:
            return (
                f"has not {_CODE} that the driver has; install the same there, and restart workers "
                "that were started before the code was changed"
            )
        return (
            f"has {name} {worker.get(name)}, the driver {value}; results would not be comparable: "
            "install the same versions"
        )
    return ""
