"""The transfer of one file: looked up in a listing, resumed where it stopped, and checked."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from priorbench.errors import UserError

from .listing import CHECKSUM, MARK, PART, Download

if TYPE_CHECKING:
    import requests

LARGEST_LISTING = 16 << 20
"""bytes of a listing, the most that are read; an experiment's takes less than 1 MiB"""
_CHUNK = 1 << 18
_TIMEOUT = (15, 60)  # seconds to connect, and between two packets

Progress = Callable[[str, int, int | None], AbstractContextManager[Callable[[int], None]]]
"""function of a name, bytes already there and bytes in all (None if unknown), called for each
download; gives a function that is called with the number of further bytes"""


def download_file(item: Download, target: Path, checksum: str, progress: Progress) -> None:
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
    entries = _entries(item)
    for output_type in item.output_types:
        of_type = [entry for entry in entries if entry.get("output_type") == output_type]
        if of_type:
            best = max(of_type, key=_replicates)
            return _address(item, best), _md5(item, best)
    raise UserError(
        f"{item.name}: {item.listing} lists no {' or '.join(item.output_types)}; see the "
        "experiment's page for what it has now"
    )


def _entries(item: Download) -> list[dict[str, Any]]:
    """Return the entries of a listing."""
    where = f"{item.name}: {item.listing}"
    text = b""
    with _explained(item.name, item.listing), _opened(item.listing, {}) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(_CHUNK):
            text += chunk
            if len(text) > LARGEST_LISTING:
                raise UserError(
                    f"{where} gives more than {LARGEST_LISTING >> 20} MiB, the most that is read "
                    "of a list of files; see whether the address has changed"
                )
    try:
        listing = json.loads(text)
    except (ValueError, RecursionError):
        listing = None
    entries = listing.get("@graph") if isinstance(listing, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"{where} gives no list of files (a JSON object whose @graph lists objects); try again "
            "later, or see whether the address has changed"
        )
    return entries


def _replicates(entry: Mapping[str, Any]) -> tuple[int, str]:
    """Return the number of replicates of a listed file, and its accession to break ties."""
    replicates = entry.get("biological_replicates")
    number = len(replicates) if isinstance(replicates, list) else 0
    return number, str(entry.get("accession", ""))


def _address(item: Download, entry: Mapping[str, Any]) -> str:
    """Return the address of a listed file."""
    link = entry.get("href")
    address = _joined(item.listing, link) if isinstance(link, str) and link else ""
    if not _as_safe(item.listing, address):
        raise _useless(item, entry, "href", "its address")
    return address


def _md5(item: Download, entry: Mapping[str, Any]) -> str:
    """Return the checksum of a listed file, or "" where there is none."""
    md5 = entry.get("md5sum")
    if md5 in (None, ""):
        return ""
    if not re.fullmatch(CHECKSUM, f"md5:{md5}"):
        raise _useless(item, entry, "md5sum", "32 hexadecimal digits")
    return f"md5:{md5}"


def _useless(item: Download, entry: Mapping[str, Any], key: str, wanted: str) -> UserError:
    accession = str(entry.get("accession", "without accession"))[:40]
    return UserError(
        f"{item.name}: {item.listing}: entry {accession}: {key} = {str(entry.get(key))[:80]!r} is "
        f"not {wanted}; see the experiment's page, and name the file by url in a list of your own"
    )


def _as_safe(source: str, target: str) -> bool:
    """Return whether an address that another one leads to is of the web, and as safe."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    schemes = ("https",) if urlsplit(source).scheme == "https" else ("https", "http")
    return parts.scheme in schemes and bool(parts.netloc)


@contextmanager
def _opened(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """Request a file; redirections may not leave https, nor the web."""
    import requests

    with requests.Session() as session:
        target_of = session.get_redirect_target

        def safe_target(answer: requests.Response) -> str | None:
            target: str | None = target_of(answer)
            if target is not None and not _as_safe(url, _joined(answer.url, target)):
                answer.close()  # nobody else has it yet
                raise _UnsafeError(target)
            return target

        session.get_redirect_target = safe_target
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            yield answer


def _joined(address: str, link: str) -> str:
    """Return where a link leads, or "" if it is none."""
    try:
        return urljoin(address, link)
    except ValueError:
        return ""


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
    except _UnsafeError as error:
        raise UserError(
            f"{where} leads to {str(error)[:200]!r}, which is not as safe; see whether the address "
            "has changed"
        ) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise UserError(
            f"{where}: the server does not answer any more; the same command goes on where it "
            "stopped"
        ) from error
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
    """Fewer bytes came than were announced, or others than were asked for."""


class _UnsafeError(Exception):
    """A redirection leads to another kind of address."""


class _Resuming:
    """A downloader for pooch that keeps a partial download, and requests only the rest."""

    def __init__(self, target: Path, progress: Progress) -> None:
        self.name = target.name
        self.part = target.with_name(target.name + PART)
        self.mark = target.with_name(target.name + MARK)
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
        version = self.mark.read_text("latin-1") if self.mark.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if (
            begun and version.isprintable() and version
        ):  # without a version the rest might be that of another file
            headers |= {"Range": f"bytes={begun}-", "If-Range": version}
        codes = requests.codes
        with _opened(url, headers) as answer:
            if begun and answer.status_code == codes.requested_range_not_satisfiable:
                # killed between the last byte and the renaming, or a part of another file
                return bool(answer.headers.get("Content-Range", "") == f"bytes */{begun}")
            answer.raise_for_status()
            resumed = answer.status_code == codes.partial_content
            if resumed and not answer.headers.get("Content-Range", "").startswith(
                f"bytes {begun}-"
            ):
                if begun:
                    return False
                raise _BrokenOffError
            begun = begun if resumed else 0
            length = answer.headers.get("Content-Length", "")
            total = begun + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
            if not resumed:
                self.forget()
                self.mark.write_text(_version(answer.headers), "latin-1", errors="replace")
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
