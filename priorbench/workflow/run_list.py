"""The runs in a folder, from a few small files of each and without a look at any trial."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priorbench.errors import UserError
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import MANIFEST
from priorbench.study.recorded_study import (
    ANSWER_FILE,
    FACTS_FILE,
    PLAN_FILE,
    planned_rows,
    recorded_study,
)
from priorbench.study.study import BASELINE, STUDY_FILE

from .run_name import compared_in_words

_MARKS = (MANIFEST, PLAN_FILE, STUDY_FILE, FACTS_FILE, "trials")
"""names of which a run directory has two at least; one of them may be a user's, beside runs"""
_CHANGING = (STUDY_FILE, PLAN_FILE, "trials", "results.csv", ANSWER_FILE)
"""what changes when a run goes on"""


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        path: the run directory.
        changed: time of its last change, in seconds since 1970.
        name: name of the study.
        compared: what is compared, in words.
        priors: specs of the priors, the baseline included.
        tasks: specs of the tasks that the study names.
        data: the study's data files.
        seeds: the seeds.
        scale: the scale of the study.
        planned: how many trials are planned so far.
        ended: how many of them have ended, whether they failed or not.
        answer: first sentence of the answer, after "So far: " where trials are missing; "" where
            there is none yet.
        problem: what is wrong with the folder; "" where nothing is.
    """

    path: Path
    changed: float
    name: str = ""
    compared: str = ""
    priors: Sequence[str] = ()
    tasks: Sequence[str] = ()
    data: Sequence[str] = ()
    seeds: Sequence[int] = ()
    scale: str = ""
    planned: int = 0
    ended: int = 0
    answer: str = ""
    problem: str = ""


def list_runs(folder: Path) -> list[ListedRun]:
    """Return the runs in a folder, or the run that it is itself, the last changed first.

    What is no run is left out; a damaged run says what is wrong with it.

    Raises:
        UserError: if there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name one that holds runs")
    paths = [folder] if _is_run(folder) else [path for path in folder.iterdir() if _is_run(path)]
    return sorted(map(_listed_run, paths), key=lambda run: (-run.changed, run.path.name))


def _is_run(path: Path) -> bool:
    return sum(os.path.exists(path / name) for name in _MARKS) > 1


def _listed_run(path: Path) -> ListedRun:
    changed = max(_times(path), default=0.0)
    try:
        run = RunDirectory(path)
        study = _study(recorded_study(run))
        planned, ended = _trials(run)
        answer = _answer(run)
        if answer and ended < planned:  # that of fewer seeds, or of trials that are gone
            answer = f"So far: {answer}"
        return ListedRun(path, changed, **study, planned=planned, ended=ended, answer=answer)
    except (OSError, UserError) as error:
        problem = str(error).removeprefix(str(path)).lstrip(f"{os.sep}: ")
        return ListedRun(path, changed, problem=problem)


def _times(path: Path) -> Iterator[float]:
    for name in _CHANGING:
        try:
            yield os.stat(path / name).st_mtime
        except OSError:
            continue


def _study(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run that its study holds."""
    priors = [prior for prior in values["priors"] if prior != BASELINE] or [BASELINE]
    places = [*(Path(file).stem for file in values["data"]), *values["tasks"]]
    kept = {key: values[key] for key in ("name", "priors", "tasks", "data", "seeds", "scale")}
    return {**kept, "compared": compared_in_words(priors, places, values["seeds"])}


def _trials(run: RunDirectory) -> tuple[int, int]:
    """Return how many trials are planned so far, and how many of them have ended."""
    planned = {row["trial"] for row in planned_rows(run)}
    try:
        there = set(os.listdir(run.trials))
    except FileNotFoundError:
        there = set()
    return len(planned), len(planned & there)


def _answer(run: RunDirectory) -> str:
    """Return the first sentence of what answer.json says of all settings, or of the first."""
    if ANSWER_FILE not in run.manifest:
        return ""
    answer = json.loads(run.manifest.read(ANSWER_FILE))
    answers = [answer["together"]] if answer["together"] else answer["settings"]
    sentences = [str(sentence) for part in answers[:1] for sentence in part["sentences"]]
    return sentences[0].replace("`", "") if sentences else ""
