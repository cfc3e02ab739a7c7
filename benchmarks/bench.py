"""Speed and memory, as ratios measured side by side in one run: `make bench`.

Each benchmark is a function that returns rows of (what, value, goal); `python benchmarks/bench.py
NAME ...` runs some of them. Nothing here is a test: machines are noisy.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import many_trials
import numpy as np
import torch
from extraction import extractions
from fourier_step import step_ratios
from prior_prices import prices
from published_loop import epochs
from report_speed import timed_report
from scoring_speed import timings
from trial_profile import shares

from priorbench.data.formats.encoding import decode
from priorbench.data.simulation import markov_background

Row = tuple[str, str, str]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from priorbench.cli.app import main; main()", *arguments]


def seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(command(*arguments), check=True, capture_output=True)
    return time.perf_counter() - started


def steps() -> Iterator[Row]:
    """Step with the Fourier prior over the plain step, one thread, half the batch positive."""
    for batch_norm, goal in ((False, "<= 1.5"), (True, "<= 1.6")):
        name = "with batch norm" if batch_norm else "without batch norm"
        for what, ratio in step_ratios(batch_norm=batch_norm).items():
            goal_here = goal if "priorbench" in what else ""
            yield f"paper's network {name}: {what}", f"{ratio:.2f} x", goal_here
        for what, ratio in step_ratios(batch_norm=batch_norm, scale="quick").items():
            yield f"quick scale {name}: {what}", f"{ratio:.2f} x", ""


def trial() -> Iterator[Row]:
    """Where the time of a trial at quick scale goes: shares of its processor time, one thread."""
    for found in shares("quick"):
        yield f"{found.prior}: processor time", f"{found.seconds:.2f} s", ""
        for kind, share in found.kernels.items():
            yield f"{found.prior}: {kind}", f"{share:.0%}", ""
        rest = 1 - sum(found.kernels.values())
        yield f"{found.prior}: everything else", f"{rest:.0%}", ""
        label = f"{found.prior}: convolutions, matrices, optimiser"
        yield label, f"{found.arithmetic:.0%}", ">= 85%"


def loop() -> Iterator[Row]:
    """The published training loop over this suite's, Fourier prior on, per epoch, one thread."""
    for batch_norm, goal in ((False, ">= 1.4"), (True, ">= 1.3")):
        name = "with batch norm" if batch_norm else "without batch norm"
        found = epochs(batch_norm=batch_norm)
        training = found.published_training / found.ours_training
        yield f"{name}: training", f"{training:.2f} x", goal
        yield f"{name}: with validation", f"{found.published / found.ours:.2f} x", goal


def penalties() -> Iterator[Row]:
    """Every prior on the paper's network: its penalty alone and the whole step, over a plain step.

    One thread, 1,000 bp, 64 sequences, half of them positive.
    """
    for price in prices():
        if price.penalty > 1e-5:
            yield f"{price.prior}: penalty alone", f"{100 * price.penalty:.1f} %", "< 3 %"
        yield f"{price.prior}: step", f"{price.step:.2f} x", ""
        yield f"{price.prior}: step with batch norm", f"{price.step_batch_norm:.2f} x", ""


def smoke() -> Iterator[Row]:
    """`priorbench run --scale smoke` with two priors and two seeds, process start included."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["run", "--scale", "smoke", "--priors", "none,fourier", "--seeds", "2"]
        elapsed = seconds(*arguments, "--out", f"{folder}/x")
        yield "smoke run, report included", f"{elapsed:.0f} s", "<= 30 s"


def listing() -> Iterator[Row]:
    """`priorbench list`, best of three."""
    best = min(seconds("list") for _ in range(3))
    yield "priorbench list", f"{best:.2f} s", "< 1 s"


def default() -> Iterator[Row]:
    """The embedded default, report included."""
    with tempfile.TemporaryDirectory() as folder:
        elapsed = seconds("run", "--out", f"{folder}/x")
        yield "default run, report included", f"{elapsed:.0f} s", "<= 360 s on 2 cores"


def workers() -> Iterator[Row]:
    """Trials an hour of two workers over those of one, start and end of the run left out."""
    rates = {}
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["run", "--priors", "none,fourier", "--seeds", "4", "--no-report"]
            subprocess.run(
                command(*arguments, "--out", f"{folder}/x", "--jobs", str(jobs)),
                check=True,
                capture_output=True,
            )
            times = sorted(p.stat().st_mtime for p in Path(folder).glob("x/trials/*/record.json"))
            # the first trial of each worker pays for starting it
            rates[jobs] = (len(times) - jobs) / (times[-1] - times[jobs - 1])
    yield "trials an hour, one worker", f"{3600 * rates[1]:.0f}", ""
    yield "two workers over one", f"{rates[2] / rates[1]:.2f} x", ">= 1.7 x"


def encoding() -> Iterator[Row]:
    """A million sequences of 1,000 bp: peak memory and time of encoding; a worker's memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (10_000, 1_000_000):
            _write_fasta(folder, count)
            found = _measure(folder)
            label = f"{count:,} sequences of 1,000 bp"
            big = count == 1_000_000
            yield f"encode {label}", f"{found['seconds']:.0f} s", ""
            yield f"peak memory, {label}", f"{found['encode']:.2f} GB", "< 2.5 GB" if big else ""
            yield f"on disk, {label}", f"{found['disk']:.2f} GB", "about 1 GB" if big else ""
            yield f"worker, {label}", f"{found['worker']:.2f} GB", "the same" if big else ""


