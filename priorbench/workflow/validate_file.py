"""Facts about a study or a data file, counted as a run would read it, without training."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.components.architecture import Scale
from priorbench.data.codes import CHANNEL, SPLITS
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.doubts.channels import ChannelFacts, count_channel
from priorbench.data.readers.data_file import is_data
from priorbench.encoding import N_CODE
from priorbench.errors import UserError
from priorbench.inputs import read_toml
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.plan import make_plan, with_evaluation, with_networks
from priorbench.study.resolve import resolve
from priorbench.study.study import BASELINE, Study, load_study
from priorbench.study.trial import EVALUATE, SELECT, TUNE

_CHUNK = 4096
_CHROMOSOMES, _SHOWN = 30, 10
"""chromosomes that are all named, those of a mammal; of scaffolds, those that are"""


@dataclass(frozen=True)
class SplitFacts:
    """What one split of a dataset holds.

    Attributes:
        sequences: number of sequences.
        positives: number of sequences with label 1 for each output; empty where labels are no
            classes.
        gc: GC content, 0 to 1, as a share of the known bases; by positives and negatives where
            labels are classes of one output, else of ``all``; 0 where there are none.
        unknown: share of N, 0 to 1.
        chromosomes: number of windows by chromosome; empty where places are not known.
        reads: mean number of reads in a window for each track, by array.
        empty: number of windows without a read.
        channels: what each channel for priors holds, by name.
    """

    sequences: int
    positives: Sequence[int]
    gc: Mapping[str, float]
    unknown: float
    chromosomes: Mapping[str, int]
    reads: Mapping[str, Sequence[float]]
    empty: int
    channels: Mapping[str, ChannelFacts]


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset holds.

    Attributes:
        name: ``task/dataset``.
        length: length of the windows in bp.
        splits: facts of each split, by the names of ``codes.SPLITS``.
        notes: sentences on what was dropped or chosen while reading.
        warnings: sentences on what makes results doubtful.
    """

    name: str
    length: int
    splits: Mapping[str, SplitFacts]
    notes: Sequence[str]
    warnings: Sequence[str]


@dataclass(frozen=True)
class StudyFacts:
    """A study that can be run.

    Attributes:
        study: the resolved study.
        trials: number of evaluation trials that a run would have, by prior; empty for a data file.
        tuning: number of trials that would choose weights, by prior; empty where weights are not
            tuned.
        selection: number of trials that would choose networks, by network; empty where networks
            are named.
        datasets: facts of each dataset, in the order of the study.
    """

    study: Study
    trials: Mapping[str, int]
    tuning: Mapping[str, int]
    selection: Mapping[str, int]
    datasets: Sequence[DatasetFacts]


