"""Why trials that are done are to be trained again: which code, package or data changed since.

environment.json keeps digests of all that decides a trial (:func:`deciding_facts`); here they are
compared with the present ones.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from priorbench.components import registry
from priorbench.errors import first_names
from priorbench.storage import source_code
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
    # by names that are the same wherever the code is installed
    return {"/".join(path.parts[-2:]): source_code.source_digest(path) for path in paths}


def code_reasons(
    before: Mapping[str, Any], now: Mapping[str, Any], setting: SettingKey, prior: str
) -> list[str]:
    """Return which code and versions that decide a trial are others now, most specific first.

    Args:
        before: facts of :func:`deciding_facts` that were recorded; may lack any of them.
        now: those of the present code.
        setting: the trial's task, dataset and network.
        prior: spec of its prior.
    """
    task, _, network = setting
    texts = []
    for kind, spec in {"prior": prior, "task": task, "architecture": network}.items():
        for name in registry.names_in(kind, spec):
            texts += _change(before, now, "components", f"{kind} {name}", f"code of {kind} {name}")
    texts += _change(before, now, "engine", "", "engine")
    for name, version in now["packages"].items():
        if (earlier := before.get("packages", {}).get(name, version)) != version:
            texts.append(f"{name} {earlier} became {version}")
    return texts


def data_reasons(
    before: Mapping[str, Any], now: Mapping[str, Any], setting: SettingKey
) -> list[str]:
    """Return which code and files that decide the data of a setting are others now.

    Arguments are those of :func:`code_reasons`.
    """
    place = f"{setting[0]}/{setting[1]}"
    texts = _change(before, now, "data code", "", "code that makes datasets")
    if before.get("data", {}).get(place, now["data"].get(place)) != now["data"].get(place):
        texts.append(f"the data file of {place}, or a file that it names, changed")
    return texts


def _change(
    before: Mapping[str, Any], now: Mapping[str, Any], part: str, key: str, name: str
) -> list[str]:
    """Return a sentence about the files of a part of the facts that differ, none where none do."""
    known, present = before.get(part, {}), now[part]
    if key:
        known, present = known.get(key, {}), present.get(key, {})
    if sorted(known.values()) == sorted(present.values()):  # in another folder, perhaps
        return []
    files = [
        file for file in dict.fromkeys([*present, *known]) if known.get(file) != present.get(file)
    ]
    return (
        [f"the {name} changed ({first_names(files, _MOST_NAMED)})"]
        if known and present and files
        else []
    )
