"""Makes the entry of a finished run, or of several that were pooled, with the files beside it."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from priorbench.results.chosen_networks import NETWORKS_FILE
from priorbench.results.chosen_weights import TUNING_FILE
from priorbench.results.finished_run import TABLES, Run
from priorbench.results.joinable import facts_to_share
from priorbench.results.tables import as_csv
from priorbench.storage.files import json_text
from priorbench.study.recorded_study import ANSWER_FILE, FACTS_FILE
from priorbench.study.sealed_claims import CLAIMS_FILE
from priorbench.study.study import (
    ABOUT,
    CHOOSING,
    MEASURED,
    RECORDED,
    STUDY_FILE,
)
from priorbench.study.trial import EVALUATE, REFERENCE, SETTING_COLUMNS, hash_of

from .entry import AxisResult, Entry, PriorInSetting, RunOfEntry, SettingAnswer
from .portable import PortableText, portable_command

_NOT_ASKED = ("name", "seeds", "device", "fetch", *MEASURED, *CHOOSING, *ABOUT, *RECORDED)
"""keys that may differ between runs of one study"""
_MACHINE = ("python", "platform", "processor", "cores", "device", "gpus", "threads_per_worker")
"""keys of environment.json that say what a run's times depend on"""
_SAID_BY_STUDY = ("scale", "root_seed", "digest", "train_attribution", "precision", "schedule")
"""fields of trials that runs of one study have in common, or that data stand for"""
_TOGETHER = "All settings together"


@dataclass(frozen=True, eq=False)
class RunToPublish:
    """A finished run, or several that were pooled, on the way to an entry.

    Attributes:
        run: the run.
    """

    run: Run

    @cached_property
    def study(self) -> str:
        """Digest of what the study asks, wherever its files are."""
        content = {key: value for key, value in self.run.study.items() if key not in _NOT_ASKED}
        for key in ("data", "plugins"):
            content[key] = [str(path).rpartition("/")[2] for path in content[key]]
        given = self.run.study.get("networks") or {}
        content["networks"] = {key: value for key, value in given.items() if key != "folder"}
        return hash_of(content)

    @cached_property
    def trials(self) -> tuple[str, ...]:
        """Ids of the trials, sorted."""
        return tuple(sorted(self.run.records))

    @property
    def label(self) -> str:
        """Names of its folders."""
        return " + ".join(self.run.parts)

    @cached_property
    def portable(self) -> PortableText:
        """What takes the places of its machine out of texts."""
        return PortableText([self.run, *self.run.parts.values()])

    @cached_property
    def agreed(self) -> dict[str, Any]:
        """What another run must have in common with it, by fact, as JSON gives it back."""
        facts: dict[str, Any] = {}
        for fact, value, _ in facts_to_share(self.run):
            about = fact.partition(" of ")[0]
            # a trial's id is a hash of the others
            if about != "the trial" and about not in _SAID_BY_STUDY:
                facts.setdefault(fact, value)
        plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        return plain

    def entry(self, files: Mapping[str, bytes]) -> Entry:
        """Return the entry, beside which these files are."""
        run, answer = self.run, self._answer
        ended = Counter(r["status"] for r in run.records.values() if r["stage"] == EVALUATE)
        return Entry(
            title=str(run.study["name"]),
            question=self.portable.clean(str(run.study["question"])),
            study=self.study,
            baseline=answer["baseline"],
            scale=run.study["scale"],
            seeds=tuple(run.study["seeds"]),
            tuned=run.study["tune"],
            statuses=dict(sorted(ended.items())),
            minutes=round(sum(r.get("seconds", 0) for r in run.records.values()) / 60, 1),
            notes=tuple(answer["notes"]),
            answers=tuple(_answers(answer)),
            rows=tuple(_rows(answer, run.results)),
            runs=tuple(_run_of_entry(part, self.portable) for part in run.parts.values()),
            agreed=self.agreed,
            trials=self.trials,
            files={name: (hashlib.sha256(data).hexdigest(),) for name, data in files.items()},
        )

    def files(self, *, packed: bool) -> dict[str, bytes]:
        """Return the files of an entry by name, the report aside.

        Args:
            packed: whether they are compressed, and of trials that only choose a network or a
                weight have the scores in primary metrics alone.
        """
        made = {ANSWER_FILE: json_text(self._answer).encode(), **self._tables()}
        for number, part in enumerate(self.run.parts.values(), start=1):
            for name, data in _own_files(part, self.portable).items():
                stem, _, ending = name.partition(".")
                made[name if number == 1 else f"{stem}-{number}.{ending}"] = data
        if packed:
            made["results.csv"] = as_csv(self._smaller_results()).encode()
            made = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in made.items()}
        return dict(sorted(made.items()))

    def _smaller_results(self) -> pd.DataFrame:
        """Return results.csv without what takes most room and no comparison is made of."""
        table, primary = self.run.results, self.run.study["primary"].values()
        kept = {metric for metrics in primary for metric in metrics.values()}
        smaller: pd.DataFrame = table[
            table["stage"].isin([EVALUATE, REFERENCE]) | table["metric"].isin(kept)
        ]
        return smaller

    @property
    def _joined(self) -> bool:
        return len(self.run.parts) > 1

    @cached_property
    def _answer(self) -> dict[str, Any]:
        if self._joined:
            answer = self.run.answer.to_json()
        else:
            answer = json.loads(self.run.directory.manifest.read(ANSWER_FILE))
        cleaned: dict[str, Any] = self.portable.clean_value(answer)
        return cleaned

    def _tables(self) -> dict[str, bytes]:
        """Return the tables that have rows: those of the run, or made of pooled trials."""
        if self._joined:
            run = self.run
            made = (run.results, run.comparisons, run.across, run.trends, run.published)
            tables = {**dict(zip(TABLES, made, strict=True)), TUNING_FILE: run.tuning}
            return {name: as_csv(table).encode() for name, table in tables.items() if len(table)}
        manifest = self.run.directory.manifest
        names = [*TABLES, TUNING_FILE, NETWORKS_FILE]
        return {name: manifest.read(name) for name in names if name in manifest}


