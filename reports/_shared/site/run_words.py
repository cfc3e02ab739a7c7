"""What tells runs apart on the pages of a published folder: their names, seeds and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from priorbench import UserError
from priorbench.components.registry import load_prior
from priorbench.components.specs import split_composition, split_spec
from priorbench.number_text import counted, listed, ranges
from priorbench.publish.entry import Entry

_MOST_NAMED = 3
"""most datasets that are named in a line"""


def run_names(entries: Sequence[Entry]) -> Mapping[str, str]:
    """Return what to call every entry, by its name; no two are called alike.

    It is the title, with the names of the run folders where several have one title, and with the
    digest of the entry where these agree as well.
    """
    titles = Counter(entry.title for entry in entries)
    called = {
        entry.name: _with_folders(entry) if titles[entry.title] > 1 else entry.title
        for entry in entries
    }
    same = Counter(called.values())
    return {
        name: f"{text} ({name.rpartition('-')[2]})" if same[text] > 1 else text
        for name, text in called.items()
    }


def _with_folders(entry: Entry) -> str:
    folders = " + ".join(dict.fromkeys(run.label for run in entry.runs))
    return folders if folders.startswith(entry.title) else f"{entry.title} ({folders})"


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return the seeds of an entry: ``seeds 0-9``."""
    return f"seed{'' if len(seeds) == 1 else 's'} {ranges(seeds)}"


def weights_in_words(entry: Entry) -> str:
    """Return where the weights of an entry come from, as far as it says so.

    That they are the default ones is seen by comparison with the priors of this program; of others,
    and of defaults that have changed, it is only known that they were not tuned.
    """
    if entry.tuned:
        return "weights tuned"
    written = any(_has_weight(row.prior) for row in entry.rows)
    if written or any(_gives_weights(run.command) for run in entry.runs):
        return "weights given"
    weighted = [row for row in entry.rows if row.weight is not None]
    default = [_default_weight(row.prior, split_spec(row.task)[0]) for row in weighted]
    if weighted and default == [row.weight for row in weighted]:
        return "default weights"
    return "weights not tuned"


def _has_weight(prior: str) -> bool:
    try:
        return any(weight is not None for _, weight in split_composition(prior))
    except UserError:  # a spec of a program that writes them in another way
        return False


def _gives_weights(command: str) -> bool:
    words = command.split()
    return "run" in words and any(word.partition("=")[0] == "--weights" for word in words)


@cache
def _default_weight(prior: str, task: str) -> float | None:
    """Return a prior's default weight in a task of a name; None for what this program lacks."""
    try:
        return load_prior(prior).default_weight(task)
    except UserError:
        return None


def compared(entry: Entry) -> str:
    """Return how many priors an entry compares, and on which datasets; "" without a result."""
    if not entry.rows:
        return ""
    datasets = _once(row.dataset for row in entry.rows)
    few = len(datasets) <= _MOST_NAMED
    named = listed(datasets) if few else counted(len(datasets), "dataset")
    return f"{counted(len(_once(row.prior for row in entry.rows)), 'prior')} on {named}"


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
