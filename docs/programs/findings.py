"""Write docs/findings.md and docs/real-data.md from run directories: `make findings RUNS=DIR`.

DIR holds one run directory for each section of findings.toml and real-data.toml, of the section's
name; sections without one keep their earlier facts. `python docs/programs/findings.py DIR NAME...`
reads the runs of some sections alone, and `python docs/programs/findings.py` writes the pages from
the facts that are there. These lie beside the pages, as docs/findings/NAME.json and
docs/real-data/NAME.json; a test writes the pages again from them. The table of answers on the
first page is made of them, too.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import findings_tables as tables
from findings_advice import advised_cells
from findings_changes import confirmation_table, earlier_verdicts, since_text
from findings_figure import draw_section
from findings_over_sets import FIGURE, draw_over_sets, over_sets_text
from findings_rows import reservation, setting_key, setting_names

from priorbench.comparison.correction_families import CORRECTIONS_IN_WORDS
from priorbench.number_text import MISSING, counted, listed

DOCS = Path(__file__).resolve().parents[1]
_USUAL = [{"baseline": "none"}]
_RESULTS = (
    "compared",
    "trends",
    "explained",
    "edges",
    "statuses",
    "references",
    "weights",
    "prices",
    "advice",
    "together",
)
"""facts that words are written for"""
_TOLD = ("network", "said")
"""what the run says of itself, which words may quote; earlier facts have none"""
_OPENED = "what was shown and what was not, weights, correction, doubts"
_GLANCE = re.compile(r"(?<=<!-- glance -->\n).*?(?=<!-- end of glance -->)", re.DOTALL)
_ANSWERS = re.compile(r"(?<=<!-- answers -->\n).*?(?=<!-- end of answers -->)", re.DOTALL)
Section = Mapping[str, Any]


@dataclass(frozen=True)
class EvidencePage:
    """A page of sections, one for each run.

    Attributes:
        name: name of the page, of the TOML file that declares it and of the folder of its facts.
    """

    name: str

    @property
    def file(self) -> Path:
        """File of the page."""
        return DOCS / f"{self.name}.md"

    @property
    def facts(self) -> Path:
        """Folder of its facts and figures."""
        return DOCS / self.name

    def declared(self) -> dict[str, Any]:
        """Return what its TOML file says."""
        text = (DOCS / f"{self.name}.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)

    def over_sets(self) -> dict[str, Any]:
        """Return what it declares of all sets together; empty for a page without."""
        return dict(self.declared().get("over_sets", {}))

    def names(self) -> dict[str, str]:
        """Return short names of priors with many options, by spec."""
        return dict(self.declared().get("names", {}))

    def read(self, run: str) -> dict[str, Any] | None:
        """Return the facts of a run; None if there are none yet."""
        path = self.facts / f"{run}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


PAGES = (EvidencePage("findings"), EvidencePage("real-data"))


def sections(page: EvidencePage) -> list[dict[str, Any]]:
    """Return the sections of a page that have facts, each with ``facts`` and their ``digest``.

    Facts have the short names of the page.
    """
    known, names = [], page.names()
    for section in page.declared()["sections"]:
        facts = page.read(section["run"])
        if facts is not None:
            again = page.read(section["confirmed_by"]) if "confirmed_by" in section else None
            more = {"facts": named(facts, names), "again": named(again, names)}
            more["digest"] = digest(facts, again)
            known.append({"asks": _USUAL, **section, **more})
    return known


def named(value: Any, names: Mapping[str, str]) -> Any:
    """Return facts with the short names of priors, which stand for nothing in commands."""
    if isinstance(value, Mapping):
        return {key: named(of_key, names) for key, of_key in value.items()}
    if isinstance(value, list):
        return [named(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for spec, name in names.items():
        value = name if value == spec else value.replace(f"`{spec}`", f"`{name}`")
    return value


def digest(facts: Mapping[str, Any], again: Mapping[str, Any] | None = None) -> str:
    """Return eight hexadecimal digits of the results; date and running time do not count.

    Args:
        facts: facts of a run.
        again: facts of the run on new seeds that confirms it.
    """
    runs = [facts, *([again] if again else [])]
    results = [
        {key: run.get(key) for key in _RESULTS} | {key: run[key] for key in _TOLD if key in run}
        for run in runs
    ]
    text = json.dumps(results, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def text_of(page: EvidencePage) -> str:
    """Return the text of a page, written from the facts."""
    known = sections(page)
    head = page.declared()["head"].format(machine=_machine(known))
    parts = [
        head,
        _names(page),
        _contents(known),
        over_sets_text(page.over_sets(), _sets(known), page.name),
    ]
    parts += [_section(page, section) for section in known]
    return "".join(parts).rstrip() + "\n"


def _names(page: EvidencePage) -> str:
    """Return what the short names of a page stand for."""
    texts = [f"`{name}` is `{spec}`" for spec, name in page.names().items()]
    return f"Short names: {'; '.join(texts)}.\n\n" if texts else ""


def _sets(sections: Sequence[Section]) -> list[Section]:
    """Return the sections of one study on several sets."""
    return [section for section in sections if section.get("over_sets")]


def _machine(sections: Sequence[Section]) -> str:
    runs = [
        facts for section in sections for facts in (section["facts"], section["again"]) if facts
    ]
    trials = sum(sum(facts["statuses"].values()) for facts in runs)
    hours = sum(facts["minutes"] for facts in runs) / 60
    return f"{trials:,} trainings, {hours:.1f} hours on a core of a shared server"


def _contents(sections: Sequence[Section]) -> str:
    lines = ["| question | answer |\n|---|---|\n"]
    for section in sections:
        answer = phrase(section) or "the table says what was established"
        lines.append(f"| [{_question(section)}](#{anchor(section)}) | {answer} |\n")
    return "".join([*lines, "\n"])


def anchor(section: Section) -> str:
    """Return the anchor of a section's heading."""
    return re.sub(r"[^\w\- ]", "", section["title"].lower()).replace(" ", "-")


