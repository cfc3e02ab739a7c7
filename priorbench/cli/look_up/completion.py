"""Names that a shell completes, found without torch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import get_args

from priorbench.errors import UserError
from priorbench.storage import source_code

from .listing import Kind, listing

Complete = Callable[[str], list[str]]


def _completion(*kinds: Kind, several: bool) -> Complete:
    """Return the function that completes a name of some kinds.

    Args:
        kinds: kinds of names.
        several: whether names are separated by commas, of which the last is completed.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if several else ("", "", incomplete)
        try:
            names = [name for kind in kinds for name in names_of(kind)]
        except UserError:  # a broken installation is told by the command, not while one types
            return []
        written = before.split(",")
        return [
            f"{before}{comma}{name}"
            for name in names
            if name.startswith(last) and name not in written
        ]

    return complete


def names_of(kind: Kind) -> list[str]:
    """Return the names of everything of a kind."""
    return metric_names() if kind == "metrics" else [row["name"] for row in listing(kind)]


def metric_names() -> list[str]:
    """Return the names of all metrics, read from the code: importing them takes seconds.

    A module lists them in a tuple ``NAMES``, or has each as the first argument of a decorator.
    """
    modules = [
        ast.parse(path.read_text(encoding="utf-8")).body
        for path in source_code.engine_files("metrics")
    ]
    return [name for body in modules for name in _listed(body) or _decorating(body)]


def _listed(body: Sequence[ast.stmt]) -> list[str]:
    return [
        _text(name)
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        if [target.id for target in node.targets if isinstance(target, ast.Name)] == ["NAMES"]
        for name in node.value.elts
    ]


def _decorating(body: Sequence[ast.stmt]) -> list[str]:
    return [
        name
        for node in body
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and call.args and (name := _text(call.args[0]))
    ]


def _text(node: ast.expr) -> str:
    """Return a text that is written in the code, with what stands for "-corrected" in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return "-corrected"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


COMPLETED: dict[tuple[str, str], Complete] = {
    ("run", "study"): _completion("studies", several=False),
    ("show", "name"): _completion(*get_args(Kind), several=False),
    ("check", "component"): _completion(
        "priors", "tasks", "architectures", "metrics", several=False
    ),
}
"""completion of a parameter of one command"""
COMPLETED_EVERYWHERE: dict[str, Complete] = {
    "priors": _completion("priors", several=True),
    "baseline": _completion("priors", several=False),
    "tasks": _completion("tasks", several=True),
    "architectures": _completion("architectures", several=True),
    "attributions": _completion("attributions", several=True),
    "attribution": _completion("attributions", several=False),
    "train_attribution": _completion("attributions", several=False),
    "metric": _completion("metrics", several=False),
}
"""completion of a parameter of this name in any command"""
