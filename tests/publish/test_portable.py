"""Commands and texts without the places of a machine."""

import pytest
from fixtures.published import finished_run

from priorbench.publish.portable import PortableText, portable_command
from priorbench.results.finished_run import load_run


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("priorbench run a --out runs/a -j 2 --jobs=3 --no-report", "priorbench run a"),
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
