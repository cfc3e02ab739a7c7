"""Inline SVG of matplotlib figures, made small, and safe to stand on a page beside others."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_sink: ContextVar[Callable[[Figure, str], None] | None] = ContextVar("sink", default=None)
_COMMANDS = "MLQCz"
"""commands of matplotlib's paths"""
_LONG = 200
"""number of characters from which a path is shortened"""
_SCALE = 10
"""steps in a point: a tenth of a point is less than any screen shows"""


def to_svg(figure: Figure, label: str) -> Markup:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: figure that was drawn within :func:`~.style.style`.
        label: description for readers who cannot see it.
    """
    import matplotlib

    buffer = io.StringIO()
    # the salt only has to be fixed: ids are made again below
    with matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    sink = _sink.get()
    if sink is not None:
        sink(figure, label)
    text = compact(buffer.getvalue(), label)
    size = r'<svg([^>]*?) width="[^"]*" height="[^"]*"'
    quoted = html.escape(label, quote=True).replace("\\", "\\\\")
    return Markup(re.sub(size, rf'<svg role="img" aria-label="{quoted}"\1', text, count=1))


@contextmanager
def handed_to(sink: Callable[[Figure, str], None]) -> Iterator[None]:
    """Give the figures of :func:`to_svg`, and their labels, to a sink as well in this context."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def compact(text: str, label: str) -> str:
    """Return an ``<svg>`` element without what a page does not need.

    Metadata, comments and styles, which would apply to the whole page, are left out; numbers are
    short, long paths relative, and ids unique on the page.

    Args:
        text: SVG as matplotlib writes it.
        label: description of the figure; its ids depend on it, as other figures may look alike.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would style the page
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' d="([^"]*)"', lambda path: f' d="{_short_path(path[1])}"', text)
    text = re.sub(r"<[^>]*>", _shorten, text)
    return _own_ids(text, label)


def _short_path(path: str) -> str:
    return relative(path) if len(path) >= _LONG else path


def relative(path: str) -> str:
    """Return a path with relative coordinates, rounded to a tenth of a point.

    Every step starts from where the shortened path is, so that rounding does not add up.

    Args:
        path: attribute ``d`` with absolute M, L, Q, C and z; returned unchanged if it has other
            commands.
    """
    words: list[str] = []
    at = start = (0, 0)
    last = ""
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        if command not in _COMMANDS:
            return path
        if command == "z":
            words.append("z")
            at, last = start, ""
            continue
        numbers = [round(_SCALE * float(x)) for x in text.split()]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        joined = _joined([b - a for point in points for a, b in zip(at, point, strict=True)])
        at = points[-1]
        start = at if command == "M" else start
        if command == last:
            words.append(joined if joined[0] == "-" else f" {joined}")
        else:
            words.append(command.lower() + joined)
        last = "" if command == "M" else command
    return "".join(words)


def _joined(tenths: Sequence[int]) -> str:
    """Return numbers with as few characters as SVG allows: ``1.2-.3 4``."""
    words = [_number(value) for value in tenths]
    return words[0] + "".join(word if word[0] == "-" else f" {word}" for word in words[1:])


def _number(tenths: int) -> str:
    whole, rest = divmod(abs(tenths), _SCALE)
    text = f"{whole or ''}.{rest}" if rest else str(whole)
    return f"-{text}" if tenths < 0 else text


def _shorten(tag: re.Match[str]) -> str:
    """Return a tag with two decimals, on one line, in the font of the page."""
    text = tag[0]
    if text.startswith("<image"):
        return re.sub(r"\s*\n\s*", "", text)
    text = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", text)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r' transform="rotate\(-?0 [^"]*"', "", text)
    text = re.sub(r"\.00\b|(?<=\.\d)0\b", "", text)
    return re.sub(r"\s*\n\s*", " ", text)


def _own_ids(text: str, label: str) -> str:
    """Drop ids that nothing refers to and make the others unique on a page."""
    used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    digest = hashlib.sha256((label + text).encode()).hexdigest()[:8]
    names = {old: f"f{digest}-{i}" for i, old in enumerate(used)}

    def rename(match: re.Match[str]) -> str:
        return f' id="{names[match[1]]}"' if match[1] in names else ""

    text = re.sub(r' id="([^"]*)"', rename, text)
    return re.sub(r'(url\(#|href="#)([^)"]+)', lambda match: match[1] + names[match[2]], text)
