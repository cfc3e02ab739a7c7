"""The runs in a folder, from a few small files of each and without a look at any trial."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priorbench.errors import UserError
from priorbench.study.study import BASELINE, read_toml

from .run_name import compared_in_words

_MARKS = ("study.toml", "plan.csv")
"""files of which a run directory has one at least"""
_CHANGING = (*_MARKS, "trials", "results.csv", "answer.json")
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
        answer: first sentence of the answer; "" where there is none yet.
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
    return any(os.path.isfile(path / name) for name in _MARKS)


def _listed_run(path: Path) -> ListedRun:
    changed = max(_times(path), default=0.0)
    try:
        values = read_toml(path / "study.toml")
        planned, ended = _trials(path)
        return ListedRun(
            path, changed, **_study(values), planned=planned, ended=ended, answer=_answer(path)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UserError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        problem = str(what).removeprefix(f"{path}{os.sep}") or type(error).__name__
        return ListedRun(path, changed, problem=" ".join(problem.split()))


def _times(path: Path) -> Iterator[float]:
    for name in _CHANGING:
        try:
            yield os.stat(path / name).st_mtime
        except OSError:
            continue


def _study(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run that study.toml holds."""
    strings = {
        key: [str(item) for item in _as_list(values, key)] for key in ("priors", "tasks", "data")
    }
    seeds = [int(seed) for seed in _as_list(values, "seeds")]
    priors = [prior for prior in strings["priors"] if prior != BASELINE] or [BASELINE]
    places = [*(Path(file).stem for file in strings["data"]), *strings["tasks"]]
    if not places or not seeds:
        raise ValueError("study.toml: no task and no data, or no seeds")
    return {
        "name": str(values["name"]),
        "compared": compared_in_words(priors, places, seeds),
        **strings,
        "seeds": seeds,
        "scale": str(values["scale"]),
    }


def _as_list(values: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(values.get(key), list):
        raise ValueError(f"study.toml: {key} is no list")
    return list(values[key])


def _trials(path: Path) -> tuple[int, int]:
    """Return how many trials are planned so far, and how many of them have ended."""
    try:
        text = (path / "plan.csv").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0, 0
    header, *rows = text.splitlines() or [""]
    if header.partition(",")[0] != "trial":
        raise ValueError("plan.csv: its first column is not trial")
    planned = {row.partition(",")[0] for row in rows}
    try:
        there = set(os.listdir(path / "trials"))
    except FileNotFoundError:
        there = set()
    return len(planned), len(planned & there)


def _answer(path: Path) -> str:
    """Return the first sentence of what answer.json says of all settings, or of the first."""
    try:
        answer = json.loads((path / "answer.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except ValueError:
        raise ValueError("answer.json: not valid JSON") from None
    answers = [answer["together"]] if answer["together"] else answer["settings"]
    sentences = [str(sentence) for part in answers[:1] for sentence in part["sentences"]]
    return sentences[0].replace("`", "") if sentences else ""
