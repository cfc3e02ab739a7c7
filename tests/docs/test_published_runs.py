"""The site has the runs that docs/evidence-runs keeps, and no trace of them where it keeps none."""

import re

import pytest
from fixtures.places import docs_program, site_configuration
from fixtures.published import broken_links, finished_run, publish


@pytest.fixture
def program():
    return docs_program("published_runs")


def test_kept_runs_become_pages_that_the_link_leads_to(program, tmp_path):
    kept, site = tmp_path / "kept", tmp_path / "site"
    publish(finished_run(tmp_path / "run"), "--to", kept, "--entries-only")
    program.write(site, kept)
    (target,) = re.findall(r'href="([^"]*)"', program.link(kept))
    assert (site / target).is_file()
    assert broken_links(site / "runs") == []


@pytest.mark.parametrize("there", [True, False])
def test_without_runs_there_is_neither_page_nor_link(program, tmp_path, there):
    if there:
        (tmp_path / "kept" / "runs").mkdir(parents=True)
    program.write(tmp_path / "site", tmp_path / "kept")
    assert program.link(tmp_path / "kept") == ""
    assert not (tmp_path / "site").exists()


def test_the_page_on_evidence_has_the_link(program, monkeypatch):
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    monkeypatch.setattr(program, "link", lambda: "\nLINK\n")
    conf = site_configuration()
    monkeypatch.setattr(conf, "published_runs", program)
    text = ["# Evidence\n"]
    conf._add_pages_below(None, "evidence", text)
    assert text[0].startswith("# Evidence\n\nLINK\n")


def test_what_is_kept_is_small_and_as_it_was_written(program):
    if program.ENTRIES.exists():
        assert program.link() != ""
        for entry in (program.ENTRIES / "runs").iterdir():
            size = sum(path.stat().st_size for path in entry.iterdir())
            assert size < 800_000, entry.name
