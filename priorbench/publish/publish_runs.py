"""Publishes runs to a folder: reads them, merges them with what is there, and writes the site."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from priorbench.components.registry import reports_package
from priorbench.errors import UserError
from priorbench.number_text import counted
from priorbench.results.finished_run import load_run
from priorbench.storage.sealed_files import command_on

from .entry import PAGE_FILE, REPORT_FILE, Entry
from .folder import TABLE_FILE, PublishedFolder, StoredEntry, is_published, stored_entries
from .new_entry import RunToPublish
from .pooling import entries_without_parts, pooled, refuse_contradiction, without_parts

_RESULT = ("metric", "verdict", "gain", "low", "high", "margin", "p")
_ROW = (
    *("task", "dataset", "architecture", "prior", "weight", "standing"),
    *("seeds", "failed", "trials", "price"),
)


@dataclass(frozen=True)
class PublishedSite:
    """What a folder holds after publishing.

    Attributes:
        entries: all its entries.
        new: names of those that were not there before.
        replaced: names of those that others have taken the place of.
    """

    entries: tuple[Entry, ...]
    new: tuple[str, ...]
    replaced: tuple[str, ...]


def publish_runs(
    sources: Sequence[Path],
    to: Path,
    *,
    apart: bool = False,
    entries_only: bool = False,
    say: Callable[[str], None],
) -> PublishedSite:
    """Publish runs to a folder, beside those that it has.

    Args:
        sources: run directories, or published folders, all of whose entries are taken over.
        to: the folder; made if it is not there.
        apart: whether runs of one study are entries of their own, comparable or not.
        entries_only: whether only entries are written, their tables compressed: no page or report.
        say: function that is called with lines on what was merged or left.

    Raises:
        UserError: if a run is not finished, two of one study cannot be compared, or the folder
            holds anything else.
        DamagedFile: if a file of a run or of an entry is not as it was written.
    """
    folder = PublishedFolder(to)
    if entries_only and folder.has_pages:
        raise UserError(f"{to}: has pages; leave --entries-only out, or choose another --to")
    groups = [_taken(path) for path in sources if is_published(path)]
    runs = [_finished(path) for path in sources if not is_published(path)]
    whole = without_parts(runs)
    groups += [[_made(run, entries_only)] for run in (whole if apart else pooled(whole))]
    new = [stored for group in groups for stored in group]
    if not apart:
        _refuse_contradictions([], groups)
    with folder.opened():
        before = stored_entries(to, renewed={stored.entry.name for stored in new})
        if not apart:
            _refuse_contradictions(before, groups)
        stored = {s.entry.name: s for s in [*before, *new]}
        kept = entries_without_parts(s.entry for s in stored.values())
        kept.sort(key=lambda entry: (entry.title, entry.name))
        names = {entry.name for entry in kept}
        added = [name for name in names if not folder.has(name)]
        replaced = [s.entry.name for s in before if s.entry.name not in names]
        _write(folder, [stored[entry.name] for entry in kept], with_pages=not entries_only)
        folder.remove(replaced)
    for run in runs:
        if run not in whole:
            say(f"{run.run.root}: another of these runs has all of its trials; it is left out")
    for line in _beside_others(kept, new):
        say(line)
    return PublishedSite(tuple(kept), tuple(sorted(added)), tuple(replaced))


def _refuse_contradictions(
    before: Sequence[StoredEntry], groups: Sequence[Sequence[StoredEntry]]
) -> None:
    """Raise UserError if an entry contradicts one of another group, or one that is there."""
    known = [stored.entry for stored in before]
    for group in groups:
        for stored in group:
            refuse_contradiction(known, stored.label, stored.entry)
        known += [stored.entry for stored in group]


def _write(folder: PublishedFolder, stored: Sequence[StoredEntry], *, with_pages: bool) -> None:
    entries = [s.entry for s in stored]
    pages = reports_package().site_pages(entries) if with_pages else None
    for each in stored:
        folder.add(each, pages.runs[each.entry.name] if pages else None)
    if pages:
        folder.write_pages({TABLE_FILE: table_text(entries), PAGE_FILE: pages.index})


def _finished(root: Path) -> RunToPublish:
    """Read a run, all of whose trials have ended."""
    run = load_run(root)
    missing = run.planned - len(run.records)
    if missing:
        raise UserError(
            f"{root}: {counted(missing, 'trial')} of {run.planned} not run yet; {command_on(root)} "
            "goes on with it"
        )
    return RunToPublish(run)


def _taken(root: Path) -> list[StoredEntry]:
    return [replace(s, label=str(s.folder)) for s in stored_entries(root)]


def _made(run: RunToPublish, entries_only: bool) -> StoredEntry:
    files = run.files(packed=entries_only)
    report = None if entries_only else _report(run)
    if report is not None:
        files[REPORT_FILE] = run.portable.clean_page(report).encode()
    return StoredEntry(run.entry(files), run.label, made=files)


def _report(run: RunToPublish) -> str | None:
    """Return the report of a run, None if it has none; written anew where it is out of date."""
    parts = list(run.run.parts.values())
    pages = [part.root / REPORT_FILE for part in parts]
    if not all(page.is_file() for page in pages):
        return None
    if len(parts) == 1 and pages[0].stat().st_mtime >= _written(parts[0].root):
        return pages[0].read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as aside:
        page = Path(aside) / REPORT_FILE
        reports_package().write_report([part.root for part in parts], page)
        return page.read_text(encoding="utf-8")


def _written(root: Path) -> float:
    return (root / "results.csv").stat().st_mtime


def _beside_others(entries: Sequence[Entry], new: Iterable[StoredEntry]) -> Iterator[str]:
    """Yield a line for each new entry that others of its study are in the place of, or beside."""
    for stored in new:
        own = stored.entry
        alike = [entry for entry in entries if entry.study == own.study]
        others = [entry.name for entry in alike if not entry.covers(own)]
        if own.name not in {entry.name for entry in alike}:
            larger = next(entry.name for entry in alike if entry.covers(own))
            yield f"{stored.label}: {larger} has all of its trials; it is left out"
        elif others:
            yield (
                f"{stored.label}: stands beside {', '.join(others)} of the same study; run "
                "directories that are named in one command are pooled where they can be compared"
            )


def table_text(entries: Iterable[Entry]) -> str:
    """Return the table over all entries as CSV: a line for each prior in each setting."""
    listed = list(entries)
    axes = list(
        dict.fromkeys(r.axis for entry in listed for row in entry.rows for r in row.results)
    )
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ("run", "title", "scale", "baseline", *_ROW)
    writer.writerow([*head, *(f"{axis}_{name}" for axis in axes for name in _RESULT)])
    for entry in listed:
        for row in entry.rows:
            by_axis = {result.axis: result for result in row.results}
            cells = [getattr(row, name) for name in _ROW]
            for axis in axes:
                result = by_axis.get(axis)
                cells += [getattr(result, name) if result else None for name in _RESULT]
            writer.writerow([entry.name, entry.title, entry.scale, entry.baseline, *cells])
    return buffer.getvalue()
