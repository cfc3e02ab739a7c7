"""Errors of use and of input: one line that names the place, the value and the fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_LISTED_BY = {
    "prior": "priorbench list priors",
    "task": "priorbench list tasks",
    "architecture": "priorbench list architectures",
    "attribution": "priorbench list attributions",
    "metric": "priorbench list metrics",
    "study": "priorbench list studies",
    "name": "priorbench list",
    "file of this list": "priorbench fetch NAME --to DIR --dry-run",
}
"""commands that list all names of a kind"""
_MOST_NAMED = 12
"""names that are written out; a longer list hides what is wrong"""
_MOST_SUGGESTED = 3
_GOOD = 0.7
"""likeness, from 0 to 1, of names of which one may be a slip of the other"""
_LONG_WORD = re.compile(r"(\S{200})\S{600,}(\S{200})")
"""a word that would hide the rest of a message; a path of a thousand letters is shown as it is"""


class UserError(Exception):
    """An error that the user can mend; printed as one line, exit status 2, without a traceback."""


def in_one_line(text: str) -> str:
    """Return a message without line breaks, and with what a terminal would obey escaped.

    The middle of a very long word is left out.
    """
    joined = _LONG_WORD.sub(r"\1...\2", " ".join(text.splitlines()))
    # a byte that is no text, as in the name of a file, is printed as it is
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], joined)


def unknown(kind: str, name: str, known: Iterable[str], *, listed_by: str = "") -> UserError:
    """Return the error for a name that is not known, with a did-you-mean and what is known.

    Args:
        kind: kind of thing that was looked up, in the singular, such as ``"prior"``.
        name: the name that is not known.
        known: every name that would have been accepted.
        listed_by: command that lists all names; "" for that of the kind, if there is one.
    """
    names = sorted(set(known))
    quoted = [repr(similar) for similar in similar_names(name, names)]
    hint = f" did you mean {' or '.join(quoted)}?" if quoted else ""
    command = listed_by or _LISTED_BY.get(kind, "")
    if len(names) <= _MOST_NAMED:
        rest = f"known: {', '.join(names) or 'none'}"
    elif command:
        rest = f"`{command}` lists all {len(names)}"
    else:
        rest = f"known: {first_names(names, _MOST_NAMED)}"
    return UserError(f"unknown {kind} {name!r};{hint} {rest}")


def first_names(names: Sequence[str], most: int) -> str:
    """Return the first names for a message, and how many others there are: ``a, b and 3 more``."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def similar_names(name: str, known: Sequence[str]) -> list[str]:
    """Return at most three known names that may be meant, the likeliest first.

    A name that differs only in its case and in what separates its words is meant for certain.
    """
    wanted, plain = _plain(name), {other: _plain(other) for other in known}
    same = [other for other in known if plain[other] == wanted]
    close = difflib.get_close_matches(wanted, set(plain.values()), n=_MOST_SUGGESTED, cutoff=0.5)
    # a poor likeness is a help only where there is no better one
    likely = [text for text in close if _likeness(text, wanted) >= _GOOD] or close[:1]
    return (same or [o for text in likely for o in known if plain[o] == text])[:_MOST_SUGGESTED]


def _likeness(name: str, wanted: str) -> float:
    return difflib.SequenceMatcher(None, name, wanted).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.strip().casefold()).strip("-")
