"""A run directory before and while a study is carried out in it: what it holds, and its plan."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from priorbench.comparison.option_trends import task_options
from priorbench.components import registry
from priorbench.errors import UserError
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import MANIFEST
from priorbench.study.plan import Plan
from priorbench.study.recorded_study import PLAN_FILE, study_to_continue
from priorbench.study.resolve import require_modisco
from priorbench.study.sealed_claims import CLAIMS_FILE
from priorbench.study.study import STUDY_FILE, Study, first_difference, identity_of

PLAN_COLUMNS = ("trial", "stage", "task", "dataset", "architecture", "prior", "weight", "seed")


def recorded_there(run: RunDirectory) -> dict[str, Any] | None:
    """Return the fields of the study that a folder holds, None if it holds none yet.

    Raises:
        UserError: if nobody can tell which study that is, or the files are not a run's.
    """
    root, recorded = run.root, study_to_continue(run)
    if recorded is None:
        # what a process leaves that dies before it has recorded the study
        known = {"data", MANIFEST, CLAIMS_FILE}
        names = {path.name for path in root.iterdir()} if root.is_dir() else set()
        others = {name for name in names - known if not name.startswith(".")}
        if others or (root.exists() and not root.is_dir()):
            raise UserError(f"{root}: is not empty and not a run; choose another --out")
        return None
    return recorded


def refuse_other(root: Path, recorded: Mapping[str, Any] | None, study: Study) -> None:
    """Raise UserError if a folder holds another study.

    Args:
        root: the folder.
        recorded: fields of the study that it holds; None if it holds none yet.
        study: the study, resolved.
    """
    difference = first_difference(recorded, identity_of(study)) if recorded else ""
    if difference:
        shown = f"`priorbench compare {root} --baseline` shows another baseline, or "
        hint = shown if difference.startswith("baseline ") else ""
        raise UserError(f"{root}: holds another study: {difference}; {hint}choose another --out")


def with_earlier_measurements(
    old: Mapping[str, Any] | None, study: Study, root: Path, say: Callable[[str], None]
) -> Study:
    """Return the study with all that its folder was measured by before.

    Raises:
        UserError: if the main attribution, by which primary metrics were declared, is another one,
            or TF-MoDISco is not installed any more.
    """
    if old is None:
        return study
    earlier = old.get("attributions", [])
    switches = {key: bool(old.get(key)) for key in ("discovery", "keep_hypothetical")}
    if earlier and earlier[0] != study.attributions[0]:
        raise UserError(
            f"{root}: primary metrics are those of attribution {earlier[0]!r} there, and of "
            f"{study.attributions[0]!r} here; name {earlier[0]!r} first, or choose another --out"
        )
    attributions = list(dict.fromkeys([*earlier, *study.attributions]))
    more = [spec for spec in attributions if spec not in study.attributions]
    if switches["discovery"]:
        require_modisco()  # else every trial would fail
    more += [key.replace("_", "-") for key in switches if switches[key] and not getattr(study, key)]
    if more:
        say(f"as asked of this folder before, scored too: {', '.join(more)}")
    kept = {key: value or getattr(study, key) for key, value in switches.items()}
    return study.model_copy(update={"attributions": attributions, **kept})


@contextmanager
def begun(run: RunDirectory) -> Iterator[None]:
    """Hold the lock of a run directory; one that has only begun is removed if input is refused.

    Raises:
        UserError: another process is running in it, or its file system has no locks.
    """
    existed = run.root.exists()
    with run.lock():
        empty = {path.name for path in run.root.iterdir()} <= {".lock"}
        try:
            yield
        except (UserError, OSError):
            if empty and not (run.root / STUDY_FILE).exists():
                shutil.rmtree(run.root / "data", ignore_errors=True)
                (run.root / ".lock").unlink(missing_ok=True)
                if not existed:
                    with suppress(OSError):  # the first error says more
                        run.root.rmdir()
            raise


def data_facts(plan: Plan, run: RunDirectory) -> dict[str, Any]:
    """Return what environment.json says of the data of a plan that was just made."""
    tasks = dict.fromkeys(setting.source.task for setting in plan.settings)
    return {
        "datasets": {
            name: str(folder.relative_to(run.root)) for name, folder in plan.datasets.items()
        },
        "digests": {plan.datasets[s.data_key].name: s.digest for s in plan.settings},
        "notes": plan.notes,
        "warnings": plan.warnings,
        **({"variants": plan.variants} if plan.variants else {}),
        "tasks": {
            spec: {
                "options": task_options(spec),
                "motif_length_option": type(registry.build("task", spec)).motif_length_option,
            }
            for spec in tasks
        },
    }


def write_plan(plan: Plan, run: RunDirectory) -> None:
    """Write plan.csv, which lists all trials in the order in which they are run."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PLAN_COLUMNS)
    for t in plan.trials:
        writer.writerow(
            [t.id, t.stage, t.task, t.dataset, t.architecture, t.prior, t.weight, t.seed]
        )
    run.manifest.write({PLAN_FILE: buffer.getvalue()})
