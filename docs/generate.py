"""Writes the pages that are made from the code: `make docs`. A test fails when they are stale."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from priorbench import Prior, docstrings, load_prior, registry
from priorbench.attributions import METHODS
from priorbench.contracts import HOOKS
from priorbench.penalties import AttributionPrior, GradientPrior, Penalty

HERE = Path(__file__).parent
_SHARED = (Penalty, GradientPrior, AttributionPrior)
_ACTS = {
    "penalty": "a penalty on attributions",
    "parameter_penalty": "a penalty on the network's weights",
    "adapt": "a change of the network",
    "augment": "a change of the training input",
}
_HEAD = """\
# Priors

Made from the classes by `make docs`; do not edit. `priorbench show NAME` prints what is said here
of a prior, its prices aside, and `priorbench check NAME` tests what is claimed.

A prior is written with its options after colons, `fourier:boundary=reflect:softness=0`. Priors are
added up with `+`, at their default weights, `fourier+dropout`, or with their own,
`fourier=1+weight-l2=1e-5`; `--weights fourier+dropout=2` multiplies both. Weights are those of
`--weights`, or the defaults below ([how they were chosen](default-weights.md)).

"""
_COLUMNS = (
    "prior",
    "what it does",
    "acts through",
    "default weight",
    "scale-free",
    "penalty alone",
    "step",
    "step with batch norm",
)
_PRICES = """
*Scale-free*: shrinking all attributions does not lower the penalty. *Penalty alone*: the price of
the penalty and its gradient, given the attributions; *step*: the whole training step, which pays
for the attributions too. Both in units of a step without the prior, on the paper's binary network
(1,000 bp, 64 sequences, half of them positive, one thread); `python benchmarks/prior_prices.py`
measures them again. Two such runs differ by up to a tenth.
"""
_ATTRIBUTIONS = """
## What a penalty sees

`priorbench run --train-attribution NAME`. In every formula x is the one-hot input, g the gradient
of the task's target by it, i a position and b a base. All are functions of `priorbench` too.
"""


def _table(options: list[docstrings.Option]) -> list[str]:
    rows = [
        f"| `{o.name}` | {o.kind.replace('|', 'or')} | {o.default} | {_prose(o.text)} |"
        for o in options
    ]
    return ["| option | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def _prose(text: str) -> str:
    """A line of a docstring as Markdown: formulae keep their underscores and asterisks."""
    quoted = text.replace("``", "`").split("`")
    quoted[::2] = [re.sub(r"([_*])", r"\\\1", plain) for plain in quoted[::2]]
    return "`".join(quoted)


def _about(cls: type) -> str:
    lines = docstrings.about(cls).splitlines()
    return "\n".join(line if line.startswith("    ") else _prose(line) for line in lines)


def _row(name: str, prior: Prior, prices: dict[str, dict[str, str]]) -> str:
    hooks = ", ".join(_ACTS[hook] for hook in HOOKS if prior.overrides(hook))
    scale_free = ("yes" if prior.scale_free else "no") if prior.overrides("penalty") else ""
    price = prices.get(name)
    measured = ["not measured"] * 3
    if price:
        alone = f"{100 * float(price['penalty']):.1f} %" if prior.overrides("penalty") else ""
        measured = [alone, f"{price['step']} ×", f"{price['step_batch_norm']} ×"]
    link = f"[`{name}`](#{name})"
    cells = [
        link,
        prior.summary,
        hooks,
        docstrings.default_weights(type(prior)),
        scale_free,
        *measured,
    ]
    return "| " + " | ".join(cells) + " |"


def _section(name: str, prior: Prior) -> list[str]:
    cls = type(prior)
    lines = [f"## {name}", "", _about(cls), ""]
    if prior.citation:
        lines += [f"Source: {prior.citation}.", ""]
    options = docstrings.options(cls)
    shared = {o.name for base in _SHARED for o in docstrings.options(base) if issubclass(cls, base)}
    own = [o for o in options if o.owner not in _SHARED]
    if own:
        lines += _table(own)
    if shared:
        family = next(base for base in reversed(_SHARED) if issubclass(cls, base))
        links = {
            Penalty: "[of every penalty](#every-penalty)",
            GradientPrior: "[of every penalty on gradients](#every-penalty-on-gradients)",
            AttributionPrior: "[of every penalty on attributions](#every-penalty-on-attributions)",
        }
        lines += [f"Further options: those {links[family]}.", ""]
    return lines


def priors_page() -> str:
    """The text of docs/priors.md."""
    with (HERE / "prior-prices.csv").open(newline="") as file:
        prices = {row["prior"]: row for row in csv.DictReader(file)}
    priors = {name: load_prior(name) for name in registry.components("prior")}
    lines = [_HEAD, "| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    lines += [_row(name, prior, prices) for name, prior in priors.items()]
    lines.append(_PRICES)
    for name, prior in priors.items():
        lines += _section(name, prior)
    titles = ("Every penalty", "Every penalty on gradients", "Every penalty on attributions")
    seen: set[str] = set()
    for title, base in zip(titles, _SHARED, strict=True):
        lines += [f"## {title}", "", _about(base).replace("; override `penalty`", ""), ""]
        lines += _table([o for o in docstrings.options(base) if o.name not in seen])
        seen |= {o.name for o in docstrings.options(base)}
    lines.append(_ATTRIBUTIONS)
    for name, method in METHODS.items():
        lines += [f"### {name}", "", _about(method), "", f"Source: {method.citation}.", ""]
        if docstrings.options(method):
            lines += _table(docstrings.options(method))
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"priors.md": priors_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        print(HERE / name)


if __name__ == "__main__":
    main()
