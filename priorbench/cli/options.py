"""Options of commands: their help, and what they mean as values of a study."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from docstring_parser.google import GoogleParser, Section, SectionType

from priorbench.errors import UserError, unknown

from .look_up.completion import COMPLETED, COMPLETED_EVERYWHERE
from .look_up.listing import builtin_studies

if TYPE_CHECKING:
    from priorbench.study.study import Measurements, Study

_RANGE = re.compile(r"(\d+)-(\d+)")
_MOST_SEEDS = 10_000
_SHARED = """
Args:
    directory: Run directory, as `run` wrote it. Example: runs/default-1a2b3c4d
    plugin: Python file that defines a prior, a task or a network of your own; may be given several
        times. Default: none. Example: my_prior.py
    metric: Metric to look at, one of `priorbench list metrics`. Example: auroc
    json: Print JSON, with the keys that the page "Output for programs" of the documentation
        explains. Default: off.
    baseline: Prior of the run that the others are compared with. Default: the baseline of the
        run's study. Example: dropout

How it is measured:
    discovery: Look for motifs in the attributions with TF-MoDISco, and in the first layer's
        filters. Default: off, unless the study asks for it.
    keep_hypothetical: Keep attributions of all four bases, eight times the room of attributions,
        and compute the scores that need them. Default: off, unless the study asks for it.
    report: Write report.html into the run directory, or do not. Default: --report.

Where it runs:
    jobs: Processes that work at once, on a trial or an ensemble each; on a cluster, groups of
        trials that it holds at once. Default: one for each core or GPU; on a cluster, twice its
        room. Example: 4
    backend: What runs trials: processes of this machine (loky), or a cluster of Dask or Ray.
        Default: loky.
    scheduler: Address of the cluster's scheduler, which dask requires. Default: none for loky and
        dask; ray looks for a cluster, or else starts one. Example: tcp://HOST:8786
