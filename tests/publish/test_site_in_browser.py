"""The table over all runs in a real browser, left out where none is installed."""

from __future__ import annotations

import csv
import json
import re

import pytest
from fixtures.browser import CHROMIUM, Proxy, ask, browse, console
from fixtures.published import finished_run, publish

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
PHONE = 400
SHOWN = """
  function shown() {
    var rows = Array.from(document.querySelectorAll("#all tbody tr")).filter(function (row) {
      return row.getClientRects().length;
    });
    return { priors: rows.map(function (row) { return row.cells[0].textContent; }),
             count: document.getElementById("count").textContent, hash: location.hash };
  }
  function choose(name, value) {
    var form = document.getElementById("filters");
    form.elements[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
  }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    first = finished_run(folder / "a", ("none", "tv", "l1"), range(7), failed={("l1", 2)})
    second = finished_run(folder / "b", ("none", "fourier:softness=0.3"), name="other")
    publish(first, second, "--to", folder / "site")
    return folder / "site"


def test_the_pages_are_quiet_and_ask_for_nothing(site):
    proxy = Proxy()
    for page in [site / "index.html", *site.glob("runs/*/index.html")]:
        result = browse(page, proxy.option, "--enable-logging=stderr")
        assert console(result.stderr) == []
        assert 'class="reading"' not in result.stdout
        assert "aria-sort" in page.read_text()
    proxy.close()
    assert proxy.by_page == []


def test_filters_choose_rows_and_the_address_keeps_them(site, tmp_path):
    with (site / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    verdicts = {
        (axis, row[f"{axis}_verdict"]): [
            other["prior"] for other in table if other[f"{axis}_verdict"] == row[f"{axis}_verdict"]
        ]
        for axis in ("prediction", "localisation", "stability")
        for row in table
    }
    (axis, verdict), fitting = next(item for item in verdicts.items() if len(item[1]) < 3)
    script = f"""{SHOWN}
  var told = [shown()];
  choose("prior", "tv"); told.push(shown());
  choose("prior", ""); choose("text", "OTHER  soft"); told.push(shown());
  choose("text", ""); choose("axis", "{axis}"); choose("verdict", "{verdict}");
  told.push(shown());
  document.querySelector("#filters button").click();
  await new Promise(function (done) {{ setTimeout(done, 20); }});
  told.push(shown());
  location.hash = "#task=binary&prior=l1";
  await new Promise(function (done) {{ setTimeout(done, 50); }});
  told.push(shown());
  location.hash = "#prior=unknown&verdict=nonsense&sort=nothing.x";
  await new Promise(function (done) {{ setTimeout(done, 50); }});
  told.push(shown());
  return told;
"""
    every, tv, words, chosen, reset, linked, unknown = ask(site / "index.html", tmp_path, script)
    rows = ["tv", "l1", "fourier:softness=0.3"]
    assert sorted(every["priors"]) == sorted(rows)
    assert every["count"] == "3 rows of 2 runs"
    assert (tv["priors"], tv["hash"]) == (["tv"], "#prior=tv")
    assert tv["count"] == "1 of 3 rows, of 1 of 2 runs"
    assert words["priors"] == ["fourier:softness=0.3"]
    assert chosen["hash"] == f"#verdict={verdict}&axis={axis}"
    assert chosen["priors"] == fitting
    assert reset["priors"] == every["priors"]
    assert linked["priors"] == ["l1"]
    assert unknown["priors"] == every["priors"]


def test_columns_sort_from_the_keyboard_and_the_address_says_how(site, tmp_path):
    script = f"""{SHOWN}
  var head = document.querySelector("[data-key=prior]"), button = head.querySelector("button");
  button.focus();
  var told = [document.activeElement === button, button.tabIndex];
  button.click(); told.push([head.getAttribute("aria-sort"), shown().priors]);
  location.hash = "#sort=prior.descending&task=binary";
  await new Promise(function (done) {{ setTimeout(done, 50); }});
  told.push([head.getAttribute("aria-sort"), shown().priors]);
  return told;
"""
    focused, index, up, down = ask(site / "index.html", tmp_path, script)
    assert (focused, index) == (True, 0)
    assert up == ["ascending", ["fourier:softness=0.3", "l1", "tv"]]
    assert down == ["descending", ["tv", "l1", "fourier:softness=0.3"]]


def test_a_long_table_is_shown_in_part(site, tmp_path):
    page = tmp_path / "long.html"
    text = (site / "index.html").read_text()
    row = re.search(r"<tr><th scope=\"row\">.*?</tr>", text, re.DOTALL)[0]
    page.write_text(text.replace(row, row * 700))
    script = f"""{SHOWN}
  var told = [shown().priors.length, shown().count];
  document.getElementById("more").click();
  told.push(shown().priors.length, document.getElementById("more").hidden);
  return told;
"""
    few, count, every, hidden = ask(page, tmp_path, script)
    assert (few, every, hidden) == (500, 702, True)
    assert count == "702 rows of 2 runs; the first 500 are shown"


def test_the_table_stands_without_scripts(site, tmp_path):
    refused = tmp_path / "refused.html"
    text = (site / "index.html").read_text()
    refused.write_text(re.sub(r"'sha256-[^']*'", "'none'", text))
    page = browse(refused).stdout
    assert '<button type="button">' not in page
    assert 'class="reading"' not in page
    assert page.count("<tr>") == text.count("<tr>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only_and_text_has_contrast(site, tmp_path, scheme):
    script = f"""
  function luminance(colour) {{
    var parts = colour.match(/[0-9.]+/g).slice(0, 3).map(function (part) {{
      var share = part / 255;
      return share <= .04045 ? share / 12.92 : Math.pow((share + .055) / 1.055, 2.4);
    }});
    return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
  }}
  function behind(element) {{
    for (; element; element = element.parentElement) {{
      var colour = element.ownerDocument.defaultView.getComputedStyle(element).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") {{ return colour; }}
    }}
    return "rgb(255, 255, 255)";
  }}
  var frame = document.createElement("iframe");
  frame.srcdoc = document.documentElement.outerHTML.replace(/<script[^]*?<\\/script>/g, "");
  frame.style = "width: {PHONE}px; height: 800px; border: 0";
  document.body.appendChild(frame);
  await new Promise(function (done) {{ frame.onload = done; }});
  var inner = frame.contentDocument, least = 21;
  inner.querySelectorAll("td, th, p, label, select, a, .verdict, .difference, dd").forEach(
    function (element) {{
      var style = frame.contentWindow.getComputedStyle(element);
      var text = luminance(style.color) + .05, page = luminance(behind(element)) + .05;
      least = Math.min(least, Math.max(text, page) / Math.min(text, page));
    }});
  var wide = Array.from(inner.querySelectorAll("*")).filter(function (element) {{
    return element.getBoundingClientRect().right > {PHONE} && !element.closest(".box, .unseen");
  }}).map(function (element) {{ return element.outerHTML.slice(0, 80); }});
  return [inner.documentElement.scrollWidth, least, wide];
"""
    options = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    for page in (site / "index.html", next(site.glob("runs/*/index.html"))):
        width, contrast, wide = ask(page, tmp_path, script, *options)
        assert width <= PHONE, wide
        assert contrast >= 4.5


def test_every_control_has_a_name(site, tmp_path):
    script = """
  return Array.from(document.querySelectorAll("select, input, button")).map(function (field) {
    return field.labels && field.labels.length ? field.labels[0].textContent.trim()
      : field.textContent.trim();
  });
"""
    told = ask(site / "index.html", tmp_path, script)
    assert all(told), json.dumps(told)
