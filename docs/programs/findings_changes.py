"""What changed since an earlier run of a study, and what a run on other seeds confirms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from findings_rows import Facts, Row, gain, setting_key, signed

from priorbench.number_text import counted, fixed, listed

Change = tuple[str, str]
_ESTABLISHED = {"better", "worse"}


def earlier_verdicts(facts: Facts, earlier: Facts) -> dict[str, Any]:
    """Return how the verdicts of a run differ from those of an earlier run of the same study.

    Args:
        facts: facts of the run that counts now.
        earlier: facts of the run that they replace.

    Returns:
        ``date``, ``seeds`` and ``correction`` of the earlier run; ``common``, the number of
        verdicts that both have (of a setting, prior, baseline and axis); and ``changed``, a row
        for each that differs, and ``metrics`` that stand for an axis now and did not before. An
        earlier run with the same comparisons, up to rounding, is the same run read again: what it
        said of an earlier one is kept.
    """
    if _same_rows(earlier["compared"], facts["compared"]):
        return dict(earlier.get("since", {}))
    before = {_place(row): row for row in earlier["compared"]}
    common = [row for row in facts["compared"] if _place(row) in before]
    return {
        "date": earlier["date"],
        "seeds": earlier["seeds"],
        "correction": earlier.get("correction", "holm"),
        "common": len(common),
        "metrics": sorted(
            {
                (row["axis"], before[_place(row)]["metric"], row["metric"])
                for row in common
                if before[_place(row)]["metric"] != row["metric"]
            }
        ),
        "changed": [
            {
                "prior": row["prior"],
                "baseline": row["baseline"],
                "axis": row["axis"],
                "before": before[_place(row)]["verdict"],
                "now": row["verdict"],
            }
            for row in common
            if before[_place(row)]["verdict"] != row["verdict"]
        ],
    }


def _same_rows(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    """Return whether rows are alike in what both say, up to the rounding of the coarsest facts."""
    return len(rows) == len(others) and all(
        _alike(row[key], other[key])
        for row, other in zip(rows, others, strict=True)
        for key in row.keys() & other.keys()
    )


def _alike(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-3, abs_tol=1e-6)
    return bool(value == other)


def _place(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return setting_key(row), row["prior"], row["baseline"], row["axis"]


def since_text(since: Mapping[str, Any], corrections: Mapping[str, str]) -> str:
    """Return the changes of a study's verdicts in a paragraph; "" where there is no earlier run.

    What was established or is now is named, and first; other changes are counted.
    """
    if not since:
        return ""
    changed = since["changed"]
    by: dict[Change, list[Mapping[str, Any]]] = {}
    for row in changed:
        by.setdefault((row["before"], row["now"]), []).append(row)
    same = since["common"] - len(changed)
    texts = [
        f"{signed(old)} → {signed(new)}: "
        f"{_listed(rows) if _ESTABLISHED & {old, new} else counted(len(rows), 'time')}"
        for (old, new), rows in sorted(by.items(), key=lambda item: not _ESTABLISHED & {*item[0]})
    ]
    metrics = "".join(f", {axis} by {old}" for axis, old, _ in since.get("metrics", ()))
    return (
        f"The version of {since['date']} ({counted(since['seeds'], 'seed')}, "
        f"{corrections[since['correction']]}{metrics}) had {same} of "
        f"{counted(since['common'], 'verdict')} alike{'; ' if texts else ''}{'; '.join(texts)}."
    )


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return priors and axes, each with a number where it stands for several settings."""
    counts: dict[str, int] = {}
    for row in rows:
        against = "" if row["baseline"] == "none" else f" against `{row['baseline']}`"
        name = f"`{row['prior']}`{against} on {row['axis']}"
        counts[name] = counts.get(name, 0) + 1
    return listed([f"{name} ({n} times)" if n > 1 else name for name, n in counts.items()])


def confirmed(facts: Facts, again: Facts) -> list[tuple[Row, Row]]:
    """Return the rows of established differences, each with that of a run on other seeds."""
    rows = {_place(row): row for row in again["compared"]}
    return [(row, rows[_place(row)]) for row in _decided(facts) if _place(row) in rows]


def _decided(facts: Facts) -> list[Row]:
    return [row for row in facts["compared"] if row["verdict"] in _ESTABLISHED]


def confirmation_table(facts: Facts, again: Facts, names: Mapping[str, str]) -> str:
    """Return what another run, on seeds that chose nothing, says of established differences.

    Args:
        facts: facts of the first run.
        again: facts of a run with other seeds.
        names: names of the settings, by ``findings_rows.setting_key``.
    """
    pairs = confirmed(facts, again)
    if not pairs:
        why = "shares none with this run" if _decided(facts) else "has nothing to confirm"
        return f"No difference was confirmed: `{again['command']}` {why}.\n\n"
    same = sum(first["verdict"] == second["verdict"] for first, second in pairs)
    direction = sum(
        first["difference"] * (second["difference"] or 0) > 0 for first, second in pairs
    )
    left = len(_decided(facts)) - len(pairs)
    missing = f"; {left} more {'is' if left == 1 else 'are'} not in it" if left else ""
    lines = [
        f"`{again['command']}` ({counted(again['seeds'], 'seed')}) gives {same} of "
        f"{counted(len(pairs), 'established difference')} the same verdict and {direction} the "
        f"same sign{missing}:\n\n",
        "| setting | prior | against | axis | first | again | verdict again |\n"
        + "|---" * 7
        + "|\n",
    ]
    for first, second in pairs:
        texts = (fixed(gain(row, "difference"), 3, signed=True) for row in (first, second))
        lines.append(
            f"| {names[setting_key(first)]} | `{first['prior']}` | "
            f"`{first['baseline']}` | {first['axis']} | "
            f"{' | '.join(texts)} | {signed(second['verdict'])} |\n"
        )
    return "".join([*lines, "\n"])
