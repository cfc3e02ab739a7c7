"""Windows of 1,346 bp with two bigWigs, by priorbench and by tangermeme."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyBigWig
from measuring import READS, Row, in_new_process

from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.readers.read_profiles import read_profiles
from priorbench.data.simulation import markov_background
from priorbench.encoding import decode

GENOME, LENGTH = 5_000_000, 1346


def extraction(*, quick: bool = False) -> Iterator[Row]:
    """Count windows a minute: read and written by priorbench, only read by tangermeme."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data.toml").write_text(
            f'task = "profile"\ngenome = "genome.fa"\npeaks = "peaks.bed"\nlength = {LENGTH}\n'
            'plus = "plus.bw"\nminus = "minus.bw"\n'
            'valid_regions = ["c:0-500000"]\ntest_regions = ["c:500000-1000000"]\n'
        )
        bases = decode(markov_background(1000, GENOME // 1000, generator).ravel())
        (folder / "genome.fa").write_text(f">c\n{bases}\n")
        for strand in ("plus", "minus"):
            reads = generator.poisson(0.5, GENOME).astype(np.float64)
            place = np.flatnonzero(reads)
            with pyBigWig.open(str(folder / f"{strand}.bw"), "w") as file:
                file.addHeader([("c", GENOME)], maxZooms=0)
                file.addEntries("c", place.tolist(), values=reads[place].tolist(), span=1)
        for count in (100, 1_000) if quick else (100, 10_000, 100_000):
            places = np.arange(LENGTH, GENOME - LENGTH)
            centres = generator.choice(places, count, replace=False).tolist()
            (folder / "peaks.bed").write_text("".join(f"c\t{c}\t{c + 1}\n" for c in centres))
            for work in (priorbench, tangermeme):
                cost = in_new_process(work, folder)
                if count > 100:  # the first call compiles
                    about = {"by": work.__name__, "windows": count}
                    yield {**about, "a minute": 60 * count / cost["processor s"], **cost}


def priorbench(folder: Path) -> Iterator[None]:
    data = load_data_file(folder / "data.toml")
    yield
    with DatasetWriter(folder / "encoded") as writer:
        read_profiles(writer, data, np.random.default_rng(0), margin=0)
        writer.finish()


def tangermeme(folder: Path) -> Iterator[None]:
    """Read windows with ``extract_loci``: one-hot, where priorbench has a byte a base."""
    from tangermeme.io import extract_loci

    yield
    paths = [str(folder / name) for name in ("peaks.bed", "genome.fa", "plus.bw", "minus.bw")]
    form = {"in_window": LENGTH, "out_window": READS, "max_jitter": 0}
    extract_loci(paths[0], paths[1], signals=paths[2:], **form)