def _question(section: Section) -> str:
    return str(section.get("question") or section["facts"]["question"])


def phrase(section: Section) -> str:
    """Return the answer in a phrase, or its first sentence; "" if written for other facts."""
    return _current(section, "phrase") or _current(section, "words").partition(". ")[0]


def _answer(section: Section) -> str:
    """Return the answer in a few sentences, or in a phrase; "" if written for other facts."""
    return _current(section, "answer") or phrase(section)


def _current(section: Section, key: str) -> str:
    """Return prose on one line; "" if it was written for other facts."""
    current = section.get("of") == section["digest"]
    return " ".join(str(section.get(key, "")).split()) if current else ""


def _words(section: Section) -> str:
    """Return the answer in prose, as it is written; "" if it was written for other facts."""
    return str(section["words"]).strip() if section.get("of") == section["digest"] else ""


def _section(page: EvidencePage, section: Section) -> str:
    """Return question, answer, figure, tables and command; all else is for a reader to open."""
    facts, run, again = section["facts"], section["run"], section["again"]
    names = setting_names(facts["compared"])
    parts = [
        f"## {section['title']}",
        f"*{_question(section)}* {section.get('about', '')}".rstrip(),
        f"**Answer:** {_answer(section)}." if _answer(section) else "",
        f"![Gains and intervals]({page.name}/{run}.svg)",
        tables.gains(facts, section["asks"], names),
        tables.references(facts, names) if section.get("references") else "",
        tables.trend_table(facts),
        _provenance(facts),
        confirmation_table(facts, again, names) if again else "",
        f"<details><summary>{section['title']} in full: {_OPENED}</summary>",
        _words(section),
        _since(section),
        _settings(facts, names),
        _advice(facts),
        _doubts(facts),
        tables.explained(facts) + tables.edges(facts),
        "</details>",
    ]
    return "".join(f"{part.strip()}\n\n" for part in parts if part)


