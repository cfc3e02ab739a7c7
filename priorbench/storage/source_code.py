"""Reads source code without importing it: texts of classes, and hashes of what decides a result.

A hash of the project's own code names that code by folder or file (:func:`engine_files`), and a
name that stands for no module is an error: a module that moves cannot fall out of a hash unseen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path


def class_texts(path: Path) -> dict[str, dict[str, str]]:
    """Return the literal ``summary`` and ``citation`` of the classes in a file, by class name."""
    return {name: dict(texts) for name, texts in _class_texts(_text(path)).items()}


# everything that there is is listed for a name that is shown, and for one that is misspelt
@lru_cache(maxsize=512)
def _class_texts(code: str) -> dict[str, dict[str, str]]:
    by_class: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.ClassDef):
            continue
        texts = by_class.setdefault(node.name, {})
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(name), *_], value=ast.Constant(text))
                    | ast.AnnAssign(target=ast.Name(name), value=ast.Constant(text))
                ) if name in ("summary", "citation"):
                    texts[name] = str(text)
    return by_class


PACKAGE = Path(__file__).parent.parent
"""the folder of the engine"""


def engine_files(*places: str) -> list[Path]:
    """Return the engine's modules in some places, sorted.

    A place is a folder with all below it, ``"data"``, or a module, ``"data/dataset.py"``, relative
    to the engine's folder, ``"."``.

    Raises:
        FileNotFoundError: if a place holds no module.
    """
    files: set[Path] = set()
    for place in places:
        path = PACKAGE / place
        modules = [path] if path.suffix == ".py" and path.is_file() else list(path.rglob("*.py"))
        if not modules:
            raise FileNotFoundError(f"{path}: no module of the engine")
        files |= set(modules)
    return sorted(files)


def code_hash(*places: str) -> str:
    """Return a hash of the engine's modules in some places, as for :func:`engine_files`.

    Raises:
        FileNotFoundError: if a place holds no module.
    """
    return source_digest(*engine_files(*places))


def source_digest(*paths: Path) -> str:
    """Return a hash of source files that ignores comments, layout and docstrings."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(_text_digest(_text(path)))
    return digest.hexdigest()[:16]


def _text(path: Path) -> str:
    """Return a source file as Python reads it, byte by byte where Python cannot."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError):
        return path.read_bytes().decode("latin-1")


# files are hashed anew for every plan; parsing takes much longer than reading
@lru_cache(maxsize=512)
def _text_digest(text: str) -> bytes:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return hashlib.sha256(text.encode()).digest()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_string(s)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def component_digest(path: Path) -> str:
    """Return a hash of the files of a component, as :func:`component_files` lists them."""
    return source_digest(*component_files(path))


def component_files(path: Path) -> list[Path]:
    """Return a component's file, the underscore siblings that it may import, and what it imports.

    Of the modules that it imports, those of the engine and those that were installed from packages
    are left out, as their versions count; what is left is a user's own.
    """
    siblings = [p for p in path.parent.glob("_*.py") if p.name != "__init__.py"]
    return [path, *sorted({*siblings, *own_imports(path)} - {path})]


def own_imports(path: Path) -> set[Path]:
    """Return the files of the modules that a file imports, and of those that they import.

    Modules of the engine, of Python itself and of site-packages are left out. Imports are read, not
    carried out: a module whose name the code makes up is not seen.
    """
    modules: set[Path] = set()
    waiting = [(path, "")]
    while waiting:
        file, package = waiting.pop()
        for name in _imported_names(_text(file), package):
            for module, inside in _files_of_module(name):
                if module not in modules:
                    modules.add(module)
                    waiting.append((module, inside))
    return modules - {path}


@lru_cache(maxsize=512)
def _imported_names(text: str, package: str) -> tuple[str, ...]:
    """Return the dotted names that a module of a package may import, in the order of the text."""
    names = []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # which its importer may expect
        return ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            parents = package.split(".")
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # what is imported from a package may be a module
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.partition(".")[0] not in _OTHERS)


_OTHERS = sys.stdlib_module_names | {"priorbench"}
"""packages whose modules are no user's own"""


def _files_of_module(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that importing a module runs, and the package that each is in."""
    first, *others = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return
    full = first
    while spec is not None:
        if spec.has_location and spec.origin and spec.origin.endswith(".py"):
            path = Path(spec.origin).resolve()
            if {"site-packages", "dist-packages"} & set(path.parts):
                return
            is_package = spec.submodule_search_locations is not None
            yield path, full if is_package else full.rpartition(".")[0]
        if not others or spec.submodule_search_locations is None:
            return
        full, others = f"{full}.{others[0]}", others[1:]
        spec = PathFinder.find_spec(full, list(spec.submodule_search_locations))


def _is_string(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
