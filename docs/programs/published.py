"""Write docs/published.md: what was published, and what this project gives for it.

The page is made of docs/published.toml, of the fixtures that tests hold, and of the facts of runs
in docs/published/. `python docs/programs/published.py DIR...` takes these facts from finished runs
whose study names published values, and writes the page; without a folder it writes the page alone.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from findings_facts import plain_rows

from priorbench.comparison.published_values import published_line
from priorbench.number_text import MISSING, counted, fixed, listed
from priorbench.publish.portable import portable_command

DOCS = Path(__file__).resolve().parents[1]
FACTS = DOCS / "published"
PAGE = DOCS / "published.md"
_HEAD = """\
# Published numbers

Made by `make docs` from published.toml, from what tests hold and from the results of runs; do not
edit. Every published number that this project was held against, whether it agrees or not. Nothing
was tuned on them.

*Agrees*, of a number that was measured over seeds: the published mean lies in our 95% interval of
the mean (that of the sign-flip test from six seeds on, Student's below). The interval knows of our
seeds alone, so that a published mean of few networks, or one that was read off a figure, may lie
outside without a difference that means anything; its spread is given beside it. An interval of more
than twice the published standard deviation to either side would agree with almost anything, and
counts as wide. What was run at another scale than the published one is shown, and not compared.

"""


def entries() -> dict[str, list[dict[str, Any]]]:
    """Return the contents of published.toml."""
    return tomllib.loads((DOCS / "published.toml").read_text(encoding="utf-8"))


def page() -> str:
    """Return the whole page."""
    known = entries()
    parts = [_HEAD, *_held(known.get("held", []))]
    parts += _measured(known.get("measured", []))
    for study in known.get("studies", []):
        path = FACTS / f"{study['run']}.json"
        if path.exists():
            parts += _study(study, json.loads(path.read_text(encoding="utf-8")))
    return "".join([*parts, *_context(known.get("context", []))]).rstrip() + "\n"


def _held(held: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the tables of numbers that tests hold, by topic."""
    for topic in dict.fromkeys(entry["topic"] for entry in held):
        yield f"## {topic}: held by tests\n\n"
        yield "| what | source | theirs | ours | test |\n|---|---|---|---|---|\n"
        for entry in held:
            if entry["topic"] == topic:
                theirs = entry.get("theirs") or _numbers_in(entry["file"], entry["key"])
                file, _, name = entry["test"].partition("::")
                given = f"{entry['environment']} " if "environment" in entry else ""
                test = f"`{given}pytest {file} -k {name}`"
                ours = f"agrees within {entry['within']}"
                yield _row(entry["what"], entry["source"], theirs, ours, test)
        yield "\n"


def _numbers_in(file: str, key: str) -> str:
    """Return the numbers under a key of a fixture, or of each of its cases, as text."""
    values = json.loads((DOCS.parent / file).read_text(encoding="utf-8"))
    if isinstance(values, list):
        values = [case[key] for case in values]
    else:
        for part in key.split("."):
            values = values[part]
    if not isinstance(values, list):
        return f"{values:.6g}"
    return f"{counted(len(values), 'case')}: {', '.join(f'{value:.6g}' for value in values)}"


def agreement(theirs: Mapping[str, float], ours: Mapping[str, float]) -> str:
    """Return whether one of our numbers agrees with a published one, in a word or two."""
    if not ours:
        return "not run"
    if "within" in ours:
        near = abs(ours["value"] - theirs["mean"]) <= ours["within"]
        return "agrees" if near else "differs"
    if ours["low"] <= theirs["mean"] <= ours["high"]:
        return "agrees"
    return "ours is higher" if ours["low"] > theirs["mean"] else "ours is lower"


def _measured(measured: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the tables of numbers that commands give, by topic."""
    for topic in dict.fromkeys(entry["topic"] for entry in measured):
        yield f"## {topic}\n\n"
        yield "| what | source | theirs | ours | agrees | command |\n|---|---|---|---|---|---|\n"
        for entry in measured:
            if entry["topic"] == topic:
                theirs, ours = entry["theirs"], entry.get("ours", {})
                note = f" {entry['note']}" if entry.get("note") else ""
                read = f" ({entry['read']})" if entry.get("read") else ""
                yield _row(
                    entry["what"],
                    entry["source"] + read,
                    _theirs(theirs),
                    _ours(ours),
                    agreement(theirs, ours) + (f".{note}" if note else ""),
                    f"`{entry['command']}`" if entry.get("command") else MISSING,
                )
        yield "\n"


def _theirs(value: Mapping[str, Any]) -> str:
    sd = "" if value.get("sd") is None else f" ± {value['sd']:.4g}"
    n = "" if value.get("n") is None else f" (n = {value['n']})"
    return f"{value['mean']:.6g}{sd}{n}"


def _ours(value: Mapping[str, Any]) -> str:
    if not value:
        return MISSING
    if "within" in value:
        return f"{value['value']:.6g} (wanted within {value['within']:g})"
    return f"{value['mean']:.4g} [{value['low']:.4g}, {value['high']:.4g}] (n = {value['n']})"


def _study(study: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section of a run whose study names published values."""
    rows = facts["rows"]
    sources = list(dict.fromkeys(f"{row['source']} ({row['read']})" for row in rows))
    yield f"## {study['title']}\n\n"
    if study.get("words") and study.get("of") == digest(facts):
        yield f"{study['words'].strip()}\n\n"
    line = published_line(pd.DataFrame(rows))
    yield f"{line[0].upper()}{line[1:]}. Source: {listed(sources)}.\n\n"
    columns = [name for name in _PLACES if _varies(rows, name)]
    heads = [_PLACES[name] for name in columns]
    yield _row(*heads, "theirs", "ours", "in the interval?")
    yield "|---" * (len(columns) + 3) + "|\n"
    for row in rows:
        cells = [f"`{row[name]}`" if row[name] not in ("", None) else MISSING for name in columns]
        theirs = {key: row[f"published_{key}"] for key in ("mean", "sd", "n")}
        yield _row(*cells, _theirs(theirs), _our_cell(row), row["words"])
    yield (
        f"\n`{facts['command']}`, {facts['date']}: scale {facts['scale']}; "
        f"{counted(round(facts['minutes']), 'minute')} on one core.\n\n"
    )


_PLACES = {
    "task": "task",
    "dataset": "data",
    "architecture": "network",
    "prior": "prior",
    "weight": "weight",
    "attribution": "attribution",
    "metric": "metric",
}
"""columns that say what a published value is of, with their heads; those that vary are shown"""


def _varies(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Return whether a column tells rows apart; a weight, whether it does for one prior."""
    if name != "weight":
        return len({row[name] for row in rows} - {"", None}) > 1
    weights = {(row["prior"], row["weight"]) for row in rows}
    return len(weights) > len({row["prior"] for row in rows})


def _our_cell(row: Mapping[str, Any]) -> str:
    if row["mean"] is None:
        return MISSING
    ends = (row["ci_low"], row["ci_high"])
    at = f" [{fixed(ends[0], 4)}, {fixed(ends[1], 4)}]" if None not in ends else ""
    sd = "" if row.get("sd") is None else f" ± {fixed(row['sd'], 4)}"
    return f"{fixed(row['mean'], 4)}{sd}{at} (n = {row['n']})"


def _context(context: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if context:
        yield "## Not run again\n\n| what | source | theirs | why not |\n|---|---|---|---|\n"
        for entry in context:
            yield _row(entry["what"], entry["source"], entry["theirs"], entry["why"])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def digest(facts: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits of a run's published values and of what it found."""
    text = json.dumps(facts["rows"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def facts_of(root: Path) -> dict[str, Any]:
    """Return what the page says of a finished run.

    Raises:
        UserError: if the folder holds no finished run.
    """
    from priorbench.results.finished_run import load_run

    run = load_run(root)
    return {
        "command": portable_command(run.environment["command"]),
        "date": datetime.date.fromtimestamp((root / "results.csv").stat().st_mtime).isoformat(),
        "scale": run.study["scale"],
        "minutes": round(sum(r["seconds"] for r in run.records.values()) / 60, 1),
        "rows": plain_rows(run.published),
    }


def main() -> None:
    """Take facts from the runs in the folders that are named, and write the page."""
    for folder in map(Path, sys.argv[1:]):
        name, facts = folder.resolve().name, facts_of(folder)
        FACTS.mkdir(exist_ok=True)
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (FACTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: of = {digest(facts)!r}")
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
