"""The commands `list` and `show`: the components, metrics and studies that there are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

from priorbench.cli.options import add_plugins
from priorbench.cli.output.as_json import print_json
from priorbench.cli.output.tables import print_wrapped

from .listing import Kind, listing


def list_components(
    kind: Kind | None = None, *, json: bool = False, plugin: list[Path] | None = None
) -> None:
    """List priors, tasks, networks, attributions, metrics and studies.

    Example: priorbench list priors

    Args:
        kind: Kind of things to list. Default: all kinds.
    """
    add_plugins(plugin)
    rows_by_kind = {name: listing(name) for name in ([kind] if kind else get_args(Kind))}
    if json:
        print_json(rows_by_kind[kind] if kind else rows_by_kind)
        return
    indent = 0 if kind else 2
    for name, rows in rows_by_kind.items():
        if not kind:
            print(f"{name}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            line = f"{row['name']:<{width}}  {row['summary']}"
            print_wrapped(line, indent=indent, hanging=width + 2)
            if row.get("minutes"):
                minutes = ", ".join(f"{scale} {m:,.10g}" for scale, m in row["minutes"].items())
                print_wrapped(f"minutes on one core: {minutes}", indent=indent + width + 2)


def show(name: str, *, json: bool = False, plugin: list[Path] | None = None) -> None:
    """Show what a component or a study is: formula, options, defaults, citation, price.

    Example: priorbench show fourier

    Args:
        name: Name of a prior, task, architecture, attribution, metric or study. Example: fourier
    """
    from .details import details, print_details

    add_plugins(plugin)
    meanings = details(name)
    if json:
        print_json(list(map(asdict, meanings)))
        return
    for number, meaning in enumerate(meanings):
        print("\n" * (number > 0), end="")
        print_details(meaning)
