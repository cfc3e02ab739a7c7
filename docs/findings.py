"""Writes docs/findings.md from run directories: `make findings RUNS=DIR`.

DIR holds one run directory for each section of findings.toml, of the section's name; sections whose
run is not there keep the facts of before. `python docs/findings.py DIR NAME...` reads the runs of
some sections alone. What a section says is made from its facts, which lie beside the page as
docs/findings/NAME.json; a test makes the page anew from them.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from findings_figure import draw, gain, place
from priorbench.reports._shared.numbers import (
    MISSING,
    counted,
    decimals_for,
    fixed,
    listed,
    p_value,
)
from priorbench.reports._shared.settings import SIGNS

from priorbench.comparison.option_trends import swept_tasks
from priorbench.components.specs import split_spec
from priorbench.results.tables import task_options

HERE = Path(__file__).parent
FACTS = HERE / "findings"
PAGE = HERE / "findings.md"
_USUAL = [{"baseline": "none"}]
_ITSELF = ("mutagenesis-correlation", "in-silico-mutagenesis")
"""mutagenesis against mutagenesis"""
_HEAD = """\
# Findings

Made by `make findings` from the folders of real runs; do not edit. One section for each question
that the reviewers of the Fourier prior (Tseng, Shrikumar & Kundaje, NeurIPS 2020) asked or could
have asked. Each is a study that comes with the program (`priorbench list studies`), and the command
at its end repeats it. In all: {machine}.

**How to read it.** A gain is the mean over paired seeds of the prior's score less the baseline's,
turned so that more is better, with its 95% interval. The verdicts are of sign-flip tests of the
paired differences, Holm's method over all priors and primary metrics of a setting: ✓ better,
✗ worse, = equivalent (no difference as large as the margin), ≥ non-inferior (no loss as large as
the margin), ? inconclusive, which is no evidence that there is no difference. In figures of single
settings a filled mark is a difference that is established. Margins are declared
for prediction alone (.005 auROC). All data here are simulated, at the quick scale: small networks,
short windows. What holds for other data, other sizes and other weights is for a run on those to
say ([real data](real-data.md)).

**What it is not.** Sections are not independent of each other: a prior in a setting with the same
seeds is the same result wherever it stands (Fourier on the binary task is in seven sections), and
counts in the number of trainings each time. Every baseline that is asked about has a family of
tests of its own. A seed draws a training anew, not the data: each setting has one dataset. Minutes
are of the wall, summed over trials, on a machine that was busy with other work.

