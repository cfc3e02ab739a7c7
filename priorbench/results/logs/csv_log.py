"""Losses as a CSV file, which is mended where rows are there in part."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from priorbench.errors import UserError
from priorbench.storage.files import put_text, writing

from .base import ABOUT, LOG_COLUMNS, LOG_FILE, TrainingLog


class CsvLog(TrainingLog):
    """A file losses.csv in the run directory, with a row for every epoch.

    What a full disk or the end of a process left in part is taken away, and written anew.
    """

    def __init__(self, root: Path) -> None:
        """Read which epochs of which trials the file has.

        Raises:
            UserError: if it is a file of another kind.
        """
        super().__init__(root)
        self._path = root / LOG_FILE
        self._epochs: dict[str, list[int]] = {}
        in_part = not self._path.exists()
        for _, cells in self._rows():
            if cells:
                self._epochs.setdefault(cells[0], []).append(int(cells[_EPOCH]))
            in_part |= not cells
        if in_part:
            self._rewrite()

    def has(self, trial_id: str, epochs: int) -> bool:
        """Return whether the file has one row for every epoch of a trial."""
        return self._epochs.get(trial_id) == list(range(1, epochs + 1))

    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Append a row for every epoch."""
        trial = record["trial"]
        if self._epochs.pop(trial, None):
            self._rewrite(without=trial)
        about = [trial, *(record[name] for name in ABOUT)]
        rows = [[*about, number, *epoch.values()] for number, epoch in enumerate(epochs, 1)]
        with writing(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            file.write(_csv(rows))
        self._epochs[trial] = list(range(1, len(epochs) + 1))

    def _rows(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the lines below the header with their cells, none for what is no whole row."""
        if not self._path.exists():
            return
        # a letter that was cut makes its line no whole row
        with self._path.open(encoding="utf-8", errors="replace") as file:
            header = file.readline()
            if not _HEADER.startswith(header):
                raise UserError(f"{self._path}: has another first line; move it away")
            if header != _HEADER:
                yield header, []
            for line in file:
                yield line, _cells(line)

    def _rewrite(self, without: str = "") -> None:
        """Keep the whole rows of the trials but one."""
        kept = [line for line, cells in self._rows() if cells and cells[0] != without]
        put_text(self._path, "".join([_HEADER, *kept]))


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(line: str) -> list[str]:
    """Return the cells of a line of losses.csv; none if it is no whole row."""
    try:
        (cells,) = csv.reader([line])
    except (csv.Error, ValueError):
        return []
    whole = line.endswith("\n") and len(cells) == len(LOG_COLUMNS) and cells[_EPOCH].isdecimal()
    return cells if whole else []


_HEADER = _csv([LOG_COLUMNS])
_EPOCH = LOG_COLUMNS.index("epoch")
