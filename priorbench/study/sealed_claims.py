"""The seal on what a study claims: written when its first trial starts, checked with each verdict.

claims.json in the run directory holds what was declared, the seeds of every look at the results,
and a digest of both. A claim that was changed after training is exploratory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from priorbench.files import write_json
from priorbench.metrics import METRICS
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.signflip import smallest_p

from .declared import ALL, DeclaredClaims
from .trial import hash_of

CLAIMS_FILE = "claims.json"
_FORMAT = 1
_SEALED = ("primary", "margins", "skill_margins", "attribution", "baseline", "correction")
_EDITED = f"{CLAIMS_FILE} was edited or damaged, so that nobody can tell what was declared"


def seal_claims(root: Path, claims: DeclaredClaims) -> None:
    """Write claims.json before the first trial; a run that has begun keeps what it has."""
    started = (root / "trials").is_dir() and any((root / "trials").iterdir())
    if not started and not (root / CLAIMS_FILE).exists():
        _write(root, {key: _plain(getattr(claims, key)) for key in _SEALED}, [])


def checked_claims(root: Path, claims: DeclaredClaims) -> DeclaredClaims:
    """Return claims with what differs from the seal of a run directory, and the look's number.

    A run of a version that sealed nothing has the claims of its study, marked as not sealed.
    """
    stored = _read(root)
    if stored is None:
        edited = {ALL: _EDITED} if (root / CLAIMS_FILE).exists() else {}
        return replace(claims, sealed=False, changed={**edited, **claims.changed})
    changed = dict(_differences(stored["declared"], claims))
    return replace(claims, look=max(len(stored["looks"]), 1), changed={**changed, **claims.changed})


def upcoming_claims(root: Path, claims: DeclaredClaims, seeds: Sequence[int]) -> DeclaredClaims:
    """Return claims as :func:`checked_claims` will when these seeds have been looked at."""
    checked, stored = checked_claims(root, claims), _read(root)
    looks = stored["looks"] if stored else []
    known = any(set(seeds) <= set(look) for look in looks)
    return replace(checked, look=max(len(looks) + (not known), 1))


def looks_at(root: Path) -> list[list[int]]:
    """Return the seeds of every look at a run directory; none where none was recorded."""
    stored = _read(root)
    return stored["looks"] if stored else []


def record_look(root: Path, seeds: Sequence[int], settings: int) -> None:
    """Add a look at the results of these seeds, unless an earlier look had them all.

    A look at so few runs that nothing at all can be claimed spends nothing.
    """
    stored = _read(root)
    if stored is None or any(set(seeds) <= set(look) for look in stored["looks"]):
        return
    if smallest_p(len(seeds) * settings) / 2 > level_of_look(len(stored["looks"]) + 1):
        return
    _write(root, stored["declared"], [*stored["looks"], sorted(seeds)])


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
    for task, axes in claims.primary.items():
        for axis, before, now in _changed_values(declared["primary"].get(task, {}), axes):
            yield (
                str(now),
                f"the primary metric of {task} on {axis} that was declared is {before}, and here "
                f"it is {now}",
            )


def _changed_values(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*before, *now]):
        if before.get(key) != now.get(key):
            yield key, before.get(key, "none"), now.get(key, "none")


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value, default=dict))


def _write(root: Path, declared: Mapping[str, Any], looks: Sequence[Sequence[int]]) -> None:
    contents = {"format": _FORMAT, "declared": declared, "looks": looks}
    write_json(root / CLAIMS_FILE, {**contents, "digest": hash_of(contents)})


def _read(root: Path) -> dict[str, Any] | None:
    """Return the contents of claims.json; None where it is missing or not as it was written."""
    try:
        stored = json.loads((root / CLAIMS_FILE).read_text(encoding="utf-8"))
        contents = {key: stored[key] for key in ("format", "declared", "looks")}
        intact = stored["digest"] == hash_of(contents) and set(contents["declared"]) == set(_SEALED)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return contents if intact else None
