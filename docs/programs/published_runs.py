"""The runs of the site: what is kept of them in docs/evidence-runs, as pages beside the others.

`priorbench publish RUN --to docs/evidence-runs --entries-only` adds a run.
"""

from __future__ import annotations

from pathlib import Path

from priorbench.publish.folder import stored_entries
from priorbench.publish.publish_runs import publish_runs

ENTRIES = Path(__file__).resolve().parents[1] / "evidence-runs"
RUNS = "runs"
"""folder of the site that has the pages"""


def link(entries: Path = ENTRIES) -> str:
    """Return a line of Markdown that leads from the page on evidence to the runs; "" without any.

    It is HTML, as the page that it leads to is none of Sphinx's.
    """
    count = len(stored_entries(entries))
    if not count:
        return ""
    page = f'<a href="{RUNS}/index.html">one table over all results</a>'
    return f"\n{count} of the runs behind these pages: {page}, a page for each, and their files.\n"


def write(site: Path, entries: Path = ENTRIES) -> None:
    """Write the pages of the runs into a site, if any run is kept."""
    if stored_entries(entries):
        publish_runs([entries], site / RUNS, say=print)