"""
"""help of parameters that several commands share, in the form of a docstring"""


_HEADINGS = ("Args", "What is compared", "Data", "How it is measured", "Where it runs")
SHORT = {"jobs": "-j"}
"""short forms of options, beside -h"""
_FOLDERS = ("directory", "folder", "out", "to", "run")
"""parameters that name folders"""
_PAGES = (("report", "out"),)
"""commands, and parameters of theirs that name files"""
_PARSER = GoogleParser([Section(title, title, SectionType.MULTIPLE) for title in _HEADINGS])


def add_help(command: Callable[..., Any]) -> str:
    """Make arguments of a command's positional parameters and options of its keyword-only ones.

    Their help is in the sections of the command's docstring or, where it leaves one out, in
    ``_SHARED``. A section is a heading in the help, except ``Args``. A dictionary that annotates a
    parameter is passed on to ``typer.Option``. An option that is off by default has no ``--no-``.

    Returns:
        help of the command itself, which is its docstring without sections.
    """
    docstrings = [_PARSER.parse(text) for text in (_SHARED, command.__doc__)]
    entries = {entry.args[1]: entry for docstring in docstrings for entry in docstring.meta}
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in signature(command).parameters.items():
        section = entries[name].args[0]
        text = " ".join((entries[name].description or "").split())
        settings: dict[str, Any] = {"help": text, "show_default": False}
        settings["autocompletion"] = COMPLETED.get(
            (command.__name__, name), COMPLETED_EVERYWHERE.get(name)
        )
        if (command.__name__, name) in _PAGES:
            settings["callback"] = _refuse_folder
        elif name in _FOLDERS:
            settings["callback"] = _refuse_file
        if parameter.kind is parameter.KEYWORD_ONLY:
            short, names = SHORT.get(name), []
            if short or parameter.default is False:
                names = [f"--{name.replace('_', '-')}", *([short] if short else [])]
            panel = section if section != "Args" else None
            settings |= dict(*getattr(hints[name], "__metadata__", ()), rich_help_panel=panel)
            info = typer.Option(*names, **settings)
        else:
            info = typer.Argument(**settings)
        command.__annotations__[name] = Annotated[hints[name], info]
    return docstrings[1].description or ""


def _refuse_file(value: Any) -> Any:
    """Return what names a folder, or several; raise UserError if it names a file."""
    for path in value if isinstance(value, (list, tuple)) else [value]:
        if path is not None and Path(path).is_file():
            raise UserError(f"{path}: is a file; name a folder")
    return value


def _refuse_folder(path: Path | None) -> Path | None:
    """Return what names a file; raise UserError if it names a folder."""
    if path is not None and path.is_dir():
        raise UserError(f"{path}: is a folder; name a file, such as {path / 'report.html'}")
    return path


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
    """Return a count of seeds or a list of them, in which 3-5 stands for 3, 4, 5; None of None.

    Raises:
        UserError: if the text is anything else.
    """
    if text is None:
        return None
    try:
        if "," not in text and not _RANGE.fullmatch(text.strip()):
            return int(text)
        return [seed for item in text.strip(",").split(",") for seed in _seeds(item.strip())]
    except ValueError:
        raise UserError(
            f"--{option_name} {text!r}: give a count such as 8, a list such as 0,3,7, or a range "
            "such as 100-107"
        ) from None


def _seeds(item: str) -> range:
    """Return the seeds that a number or a range stands for; raise ValueError of anything else."""
    match = _RANGE.fullmatch(item)
    first, last = (int(match[1]), int(match[2])) if match else (int(item), int(item))
    if last < first or last - first >= _MOST_SEEDS:
        raise ValueError(item)
    return range(first, last + 1)


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
    from priorbench.data.downloads.listing import CHECKSUMS  # which imports what downloading needs

    data_files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():  # `fetch` keeps its checksums beside the data files
            inside = sorted(file for file in path.glob("*.toml") if file.name != CHECKSUMS)
        if not inside:
            raise UserError(f"--data {path}: no TOML file in this folder; name a data file")
        data_files += [file.resolve() for file in inside]
    return data_files


def as_text(path: Path) -> str:
    """Return a path as text that a study can hold.

    Raises:
        UserError: if it has bytes that are no text.
    """
    text = str(path)
    if text != text.encode(errors="replace").decode():
        raise UserError(f"{text}: no UTF-8, which study.toml needs; give it another name")
    return text


def find_study(name: str) -> Path:
    """Return the file of a study: one that comes with priorbench, or one of the user's.

    Raises:
        UserError: if there is no such study.
    """
    path, known = Path(name), builtin_studies()
    if name in known:  # also where a folder has the same name, such as `edges`
        return known[name]
    if path.is_dir():
        raise UserError(
            f"{name}: neither a run directory nor a study; name a study, a TOML file with one, or "
            "the directory of a run"
        )
    if path.suffix == ".toml" or path.exists():
        return path
    raise unknown("study", name, known)


def recorded_in(name: str | None) -> Study | None:
    """Return the study that a run directory holds, None if the name is not that of a run directory.

    Raises:
        UserError: if nobody can tell any more which study it was.
    """
    from priorbench.storage.run_directory import RunDirectory
    from priorbench.storage.sealed_files import MANIFEST
    from priorbench.study.recorded_study import study_to_continue
    from priorbench.study.study import STUDY_FILE, make_study

    # a folder of the same name as a study, such as `edges`, may be no run
    if name is None or not any((Path(name) / mark).is_file() for mark in (MANIFEST, STUDY_FILE)):
        return None
    recorded = study_to_continue(RunDirectory(Path(name)))
    return make_study(recorded, where=name) if recorded else None


def read_study(name: str | None, changes: dict[str, Any]) -> tuple[Study, Path | None]:
    """Return a study with the changes that options ask for, and the run directory that it is from.

    Args:
        name: name or file of the study, or the directory of a run that is to go on; None for the
            default study.
        changes: fields of ``Study`` by name.

    Raises:
        UserError: if there is no such study, or a value is of the wrong type or range.
    """
    from priorbench.study.study import COMMAND_LINE, load_study, make_study
    from priorbench.workflow.run_name import unnamed

    recorded = recorded_in(name)
    folder = Path(name) if name is not None and recorded else None
    study = recorded or load_study(find_study("default" if name is None else name))
    if not changes:
        return study, folder
    study = unnamed(study)
    values = study.model_dump(mode="json") | changes
    values |= _weights_that_stay(values, changes, tuned=values["tune"] == study.tune)
    if name is None:
        # the default's question and task are not those of a command that names its own
        if {"priors", "tasks", "data"} & changes.keys():
            values |= {"name": "", "question": ""}
        if "data" in changes and "tasks" not in changes:
            values["tasks"] = []
    return make_study(values, where=COMMAND_LINE), folder


def _weights_that_stay(
    values: Mapping[str, Any], changes: Mapping[str, Any], *, tuned: bool
) -> dict[str, Any]:
    """Return the weights and grids of a study that its options leave in force.

    Those of priors that are left out go, and grids of priors whose weight an option gives, around
    which theirs lie then; all grids go where another number of weights is to be tried.

    Args:
        values: fields of the study, with the changes.
        changes: fields that options change.
        tuned: whether as many weights are tried as the study asks for.
    """
    from priorbench.components.registry import normal_spec

    def normal(spec: str) -> str:
        try:
            return normal_spec("prior", spec)
        except UserError:  # of a plugin that is not loaded yet, or a mistake, which is told later
            return spec

    weights, grids = values["weights"], values["grids"]
    if "priors" in changes:
        priors = {normal(spec) for spec in values["priors"]}
        grids = {spec: grid for spec, grid in grids.items() if normal(spec) in priors}
        if "weights" not in changes:
            weights = {spec: weight for spec, weight in weights.items() if normal(spec) in priors}
    given = {normal(spec) for spec in changes.get("weights", ())}
    stay = {spec: grid for spec, grid in grids.items() if tuned and normal(spec) not in given}
    return {"weights": weights, "grids": stay}


def read_networks(directory: Path | None, values: dict[str, Any], more: Measurements) -> Study:
    """Return the study of networks that were trained elsewhere.

    Args:
        directory: run directory to which networks are added; None for the options alone.
        values: what options say, by the field of ``Study``, or of its ``networks``.
        more: what is measured beside what the directory has.

    Raises:
        UserError: if there is no such run, or it trained its networks.
    """
    from priorbench.study.study import COMMAND_LINE, make_study

    measured = {"discovery": more.discovery, "keep_hypothetical": more.keep_hypothetical}
    if directory is not None:
        study = recorded_in(str(directory))
        if study is None:
            raise UserError(f"{directory}: is no run directory; leave it out, with --model")
        if not study.networks.model:
            raise UserError(
                f"{directory}: its networks were trained there, and --weights adds none to them; "
                "leave it out, with --model"
            )
        fields = study.model_dump(mode="json")
        fields["attributions"] = list(dict.fromkeys([*study.attributions, *more.attributions]))
        fields |= {key: value or fields[key] for key, value in measured.items()}
        return make_study(fields, where=str(directory))
    kept = {
        key: values[key] for key in ("plugins", "tasks", "data", "scale", "root_seed", "device")
    }
    networks = {"model": values["model"], "folder": as_text(Path.cwd())}
    networks |= {"layout": values["layout"]} if values["layout"] else {}
    fields = {key: value for key, value in kept.items() if value not in (None, [])} | measured
    return make_study(
        {**fields, "networks": networks, "name": "", "attributions": list(more.attributions)},
        where=COMMAND_LINE,
    )
