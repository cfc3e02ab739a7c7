"""Matrices of motifs as probabilities, from the files of several programs and databases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError, first_names

from .bounded import LARGEST_MOTIFS, contents, is_number
from .fasta import open_bytes
from .motif_blocks import BASES, MotifBlock, motif_blocks
from .notes import Notes

_FEWEST_BITS = 0.1
"""a matrix of which no position has as many says nothing"""
_SUM_OFF_BY = 0.05
"""what the probabilities of a position may miss one by: some files round them to two digits"""
_LARGEST = 1e15
"""number below which all counts are"""
_NAMES_SHOWN = 3
_FORMATS = "give a file of MEME (text), JASPAR, HOMER or TRANSFAC"


def read_motifs(path: Path, notes: Notes) -> dict[str, NDArray[np.float64]]:
    """Read the matrices of a file of motifs of DNA or RNA, plain or gzip.

    Args:
        path: MEME, minimal or the full text output, whose log-odds matrices are passed over;
            JASPAR, with or without brackets and names; HOMER; TRANSFAC; CIS-BP.
        notes: takes motifs without a matrix, which are skipped, names that were numbered, and
            warnings of matrices that say nothing.

    Returns:
        (4, width) matrices by name, columns summing to one, rows A C G T.

    Raises:
        UserError: there are no matrices, one cannot be read, or they are of proteins.
    """
    with open_bytes(path) as stream:
        raw = contents(stream, path, LARGEST_MOTIFS)
    if b"\0" in raw:
        raise UserError(f"{path}: not a text file; {_FORMATS}")
    text = raw.decode("utf-8-sig", errors="replace")
    if text.lstrip().startswith("<"):
        raise UserError(f"{path}: XML or HTML; give the text that MEME writes beside it (meme.txt)")
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text)]
    blocks = list(motif_blocks(lines, str(path)))
    complete = [block for block in blocks if block.rows is not None]
    skipped = [block.name for block in blocks if block.rows is None]
    if not complete:
        names = f" but {len(skipped):,} names" if skipped else ""
        raise UserError(f"{path}: no matrices{names}; {_FORMATS}")
    if skipped:
        notes.say(
            f"Skipped {len(skipped):,} motifs of {path.name} that have no matrix "
            f"({first_names(skipped, _NAMES_SHOWN)})."
        )
    motifs: dict[str, NDArray[np.float64]] = {}
    renamed = []
    for number, block in enumerate(complete, start=1):
        name = block.name or (path.name.split(".")[0] if len(complete) == 1 else f"motif {number}")
        matrix = _probabilities(block, f"{path}: motif {name!r} (line {block.line})")
        motifs[unused := _unused(name, motifs)] = matrix
        renamed += [unused] if unused != name else []
    if renamed:
        notes.say(
            f"Numbered {len(renamed):,} motifs of {path.name} whose name another one has "
            f"({first_names(renamed, _NAMES_SHOWN)})."
        )
    empty = [name for name, matrix in motifs.items() if bits(matrix).max() < _FEWEST_BITS]
    if empty:
        notes.warn(
            f"{len(empty):,} motifs of {path.name} say nothing, every base being about as likely "
            f"in all positions ({first_names(empty, _NAMES_SHOWN)})."
        )
    return motifs


def bits(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (width,) information of the positions of a (4, width) matrix, in bits."""
    information: NDArray[np.float64] = 2 + (matrix * np.log2(np.where(matrix > 0, matrix, 1))).sum(
        axis=0
    )
    return information


def _unused(name: str, motifs: dict[str, NDArray[np.float64]]) -> str:
    """Return a name that no motif has yet: the name itself, or with a number behind it."""
    number, unused = 1, name
    while unused in motifs:
        number += 1
        unused = f"{name} ({number})"
    return unused


def _probabilities(block: MotifBlock, where: str) -> NDArray[np.float64]:
    """Return the (4, width) matrix of a motif, columns summing to one."""
    matrix, order = _numbers(block, where)
    matrix = matrix[[order.index(base) for base in BASES]]
    if (matrix < 0).any():
        raise UserError(
            f"{where}: negative values, as log odds have; write counts or probabilities"
        )
    total = matrix.sum(axis=0)
    if (total <= 0).any():
        raise UserError(
            f"{where}: position {int(np.argmax(total <= 0)) + 1} is zero for every base; write "
            "counts or probabilities"
        )
    if block.probabilities and (np.abs(total - 1) >= _SUM_OFF_BY).any():
        raise UserError(f"{where}: its positions are no probabilities (they must sum to 1)")
    normalised: NDArray[np.float64] = matrix / total
    return normalised


def _numbers(block: MotifBlock, where: str) -> tuple[NDArray[np.float64], str]:
    """Return the (4, width) numbers of a motif, and the bases in the order of its rows."""
    rows = [words for _, words in block.rows or ()]
    letters = ""
    if block.may_be_turned and all(len(words[0]) == 1 and words[0].isalpha() for words in rows):
        letters = "".join(words[0] for words in rows).upper().replace("U", "T")
        rows = [words[1:] for words in rows]
        if sorted(letters) != sorted(BASES):
            raise UserError(f"{where}: rows {', '.join(letters)}, wanted A, C, G and T or U")
    for (line, _), words in zip(block.rows or (), rows, strict=True):
        # NaN is not below the largest either
        if not all(is_number(word) and abs(float(word)) < _LARGEST for word in words):
            raise UserError(
                f"{where}: line {line} holds what is not a number; write counts or probabilities"
            )
    by_base = bool(letters) or (block.may_be_turned and _is_turned(rows))
    wanted = len(rows[0]) if rows and by_base else len(BASES)
    for (line, _), words in zip(block.rows or (), rows, strict=True):
        if len(words) != wanted:
            raise UserError(f"{where}: line {line} has {len(words)} numbers, wanted {wanted}")
    if not rows or not rows[0] or (block.width is not None and len(rows) != block.width):
        wanted_rows = "at least one" if block.width is None else f"w= {block.width}"
        raise UserError(f"{where}: {len(rows)} complete positions, wanted {wanted_rows}")
    numbers = np.array(rows, dtype=np.float64)
    return (numbers, letters or BASES) if by_base else (numbers.T, block.order)


def _is_turned(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether rows of numbers are bases, and not positions.

    Of four by four numbers, positions are the direction in which the sums are alike.
    """
    if len(rows) != len(BASES):
        return False
    if any(len(words) != len(BASES) for words in rows):
        return True
    numbers = np.array(rows, dtype=np.float64)
    return bool(np.ptp(numbers.sum(axis=0)) <= np.ptp(numbers.sum(axis=1)))
