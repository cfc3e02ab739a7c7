"""Text and tables as wide as the terminal; 80 columns where there is none."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import Literal, TextIO

_WIDEST_TEXT = 100
"""columns beyond which lines of text are hard to read"""
_NARROWEST = 40
_NARROWEST_WORDS = 12
"""columns that a table leaves to words, such as the spec of a prior"""
_GAP = 2
"""columns between those of a table"""


def print_wrapped(
    text: str, *, indent: int = 0, hanging: int = 0, file: TextIO | None = None
) -> None:
    """Print a paragraph; no word, such as a path, is broken.

    Args:
        text: the paragraph.
        indent: columns before each line.
        hanging: further columns before each line but the first.
        file: where to print; standard output if None.
    """
    width = max(min(shutil.get_terminal_size().columns, _WIDEST_TEXT), _NARROWEST)
    margin = " " * indent
    print(
        textwrap.fill(
            text,
            width,
            initial_indent=margin,
            subsequent_indent=margin + " " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        ),
        file=file,
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> None:
    """Print a table to standard output; words that do not fit are wrapped, numbers never.

    A table of numbers that is wider than the terminal stays as it is.

    Args:
        headings: one a column.
        rows: one text a column.
        words: how many of the first columns hold words, which stand to the left; others hold
            numbers.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    least = 0
    for i, heading in enumerate(headings):
        lines = [line for text in (heading, *(row[i] for row in rows)) for line in text.split("\n")]
        widest = max(map(len, lines))
        width = min(widest, _NARROWEST_WORDS) if i < words else widest
        least += width + _GAP
        justify: Literal["left", "right"] = "left" if i < words else "right"
        table.add_column(heading, justify=justify, overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    console.width = max(console.width, least)
    console.print(table)
