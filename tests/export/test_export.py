"""Exported files: what comes out reads back as what went in."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from priorbench import UserError
from priorbench.attribution.explainers.subject import Explanation
from priorbench.cli.app import main
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS
from priorbench.data.codes import TEST, TRAIN
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.evaluation.stored_arrays import pack_explanation, pack_predictions
from priorbench.export.tables import export_tables, latex_table, means_table
from priorbench.export.tracks import (
    export_bigwig,
    on_genome,
    tracks_of,
    write_bigwig,
)
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import RunDirectory

SPEC = "input-x-gradient"
SIZES = {"chr2": 500, "chr10": 90, "chrUn": 7}
LENGTH = 6
# chromosome, start, minus strand; the first two windows overlap, the last touches the end
PLACES = [("chr2", 100, False), ("chr2", 104, True), ("chr2", 300, False), ("chr10", 84, True)]


def write_dataset(folder, *, placed=True, sizes=SIZES):
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 5, (5, LENGTH)).astype(np.uint8)
    with DatasetWriter(folder) as writer:
        split = np.array([TRAIN, TEST, TEST, TEST, TEST], dtype=np.uint8)
        writer.append(codes, np.ones(5, dtype=np.float32), split)
        writer.attribute(np.arange(1, 5))
        if placed:
            chrom, start, minus = zip(("chrUn", 0, False), *PLACES, strict=True)
            writer.locate(np.array(chrom), np.array(start), np.array(minus))
            writer.chromosome_sizes = dict(sizes)
        writer.finish()
    return load_dataset(folder)


def make_run(root: Path, attributions, **dataset) -> Run:
    """Make a run of (4, L) attributions by prior and seed; None for a trial that failed."""
    import torch

    records = {}
    for number, ((prior, seed), values) in enumerate(attributions.items()):
        trial = f"t{number}"
        facts = {"task": "binary", "dataset": "mine", "architecture": "three-conv"}
        facts |= {"stage": "evaluate", "prior": prior, "seed": seed}
        records[trial] = {**facts, "status": "failed" if values is None else "done"}
        folder = root / "trials" / trial
        folder.mkdir(parents=True)
        if values is not None:
            stored = pack_explanation(SPEC, Explanation(torch.tensor(values), None))
            stored |= pack_predictions({"logit": np.zeros(4, dtype=np.float32)})
            np.savez(folder / "arrays.npz", **stored)
        RunDirectory(root).seal_trial(folder, {"trial": trial, **records[trial]})
    data = {"binary/mine": write_dataset(root / "data", **dataset)}
    study = {"attributions": [SPEC], "priors": ["none"], "scale": "smoke"}
    empty = pd.DataFrame(columns=RESULT_COLUMNS), pd.DataFrame(columns=COMPARISON_COLUMNS)
    return Run(root, study, {}, *empty, len(records), records, data)


def ramp(scale):
    return (scale * np.arange(1, 1 + 4 * LENGTH, dtype=np.float32)).reshape(4, LENGTH)


@pytest.fixture
def run(tmp_path):
    arms = {("none", 0): ramp(1), ("none", 1): ramp(3), ("none", 2): None}
    arms |= {("fourier:boundary=zero", 0): ramp(-1)}
    return make_run(tmp_path / "run", arms)


def test_bigwig_has_means_over_seeds_at_the_right_places(run, tmp_path):
    paths = export_bigwig(run, tmp_path / "out", SPEC)
    assert [path.name for path in paths] == ["none.bw", "fourier-boundary-zero.bw"]
    file = pyBigWig.open(str(paths[0]))
    try:
        assert file.chroms() == SIZES
        a = ramp(2)  # the mean of 1 and 3; the trial that failed is left out
        assert file.values("chr2", 100, 104) == pytest.approx(a[0, :4], rel=1e-3)
        # windows overlap at 104 and 105; the second was read on the minus strand
        turned = a[1, ::-1]
        both = [(a[0, 4] + turned[0]) / 2, (a[0, 5] + turned[1]) / 2]
        assert file.values("chr2", 104, 106) == pytest.approx(both, rel=1e-3)
        assert file.values("chr2", 106, 110) == pytest.approx(turned[2:], rel=1e-3)
        assert np.isnan(file.values("chr2", 110, 300)).all()
        assert file.values("chr2", 300, 306) == pytest.approx(a[2], rel=1e-3)
        assert file.values("chr10", 84, 90) == pytest.approx(a[3, ::-1], rel=1e-3)
        assert file.intervals("chrUn") is None
    finally:
        file.close()


def test_every_trial_has_its_own_on_demand(run, tmp_path):
    paths = export_bigwig(run, tmp_path / "out", SPEC, each_trial=True)
    names = {"none.bw", "none-seed0.bw", "none-seed1.bw"}
    names |= {"fourier-boundary-zero.bw", "fourier-boundary-zero-seed0.bw"}
    assert {path.name for path in paths} == names


def test_turning_back_is_an_involution(tmp_path):
    dataset = write_dataset(tmp_path / "d")
    values = np.random.default_rng(1).standard_normal((4, LENGTH))
    flipped = dataclasses.replace(dataset, place=dataset.place * np.array([1, 1, -1]))
    for chrom, spans in on_genome(dataset, values).items():
        other = on_genome(flipped, values[:, ::-1])[chrom]
        np.testing.assert_array_equal(spans.position, other.position)
        np.testing.assert_allclose(spans.value, other.value)


def test_bigwig_of_nothing_is_still_one(tmp_path):
    path = tmp_path / "x.bw"
    write_bigwig(path, {}, SIZES)
    file = pyBigWig.open(str(path))
    assert file.chroms() == SIZES
    file.close()


def test_no_coordinates_is_one_clear_line(tmp_path):
    plain = make_run(tmp_path / "a", {("none", 0): ramp(1)}, placed=False)
    with pytest.raises(UserError, match=r"needs windows with coordinates.*take --format modisco"):
        export_bigwig(plain, tmp_path / "out", SPEC)
    old = make_run(tmp_path / "b", {("none", 0): ramp(1)}, sizes={})
    with pytest.raises(UserError, match="did not keep the sizes of chromosomes"):
        export_bigwig(old, tmp_path / "out", SPEC)


def test_what_cannot_be_exported(run, tmp_path):
    with pytest.raises(UserError, match="'ism' was not scored; it has input-x-gradient"):
        next(tracks_of(run, "ism", each_trial=False))
    failed = make_run(tmp_path / "f", {("none", 0): None})
    with pytest.raises(UserError, match="no trial ended well"):
        next(tracks_of(failed, SPEC, each_trial=False))


def test_specs_that_share_a_file_name_are_numbered(tmp_path):
    arms = {("a:b=1", 0): ramp(1), ("a+b=1", 0): ramp(2)}
    names = [t.name for t in tracks_of(make_run(tmp_path / "r", arms), SPEC, each_trial=False)]
    assert names == ["a-b-1", "a-b-1-2"]


def test_long_names_that_are_cut_alike_are_numbered(tmp_path):
    arms = {("é" * 100 + "a", 0): ramp(1), ("é" * 100 + "b", 0): ramp(2)}
    tracks = list(tracks_of(make_run(tmp_path / "r", arms), SPEC, each_trial=True))
    names = [track.name for track in tracks]
    assert len(set(names)) == 4
    assert all(len(f"{name}.bw".encode()) < 255 for name in names)


def test_figures_are_cut_between_words():
    from priorbench.reports._shared.figures.files import stem_of

    assert stem_of(3, "gain " * 20) == "03-" + "-".join(["gain"] * 12)
    assert stem_of(3, "a" * 300) == f"03-{'a' * 60}"
    assert stem_of(4, "Gain: of x") == "04-gain"
    assert stem_of(4, "é") == "04"


EVIL = r"a_b&c%\d"


def results() -> pd.DataFrame:
    setting = ("binary", "my_data", "three-conv")
    rows = [
        (f"{p}{s}", "evaluate", state, *setting, p, 1.0, s, "", "auroc", "prediction", value, True)
        for p, s, state, value in [
            ("none", 0, "done", 0.8),
            ("none", 1, "done", 0.9),
            (EVIL, 0, "done", 0.7),
            (EVIL, 1, "failed", np.nan),
        ]
    ]
    floor = ("", "reference", "done", *setting, "random", None, None, "", "auroc", "prediction")
    return pd.DataFrame([*rows, (*floor, 0.5, True)], columns=RESULT_COLUMNS)


def test_means_count_failures_as_the_worst():
    table = means_table(results()).set_index("prior")
    assert table.loc["none", "mean"] == pytest.approx(0.85)
    assert table.loc["none", "sd"] == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert table.loc[EVIL, "mean"] == pytest.approx((0.7 + 0.5) / 2)
    assert table.loc[EVIL, ["n", "failed"]].tolist() == [2, 1]


def test_latex_is_booktabs_and_escaped():
    text = latex_table(means_table(results()), ["dataset", "prior", "metric", "mean", "sd"])
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{longtable}"):
        assert command in text
    assert r"my\_data" in text
    assert r"a\_b\&c\%\textbackslash d" in text
    assert "0.850" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "0." in line]
    assert {line.count("&") - line.count(r"\&") for line in body} == {4}


def test_csv_reads_back(run, tmp_path):
    full = dataclasses.replace(run, results=results())
    paths = {path.name: path for path in export_tables(full, tmp_path / "t", "csv")}
    assert set(paths) == {"comparisons.csv", "means.csv", "results.csv"}
    means = pd.read_csv(paths["means.csv"])
    assert means["prior"].tolist() == ["none", EVIL]
    assert [p.name for p in export_tables(full, tmp_path / "t", "latex")] == [
        "means.tex",
        "comparisons.tex",
    ]


def test_published_values_are_tables_too(run, tmp_path):
    full = dataclasses.replace(run, results=results())
    value = {"metric": "auroc", "mean": 0.4, "source": "a paper", "read": "printed"}
    value |= {"attribution": "", "task": "", "dataset": "", "architecture": "", "prior": "none"}
    held = dataclasses.replace(full, study={**full.study, "published": [value]})
    for kind, name in (("csv", "published.csv"), ("latex", "published.tex")):
        paths = {path.name: path for path in export_tables(held, tmp_path, kind)}
        assert "0.4" in paths[name].read_text(encoding="utf-8")
        assert name not in {path.name for path in export_tables(full, tmp_path / "t", kind)}


def test_parquet_says_what_it_needs(run, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs pyarrow.*priorbench\[parquet\]"):
        export_tables(run, tmp_path / "new", "parquet")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_parquet_reads_back(run, tmp_path):
    full = dataclasses.replace(run, results=results())
    paths = {p.name: p for p in export_tables(full, tmp_path, "parquet")}
    pd.testing.assert_frame_equal(pd.read_parquet(paths["results.parquet"]), results())


def command(*arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["priorbench", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("priorbench.export.formats.load_run", lambda root: run)
    assert command(run.root, "--format", "bigwig", monkeypatch=monkeypatch) == 0
    folder = run.root / "export" / "bigwig" / "binary-mine-three-conv"
    assert capsys.readouterr().out.splitlines()[0] == str(folder / "none.bw")
    assert command(run.root, "--format", "csv", "--each-trial", monkeypatch=monkeypatch) == 2
    assert "leave --attribution and --each-trial out" in capsys.readouterr().err