def validate_file(
    path: Path,
    *,
    plugins: Sequence[Path] = (),
    data: Sequence[Path] = (),
    scale: Scale | None = None,
    say: Callable[[str], None],
) -> StudyFacts:
    """Read a study or a data file with every file it names, as a run would, and count.

    Args:
        path: a TOML file of a study or of data.
        plugins: files that define what it needs beyond the built-in components.
        data: data files in place of those that a study names; none for a data file.
        scale: scale that replaces the study's; None for the study's, or ``quick`` for a data file.
        say: function that is called with each line of progress.

    Raises:
        UserError: if a run would refuse the file.
    """
    table = read_toml(path)
    if not table:
        raise UserError(
            f"{path}: is empty; a data file names its task and its files, a study its priors"
        )
    only_data = is_data(table)
    study = Study(name=path.stem, data=[path]) if only_data else load_study(path)
    if only_data and data:
        raise UserError(f"--data: {path} is a data file itself; leave the option out")
    update = {
        "plugins": [*study.plugins, *plugins],
        "data": list(data) or study.data,
        "scale": scale or study.scale,
    }
    study = study.model_copy(update=update)
    resolved = resolve(study, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(resolved, RunDirectory(Path(folder)), say)
        datasets = [
            count_dataset(name, load_dataset(where)) for name, where in plan.datasets.items()
        ]
    trials = {SELECT: Counter[str](), TUNE: Counter[str](), EVALUATE: Counter[str]()}
    # how many trials there are does not depend on the networks and the weights that are chosen
    if plan.candidates:
        plan = with_networks(plan, {key: c.fitting[0] for key, c in plan.candidates.items()})
    for trial in [] if only_data else (with_evaluation(plan, {}) if study.tune else plan).trials:
        name = trial.architecture if trial.stage == SELECT else trial.prior
        trials[trial.stage][name] += 1
    return StudyFacts(resolved, trials[EVALUATE], trials[TUNE], trials[SELECT], datasets)


def count_dataset(name: str, dataset: Dataset) -> DatasetFacts:
    """Return the facts of a dataset, which is read in chunks.

    Args:
        name: ``task/dataset``, as shown to the user.
        dataset: an opened dataset.
    """
    splits = {split: _count_split(dataset, dataset.rows(i)) for i, split in enumerate(SPLITS)}
    notes, warnings = dataset.meta["notes"], dataset.meta["warnings"]
    return DatasetFacts(name, dataset.length, splits, notes, warnings)


def _count_split(dataset: Dataset, rows: NDArray[np.int64]) -> SplitFacts:
    along = [name for name, column in dataset.columns.items() if len(column.shape) == 3]
    tracks = [name for name in along if not name.startswith(CHANNEL)]
    classes = not tracks
    outputs = int(np.prod(dataset.columns["label"].shape[1:], initial=1))
    positives = np.zeros(outputs, dtype=np.int64)
    bases = {name: np.zeros(2, dtype=np.int64) for name in ("positives", "negatives", "all")}
    unknown, empty = 0, 0
    reads = {name: np.zeros(dataset.columns[name].shape[1]) for name in tracks}
    for begin in range(0, len(rows), _CHUNK):
        part = rows[begin : begin + _CHUNK]
        codes = dataset.codes(part)
        label = dataset.columns["label"].take(part).reshape(len(part), -1)
        known = (codes != N_CODE).sum(axis=1)
        gc = ((codes == 1) | (codes == 2)).sum(axis=1)
        unknown += int(codes.size - known.sum())
        members = {"all": np.ones(len(part), dtype=bool)}
        if classes:
            positives += (label == 1).sum(axis=0)
            members |= {"positives": label[:, 0] == 1, "negatives": label[:, 0] != 1}
        for name, chosen in members.items():
            bases[name] += gc[chosen].sum(), known[chosen].sum()
        for name in tracks:
            total = _without_margin(dataset, name, part).sum(axis=2)
            reads[name] += total.sum(axis=0)
            empty += int((total.sum(axis=1) == 0).sum()) if name == "reads" else 0
    groups = ("positives", "negatives") if classes and outputs == 1 else ("all",)
    return SplitFacts(
        sequences=len(rows),
        positives=positives.tolist() if classes else [],
        gc={name: float(bases[name][0] / max(bases[name][1], 1)) for name in groups},
        unknown=unknown / max(len(rows) * dataset.length, 1),
        chromosomes=_chromosomes(dataset, rows),
        reads={name: (total / max(len(rows), 1)).tolist() for name, total in reads.items()},
        empty=empty,
        channels={name: _count_channel(dataset, name, rows) for name in dataset.channels},
    )


def _count_channel(dataset: Dataset, name: str, rows: NDArray[np.int64]) -> ChannelFacts:
    parts = (rows[begin : begin + _CHUNK] for begin in range(0, len(rows), _CHUNK))
    return count_channel(_without_margin(dataset, f"{CHANNEL}{name}", part) for part in parts)


def _without_margin(dataset: Dataset, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = dataset.columns[name].take(rows)
    return values[:, :, dataset.margin : values.shape[2] - dataset.margin]


def _chromosomes(dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, int]:
    if dataset.place is None:
        return {}
    numbers = np.bincount(dataset.place[rows, 0], minlength=len(dataset.meta["chromosomes"]))
    counts = zip(dataset.meta["chromosomes"], numbers.tolist(), strict=True)
    return {name: count for name, count in counts if count}


def as_text(facts: StudyFacts) -> str:
    """Return the facts as text for a terminal: a table for each dataset, then the trials."""
    tables = ["\n".join(_table(dataset)) for dataset in facts.datasets]
    study = facts.study
    if not facts.trials:
        return "\n\n".join(tables)
    over = f"at scale {study.scale} over"
    if facts.selection:
        total, networks = _sum_and_list(facts.selection)
        tables.append(
            f"{total:,} trials at scale {study.scale} choose a network for each dataset by its "
            f"loss on validation data: {networks}."
        )
    if facts.tuning:
        total, arms = _sum_and_list(facts.tuning)
        tables.append(
            f"{total:,} tuning trials {over} {_seeds(study.tuning_seed_list)}: {arms}. Every prior "
            f"with a strength tries {study.tune} weight{'s' if study.tune > 1 else ''} on "
            f"validation data; rule {study.tuning_rule}, margin {study.loss_margin:.1%} of the "
            f"loss of {BASELINE}."
        )
    total, arms = _sum_and_list(facts.trials)
    tables.append(f"{total:,} trials {over} {_seeds(study.seed_list)}: {arms}.")
    return "\n\n".join(tables)


def _sum_and_list(trials: Mapping[str, int]) -> tuple[int, str]:
    return sum(trials.values()), ", ".join(f"{name} ({count})" for name, count in trials.items())


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def _table(facts: DatasetFacts) -> list[str]:
    """Return the lines of a dataset's table: a row for each fact, a column for each split."""
    splits = facts.splits.values()
    first = next(iter(splits))
    rows = [("", list(facts.splits)), ("sequences", [f"{s.sequences:,}" for s in splits])]
    if len(first.positives) > 1:
        label = f"positives of an output (of {len(first.positives)})"
        rows.append((label, [f"{min(s.positives):,} to {max(s.positives):,}" for s in splits]))
    elif first.positives:
        rows.append(("positives", [f"{s.positives[0]:,}" for s in splits]))
    for name in first.gc:
        label = "GC content" + ("" if name == "all" else f" of {name}")
        rows.append((label, [f"{s.gc[name]:.1%}" for s in splits]))
    rows.append(("share of N", [f"{s.unknown:.2%}" for s in splits]))
    for array, tracks in first.reads.items():
        for track in range(len(tracks)):
            label = f"{array} in a window{_strand(track, len(tracks))}"
            rows.append((label, [f"{s.reads[array][track]:,.1f}" for s in splits]))
    if first.reads:
        rows.append(("windows without reads", [f"{s.empty:,}" for s in splits]))
    for name in first.channels:
        facts_of = [s.channels[name] for s in splits]
        rows.append((f"channel {name}, positions not 0", [f"{c.share:.1%}" for c in facts_of]))
        rows.append((f"channel {name}, mean", [f"{c.mean:.4g}" for c in facts_of]))
        range_of = [f"{c.least:.4g} to {c.most:.4g}" for c in facts_of]
        rows.append((f"channel {name}, range", range_of))
    label_width = max(len(label) for label, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(facts.splits))]
    table = [
        "  ".join(
            [label.ljust(label_width), *(c.rjust(w) for c, w in zip(cells, widths, strict=True))]
        )
        for label, cells in rows
    ]
    places = [
        f"{split}: {_most_windows(s.chromosomes)}"
        for split, s in facts.splits.items()
        if s.chromosomes
    ]
    warnings = [f"warning: {sentence}" for sentence in facts.warnings]
    head = f"{facts.name}: windows of {facts.length:,} bp"
    return [head, *warnings, *table, *places, *facts.notes]


def _most_windows(chromosomes: Mapping[str, int]) -> str:
    """Return the windows of chromosomes in words, those with few together where there are many."""
    shown = chromosomes
    if len(chromosomes) > _CHROMOSOMES:
        most = sorted(chromosomes, key=lambda name: -chromosomes[name])[:_SHOWN]
        shown = {name: count for name, count in chromosomes.items() if name in most}
    text = ", ".join(f"{name} {count:,}" for name, count in shown.items())
    others = len(chromosomes) - len(shown)
    rest = sum(chromosomes.values()) - sum(shown.values())
    return f"{text} and {others:,} others with {rest:,} windows" if others else text


def _strand(track: int, tracks: int) -> str:
    return f", {('plus', 'minus')[track]} strand" if tracks == 2 else ""
