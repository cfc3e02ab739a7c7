"""Windows a minute from a genome and two bigWigs, against tangermeme's extract_loci."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyBigWig

from priorbench.data.formats.encoding import decode
from priorbench.data.simulation import markov_background

_GENOME = 5_000_000
_LENGTH = 1346


@dataclass(frozen=True)
class Extraction:
    """What one way took.

    Attributes:
        name: of the way.
        windows: how many were read.
        per_minute: windows a minute of one core.
        peak_gb: peak resident memory of the process.
    """

    name: str
    windows: int
    per_minute: float
    peak_gb: float


_TIMED = """
import resource, time
started = time.process_time()
{work}
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
# both ways import everything before the clock starts
_PRIORBENCH = """
import numpy as np, pathlib, shutil, torch, pyBigWig, pyfaidx, pandas
from priorbench import registry
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.dataset import DatasetWriter
from priorbench.data.readers.read_profiles import read_profiles
torch.set_num_threads(1)
folder = pathlib.Path({folder!r})
data = load_data_file(folder / "data.toml")
def work():
    with DatasetWriter(folder / "encoded") as writer:
        read_profiles(writer, data, np.random.default_rng(0), margin=0)
        writer.finish()
""" + _TIMED.format(work="work()")
# what extract_loci does: nothing is filtered, hashed or written
_READING = """
import numpy as np, pathlib, torch, pyBigWig, pyfaidx, pandas
from priorbench.data.formats.genome import Genome
from priorbench.data.formats.bed import read_bed
from priorbench.data.formats.bigwig import Signal
torch.set_num_threads(1)
folder = pathlib.Path({folder!r})
def work():
    peaks = read_bed(folder / "peaks.bed")
    order = np.argsort(peaks.center)
    chrom, start = peaks.chrom[order], peaks.center[order] - 673
    with Genome(folder / "genome.fa") as genome:
        signal = Signal([folder / "plus.bw", folder / "minus.bw"], genome, ["c"])
        for begin in range(0, len(start), 2048):
            part = slice(begin, begin + 2048)
            genome.windows(chrom[part], start[part], 1346)
            signal.windows(chrom[part], start[part] + 173, 1000)
""" + _TIMED.format(work="work()")
_TANGERMEME = """
import pathlib, torch, numpy
from tangermeme.io import extract_loci
torch.set_num_threads(1)
folder = pathlib.Path({folder!r})
def work():
    extract_loci(
        str(folder / "peaks.bed"), str(folder / "genome.fa"),
        signals=[str(folder / "plus.bw"), str(folder / "minus.bw")],
        in_window=1346, out_window=1000, max_jitter=0,
    )
""" + _TIMED.format(work="work()")


def extractions(sizes: tuple[int, ...] = (10_000, 100_000)) -> Iterator[Extraction]:
    """Both ways on the same windows, one behind the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(folder)
        _write_peaks(folder, 100)
        _measure("warm", _TANGERMEME, folder, 100)  # it compiles at the first call
        for windows in sizes:
            _write_peaks(folder, windows)
            yield _measure("priorbench, written", _PRIORBENCH, folder, windows)
            yield _measure("priorbench, read only", _READING, folder, windows)
            yield _measure("tangermeme extract_loci", _TANGERMEME, folder, windows)


def _write_inputs(folder: Path) -> None:
    generator = np.random.default_rng(0)
    bases = decode(markov_background(1000, _GENOME // 1000, generator).ravel())
    (folder / "genome.fa").write_text(f">c\n{bases}\n")
    for strand in ("plus", "minus"):
        reads = generator.poisson(0.5, _GENOME).astype(np.float64)
        place = np.flatnonzero(reads)
        with pyBigWig.open(str(folder / f"{strand}.bw"), "w") as file:
            file.addHeader([("c", _GENOME)], maxZooms=0)
            file.addEntries("c", place.tolist(), values=reads[place].tolist(), span=1)
    (folder / "data.toml").write_text(
        f'task = "profile"\ngenome = "genome.fa"\npeaks = "peaks.bed"\nlength = {_LENGTH}\n'
        'plus = "plus.bw"\nminus = "minus.bw"\n'
        'valid_regions = ["c:0-500000"]\ntest_regions = ["c:500000-1000000"]\n'
    )


def _write_peaks(folder: Path, windows: int) -> None:
    centre = np.random.default_rng(1).choice(
        np.arange(_LENGTH, _GENOME - _LENGTH), windows, replace=False
    )
    lines = [f"c\t{place}\t{place + 1}\n" for place in centre.tolist()]
    (folder / "peaks.bed").write_text("".join(lines))


def _measure(name: str, code: str, folder: Path, windows: int) -> Extraction:
    program = code.format(folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    elapsed, peak = map(float, done.stdout.split()[-2:])
    return Extraction(name, windows, 60 * windows / elapsed, peak)
