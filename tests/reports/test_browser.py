"""The report in a real browser: headless Chromium, left out where it is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.browser import CHROMIUM, Proxy, ask, browse, console
from fixtures.run_directories import make_run

from priorbench.reports import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
PHONE = 390


@pytest.fixture
def proxy():
    served = Proxy()
    yield served
    served.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A report with verdicts of several kinds and a failure."""
    folder = tmp_path_factory.mktemp("browser")
    priors = ("none", "fourier:softness=0.3", "tv", "l1")
    root = make_run(folder / "run", priors, range(7), failed={("l1", 2)})
    write_report([root], folder / "report.html")
    return folder / "report.html"


class TestQuiet:
    def test_the_console_has_no_message(self, page):
        assert console(browse(page, "--enable-logging=stderr").stderr) == []

    def test_a_message_would_be_seen(self, tmp_path):
        bad = tmp_path / "bad.html"
        bad.write_text("<script>nothing.here()</script>")
        assert "nothing is not defined" in console(browse(bad, "--enable-logging=stderr").stderr)[0]

    def test_nothing_is_fetched(self, page, proxy):
        browse(page, proxy.option)
        assert proxy.by_page == []

    def test_a_request_would_be_seen(self, tmp_path, proxy):
        bad = tmp_path / "bad.html"
        bad.write_text('<img src="http://example.invalid/x.png">')
        browse(bad, proxy.option)
        assert any("example.invalid/x.png" in line for line in proxy.by_page)

    def test_scripts_that_are_not_its_own_do_not_run(self, page, tmp_path):
        evil = tmp_path / "evil.html"
        hook = "<script>document.title = 'taken'</script>"
        evil.write_text(page.read_text().replace("</article>", f"{hook}</article>"))
        result = browse(evil, "--enable-logging=stderr")
        assert "<title>taken" not in result.stdout
        assert any("Content Security Policy" in line for line in console(result.stderr))


SORT = """
  var table = document.querySelector("section[id$=matrix] table.sortable");
  var heads = Array.from(table.tHead.rows[0].cells);
  function shown(column) {
    return Array.from(table.tBodies[0].rows).map(function (row) {
      var cell = row.cells[column];
      return [row.cells[0].textContent.split(/weight|baseline/)[0].trim(), cell.dataset.sort];
    });
  }
  var column = heads.findIndex(function (head) { return head.textContent.includes("auroc"); });
  var told = [shown(column)];
  for (var i = 0; i < 3; i++) {
    heads[column].querySelector("button").click();
    told.push([heads[column].getAttribute("aria-sort"), shown(column)]);
  }
  return told;
"""


class TestTables:
    def test_sort_down_up_and_back(self, page, tmp_path):
        before, down, up, back = ask(page, tmp_path, SORT)
        values = [float(key) for _, key in before]
        assert values != sorted(values, reverse=True)
        assert [float(key) for _, key in down[1]] == sorted(values, reverse=True)
        assert [float(key) for _, key in up[1]] == sorted(values)
        assert [down[0], up[0], back[0]] == ["descending", "ascending", None]
        assert back[1] == before

    def test_stand_without_scripts(self, page, tmp_path):
        refused = tmp_path / "refused.html"
        refused.write_text(page.read_text().replace('"use strict";', '"use strict"; '))
        result = browse(refused, "--enable-logging=stderr")
        assert any("Content Security Policy" in line for line in console(result.stderr))
        assert '<button type="button">' in browse(page).stdout
        assert "<button" not in result.stdout
        assert result.stdout.count("<tr>") == page.read_text().count("<tr>")


COPY = """
  var got = [];
  Object.defineProperty(navigator, "clipboard", { value: {
    writeText: function (text) { got.push(text); return Promise.resolve(); } } });
  var button = document.querySelector("button.copy");
  button.click();
  await Promise.resolve();
  return [got, button.textContent, document.querySelectorAll("button.copy").length];
"""


class TestCopy:
    def test_the_methods_are_copied_as_text(self, page, tmp_path):
        (text,), message, buttons = ask(page, tmp_path, COPY)
        assert (message, buttons) == ("Copied", 1)
        assert text.startswith("Design. 3 priors were compared")
        assert "\n\nStatistics. The unit of every test" in text
        assert "References" in text
        assert "<" not in text.replace("p < ", "")

    def test_without_scripts_there_is_no_button(self, page):
        assert 'class="copy"' not in page.read_text()


IMAGES = """
  var found = [];
  for (var svg of document.querySelectorAll("svg")) {
    var box = svg.viewBox.baseVal, image = new Image();
    var copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", box.width); copy.setAttribute("height", box.height);
    var text = new XMLSerializer().serializeToString(copy);
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    await image.decode();
    var canvas = document.createElement("canvas");
    canvas.width = box.width; canvas.height = box.height;
    var context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    var data = context.getImageData(0, 0, canvas.width, canvas.height).data, drawn = 0;
    for (var i = 3; i < data.length; i += 4) { drawn += data[i] > 40; }
    var seen = svg.getBoundingClientRect();
    found.push({ label: svg.getAttribute("aria-label"), share: 4 * drawn / data.length,
                 width: seen.width, height: seen.height });
  }
  return found;
"""


def test_images_are_not_blank(page, tmp_path):
    images = ask(page, tmp_path, IMAGES)
    assert len(images) == page.read_text().count("<svg")
    for image in images:
        assert image["share"] > 0.005, image
        assert min(image["width"], image["height"]) > 50, image


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(page, tmp_path, scheme):
    # windows of headless browsers are wider than phones; frames are not
    script = f"""
  var frame = document.createElement("iframe");
  frame.srcdoc = document.documentElement.outerHTML.replace(/<script[^]*?<\\/script>/g, "");
  frame.style = "width: {PHONE}px; height: 800px; border: 0";
  document.body.appendChild(frame);
  await new Promise(function (done) {{ frame.onload = done; }});
  var inner = frame.contentDocument;
  inner.querySelectorAll("details").forEach(function (one) {{ one.open = true; }});
  var background = frame.contentWindow.getComputedStyle(inner.body).backgroundColor;
  return [frame.contentWindow.innerWidth, inner.documentElement.scrollWidth, background];
"""
    options = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    inner, content, background = ask(page, tmp_path, script, *options)
    assert inner == PHONE
    assert content <= PHONE
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
