"""Files and values that a user gives: read and checked, what is wrong said in one line."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import UserError, unknown

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    M = TypeVar("M", bound=BaseModel)

_LONGEST = 60
"""letters of a value that are shown"""
_LONGEST_PATH = 4096
LONGEST_NAME = 200
"""most letters of a name"""

_WANTED = {
    **dict.fromkeys(("string_type", "string_sub_type"), "a text in quotes"),
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list, such as [VALUE, VALUE]"),
    **dict.fromkeys(("dict_type", "model_type"), "a table, such as {{KEY = VALUE}}"),
    **dict.fromkeys(("path_type", "is_instance_of"), "the path of a file, in quotes"),
    "finite_number": "a finite number",
    "string_too_short": "a text that is not empty",
    "too_short": "a list that is not empty",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number that is at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number that is at most {le}",
    "int_parsing_size": "a smaller number",
}
"""what is wanted instead, by pydantic's type of error"""


def problem_of_file(path: Path) -> str:
    """Return why a file that a user names cannot be read, with the fix; "" if nothing is wrong."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            return f"is a link to {os.readlink(path)}, which is not there; mend the link"
        return "no such file; check the path"
    except (OSError, ValueError) as error:
        return f"cannot be read ({_reason(error)}); check the path"
    if stat.S_ISDIR(mode):
        return "is a folder; give a file"
    if not stat.S_ISREG(mode):
        return "is no file that can be read more than once; copy it to a file"
    closed = "cannot be read (Permission denied); give yourself the right to read it"
    return "" if os.access(path, os.R_OK) else closed


def _reason(error: Exception) -> str:
    """Return what an error says, without the number and the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file that a user names, without a byte order mark.

    Raises:
        UserError: if it cannot be read, or is no text.
    """
    problem = problem_of_file(path)
    if problem:
        raise UserError(f"{path}: {problem}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)})") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a text file in UTF-8 (byte {error.start + 1}); save it as UTF-8"
        ) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file that a user names.

    Raises:
        UserError: if it cannot be read; names the line where it is not TOML.
    """
    return parse_toml(read_text(path), where=str(path))


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """Return the contents of TOML text; the UserError where it is none names ``where`` it is."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{where}: not valid TOML: lists or tables are nested too deep") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML: {' '.join(str(error).split())}") from None
    except ValueError:  # Python's own, of a number with thousands of digits
        raise UserError(f"{where}: has a number of too many digits; give a smaller one") from None


def checked(model: type[M], values: Mapping[str, Any], *, where: str, options: bool = False) -> M:
    """Return the model with these values.

    Args:
        model: a model of pydantic.
        values: its fields, as the user wrote them.
        where: where they were written, for the message.
        options: whether they were written as options of the command line.

    Raises:
        UserError: for the first value that is wrong; names the key, the value and the fix.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(values)
    except ValidationError as error:
        line = _line(error, model, values, options=options)
        raise UserError(line if options else f"{where}: {line}") from None


def _line(
    error: ValidationError, model: type[BaseModel], values: Mapping[str, Any], *, options: bool
) -> str:
    """Return the first problem as ``key = value: give what is wanted``."""
    first, *others = _of_first_key(error)
    known = [*_walk(first["loc"], values)]
    key = "".join(part for part, _ in known).removeprefix(".")
    value = known[-1][1] if known else values
    if first["type"] == "missing":
        at = f"{key}: " if key else ""
        return f"{at}key {str(first['loc'][-1])!r} is missing; add it"
    if first["type"] == "extra_forbidden":
        above = f"{''.join(p for p, _ in known[:-1]).removeprefix('.')}: " if known[:-1] else ""
        return f"{above}{unknown('key', str(first['loc'][-1]), _keys_beside(first, model))}"
    fix = " or ".join(dict.fromkeys(wanted(each) for each in (first, *others)))
    fix = fix.replace(" or give ", " or ")
    if options:
        option, *inner = [part for part, _ in known if part.startswith(".")]
        at = f" {''.join(inner).removeprefix('.')} =" if inner else ""
        return f"--{option.removeprefix('.').replace('_', '-')}{at} {_shown(value)}: {fix}"
    return f"{key} = {_shown(value)}: {fix}" if key else fix


def _of_first_key(error: ValidationError) -> list[ErrorDetails]:
    """Return the problems of the first value that is wrong, the innermost ones.

    Where a value may be of several types there is one for each.
    """
    every = error.errors(include_url=False)
    of_key = [each for each in every if each["loc"][:1] == every[0]["loc"][:1]]
    depth = max(len(each["loc"]) for each in of_key)
    innermost = [each for each in of_key if len(each["loc"]) == depth]
    # a value of the right type that is out of range is not told to be of another type
    of_type = [each for each in innermost if not each["type"].endswith("_type")]
    return of_type[:1] or innermost


def _walk(place: Sequence[int | str], values: Any) -> Iterator[tuple[str, Any]]:
    """Yield each step to a value, as text with what is there.

    Pydantic's place of an error has names of types in between.
    """
    for step in place:
        if isinstance(values, Mapping) and step in values:
            values = values[step]
            yield f".{step}", values
        elif isinstance(values, (list, tuple)) and isinstance(step, int) and step < len(values):
            values = values[step]
            yield f"[{step + 1}]", values


def _keys_beside(problem: ErrorDetails, model: type[BaseModel]) -> list[str]:
    """Return the keys that are known where an unknown one was written."""
    fields = model.model_fields
    for step in problem["loc"][:-1]:
        if isinstance(step, str) and step in fields:
            inner = _models_in(fields[step].annotation)
            fields = next((model.model_fields for model in inner), fields)
    return list(fields)


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type is made of, such as those of the values of a table."""
    if hasattr(kind, "model_fields"):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from _models_in(part)


def wanted(problem: ErrorDetails) -> str:
    """Return what pydantic wants instead of a value, in our words."""
    context = problem.get("ctx", {})
    if "error" in context:  # of a validator of ours
        return str(context["error"])
    if problem["type"] == "literal_error":
        return f"give {context['expected'].replace(chr(39), '')}"
    limits = {name: _limit(value) for name, value in context.items()}
    # a kind that is not among them names itself
    return f"give {_WANTED.get(problem['type'], problem['type']).format(**limits)}"


def _limit(value: Any) -> str:
    """Return a bound as text, a whole number with all its digits."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    """Return a value as TOML writes it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    text = "a table" if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def check_text(text: str) -> str:
    """Return a text in one line; raise ValueError if it is none."""
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed; write it in one line")
    return text


def joined_text(text: str) -> str:
    """Return a text of one or several lines in one; raise ValueError if it is none."""
    return check_text(" ".join(text.split()))


def check_name(name: str) -> str:
    """Return a name in one line; raise ValueError if it is none."""
    check_text(name)
    if len(name) > LONGEST_NAME:
        raise ValueError(f"is {len(name)} letters long; give at most {LONGEST_NAME}")
    return name


def check_path(text: object) -> Path:
    """Return the path that a text in a file stands for; raise ValueError if it is none."""
    if isinstance(text, Path):
        return text
    if not isinstance(text, str) or not text.strip():
        raise ValueError("give the path of a file, in quotes")
    if len(text) > _LONGEST_PATH:
        raise ValueError(f"is {len(text)} letters long; give a path of at most {_LONGEST_PATH}")
    if "\0" in text:
        raise ValueError("no path has a NUL character; write it without")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("whose home ~ stands for is not known; write the whole path") from None
