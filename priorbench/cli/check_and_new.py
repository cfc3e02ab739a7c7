"""The commands `check` and `new`: for authors of components, and for models of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from priorbench.errors import UserError

from .console import print_message
from .options import add_plugins
from .output.as_json import print_json


def check(
    component: str | None = None,
    *,
    model: str | None = None,
    length: int = 1000,
    batch: int = 32,
    target: str | None = None,
    layout: Literal["B4L", "BL4"] = "B4L",
    plugin: list[Path] | None = None,
    json: bool = False,
) -> int:
    """Check that a component keeps its contract, or what a model of yours allows and its price.

    Exit status 1 if it does not keep it, or a model cannot be trained with a prior.

    Example: priorbench check my_prior.py

    Args:
        component: File that defines a prior, a task, an architecture or a metric, or one of them by
            name, with options as in `run`. Default: none, with --model. Example: my_prior.py, or
            fourier:boundary=reflect

    What is compared:
        model: Model to check instead of a prior: module and function that makes it, found in the
            working directory too. Default: none. Example: my_models:make_model
        plugin: Python file that defines a prior, a task or a network of your own; may be given
            several times. Default: none. Example: my_prior.py

    How it is measured:
        length: Length in bp of the random sequences that the model is given. Default: 1000.
        batch: Number of sequences in a batch, of which half are attributed. Default: 32.
        target: What is attributed: a column of the model's output, or a function of its module
            from the output to one number per sequence. Default: the function `target` of the
            module or the model, or else 0. Example: 3
        layout: Order of dimensions of the sequences that the model takes: examples, bases,
            positions; or bases last. Default: B4L.
        json: Print JSON, with the keys that the page "Output for programs" of the documentation
            explains. Default: off.
    """
    if (component is None) == (model is None):
        raise UserError("name a prior, such as fourier, or --model module:factory, one of both")
    if model is None:
        assert component is not None
        return _check_component(component, plugin, as_json=json)
    from priorbench.authoring.user_model import check_user_model

    results = check_user_model(model, length=length, batch=batch, target=target, layout=layout)
    if json:
        keys = ("name", "outcome", "price", "detail")
        rows = [{key: getattr(each, key) for key in keys} for each in results.findings]
        print_json({"model": model, "seconds": results.seconds, "findings": rows})
    else:
        lines = [
            (f.name, _MARKS[f.outcome], "" if f.price is None else f"{f.price:.2f} ×", f.detail)
            for f in results.findings
        ]
        title = f"{model}: a step without a prior takes {1000 * results.seconds:.3g} ms"
        _print_table(("way or trait", "", "step", "what was seen"), lines, title)
    if not results.usable:
        print_message(f"{model}: not fit to be trained with an attribution prior")
    return 0 if results.usable else 1


_MARKS = {
    "passed": "ok",
    "failed": "FAILED",
    "not applicable": "-",
    "ok": "ok",
    "note": "note",
    "refused": "refused",
}


def _check_component(text: str, plugin: list[Path] | None, *, as_json: bool) -> int:
    from priorbench.authoring.component_checks import check_component

    add_plugins(plugin)
    checked = check_component(text)
    results = list(checked.results)
    if as_json:
        rows = [{"name": r.check, "outcome": r.outcome, "detail": r.detail} for r in results]
        print_json({checked.kind: checked.name, "findings": rows})
    else:
        lines = [(r.check, _MARKS[r.outcome], r.detail) for r in results]
        _print_table(("check", "", "what was seen"), lines, checked.name)
    failed = sum(result.outcome == "failed" for result in results)
    if failed:
        print_message(f"{checked.name}: {failed} of {len(results)} checks failed")
    return 1 if failed else 0


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def new(kind: Literal["prior", "task", "architecture", "metric"], name: str) -> None:
    """Write a file to start a component from, which passes its checks as it is.

    Example: priorbench new prior my-prior

    Args:
        kind: Kind of component to write.
        name: Name of the component. Example: my-prior
    """
    from priorbench.authoring.templates import write_new

    path = write_new(kind, name, Path())
    print(path)
    print_message(f"next: priorbench check {path}")
