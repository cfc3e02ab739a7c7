"""The commands `run` and `score`: options and a study file become a study, which is carried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from priorbench.components.architecture import Precision, Scale
from priorbench.errors import UserError
from priorbench.storage.sealed_files import command_on

from . import options
from .console import print_answer, print_message, trial_progress, wants_tracebacks

if TYPE_CHECKING:
    from priorbench.workflow.run_study import RunOutcome

MOST_AT_ONCE = 100_000
"""most trials that are asked for at once, on a cluster of any size"""


def run(
    study: str | None = None,
    *,
    priors: str | None = None,
    baseline: str | None = None,
    seeds: str | None = None,
    architectures: str | None = None,
    weights: str | None = None,
    tune: Annotated[int | None, {"min": 0}] = None,
    tuning_seeds: str | None = None,
    train_attribution: str | None = None,
    root_seed: int | None = None,
    plugin: list[Path] | None = None,
    tasks: str | None = None,
    data: list[Path] | None = None,
    scale: Scale | None = None,
    attributions: str | None = None,
    discovery: bool = False,
    keep_hypothetical: bool = False,
    report: bool = True,
    log: Literal["csv", "tensorboard", "wandb"] | None = None,
    out: Path | None = None,
    jobs: Annotated[int | None, {"min": 1, "max": MOST_AT_ONCE}] = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    precision: Precision | None = None,
    backend: Literal["loky", "dask", "ray"] = "loky",
    scheduler: str | None = None,
    ensemble: Annotated[int, {"min": 1, "max": MOST_AT_ONCE}] = 1,
) -> int:
    """Train priors against each other and write a report.

    Interrupted at any time, the same command does only what is missing.

    Example: priorbench run --priors fourier,tv --seeds 8 --data my.toml

    Args:
        study: Name of a study (`priorbench list studies`), a TOML file with one, or the directory
            of a run, which goes on and is repaired. Options take the place of what it says.
            Default: the study `default`. Example: short-motif

    What is compared:
        priors: Priors to compare, separated by commas, with options after colons, + for a sum;
            `none` is always added as the baseline. Default: the study's, or
            fourier,tv,l1,l2,dropout. Example: fourier:boundary=reflect,tv+dropout
        baseline: Prior that the others are compared with. Default: the study's, or none (no
            prior). Example: dropout
        seeds: Seeds that every prior is trained with: a count, a list separated by commas, or a
            range such as 100-107. More of them in the run directory of an earlier run are a further
            look at it. Default: the study's, or 8. Example: 0,3,7
        architectures: Networks to train, separated by commas; or `auto`, which trains every network
            that fits once and takes the one with the lowest validation loss; or `default`, the one
            that each task prefers. Default: the study's, or auto for data of your own and default
            for simulated data. Example: three-conv,bpnet
        weights: Weights of priors in the loss, separated by commas. Default: the study's, or each
            prior's own (`priorbench show PRIOR`). Example: fourier=1,l2=0.1
        tune: Number of weights of every prior to try first, on seeds of their own; one of them is
            chosen on validation data. Default: the study's, or 0, which tries none. Example: 5
        tuning_seeds: Seeds of the trials that choose weights, the first also of those that choose
            a network: a count, a list separated by commas, or a range. Default: the study's, or 3.
            Example: 1000,1001
        train_attribution: Attribution that penalties see in training. Default: the study's, or
            input-x-gradient. Example: expected-gradients
        root_seed: Number that all randomness is derived from, that of simulated data included.
            Default: the study's, or 0. Example: 1
        plugin: Python file that defines a prior, a task or a network of your own; may be given
            several times. Default: the study's, or none. Example: my_prior.py

    Data:
        tasks: Tasks to learn, separated by commas, with options after colons; simulated unless a
            data file serves them. Default: the study's, or binary without --data. Example:
            binary:fidelity=0.7,profile
        data: Data of your own: a TOML file that describes them, or a folder of such files; may be
            given several times. Default: the study's, or simulated data. Example: my.toml
        scale: Size of simulated data, network and training; a trial takes a few seconds on one
            core at quick. Default: the study's, or quick.

    How it is measured:
        attributions: Attributions of trained networks that are scored, separated by commas;
            reports show the first at first sight. Default: the study's, or input-x-gradient, with
            deep-lift-shap at standard and paper scale. Example: input-x-gradient,deep-lift-shap

        log: What to hand the losses of every epoch on to, when a trial has ended: losses.csv in the
            run directory, TensorBoard, or Weights & Biases. Default: none. Example: csv

    Where it runs:
        out: Run directory; a run in it goes on where it stopped. Default: runs/NAME-HASH, the same
            for the same study. Example: runs/mine
        device: Processor that trials run on; auto takes a GPU where there is one. Default: the
            study's, or auto.
        precision: Number format of the networks in training; losses, penalties and scores are
            float32 always. Default: the study's, or float32.
        ensemble: Most trials of a prior that a process trains at once, which pays on a GPU.
            Default: 1. Example: 16
    """
    values: dict[str, Any] = {
        "priors": options.read_names("priors", priors),
        "tasks": options.read_names("tasks", tasks),
        "architectures": options.read_names("architectures", architectures),
        "seeds": options.read_seeds("seeds", seeds),
        "scale": scale,
        "weights": options.read_weights(weights),
        "tune": tune,
        "tuning_seeds": options.read_seeds("tuning-seeds", tuning_seeds),
        "train_attribution": train_attribution,
        "attributions": options.read_names("attributions", attributions),
        "baseline": baseline,
        "discovery": discovery or None,
        "keep_hypothetical": keep_hypothetical or None,
        "data": [options.as_text(path) for path in options.find_data(data or [])],
        "plugins": [options.as_text(path.resolve()) for path in plugin or []],
        "root_seed": root_seed,
        "device": device,
        "precision": precision,
    }
    changes = {key: value for key, value in values.items() if value not in (None, [])}
    from priorbench.study.study import BASELINE, DECIDES_CHOICE
    from priorbench.study.tuning_rule import FIRST_SEED

    if set(DECIDES_CHOICE) & changes.keys():
        changes["chosen_architectures"] = {}
    requested, folder = options.read_study(study, changes)
    if set(requested.priors) <= {BASELINE}:
        print_message(f"only {BASELINE} is trained, so nothing is compared; name --priors to do so")
    if FIRST_SEED in requested.seed_list:  # it may have chosen the network, and is evaluated now
        requested = requested.model_copy(update={"chosen_architectures": {}})
    if log:
        from priorbench.results.training_log import require_log

        require_log(log)
    from priorbench.backends.base import RunPlacement
    from priorbench.backends.environment import command_line
    from priorbench.workflow.run_study import RunConsole, run_study

    outcome = run_study(
        requested,
        out or folder,
        placement=RunPlacement(backend, scheduler, jobs, ensemble),
        command=command_line(),
        console=RunConsole(print_message, trial_progress, log, wants_tracebacks()),
    )
    print_outcome(outcome, report=report)
    if outcome.statuses.get("failed"):
        print_message(
            f"some trials failed: {command_on(outcome.root, 'status')} says why, the same command "
            "tries again"
        )
        return 1
    return 0


def score(
    directory: Path | None = None,
    *,
    model: str | None = None,
    weights: list[str] | None = None,
    layout: Literal["B4L", "BL4"] | None = None,
    plugin: list[Path] | None = None,
    tasks: str | None = None,
    data: list[Path] | None = None,
    scale: Scale | None = None,
    root_seed: int | None = None,
    attributions: str | None = None,
    discovery: bool = False,
    keep_hypothetical: bool = False,
    report: bool = True,
    out: Path | None = None,
    jobs: Annotated[int | None, {"min": 1, "max": MOST_AT_ONCE}] = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    backend: Literal["loky", "dask", "ray"] = "loky",
    scheduler: str | None = None,
) -> int:
    """Score a run's trained models where a score is missing, or networks trained elsewhere.

    Nothing is trained. With --model, --weights and data, networks in files of
    weights are scored, their groups compared, and a run directory is written.

    Example: priorbench score runs/default-1a2b3c4d --attributions deep-lift-shap

    Args:
        directory: Run directory, as `run` or `score` wrote it; with --weights, one of networks
            trained elsewhere, to which more are added. Default: none, with --model. Example:
            runs/default-1a2b3c4d

    What is compared:
        model: What builds networks that were trained elsewhere: module and function, found in the
            working directory too; the function is given the sizes that it needs by name (length,
            outputs, profile, controls, or shape, which has all of them). Default: none. Example:
            my_models:make_model
        weights: Weights of such networks, as GROUP=FILE or FILE; a folder or a quoted pattern
            stands for several files, and may be given several times. The first group is the
            baseline; networks are paired by the number in their names (seed, fold), or by that of
            GROUP:NUMBER=FILE. Default: none. Example: 'fourier=models/fourier_*.pt'
        layout: Order of dimensions of the sequences that the model takes: examples, bases,
            positions (B4L), or examples, positions, bases (BL4). Default: B4L.
        plugin: Python file that defines a task of your own; may be given several times. Default:
            none. Example: my_task.py

    Data:
        tasks: Tasks that the networks are scored on, simulated unless a data file serves them,
            separated by commas. Default: those of --data. Example: binary:attributed=probability
        data: Data of your own, of which the test data are used: a TOML file that describes them,
            or a folder of such files; may be given several times. Default: none. Example: my.toml
        scale: Size of simulated data, and number of sequences that networks are probed with.
            Default: quick.
        root_seed: Number that simulated data are derived from. Default: 0. Example: 1

    How it is measured:
        attributions: Attributions to score, of a run beside those that it has, separated by
            commas. Default: of networks trained elsewhere as in `run`, of a run none more. Example:
            deep-lift-shap

    Where it runs:
        out: Run directory of networks trained elsewhere; they are added to those that it holds.
            Default: runs/NAME-HASH, the same for the same model and data. Example: runs/mine
        device: Processor that networks trained elsewhere are scored on; auto takes a GPU where
            there is one. Default: auto.
    """
    from priorbench.backends.base import RunPlacement
    from priorbench.study.study import Measurements
    from priorbench.workflow.run_study import RunConsole
    from priorbench.workflow.score_run import score_run

    values: dict[str, Any] = {
        "model": model,
        "layout": layout,
        "plugin": plugin,
        "tasks": tasks,
        "data": data,
        "scale": scale,
        "root-seed": root_seed,
        "out": out,
        "device": device,
    }
    _refuse_mixed(directory, weights, [f"--{key}" for key, value in values.items() if value])
    more = Measurements(
        options.read_names("attributions", attributions), discovery, keep_hypothetical
    )
    placement = RunPlacement(backend, scheduler, jobs)
    console = RunConsole(print_message, trial_progress)
    if directory is not None and not weights:
        outcome = score_run(directory, more, placement=placement, console=console)
    else:
        from priorbench.backends.environment import command_line
        from priorbench.workflow.networks.score_networks import score_networks

        values |= {
            "plugins": [options.as_text(path.resolve()) for path in plugin or []],
            "data": [options.as_text(path) for path in options.find_data(data or [])],
            "tasks": options.read_names("tasks", tasks),
            "root_seed": root_seed,
        }
        outcome = score_networks(
            options.read_networks(directory, values, more),
            weights or [],
            out or directory,
            placement=placement,
            console=console,
            command=command_line(),
        )
    print_outcome(outcome, report=report)
    return 1 if outcome.unscored else 0


def _refuse_mixed(directory: Path | None, weights: list[str] | None, given: list[str]) -> None:
    """Raise UserError if options of networks trained elsewhere are incomplete, or not of a run."""
    if directory is not None and given:
        also = "--weights adds to it" if "--model" in given else "a run keeps what it has"
        raise UserError(f"{given[0]}: does not go with a run directory; {also}")
    if directory is None and "--model" not in given:
        raise UserError(
            "DIRECTORY: is missing; name a run directory, or --model and --weights of networks "
            "that were trained elsewhere"
        )
    if directory is None and not weights:
        raise UserError("--weights: is missing; name files of weights, such as GROUP=FILE")


def print_outcome(outcome: RunOutcome, *, report: bool) -> None:
    """Print how a run ended and where its results are; write its report if it is requested."""
    from priorbench.components.registry import reports_package

    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    print_message(f"{counts}, {outcome.seconds:.0f} s")
    print_answer(outcome.answer)
    print(outcome.root / "results.csv")
    if report:
        page = outcome.root / "report.html"
        reports_package().write_report([outcome.root], page)
        print(page)
