"""Command-line options as values of a study."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from priorbench.errors import UserError, unknown

if TYPE_CHECKING:
    from priorbench.study.study import Study


def read_list(text: str | None) -> list[str]:
    """The items between commas; none of None."""
    return [item.strip() for item in text.split(",") if item.strip()] if text else []


def read_names(option: str, text: str | None) -> list[str]:
    """As :func:`read_list`; UserError for a text that names nothing."""
    found = read_list(text)
    if text is not None and not found:
        raise UserError(f"--{option} {text!r} names nothing; leave it out, or name some")
    return found


def read_seeds(text: str, option: str = "seeds") -> list[int] | int:
    """A count, or a list of seeds; UserError for anything else."""
    try:
        return [int(item) for item in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise UserError(
            f"--{option} {text!r}: give a count such as 5, or a list such as 0,3,7"
        ) from None


def read_weights(text: str) -> dict[str, float]:
    """Weight by prior; UserError for what is not written prior=weight, or given twice."""
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
    """Data files, absolute; of a folder every TOML file in it, UserError if there is none."""
    from priorbench.data.download import CHECKSUMS  # which brings what downloading needs

    found = []
    for path in paths:
        inside = [path]
        if path.is_dir():  # which `fetch` may have written, with what it keeps account of
            inside = sorted(one for one in path.glob("*.toml") if one.name != CHECKSUMS)
        if not inside:
            raise UserError(f"--data {path}: no TOML file in this folder; name a data file")
        found += [one.resolve() for one in inside]
    return found


def find_study(name: str) -> Path:
    """A study file, or one of the studies that come with priorbench; UserError if neither."""
    path = Path(name)
    folder = Path(str(files("priorbench.studies")))
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if name in known:  # also where a folder has the same name, such as `edges`
        return known[name]
    if path.suffix == ".toml" or path.exists():
        return path
    raise unknown("study", name, known)


def make_study_of(name: str | None, given: dict[str, Any]) -> Study:
    """The named study (the embedded default if none is named) with what the command line says."""
    from priorbench.study.study import load_study, make_study

    study = load_study(find_study(name or "default"))
    if not given:
        return study
    values = study.model_dump(mode="json") | given
    if name is None:
        # the default's question and task are not those of a command that names its own
        if {"priors", "tasks", "data"} & given.keys():
            values |= {"name": "study", "question": ""}
        if "data" in given and "tasks" not in given:
            values["tasks"] = []
    return make_study(values, where="command line")
