"""Regression on gapped k-mers finds the motifs of TAL-GATA about as well as GkmExplain did."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from priorbench.components import registry
from priorbench.data.codes import BACKGROUND
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import load_data_file
from priorbench.evaluation.network_free import gapped_kmers
from priorbench.metrics.published.instance_windows import window_scores
from priorbench.metrics.tools.rankings import PooledRanking

FOLDER = "PRIORBENCH_TALGATA"
TABLE = "sequences.simdata.gz"
TASK = registry.build("task", "binary")
PUBLISHED = {"GATA_disc1": 0.993892073, "TAL1_known1": 0.990737285}
"""auROC of GkmExplain"""
WINDOWS = {"GATA_disc1": (610, 50_787), "TAL1_known1": (620, 43_385)}
pytestmark = pytest.mark.skipif(
    FOLDER not in os.environ, reason=f"{FOLDER} names no folder with the sequences of TAL-GATA"
)


def read(toml: Path) -> Dataset:
    folder = toml.parent / "dataset"
    with DatasetWriter(folder) as writer:
        TASK.read(writer, load_data_file(toml), np.random.default_rng(0))
        writer.finish()
    return load_dataset(folder)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return Path(shutil.copy(Path(os.environ[FOLDER]) / TABLE, tmp_path))


def write_published_split(table: Path) -> Path:
    """Write the table as FASTA files with sites; every fifth of a class is for testing."""
    records: dict[str, list[str]] = {}
    sites, counts = [], {"0": 0, "1": 0}
    with gzip.open(table, "rt") as lines:
        next(lines)
        for line in lines:
            name, text, embeddings, label, *_ = line.rstrip("\n").split("\t")
            key = ("test_" if counts[label] % 5 == 0 else "") + (
                "positives" if label == "1" else "negatives"
            )
            counts[label] += 1
            records.setdefault(key, []).append(f">{name}\n{text}\n")
            for embedding in filter(None, embeddings.split(",") if label == "1" else ()):
                start, rest = embedding.removeprefix("pos-").split("_", 1)
                motif, letters = rest.rsplit("-", 1)
                sites.append(f"{name}\t{start}\t{int(start) + len(letters)}\t{motif}\n")
    folder = table.parent
    for key, texts in records.items():
        (folder / f"{key}.fa").write_text("".join(texts))
    (folder / "sites.bed").write_text("".join(sites))
    keys = "".join(f'{key} = "{key}.fa"\n' for key in records)
    toml = folder / "split.toml"
    toml.write_text(f'task = "binary"\nsites = "sites.bed"\n{keys}')
    return toml


def test_the_table_gives_8000_sequences_with_all_motifs_in_their_place(table: Path) -> None:
    toml = table.parent / "table.toml"
    toml.write_text(f'task = "binary"\nsimdata = "{TABLE}"\nlabel = "task1"\n')
    dataset = read(toml)
    assert len(dataset.split) == 8000
    assert dataset.instance_motifs == ("GATA_disc1", "TAL1_known1")
    assert (
        f"All 13,544 embedded motifs of {TABLE} are in their sequence at their position."
        in (dataset.meta["notes"])
    )


def test_gapped_kmers_find_the_motifs_of_the_published_sequences(table: Path) -> None:
    dataset = read(write_published_split(table))
    assert len(dataset.attributed) == 400
    attribution = gapped_kmers(dataset, TASK).attribution.astype(np.float64)
    instances, truth = dataset.instances(), dataset.truth
    assert instances is not None
    assert truth is not None
    for number, name in enumerate(instances.motifs):
        mine = instances.rows[instances.rows[:, 3] == number]
        inside, outside = window_scores(attribution, truth == BACKGROUND, mine)
        assert (len(inside), len(outside)) == WINDOWS[name]
        area = PooledRanking(inside, outside).roc_area()
        assert area == pytest.approx(PUBLISHED[name], abs=0.006)
