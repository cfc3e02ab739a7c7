"""Why trials that were done are to be run again: which code, package or data changed since.

environment.json keeps digests of all that decides a trial (:func:`deciding_facts`); here they are
compared with the present ones.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from priorbench.components import registry, source_code
from priorbench.number_text import listed
from priorbench.study.data_sources import DECIDES_DATA, fingerprint
from priorbench.study.plan import Setting
from priorbench.study.study import Study
from priorbench.study.trial import DECIDES_TRIALS, DECIDING_PACKAGES, SettingKey

_MOST_NAMED = 3
"""files of a change that are named, at most"""


def deciding_facts(study: Study, settings: Sequence[Setting]) -> dict[str, Any]:
    """Return digests of the code, versions and files that decide the trials of a study.

    Args:
        study: the resolved study, whose plug-ins are registered.
        settings: where its priors are compared.
    """
    specs = {
        "prior": study.priors,
        "task": [setting.source.task for setting in settings],
        "architecture": [setting.architecture for setting in settings],
    }
    sources = [setting.source for setting in settings]
    components = {
        f"{kind} {name}": _digests(
            source_code.component_files(registry.components(kind)[name].path)
        )
        for kind, texts in specs.items()
        for text in texts
        for name in registry.names_in(kind, text)
    }
    return {
        "engine": _engine_digests(*DECIDES_TRIALS),
        "packages": {name: importlib.metadata.version(name) for name in DECIDING_PACKAGES},
        "components": components,
        "data code": _engine_digests(*DECIDES_DATA),
        "data": {
            f"{source.task}/{source.name}": fingerprint(source.data) if source.data else []
            for source in sources
        },
    }


def _engine_digests(*places: str) -> dict[str, str]:
    files = source_code.engine_files(*places)
    return {
        str(path.relative_to(source_code.PACKAGE)): source_code.source_digest(path)
        for path in files
    }


def _digests(paths: list[Path]) -> dict[str, str]:
    return {str(path): source_code.source_digest(path) for path in paths}


def reasons(
    before: Mapping[str, Any], now: Mapping[str, Any], setting: SettingKey, prior: str
) -> list[str]:
    """Return why a trial of a setting and a prior is not what it was, most specific first.

    Args:
        before: facts of :func:`deciding_facts` that were recorded; may lack any of them.
        now: those of the present code.
        setting: the trial's task, dataset and network.
        prior: spec of its prior.
    """
    task, dataset, network = setting
    names = {"prior": prior, "task": task, "architecture": network}
    found = []
    for kind, spec in names.items():
        for name in registry.names_in(kind, spec):
            key = f"{kind} {name}"
            known, present = (facts.get("components", {}).get(key) for facts in (before, now))
            if known and present and (changed := list(_changed(known, present))):
                found.append(f"the code of {key} changed ({_shown(changed)})")
    for key, what in (("engine", "engine"), ("data code", "code that makes datasets")):
        if changed := list(_changed(before.get(key, {}), now[key])):
            found.append(f"the {what} changed ({_shown(changed)})")
    for name, version in now["packages"].items():
        if (earlier := before.get("packages", {}).get(name, version)) != version:
            found.append(f"{name} {earlier} became {version}")
    place = f"{task}/{dataset}"
    if before.get("data", {}).get(place, now["data"].get(place)) != now["data"].get(place):
        found.append(f"the data file of {place}, or a file that it names, changed")
    return found


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of files that differ, or that only one of the two has."""
    for name in dict.fromkeys([*now, *before]):
        if before and before.get(name) != now.get(name):
            yield name


def _shown(paths: list[str]) -> str:
    names = [
        path if "/" not in path or not Path(path).is_absolute() else Path(path).name
        for path in paths
    ]
    more = len(names) - _MOST_NAMED
    return listed([*names[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])])
