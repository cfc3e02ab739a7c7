"""The seal on what a study claims: written when its first trial starts, checked with each verdict.

claims.json in the run directory holds what was declared, and the seeds of every look at the
results. A claim that was changed after training is exploratory, and so are all where the file, or
the manifest that lists its digest, was lost or edited.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from priorbench.metrics import METRICS
from priorbench.number_text import listed
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.signflip import smallest_p
from priorbench.storage.files import json_text
from priorbench.storage.sealed_files import DamagedFile, Manifest

from .declared import ALL, DeclaredClaims
from .trial import Trial, hash_of

CLAIMS_FILE = "claims.json"
_FORMAT = 2
_SEALED = ("primary", "margins", "skill_margins", "attribution", "baseline", "correction")
_EDITED = f"{CLAIMS_FILE} is missing or was edited, so that nobody can tell what was declared"


@dataclass(frozen=True)
class Look:
    """What of a study was looked at.

    Attributes:
        seeds: the seeds whose trials were compared, ascending.
        arms: hash of the settings, priors and weights that were compared; "" for a look to come
            whose weights or networks are not chosen yet.
        settings: number of settings.
    """

    seeds: tuple[int, ...]
    arms: str = ""
    settings: int = 1

    def covers(self, other: Look) -> bool:
        """Return whether another look shows nothing that this one did not."""
        return other.arms in ("", self.arms) and set(other.seeds) <= set(self.seeds)


def look_at(trials: Sequence[Trial]) -> Look:
    """Return the look at evaluation trials."""
    arms = sorted({(*trial.setting, trial.prior, trial.weight) for trial in trials})
    settings = len({trial.setting for trial in trials})
    return Look(tuple(sorted({trial.seed for trial in trials})), hash_of(arms), settings)


def seal_claims(root: Path, claims: DeclaredClaims) -> None:
    """Write claims.json for a new run; one whose first trial has started keeps what it has."""
    if not _has_trials(root):
        _write(root, _Stored(_declared(claims), ()))


def _has_trials(root: Path) -> bool:
    return (root / "trials").is_dir() and any((root / "trials").iterdir())


def checked_claims(
    root: Path, claims: DeclaredClaims, seeds: Collection[int] | None = None
) -> DeclaredClaims:
    """Return claims with what differs from the seal of a run directory, and the look's number.

    Before a run has begun they are those of the study, marked as not sealed.

    Args:
        root: the run directory.
        claims: what its study says now.
        seeds: seeds whose trials are compared now, if that is to be checked: those of an earlier
            look must be among them.
    """
    stored = _read(root)
    if stored is None:
        begun = _has_trials(root) or Manifest(root).exists() or (root / CLAIMS_FILE).exists()
        edited = {ALL: _EDITED} if begun else {}
        return replace(claims, sealed=False, changed={**edited, **claims.changed})
    texts: dict[str, list[str]] = {}
    differences = [*_differences(stored.declared, claims), *_missing_seeds(stored, seeds)]
    for name, text in differences:
        texts.setdefault(name, []).append(text)
    return replace(
        claims,
        look=max(len(stored.looks), 1),
        sealed=True,
        changed={**{name: "; ".join(own) for name, own in texts.items()}, **claims.changed},
    )


def _missing_seeds(stored: _Stored, seeds: Collection[int] | None) -> Iterator[tuple[str, str]]:
    """Yield that seeds of an earlier look are not compared any more, if so."""
    looked = {seed for look in stored.looks for seed in look.seeds}
    missing = sorted(looked - set(seeds)) if seeds is not None else []
    if missing:
        noun = "seed" if len(missing) == 1 else "seeds"
        yield ALL, f"trials of {noun} {listed(list(map(str, missing)))} were looked at and are gone"


def upcoming_claims(root: Path, claims: DeclaredClaims, look: Look) -> DeclaredClaims:
    """Return claims as :func:`checked_claims` will after a look."""
    looks = looks_at(root)
    known = any(earlier.covers(look) for earlier in looks)
    return replace(checked_claims(root, claims), look=max(len(looks) + (not known), 1))


def looks_at(root: Path) -> tuple[Look, ...]:
    """Return every look at a run directory, the first one first; none where none was recorded."""
    stored = _read(root)
    return stored.looks if stored else ()


def claims_nothing(seeds: int, settings: int) -> bool:
    """Return whether a first look at so many seeds of so many settings can claim nothing at all."""
    return smallest_p(seeds * settings) / 2 > level_of_look(1)


def record_look(root: Path, look: Look) -> None:
    """Add a look at the results, unless an earlier one showed as much.

    Looks at so few seeds that nothing at all can be claimed spend nothing, until one has. Where the
    seal is lost nothing is recorded, as nothing can be claimed any more.
    """
    stored = _read(root)
    if stored is None or any(known.covers(look) for known in stored.looks):
        return
    if stored.looks or not claims_nothing(len(look.seeds), look.settings):
        _write(root, replace(stored, looks=(*stored.looks, look)))


def _differences(declared: Mapping[str, Any], claims: DeclaredClaims) -> Iterator[tuple[str, str]]:
    """Yield metrics, or ALL, whose claims are not those that were declared, and what differs."""
    for key in ("baseline", "correction", "attribution"):
        before, now = declared[key], getattr(claims, key)
        # another baseline on request is named where it is chosen
        if before != now and not (key == "baseline" and ALL in claims.changed):
            yield ALL, f"the {key} that was declared is {before}, and here it is {now}"
    for name, before, now in _changed_values(declared["margins"], claims.margins):
        yield name, f"the margin of {name} that was declared is {before}, and here it is {now}"
    for axis, before, now in _changed_values(declared["skill_margins"], claims.skill_margins):
        for metric in METRICS.values():
            if metric.axis == axis:
                yield (
                    metric.name,
                    f"the margin on {axis} that was declared is {before}, and here it is {now}",
                )
    for task in dict.fromkeys([*declared["primary"], *claims.primary]):
        axes = claims.primary.get(task, {})
        for axis, before, now in _changed_values(declared["primary"].get(task, {}), axes):
            # what is left of a family says nothing where a part of it was taken away
            yield (
                axes.get(axis, ALL),
                f"the primary metric of {task} on {axis} that was declared is {before}, and here "
                f"it is {now}",
            )


def _changed_values(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*before, *now]):
        if before.get(key) != now.get(key):
            yield key, before.get(key, "none"), now.get(key, "none")


@dataclass(frozen=True)
class _Stored:
    """Contents of claims.json."""

    declared: Mapping[str, Any]
    looks: tuple[Look, ...]


def _declared(claims: DeclaredClaims) -> dict[str, Any]:
    """Return what is sealed, as JSON gives it back."""
    values = {key: getattr(claims, key) for key in _SEALED}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=dict))
    return plain


def _write(root: Path, stored: _Stored) -> None:
    looks = [{**vars(look), "seeds": list(look.seeds)} for look in stored.looks]
    contents = {"format": _FORMAT, "declared": stored.declared, "looks": looks}
    Manifest(root).write({CLAIMS_FILE: json_text(contents)})


def _read(root: Path) -> _Stored | None:
    """Return the contents of claims.json; None where it is missing or not as it was written."""
    try:
        stored = json.loads(Manifest(root).read(CLAIMS_FILE))
    except DamagedFile:
        return None
    looks = tuple(
        Look(tuple(look["seeds"]), look["arms"], look["settings"]) for look in stored["looks"]
    )
    return _Stored(stored["declared"], looks)
