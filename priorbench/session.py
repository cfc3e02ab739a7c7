"""One `priorbench run`: from a study to a finished run directory."""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import registry
from .choosing import TUNING_FILE, choose_weights, chosen_weights, told
from .contracts import Task
from .discovery import require_modisco
from .engines import LOKY, Crew, Machines, open_engine
from .environment import environment
from .errors import UserError
from .forecast import forecast
from .pages import reports_package
from .plan import Plan, make_plan, read_plan, resolve, with_evaluation
from .results import as_csv, task_options, write_results
from .runner import Event, Pending, grouped_jobs, pending, run_pending
from .store import FAILED, RunDirectory, slug, write_json, write_text
from .study import ABOUT, CHOOSING, MEASURED, Study, Wanted, first_difference, read_toml
from .trial import EVALUATE, TUNE, hash_of

_PATIENCE = 30.0  # seconds, with a forecast
PLAN_COLUMNS = ("trial", "stage", "task", "dataset", "architecture", "prior", "weight", "seed")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        root: the run directory.
        statuses: trials by status, all of the plan.
        seconds: wall time of this call.
        unscored: trained trials that could not be scored again.
    """

    root: Path
    statuses: Mapping[str, int]
    seconds: float
    unscored: int = 0


@dataclass(frozen=True)
class Console:
    """Where a run tells what it does.

    Attributes:
        say: called with a line.
        progress: called with the number of pending trials; gives a callback for ended trials.
    """

    say: Callable[[str], None]
    progress: Callable[[int], Any]


def run_study(
    study: Study, out: Path | None, *, machines: Machines, command: str, console: Console
) -> Outcome:
    """Run what is missing of a study and write its results.

    Args:
        study: as the user wrote it.
        out: the run directory; None for ``runs/NAME-HASH``, the same for the same study.
        machines: where trials run.
        command: what to record as the command that repeats this.
        console: where to tell.

    Raises:
        UserError: for input that cannot be used, an ``out`` that holds another study, or machines
            that cannot be had.
    """
    started = time.monotonic()
    with closing(open_engine(machines, console.say)) as engine:
        device = engine.device(study.device)
        local = machines.backend == LOKY
        crew = Crew(engine, device, machines.ensemble, local and study.device == "auto")
        console.say(f"device: {device.told()}")
        resolved = resolve(study, device.kind)
        run = RunDirectory(
            out or Path("runs") / f"{slug(study.name)}-{hash_of(_identity(resolved))[:8]}"
        )
        _refuse_other_study(run.root, resolved)
        resolved = _with_what_was_asked(run.root, resolved, console)
        with _cleared_if_refused(run.root), run.lock():
            plan = make_plan(resolved, run, console.say)
            for name, notes in plan.notes.items():
                for note in notes:
                    console.say(f"{name}: {note}")
            write_text(run.root / "study.toml", resolved.to_toml())
            facts = {**environment(device.kind, device.slots), **engine.facts()}
            write_json(run.root / "environment.json", {**facts, **_about(plan, run, command)})
            if resolved.tune:
                plan = _tune(plan, run, crew, console)
            write_plan(plan, run)
            # tuning trials that failed were tried again before weights were chosen, not after
            todo = pending(plan.of_stage(EVALUATE), run)
            _run_stage(plan, EVALUATE, todo, run, crew=crew, console=console)
            statuses = write_results(plan, run)
    return Outcome(run.root, statuses, time.monotonic() - started)


def _about(plan: Plan, run: RunDirectory, command: str) -> dict[str, Any]:
    """What environment.json says of a plan."""
    # a plug-in is known to the study that ran it, not to every reader of its report
    priors = {spec: registry.prior_facts(spec) for spec in plan.study.priors}
    tasks = dict.fromkeys(setting.source.task for setting in plan.settings)
    return {
        "command": command,
        "datasets": {
            name: str(folder.relative_to(run.root)) for name, folder in plan.datasets.items()
        },
        "notes": plan.notes,
        "priors": priors,
        "tasks": {task: _task_facts(task) for task in tasks},
    }


def _tune(plan: Plan, run: RunDirectory, crew: Crew, console: Console) -> Plan:
    """Run what is missing of the tuning trials, choose, and plan the evaluation."""
    todo = pending(plan, run)
    if todo:
        write_plan(plan, run)
    _run_stage(plan, TUNE, todo, run, crew=crew, console=console)
    choices = choose_weights(plan, run)
    write_text(run.root / TUNING_FILE, as_csv(choices))
    for line in told(choices):
        console.say(line)
    return with_evaluation(plan, chosen_weights(choices))


def _run_stage(
    plan: Plan,
    stage: str,
    todo: Sequence[Pending],
    run: RunDirectory,
    *,
    crew: Crew,
    console: Console,
) -> None:
    """Run what is missing of one stage, with a word about how much that is."""
    what = "tuning trials" if stage == TUNE else "trials"
    count = len(plan.of_stage(stage).trials)
    console.say(f"{count} {what}, {len(todo)} to run, in {run.root}")
    if crew.forecasts:
        _say_rate(plan, todo, run, crew, console)
    notes: Counter[str] = Counter()
    with console.progress(len(todo)) as ended:

        def note(event: Event) -> None:
            if event.note:
                notes[event.note] += 1
            ended(event)

        run_pending(plan, run, todo, crew=crew, ended=note)
    for text, count in notes.items():
        console.say(f"of trials that should have trained at once {text} ({count} x)")


def _say_rate(
    plan: Plan, todo: Sequence[Pending], run: RunDirectory, crew: Crew, console: Console
) -> None:
    new = [one for one in todo if not one.again]
    slots = crew.device.slots
    if plan.study.scale == "smoke" or len(new) <= slots:
        return  # the first has ended before it is known
    found = forecast(grouped_jobs(plan, run, new, crew), slots, _PATIENCE)
    if found is not None:
        # to two digits: 1,200, or 0.27
        told = f"{float(f'{found.rate:.2g}'):,.10g}"
        without = "" if found.scored else ", scoring not counted"
        console.say(
            f"expected: about {told} trials an hour, by a few steps of each prior{without}; more "
            "where training ends early"
        )


def score_run(root: Path, more: Wanted, *, machines: Machines, console: Console) -> Outcome:
    """Score the trained models of a run where a score is missing or by other code than the present.

    Args:
        root: the run directory.
        more: what is measured beside what the study asks for.
        machines: where it is done.
        console: where to tell.

    Raises:
        UserError: if the folder holds no run, for unknown attributions, or while another process
            is running in it.
    """
    started = time.monotonic()
    run = RunDirectory(root)
    plan = read_plan(run, more)
    unscored = 0
    with closing(open_engine(machines, console.say)) as engine, run.lock():
        crew = Crew(engine, engine.device(plan.study.device))
        todo = pending(plan, run)
        console.say(f"{len(plan.trials)} trained trials, {len(todo)} to score, in {root}")
        with console.progress(len(todo)) as ended:

            def count(event: Event) -> None:
                nonlocal unscored
                unscored += event.status == FAILED
                ended(event)

            run_pending(plan, run, todo, crew=crew, ended=count)
        write_text(root / "study.toml", plan.study.to_toml())
        everything = read_plan(run, trained=False)
        if plan.study.tune:
            _choose_again(everything, run, console)
        statuses = write_results(everything, run)
    return Outcome(root, statuses, time.monotonic() - started, unscored)


def _choose_again(plan: Plan, run: RunDirectory, console: Console) -> None:
    """Renew tuning.csv after scoring, unless the evaluation trials would no longer fit it.

    A run that has not come to its evaluation has chosen nothing yet.
    """
    evaluated = plan.of_stage(EVALUATE).trials
    if not evaluated:
        return
    choices = choose_weights(plan, run)
    chosen = chosen_weights(choices)
    if all(trial.weight == chosen[trial.block, trial.prior] for trial in evaluated):
        write_text(run.root / TUNING_FILE, as_csv(choices))
        return
    console.say(
        "by the new scores other weights would be chosen; `priorbench run "
        f"{run.root / 'study.toml'} --out {run.root}` trains them"
    )


def _task_facts(spec: str) -> dict[str, Any]:
    task: Task = registry.build("task", spec)
    return {
        "options": task_options(spec),
        "motif_length_option": type(task).motif_length_option,
    }


def _identity(study: Study) -> dict[str, Any]:
    """What makes a study another one."""
    return study.model_dump(mode="json", exclude={*MEASURED, *CHOOSING, *ABOUT})


def _refuse_other_study(root: Path, study: Study) -> None:
    path = root / "study.toml"
    if not path.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            known = {".lock", "data", "trials"}
            if not root.is_dir() or any(item.name not in known for item in root.iterdir()):
                raise UserError(f"{root}: is not empty and not a run; choose another --out")
        return
    difference = first_difference(read_toml(path), _identity(study))
    if difference:
        shown = f"`priorbench compare {root} --baseline` shows another baseline, or "
        hint = shown if difference.startswith("baseline ") else ""
        raise UserError(f"{root}: holds another study: {difference}; {hint}choose another --out")


def _with_what_was_asked(root: Path, study: Study, console: Console) -> Study:
    """The study with the attributions and the discovery that the folder has been asked for before.

    Raises:
        UserError: for another main attribution, by which primary metrics were declared, or where
            TF-MoDISco is not installed any more.
    """
    if not (root / "study.toml").exists():
        return study
    old = read_toml(root / "study.toml")
    asked, discovery = old.get("attributions", []), bool(old.get("discovery", False))
    if asked and asked[0] != study.attributions[0]:
        raise UserError(
            f"{root}: primary metrics are those of attribution {asked[0]!r} there, and of "
            f"{study.attributions[0]!r} here; name {asked[0]!r} first, or choose another --out"
        )
    everything = list(dict.fromkeys([*asked, *study.attributions]))
    more = [spec for spec in everything if spec not in study.attributions]
    if discovery and not study.discovery:
        require_modisco()  # before trials fail for want of it
        more.append("discovery")
    if more:
        console.say(f"as asked of this folder before, scored too: {', '.join(more)}")
    return study.model_copy(
        update={"attributions": everything, "discovery": discovery or study.discovery}
    )


@contextmanager
def _cleared_if_refused(root: Path) -> Iterator[None]:
    """Leave no half-made run directory behind where the input turns out to be unusable."""
    existed, empty = root.exists(), not root.exists() or not any(root.iterdir())
    try:
        yield
    except (UserError, OSError):
        if empty and not (root / "study.toml").exists():
            shutil.rmtree(root / "data", ignore_errors=True)
            (root / ".lock").unlink(missing_ok=True)
            if not existed:
                root.rmdir()
        raise


def write_plan(plan: Plan, run: RunDirectory) -> None:
    """Write plan.csv: which trials there are, in the order in which they are run."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PLAN_COLUMNS)
    for t in plan.trials:
        writer.writerow(
            [t.id, t.stage, t.task, t.dataset, t.architecture, t.prior, t.weight, t.seed]
        )
    write_text(run.root / "plan.csv", buffer.getvalue())


def report_writer() -> Callable[[Sequence[Path], Path], None]:
    """The function that writes the report, found like every other component."""
    write: Callable[[Sequence[Path], Path], None] = reports_package().write_report
    return write