def _since(section: Section) -> str:
    """Return how verdicts differ from the version before, and why, if that was said."""
    text = since_text(section["facts"].get("since", {}), CORRECTIONS_IN_WORDS)
    return f"{text} {_current(section, 'why')}".strip()


def _doubts(facts: Mapping[str, Any]) -> str:
    """Return what the run itself says against its networks and data, as a list."""
    texts = [*facts.get("network", ()), *facts.get("warnings", ())]
    lines = "\n".join(f"- {text}" for text in texts)
    return f"The run itself says of its networks and data:\n\n{lines}" if texts else ""


def _advice(facts: Mapping[str, Any]) -> str:
    """Return the advice of the run itself, by the number of settings where it is the same."""
    advice = [row["advice"] for row in facts.get("advice", ())]
    counts = {name: advice.count(name) for name in advice}
    texts = [
        f"`{name}`{f' in {count} of {len(advice)} settings' if len(advice) > 1 else ''}"
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    together = f"`{facts['together']}` over all settings; " if facts.get("together") else ""
    said = "\n".join(f"> - {text}" for text in facts.get("said", ()))
    return (
        f"The run itself, which compares with none alone, advises to train with {together}"
        f"{listed(texts)}.{' In its words:' if said else ''}\n\n{said}"
        if texts
        else ""
    )


def _provenance(facts: Mapping[str, Any]) -> str:
    ended = ", ".join(f"{count:,} {status}" for status, count in facts["statuses"].items())
    networks = list(dict.fromkeys(row["architecture"] for row in facts["compared"]))
    return (
        f"`{facts['command']}`, {facts['date']}: scale {facts['scale']}, "
        f"{listed(networks)}, {counted(facts['seeds'], 'seed')}; trials: {ended}; "
        f"{facts['minutes']:.0f} minutes on one busy core."
    )


def _settings(facts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return how results were corrected, which weights were used, and what a step costs."""
    weights = _weights(facts, names) if facts["weights"] else "Weights were not tuned."
    correction = CORRECTIONS_IN_WORDS[facts.get("correction", "holm")]
    return f"Correction: {correction}. {_intervals(facts)} {weights} {_prices(facts)}."


def _intervals(facts: Mapping[str, Any]) -> str:
    """Return what the intervals of a section hold at once."""
    if facts.get("correction", "holm") == "joint":
        return f"Intervals are simultaneous, at {100 * (1 - facts['level']):.3g}%."
    return (
        "Intervals are of each difference alone, at 95%, so that one may leave out 0 beside a "
        "verdict that nothing was shown; today's program gives simultaneous ones."
    )


def _prices(facts: Mapping[str, Any]) -> str:
    """Return how much longer a training step takes than without a prior."""
    prices = ", ".join(
        f"{row['prior']} {row['ratio']:.2f}" for row in facts["prices"] if row["prior"] != "none"
    )
    return f"Time of a training step, none = 1: {prices}"


def _weights(facts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the weights that were chosen in a sentence, by setting where there are several."""
    texts = []
    for key, name in names.items():
        chosen = ", ".join(
            f"{row['prior']} {row['weight']:g}{reservation(row)}"
            for row in facts["weights"]
            if setting_key(row) == key
        )
        texts.append(f"{name}: {chosen}" if len(names) > 1 else chosen)
    return f"Weights chosen of {facts['tuned']} each, on other seeds: {'; '.join(texts)}."


def answers() -> str:
    """Return the table of answers of the first page, from answers.toml and the sections' facts."""
    known = {s["run"]: (page, s) for page in PAGES for s in sections(page)}
    lines = ["| question | answer | on what |\n|---|---|---|\n"]
    for row in tomllib.loads((DOCS / "answers.toml").read_text(encoding="utf-8"))["answers"]:
        if row["run"] not in known:
            lines.append(f"| {row['question']} | not asked yet | {MISSING} |\n")
            continue
        page, section = known[row["run"]]
        link = f"{page.name}.md#{anchor(section)}"
        answer = phrase(section)
        if row.get("prices"):
            scale = section["facts"]["scale"]
            answer = f"{_prices(section['facts'])}, at {scale} scale; [at other sizes](priors.md)"
        question = row.get("question") or _question(section)
        lines.append(f"| [{question}]({link}) | {answer} | {_basis(section)} |\n")
    return "".join(lines)


def _basis(section: Section) -> str:
    """Return what an answer rests on: data, settings, seeds, scale and date."""
    facts = section["facts"]
    settings = len({setting_key(row) for row in facts["compared"]})
    data = section.get("data") or listed(list({row["dataset"] for row in facts["compared"]}))
    return (
        f"{data}: {counted(settings, 'setting')}, {counted(facts['seeds'], 'seed')}, "
        f"{facts['scale']} scale, {facts['date']}"
    )


def first_page() -> str:
    """Return the text of the first page, with the advice and the answers that the facts give."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    text = _GLANCE.sub(lambda _: glance(), text)
    return _ANSWERS.sub(lambda _: answers(), text)


def glance() -> str:
    """Return the table of what is advised for kinds of real data, from the facts."""
    known = {s["run"]: (page, s) for page in PAGES for s in sections(page)}
    lines = ["| data | train with | weight | time of a step | gains over none | on new seeds |\n"]
    lines.append("|---" * 6 + "|\n")
    for row in tomllib.loads((DOCS / "answers.toml").read_text(encoding="utf-8"))["glance"]:
        page, section = known[row["run"]]
        name = f"[{row['data']}]({page.name}.md#{anchor(section)})"
        cells = advised_cells(section["facts"], section["again"])
        lines.append(f"| {' | '.join([name, *cells])} |\n")
    return "".join(lines)


def gather(runs: Path, only: Sequence[str] = ()) -> Iterator[str]:
    """Read facts from the folders that are there; yield a line for each.

    Args:
        runs: folder that holds a run directory for each section.
        only: names of the runs to read; all if left out.
    """
    from findings_facts import facts_of

    for page in PAGES:
        page.facts.mkdir(exist_ok=True)
        for section in page.declared()["sections"]:
            asks, read = section.get("asks", _USUAL), False
            for name in (section["run"], section.get("confirmed_by")):
                if not name or (only and name not in only):
                    continue
                if not (runs / name / "results.csv").exists():
                    yield f"{name}: no finished run in {runs}; the earlier facts stay"
                    continue
                gains = bool(section.get("over_sets")) and name == section["run"]
                facts = facts_of(runs / name, asks, gains=gains)
                earlier = page.read(name)
                facts["since"] = earlier_verdicts(facts, earlier) if earlier else {}
                text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
                (page.facts / f"{name}.json").write_text(text, encoding="utf-8")
                read = True
            if read:
                (known,) = (s for s in sections(page) if s["run"] == section["run"])
                yield f"{section['run']}: {known['digest']}"


def write() -> None:
    """Write the pages with their figures, and the answers on the first page."""
    for page in PAGES:
        for section in sections(page):
            draw_section(section["facts"], section["asks"][0], page.facts / f"{section['run']}.svg")
        if page.over_sets():
            draw_over_sets(_sets(sections(page)), page.facts / FIGURE)
        page.file.write_text(text_of(page), encoding="utf-8")
    (DOCS / "index.md").write_text(first_page(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        if not Path(sys.argv[1]).is_dir():
            sys.exit(
                "usage: python docs/programs/findings.py [DIR [NAME...]], DIR a folder of runs"
            )
        for line in gather(Path(sys.argv[1]), sys.argv[2:]):
            print(line)
    write()