"""


def sections() -> list[dict[str, Any]]:
    """What findings.toml lists, with the facts that are known, as far as there are any."""
    listed_ = tomllib.loads((HERE / "findings.toml").read_text(encoding="utf-8"))["sections"]
    found = []
    for section in listed_:
        path = FACTS / f"{section['run']}.json"
        if path.exists():
            facts = json.loads(path.read_text(encoding="utf-8"))
            found.append({"asks": _USUAL, **section, "facts": facts, "digest": digest(facts)})
    return found


def digest(facts: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of what was found; the date and the time it took do not count."""
    counted_ = {key: facts[key] for key in ("compared", "trends", "explained", "edges", "statuses")}
    text = json.dumps(counted_, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def page() -> str:
    """The whole page, from the facts."""
    found = sections()
    parts = [_HEAD.format(machine=_machine(found)), _contents(found)]
    return "".join([*parts, *map(_section, found)])


def _machine(found: Sequence[Mapping[str, Any]]) -> str:
    trials = sum(sum(one["facts"]["statuses"].values()) for one in found)
    hours = sum(one["facts"]["minutes"] for one in found) / 60
    return f"{trials:,} trainings, {hours:.1f} hours on a core of a shared server"


def _contents(found: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| question | answer |\n|---|---|\n"]
    for one in found:
        anchor = one["title"].lower().replace(",", "").replace(" ", "-")
        first, stop, _ = " ".join(_words(one).split()).partition(". ")
        answer = first + stop or "; ".join(_decided(one)) or "nothing could be established"
        lines.append(f"| [{one['facts']['question']}](#{anchor}) | {answer} |\n")
    return "".join([*lines, "\n"])


def _words(one: Mapping[str, Any]) -> str:
    """The answer in prose, if it was written for these facts."""
    return str(one["words"]).strip() if one.get("of") == one["digest"] else ""


def _section(one: Mapping[str, Any]) -> str:
    facts = one["facts"]
    names = setting_names(facts["compared"])
    lines = [f"## {one['title']}\n\n*{facts['question']}*\n\n"]
    if _words(one):
        lines.append(f"{_words(one)}\n\n")
    lines += [f"- {answer}\n" for answer in _answers(one)]
    lines += [f"\n![Gains and intervals](findings/{one['run']}.svg)\n\n"]
    for ask in one["asks"]:
        lines.append(_table(facts, ask, names))
    lines += [_trend_table(facts), _explained(facts), _references(facts, names), _edges(facts)]
    lines.append(_provenance(one))
    return "".join(lines)


def _provenance(one: Mapping[str, Any]) -> str:
    facts = one["facts"]
    ended = ", ".join(f"{count:,} {status}" for status, count in facts["statuses"].items())
    prices = ", ".join(
        f"{row['prior']} {row['ratio']:.2f}" for row in facts["prices"] if row["prior"] != "none"
    )
    tuned = ""
    if facts["weights"]:
        chosen = ", ".join(
            f"{row['prior']} {row['weight']:g}{' (edge of its grid)' if row['edge'] else ''}"
            for row in facts["weights"]
        )
        tuned = f" Weights chosen of {facts['tuned']} each, on other seeds: {chosen}."
    return (
        f"`{facts['command']}`, {facts['date']}: scale {facts['scale']}, "
        f"{counted(facts['seeds'], 'seed')}; trials: {ended}; {facts['minutes']:.0f} minutes on "
        f"one busy core.{tuned} Time of a training step, none = 1: {prices}.\n\n"
    )


def setting_names(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The shortest names that tell settings apart, by the key of ``findings_figure.place``."""
    keys = {place(row): row for row in rows}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    names = {
        "task": _task_names(tasks),
        "dataset": {row["dataset"]: row["dataset"] for row in rows},
        "architecture": {row["architecture"]: row["architecture"] for row in rows},
    }
    several = [column for column, known in names.items() if len(known) > 1]
    return {
        key: " · ".join(names[column][row[column]] for column in several) or str(row["task"])
        for key, row in keys.items()
    }


def _task_names(specs: Sequence[str]) -> dict[str, str]:
    """Every task by its name and those options in which tasks of that name differ."""
    options = {spec: task_options(spec) for spec in specs}
    found = {}
    for spec in specs:
        name = split_spec(spec)[0]
        alike = [options[other] for other in specs if split_spec(other)[0] == name]
        varying = [key for key in alike[0] if len({str(one[key]) for one in alike}) > 1]
        told = ", ".join(f"{key}={_number(options[spec][key])}" for key in varying)
        found[spec] = f"{name} {told}".strip()
    return found


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of(rows: Sequence[Mapping[str, Any]], ask: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    wanted = ask.get("priors")
    return [
        row
        for row in rows
        if row["baseline"] == ask["baseline"] and (not wanted or row["prior"] in wanted)
    ]


def _answers(one: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for every baseline and prior that is asked about, from verdicts alone."""
    for ask in one["asks"]:
        rows = _of(one["facts"]["compared"], ask)
        for prior in dict.fromkeys(row["prior"] for row in rows):
            mine = [row for row in rows if row["prior"] == prior]
            settings = len({place(row) for row in mine})
            yield f"`{prior}` against `{ask['baseline']}`: {_verdicts(mine, settings)}."
    for row in one["facts"]["trends"]:
        if row["verdict"] in ("grows", "shrinks"):
            at = f" ({row['held']})" if row["held"] else ""
            yield (
                f"The gain of `{row['prior']}` in {row['metric']} {row['verdict']} with "
                f"{row['option']}{at}, by {_size(row)} from the first value to the last "
                f"(p {_p(row['p_adjusted'])})."
            )


def _decided(one: Mapping[str, Any]) -> Iterator[str]:
    """Where priors are better or worse, in a few words."""
    for ask in one["asks"]:
        rows = _of(one["facts"]["compared"], ask)
        for prior in dict.fromkeys(row["prior"] for row in rows):
            mine = [r for r in rows if r["prior"] == prior and r["verdict"] in ("better", "worse")]
            if mine:
                settings = len({place(row) for row in rows})
                yield f"`{prior}` against `{ask['baseline']}` {_verdicts(mine, settings)}"


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _size(row: Mapping[str, Any]) -> str:
    return fixed(abs(row["change"]), decimals_for([row["change"]]))


def _verdicts(rows: Sequence[Mapping[str, Any]], settings: int) -> str:
    """``✓ better on localisation (2 of 3); ? inconclusive on stability (3 of 3)``."""
    by_word: dict[str, list[str]] = {}
    for axis in dict.fromkeys(row["axis"] for row in rows):
        mine = [row for row in rows if row["axis"] == axis]
        for verdict in dict.fromkeys(row["verdict"] for row in mine):
            count = sum(row["verdict"] == verdict for row in mine)
            many = f" ({count} of {settings})" if settings > 1 else f" ({_gain(mine[0])})"
            by_word.setdefault(verdict, []).append(f"{axis}{many}")
    order = ("better", "worse", "equivalent", "non-inferior", "inconclusive", "")
    told = [
        f"{SIGNS.get(word, '')} {word or 'not tested'} on {listed(by_word[word])}".strip()
        for word in order
        if word in by_word
    ]
    return "; ".join(told)


def _gain(row: Mapping[str, Any]) -> str:
    return f"{row['metric']} {fixed(gain(row, 'difference'), 3, signed=True)}"


def _table(facts: Mapping[str, Any], ask: Mapping[str, Any], names: Mapping[str, str]) -> str:
    rows = _of(facts["compared"], ask)
    if not rows:
        return ""
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    head = f"| {'setting | ' if len(names) > 1 else ''}prior | {' | '.join(axes)} |\n"
    lines = [
        f"Gain over `{ask['baseline']}` (its own score in the rows of its name):\n\n",
        head,
        "|---" * (len(axes) + 1 + (len(names) > 1)) + "|\n",
    ]
    for key, name in names.items():
        here = [row for row in rows if place(row) == key]
        if not here:
            continue
        first = f"{name} | " if len(names) > 1 else ""
        means = {row["axis"]: f"{row['metric']} {row['mean_baseline']:.3f}" for row in here}
        lines.append(f"| {first}`{ask['baseline']}` | {_cells(means, axes)} |\n")
        for prior in dict.fromkeys(row["prior"] for row in here):
            cells = {row["axis"]: _cell(row) for row in here if row["prior"] == prior}
            lines.append(f"| {' | ' if first else ''}`{prior}` | {_cells(cells, axes)} |\n")
    return "".join([*lines, "\n"])


def _cells(cells: Mapping[str, str], axes: Sequence[str]) -> str:
    return " | ".join(cells.get(axis, MISSING) for axis in axes)


def _cell(row: Mapping[str, Any]) -> str:
    text = _short(row)
    if row["ci_low"] is None:
        return text
    low, high = sorted(gain(row, end) for end in ("ci_low", "ci_high"))
    return f"{text} [{fixed(low, 3)}, {fixed(high, 3)}]".strip()


def _trend_table(facts: Mapping[str, Any]) -> str:
    if not facts["trends"]:
        return ""
    option, tests = facts["trends"][0]["option"], facts["trends"][0]["tests"]
    lines = [
        f"Does the gain change with `{option}`? Along a line through each seed's gains over the "
        "ranks of the values, from the first to the last; sign-flip test, Holm's method over the "
        f"{tests} tests of a sweep:\n\n",
        "| prior | metric | change of the gain | p | the gain |\n|---|---|---|---|---|\n",
    ]
    for row in facts["trends"]:
        change = fixed(gain(row, "change"), 3, signed=True)
        at = f" ({row['held']})" if row["held"] else ""
        lines.append(
            f"| `{row['prior']}`{at} | {row['metric']} | {change} | {p_value(row['p_adjusted'])} | "
            f"{row['verdict']} |\n"
        )
    return "".join([*lines, "\n"])


def _explained(facts: Mapping[str, Any]) -> str:
    """Gains under every attribution that was scored; exploratory but for the first."""
    rows = facts["explained"]
    if not rows or len({place(row) for row in rows}) > 1:
        return ""
    scored = list(dict.fromkeys(row["attribution"] for row in rows))
    lines = [
        "The same trained networks under other attributions, gain over `none` (exploratory, "
        "Benjamini and Hochberg's method, but for the first):\n\n"
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        lines.append(f"| {metric} | {' | '.join(scored)} |\n" + "|---" * (len(scored) + 1) + "|\n")
        mine = {(r["prior"], r["attribution"]): r for r in rows if r["metric"] == metric}
        for prior in dict.fromkeys(prior for prior, _ in mine):
            cells = [
                _short(mine[prior, spec])
                if (prior, spec) in mine and (metric, spec) != _ITSELF
                else MISSING
                for spec in scored
            ]
            lines.append(f"| `{prior}` | {' | '.join(cells)} |\n")
        lines.append("\n")
    return "".join(lines)


def _short(row: Mapping[str, Any]) -> str:
    text = f"{SIGNS.get(row['verdict'], '')} {fixed(gain(row, 'difference'), 3, signed=True)}"
    return text.strip()


def _references(facts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Where motif search was looked at: its scores beside those of networks."""
    rows = [r for r in facts["references"] if r["prior"] in ("motif-scan", "gapped-kmers")]
    if "motif-search" not in facts["command"] or not rows:
        return ""
    wanted = ("auroc", "motif-auprc")
    lines = [
        "Without a network (no seeds, so no test), beside the means of networks:\n\n",
        "| setting | metric | motif-scan | gapped-kmers | none | fourier |\n",
        "|---" * 6 + "|\n",
    ]
    for key, name in names.items():
        for metric in wanted:
            here = [r for r in rows if place(r) == key and r["metric"] == metric]
            own = {r["prior"]: r["value"] for r in here}
            mine = [r for r in facts["compared"] if place(r) == key and r["metric"] == metric]
            if not mine:
                continue
            base = mine[0]["mean_baseline"]
            values = [
                own.get("motif-scan"),
                own.get("gapped-kmers"),
                base,
                base + mine[0]["difference"],
            ]
            told = [MISSING if value is None else fixed(value, 3) for value in values]
            lines.append(f"| {name} | {metric} | {' | '.join(told)} |\n")
    return "".join([*lines, "\n"])


def _edges(facts: Mapping[str, Any]) -> str:
    """Effects on the penalty, exact, and the verdicts of trained models."""
    edges = facts["edges"]
    if not edges:
        return ""
    lines = [
        f"The penalty itself at {edges['length']} bp, exact, as shares of what separates noise "
        "from one motif: a motif at the end instead of the middle, two motifs across the ends "
        "instead of side by side, a jump between the ends.\n\n",
        "| prior | motif at the end | wrap-around gain | jump |\n|---|---|---|---|\n",
    ]
    for row in edges["effects"]:
        shares = [row[name] for name in ("end_cost", "wrap_gain", "jump_cost")]
        told = [MISSING if s is None else f"{fixed(100 * s, 1, signed=True)}%" for s in shares]
        lines.append(f"| `{row['prior']}` | {' | '.join(told)} |\n")
    lines += [
        "\nTrained networks: difference in differences (places near the end less the middle, prior "
        "less baseline), sign-flip tests over seeds, Holm's method over the priors of a "
        "contrast:\n\n",
        "| task | contrast | prior | against | difference | p | verdict |\n",
        "|---" * 7 + "|\n",
    ]
    decided = [row for row in edges["trained"] if row["verdict"] in ("better", "worse")]
    for row in decided:
        low, high = row.get("ci_low"), row.get("ci_high")
        interval = "" if low is None else f" [{fixed(low, 3)}, {fixed(high, 3)}]"
        lines.append(
            f"| {row['task']} | {row['contrast']} | `{row['prior']}` | `{row['baseline']}` | "
            f"{fixed(row['difference'], 3, signed=True)}{interval} | "
            f"{p_value(row['p_adjusted'])} | {row['verdict']} |\n"
        )
    left = counted(len(edges["trained"]) - len(decided), "other test")
    lines.append(f"\nThe {left} are inconclusive.\n")
    for one in edges["conclusions"]:
        lines.append(
            f"\nOf the {one['tests']} tests of another boundary against `{one['default']}`, "
            f"{len(one['better'])} call it better and {len(one['worse'])} worse. Advised: "
            f"`{one['advised']}`.\n"
        )
    return "".join([*lines, "\n"])


def write(runs: Path, only: Sequence[str] = ()) -> list[str]:
    """Gather facts from the folders that are there, draw figures, write the page.

    Args:
        runs: with a run directory for each section.
        only: names of the sections to gather; all if left out.

    Returns:
        a line for every section.
    """
    from findings_facts import facts_of

    FACTS.mkdir(exist_ok=True)
    told = []
    listed_ = tomllib.loads((HERE / "findings.toml").read_text(encoding="utf-8"))["sections"]
    for section in listed_:
        name = section["run"]
        if only and name not in only:
            continue
        if not (runs / name / "results.csv").exists():
            told.append(f"{name}: no finished run in {runs}; what was known stays")
            continue
        facts = facts_of(runs / name, section.get("asks", _USUAL))
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        (FACTS / f"{name}.json").write_text(text, encoding="utf-8")
        _draw(facts, section.get("asks", _USUAL)[0], FACTS / f"{name}.svg")
        told.append(f"{name}: {digest(facts)}")
    PAGE.write_text(page(), encoding="utf-8")
    return told


def _draw(facts: Mapping[str, Any], ask: Mapping[str, Any], path: Path) -> None:
    rows = _of(facts["compared"], ask)
    names = setting_names(rows)
    first = facts["trends"][0] if facts["trends"] else None
    trends = [t for t in facts["trends"] if first and _sweep(t) == _sweep(first)]
    if trends:
        rows = list(_with_values(rows, trends[0]))
    draw(rows, trends, names, path)


def _sweep(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["option"], row["held"]


def _with_values(
    rows: Sequence[Mapping[str, Any]], trend: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The rows of a sweep, each with the value of the option."""
    settings = [tuple(row[c] for c in ("task", "dataset", "architecture")) for row in rows]
    options = {setting[0]: task_options(setting[0]) for setting in settings}
    for swept in swept_tasks(list(dict.fromkeys(settings)), options):
        if (swept.option, swept.held) == _sweep(trend):
            values = {spec: value for value, spec in swept.points}
            for row in rows:
                if row["task"] in values and split_spec(row["task"])[0] == swept.task:
                    yield {**row, "value": values[row["task"]]}


if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python docs/findings.py DIR [NAME...], DIR a folder of run directories")
    print("\n".join(write(Path(sys.argv[1]), sys.argv[2:])))
