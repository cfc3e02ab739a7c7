"""The commands `validate` and `fetch`: input to a run, checked or downloaded."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from priorbench.components.architecture import Scale

from .console import download_progress, print_message
from .options import find_data, read_names
from .output.as_json import print_json


def validate(
    file: Path,
    *,
    plugin: list[Path] | None = None,
    data: list[Path] | None = None,
    scale: Scale | None = None,
    json: bool = False,
) -> None:
    """Read a study or a data file as a run would, and print what is in it.

    Example: priorbench validate my.toml

    Args:
        file: TOML file of a study, or of data of your own. Example: my.toml
        data: Data files of a study that names none: a TOML file that describes them, or a folder of
            such files; may be given several times. Default: the study's. Example: my.toml
        scale: Size of the networks that must fit the data. Default: that of the study; quick for a
            data file.
    """
    from priorbench.workflow.validate_file import as_text, validate_file

    facts = validate_file(
        file, plugins=plugin or [], data=find_data(data or []), scale=scale, say=print_message
    )
    if json:
        print_json({**asdict(facts), "study": facts.study.model_dump(mode="json")})
        return
    print(as_text(facts))


def fetch(name: str, *, to: Path, only: str | None = None, dry_run: bool = False) -> None:
    """Download public data; the same command goes on where it stopped.

    Example: priorbench fetch neurips2020 --to data/neurips2020

    Args:
        name: List of downloads: one that comes with priorbench, or a TOML file. Example:
            neurips2020
        to: Folder to download to. Example: data/neurips2020
        only: Files of the list to download, separated by commas; --dry-run prints their names.
            Default: all of them. Example: FILE,OTHER-FILE
        dry_run: Print what would be downloaded, and download nothing. Default: off.
    """
    from priorbench.data.downloads import fetch as download
    from priorbench.data.downloads.listing import CHECKSUMS, load_list

    downloads = load_list(name)
    names = read_names("only", only)
    if dry_run:
        for file in downloads.files:
            print(f"{file.name}  {file.what}\n  {file.url or file.listing}")
        return
    summary = download.fetch(downloads, to, only=names, progress=download_progress)
    if summary.kept:
        print_message(f"already there: {', '.join(summary.kept)}")
    if summary.recorded:
        recorded = ", ".join(summary.recorded)
        print_message(f"checksums recorded in {to / CHECKSUMS}: {recorded}")
    for path in summary.data:
        print(f"priorbench run --data {path}")
