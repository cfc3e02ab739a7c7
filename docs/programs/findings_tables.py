"""Tables of a section of findings.md and real-data.md, in Markdown, from facts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from findings_rows import Facts, Row, compared, gain, setting_key

from priorbench.number_text import MISSING, counted, decimals_for, fixed, p_value, percent
from priorbench.reports._shared.settings import SIGNS

_ITSELF = ("mutagenesis-correlation", "in-silico-mutagenesis")
"""metric and attribution that compare mutagenesis with itself"""
_NETWORK_FREE = ("random", "window-centre", "motif-scan", "gapped-kmers", "replicate", "oracle")
"""references beside networks, in the order of their columns"""


def gains(facts: Facts, comparisons: Sequence[Row], names: Mapping[str, str]) -> str:
    """Return the table of a section: the gain of every prior over what it is compared with."""
    baselines = [comparison["baseline"] for comparison in comparisons]
    axes = list(dict.fromkeys(row["axis"] for row in facts["compared"]))
    first = ["setting"] * (len(names) > 1) + ["prior"] + ["against"] * (len(baselines) > 1)
    lines = [_line([*first, *axes]), _line(["---"] * (len(first) + len(axes)))]
    for key, name in names.items():
        shown = ""
        for comparison in comparisons:
            rows = [row for row in compared(facts, comparison) if setting_key(row) == key]
            for cells in _setting(rows, comparison["baseline"], axes, own=not shown):
                prior, *scores = cells
                against = [f"`{comparison['baseline']}`" if prior else ""] * (len(baselines) > 1)
                if not prior:
                    prior = f"`{comparison['baseline']}`"
                setting = [name if name != shown else ""] * (len(names) > 1)
                lines.append(_line([*setting, prior, *against, *scores]))
                shown = name
    return "".join([*lines, "\n"])


def _setting(
    rows: Sequence[Row], baseline: str, axes: Sequence[str], *, own: bool
) -> Iterator[list[str]]:
    """Yield the cells of a setting's lines, first of its baseline, which is named as "" there."""
    if rows and own:
        means = {row["axis"]: f"{row['metric']} {fixed(row['mean_baseline'], 3)}" for row in rows}
        yield ["", *_cells(means, axes)]
    for prior in dict.fromkeys(row["prior"] for row in rows):
        texts = {row["axis"]: _cell(row) for row in rows if row["prior"] == prior}
        yield [f"`{prior}`", *_cells(texts, axes)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cells(cells: Mapping[str, str], axes: Sequence[str]) -> list[str]:
    return [cells.get(axis, MISSING) for axis in axes]


def _cell(row: Row) -> str:
    text = _short(row)
    if row["ci_low"] is None:
        return text
    low, high = sorted(gain(row, end) for end in ("ci_low", "ci_high"))
    counted_seeds = row.get("seeds_better") is not None
    seeds = f" {row['seeds_better']}:{row['seeds_worse']}" if counted_seeds else ""
    return f"{text} [{fixed(low, 3)}, {fixed(high, 3)}]{seeds}".strip()


def _short(row: Row) -> str:
    text = f"{SIGNS.get(row['verdict'], '')} {fixed(gain(row, 'difference'), 3, signed=True)}"
    return text.strip()


def trend_table(facts: Facts) -> str:
    """Return the tests of whether a gain changes with an option; "" where none was swept."""
    if not facts["trends"]:
        return ""
    option, tests = facts["trends"][0]["option"], facts["trends"][0]["tests"]
    lines = [
        f"Does the gain change with `{option}`? Along a line through each seed's gains over the "
        "ranks of the values, from the first to the last; sign-flip test, Holm's method over the "
        f"{tests} tests of a sweep:\n\n",
        _line(["prior", "metric", "change of the gain", "p", "the gain"]),
        _line(["---"] * 5),
    ]
    for row in facts["trends"]:
        at = f" ({row['held']})" if row["held"] else ""
        change = gain(row, "change")
        cells = [
            f"`{row['prior']}`{at}",
            row["metric"],
            fixed(change, max(3, decimals_for([change])), signed=True),
            p_value(row["p_adjusted"]),
            row["verdict"],
        ]
        lines.append(_line(cells))
    return "".join([*lines, "\n"])


def explained(facts: Facts) -> str:
    """Return the gains under every attribution that was scored; "" where it was only one."""
    rows = facts["explained"]
    if not rows or len({setting_key(row) for row in rows}) > 1:
        return ""
    scored = list(dict.fromkeys(row["attribution"] for row in rows))
    lines = [
        "The same trained networks under other attributions, gain over `none` (exploratory, "
        "Benjamini and Hochberg's method, but for columns called primary, whose tests are those "
        "above):\n\n"
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        above = {
            row["attribution"]
            for row in rows
            if row["metric"] == metric
            and {key: value for key, value in row.items() if key != "attribution"}
            in facts["compared"]
        }
        heads = [f"{spec} (primary)" if spec in above else spec for spec in scored]
        lines += [_line([metric, *heads]), _line(["---"] * (len(scored) + 1))]
        own = {(r["prior"], r["attribution"]): r for r in rows if r["metric"] == metric}
        for prior in dict.fromkeys(prior for prior, _ in own):
            cells = [
                _short(own[prior, spec])
                if (prior, spec) in own and (metric, spec) != _ITSELF
                else MISSING
                for spec in scored
            ]
            lines.append(_line([f"`{prior}`", *cells]))
        lines.append("\n")
    return "".join(lines)


def references(facts: Facts, names: Mapping[str, str]) -> str:
    """Return the scores without a network beside the means of networks, by setting and metric."""
    rows = [r for r in facts["references"] if r["prior"] in _NETWORK_FREE]
    columns = [name for name in _NETWORK_FREE if any(r["prior"] == name for r in rows)]
    priors = list(dict.fromkeys(row["prior"] for row in facts["compared"]))
    lines = [
        "Without a network (no seeds, so no test), beside the means of networks:\n\n",
        _line(["setting", "metric", *columns, "none", *(f"`{prior}`" for prior in priors)]),
        _line(["---"] * (3 + len(columns) + len(priors))),
    ]
    for key, name in names.items():
        here = [r for r in facts["compared"] if setting_key(r) == key and r["baseline"] == "none"]
        for metric in dict.fromkeys(row["metric"] for row in here):
            scores = {
                r["prior"]: r["value"]
                for r in rows
                if setting_key(r) == key and r["metric"] == metric
            }
            if not scores:
                continue
            own = {row["prior"]: row for row in here if row["metric"] == metric}
            values = [scores.get(column) for column in columns]
            values.append(next(iter(own.values()))["mean_baseline"])
            values += [
                own[p]["mean_baseline"] + own[p]["difference"] if p in own else None for p in priors
            ]
            texts = [MISSING if value is None else fixed(value, 3) for value in values]
            lines.append(_line([name, metric, *texts]))
    return "".join([*lines, "\n"]) if len(lines) > 3 else ""


def edges(facts: Facts) -> str:
    """Return the exact effects on the penalty, and the verdicts on trained models."""
    edges = facts["edges"]
    if not edges:
        return ""
    lines = [
        f"The penalty itself at {edges['length']} bp, exact, as shares of what separates noise "
        "from one motif: a motif at the end instead of the middle, two motifs across the ends "
        "instead of side by side, a jump between the ends.\n\n",
        _line(["prior", "motif at the end", "wrap-around gain", "jump"]),
        _line(["---"] * 4),
    ]
    for row in edges["effects"]:
        shares = [row[name] for name in ("end_cost", "wrap_gain", "jump_cost")]
        texts = [MISSING if share is None else percent(share) for share in shares]
        lines.append(_line([f"`{row['prior']}`", *texts]))
    lines += [
        "\nTrained networks: difference in differences (places near the end less the middle, prior "
        "less baseline), sign-flip tests over seeds, Holm's method over the priors of a "
        "contrast:\n\n",
        _line(["task", "contrast", "prior", "against", "difference", "p", "verdict"]),
        _line(["---"] * 7),
    ]
    decided = [row for row in edges["trained"] if row["verdict"] in ("better", "worse")]
    for row in decided:
        low, high = row.get("ci_low"), row.get("ci_high")
        interval = "" if low is None else f" [{fixed(low, 3)}, {fixed(high, 3)}]"
        difference = f"{fixed(row['difference'], 3, signed=True)}{interval}"
        cells = [row["task"], row["contrast"], f"`{row['prior']}`", f"`{row['baseline']}`"]
        lines.append(_line([*cells, difference, p_value(row["p_adjusted"]), row["verdict"]]))
    left = counted(len(edges["trained"]) - len(decided), "other test")
    lines.append(f"\nThe {left} are inconclusive.\n")
    for row in edges["conclusions"]:
        advised = f"`{row['advised']}`" if row["advised"] else "none, as effects have no scale"
        lines.append(
            f"\nOf the {row['tests']} tests of another boundary against `{row['default']}`, "
            f"{len(row['better'])} call it better and {len(row['worse'])} worse. Advised: "
            f"{advised}.\n"
        )
    return "".join([*lines, "\n"])
