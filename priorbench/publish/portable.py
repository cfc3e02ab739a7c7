"""Texts about a run without what belongs to the machine that it ran on: places, and its name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import escape

from priorbench.results.finished_run import Run
from priorbench.study.keys.networks import GIVEN

_OWN_OPTIONS = ("--out", "--jobs", "-j", "--backend", "--scheduler")
"""options of a command that decide where and how fast it runs, not what"""
_WITH_VALUE = tuple(f"{name}=" if name.startswith("--") else name for name in _OWN_OPTIONS)
"""beginnings of words that are such an option with its value, such as ``--jobs=4`` and ``-j4``"""
_SWITCHES = ("--no-report", "--report", "--debug")
_PLACE = re.compile(r"(?<![\w/.<~+-])/(?:[\w.@+~-]+/)+(?P<name>[\w.@+~-]*)")
"""an absolute path whose names have no spaces"""
_NO_TEXT = re.compile(r"(<(?:script|style)>.*?</(?:script|style)>|\"data:[^\"]*\")", re.DOTALL)
"""parts of a page that no text of a run is in: its script, its style and its images"""


def portable_command(text: str) -> str:
    """Return a command without the place of its folder and its number of workers.

    Of a path that leads elsewhere only the name stays.
    """
    words, kept = shlex.split(text), []
    while words:
        word = words.pop(0)
        if word in _OWN_OPTIONS:
            words = words[1:]
        elif not word.startswith(_WITH_VALUE) and word not in _SWITCHES:
            kept.append(_named(word))
    return shlex.join(kept)


def _named(word: str) -> str:
    """Return a word of a command with the names alone of paths that lead elsewhere."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    leads = value.startswith(("/", "~", "../"))
    return f"{option}{equals}{Path(value).name if leads else value}"


class PortableText:
    """Takes places and names of machines out of texts about some runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        """Note the places and machines that the runs name."""
        places = {path for run in runs for path in _places(run)}
        folders = {folder for path in places for folder in path.parents} | {Path.home(), Path.cwd()}
        folders = {folder for folder in folders - places if len(folder.parts) > 1}
        # labels of runs have as many folders above as tell them apart, which may be a user's
        labels = {label: part.root.name for run in runs for label, part in run.parts.items()}
        self._texts = {
            **{str(folder): folder.name for folder in folders},
            **{f"{folder}/": "" for folder in folders},
            **{label: name for label, name in labels.items() if label != name},
            **{str(place): place.name for place in places},
            # the name of a home is that of its user
            **{str(home): "~" for home in (Path.home(), *filter(_is_home, folders))},
        }
        # the longest first, as one may begin another
        self._order = sorted(self._texts, key=len, reverse=True)
        self._hosts = sorted(
            {str(r["host"]) for run in runs for r in run.records.values() if r.get("host")}
        )

    def clean(self, text: str) -> str:
        """Return a text in which paths are the names of their files."""
        for place in self._order:
            if place in text:
                known = rf"(?<![\w/.~-]){re.escape(place)}{self._end(place)}"
                text = re.sub(known, self._texts[place].replace("\\", r"\\"), text)
        return _PLACE.sub(lambda match: match["name"], text)

    @staticmethod
    def _end(place: str) -> str:
        """Return a pattern of what follows a place: of what lies in a folder, the folders below."""
        return r"(?:[\w.@+~-]+/)*" if place.endswith("/") else r"(?![\w.~-])"

    def clean_value(self, value: Any) -> Any:
        """Return a value of JSON all of whose texts are clean."""
        if isinstance(value, Mapping):
            return {self.clean(str(key)): self.clean_value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean_value(item) for item in value]
        return self.clean(value) if isinstance(value, str) else value

    def clean_page(self, page: str) -> str:
        """Return a report whose text is clean; script, style and images stay as they are."""
        hosts = f", on {escape(', '.join(self._hosts))}</td>"
        parts = _NO_TEXT.split(page.replace(hosts, "</td>") if self._hosts else page)
        return "".join(
            part if number % 2 else self._clean_markup(part) for number, part in enumerate(parts)
        )

    def _clean_markup(self, text: str) -> str:
        for place in self._order:
            written = str(escape(place))
            if written != place and written in text:
                text = text.replace(written, str(escape(self._texts[place])))
        return self.clean(text)


def _is_home(folder: Path) -> bool:
    return folder.parent in (Path("/home"), Path("/Users"))


def _places(run: Run) -> Iterator[Path]:
    """Yield the absolute paths that a run knows of: its own, its files', and those of networks."""
    yield from {run.root.absolute(), run.root.resolve()}
    named: Iterable[Any] = [*run.study["data"], *run.study["plugins"]]
    networks = [*([run.study["networks"]] if run.study.get("networks") else [])]
    networks += [record[GIVEN] for record in run.records.values() if GIVEN in record]
    for network in networks:
        named = [*named, *(network.get(key) for key in ("folder", "file"))]
    yield from (path for text in named if text and (path := Path(str(text))).is_absolute())
