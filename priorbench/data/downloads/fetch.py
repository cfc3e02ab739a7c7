"""Downloads of public inputs by list: resumed where they stopped, and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from priorbench.errors import UserError, unknown
from priorbench.storage.files import write_text, writing
from priorbench.storage.locks import locked

from .listing import CHECKSUM, CHECKSUMS, DownloadList
from .transfer import Progress, download_file


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
    with locked(folder, "another download to it is going on; wait for it", kept=False):
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
                    download_file(item, target, checksum, progress)
                downloaded.append(item.name)
            if not checksum:
                checksums[item.name] = f"sha256:{_hash(target, 'sha256')}"
                write_text(folder / CHECKSUMS, tomli_w.dumps(checksums))
                recorded.append(item.name)
        return DownloadSummary(downloaded, kept, recorded, _write_data(downloads, folder))


def _read_checksums(path: Path) -> dict[str, str]:
    """Return the recorded checksums by name of the file; none if nothing was recorded."""
    if not path.exists():
        return {}
    try:
        checksums = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, value in checksums.items():
            if not (isinstance(value, str) and re.fullmatch(CHECKSUM, value)):
                raise ValueError(f"{name[:80]!r} is no checksum")
    except (ValueError, RecursionError) as error:  # no TOML, no text, or no checksums
        raise UserError(f"{path}: damaged ({error}); delete it to record checksums anew") from None
    return checksums


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
