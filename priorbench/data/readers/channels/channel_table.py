"""The table ``[channels]`` of a data file: which file holds which channel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from priorbench.inputs import check_path

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")


def _check_name(name: str) -> str:
    """Return a name that can be an option of a prior and part of a file's name, or raise."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "is the name of a channel; begin it with a letter, followed by at most 59 more "
            "letters, digits, - and _"
        )
    return name


class ChannelFile(BaseModel):
    """A file with a value for every position of the sequences.

    Attributes:
        file: BED of intervals; bigWig; or FASTA-like, a digit in the place of every base.
        value: what a BED gives the positions of an interval: 1, or its score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path
    value: Literal["inside", "score"] = "inside"


ChannelTable = dict[Annotated[str, AfterValidator(_check_name)], ChannelFile]
"""the files of channels by name"""


def resolved(table: Any, folder: Path) -> Any:
    """Return a table of channels with a table for each of them and paths below a folder.

    Raises:
        ValueError: a channel is neither a path nor a table with one; says which.
    """
    if not isinstance(table, dict):
        raise ValueError('give a table, such as [channels] with a line NAME = "FILE.bed"')
    if not table:
        raise ValueError('name a channel below it, NAME = "FILE.bed", or remove it')
    check_alike(table)
    result = {}
    for name, value in table.items():
        entry = value if isinstance(value, dict) else {"file": value}
        if not isinstance(entry.get("file"), (str, Path)):
            raise ValueError(
                f"{name}: give the path of a file, in quotes, or a table such as "
                '{file = "FILE.bed", value = "score"}'
            )
        try:
            result[name] = {**entry, "file": folder / check_path(entry["file"])}
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return result


def check_alike(names: Iterable[str]) -> None:
    """Raise ValueError if two names differ in their case only: on some disks they are one file."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(f"{other} and {name} differ in upper and lower case only; rename one")
