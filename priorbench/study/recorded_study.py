"""What a run directory has recorded of its study: study.toml, environment.json and plan.csv.

All that reads them back does it here, where they are checked.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Mapping
from typing import Any

from priorbench.errors import UserError
from priorbench.storage.files import json_text
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile, command_on, of_other_version

from .study import STUDY_FILE, Study

FACTS_FILE, PLAN_FILE, ANSWER_FILE = "environment.json", "plan.csv", "answer.json"


def require_run(run: RunDirectory) -> None:
    """Raise UserError if a folder is no run directory, or one of an earlier version."""
    root = run.root
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name a run directory, as `run` names it")
    if run.manifest.exists():
        return
    if not (root / STUDY_FILE).is_file():
        raise UserError(
            f"{root}: no {STUDY_FILE} here, so this is not a run directory; "
            f"{command_on(root, 'runs')} lists the runs in a folder"
        )
    if not (run.trials.exists() or (root / FACTS_FILE).exists()):
        raise UserError(
            f"{root}: holds a study that was not run; {command_on(root / STUDY_FILE)} runs it, and "
            "says where"
        )
    try:
        earlier = "format" not in tomllib.loads((root / STUDY_FILE).read_text(encoding="utf-8"))
    except ValueError:
        earlier = False
    if earlier:
        raise UserError(
            f"{root}: {of_other_version(None)}{_version_there(run)}; that version reads it, and "
            f"`priorbench run {root / STUDY_FILE} --out OTHER` trains it anew"
        )


def _version_there(run: RunDirectory) -> str:
    """Return the version that an old environment.json names, in brackets; "" if there is none."""
    try:
        facts = json.loads((run.root / FACTS_FILE).read_bytes())
        return f" (version {facts['packages']['priorbench']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def recorded_study(run: RunDirectory) -> dict[str, Any]:
    """Return the fields of a run's study; those that came later are at their default.

    Raises:
        UserError: if the folder is no run directory.
        DamagedFile: if study.toml is not as it was written.
    """
    require_run(run)
    return _complete(tomllib.loads(run.manifest.read(STUDY_FILE).decode()))


def recorded_facts(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of a run's environment.json.

    Raises:
        UserError: if the folder is no run directory.
        DamagedFile: if the file is not as it was written.
    """
    require_run(run)
    facts: dict[str, Any] = json.loads(run.manifest.read(FACTS_FILE))
    return facts


def planned_rows(run: RunDirectory) -> list[dict[str, str]]:
    """Return the rows of a run's plan.csv, a trial each, by column; none before it is written.

    Raises:
        UserError: if the folder is no run directory.
        DamagedFile: if the file is not as it was written.
    """
    require_run(run)
    if PLAN_FILE not in run.manifest:
        return []
    text = run.manifest.read(PLAN_FILE).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def study_to_continue(run: RunDirectory) -> dict[str, Any] | None:
    """Return the fields of the study that a folder holds, None if it holds none yet.

    A damaged study.toml is made good by its copy in environment.json, and a damaged manifest by
    their agreement.

    Raises:
        UserError: if nobody can tell any more which study it was.
    """
    if not any((run.root / name).exists() for name in (STUDY_FILE, FACTS_FILE)):
        if run.trials.is_dir() and any(run.trials.iterdir()):
            raise _unknown_study(run)
        return None  # a process that died before it recorded the study had trained nothing
    require_run(run)
    try:
        return recorded_study(run)
    except DamagedFile:
        pass
    try:
        return _complete(recorded_facts(run)["study"])
    except DamagedFile:
        pass
    try:
        study = _complete(tomllib.loads((run.root / STUDY_FILE).read_text(encoding="utf-8")))
        copy = _complete(json.loads((run.root / FACTS_FILE).read_bytes())["study"])
    except (OSError, ValueError, KeyError, TypeError):
        raise _unknown_study(run) from None
    if study != copy or run.manifest.is_intact():  # which knows that both were changed
        raise _unknown_study(run)
    return study


def _unknown_study(run: RunDirectory) -> UserError:
    return UserError(
        f"{run.root}: neither {STUDY_FILE} nor its copy in {FACTS_FILE} is as it was written, so "
        "that nobody can tell which study this was; choose another --out"
    )


def record_study(run: RunDirectory, study: Study, facts: Mapping[str, Any] | None = None) -> None:
    """Write study.toml, and its copy in environment.json beside the facts that are there, or these.

    Raises:
        DamagedFile: if no facts are given, and those that are there are not as they were written.
    """
    facts = recorded_facts(run) if facts is None else facts
    copy = study.model_dump(mode="json")
    run.manifest.write(
        {STUDY_FILE: study.to_toml(), FACTS_FILE: json_text({**facts, "study": copy})}
    )


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in values.items() if key != "format"}
    return {**Study().model_dump(mode="json"), **fields}
