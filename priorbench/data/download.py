"""Downloads of public inputs by list: resumed where they stopped, and checked."""

from __future__ import annotations

import fcntl
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from priorbench.errors import UserError, unknown
from priorbench.storage.files import write_text, writing

CHECKSUMS = "checksums.toml"
_CHUNK = 1 << 18
_TIMEOUT = (15, 60)  # seconds to connect, and between two packets
_Name = Annotated[str, Field(pattern=r"^[\w][\w.+-]*$")]


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

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name
    what: str
    url: str = ""
    listing: str = ""
    output_types: list[str] = []
    checksum: Annotated[str, Field(pattern=r"^((sha256|md5):[0-9a-f]+)?$")] = ""

    @model_validator(mode="after")
    def _one_address(self) -> Download:
        if bool(self.url) == bool(self.listing):
            raise ValueError("give url or listing, one of them")
        return self


class DataText(BaseModel):
    """A data file to write beside the downloads.

    Attributes:
        file: the data file's name.
        keys: the data file's contents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    citation: str = ""
    files: Annotated[list[Download], Field(min_length=1)]
    data: list[DataText] = []

    @model_validator(mode="after")
    def _different_names(self) -> DownloadList:
        names = [item.name for item in self.files] + [text.file for text in self.data]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"the name {twice!r} occurs twice")
        return self


@dataclass(frozen=True)
class DownloadSummary:
    """What a call of `fetch` did.

    Attributes:
        downloaded: names of the files downloaded now.
        kept: names of the files that were there already, and whose checksum was right.
        recorded: names of the files whose checksum was recorded now.
        data: data files whose files are all there.
    """

    downloaded: Sequence[str]
    kept: Sequence[str]
    recorded: Sequence[str]
    data: Sequence[Path]


Progress = Callable[[str, int, int | None], AbstractContextManager[Callable[[int], None]]]
"""function of a name, bytes already there and bytes in all (None if unknown), called for each
download; gives a function that is called with the number of further bytes"""


def known_lists() -> list[str]:
    """Return the names of the lists that come with the program."""
    folder = files("priorbench.data").joinpath("downloads")
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def load_list(name: str) -> DownloadList:
    """Read the list of that name, or in that TOML file.

    Raises:
        UserError: there is no such list, or it cannot be used; names the file and the key.
    """
    if name in known_lists():
        text = files("priorbench.data").joinpath("downloads", f"{name}.toml").read_text("utf-8")
    elif Path(name).suffix == ".toml":
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name}: cannot be read ({error})") from None
    else:
        raise unknown("list of downloads", name, known_lists())
    try:
        return DownloadList.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"])) or "list"
        raise UserError(f"{name}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def fetch(
    downloads: DownloadList, folder: Path, *, only: Sequence[str] = (), progress: Progress
) -> DownloadSummary:
    """Download what is missing.

    Partial downloads stay as ``NAME.part`` and are resumed by the next call. A file appears
    under its name only when it is complete and, where the checksum is known, right; checksums
    that are not known are recorded in ``checksums.toml``, and checked from then on.

    Args:
        downloads: the files to download.
        folder: folder to download to; made if it is not there.
        only: names of the files, if not all are downloaded.
        progress: function that is told how far a download is.

    Raises:
        UserError: a name is not in the list, an address cannot be reached or has no such file, a
            download broke off, or a checksum is wrong.
    """
    names = [item.name for item in downloads.files]
    for name in only:
        if name not in names:
            raise unknown("file of this list", name, names)
    folder.mkdir(parents=True, exist_ok=True)
    downloaded: list[str] = []
    kept: list[str] = []
    recorded: list[str] = []
    with _locked(folder):
        checksums = _read_checksums(folder / CHECKSUMS)
        for item in downloads.files:
            if only and item.name not in only:
                continue
            target = folder / item.name
            checksum = item.checksum or checksums.get(item.name, "")
            if target.exists():
                _check(target, checksum)
                kept.append(item.name)
            else:
                with writing(target):
                    _download(item, target, checksum, progress)
                downloaded.append(item.name)
            if not checksum:
                checksums[item.name] = f"sha256:{_hash(target, 'sha256')}"
                write_text(folder / CHECKSUMS, tomli_w.dumps(checksums))
                recorded.append(item.name)
        return DownloadSummary(downloaded, kept, recorded, _write_data(downloads, folder))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other calls out of a folder: two that append to one partial file would mix it up."""
    path = folder / ".lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another download to it is going on; wait for it") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _read_checksums(path: Path) -> dict[str, str]:
    """Return the recorded checksums by name of the file; none if nothing was recorded."""
    if not path.exists():
        return {}
    try:
        checksums = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it to record checksums anew") from None
    return {name: str(value) for name, value in checksums.items()}


def _check(path: Path, checksum: str) -> None:
    """Raise UserError if a file has another checksum; nothing is checked where that is ""."""
    if checksum:
        algorithm, _, expected = checksum.partition(":")
        actual = _hash(path, algorithm)
        if actual != expected:
            raise UserError(
                f"{path}: its {algorithm} is {actual[:12]}..., wanted {expected[:12]}...; delete "
                "it to download it again"
            )


