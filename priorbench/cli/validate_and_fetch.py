"""The commands `validate` and `fetch`: input to a run, checked or downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from .console import download_progress, print_message
from .options import Plugins, Scales, argument, option, read_names

if TYPE_CHECKING:
    from priorbench.components.architecture import Scale


def validate(
    file: Annotated[
        Path, argument(does="TOML file of a study, or of data of your own.", example="my.toml")
    ],
    plugin: Plugins = None,
    scale: Annotated[
        Scales | None,
        option(
            does="Size of the networks that must fit the data.",
            default="that of the study; quick for a data file",
        ),
    ] = None,
) -> None:
    """Read a study or a data file as a run would, and print what is in it.

    Example: priorbench validate my.toml
    """
    from priorbench.workflow.validate_file import as_text, validate_file

    size = cast("Scale | None", scale and str(scale))
    facts = validate_file(file, plugins=plugin or [], scale=size, say=print_message)
    print(as_text(facts))


def fetch(
    name: Annotated[
        str,
        argument(
            does="List of downloads: one that comes with priorbench, or a TOML file.",
            example="neurips2020",
        ),
    ],
    to: Annotated[
        Path, option(does="Folder to download to.", default="", example="data/neurips2020")
    ],
    only: Annotated[
        str | None,
        option(
            does="Files of the list to download, separated by commas; --dry-run prints their "
            "names.",
            default="all of them",
            example="FILE,OTHER-FILE",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        option(
            "--dry-run",
            does="Print what would be downloaded, and download nothing.",
            default="off",
        ),
    ] = False,
) -> None:
    """Download public data; the same command goes on where it stopped.

    Example: priorbench fetch neurips2020 --to data/neurips2020
    """
    from priorbench.data import download

    downloads = download.load_list(name)
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
        print_message(f"checksums recorded in {to / download.CHECKSUMS}: {recorded}")
    for path in summary.data:
        print(f"priorbench run --data {path}")
