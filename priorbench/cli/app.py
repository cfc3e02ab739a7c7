"""The command line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from priorbench.errors import UserError

from . import options

if TYPE_CHECKING:
    from priorbench.components.contracts import Scale
    from priorbench.workflow.run_study import RunOutcome

from .console import _download_progress, _progress, _say

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


class Precisions(StrEnum):
    """Of the networks' forward pass in training."""

    float32 = "float32"
    bf16 = "bf16"


class Backends(StrEnum):
    """What runs trials: this machine, or a cluster's engine."""

    loky = "loky"
    dask = "dask"
    ray = "ray"


Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Processes, one trial or ensemble each; one a core or a GPU."),
]
Backend = Annotated[Backends, typer.Option(help="This machine, or a cluster's engine.")]
Scheduler = Annotated[
    str | None, typer.Option(help="The cluster's address, such as tcp://HOST:8786.")
]


class Kinds(StrEnum):
    """What can be listed."""

    priors = "priors"
    tasks = "tasks"
    architectures = "architectures"
    attributions = "attributions"
    metrics = "metrics"
    studies = "studies"


class Formats(StrEnum):
    """What a run can be exported as."""

    csv = "csv"
    latex = "latex"
    parquet = "parquet"
    bigwig = "bigwig"
    modisco = "modisco"
    figures = "figures"


class NewKinds(StrEnum):
    """What can be written from a template."""

    prior = "prior"


