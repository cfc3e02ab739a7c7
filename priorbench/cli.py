"""The command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import UserError, unknown

if TYPE_CHECKING:
    from .runner import Event
    from .study import Study

app = typer.Typer(
    name="priorbench",
    help="Which attribution prior is worth training with? Add --debug to any command to see the "
    "traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_INTERRUPTED = 130
_UsageError: Any = typer.BadParameter.__base__  # typer may carry a click of its own


class Scales(StrEnum):
    """Sizes of data, network and training."""

    smoke = "smoke"
    quick = "quick"
    standard = "standard"
    paper = "paper"


class Devices(StrEnum):
    """Where trials run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Kinds(StrEnum):
    """What can be listed."""

    priors = "priors"
    tasks = "tasks"
    architectures = "architectures"
    metrics = "metrics"
    studies = "studies"


def main() -> None:
    """Run the command line; errors of use and input are one line, exit status 2."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        status = _main([argument for argument in arguments if argument != "--debug"])
    except UserError as error:
        if debug:
            raise
        _say("error: " + " ".join(str(error).split("\n")))
        status = 2
    sys.exit(status)


def _main(arguments: list[str]) -> int:
    try:
        status = int(app(arguments, prog_name="priorbench", standalone_mode=False) or 0)
        if status == _INTERRUPTED:  # typer turns Ctrl-C into a status
            raise KeyboardInterrupt
        return status
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where it stopped")
        return _INTERRUPTED
    except BrokenPipeError:
        return 1
    except OSError as error:  # no such folder, no right to write, disk full
        raise UserError(f"{error.filename or 'file'}: {error.strerror or error}") from error
    except _UsageError as error:
        message = error.format_message()
        if not arguments:  # called without a command: the message is its help
            print(message)
            return 2
        raise UserError(message) from error


def _say(line: str) -> None:
    print(f"priorbench: {line}", file=sys.stderr, flush=True)


def _list(text: str | None) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()] if text else []


def _seeds(text: str) -> list[int] | int:
    try:
        return [int(item) for item in text.strip(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise UserError(
            f"--seeds {text!r}: give a count such as 5, or a list such as 0,3,7"
        ) from None


def _weights(text: str) -> dict[str, float]:
    weights = {}
    for item in _list(text):
        prior, equals, value = item.rpartition("=")
        try:
            weights[prior] = float(value)
        except ValueError:
            equals = ""
        if not equals or not prior:
            raise UserError(f"--weights {item!r}: write prior=weight, such as fourier=1")
    return weights


def _find_study(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    known = _studies()
    if name not in known:
        raise unknown("study", name, known)
    return known[name]


def _studies() -> dict[str, Path]:
    from importlib.resources import files

    folder = Path(str(files("priorbench.studies")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _study(name: str | None, given: dict[str, Any]) -> Study:
    """The named study (the embedded default if none is named) with what the command line says."""
    from .study import load_study, make_study

    study = load_study(_find_study(name or "default"))
    if not given:
        return study
    values = study.model_dump(mode="json") | given
    if name is None:
        # the default's question and task are not those of a command that names its own
        if {"priors", "tasks", "data"} & given.keys():
            values |= {"name": "study", "question": ""}
        if "data" in given and "tasks" not in given:
            values["tasks"] = []
    return make_study(values, where="command line")


@app.command()
def run(  # noqa: PLR0917 (typer makes options of parameters)
    study: Annotated[
        str | None, typer.Argument(help="A study's name or TOML file; the default if left out.")
    ] = None,
    priors: Annotated[str | None, typer.Option(help="Such as fourier,tv:form=published.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Such as binary:fidelity=0.7.")] = None,
    architectures: Annotated[str | None, typer.Option(help="Such as three-conv.")] = None,
    seeds: Annotated[str | None, typer.Option(help="A count, or a list such as 0,3,7.")] = None,
    scale: Annotated[Scales | None, typer.Option(help="Size of data and training.")] = None,
    weights: Annotated[str | None, typer.Option(help="Such as fourier=1,l2=0.1.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="Your data, a TOML file.")] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with your prior.")] = None,
    root_seed: Annotated[int | None, typer.Option(help="Where all randomness starts.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; default runs/...")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    device: Annotated[Devices | None, typer.Option(help="Where trials run.")] = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write it.")] = True,
) -> int:
    """Train priors against each other and write a report.

    Interrupted at any time, the same command does only what is missing.

    Example: priorbench run --priors fourier,tv --seeds 8 --data my.toml
    """
    given: dict[str, Any] = {
        "priors": _list(priors),
        "tasks": _list(tasks),
        "architectures": _list(architectures),
        "seeds": _seeds(seeds) if seeds is not None else None,
        "scale": str(scale) if scale else None,
        "weights": _weights(weights) if weights is not None else None,
        "data": [str(path.resolve()) for path in data or []],
        "plugins": [str(path.resolve()) for path in plugin or []],
        "root_seed": root_seed,
        "device": str(device) if device else None,
    }
    written = {"priors": priors, "tasks": tasks, "architectures": architectures}
    for option, text in written.items():
        if text is not None and not given[option]:
            raise UserError(f"--{option} {text!r} names nothing; leave it out, or name some")
    given = {key: value for key, value in given.items() if value not in (None, [])}
    plan = _study(study, given)
    from .environment import command_line
    from .session import Console, report_writer, run_study

    console = Console(_say, _progress)
    outcome = run_study(plan, out, jobs=jobs, command=command_line(), console=console)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    _say(f"{counts}, {outcome.seconds:.0f} s")
    print(outcome.root / "results.csv")
    if report:
        page = outcome.root / "report.html"
        report_writer()([outcome.root], page)
        print(page)
    if outcome.statuses.get("failed"):
        _say("some trials failed: `priorbench status` says why, the same command tries again")
        return 1
    return 0


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Progress with trials done, failed, trials an hour and time left; lines where no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from .progress import Pace

    pace = Pace(total)
    console = Console(stderr=True)
    if not console.is_terminal:

        def tell(event: Event) -> None:
            pace.ended(event.status)
            reason = f" ({event.reason})" if event.reason else ""
            trial = event.trial
            _say(
                f"{pace.text()} | {trial.dataset} {trial.prior} seed {trial.seed}: "
                f"{event.status}{reason}"
            )

        yield tell
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=False) as bar:
        line = bar.add_task(pace.text(), total=total)

        def advance(event: Event) -> None:
            pace.ended(event.status)
            bar.update(line, advance=1, description=pace.text())
            if event.reason:
                trial = event.trial
                bar.console.print(
                    f"{trial.dataset} {trial.prior} seed {trial.seed}: {event.status}: "
                    f"{event.reason}",
                    markup=False,
                )

        yield advance


@app.command()
def report(
    directory: Annotated[list[Path], typer.Argument(help="Run directories.")],
    out: Annotated[Path | None, typer.Option(help="The page; default DIR/report.html.")] = None,
) -> None:
    """Write the report of a finished run again.

    Example: priorbench report runs/default-1a2b3c4d
    """
    from .session import report_writer

    page = out or directory[0] / "report.html"
    report_writer()(directory, page)
    print(page)


@app.command()
def compare(
    directory: Annotated[Path, typer.Argument(help="A run directory.")],
    metric: Annotated[str, typer.Option(help="Such as auroc; see `priorbench list metrics`.")],
    baseline: Annotated[str, typer.Option(help="The prior to compare with.")] = "none",
) -> None:
    """Print paired differences of one metric to a baseline.

    Example: priorbench compare runs/default-1a2b3c4d --metric motif-auprc
    """
    from .comparisons import compare as compare_results
    from .metrics import get_metric
    from .results import load_run

    name = get_metric(metric).name
    found = load_run(directory)
    results = found.results
    known = results.loc[results["stage"] == "evaluate", "prior"].unique()
    if baseline not in known:
        raise unknown("prior of this run", baseline, known)
    table = compare_results(results[results["metric"] == name], found.agreement(), baseline)
    if table.empty:
        raise UserError(f"{directory}: nothing to compare in metric {name!r}")
    varying = [c for c in ("task", "architecture") if table[c].nunique() > 1]
    columns = [*varying, "dataset", "prior", "n", "mean_baseline", "mean_prior", "difference"]
    columns += ["ci_low", "ci_high", "p", "p_adjusted", "verdict"]
    print(table[columns].to_string(index=False, float_format=lambda value: f"{value:.4g}"))


@app.command(name="list")
def list_command(
    kind: Annotated[Kinds | None, typer.Argument(help="What to list; all if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with your prior.")] = None,
) -> None:
    """List what there is, by name.

    Example: priorbench list priors
    """
    from .listing import listing

    for path in plugin or []:
        from .registry import add_plugin

        add_plugin(path)
    found = {name: listing(name) for name in ([str(kind)] if kind else [str(k) for k in Kinds])}
    if as_json:
        print(json.dumps(found[str(kind)] if kind else found, indent=1))
        return
    for name, rows in found.items():
        if len(found) > 1:
            print(f"{name}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            print(f"{'  ' if len(found) > 1 else ''}{row['name']:<{width}}  {row['summary']}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A prior, task, architecture, metric or study.")],
) -> None:
    """Show a component: summary, formula, options with their defaults, citation.

    Example: priorbench show fourier
    """
    from .listing import details

    print(details(name))


@app.command()
def status(directory: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Say how far a run has come, and which trials failed and why.

    Example: priorbench status runs/default-1a2b3c4d
    """
    from .status import read_status

    found = read_status(directory)
    total = sum(count for counts in found.by_prior.values() for count in counts.values())
    names = ("done", "collapsed", "failed", "pending")
    sums = {name: sum(c[name] for c in found.by_prior.values()) for name in names}
    print(f"{total} trials: " + ", ".join(f"{count} {name}" for name, count in sums.items()))
    if found.in_flight:
        print(f"{len(found.in_flight)} begun and not finished")
    width = max(map(len, found.by_prior), default=0)
    for prior, counts in found.by_prior.items():
        print(f"  {prior:<{width}}  " + ", ".join(f"{counts[n]} {n}" for n in names if counts[n]))
    for prior, seed, reason in found.failures:
        print(f"  {prior} seed {seed}: {reason}")
    if found.failures:
        print(f"tracebacks are in {directory}/trials/*/record.json")
