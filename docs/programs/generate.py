"""Write the pages that are made from the code: `make docs`. A test fails when they are stale."""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from api_page import api_page
from command_line_page import command_line_page
from published import page as published_page
from run_files_page import run_files_page

from priorbench import Prior, load_prior
from priorbench.attribution.explainers import EXPLAINERS
from priorbench.attribution.methods import METHODS
from priorbench.components import docstrings, registry
from priorbench.components.hooks import HOOKS
from priorbench.components.prior_bases import AttributionPrior, GradientPrior, Penalty
from priorbench.metrics import METRICS

DOCS = Path(__file__).resolve().parents[1]
_SHARED = (Penalty, GradientPrior, AttributionPrior)
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
    "memory",
)
_PRICES = """
*Scale-free*: shrinking all attributions does not lower the penalty. *Penalty alone*: the price of
the penalty and its gradient, given the attributions; *step*: the whole training step, which pays
for the attributions too; *memory*: the most that the tensors of a step take at once, with batch
norm. All in units of a step without the prior, on the paper's binary network (1,000 bp, 64
sequences, half of them positive, one thread). The steps of `distillation` and `consensus` ask their
teachers; that these are trained first comes on top, as many trainings as there are teachers.
`python benchmarks/bench.py prices --write` measures them again; two such runs differ by up to a
tenth in time, and not in memory. These are of 30 November 2026.
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
    """Return a line of a docstring as Markdown: formulae keep their underscores and asterisks."""
    quoted = text.replace("``", "`").split("`")
    quoted[::2] = [re.sub(r"([_*])", r"\\\1", plain) for plain in quoted[::2]]
    return "`".join(quoted)


def _about(cls: type) -> str:
    lines = docstrings.about(cls).splitlines()
    return "\n".join(line if line.startswith("    ") else _prose(line) for line in lines)


def _row(name: str, prior: Prior, prices: dict[str, dict[str, str]]) -> str:
    hooks = ", ".join(HOOKS[hook] for hook in HOOKS if prior.overrides(hook))
    scale_free = ("yes" if prior.scale_free else "no") if prior.overrides("penalty") else ""
    price = prices.get(name)
    measured = ["not measured"] * 4
    if price:
        alone = f"{100 * float(price['penalty']):.1f} %" if prior.overrides("penalty") else ""
        measured = [alone, *(f"{price[of]} ×" for of in ("step", "step_batch_norm", "memory"))]
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
    """Return the text of docs/priors.md."""
    with (DOCS / "prior-prices.csv").open(newline="") as file:
        prices = {row["prior"]: row for row in csv.DictReader(file)}
    priors = {name: load_prior(name) for name in registry.components("prior")}
    lines = [_HEAD, "| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    lines += [_row(name, prior, prices) for name, prior in priors.items()]
    lines.append(_PRICES)
    for name, prior in priors.items():
        lines += _section(name, prior)
    titles = ("Every penalty", "Every penalty on gradients", "Every penalty on attributions")
    written: set[str] = set()
    for title, base in zip(titles, _SHARED, strict=True):
        lines += [f"## {title}", "", _about(base).replace("; override `penalty`", ""), ""]
        lines += _table([o for o in docstrings.options(base) if o.name not in written])
        written |= {o.name for o in docstrings.options(base)}
    lines.append(_ATTRIBUTIONS)
    for name, method in METHODS.items():
        lines += [f"### {name}", "", _about(method), "", f"Source: {method.citation}.", ""]
        if docstrings.options(method):
            lines += _table(docstrings.options(method))
    return "\n".join(lines).rstrip() + "\n"


_METRICS_HEAD = """\
# Metrics

Made from the functions by `make docs`; do not edit. `priorbench show NAME` prints what is said here
of a metric. a is the attribution of a sequence of length L, one signed value per position; x the
sequence, f the target that is explained.

A metric that says *main* is shown at first sight in reports, the others are folded away; all are
in results.csv. Floors, a random attribution and a predictor that knows averages only, and ceilings,
the planted motif itself, are scored by the same code, and are rows of results.csv with the stage
`reference`; metrics that ask the trained model, and those of discovered motifs, have the floor that
their formula gives, and agreement with oneself is 1, less that of different sequences where it is
corrected for chance. The random attribution has both signs: one that is never negative, such as
`gradient`, agrees with itself across seeds by chance already (a cosine of .65 for absolute Gaussian
noise), which only corrected agreement takes away. *Perfect* is the best value there is, where it
follows from the formula. Axes are never mixed into one number.

