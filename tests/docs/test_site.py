"""The site has every page, and links of pages lead somewhere, where the code is read too."""

import json
import re

import pytest
from fixtures.places import DOCS, ROOT, site_configuration

PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted([*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]),
]


def settings():
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    return site_configuration()


def prose(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path):
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (path.parent / name).resolve() if name else path
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            yield target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading_of_it(path):
    assert list(broken_links(path)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# One, *two*\n")
    page = tmp_path / "page.md"
    page.write_text("# A\n[a](#a) [b](#b) [c](other.md#one-two) [d](other.md#two) [e](no.md)\n")
    assert list(broken_links(page)) == ["#b", "other.md#two", "no.md"]


def test_every_page_of_the_site_can_be_reached_and_stands_once():
    below = settings()._PAGES
    reached = [
        (DOCS / parent).parent.relative_to(DOCS).joinpath(name).as_posix()
        for parent, names in below.items()
        for name in names
    ]
    there = [path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES[2:]]
    assert sorted(["index", *reached]) == sorted(there)


def test_pages_below_a_page_are_added_when_it_is_read():
    texts = {name: ["# Title\n"] for name in ("tutorial/index", "json")}
    for name, text in texts.items():
        settings()._add_pages_below(None, name, text)
    assert "first-run\nyour-data\n" in texts["tutorial/index"][0]
    assert texts["json"] == ["# Title\n"]
