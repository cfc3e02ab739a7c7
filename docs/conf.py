"""Configuration of the site that `make site` builds of the pages in this folder with Sphinx.

The pages are plain Markdown, to be read where the code is too. What only the site needs, the order
of its pages, is said here.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "programs"))

import published_runs

from priorbench import __version__

project = "priorbench"
author = "The priorbench authors"
project_copyright = author
release = version = __version__

extensions = ["myst_nb"]  # Markdown as of myst_parser, and notebooks
nb_execution_mode = "off"  # docs/programs/notebooks.py has executed them
myst_heading_anchors = 4  # links such as metrics.md#auroc, and that they exist, as on a code host
nitpicky = True
smartquotes = False  # --option stays what is typed
highlight_language = "none"  # of blocks that name no language: commands and what they print
html_theme = "pydata_sphinx_theme"
html_title = f"priorbench {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "priorbench"},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "show_nav_level": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "changes": []}

_PAGES = {
    "index": [
        "tutorial/index",
        "how-to/index",
        "reference",
        "evidence",
        "design",
        "contributing/index",
        "changes",
    ],
    "tutorial/index": [
        "first-run",
        "your-data",
        "your-prior",
        "your-loop",
        "notebooks/first-comparison",
        "notebooks/own-prior",
    ],
    "how-to/index": [
        "running",
        "clusters",
        "gpu",
        "resume",
        "containers",
        "publishing",
        "own-loop",
        "own-loop-examples",
    ],
    "reference": ["command-line", "api", "priors", "metrics", "data-files", "run-files", "json"],
    "evidence": ["findings", "real-data", "published", "performance", "calibration"],
    "design": ["fair-comparison", "default-weights"],
    "contributing/index": ["prior", "task", "metric", "architecture", "study", "tests-and-pages"],
}
"""pages below a page, in their order"""


def _add_pages_below(app: Sphinx, name: str, source: list[str]) -> None:
    """Add the pages below a page to its text, which a code host would show as a block of code."""
    if name in _PAGES:
        below = "\n".join(_PAGES[name])
        runs = published_runs.link() if name == "evidence" else ""
        source[0] += f"{runs}\n```{{toctree}}\n:hidden:\n{below}\n```\n"


def _write_runs(app: Sphinx, problem: Exception | None) -> None:
    """Write the pages of published runs beside those of Sphinx."""
    if problem is None and app.builder.name == "html":
        published_runs.write(Path(app.outdir))


def setup(app: Sphinx) -> None:
    """Connect what is done to every page when it is read, and when all are written."""
    app.connect("source-read", _add_pages_below)
    app.connect("build-finished", _write_runs)
