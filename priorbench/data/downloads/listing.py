"""Lists of files to download: those that come with the program, and those of a user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from priorbench.errors import unknown
from priorbench.inputs import checked, parse_toml, read_text

_FOLDER = "priorbench.data.downloads"
"""package of the lists that come with the program"""
CHECKSUMS = "checksums.toml"
"""name of the file of checksums that were recorded"""
PART, MARK = ".part", ".part.version"
"""ends of the names of a partial download, and of the file that says which version it is of"""
CHECKSUM = "sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}"


def _as_name(name: str) -> str:
    """Return a file's name; ValueError if it is a path, hidden, or one that the program uses."""
    if not re.fullmatch(r"\w[\w.+-]{0,199}", name):
        raise ValueError("give a name of letters, digits and _ . + -, without a folder")
    if name.casefold() == CHECKSUMS or name.casefold().endswith((PART, MARK)):
        raise ValueError("the program writes a file of this name itself; choose another")
    return name


def _as_address(address: str) -> str:
    if address and not re.fullmatch(r"https?://[^\s/]\S*", address):
        raise ValueError("give an address that begins with https:// or http://")
    return address


def _as_checksum(checksum: str) -> str:
    if checksum and not re.fullmatch(CHECKSUM, checksum):
        raise ValueError("give sha256: and 64 hexadecimal digits, or md5: and 32")
    return checksum


_Name = Annotated[str, AfterValidator(_as_name)]
_Address = Annotated[str, AfterValidator(_as_address)]
_Checksum = Annotated[str, AfterValidator(_as_checksum)]


class Download(BaseModel):
    """A file to download.

    Attributes:
        name: name under which the file is kept.
        what: the file's contents, in one line.
        url: the file's address; "" where it is looked up in a listing.
        listing: address of the ENCODE portal's JSON list of an experiment's files; "" where the
            address is known.
        output_types: output types of the listed files to choose from, the best first.
        checksum: ``sha256:...`` or ``md5:...``; "" where it is not known yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Name
    what: str
    url: _Address = ""
    listing: _Address = ""
    output_types: list[str] = []
    checksum: _Checksum = ""

    @model_validator(mode="after")
    def _one_address(self) -> Download:
        if bool(self.url) == bool(self.listing):
            raise ValueError("give url or listing, one of them")
        if self.listing and not self.output_types:
            raise ValueError("give output_types, to choose from the listing")
        return self


class DataText(BaseModel):
    """A data file to write beside the downloads.

    Attributes:
        file: the data file's name.
        keys: the data file's contents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: _Name
    keys: dict[str, Any]

    def needs(self, names: Sequence[str]) -> list[str]:
        """Return those of the downloads' names that the data file mentions."""
        return [name for name in names if name in self.keys.values()]


class DownloadList(BaseModel):
    """Files that belong together.

    Attributes:
        summary: what they are, in one line.
        citation: publication that they come from.
        files: the files to download.
        data: data files that name them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    summary: str
    citation: str = ""
    files: Annotated[list[Download], Field(min_length=1)]
    data: list[DataText] = []

    @model_validator(mode="after")
    def _different_names(self) -> DownloadList:
        names = [item.name for item in self.files] + [text.file for text in self.data]
        folded = [name.casefold() for name in names]  # one file on some file systems
        twice = next((name for name in names if folded.count(name.casefold()) > 1), None)
        if twice:
            raise ValueError(f"the name {twice!r} occurs twice")
        return self


def known_lists() -> list[str]:
    """Return the names of the lists that come with the program."""
    folder = files(_FOLDER)
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def load_list(name: str) -> DownloadList:
    """Read the list of that name, or in that TOML file.

    Raises:
        UserError: there is no such list, or it cannot be used; names the file and the key.
    """
    if name in known_lists():
        text = files(_FOLDER).joinpath(f"{name}.toml").read_text("utf-8")
    elif Path(name).suffix == ".toml":
        text = read_text(Path(name))
    else:
        raise unknown("list of downloads", name, known_lists())
    return checked(DownloadList, parse_toml(text, where=name), where=name)
