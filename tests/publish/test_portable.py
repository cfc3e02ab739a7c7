"""Commands and texts without the places of a machine."""

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.published import finished_run

from priorbench.publish.new_entry import RunToPublish
from priorbench.publish.portable import PortableText, portable_command
from priorbench.results.finished_run import load_run
from priorbench.results.joined_run import join


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("priorbench run a --out runs/a -j 2 --jobs=3 --no-report", "priorbench run a"),
        ("priorbench run -j4 --priors tv", "priorbench run --priors tv"),
        ("priorbench run --data '/home/me/my data/x.toml'", "priorbench run --data x.toml"),
        ("priorbench run --data=/home/me/x.toml", "priorbench run --data=x.toml"),
        (
            "priorbench run ../me/x.toml --plugin own/p.py",
            "priorbench run x.toml --plugin own/p.py",
        ),
        ("priorbench run --priors fourier:softness=0.1+tv", None),
        ("priorbench run --out", "priorbench run"),
        ("", ""),
    ],
)
def test_commands(command, expected):
    assert portable_command(command) == (command if expected is None else expected)


@pytest.fixture
def portable(tmp_path):
    return PortableText([load_run(finished_run(tmp_path / "my own run"))])


@pytest.mark.parametrize(
    "text",
    [
        "task/dataset, and/or, 1/2, 3 / 4",
        "<td>.5</td><br/><a href='#x'>x</a>",
        '<img src="data:image/png;base64,iVBOR+/9j/4AAQ/Sk/ZJRg==">',
        '<image href="data:image/jpeg;base64,/9j/4AAQ/Sk/ZJRg==">',
        "<script>x.replace(/a/b/c/g)</script>",
        "https://doi.org/10.1/x/y",
        "priorbench run runs/a",
    ],
)
def test_what_is_no_place_stays(portable, text):
    assert portable.clean_page(text) == text


def test_places_are_the_names_of_files(portable, tmp_path):
    root = tmp_path / "my own run"
    assert portable.clean(f"read {root}/x y.fa, {root}.") == "read my own run/x y.fa, my own run."
    assert portable.clean("(/home/me/a/b.fa.gz)") == "(b.fa.gz)"
    assert portable.clean_value({f"{root}/a": [f"{root}/b", 1, None]}) == {
        "my own run/a": ["my own run/b", 1, None]
    }
    assert portable.clean_page(f"<code>{tmp_path}/a &amp; b</code>") == "<code>a &amp; b</code>"


@pytest.mark.parametrize("home", ["/root", "/home/me", "/Users/me", "/data/people/me"])
def test_homes_and_folders_beside_known_ones_are_no_names(tmp_path, monkeypatch, home):
    monkeypatch.setattr(Path, "home", lambda: Path(home))
    run = load_run(finished_run(tmp_path / "run"))
    data = [f"{home}/my data/a.toml", "/data/lab/x/b.toml"]
    portable = PortableText([replace(run, study={**run.study, "data": data})])
    assert portable.clean(f"unpacked to {home}/.cache/priorbench/3f9.") == "unpacked to 3f9."
    assert portable.clean(f"{home}/my data/x y.fa, {home}") == "x y.fa, ~"
    assert portable.clean("/data/lab/you/c.fa and /data/you/d.fa") == "c.fa and d.fa"
    assert portable.clean("/home/you/c.fa and /data/lab") == "c.fa and lab"


def test_runs_of_one_name_do_not_say_whose_they_are(tmp_path):
    roots = [tmp_path / user / "default" for user in ("me", "you")]
    for root, seeds in zip(roots, (range(4), range(4, 8)), strict=True):
        root.parent.mkdir()
        finished_run(root, seeds=seeds)
    joined = RunToPublish(join([load_run(root) for root in roots]))
    assert joined.label == "me/default + you/default"
    assert joined.portable.clean_page("<b>runs me/default and you/default</b>") == (
        "<b>runs default and default</b>"
    )
    files = joined.files(packed=False)
    assert [run.label for run in joined.entry(files).runs] == ["default", "default"]
