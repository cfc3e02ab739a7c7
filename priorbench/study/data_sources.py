"""The sources of a study's data, and their encoding as datasets in the run directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priorbench import seeds
from priorbench.components import registry, specs
from priorbench.components.task import Task
from priorbench.data.dataset import check_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.doubts.written_data import doubt_written
from priorbench.data.readers.data_file import DataFile, is_data, load_data_file
from priorbench.data.readers.sequences.variant_table import read_variants
from priorbench.data.smoke_sample import sample_written
from priorbench.errors import UserError
from priorbench.inputs import read_toml
from priorbench.storage import source_code
from priorbench.storage.files import slug
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile, command_on

from .recorded_study import recorded_facts
from .study import Study
from .trial import hash_of

DECIDES_DATA = (
    "data/codes.py",
    "data/dataset_writer.py",
    "data/doubts",
    "data/formats",
    "data/instances.py",
    "data/mean_profile.py",
    "data/readers",
    "data/sequence_hashes.py",
    "data/simulated_examples.py",
    "data/simulation.py",
    "data/smoke_sample.py",
    "data/variants.py",
    "encoding.py",
    "seeds.py",
)
"""the code that simulates, reads and writes datasets; a change there encodes each of them anew"""
SIMULATED = "simulated"
"""name of every dataset that is not read from a data file"""


@dataclass(frozen=True)
class DataSource:
    """A task and where its data come from.

    Attributes:
        task: normalised spec.
        name: name of the dataset; no other dataset of the task has it in a study.
        data: the user's data file, or None for simulated data.
    """

    task: str
    name: str
    data: DataFile | None


def sources(study: Study) -> list[DataSource]:
    """Return the sources of a study whose specs are normal: its data files, then simulations.

    Raises:
        UserError: if two datasets have the same name, or a data file is for an unknown task.
    """
    every = []
    served = set()
    for path in study.data:
        _refuse_study(path)
        data = load_data_file(path)
        tasks = [spec for spec in study.tasks if specs.name_of(spec) == data.task]
        served.update(tasks)
        every += [DataSource(spec, data.name, data) for spec in tasks or [_task_of(data)]]
    every += [DataSource(spec, SIMULATED, None) for spec in study.tasks if spec not in served]
    for path, count in Counter(study.data).items():
        if count > 1:
            raise UserError(f"{path}: is given twice as data; give it once")
    for (task, name), count in Counter((source.task, source.name) for source in every).items():
        if count > 1:
            raise UserError(f"two datasets of task {task!r} are called {name!r}; set `name` in one")
    return every


def _refuse_study(path: Path) -> None:
    """Raise UserError if a file that is given as data is a study."""
    table = read_toml(path)
    if not is_data(table) and table.keys() & (Study.model_fields.keys() - {"name"}):
        raise UserError(
            f"{path}: is a study, not a data file; {command_on(path, 'run')} carries it out"
        )


def _task_of(data: DataFile) -> str:
    try:
        return registry.normal_spec("task", data.task)
    except UserError as error:
        raise UserError(f"{data.source}: {error}") from None


def encode(source: DataSource, study: Study, run: RunDirectory, say: Callable[[str], None]) -> Path:
    """Encode a source as a dataset in the run directory, unless that was done before.

    A dataset that is there but not as it was written is written again.

    Args:
        source: the task and its data.
        study: the resolved study, which decides the scale of simulated data and the root seed.
        run: the run directory.
        say: called with a line of progress where data are encoded.

    Returns:
        the folder of the dataset.

    Raises:
        UserError: if the data cannot be used, or do not come out as they were.
    """
    folder = dataset_folder(source, study, run)
    before = digest_there(run, folder)
    if folder.exists():
        try:
            if before in ("", check_dataset(folder)):
                return folder
            raise DamagedFile(folder, "holds other data than the run recorded")
        except DamagedFile as problem:
            say(f"{problem.path}: {problem.problem}; the dataset is written again")
    say(f"reading {source.data.source}" if source.data else f"simulating task {source.task}")
    written = registry.data_spec(source.task)
    task: Task = registry.build("task", written)
    generator = seeds.generator(study.root_seed, written, source.name, "data")
    with DatasetWriter(folder) as writer:
        if source.data is None:
            task.simulate(writer, study.scale, generator)
        else:
            read_variants(writer, source.data)
            task.read(writer, source.data, generator)
            _require_channels_read(source.data, writer)
            doubt_written(writer, source.data.source, both_strands=task.reverse_complement)
            if study.scale == "smoke":
                stream = seeds.generator(study.root_seed, written, source.name, "sample")
                sample_written(writer, stream)
        writer.finish(task=written, name=source.name)
    if before not in ("", check_dataset(folder)):
        raise UserError(
            f"{folder}: does not come out as it was, so that its trials cannot be repeated; choose "
            "another --out"
        )
    return folder


def _require_channels_read(data: DataFile, writer: DatasetWriter) -> None:
    """Raise UserError if the task of a data file, which may be a plug-in's, read no channels."""
    for name in data.channels or {}:
        if name not in writer.channels:
            raise UserError(
                f"{data.source}: channels.{name}: task {data.task!r} reads no channels; remove the "
                "table, or have its `read` call one of priorbench.data.readers"
            )


def dataset_folder(source: DataSource, study: Study, run: RunDirectory) -> Path:
    """Return the folder of a source's dataset, whose name ends in a hash of what decides it."""
    name, written = specs.name_of(source.task), registry.data_spec(source.task)
    key = hash_of(
        [
            written,
            study.root_seed,
            source_code.component_digest(registry.components("task")[name].path),
            source_code.code_hash(*DECIDES_DATA),
            *_contents(source, study),
        ]
    )
    return run.data / f"{name}-{slug(source.name)}-{key}"


def _contents(source: DataSource, study: Study) -> list[Any]:
    """Return what decides how much of which data a dataset holds."""
    if source.data is None:
        return [study.scale]
    return [fingerprint(source.data), *(["smoke"] if study.scale == "smoke" else [])]


def digest_there(run: RunDirectory, folder: Path) -> str:
    """Return the digest of a dataset's contents that the run recorded, "" if it recorded none."""
    try:
        facts = recorded_facts(run)
    except UserError:  # it has just begun, or the file is written again
        return ""
    return str(facts["digests"].get(folder.name, ""))


def fingerprint(data: DataFile) -> list[Any]:
    """Return what changes when a data file, or a file that it names, does."""
    files = [
        [str(path), (stat := path.stat()).st_size, stat.st_mtime_ns]
        for path in data.paths().values()
    ]
    return [data.model_dump(mode="json"), files]
