"""Errors of use and of input: one line that names the place, the value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can mend; printed as one line, exit status 2, without a traceback."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not known, with a did-you-mean and the list.

    Args:
        kind: kind of thing that was looked up, in the singular, such as ``"prior"``.
        name: the name that is not known.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return UserError(f"unknown {kind} {name!r};{hint} known: {', '.join(names) or 'none'}")