def _own_files(run: Run, portable: PortableText) -> dict[str, bytes]:
    """Return what belongs to one run, also where its trials were pooled with those of others."""
    manifest = run.directory.manifest
    facts = {key: value for key, value in run.environment.items() if key != "study"}
    command = portable_command(str(facts.get("command", "")))
    facts = {**portable.clean_value(facts), "command": portable.clean(command)}
    study = portable.clean(manifest.read(STUDY_FILE).decode())
    files = {STUDY_FILE: study.encode(), FACTS_FILE: json_text(facts).encode()}
    if CLAIMS_FILE in manifest:
        files[CLAIMS_FILE] = manifest.read(CLAIMS_FILE)
    return files


def _run_of_entry(run: Run, portable: PortableText) -> RunOfEntry:
    facts = portable.clean_value(run.environment)
    written = (run.root / "results.csv").stat().st_mtime
    command = portable_command(str(run.environment.get("command", "")))
    return RunOfEntry(
        label=run.root.name,
        command=portable.clean(command),
        date=datetime.date.fromtimestamp(written).isoformat(),
        seeds=tuple(run.study["seeds"]),
        facts={key: _as_text(facts[key]) for key in _MACHINE if facts.get(key)},
        packages={str(name): str(version) for name, version in facts.get("packages", {}).items()},
    )


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _answers(answer: Mapping[str, Any]) -> Iterator[SettingAnswer]:
    for part in [*([answer["together"]] if answer["together"] else []), *answer["settings"]]:
        place = " · ".join(part[name] for name in SETTING_COLUMNS if name in part)
        yield SettingAnswer(
            title=place or _TOGETHER,
            network=tuple(part["network"]),
            sentences=tuple(part["sentences"]),
        )


def _rows(answer: Mapping[str, Any], results: pd.DataFrame) -> Iterator[PriorInSetting]:
    """Yield the rows of an answer, with the weights that results.csv has."""
    evaluated = results[results["stage"] == EVALUATE]
    arms = evaluated.drop_duplicates([*SETTING_COLUMNS, "prior", "weight"])
    weights: dict[tuple[str, ...], list[float]] = {}
    for *arm, weight in arms[[*SETTING_COLUMNS, "prior", "weight"]].itertuples(index=False):
        weights.setdefault(tuple(map(str, arm)), []).append(float(weight))
    better = results.drop_duplicates("metric").set_index("metric")["higher_is_better"]
    lower = {str(name) for name, higher in better.items() if str(higher) == "False"}
    for part in answer["settings"]:
        place = {name: part[name] for name in SETTING_COLUMNS}
        for prior in part["priors"]:
            own = weights.get((*place.values(), prior["prior"]), [])
            known = len(own) == 1 and math.isfinite(own[0])
            yield PriorInSetting(
                **place,
                prior=prior["prior"],
                weight=own[0] if known else None,
                standing=prior["standing"],
                seeds=prior["seeds"],
                failed=prior["failed"],
                trials=prior["trials"],
                price=prior["step_time_ratio"],
                results=tuple(_result(r, r["metric"] in lower) for r in prior["results"]),
            )


def _result(result: Mapping[str, Any], lower_is_better: bool) -> AxisResult:
    """Return a result of answer.json with its difference in the good direction."""
    ends = [result["difference"], *result["interval"]]
    if lower_is_better:
        difference, low, high = (None if end is None else -end for end in ends)
        ends = [difference, high, low]
    return AxisResult(
        **{key: result[key] for key in ("axis", "metric", "verdict", "baseline", "mean", "margin")},
        gain=ends[0],
        low=ends[1],
        high=ends[2],
        p=result["p_adjusted"],
    )
