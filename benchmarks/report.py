"""Seconds and memory that the tables and the report of made-up results take."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bookkeeping import PRIORS, make_run
from measuring import Row, in_new_process

from priorbench.reports import write_report
from priorbench.results.collect import write_results
from priorbench.storage.run_directory import RunDirectory


def report(*, quick: bool = False) -> Iterator[Row]:
    """Time the tables and the report of 10,000 trials: few datasets with many seeds, and many."""
    for datasets, seeds in ((2, 8),) if quick else ((20, 50), (100, 10)):
        with tempfile.TemporaryDirectory() as folder:
            root, page = Path(folder) / "run", Path(folder) / "report.html"
            about = {"trials": datasets * seeds * len(PRIORS), "datasets": datasets}
            cost = in_new_process(made_tables, root, datasets, seeds)
            yield {**about, "work": "tables", **cost, "MB": ""}
            cost = in_new_process(made_report, root, page)
            yield {**about, "work": "report", **cost, "MB": page.stat().st_size / 1e6}


def made_tables(root: Path, datasets: int, seeds: int) -> Iterator[None]:
    plan = yield from make_run(root, ["binary"], seeds, [f"set{i:02d}" for i in range(datasets)])
    write_results(plan, RunDirectory(root), lambda line: None)


def made_report(root: Path, page: Path) -> Iterator[None]:
    yield
    write_report([root], page)