def _hash(path: Path, algorithm: str) -> str:
    """Return a file's hash in hexadecimal digits."""
    import pooch

    return str(pooch.file_hash(str(path), alg=algorithm))


def _write_data(downloads: DownloadList, folder: Path) -> list[Path]:
    """Write the data files whose files are all there, and return their paths.

    A data file that exists is the user's and stays.
    """
    names = [item.name for item in downloads.files]
    complete = []
    for text in downloads.data:
        path = folder / text.file
        if all((folder / name).exists() for name in text.needs(names)):
            if not path.exists():
                write_text(path, tomli_w.dumps(text.keys))
            complete.append(path)
    return complete


def _download(item: Download, target: Path, checksum: str, progress: Progress) -> None:
    """Download a file; UserError, and nothing is kept, if its checksum is wrong."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # this module reports in its place
    url, listed = (item.url, "") if item.url else _listed(item)
    downloader = _Resuming(target, progress)
    try:
        pooch.retrieve(
            url,
            known_hash=checksum or listed or None,
            fname=target.name,
            path=target.parent,
            downloader=downloader,
        )
    except ValueError as error:  # what pooch raises for a wrong checksum
        if "hash" not in str(error).lower():
            raise
        downloader.forget()
        raise UserError(
            f"{target.name}: what {url} gives has another checksum than {checksum or listed}; "
            "nothing was kept; try again, and if it stays so the file was changed at its source"
        ) from None
    downloader.forget()


def _listed(item: Download) -> tuple[str, str]:
    """Look up the address and the checksum of the file to take of an ENCODE experiment."""
    import requests

    name, listing = item.name, item.listing
    with _explained(name, listing), requests.get(listing, timeout=_TIMEOUT) as answer:
        answer.raise_for_status()
        entries = answer.json().get("@graph", [])
    for output_type in item.output_types:
        of_type = [entry for entry in entries if entry.get("output_type") == output_type]
        if of_type:
            best = max(of_type, key=_replicates)
            md5 = best.get("md5sum", "")
            return requests.compat.urljoin(listing, best["href"]), f"md5:{md5}" if md5 else ""
    raise UserError(
        f"{name}: {listing} lists no {' or '.join(item.output_types)}; see the experiment's "
        "page for what it has now"
    )


def _replicates(entry: Mapping[str, Any]) -> tuple[int, str]:
    """Return the number of replicates of a listed file, and its accession to break ties."""
    return len(entry.get("biological_replicates", [])), str(entry.get("accession", ""))


@contextmanager
def _explained(name: str, url: str) -> Iterator[None]:
    """Turn an error of the network into a UserError of one line."""
    import requests
    import urllib3

    where = f"{name}: {url}"
    broken = (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError)
    try:
        yield
    except requests.HTTPError as error:
        reason = f"answers {error.response.status_code} {error.response.reason}"
        raise UserError(f"{where} {reason}; see whether the address has changed") from error
    except requests.exceptions.JSONDecodeError as error:
        raise UserError(f"{where} gives no list of files; try again later") from error
    except (*broken, _BrokenOffError) as error:
        raise UserError(
            f"{where}: the download broke off; the same command goes on where it stopped"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise UserError(
            f"{where} cannot be reached ({type(error).__name__}); check the network, the same "
            "command goes on where it stopped"
        ) from error


class _BrokenOffError(Exception):
    """Fewer bytes came than were announced."""


class _Resuming:
    """A downloader for pooch that keeps a partial download, and requests only the rest."""

    def __init__(self, target: Path, progress: Progress) -> None:
        self.name = target.name
        self.part = target.with_name(target.name + ".part")
        self.mark = target.with_name(target.name + ".part.version")
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download ``url`` to ``output_file``; ``check_only`` is pooch's, and ignored."""
        with _explained(self.name, url):
            while not self._get(url):
                self.forget()
        # the part stays until the file has its name: killed before that, nothing is lost
        Path(output_file).unlink()
        try:
            os.link(self.part, output_file)
        except OSError:  # a file system without links
            shutil.copyfile(self.part, output_file)

    def forget(self) -> None:
        """Remove the partial download."""
        self.part.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def _get(self, url: str) -> bool:
        """Download the rest; return whether the part is complete, or must be begun anew."""
        import requests

        begun = self.part.stat().st_size if self.part.exists() else 0
        version = self.mark.read_text() if self.mark.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if begun and version:  # without a version the rest might be that of another file
            headers |= {"Range": f"bytes={begun}-", "If-Range": version}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                # killed between the last byte and the renaming, or a part of another file
                return bool(answer.headers.get("Content-Range", "") == f"bytes */{begun}")
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            begun = begun if resumed else 0
            length = answer.headers.get("Content-Length")
            total = begun + int(length) if length else None
            if not resumed:
                self.forget()
                self.mark.write_text(_version(answer.headers))
            chunks = answer.raw.stream(_CHUNK, decode_content=False)
            with self.part.open("ab") as file, self.progress(self.name, begun, total) as advance:
                for chunk in chunks:
                    file.write(chunk)
                    advance(len(chunk))
        size = self.part.stat().st_size
        if total is not None and size < total:
            raise _BrokenOffError
        return total is None or size == total


def _version(headers: Mapping[str, str]) -> str:
    """Return a server's name for a file's version, where it is strict enough to resume; else ""."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
