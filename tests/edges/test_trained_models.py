"""Contrasts of trained models near the ends: scores by hand, tests over seeds, the page."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from fixtures.priors import BAND_PASS
from fixtures.runs import run_smoke

from priorbench import UserError, load_prior
from priorbench.cli.app import main
from priorbench.components import registry
from priorbench.data.codes import MOTIF, WHERE
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.edges.contrasts import (
    CONTRASTS,
    background_curve,
    contrasts_of,
    distance_curve,
    sequence_scores,
)
from priorbench.edges.motif_places import sequences_of
from priorbench.edges.penalty_effects import BOUNDARIES, NEAR, SHORTEST, effects_of
from priorbench.edges.summary import conclusions, curve_tables, summary_table
from priorbench.edges.tests_over_seeds import edge_table, pairs_of, without_boundary
from priorbench.edges.trained_models import TrainedEdges, trained_edges
from priorbench.results.finished_run import load_run

pytestmark = pytest.mark.slow

LENGTH, WIDTH = 60, 12
JITTER = np.linspace(-0.01, 0.01, 8)
STARTS = {"start": [0], "end": [48], "both": [0, 48], "middle": [24], "both-middle": [18, 30]}


def write_places(folder, places, starts):
    """Write a dataset of one attributed test window a place, and open it."""
    truth = np.zeros((len(places), LENGTH), dtype=np.uint8)
    for row, begins in enumerate(starts):
        for begin in begins:
            truth[row, begin : begin + WIDTH] = MOTIF
    where = np.array([WHERE.index(place) for place in places], dtype=np.uint8)
    with DatasetWriter(folder) as writer:
        n = len(places)
        ones = np.ones(n, dtype=np.float32)
        writer.append(np.zeros((n, LENGTH), np.uint8), ones, np.full(n, 2, np.uint8), where=where)
        writer.attribute(np.arange(n), truth, truth.astype(np.float32))
        writer.finish()
    return load_dataset(folder)


@pytest.fixture
def places(tmp_path):
    return sequences_of(write_places(tmp_path / "d", list(STARTS), list(STARTS.values())))


def test_kinds_and_distances(places):
    assert places.distance.tolist() == [0, 0, 0, 24, 18]
    assert places.kinds["edge"].tolist() == [True, True, False, False, False]
    assert places.kinds["centre"].tolist() == [False, False, False, True, False]
    # across from a motif at the start is the end, and the other way round; both from the middle
    assert np.flatnonzero(places.opposite[0]).tolist() == list(range(LENGTH - NEAR, LENGTH))
    assert np.flatnonzero(places.opposite[1]).tolist() == list(range(NEAR))
    assert places.opposite[3].sum() == 2 * NEAR


def test_motifs_that_stand_anywhere_are_sorted_by_distance(tmp_path):
    starts = [[0], [NEAR], [NEAR + 1], [20], [24], [48 - NEAR]]
    sequences = sequences_of(write_places(tmp_path / "d", ["anywhere"] * 6, starts))
    assert sequences.kinds["edge"].tolist() == [True, True, False, False, False, True]
    assert sequences.kinds["centre"].tolist() == [False, False, False, True, True, False]


def test_scores_by_hand(places):
    attribution = np.full((5, LENGTH), 0.5)
    attribution[:, :WIDTH] = -1  # sign does not matter
    scores = sequence_scores(attribution, places)
    total = WIDTH + 0.5 * (LENGTH - WIDTH)
    assert scores["localisation"][0] == 1
    assert scores["mass"][0] == pytest.approx(WIDTH / total)
    assert scores["mass"][1] == pytest.approx(0.5 * WIDTH / total)
    assert scores["opposite"][:2].tolist() == pytest.approx([0.5 * NEAR / total, NEAR / total])
    # from the middle, the mean of both ends
    assert scores["opposite"][3] == pytest.approx(0.75 * NEAR / total)
    values = contrasts_of(scores, places)
    assert values["edge-mass"] == pytest.approx((1 - 0.5) / 2 * WIDTH / total)
    assert values["pair-mass"] == pytest.approx(0.5 * WIDTH / total)
    assert values["opposite-end"] == pytest.approx(0)
    assert values["edge-alone"] == pytest.approx(scores["localisation"][:2].mean())
    assert set(values) == {contrast.name for contrast in CONTRASTS}


def test_an_attribution_of_zero_or_constant_has_no_contrast(places):
    for attribution in (np.zeros((5, LENGTH)), np.ones((5, LENGTH))):
        values = contrasts_of(sequence_scores(attribution, places), places)
        rest = [value for name, value in values.items() if name != "edge-alone"]
        np.testing.assert_allclose(rest, 0, atol=1e-12)


def test_scale_and_direction_do_not_matter(places):
    attribution = np.random.default_rng(0).standard_normal((5, LENGTH))
    values = contrasts_of(sequence_scores(attribution, places), places)
    other = contrasts_of(sequence_scores(-3 * attribution, places), places)
    assert values == pytest.approx(other)


def test_curves(tmp_path):
    starts = [[begin] for begin in range(0, 49)]
    sequences = sequences_of(write_places(tmp_path / "d", ["anywhere"] * 49, starts))
    attribution = sequences.relevant * np.maximum(1, sequences.distance)[:, None] + 1.0
    curve = distance_curve(sequence_scores(attribution, sequences), sequences)
    assert curve.count.sum() == 49
    assert (curve.low[1:] > curve.high[:-1]).all()
    assert (np.diff(curve.mass) > 0).all()
    # the background is flat, whatever the motif
    flat = background_curve(attribution, sequences)
    np.testing.assert_allclose(flat[:-2], 1)
    assert np.isnan(flat[-2:]).all()  # every motif in the centre covers the very middle


def values_of(**by_prior):
    """A table of the contrast edge-localisation: values by prior, NaN for failed trials."""
    return pd.DataFrame(
        [
            {"prior": prior, "seed": seed, "failed": np.isnan(value), "edge-localisation": value}
            for prior, values in by_prior.items()
            for seed, value in enumerate(values)
        ]
    )


def test_tests_are_paired_and_corrected_over_the_priors():
    base = np.linspace(-0.4, 0.4, 8)
    table = edge_table(
        values_of(none=base, a=base - 0.1 + JITTER, b=base + np.tile([0.1, -0.1], 4)),
        [("a", "none"), ("b", "none")],
    )
    a, b = (row for _, row in table.iterrows())
    assert (a["n"], a["p"], a["p_adjusted"]) == (8, 2 / 2**8, 2 * 2 / 2**8)
    assert a["difference"] == pytest.approx(-0.1)
    assert (a["verdict"], b["verdict"]) == ("worse", "inconclusive")
    assert b["p_adjusted"] == pytest.approx(b["p"])


def test_failed_trials_count_as_the_worst():
    table = edge_table(
        values_of(none=[0.1] * 4, a=[0.3, 0.3, 0.3, np.nan]),
        [("a", "none")],
    )
    # no value is below 0, which is what chance has
    assert table["mean_prior"].item() == pytest.approx(0.9 / 4)
    assert table["failed"].item() == 1
    worst = edge_table(values_of(none=[-0.2] * 4, a=[-0.1] * 3 + [np.nan]), [("a", "none")])
    assert worst["mean_prior"].item() == pytest.approx((-0.3 - 0.2) / 4)


def test_one_seed_has_no_verdict():
    table = edge_table(values_of(none=[0.1], a=[0.2]), [("a", "none")])
    assert np.isnan(table["p"].item())
    assert table["verdict"].item() == ""


def test_pairs():
    priors = ["none", "fourier", "fourier:boundary=zero", "fourier:boundary=zero:softness=0", "tv"]
    pairs = pairs_of(priors)
    assert pairs[:4] == [(prior, "none") for prior in priors[1:]]
    assert pairs[4:] == [("fourier:boundary=zero", "fourier")]
    assert without_boundary("fourier:boundary=zero:softness=0") == "fourier:softness=0"
    assert without_boundary("fourier:boundary=zero+tv") == "fourier:boundary=zero+tv"


@pytest.fixture(scope="module")
def effects():
    return effects_of([(spec, load_prior(spec)) for spec in BOUNDARIES], 96)


def setting_of(values, pairs):
    table = edge_table(values, pairs)
    return TrainedEdges("edges", "d", "x", 96, [], 8, values, table, {}, {})


def test_conclusions_follow_the_verdicts(effects):
    (alone,) = conclusions(effects, [])
    assert (alone.default, alone.advised, alone.tests) == ("fourier", BOUNDARIES[1], 0)
    assert alone.notable
    base = np.linspace(0, 0.1, 8)
    reflect, zero = BOUNDARIES[1:3]
    arms = {"none": base, "fourier": base - 0.05 + JITTER}
    arms |= {reflect: base - 0.2 - JITTER, zero: base + JITTER[::-1] ** 2}
    pairs = pairs_of(list(arms))
    (conclusion,) = conclusions(effects, [setting_of(values_of(**arms), pairs)])
    assert conclusion.tests == 2
    assert conclusion.reachable
    assert conclusion.worse == [(reflect, "edge-localisation")]
    assert conclusion.better == [(zero, "edge-localisation")]
    assert conclusion.advised != reflect
    assert conclusion.own == [("edge-localisation", "worse")]
    assert conclusion.shared == []  # zero is no worse than none


def test_few_seeds_cannot_conclude(effects):
    arms = {"none": [0.1, 0.2], "fourier": [0.1, 0.3], BOUNDARIES[1]: [0.2, 0.4]}
    (conclusion,) = conclusions(effects, [setting_of(values_of(**arms), pairs_of(list(arms)))])
    assert not conclusion.reachable


def test_tables_hold_every_curve(effects):
    summary = summary_table(effects)
    assert summary["prior"].tolist() == list(BOUNDARIES)
    assert summary.notna().all(axis=None)
    curves = curve_tables(effects)
    assert set(curves) == {"position", "pairs", "ramp", "noise", "pushes"}
    assert (curves["pushes"].groupby("prior").size() == 96).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A real run of the task at smoke scale."""
    root = tmp_path_factory.mktemp("runs") / "edges"
    priors = "fourier,fourier:boundary=reflect"
    assert run_smoke(root, "--tasks", "edges", "--priors", priors, "--seeds", "2") == 0
    return root


