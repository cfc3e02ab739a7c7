"""A user's model by the name of what makes it, ``module:factory``."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from priorbench.components.architecture import NetworkShape
from priorbench.errors import UserError, in_one_line, unknown
from priorbench.storage import source_code


@dataclass(frozen=True)
class Factory:
    """What makes a user's model.

    Attributes:
        name: its name within its module.
        module: the module, imported.
        thing: function, class, or a model that was made already.
        folder: folder that modules are looked for in first.
    """

    name: str
    module: ModuleType
    thing: Any
    folder: Path

    def make(self, shape: NetworkShape) -> torch.nn.Module:
        """Return a model of its own.

        Arguments without a default are given by their names: ``shape``, or a field of it, such as
        ``length`` and ``outputs``.

        Args:
            shape: sizes of what goes in and what comes out.

        Raises:
            UserError: if there are other arguments without a default, or no model comes out.
        """
        if isinstance(self.thing, torch.nn.Module):
            return copy.deepcopy(self.thing)
        if not callable(self.thing):
            kind = type(self.thing).__name__
            raise UserError(f"{self.name} is a {kind}; name a function that returns a model")
        arguments = _arguments(self.thing, self.name, shape)
        with _first_on_the_path(self.folder):
            try:
                model = self.thing(**arguments)
            except (Exception, SystemExit) as error:
                raise UserError(f"{self.name}() raises {told(error)}") from error
        if not isinstance(model, torch.nn.Module):
            kind = type(model).__name__
            raise UserError(f"{self.name}() returns a {kind}, wanted a torch.nn.Module")
        return model

    def code_digest(self) -> str:
        """Return a hash of the module's source and of what it imports; "" where it has no file."""
        path = getattr(self.module, "__file__", None)
        if path is None or not path.endswith(".py"):
            return ""
        with _first_on_the_path(self.folder):
            return source_code.component_digest(Path(path))


def load_factory(name: str, folder: Path | None = None) -> Factory:
    """Return what a name stands for.

    Args:
        name: module and factory, ``module:factory``; modules are looked for where Python looks.
        folder: folder in which they are looked for first; None for the working directory.

    Raises:
        UserError: if there is no such module, it cannot be imported, or has no such factory.
    """
    folder = Path.cwd() if folder is None else folder
    path, colon, factory = name.partition(":")
    if not (path and colon and factory) or path.startswith("."):
        raise UserError("write module:factory, such as my_models:make_model")
    if path.endswith(".py"):
        raise UserError(f"write the module without .py: {path.removesuffix('.py')}:{factory}")
    with _first_on_the_path(folder):
        try:
            module = importlib.import_module(path)
        except (Exception, SystemExit) as error:
            # whatever a user's file raises while it is imported is theirs to mend
            raise UserError(f"module {path!r} cannot be imported: {told(error)}") from error
    return Factory(factory, module, member(module, factory), folder)


def member(module: ModuleType, name: str) -> Any:
    """Return what a module calls by a name; UserError, with a did-you-mean, if it is nothing."""
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise unknown(f"function of module {module.__name__!r}:", name, known)
    return getattr(module, name)


def told(error: BaseException) -> str:
    """Return the kind of an error that a user's code raised, and what it says, in one line."""
    return in_one_line(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def of_user(where: str) -> Iterator[None]:
    """Let a user's code print to standard error, and name where it was asked for in a UserError."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except UserError as error:
            raise UserError(f"{where}: {error}") from error


@contextlib.contextmanager
def _first_on_the_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _arguments(thing: Callable[..., Any], name: str, shape: NetworkShape) -> dict[str, Any]:
    """Return what a factory must be given, by name."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):  # code that is not Python's
        return {}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in several]
    known = {"shape": shape, **dataclasses.asdict(shape)}
    if others := [needed_name for needed_name in needed if needed_name not in known]:
        raise UserError(
            f"{name}() needs {', '.join(others)}; it may need {', '.join(known)} (sizes of the "
            "data), so give other arguments a default"
        )
    return {needed_name: known[needed_name] for needed_name in needed}
