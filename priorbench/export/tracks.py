"""Writes a run's attributions as files: bigWig for genome browsers, npz for TF-MoDISco.

Each file is the mean over the seeds of a prior, or that of a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.dataset import Dataset
from priorbench.errors import UserError
from priorbench.results.finished_run import Run
from priorbench.storage.files import slug, writing
from priorbench.storage.run_directory import DONE
from priorbench.study.trial import EVALUATE

from .every_base import every_base, one_hot, refuse_without


@dataclass(frozen=True)
class AttributionTrack:
    """Attributions of a dataset's attributed sequences, to be written as a file.

    Attributes:
        setting: task, dataset and architecture, as the name of a folder.
        dataset: the dataset that was attributed.
        name: name of the file, without an ending.
        values: float32 attributions, (M, L), or hypothetical contributions, (M, 4, L).
    """

    setting: str
    dataset: Dataset
    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class ChromosomeValues:
    """Values along one chromosome, without overlaps.

    Attributes:
        position: (k,) int64 positions, ascending, counted from 0.
        value: (k,) float64 values.
    """

    position: NDArray[np.int64]
    value: NDArray[np.float64]

    def stretches(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield the first position and the values of every unbroken stretch."""
        cuts = np.flatnonzero(np.diff(self.position) > 1) + 1
        for part in np.split(np.arange(len(self.position)), cuts):
            yield int(self.position[part[0]]), self.value[part]


Values = Callable[[Run, str, str], NDArray[np.float32]]
"""function that returns what is written of a trial, from the run, the trial and the attribution"""


def _stored(run: Run, trial: str, attribution: str) -> NDArray[np.float32]:
    arrays = run.arrays(trial, attribution)
    assert arrays is not None  # the trial is done
    return arrays.attribution


def tracks_of(
    run: Run, attribution: str, *, each_trial: bool, values: Values = _stored
) -> Iterator[AttributionTrack]:
    """Yield the mean over seeds of every prior, setting by setting; before it that of each trial.

    Trials that failed or collapsed have no attribution that means anything; they are left out.

    Args:
        run: a finished run.
        attribution: spec of an attribution that was scored.
        each_trial: whether each trial's own attributions are wanted, too.
        values: what is written of a trial; its stored attributions if left out.

    Raises:
        UserError: if no trial ended well, or the attribution was not scored.
    """
    if attribution not in run.attributions:
        known = ", ".join(run.attributions)
        raise UserError(f"{run.root}: attribution {attribution!r} was not scored; it has {known}")
    groups: dict[tuple[str, str, str, str], list[tuple[int, str]]] = {}
    for trial, record in run.records.items():
        if record["stage"] == EVALUATE and record["status"] == DONE:
            key = (record["task"], record["dataset"], record["architecture"], record["prior"])
            groups.setdefault(key, []).append((int(record["seed"]), trial))
    if not groups:
        raise UserError(f"{run.root}: no trial ended well, so there is nothing to export")
    names = _names([key[3] for key in groups])
    folders = _names(["-".join(key[:3]) for key in groups])
    for (task, name, architecture, prior), trials in groups.items():
        dataset = run.datasets[f"{task}/{name}"]
        setting = folders[f"{task}-{name}-{architecture}"]
        total: NDArray[np.float64] = np.zeros(())
        for seed, trial in sorted(trials):
            of_trial = values(run, trial, attribution)
            total = total + of_trial
            if each_trial:
                own = f"{names[prior]}-seed{seed}"
                yield AttributionTrack(setting, dataset, own, of_trial)
        mean = (total / len(trials)).astype(np.float32)
        yield AttributionTrack(setting, dataset, names[prior], mean)


def _names(specs: Sequence[str]) -> dict[str, str]:
    """Return a file's name by spec; specs that would share one are numbered."""
    names: dict[str, str] = {}
    for spec in dict.fromkeys(specs):
        name, number = slug(spec), 1
        while name in names.values():
            number += 1
            name = f"{slug(spec)}-{number}"
        names[spec] = name
    return names


