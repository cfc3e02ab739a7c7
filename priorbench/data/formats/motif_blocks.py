"""The lines of files of motifs, motif by motif: MEME, JASPAR, HOMER, TRANSFAC and CIS-BP.

Own code: Biopython's reader of MEME rounds probabilities to counts of ``nsites`` and knows no
HOMER, memelite's gives a motif without a matrix the next one's, and neither counts what it skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from priorbench.errors import UserError

from .bounded import is_number

BASES = "ACGT"
_ONLY_BASES = "motifs of DNA and RNA (ACGT or ACGU) are read, none of proteins"
_ALPHABET = re.compile(r"ALPHABET\s*=\s*(\S+)", re.IGNORECASE)
_MEME_TAIL = re.compile(r"\s+width\s*=.*")
_MEME_NUMBER = re.compile(r"MEME-\d+")
_NAMES_OF_TABLES = ("AC", "ID", "MOTIF")
"""keys of TRANSFAC, and of CIS-BP, whose values make a motif's name"""
_BRACKETS = str.maketrans("[]|:", "    ")


@dataclass
class MotifBlock:
    """The lines of one motif.

    Attributes:
        name: its name, "" where there is none.
        line: number of its first line, from 1.
        rows: its rows of numbers, each with its line; None if it has no matrix.
        order: bases in the order of the columns.
        width: positions that are announced; None where they are not.
        probabilities: whether the numbers of a position must sum to one; counts otherwise.
        may_be_turned: whether a row may be one base, and not one position.
    """

    name: str
    line: int
    rows: list[tuple[int, list[str]]] | None = None
    order: str = BASES
    width: int | None = None
    probabilities: bool = False
    may_be_turned: bool = False

    def add(self, line: int, words: list[str]) -> None:
        """Add a row."""
        if self.rows is None:
            self.rows = []
        self.rows.append((line, words))


def motif_blocks(lines: Sequence[str], where: str) -> Iterator[MotifBlock]:
    """Yield the motifs of a file, in its order, those without a matrix among them.

    Args:
        lines: its lines, without white space at either end.
        where: the file, for errors.

    Raises:
        UserError: the motifs are of proteins, or numbers belong to no motif.
    """
    if any(line.startswith(("MEME version", "MOTIF", "letter-prob")) for line in lines):
        return _of_meme(lines, where)
    if any(_columns(line.split()) for line in lines):
        return _of_tables(lines, where)
    return _with_heads(lines)


def _of_meme(lines: Sequence[str], where: str) -> Iterator[MotifBlock]:
    """Yield the motifs of MEME, minimal or the full text output."""
    order, block, inside = BASES, None, ""
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if inside and any(map(is_number, words if len(words) == len(BASES) else words[:1])):
            if block is not None and inside == "letter-probability":
                block.add(number, words)
            continue
        if words or (block is not None and block.rows):
            inside = ""
        if alphabet := _ALPHABET.match(line):
            order = _letters(alphabet[1], f"{where}: line {number}")
        elif words[:1] == ["MOTIF"]:
            if block is not None:
                yield block
            block = MotifBlock(_meme_name(line), number, order=order, probabilities=True)
        elif line.startswith(("letter-probability matrix", "log-odds matrix")):
            inside = words[0]
            if inside == "letter-probability":
                _announce(block, line, f"{where}: line {number}")
        elif len(words) == len(BASES) and all(map(is_number, words)):
            raise UserError(
                f"{where}: line {number}: numbers that belong to no matrix; a line "
                "'letter-probability matrix: w= WIDTH' stands before the first, and no empty line "
                "between them"
            )
    if block is not None:
        yield block


def _announce(block: MotifBlock | None, line: str, where: str) -> None:
    """Take in the line above a matrix, whose entries may all be missing."""
    if block is None or block.rows is not None:
        raise UserError(f"{where}: a matrix without a MOTIF line of its own; add one above it")
    entries = dict(re.findall(r"\b(alength|w)\s*=\s*(\S+)", line))
    for key, value in entries.items():
        if not value.isdecimal() or len(value) > 9:
            raise UserError(f"{where}: {key}= {value} is not a number of letters or positions")
    if int(entries.get("alength", len(BASES))) != len(BASES):
        raise UserError(f"{where}: an alphabet of {entries['alength']} letters; {_ONLY_BASES}")
    block.rows = []
    block.width = int(entries["w"]) if "w" in entries else None


def _meme_name(line: str) -> str:
    """Return the name in a MOTIF line; MEME's full output has the consensus before it."""
    words = _MEME_TAIL.sub("", line).split()[1:]
    if len(words) == 2 and _MEME_NUMBER.fullmatch(words[1]):
        return f"{words[1]} ({words[0]})"
    return " ".join(words)


def _letters(alphabet: str, where: str) -> str:
    """Return the bases in an alphabet's order, U as T; UserError for another alphabet."""
    letters = alphabet.upper().replace("U", "T")
    if sorted(letters) != sorted(BASES):
        raise UserError(f"{where}: alphabet {alphabet}; {_ONLY_BASES}")
    return letters


def _columns(words: Sequence[str]) -> str:
    """Return the bases in the order of a table's columns, "" if the line is not its head."""
    letters = "".join(words[1:5]).upper().replace("U", "T")
    head = words[:1] and words[0].upper() in ("P0", "PO", "POS")
    return letters if head and sorted(letters) == sorted(BASES) else ""


def _of_tables(lines: Sequence[str], where: str) -> Iterator[MotifBlock]:
    """Yield the motifs of TRANSFAC or CIS-BP: numbered rows under a head with the bases."""
    names: dict[str, str] = {}
    block, first = None, 1
    for number, line in enumerate([*lines, "//"], start=1):
        words = line.split()
        key = words[0].upper() if words else ""
        if order := _columns(words):
            if block is not None:
                raise UserError(f"{where}: line {number}: a second matrix; end the first with //")
            block = MotifBlock("", first, [], order)
        elif key == "//":
            name = " ".join(dict.fromkeys(names.values()))
            if block is not None or name:
                block = block or MotifBlock("", first)
                block.name = name
                yield block
            names, block, first = {}, None, number + 1
        elif block is not None and key.isdecimal():
            block.add(number, words[1:5])
        elif key in _NAMES_OF_TABLES and len(words) > 1:
            names.setdefault(key, words[1])


def _with_heads(lines: Sequence[str]) -> Iterator[MotifBlock]:
    """Yield the motifs of JASPAR or HOMER: a line of > and a name, then rows; or rows alone."""
    block = None
    for number, line in enumerate(lines, start=1):
        if line.startswith(">"):
            if block is not None:
                yield block
            fields = line[1:].split("\t")
            # HOMER: consensus, name, log odds of a match
            of_homer = len(fields) > 2 and is_number(fields[2])
            name = " ".join((fields[1] if of_homer else line[1:]).split())
            block = MotifBlock(name, number, may_be_turned=not of_homer)
        elif (words := line.translate(_BRACKETS).split()) and not line.startswith("#"):
            block = block or MotifBlock("", number, may_be_turned=True)
            block.add(number, words)
    if block is not None:
        yield block