A metric with a paper in the column *published form* is computed as the paper does, or says below
where it is not, so that numbers can be held against it; the others are this program's own.
Published forms are never primary and in no family of tests, unless a study declares one in
`primary`. Those of attributions of all four bases are computed where these are kept
(`--keep-hypothetical`).

| metric | axis | better | main | published form | what it says |
|---|---|---|---|---|---|
"""
_AXES = {
    "prediction": "How well the model predicts the test examples.",
    "localisation": "",
    "stability": "",
    "faithfulness": "",
    "function": "",
    "smoothness": "What priors optimise: shown, never ranked.",
    "cost": "What a trial costs; of the trial and the paired trial without a prior.",
}
_SCOPES = {
    "trial": "from the stored test predictions and attributions",
    "seeds": "every two seeds; a trial's value is its mean agreement with the others",
    "model": "by asking the trained model about some of the attributed sequences, evenly spaced: "
    "as many as have 2,000 bases together at smoke, 5,000 at quick and 20,000 at larger scale, at "
    "most 100",
    "filters": "with `--discovery`, from the first layer's weights and the sequences that the "
    "model is asked about",
    "motifs": "from the motifs that `--discovery` found in the stored attributions",
    "motif-sets": "every two seeds' discovered motifs; a trial's value is its mean agreement with "
    "the others",
    "arm": "from the discovered motifs of all seeds together",
    "variants": "by asking the trained model for the effects of the dataset's variants",
    "attributed-variants": "from hypothetical contributions at the dataset's variants",
    "baseline": "from what was measured in training",
}


def _about_axis(about: str, modules: Sequence[ModuleType | None]) -> list[str]:
    """Return what is said of an axis, then of each module of published forms on it."""
    docs = [inspect.cleandoc((module and module.__doc__) or "") for module in modules]
    published = [
        doc
        for module, doc in zip(modules, docs, strict=True)
        if module and ".published." in module.__name__
    ]
    return [_prose(about or docs[0]), *map(_prose, published)]


def metrics_page() -> str:
    """Return the text of docs/metrics.md."""
    better = {True: "higher", False: "lower", None: "shown only"}
    bar = "\\|"
    rows = [
        f"| [`{m.name}`](#{m.name}) | {m.axis} | {better[m.higher_is_better]} | "
        f"{'yes' if m.main else ''} | {m.published} | {m.summary.replace('|', bar)} |\n"
        for m in METRICS.values()
    ]
    lines = [_METRICS_HEAD + "".join(rows)]
    for axis, about in _AXES.items():
        members = [metric for metric in METRICS.values() if metric.axis == axis]
        modules = dict.fromkeys(inspect.getmodule(metric.function) for metric in members)
        lines += [f"## {axis.capitalize()}", ""]
        lines += [line for text in _about_axis(about, list(modules)) for line in (text, "")]
        for metric in members:
            doc = inspect.cleandoc(metric.function.__doc__ or "").partition("\nArgs:")[0].strip()
            unit = f" Unit: {metric.unit}." if metric.unit else ""
            perfect = "" if metric.perfect is None else f" Perfect: {metric.perfect:g}."
            source = f" Published form: {metric.published}." if metric.published else ""
            scope = (
                f"Computed {_SCOPES[metric.scope]}."
                if metric.scope != "seeds"
                else (f"Computed for {_SCOPES[metric.scope]}.")
            )
            facts = f"{scope}{unit}{perfect}{source}"
            lines += [f"### {metric.name}", "", _prose(doc), "", facts, ""]
    lines += [_EXPLAINERS_HEAD]
    for name, explainer in EXPLAINERS.items():
        lines += [f"### {name}", "", _about(explainer), "", f"Source: {explainer.citation}.", ""]
        if docstrings.options(explainer):
            lines += _table(docstrings.options(explainer))
    return "\n".join(lines).rstrip() + "\n"


_EXPLAINERS_HEAD = """\
## Attributions that are scored

`priorbench run --attributions NAME,...`, or `priorbench score DIR --attributions NAME` for models
that were trained before. The first is what reports show at first sight; every metric of
localisation, stability, faithfulness and smoothness is computed for each. By default gradient x
input, and DeepLIFT/SHAP too at standard and paper scale.
"""
PAGES = {
    "priors.md": priors_page,
    "metrics.md": metrics_page,
    "api.md": lambda: api_page(_prose),
    "command-line.md": command_line_page,
    "run-files.md": run_files_page,
    "published.md": published_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(DOCS / name)


if __name__ == "__main__":
    main()
