"""An entry: what is published of a run, or of several that were pooled, in a sealed file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from priorbench.storage.files import slug
from priorbench.storage.sealed_files import (
    DamagedFile,
    check_listed,
    read_sealed,
)
from priorbench.study.trial import hash_of

ENTRY_FILE, PAGE_FILE, REPORT_FILE = "entry.json", "index.html", "report.html"
_AGAIN = "publish its run again, or remove this folder"
"""what to do about an entry that is not as it was written"""
# names come from others: no folder, nothing hidden, nothing but what is written here
_FileName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.(csv|json|toml)(\.gz)?$|^report\.html$"),
]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """What is common to the parts of an entry."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AxisResult(_Part):
    """The result of a prior on the primary metric of an axis.

    Attributes:
        axis: the axis.
        metric: name of the metric.
        verdict: the verdict; "" where nothing was tested.
        baseline: mean of the baseline.
        mean: mean of the prior.
        gain: mean of the paired differences, positive where the prior is better.
        low: lower end of the interval of the gain; None where there is none.
        high: upper end of it.
        margin: the smallest loss that matters; None where none is known.
        p: adjusted p of no difference.
    """

    axis: str
    metric: str
    verdict: Literal["better", "worse", "equivalent", "non-inferior", "inconclusive", ""]
    baseline: float | None
    mean: float | None
    gain: float | None
    low: float | None
    high: float | None
    margin: float | None
    p: Annotated[float, Field(ge=0, le=1)] | None


class PriorInSetting(_Part):
    """A row of the table: a prior in a setting, against the baseline.

    Attributes:
        task: spec of the task.
        dataset: name of the dataset.
        architecture: spec of the architecture.
        prior: spec of the prior.
        weight: its weight; None where it has none, or several.
        standing: what is shown of it (``standing.STANDINGS``).
        seeds: the fewest paired seeds behind one of its results.
        failed: how many of its trials failed or collapsed.
        trials: how many trials it has.
        price: seconds per training step over those of ``none``; None where unknown.
        results: one for each axis with a primary metric.
    """

    task: str
    dataset: str
    architecture: str
    prior: str
    weight: float | None
    standing: str
    seeds: int
    failed: int
    trials: int
    price: float | None
    results: tuple[AxisResult, ...]


class SettingAnswer(_Part):
    """The sentences of an answer, about one setting or about all of them.

    Attributes:
        title: what it is about.
        network: what speaks against explaining the networks, or against a mean of them.
        sentences: the advice, what it rests on, and what was not shown.
    """

    title: str
    network: tuple[str, ...]
    sentences: tuple[str, ...]


class RunOfEntry(_Part):
    """A run that an entry is made of.

    Attributes:
        label: name of its folder.
        command: the command that repeats it, without places of its machine.
        date: day on which its results were written, in ISO 8601.
        seeds: its seeds.
        facts: its machine, by name.
        packages: versions of packages by name.
    """

    label: str
    command: str
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    seeds: tuple[int, ...]
    facts: dict[str, str]
    packages: dict[str, str]


class Entry(_Part):
    """What is published of a run.

    Attributes:
        kind: what the file is.
        title: name of the study.
        question: question that the study answers, or "".
        study: digest of what the study asks, its seeds and names of folders aside.
        baseline: spec of the prior that the others are compared with.
        scale: scale of the study.
        seeds: seeds of the evaluation.
        tuned: how many weights of every prior were tried; 0 where weights were not tuned.
        statuses: how many evaluation trials ended how.
        minutes: time of all trials.
        notes: what a reader must know of data, claims and looks.
        answers: of all settings together, where there are several, then of each.
        rows: its rows of the table.
        runs: the runs that it is made of.
        agreed: what another run must have in common with it to be compared, by fact
            (``joinable.facts_to_share``).
        trials: ids of its trials.
        files: digests of the files beside it, by name.
    """

    kind: Literal["published run"] = "published run"
    title: str
    question: str
    study: str
    baseline: str
    scale: str
    seeds: tuple[int, ...]
    tuned: int
    statuses: dict[str, int]
    minutes: float
    notes: tuple[str, ...]
    answers: tuple[SettingAnswer, ...]
    rows: tuple[PriorInSetting, ...]
    runs: Annotated[tuple[RunOfEntry, ...], Field(min_length=1)]
    agreed: dict[str, Any]
    trials: Annotated[tuple[str, ...], Field(min_length=1)]
    files: dict[_FileName, tuple[_Digest]]

    @cached_property
    def name(self) -> str:
        """Name of its folder, which is that of all its contents: others have another one."""
        return f"{slug(self.title)}-{hash_of(self.model_dump(mode='json'))[:8]}"

    def covers(self, other: Entry) -> bool:
        """Return whether it is of the same study as another, and has all of its trials."""
        return self.study == other.study and set(other.trials) <= set(self.trials)


def read_entry(folder: Path) -> Entry:
    """Return the entry in a folder, all of whose files are as they were written.

    Raises:
        DamagedFile: if one of them is not, or the folder holds no entry.
    """
    path = folder / ENTRY_FILE
    try:
        contents = read_sealed(path)
        entry = Entry.model_validate(_without_seal(contents))
        for name in entry.files:
            check_listed(folder / name, entry.files)
    except DamagedFile as problem:
        raise DamagedFile(problem.path, problem.problem, _AGAIN) from None
    except ValidationError as error:
        place = re.sub(r"\W+", ".", ".".join(map(str, error.errors()[0]["loc"])))[:60]
        raise DamagedFile(path, f"is no entry of a published run ({place})", _AGAIN) from None
    return entry


def _without_seal(contents: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in contents.items() if key not in ("format", "sha256")}
