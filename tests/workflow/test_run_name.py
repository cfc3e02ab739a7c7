"""The name of a run whose study has none, in words and as a folder's name."""

import re

import pytest
from fixtures.places import ROOT

from priorbench.cli.look_up.listing import builtin_studies
from priorbench.cli.options import read_study
from priorbench.study.resolve import resolve
from priorbench.study.study import ABOUT, Study, first_difference, load_study
from priorbench.workflow.run_name import (
    folder_name,
    name_in_words,
    named,
    unnamed,
    usual_folder,
)

SPECS = [f"fourier:frequency_limit=0.{i}:boundary=reflect" for i in range(1, 6)]


def study(priors, tasks=("binary",), seeds=8, **more):
    return Study(name="", priors=["none", *priors], tasks=list(tasks), seeds=seeds, **more)


@pytest.mark.parametrize(
    ("of", "words", "folder"),
    [
        (
            study(["fourier", "tv"]),
            "fourier and tv on binary, 8 seeds",
            "fourier-tv_binary_8-seeds",
        ),
        (study([], seeds=[5]), "none on binary, seed 5", "none_binary_seed-5"),
        (
            study(["fourier", "tv", "l1", "l2", "gini", "dropout"], seeds=[101, 100]),
            "fourier, tv and 4 more on binary, seeds 100 to 101",
            "fourier-tv-and-4-more_binary_seeds-100-101",
        ),
        (
            study(["fourier:boundary=reflect"], ["rbp:protein=PUM2", "binary"], [0, 3, 7]),
            "fourier:boundary=reflect on rbp:protein=PUM2 and binary, seeds 0, 3 and 7",
            "fourier-reflect_rbp-PUM2-binary_seeds-0-3-7",
        ),
        (
            study(["fourier=1+weight-l2=1e-05"], seeds=[1, 3, 5, 7]),
            "fourier=1+weight-l2=1e-05 on binary, 4 seeds",
            "fourier-1-weight-l2-1e_binary_4-seeds",
        ),
    ],
)
def test_a_name_says_what_is_compared(of, words, folder):
    assert name_in_words(of) == words
    assert folder_name(named(of)) == folder


def test_a_folder_name_stays_short_and_is_no_path():
    many = study(SPECS, [f"short-motif:width={i}" for i in range(9)], [2**62, 1, 2**62 - 5])
    name = folder_name(named(many))
    assert "-and-4-more_short-motif-0-and-8-more_" in name
    assert len(f"{name}-1a2b3c4d") <= 80
    assert folder_name(Study(name="../up", priors=["tv"])) == "up"


def test_datasets_are_called_by_their_name(tmp_path):
    for name in ("pos.fa", "neg.fa"):
        (tmp_path / name).write_text(">a\nACGT\n")
    data = tmp_path / "x.toml"
    data.write_text(
        'task = "binary"\nname = "CTCF K562"\npositives = "pos.fa"\nnegatives = "neg.fa"\n'
    )
    mixed = study(["tv"], ["binary", "rbp"], data=[data])
    assert name_in_words(mixed) == "tv on CTCF K562 and rbp, 8 seeds"
    assert folder_name(named(mixed)) == "tv_CTCF-K562-rbp_8-seeds"


def test_the_same_comparison_has_the_same_name_however_it_is_written():
    written = ["fourier,tv", "fourier:boundary=periodic,tv", "none,fourier,tv"]
    names = {
        named(resolve(read_study(None, {"priors": priors.split(",")})[0], "cpu")).name
        for priors in written
    }
    assert names == {"fourier and tv on binary, 8 seeds"}
    assert named(resolve(read_study(None, {"seeds": 3})[0], "cpu")).name == "default"
    assert named(resolve(read_study("short-motif", {"seeds": 3})[0], "cpu")).name == "short-motif"


@pytest.mark.parametrize("name", builtin_studies())
def test_options_leave_out_the_weights_and_grids_that_no_longer_apply(name):
    written = read_study(name, {})[0]
    fewer = read_study(name, {"priors": ["none", "gini"]})[0]
    assert {*fewer.weights, *fewer.grids} <= {"gini"}
    assert read_study(name, {"tune": written.tune})[0].grids == written.grids
    assert read_study(name, {"tune": written.tune + 1})[0].grids == {}
    for spec, grid in written.grids.items():
        other = read_study(name, {"weights": {f"{spec}": 1.0}})[0]
        assert spec not in other.grids
        assert other.grids.items() <= written.grids.items()
        assert len(other.grids) == len(written.grids) - 1
        assert len(grid) == written.tune


@pytest.mark.parametrize(
    "changes", [{"tune": 0}, {"tune": 3}, {"priors": ["none", "gini"]}, {"weights": {"gini": 2.0}}]
)
def test_a_study_with_grids_takes_options(changes):
    changes = {"tasks": ["profile"], "own_data": False, **changes}
    resolved = resolve(read_study("real-profiles", changes)[0], "cpu")
    grids = resolved.grids.get("gini", {})
    if changes.get("tune") == 0:
        assert grids == {}
    else:
        kept = "priors" in changes
        assert (grids["profile"] == [0.3, 1, 3, 10, 30]) is kept


def test_a_made_name_follows_what_is_changed_and_a_given_one_stays(tmp_path):
    made = named(resolve(read_study(None, {"priors": ["tv"]})[0], "cpu"))
    path = tmp_path / "study.toml"
    path.write_text(made.to_toml())
    assert read_study(str(path), {})[0].name == "tv on binary, 8 seeds"
    more = named(resolve(read_study(str(path), {"seeds": 16})[0], "cpu"))
    assert more.name == "tv on binary, 16 seeds"
    # a further look at the same folder, not another study
    assert first_difference(made.model_dump(mode="json"), more.model_dump(mode="json")) == ""
    mine = made.model_copy(update={"name": "mine"})
    assert unnamed(mine).name == "mine"
    assert folder_name(mine) == "mine"


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-run.md"])
def test_pages_name_the_folder_that_the_first_run_makes(page):
    study = resolve(load_study(ROOT / "studies" / "default.toml"), "cpu")
    names = re.findall(r"runs/default-[0-9a-f]{8}", (ROOT / page).read_text("utf-8"))
    assert set(names) == {usual_folder(study).as_posix()}


@pytest.mark.parametrize("key", ABOUT)
def test_what_only_describes_a_study_makes_no_other_folder(key):
    study = resolve(load_study(ROOT / "studies" / "koo-ploenzke-2021.toml"), "cpu")
    other = {"question": "Why?", "minutes": {"quick": 1}, "published": [], "own_data": True}[key]
    assert usual_folder(study.model_copy(update={key: other})) == usual_folder(study)
