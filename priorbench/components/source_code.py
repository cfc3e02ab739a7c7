"""Reads source code without importing it: texts of classes, and hashes of what decides a result.

A hash of the project's own code names that code by folder or file (:func:`engine_files`), and a
name that stands for no module is an error: a module that moves cannot fall out of a hash unseen.
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path


def class_texts(path: Path) -> dict[str, dict[str, str]]:
    """Return the literal ``summary`` and ``citation`` of the classes in a file, by class name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    by_class: dict[str, dict[str, str]] = {}
    for node in ast.walk(tree):
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
        digest.update(_text_digest(path.read_text(encoding="utf-8")))
    return digest.hexdigest()[:16]


# files are hashed anew for every plan; parsing takes much longer than reading
@lru_cache(maxsize=512)
def _text_digest(text: str) -> bytes:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_string(s)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def component_digest(path: Path) -> str:
    """Return a hash of a component's file and of the underscore siblings that it may import."""
    siblings = [p for p in path.parent.glob("_*.py") if p.name != "__init__.py"]
    return source_digest(path, *siblings)


def _is_string(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