def _version(wanted: bool) -> None:
    if wanted:
        from priorbench import __version__

        print(f"priorbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


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


@app.command()
def run(  # noqa: PLR0917 (typer makes options of parameters)
    study: Annotated[
        str | None, typer.Argument(help="A study's name or TOML file; the default if left out.")
    ] = None,
    priors: Annotated[
        str | None, typer.Option(help="Such as fourier,tv:form=published,fourier+dropout.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Such as binary:fidelity=0.7.")] = None,
    architectures: Annotated[str | None, typer.Option(help="Such as three-conv.")] = None,
    seeds: Annotated[str | None, typer.Option(help="A count, or a list such as 0,3,7.")] = None,
    scale: Annotated[Scales | None, typer.Option(help="Size of data and training.")] = None,
    weights: Annotated[str | None, typer.Option(help="Such as fourier=1,l2=0.1.")] = None,
    tune: Annotated[
        int | None, typer.Option(min=0, help="Weights of every prior to try first, on other seeds.")
    ] = None,
    tuning_seeds: Annotated[
        str | None, typer.Option(help="Seeds that choose weights: a count, or a list.")
    ] = None,
    train_attribution: Annotated[
        str | None, typer.Option(help="What penalties see, such as expected-gradients.")
    ] = None,
    attributions: Annotated[
        str | None, typer.Option(help="What is scored, such as input-x-gradient,deep-lift-shap.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The prior that the others are compared with.")
    ] = None,
    discovery: Annotated[
        bool, typer.Option("--discovery", help="Look for motifs in them, by TF-MoDISco.")
    ] = False,
    data: Annotated[
        list[Path] | None, typer.Option(help="Your data: a TOML file, or a folder of them.")
    ] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with your prior.")] = None,
    root_seed: Annotated[int | None, typer.Option(help="Where all randomness starts.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; default runs/...")] = None,
    jobs: Jobs = None,
    device: Annotated[Devices | None, typer.Option(help="Where trials run.")] = None,
    precision: Annotated[
        Precisions | None, typer.Option(help="Of the networks in training.")
    ] = None,
    backend: Backend = Backends.loky,
    scheduler: Scheduler = None,
    ensemble: Annotated[
        int, typer.Option(min=1, help="Trials of one prior that train at once, at most; for a GPU.")
    ] = 1,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write it.")] = True,
) -> int:
    """Train priors against each other and write a report.

    Interrupted at any time, the same command does only what is missing.

    Example: priorbench run --priors fourier,tv --seeds 8 --data my.toml
    """
    given: dict[str, Any] = {
        "priors": options.read_names("priors", priors),
        "tasks": options.read_names("tasks", tasks),
        "architectures": options.read_names("architectures", architectures),
        "seeds": options.read_seeds(seeds) if seeds is not None else None,
        "scale": str(scale) if scale else None,
        "weights": options.read_weights(weights) if weights is not None else None,
        "tune": tune,
        "tuning_seeds": (
            options.read_seeds(tuning_seeds, "tuning-seeds") if tuning_seeds is not None else None
        ),
        "train_attribution": train_attribution,
        "attributions": options.read_names("attributions", attributions),
        "baseline": baseline,
        "discovery": discovery or None,
        "data": [str(path) for path in options.find_data(data or [])],
        "plugins": [str(path.resolve()) for path in plugin or []],
        "root_seed": root_seed,
        "device": str(device) if device else None,
        "precision": str(precision) if precision else None,
    }
    given = {key: value for key, value in given.items() if value not in (None, [])}
    plan = options.make_study_of(study, given)
    from priorbench.backends.base import RunPlacement
    from priorbench.execution.environment import command_line
    from priorbench.workflow.run_study import RunConsole, run_study

    console = RunConsole(_say, _progress)
    machines = RunPlacement(str(backend), scheduler, jobs, ensemble)
    outcome = run_study(plan, out, machines=machines, command=command_line(), console=console)
    _tell(outcome, report)
    if outcome.statuses.get("failed"):
        _say("some trials failed: `priorbench status` says why, the same command tries again")
        return 1
    return 0


def _tell(outcome: RunOutcome, report: bool) -> None:
    """Say how a run ended; write its report, if it is wanted."""
    from priorbench.workflow.run_study import report_writer

    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    _say(f"{counts}, {outcome.seconds:.0f} s")
    print(outcome.root / "results.csv")
    if report:
        page = outcome.root / "report.html"
        report_writer()([outcome.root], page)
        print(page)


@app.command()
def score(  # noqa: PLR0917 (typer makes options of parameters)
    directory: Annotated[Path, typer.Argument(help="A run directory.")],
    attributions: Annotated[
        str | None, typer.Option(help="More of them, such as deep-lift-shap.")
    ] = None,
    discovery: Annotated[
        bool, typer.Option("--discovery", help="Look for motifs in them, by TF-MoDISco.")
    ] = False,
    jobs: Jobs = None,
    backend: Backend = Backends.loky,
    scheduler: Scheduler = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write it.")] = True,
) -> int:
    """Score the trained models of a run anew, where a score is missing or was changed.

    Nothing is trained.

    Example: priorbench score runs/default-1a2b3c4d --attributions deep-lift-shap
    """
    from priorbench.backends.base import RunPlacement
    from priorbench.study.study import Measurements
    from priorbench.workflow.run_study import RunConsole
    from priorbench.workflow.score_run import score_run

    more = Measurements(options.read_names("attributions", attributions) or [], discovery)
    console, machines = RunConsole(_say, _progress), RunPlacement(str(backend), scheduler, jobs)
    outcome = score_run(directory, more, machines=machines, console=console)
    _tell(outcome, report)
    return 1 if outcome.unscored else 0


@app.command()
def report(
    directory: Annotated[list[Path], typer.Argument(help="Run directories.")],
    out: Annotated[Path | None, typer.Option(help="The page; default DIR/report.html.")] = None,
) -> None:
    """Write the report of a finished run again, or of several runs put together.

    Trials of runs that share task, data and network are compared as those of one run; runs that do
    not agree on what decides their trials are refused.

    Example: priorbench report runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_study import report_writer

    page = out or directory[0] / "report.html"
    report_writer()(directory, page)
    print(page)


@app.command()
def compare(
    directory: Annotated[Path, typer.Argument(help="A run directory.")],
    metric: Annotated[str, typer.Option(help="Such as auroc; see `priorbench list metrics`.")],
    baseline: Annotated[
        str | None, typer.Option(help="The prior to compare with; the study's if left out.")
    ] = None,
    attribution: Annotated[
        str | None, typer.Option(help="Which of the scored ones; the first if left out.")
    ] = None,
) -> None:
    """Print paired differences of one metric to a baseline.

    Example: priorbench compare runs/default-1a2b3c4d --metric motif-auprc
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import compare_metric

    print(compare_metric(load_run(directory), metric, baseline, attribution))


@app.command()
def power(
    directory: Annotated[Path, typer.Argument(help="A run directory: the pilot.")],
    metric: Annotated[str, typer.Option(help="Such as auroc; see `priorbench list metrics`.")],
    effect: Annotated[
        float | None,
        typer.Option(help="Difference to be found, in units of the metric; else as observed."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The prior to compare with; the study's if left out.")
    ] = None,
) -> None:
    """Say how many seeds it takes to show a difference, or that there is none that matters.

    Example: priorbench power runs/default-1a2b3c4d --metric auroc --effect 0.01
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import power_of_metric

    print(power_of_metric(load_run(directory), metric, baseline, effect))


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

    _add_plugins(plugin)
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
            if row.get("minutes"):
                told = ", ".join(f"{scale} {m:,.10g}" for scale, m in row["minutes"].items())
                print(f"{'':<{width + (4 if len(found) > 1 else 2)}}minutes on one core: {told}")


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A prior, task, architecture, attribution, metric or study.")
    ],
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with your prior.")] = None,
) -> None:
    """Show a component: summary, formula, options with their defaults, citation.

    Example: priorbench show fourier
    """
    from .listing import details

    _add_plugins(plugin)
    print(details(name))


def _add_plugins(paths: list[Path] | None) -> None:
    for path in paths or []:
        from priorbench.components.registry import add_plugin

        add_plugin(path)


@app.command()
def check(
    prior: Annotated[str, typer.Argument(help="A file with your prior, or a prior as in run.")],
    plugin: Annotated[list[Path] | None, typer.Option(help="A file with your prior.")] = None,
) -> int:
    """Check that a prior keeps its contract; exit status 1 if it does not.

    Example: priorbench check my_prior.py
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from priorbench.authoring.prior_checks import check_prior
    from priorbench.components.registry import add_plugin, components

    _add_plugins(plugin)
    spec = prior
    if Path(prior).suffix == ".py" or Path(prior).is_file():
        spec = add_plugin(Path(prior)).name
        if spec not in components("prior"):
            raise UserError(f"{prior}: defines a task; checks are for priors")
    table = Table("check", "", "what was seen", title=spec, title_justify="left")
    marks = {"passed": "ok", "failed": "FAILED", "not applicable": "-"}
    findings = list(check_prior(spec))
    for found in findings:
        table.add_row(Text(found.check), marks[found.outcome], Text(found.detail))
    Console().print(table)
    failed = sum(found.outcome == "failed" for found in findings)
    if failed:
        _say(f"{spec}: {failed} of {len(findings)} checks failed")
    return 1 if failed else 0


@app.command()
def new(
    kind: Annotated[NewKinds, typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="Its name, such as my-prior.")],
) -> None:
    """Write a file to start from, which passes its checks as it is.

    Example: priorbench new prior my-prior
    """
    from priorbench.authoring.prior_template import new_prior

    path = {NewKinds.prior: new_prior}[kind](name, Path())
    print(path)
    _say(f"next: priorbench check {path}")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A study or a data file, TOML.")],
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A file with your task or prior.")
    ] = None,
    scale: Annotated[Scales | None, typer.Option(help="Size of the networks.")] = None,
) -> None:
    """Read a study or a data file as a run would, and say what was found.

    Example: priorbench validate my.toml
    """
    from priorbench.workflow.validate_file import as_text
    from priorbench.workflow.validate_file import validate as validate_file

    size = cast("Scale | None", str(scale) if scale else None)
    print(as_text(validate_file(file, plugins=plugin or [], scale=size, say=_say)))


