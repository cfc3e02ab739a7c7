"""Options that commands share: their help, and what they mean as values of a study."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from priorbench.errors import UserError, unknown

if TYPE_CHECKING:
    from priorbench.study.study import Study

MEASURED, WHERE_IT_RUNS = "How it is measured", "Where it runs"
"""headings over groups of options in the help"""


def option(*names: str, does: str, default: str, example: str = "", **settings: Any) -> Any:
    """Return an option whose help says what it does, its default and an example.

    Args:
        names: names of the option; left out, it is named after its parameter.
        does: what the option does or holds, as a sentence.
        default: what a command does without the option; "" for an option that is required.
        example: a value as the user writes it.
        settings: further arguments of ``typer.Option``.
    """
    return typer.Option(*names, help=_help(does, default, example), show_default=False, **settings)


def argument(*, does: str, default: str = "", example: str = "") -> Any:
    """Return an argument whose help says what it is, its default and an example.

    Args:
        does: what the argument holds, as a sentence.
        default: what a command does without the argument; "" for one that is required.
        example: a value as the user writes it.
    """
    return typer.Argument(help=_help(does, default, example), show_default=False)


def _help(does: str, default: str, example: str) -> str:
    parts = [does, f"Default: {default}." if default else "", f"Example: {example}" * bool(example)]
    return " ".join(filter(None, parts))


class Scales(StrEnum):
    """Sizes of simulated data, network and training."""

    smoke = "smoke"
    quick = "quick"
    standard = "standard"
    paper = "paper"


class Backends(StrEnum):
    """Where trials run: this machine, or a cluster."""

    loky = "loky"
    dask = "dask"
    ray = "ray"


Jobs = Annotated[
    int | None,
    option(
        does="Processes that work at once, on a trial or an ensemble each; on a cluster, groups of "
        "trials that it holds at once.",
        default="one for each core or GPU; on a cluster, twice its room",
        example="4",
        min=1,
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
Backend = Annotated[
    Backends,
    option(
        does="What runs trials: processes of this machine (loky), or a cluster of Dask or Ray.",
        default="loky",
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
Scheduler = Annotated[
    str | None,
    option(
        does="Address of the cluster's scheduler, which dask requires.",
        default="none for loky and dask; ray looks for a cluster, or else starts one",
        example="tcp://HOST:8786",
        rich_help_panel=WHERE_IT_RUNS,
    ),
]
Discovery = Annotated[
    bool,
    option(
        "--discovery",
        does="Look for motifs in the attributions with TF-MoDISco.",
        default="off, unless the study asks for it",
        rich_help_panel=MEASURED,
    ),
]
Report = Annotated[
    bool,
    option(
        "--report/--no-report",
        does="Write report.html into the run directory, or do not.",
        default="--report",
        rich_help_panel=MEASURED,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    option(
        "--plugin",
        does="Python file that defines a prior or a task of your own; may be given several times.",
        default="none",
        example="my_prior.py",
    ),
]
RunPath = Annotated[
    Path, argument(does="Run directory, as `run` wrote it.", example="runs/default-1a2b3c4d")
]
Metric = Annotated[
    str,
    option(
        does="Metric to look at, one of `priorbench list metrics`.", default="", example="auroc"
    ),
]
Baseline = Annotated[
    str | None,
    option(
        does="Prior of the run that the others are compared with.",
        default="the baseline of the run's study",
        example="dropout",
    ),
]


def add_plugins(paths: Sequence[Path] | None) -> None:
    """Register the components that files of the user define.

    Raises:
        UserError: if a file is missing or defines no component.
    """
    from priorbench.components.registry import add_plugin

    for path in paths or []:
        add_plugin(path)


def read_list(text: str | None) -> list[str]:
    """Return the items between commas; none of None."""
    return [item.strip() for item in text.split(",") if item.strip()] if text else []


def read_names(option_name: str, text: str | None) -> list[str]:
    """Return the names between commas; none of None.

    Raises:
        UserError: if a text is given that names nothing.
    """
    names = read_list(text)
    if text is not None and not names:
        raise UserError(f"--{option_name} {text!r} names nothing; leave it out, or name some")
    return names


def read_seeds(option_name: str, text: str | None) -> list[int] | int | None:
    """Return a count of seeds or a list of them; None of None.

    Raises:
        UserError: if the text is anything else.
    """
    if text is None:
        return None
    try:
        return [int(item) for item in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise UserError(
            f"--{option_name} {text!r}: give a count such as 5, or a list such as 0,3,7"
        ) from None


def read_weights(text: str | None) -> dict[str, float] | None:
    """Return the weight of each prior by its spec; None of None.

    Raises:
        UserError: if an item is not written ``prior=weight``, or a prior occurs twice.
    """
    if text is None:
        return None
    weights: dict[str, float] = {}
    for item in read_list(text):
        prior, equals, value = item.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            equals = ""
        if not equals or not prior:
            raise UserError(f"--weights {item!r}: write prior=weight, such as fourier=1")
        if prior in weights:
            raise UserError(f"--weights gives {prior!r} twice; a study has one weight a prior")
        weights[prior] = weight
    return weights


def find_data(paths: Sequence[Path]) -> list[Path]:
    """Return the absolute paths of data files; a folder stands for every TOML file in it.

    Raises:
        UserError: if a folder holds no TOML file.
    """
    from priorbench.data.download import CHECKSUMS  # which imports what downloading needs

    data_files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():  # `fetch` keeps its checksums beside the data files
            inside = sorted(file for file in path.glob("*.toml") if file.name != CHECKSUMS)
        if not inside:
            raise UserError(f"--data {path}: no TOML file in this folder; name a data file")
        data_files += [file.resolve() for file in inside]
    return data_files


def find_study(name: str) -> Path:
    """Return the file of a study: one that comes with priorbench, or one of the user's.

    Raises:
        UserError: if there is no such study.
    """
    path = Path(name)
    folder = Path(str(files("priorbench.studies")))
    known = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if name in known:  # also where a folder has the same name, such as `edges`
        return known[name]
    if path.suffix == ".toml" or path.exists():
        return path
    raise unknown("study", name, known)


def read_study(name: str | None, changes: dict[str, Any]) -> Study:
    """Return a study with the changes that options ask for.

    Args:
        name: name or file of the study; None for the default study.
        changes: fields of ``Study`` by name.

    Raises:
        UserError: if there is no such study, or a value is of the wrong type or range.
    """
    from priorbench.study.study import load_study, make_study

    study = load_study(find_study(name or "default"))
    if not changes:
        return study
    values = study.model_dump(mode="json") | changes
    if name is None:
        # the default's question and task are not those of a command that names its own
        if {"priors", "tasks", "data"} & changes.keys():
            values |= {"name": "study", "question": ""}
        if "data" in changes and "tasks" not in changes:
            values["tasks"] = []
    return make_study(values, where="command line")
