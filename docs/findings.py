"""Write docs/findings.md from run directories: `make findings RUNS=DIR`.

DIR holds one run directory for each section of findings.toml, of the section's name; sections
without one keep their earlier facts. `python docs/findings.py DIR NAME...` reads the runs of some
sections alone. A section is written from its facts, which lie beside the page as
docs/findings/NAME.json; a test writes the page again from them.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from priorbench.comparison.option_trends import task_options

sys.path.insert(0, str(Path(__file__).parent))

from findings_figure import draw, gain, setting_key
from priorbench.reports._shared.settings import SIGNS

from priorbench.comparison.option_trends import swept_tasks
from priorbench.components.specs import split_spec
from priorbench.number_text import (
    MISSING,
    counted,
    decimals_for,
    fixed,
    listed,
    p_value,
    percent,
    with_relation,
)
from priorbench.study.trial import SETTING_COLUMNS

HERE = Path(__file__).parent
FACTS = HERE / "findings"
PAGE = HERE / "findings.md"
_USUAL = [{"baseline": "none"}]
_ITSELF = ("mutagenesis-correlation", "in-silico-mutagenesis")
"""metric and attribution that compare mutagenesis with itself"""
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
    """Return the sections of findings.toml with their facts; those without facts are left out."""
    known = []
    for section in _declared_sections():
        path = FACTS / f"{section['run']}.json"
        if path.exists():
            facts = json.loads(path.read_text(encoding="utf-8"))
            known.append({"asks": _USUAL, **section, "facts": facts, "digest": digest(facts)})
    return known


def _declared_sections() -> list[dict[str, Any]]:
    declared = tomllib.loads((HERE / "findings.toml").read_text(encoding="utf-8"))
    return list(declared["sections"])


def digest(facts: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits of the results; date and running time do not count."""
    results = {key: facts[key] for key in ("compared", "trends", "explained", "edges", "statuses")}
    text = json.dumps(results, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def page() -> str:
    """Return the whole page, written from the facts."""
    known = sections()
    parts = [_HEAD.format(machine=_machine(known)), _contents(known)]
    return "".join([*parts, *map(_section, known)])


def _machine(sections: Sequence[Mapping[str, Any]]) -> str:
    trials = sum(sum(section["facts"]["statuses"].values()) for section in sections)
    hours = sum(section["facts"]["minutes"] for section in sections) / 60
    return f"{trials:,} trainings, {hours:.1f} hours on a core of a shared server"


def _contents(sections: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| question | answer |\n|---|---|\n"]
    for section in sections:
        anchor = section["title"].lower().replace(",", "").replace(" ", "-")
        first, stop, _ = " ".join(_words(section).split()).partition(". ")
        answer = first + stop or "; ".join(_decided(section)) or "nothing could be established"
        lines.append(f"| [{section['facts']['question']}](#{anchor}) | {answer} |\n")
    return "".join([*lines, "\n"])


def _words(section: Mapping[str, Any]) -> str:
    """Return the answer in prose; "" if it was written for other facts."""
    return str(section["words"]).strip() if section.get("of") == section["digest"] else ""


def _section(section: Mapping[str, Any]) -> str:
    facts = section["facts"]
    names = setting_names(facts["compared"])
    lines = [f"## {section['title']}\n\n*{facts['question']}*\n\n"]
    if _words(section):
        lines.append(f"{_words(section)}\n\n")
    lines += [f"- {answer}\n" for answer in _answers(section)]
    lines += [f"\n![Gains and intervals](findings/{section['run']}.svg)\n\n"]
    lines += [_table(facts, comparison, names) for comparison in section["asks"]]
    lines += [_trend_table(facts), _explained(facts), _references(facts, names), _edges(facts)]
    lines.append(_provenance(facts))
    return "".join(lines)


def _provenance(facts: Mapping[str, Any]) -> str:
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
    """Return the shortest names that distinguish settings, by ``findings_figure.setting_key``."""
    keys = {setting_key(row): row for row in rows}
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
    """Return the name of every task, with the options in which tasks of that name differ."""
    options = {spec: task_options(spec) for spec in specs}
    names = {}
    for spec in specs:
        name = split_spec(spec)[0]
        alike = [options[other] for other in specs if split_spec(other)[0] == name]
        varying = [key for key in alike[0] if len({str(values[key]) for values in alike}) > 1]
        texts = ", ".join(f"{key}={_number(options[spec][key])}" for key in varying)
        names[spec] = f"{name} {texts}".strip()
    return names


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _compared(facts: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of a baseline and, if the comparison names any, of some priors."""
    priors = comparison.get("priors")
    return [
        row
        for row in facts["compared"]
        if row["baseline"] == comparison["baseline"] and (not priors or row["prior"] in priors)
    ]


def _answers(section: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every baseline and prior of a section, from verdicts alone."""
    for comparison in section["asks"]:
        rows = _compared(section["facts"], comparison)
        for prior in dict.fromkeys(row["prior"] for row in rows):
            own = [row for row in rows if row["prior"] == prior]
            settings = len({setting_key(row) for row in own})
            yield f"`{prior}` against `{comparison['baseline']}`: {_verdicts(own, settings)}."
    for row in section["facts"]["trends"]:
        if row["verdict"] in ("grows", "shrinks"):
            at = f" ({row['held']})" if row["held"] else ""
            yield (
                f"The gain of `{row['prior']}` in {row['metric']} {row['verdict']} with "
                f"{row['option']}{at}, by {_size(row)} from the first value to the last "
                f"(p {with_relation(p_value(row['p_adjusted']))})."
            )


def _decided(section: Mapping[str, Any]) -> Iterator[str]:
    """Yield where priors are better or worse, in a few words."""
    for comparison in section["asks"]:
        rows = _compared(section["facts"], comparison)
        for prior in dict.fromkeys(row["prior"] for row in rows):
            own = [r for r in rows if r["prior"] == prior and r["verdict"] in ("better", "worse")]
            if own:
                settings = len({setting_key(row) for row in rows})
                yield f"`{prior}` against `{comparison['baseline']}` {_verdicts(own, settings)}"


def _size(row: Mapping[str, Any]) -> str:
    return fixed(abs(row["change"]), decimals_for([row["change"]]))


def _verdicts(rows: Sequence[Mapping[str, Any]], settings: int) -> str:
    """Return ``✓ better on localisation (2 of 3); ? inconclusive on stability (3 of 3)``."""
    by_word: dict[str, list[str]] = {}
    for axis in dict.fromkeys(row["axis"] for row in rows):
        own = [row for row in rows if row["axis"] == axis]
        for verdict in dict.fromkeys(row["verdict"] for row in own):
            count = sum(row["verdict"] == verdict for row in own)
            aside = f" ({count} of {settings})" if settings > 1 else f" ({_gain(own[0])})"
            by_word.setdefault(verdict, []).append(f"{axis}{aside}")
    order = ("better", "worse", "equivalent", "non-inferior", "inconclusive", "")
    texts = [
        f"{SIGNS.get(word, '')} {word or 'not tested'} on {listed(by_word[word])}".strip()
        for word in order
        if word in by_word
    ]
    return "; ".join(texts)


def _gain(row: Mapping[str, Any]) -> str:
    return f"{row['metric']} {fixed(gain(row, 'difference'), 3, signed=True)}"


def _table(
    facts: Mapping[str, Any], comparison: Mapping[str, Any], names: Mapping[str, str]
) -> str:
    rows = _compared(facts, comparison)
    baseline = comparison["baseline"]
    if not rows:
        return ""
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    head = f"| {'setting | ' if len(names) > 1 else ''}prior | {' | '.join(axes)} |\n"
    lines = [
        f"Gain over `{baseline}` (its own score in the rows of its name):\n\n",
        head,
        "|---" * (len(axes) + 1 + (len(names) > 1)) + "|\n",
    ]
    for key, name in names.items():
        here = [row for row in rows if setting_key(row) == key]
        if not here:
            continue
        first = f"{name} | " if len(names) > 1 else ""
        means = {row["axis"]: f"{row['metric']} {row['mean_baseline']:.3f}" for row in here}
        lines.append(f"| {first}`{baseline}` | {_cells(means, axes)} |\n")
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
    """Return the gains under every attribution that was scored."""
    rows = facts["explained"]
    if not rows or len({setting_key(row) for row in rows}) > 1:
        return ""
    scored = list(dict.fromkeys(row["attribution"] for row in rows))
    lines = [
        "The same trained networks under other attributions, gain over `none` (exploratory, "
        "Benjamini and Hochberg's method, but for the first):\n\n"
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        lines.append(f"| {metric} | {' | '.join(scored)} |\n" + "|---" * (len(scored) + 1) + "|\n")
        own = {(r["prior"], r["attribution"]): r for r in rows if r["metric"] == metric}
        for prior in dict.fromkeys(prior for prior, _ in own):
            cells = [
                _short(own[prior, spec])
                if (prior, spec) in own and (metric, spec) != _ITSELF
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
    """Return the scores of motif search beside those of networks, in the study of motif search."""
    rows = [r for r in facts["references"] if r["prior"] in ("motif-scan", "gapped-kmers")]
    if "motif-search" not in facts["command"] or not rows:
        return ""
    lines = [
        "Without a network (no seeds, so no test), beside the means of networks:\n\n",
        "| setting | metric | motif-scan | gapped-kmers | none | fourier |\n",
        "|---" * 6 + "|\n",
    ]
    for key, name in names.items():
        for metric in ("auroc", "motif-auprc"):
            here = [r for r in rows if setting_key(r) == key and r["metric"] == metric]
            scores = {r["prior"]: r["value"] for r in here}
            compared = [
                r for r in facts["compared"] if setting_key(r) == key and r["metric"] == metric
            ]
            if not compared:
                continue
            baseline = compared[0]["mean_baseline"]
            values = [
                scores.get("motif-scan"),
                scores.get("gapped-kmers"),
                baseline,
                baseline + compared[0]["difference"],
            ]
            texts = [MISSING if value is None else fixed(value, 3) for value in values]
            lines.append(f"| {name} | {metric} | {' | '.join(texts)} |\n")
    return "".join([*lines, "\n"])


def _edges(facts: Mapping[str, Any]) -> str:
    """Return the exact effects on the penalty, and the verdicts on trained models."""
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
        texts = [MISSING if share is None else percent(share) for share in shares]
        lines.append(f"| `{row['prior']}` | {' | '.join(texts)} |\n")
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
    for row in edges["conclusions"]:
        lines.append(
            f"\nOf the {row['tests']} tests of another boundary against `{row['default']}`, "
            f"{len(row['better'])} call it better and {len(row['worse'])} worse. Advised: "
            f"`{row['advised']}`.\n"
        )
    return "".join([*lines, "\n"])


def write(runs: Path, only: Sequence[str] = ()) -> list[str]:
    """Gather facts from the folders that are there, draw figures, write the page.

    Args:
        runs: folder that holds a run directory for each section.
        only: names of the sections to gather; all if left out.

    Returns:
        A line for every section.
    """
    from findings_facts import facts_of

    FACTS.mkdir(exist_ok=True)
    messages = []
    for section in _declared_sections():
        name = section["run"]
        if only and name not in only:
            continue
        if not (runs / name / "results.csv").exists():
            messages.append(f"{name}: no finished run in {runs}; the earlier facts stay")
            continue
        facts = facts_of(runs / name, section.get("asks", _USUAL))
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        (FACTS / f"{name}.json").write_text(text, encoding="utf-8")
        _draw(facts, section.get("asks", _USUAL)[0], FACTS / f"{name}.svg")
        messages.append(f"{name}: {digest(facts)}")
    PAGE.write_text(page(), encoding="utf-8")
    return messages


def _draw(facts: Mapping[str, Any], comparison: Mapping[str, Any], path: Path) -> None:
    rows = _compared(facts, comparison)
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
    """Yield the rows of a sweep, each with the value of its option."""
    settings = [tuple(row[c] for c in SETTING_COLUMNS) for row in rows]
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