@app.command(name="fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(help="A list of downloads, such as neurips2020.")],
    to: Annotated[Path, typer.Option(help="The folder to download to.")],
    only: Annotated[str | None, typer.Option(help="Names of files, if not all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come.")] = False,
) -> None:
    """Download public data; interrupted, the same command goes on where it stopped.

    Example: priorbench fetch neurips2020 --to data/neurips2020
    """
    from priorbench.data.download import CHECKSUMS, fetch, load_list

    wanted = load_list(name)
    chosen = options.read_names("only", only) or []
    if dry_run:
        for one in wanted.files:
            print(f"{one.name}  {one.what}\n  {one.url or one.listing}")
        return
    found = fetch(wanted, to, only=chosen, progress=_download_progress)
    if found.kept:
        _say(f"already there: {', '.join(found.kept)}")
    if found.recorded:
        _say(f"checksums recorded in {to / CHECKSUMS}: {', '.join(found.recorded)}")
    for path in found.data:
        print(f"priorbench run --data {path}")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A run directory.")],
    kind: Annotated[
        Formats, typer.Option("--format", help="Tables, attributions, or the report's figures.")
    ],
    to: Annotated[Path | None, typer.Option(help="Where to; default DIR/export/FORMAT.")] = None,
    attribution: Annotated[
        str | None, typer.Option(help="For bigwig and modisco: which; the first if left out.")
    ] = None,
    each_trial: Annotated[
        bool, typer.Option("--each-trial", help="Every seed too, not only the mean over seeds.")
    ] = False,
) -> None:
    """Write a run's tables, attributions or figures as files for other programs.

    Example: priorbench export runs/default-1a2b3c4d --format latex
    """
    from priorbench.export.formats import export_run

    folder = to or directory / "export" / str(kind)
    written = export_run(
        directory, folder, str(kind), attribution=attribution, each_trial=each_trial
    )
    for line in written.hints:
        _say(line)
    for path in written.paths:
        print(path)