def test_a_run_is_read(run):
    (setting,) = trained_edges(load_run(run))
    assert setting.priors == ["none", "fourier", "fourier:boundary=reflect"]
    assert set(setting.table["contrast"]) == {contrast.name for contrast in CONTRASTS}
    assert set(zip(setting.table["prior"], setting.table["baseline"], strict=True)) == {
        ("fourier", "none"),
        ("fourier:boundary=reflect", "none"),
        ("fourier:boundary=reflect", "fourier"),
    }
    assert setting.background["none"].shape == (40,)


def test_the_section_is_there_for_fourier_priors_only(run):
    section = registry.load("report", "edge-artifacts")()
    loaded = load_run(run)
    page = section.render(loaded)
    assert page.count('class="card"') == 8 + 3
    assert "Use <code>fourier:boundary=reflect</code>" in page
    assert "cannot be significant with so few seeds" in page
    without = {**loaded.study, "priors": ["none", "tv"]}
    assert section.render(type(loaded)(**{**vars(loaded), "study": without})) == ""


def command(*arguments, monkeypatch, of="edges"):
    monkeypatch.setattr("sys.argv", ["priorbench", of, *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command_writes_page_figures_and_tables(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = ("--length", 80, "--priors", "fourier,fourier:boundary=reflect", "--out", out)
    assert command(*arguments, "--run", run, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.strip() == str(out / "edges.html")
    page = (out / "edges.html").read_text()
    assert not re.search(r"(src|href)=.?https?:", page)
    assert "<script" not in page
    names = sorted(path.name for path in (out / "figures").iterdir())
    assert len(names) == 2 * (8 + 3)
    assert {"01-position.svg", "01-position.png"} <= set(names)
    assert (out / "figures" / "01-position.png").read_bytes()[:4] == b"\x89PNG"
    trained = pd.read_csv(out / "tables" / "trained.csv")
    assert set(trained["task"]) == {"edges"}
    first = page
    assert command(*arguments, "--run", run, monkeypatch=monkeypatch) == 0
    assert (out / "edges.html").read_text() == first


def test_the_page_says_where_effects_have_no_scale(tmp_path, monkeypatch, capsys):
    spec = BAND_PASS.replace("smooth_sigma=0", "smooth_sigma=1")
    priors = f"{spec},{spec}:boundary=reflect"
    out = tmp_path / "out"
    arguments = ("--length", SHORTEST, "--priors", priors, "--out", out)
    assert command(*arguments, monkeypatch=monkeypatch) == 0
    page = (out / "edges.html").read_text()
    assert "noise and one motif cost about the same (0.472 and 0.475)" in page
    assert "the penalty advises no other boundary" in page
    assert "they have no scale (–)" in page
    assert "%" not in re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    effects = pd.read_csv(out / "tables" / "effects.csv")
    assert effects[["end_cost", "wrap_gain", "jump_cost"]].isna().all(axis=None)
    assert effects["noise_less_motif"].notna().all()
    # one alone
    arguments = ("--length", SHORTEST, "--priors", spec, "--out", out)
    assert command(*arguments, monkeypatch=monkeypatch) == 0
    assert "have no scale, and the push" in (out / "edges.html").read_text()


def test_figures_of_a_report_are_exported(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "figures"
    assert (
        command(run, "--format", "figures", "--to", out, monkeypatch=monkeypatch, of="export") == 0
    )
    figures = pd.read_csv(out / "figures.csv")
    assert {"edge-artifacts", "paired-seeds", "attributions"} <= set(figures["section"])
    files = {path.name for path in out.iterdir()}
    expected = {f"{stem}.{ending}" for stem in figures["figure"] for ending in ("svg", "png")}
    assert files == {*expected, "figures.csv"}
    assert set(capsys.readouterr().out.split()) == {str(out / name) for name in files}
    # a figure alone needs the key that stands beside it on the page
    place = next(stem for stem in figures["figure"] if stem.endswith("position"))
    assert "fourier:boundary=reflect" in (out / f"{place}.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--length", 20), "length 20"),
        (("--priors", "dropout"), "'dropout': has no penalty"),
        (("--priors", "fourrier"), "did you mean 'fourier'"),
        (("--length", 100, "--run"), "has windows of 80 bp, not 100; give --length 80"),
    ],
)
def test_bad_input_is_one_line(arguments, message, run, tmp_path, monkeypatch, capsys):
    if arguments[-1] == "--run":
        arguments = (*arguments, run)
    status = command(*arguments, "--out", tmp_path / "o", monkeypatch=monkeypatch)
    assert status == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_run_without_places_is_refused(tmp_path, monkeypatch):
    from priorbench.reports import write_edges

    monkeypatch.setattr("priorbench.reports._shared.edges.folder.load_run", lambda root: None)
    monkeypatch.setattr("priorbench.reports._shared.edges.folder.trained_edges", lambda run: [])
    with pytest.raises(UserError, match="no task of this run says where motifs stand"):
        write_edges(tmp_path / "o", priors=["tv"], length=80, run=tmp_path)
