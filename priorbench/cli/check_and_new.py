"""The commands `check` and `new`: for authors of priors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from priorbench.errors import UserError

from .console import print_message
from .options import add_plugins


def check(prior: str, *, plugin: list[Path] | None = None) -> int:
    """Check that a prior keeps its contract; exit status 1 if it does not.

    Example: priorbench check my_prior.py

    Args:
        prior: File that defines a prior, or a prior as in `run`. Example: my_prior.py, or
            fourier:boundary=reflect
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from priorbench.authoring.prior_checks import check_prior
    from priorbench.components.registry import add_plugin, components

    add_plugins(plugin)
    spec = prior
    if Path(prior).suffix == ".py" or Path(prior).is_file():
        spec = add_plugin(Path(prior)).name
        if spec not in components("prior"):
            raise UserError(f"{prior}: defines a task; checks are for priors")
    table = Table("check", "", "what was seen", title=spec, title_justify="left")
    marks = {"passed": "ok", "failed": "FAILED", "not applicable": "-"}
    results = list(check_prior(spec))
    for result in results:
        table.add_row(Text(result.check), marks[result.outcome], Text(result.detail))
    Console().print(table)
    failed = sum(result.outcome == "failed" for result in results)
    if failed:
        print_message(f"{spec}: {failed} of {len(results)} checks failed")
    return 1 if failed else 0


def new(kind: Literal["prior"], name: str) -> None:
    """Write a file to start a prior from, which passes its checks as it is.

    Example: priorbench new prior my-prior

    Args:
        kind: Kind of component to write.
        name: Name of the component. Example: my-prior
    """
    from priorbench.authoring.prior_template import new_prior

    path = {"prior": new_prior}[kind](name, Path())
    print(path)
    print_message(f"next: priorbench check {path}")