@app.command()
def edges(
    length: Annotated[int, typer.Option(help="Of the window, in bp.")] = 120,
    priors: Annotated[
        str | None, typer.Option(help="Which penalties; every boundary of fourier, and tv.")
    ] = None,
    run_directory: Annotated[
        Path | None, typer.Option("--run", help="A run of the study edges: its trained models.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("edges"),
) -> None:
    """Show what a penalty does near the ends of the window; exact, nothing is trained.

    Example: priorbench edges --length 1000 --out edges-1000
    """
    from priorbench.components.registry import normal_spec, reports_package
    from priorbench.edges.penalty_effects import BOUNDARIES

    wanted = options.read_names("priors", priors) or list(BOUNDARIES)
    specs = list(dict.fromkeys(normal_spec("prior", spec) for spec in wanted))
    written = reports_package().write_edges(out, priors=specs, length=length, run=run_directory)
    _say(f"{len(written)} files in {out}")
    print(written[0])


@app.command()
def status(directory: Annotated[Path, typer.Argument(help="A run directory.")]) -> None:
    """Say how far a run has come, and which trials failed and why.

    Example: priorbench status runs/default-1a2b3c4d
    """
    from priorbench.workflow.run_status import read_status

    found = read_status(directory)
    if found.tuning:
        _count("tuning trials", found.tuning)
    if found.unplanned:
        print(f"{found.unplanned} trials wait for the weights that tuning chooses")
    else:
        _count("trials", found.by_prior)
    if found.in_flight:
        print(f"{len(found.in_flight)} begun and not finished")
    for prior, seed, reason in found.failures:
        print(f"  {prior} seed {seed}: {reason}")
    if found.failures:
        print(f"tracebacks are in {directory}/trials/*/record.json")


def _count(what: str, by_prior: Mapping[str, Counter[str]]) -> None:
    """Trials by status, then prior by prior."""
    names = ("done", "collapsed", "failed", "pending")
    sums = {name: sum(counts[name] for counts in by_prior.values()) for name in names}
    listed = ", ".join(f"{count} {name}" for name, count in sums.items())
    print(f"{sum(sums.values())} {what}: {listed}")
    width = max(map(len, by_prior), default=0)
    for prior, counts in by_prior.items():
        print(f"  {prior:<{width}}  " + ", ".join(f"{counts[n]} {n}" for n in names if counts[n]))
