"""The command `run`: options and a study file become a study, which is carried out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from . import options
from .console import print_message, trial_progress
from .options import MEASURED, WHERE_IT_RUNS, Backends, argument, option

if TYPE_CHECKING:
    from priorbench.workflow.run_study import RunOutcome

_COMPARED, _DATA = "What is compared", "Data"


class Devices(StrEnum):
    """Processors that trials can run on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precisions(StrEnum):
    """Number formats of the networks in training."""

    float32 = "float32"
    bf16 = "bf16"


def run(  # noqa: PLR0917 (typer makes options of parameters)
    study: Annotated[
        str | None,
        argument(
            does="Name of a study (`priorbench list studies`), or a TOML file with one. Options "
            "take the place of what it says.",
            default="the study `default`",
            example="short-motif",
        ),
    ] = None,
    priors: Annotated[
        str | None,
        option(
            does="Priors to compare, separated by commas, with options after colons, + for a sum; "
            "`none` is always added as the baseline.",
            default="the study's, or fourier,tv,l1,l2,dropout",
            example="fourier:boundary=reflect,tv+dropout",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        option(
            does="Prior that the others are compared with.",
            default="the study's, or none (no prior)",
            example="dropout",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        option(
            does="Seeds that every prior is trained with: a count, or a list separated by commas.",
            default="the study's, or 5",
            example="0,3,7",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    architectures: Annotated[
        str | None,
        option(
            does="Networks to train, separated by commas.",
            default="the study's, or the one that each task prefers",
            example="three-conv,bpnet",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        option(
            does="Weights of priors in the loss, separated by commas.",
            default="the study's, or each prior's own (`priorbench show PRIOR`)",
            example="fourier=1,l2=0.1",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    tune: Annotated[
        int | None,
        option(
            does="Number of weights of every prior to try first, on seeds of their own; one of "
            "them is chosen on validation data.",
            default="the study's, or 0, which tries none",
            example="5",
            min=0,
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    tuning_seeds: Annotated[
        str | None,
        option(
            does="Seeds of the trials that choose weights: a count, or a list separated by commas.",
            default="the study's, or 3",
            example="1000,1001",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    train_attribution: Annotated[
        str | None,
        option(
            does="Attribution that penalties see in training.",
            default="the study's, or input-x-gradient",
            example="expected-gradients",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    root_seed: Annotated[
        int | None,
        option(
            does="Number that all randomness is derived from, that of simulated data included.",
            default="the study's, or 0",
            example="1",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        option(
            does="Python file that defines a prior or a task of your own; may be given several "
            "times.",
            default="the study's, or none",
            example="my_prior.py",
            rich_help_panel=_COMPARED,
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        option(
            does="Tasks to learn, separated by commas, with options after colons; simulated unless "
            "a data file serves them.",
            default="the study's, or binary without --data",
            example="binary:fidelity=0.7,profile",
            rich_help_panel=_DATA,
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        option(
            does="Data of your own: a TOML file that describes them, or a folder of such files; "
            "may be given several times.",
            default="the study's, or simulated data",
            example="my.toml",
            rich_help_panel=_DATA,
        ),
    ] = None,
    scale: Annotated[
        options.Scales | None,
        option(
            does="Size of simulated data, network and training; a trial takes about ten seconds on "
            "one core at quick.",
            default="the study's, or quick",
            rich_help_panel=_DATA,
        ),
    ] = None,
    attributions: Annotated[
        str | None,
        option(
            does="Attributions of trained networks that are scored, separated by commas; reports "
            "show the first at first sight.",
            default="the study's, or input-x-gradient, with deep-lift-shap at standard and paper "
            "scale",
            example="input-x-gradient,deep-lift-shap",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    discovery: options.Discovery = False,
    report: options.Report = True,
    out: Annotated[
        Path | None,
        option(
            does="Run directory; a run in it goes on where it stopped.",
            default="runs/NAME-HASH, the same for the same study",
            example="runs/mine",
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = None,
    jobs: options.Jobs = None,
    device: Annotated[
        Devices | None,
        option(
            does="Processor that trials run on; auto takes a GPU where there is one.",
            default="the study's, or auto",
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = None,
    precision: Annotated[
        Precisions | None,
        option(
            does="Number format of the networks in training; losses, penalties and scores are "
            "float32 always.",
            default="the study's, or float32",
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = None,
    backend: options.Backend = Backends.loky,
    scheduler: options.Scheduler = None,
    ensemble: Annotated[
        int,
        option(
            does="Most trials of a prior that a process trains at once, which pays on a GPU.",
            default="1",
            example="16",
            min=1,
            rich_help_panel=WHERE_IT_RUNS,
        ),
    ] = 1,
) -> int:
    """Train priors against each other and write a report.

    Interrupted at any time, the same command does only what is missing.

    Example: priorbench run --priors fourier,tv --seeds 8 --data my.toml
    """
    values: dict[str, Any] = {
        "priors": options.read_names("priors", priors),
        "tasks": options.read_names("tasks", tasks),
        "architectures": options.read_names("architectures", architectures),
        "seeds": options.read_seeds("seeds", seeds),
        "scale": scale and str(scale),
        "weights": options.read_weights(weights),
        "tune": tune,
        "tuning_seeds": options.read_seeds("tuning-seeds", tuning_seeds),
        "train_attribution": train_attribution,
        "attributions": options.read_names("attributions", attributions),
        "baseline": baseline,
        "discovery": discovery or None,
        "data": [str(path) for path in options.find_data(data or [])],
        "plugins": [str(path.resolve()) for path in plugin or []],
        "root_seed": root_seed,
        "device": device and str(device),
        "precision": precision and str(precision),
    }
    changes = {key: value for key, value in values.items() if value not in (None, [])}
    requested = options.read_study(study, changes)
    from priorbench.backends.base import RunPlacement
    from priorbench.execution.environment import command_line
    from priorbench.workflow.run_study import RunConsole, run_study

    outcome = run_study(
        requested,
        out,
        placement=RunPlacement(str(backend), scheduler, jobs, ensemble),
        command=command_line(),
        console=RunConsole(print_message, trial_progress),
    )
    print_outcome(outcome, report=report)
    if outcome.statuses.get("failed"):
        print_message(
            "some trials failed: `priorbench status` says why, the same command tries again"
        )
        return 1
    return 0


def print_outcome(outcome: RunOutcome, *, report: bool) -> None:
    """Print how a run ended and where its results are; write its report if it is requested."""
    from priorbench.workflow.run_study import report_writer

    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    print_message(f"{counts}, {outcome.seconds:.0f} s")
    print(outcome.root / "results.csv")
    if report:
        page = outcome.root / "report.html"
        report_writer()([outcome.root], page)
        print(page)