def extraction() -> Iterator[Row]:
    """Windows of 1,346 bp with two bigWigs, one core: written as they are read, or read only.

    tangermeme's extract_loci reads only; it gives one-hot sequences, priorbench a byte a base.
    """
    goals = {"priorbench, written": ">= 100,000", "priorbench, read only": "more than tangermeme"}
    for found in extractions():
        label, goal = f"{found.name}, {found.windows:,} windows", goals.get(found.name, "")
        yield f"{label}: a minute", f"{found.per_minute:,.0f}", goal
        yield f"{label}: peak memory", f"{found.peak_gb:.2f} GB", "flat" if goal else ""


def scoring() -> Iterator[Row]:
    """All metrics but mutagenesis and discovery, and mutagenesis: processor time, one thread."""
    for found in timings():
        yield f"{found.name}", f"{found.seconds:.0f} s", "< 60 s"
        yield f"{found.name}: peak memory", f"{found.peak_gb:.2f} GB", "< 2 GB"


def report() -> Iterator[Row]:
    """The report of 10,000 trials of made-up results: few datasets with many seeds, and many."""
    for datasets, seeds in ((20, 50), (100, 10)):
        found = timed_report(datasets, seeds)
        label = f"{found.trials:,} trials, {datasets} datasets"
        yield f"report of {label}", f"{found.seconds:.0f} s", "< 60 s"
        yield f"peak memory, {label}", f"{found.peak_gb:.2f} GB", "< 2 GB"
        yield f"page, {label}", f"{found.page_mb:.0f} MB", ""
        yield f"comparisons, {label}", f"{found.comparing:.0f} s", ""


def bookkeeping() -> Iterator[Row]:
    """Planning, resume check and status of 100,000 trials that have ended; nothing is trained."""
    for found in many_trials.timings():
        yield f"{many_trials.TRIALS:,} trials: {found.name}", f"{found.seconds:.1f} s", "< 10 s"
        yield f"{found.name}: peak memory", f"{found.peak_gb:.2f} GB", ""


def _write_fasta(folder: Path, count: int) -> None:
    generator = np.random.default_rng(0)
    for name in ("pos", "neg"):
        with (folder / f"{name}.fa").open("w") as file:
            for start in range(0, count // 2, 10_000):
                rows = markov_background(min(10_000, count // 2 - start), 1000, generator)
                file.writelines(
                    f">{name}{start + i}\n{decode(row)}\n" for i, row in enumerate(rows)
                )
    (folder / "data.toml").write_text(
        'task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n'
    )


def _measure(folder: Path) -> dict[str, float]:
    """Encode, then take 3,000 shuffled batches as training does, each in a process of its own."""
    report = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    encode = f"""
import numpy as np, pathlib, shutil
from priorbench import registry
from priorbench.data.readers.data_file import load_data_file
from priorbench.data.dataset import DatasetWriter
shutil.rmtree({str(folder / "encoded")!r}, ignore_errors=True)
with DatasetWriter(pathlib.Path({str(folder / "encoded")!r})) as writer:
    data = load_data_file(pathlib.Path({str(folder / "data.toml")!r}))
    registry.build("task", "binary").read(writer, data, np.random.default_rng(0))
    writer.finish()
"""
    worker = f"""
import numpy as np, pathlib, torch
from priorbench.data.dataset import load_dataset
from priorbench.training.loop import load_batch
dataset = load_dataset(pathlib.Path({str(folder / "encoded")!r}))
rows = np.random.default_rng(0).permutation(dataset.rows(0))
for step in range(3000):
    load_batch(dataset, np.resize(np.roll(rows, -64 * step), 64), torch.device("cpu"))
"""
    started = time.perf_counter()
    peak_encode = _peak(encode + report)
    elapsed = time.perf_counter() - started
    disk = sum(path.stat().st_size for path in (folder / "encoded").iterdir()) / 1e9
    return {
        "seconds": elapsed,
        "encode": peak_encode,
        "disk": disk,
        "worker": _peak(worker + report),
    }


def _peak(code: str) -> float:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    function.__name__: function
    for function in (
        listing,
        steps,
        loop,
        trial,
        penalties,
        smoke,
        workers,
        encoding,
        extraction,
        scoring,
        report,
        bookkeeping,
        default,
    )
}


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name].__doc__}", flush=True)
        for what, value, goal in BENCHMARKS[name]():
            print(f"  {what:<52} {value:>10}   {goal}", flush=True)


if __name__ == "__main__":
    main()