def on_genome(dataset: Dataset, attribution: NDArray[np.floating]) -> dict[str, ChromosomeValues]:
    """Return attributions along the chromosomes, by name, plus strand first to last.

    Windows that were read on the minus strand are turned back; where windows overlap, the mean
    counts.

    Args:
        dataset: a dataset whose windows have places.
        attribution: (M, L) attributions of its attributed rows.
    """
    assert dataset.place is not None
    number, start, strand = dataset.place[dataset.attributed].T
    turned = np.where(strand[:, None] < 0, attribution[:, ::-1], attribution)
    position = start[:, None] + np.arange(attribution.shape[1])
    values = {}
    for index in np.unique(number).tolist():
        rows = number == index
        places, inverse = np.unique(position[rows].ravel(), return_inverse=True)
        sums = np.bincount(inverse, weights=turned[rows].ravel().astype(np.float64))
        name = str(dataset.meta["chromosomes"][index])
        values[name] = ChromosomeValues(places, sums / np.bincount(inverse))
    return values


def write_bigwig(
    path: Path, values: Mapping[str, ChromosomeValues], sizes: Mapping[str, int]
) -> None:
    """Write a bigWig file.

    Args:
        path: path of the file, which is replaced if it exists.
        values: values by chromosome.
        sizes: lengths in bp by chromosome, of the whole genome and in its order.
    """
    import pyBigWig

    with closing(pyBigWig.open(str(path), "w")) as file:
        file.addHeader(list(sizes.items()))
        for chrom in sizes:
            if chrom in values:
                for start, stretch in values[chrom].stretches():
                    file.addEntries(chrom, start, values=stretch.tolist(), span=1, step=1)


def export_bigwig(
    run: Run, folder: Path, attribution: str, *, each_trial: bool = False
) -> list[Path]:
    """Write a bigWig per setting and prior, the mean over seeds.

    Args:
        run: a finished run.
        folder: folder to write to.
        attribution: spec of an attribution that was scored.
        each_trial: whether each trial gets a file, too.

    Raises:
        UserError: if there is nothing to export, or no dataset of the run has coordinates.
    """
    _check_places(run)
    paths = []
    for track in tracks_of(run, attribution, each_trial=each_trial):
        if track.dataset.place is None:
            continue
        path = folder / track.setting / f"{track.name}.bw"
        path.parent.mkdir(parents=True, exist_ok=True)
        sizes = track.dataset.meta["chromosome_sizes"]
        write_bigwig(path, on_genome(track.dataset, track.values), sizes)
        paths.append(path)
    return paths


def _check_places(run: Run) -> None:
    placed = [dataset for dataset in run.datasets.values() if dataset.place is not None]
    if not placed:
        raise UserError(
            f"{run.root}: bigWig needs windows with coordinates, and these data have none "
            "(simulated, or FASTA without a genome); take --format modisco"
        )
    if not all(dataset.meta.get("chromosome_sizes") for dataset in placed):
        raise UserError(
            f"{run.root}: was made by a version that did not keep the sizes of chromosomes; "
            "run the study again"
        )


def export_modisco(
    run: Run, folder: Path, attribution: str, *, each_trial: bool = False
) -> list[Path]:
    """Write sequences.npz of every setting, and an npz of attributions per prior.

    Both hold one array ``arr_0`` of shape (M, 4, L), rows A C G T, as ``modisco motifs -s -a``
    reads them. Attributions are hypothetical contributions; times the sequence, they are the
    attribution. Sequences are on the strand on which they were read. Arguments and errors are those
    of :func:`export_bigwig`, but no coordinates are needed, and an attribution without hypothetical
    contributions is refused.
    """
    refuse_without(run, attribution)
    paths: dict[Path, None] = {}
    for track in tracks_of(run, attribution, each_trial=each_trial, values=every_base):
        place = folder / track.setting
        place.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {"sequences": one_hot(track.dataset).astype(np.int8)}
        arrays[f"attributions-{track.name}"] = track.values
        for name, array in arrays.items():
            path = place / f"{name}.npz"
            if path not in paths:
                with writing(path):
                    np.savez_compressed(path, array)
                paths[path] = None
    return list(paths)
