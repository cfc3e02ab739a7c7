"""Published forms of scores: the published numbers, cases worked out by hand, and brute force."""

from __future__ import annotations

import gzip
import json
import os
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from priorbench import TrialArrays
from priorbench.components.metric import Metric
from priorbench.data.codes import BACKGROUND, DECOY, MOTIF, NEUTRAL
from priorbench.data.instances import InstanceTable
from priorbench.encoding import encode
from priorbench.metrics import METRICS
from priorbench.metrics.published.every_base import centred, kept_runs, kmer_divergence
from priorbench.metrics.published.instance_windows import window_scores
from priorbench.metrics.published.signed_attributions import information
from priorbench.metrics.tools.rankings import PooledRanking, average_precision, roc_area
from priorbench.study.declared import DeclaredClaims

HERE = Path(__file__).parent
KOO = json.loads((HERE / "koo_scoring.json").read_text())
KMERS = json.loads((HERE / "kmer_consistency.json").read_text())
FOLDER = "PRIORBENCH_TALGATA"
PROTOCOLS = {2021: "exp2021", 2023: "gradient_correction2023"}


def score(name: str, arrays: TrialArrays) -> float:
    return float(METRICS[name].function(arrays))


def trial(attribution, **more) -> TrialArrays:
    nothing = np.empty(0, dtype=np.float32)
    truth = more.pop("truth", None)
    return TrialArrays({}, nothing, np.asarray(attribution), truth, None, {}, **more)


@pytest.fixture(scope="module")
def koo():
    """Return codes, true matrices and four-base attributions of ten sequences of Task 3."""
    counts = {name: np.array(c, dtype=float) for name, c in KOO["counts"].items()}
    motifs = {name: c / c.sum(axis=0) for name, c in counts.items()}
    names = tuple(motifs)
    rows = [
        (row, start, start + motifs[name].shape[1], names.index(name), 1 if strand == "+" else -1)
        for row, planted in enumerate(KOO["planted"])
        for name, strand, start in planted
    ]
    matrices = InstanceTable(np.array(rows), names).true_matrices(motifs, 10, 200)
    codes = np.stack([encode(text.encode()) for text in KOO["sequences"]])
    return SimpleNamespace(
        codes=codes, matrices=matrices, every_base=np.array(KOO["attributions"]).transpose(0, 2, 1)
    )


def observed(every_base, codes):
    return np.take_along_axis(every_base, codes[:, None].astype(int), axis=1)[:, 0]


@pytest.mark.parametrize(
    ("year", "form", "prefix"),
    [
        (2021, "signed", ""),
        (2021, "mutagenesis", "mutagenesis_"),
        (2023, "signed", ""),
        (2023, "centred", "corrected_"),
    ],
)
def test_signed_attributions_of_task_3_score_as_published(koo, year, form, prefix):
    wanted = KOO[PROTOCOLS[year]]
    tracks = {
        "signed": observed(koo.every_base, koo.codes),
        "centred": observed(centred(koo.every_base), koo.codes),
        "mutagenesis": np.sqrt((koo.every_base**2).sum(axis=1)),
    }
    for area, key in (("auroc", "auroc"), ("auprc", "aupr_trapezoid")):
        values = [
            score(f"signed-{area}-{year}", trial(tracks[form][[n]], matrices=koo.matrices[[n]]))
            for n in range(10)
        ]
        assert values == pytest.approx(wanted[prefix + key], abs=1e-9)
        together = score(f"signed-{area}-{year}", trial(tracks[form], matrices=koo.matrices))
        assert together == pytest.approx(np.mean(wanted[prefix + key]), abs=1e-9)


def test_the_cosine_with_the_matrix_is_the_published_one(koo):
    wanted = KOO["gradient_correction2023"]
    arrays = trial(koo.codes, matrices=koo.matrices, hypothetical=koo.every_base)
    assert score("matrix-cosine", arrays) == pytest.approx(wanted["cosine_mean"], abs=1e-7)
    assert score("matrix-cosine-centred", arrays) == pytest.approx(
        wanted["cosine_corrected_mean"], abs=1e-7
    )


@pytest.mark.parametrize("case", KMERS, ids=lambda case: f"{case['k']}-{case['quantile']}")
def test_kmer_consistency_is_the_published_one(case):
    codes = np.stack([encode(text.encode()) for text in case["sequences"]])
    every_base = np.array(case["attributions"]).transpose(0, 2, 1)
    value = kmer_divergence(every_base, codes, k=case["k"], quantile=case["quantile"])
    assert value == pytest.approx(case["kld"], abs=1e-9)
    runs = kept_runs(every_base, codes < 4, case["quantile"])
    sizes = (runs[:, 2] - runs[:, 1])[runs[:, 2] - runs[:, 1] >= case["k"]]
    assert (len(sizes), sizes.sum()) == (case["n_regions"], case["n_nucleotides"])


def test_kmer_consistency_takes_six_bases_and_the_upper_tenth():
    case = KMERS[-1]
    codes = np.stack([encode(text.encode()) for text in case["sequences"]])
    every_base = np.array(case["attributions"]).transpose(0, 2, 1)
    assert not np.abs(every_base).sum(axis=(1, 2)).all()  # a sequence without attribution
    value = score("kmer-consistency", trial(codes, codes=codes, hypothetical=every_base))
    assert value == pytest.approx(2.5594, abs=1e-4)
    assert score("kmer-consistency", trial(codes, codes=codes, hypothetical=-3 * every_base)) == (
        pytest.approx(value)
    )


def test_padding_is_neither_ranked_nor_a_window_without_a_motif():
    """N around a sequence changes neither which of its bases are kept nor its 6-mers."""
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 4, (20, 60)).astype(np.uint8)
    every_base = generator.standard_normal((20, 4, 60))
    wide = np.pad(codes, ((0, 0), (15, 15)), constant_values=4)
    around = np.pad(every_base, ((0, 0), (0, 0), (15, 15)))
    bare = kept_runs(every_base, codes < 4, 0.9)
    padded = kept_runs(around, wide < 4, 0.9)
    assert (padded[:, :2] - [0, 15]).tolist() == bare[:, :2].tolist()
    empty = np.full((2, 60), 4, dtype=np.uint8)
    assert kept_runs(every_base[:2], empty < 4, 0.9).shape == (0, 3)
    table = np.array([[row, 20, 26, 0, 1] for row in range(20)])
    truth = np.zeros((20, 60), dtype=np.uint8)
    inside = trial(every_base[:, 0], truth=truth, codes=codes, instances=table)
    beyond = trial(
        around[:, 0],
        truth=np.pad(truth, ((0, 0), (15, 15))),
        codes=wide,
        instances=table + np.array([0, 15, 15, 0, 0]),
    )
    for name in ("instance-auroc", "instance-auprc"):
        assert score(name, beyond) == score(name, inside)


def test_attributions_that_are_no_numbers_have_no_cosine():
    generator = np.random.default_rng(2)
    codes = generator.integers(0, 4, (3, 30)).astype(np.uint8)
    matrices = generator.dirichlet(np.ones(4), (3, 30)).transpose(0, 2, 1)
    every_base = generator.standard_normal((3, 4, 30))
    every_base[1, 2, 5] = np.nan
    arrays = trial(codes, codes=codes, matrices=matrices, hypothetical=every_base)
    assert np.isnan(score("matrix-cosine", arrays))
    assert np.isnan(score("matrix-cosine-centred", arrays))


def test_runs_that_share_a_position_are_one_and_those_that_touch_are_two():
    size = np.zeros((2, 4, 14))
    size[0, 0, [1, 3, 6, 13]] = 1  # 1-3 and 3-5 share position 3, 6 begins where 3-6 ends
    size[1, 2, [0, 4]] = 1
    assert kept_runs(size, np.ones((2, 14), bool), 0.5).tolist() == [
        [0, 1, 6],
        [0, 6, 9],
        [0, 13, 14],
        [1, 0, 3],
        [1, 4, 7],
    ]


def test_kmers_with_an_unknown_base_do_not_count():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, (20, 60)).astype(np.uint8)
    every_base = generator.standard_normal((20, 4, 60))
    every_base[:, :, 20:30] *= 20
    whole = kmer_divergence(every_base, codes, k=3, quantile=0.8)
    codes[:, 24] = 4
    fewer = kmer_divergence(every_base, codes, k=3, quantile=0.8)
    assert 0 < fewer != whole
    assert np.isnan(kmer_divergence(every_base, np.full_like(codes, 4), k=3, quantile=0.8))


@pytest.mark.parametrize("year", PROTOCOLS)
@pytest.mark.parametrize("ties", [False, True])
def test_signed_and_pooled_scores_agree_with_scikit_learn(year, ties):
    generator = np.random.default_rng(year)
    matrices = np.full((6, 4, 40), 0.25, dtype=np.float32)
    matrices[:5, :, 10:20] = generator.dirichlet(np.full(4, 1.5), (5, 10)).transpose(0, 2, 1)
    attribution = generator.standard_normal((6, 40))
    attribution = np.round(attribution) if ties else attribution
    bits = information(matrices)
    relevant = bits > (0.01 if year == 2021 else 0.1)
    counted = np.ones_like(relevant) if year == 2021 else relevant | (bits < 1e-8)
    assert (year == 2021) == counted.all()

    def areas(label, value):
        precision, recall, _ = precision_recall_curve(label, value)
        return roc_auc_score(label, value), auc(recall, precision)

    known = range(5)  # the sixth has no motif
    rows = [areas(relevant[n][counted[n]], attribution[n][counted[n]]) for n in known]
    arrays = trial(attribution, matrices=matrices)
    mean = (score(f"signed-auroc-{year}", arrays), score(f"signed-auprc-{year}", arrays))
    assert mean == pytest.approx(np.mean(rows, axis=0))
    pooled = (score(f"pooled-auroc-{year}", arrays), score(f"pooled-auprc-{year}", arrays))
    inside = counted[:5]
    assert pooled == pytest.approx(areas(relevant[:5][inside], attribution[:5][inside]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 5, 0])
def test_one_list_of_scores_has_the_areas_of_one_row(seed, levels):
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((1, 80))
    values = np.round(levels * values) if levels else values
    relevant = generator.random((1, 80)) < 0.2
    ranking = PooledRanking(values[relevant], values[~relevant])
    area = roc_area(values, relevant, np.ones_like(relevant))
    assert ranking.roc_area() == pytest.approx(area[0])
    for trapezoid in (False, True):
        wanted = average_precision(values, relevant, trapezoid=trapezoid)[0]
        assert ranking.average_precision(trapezoid=trapezoid) == pytest.approx(wanted)


def test_a_list_without_one_class_has_no_areas():
    some, none = np.ones(3), np.empty(0)
    assert np.isnan(PooledRanking(some, none).roc_area())
    assert np.isnan(PooledRanking(none, some).roc_area())
    assert np.isnan(PooledRanking(none, some).average_precision())
    assert PooledRanking(some, none).average_precision() == 1


def test_a_negative_attribution_ranks_last():
    matrices = np.full((1, 4, 4), 0.25, dtype=np.float32)
    matrices[0, :, 0] = (0.97, 0.01, 0.01, 0.01)
    for year in PROTOCOLS:
        worst = trial([[-9.0, 0.0, 0.1, 0.2]], matrices=matrices)
        assert score(f"signed-auroc-{year}", worst) == 0
        best = trial([[9.0, 0.0, 0.1, 0.2]], matrices=matrices)
        assert score(f"signed-auroc-{year}", best) == score(f"signed-auprc-{year}", best) == 1


def brute_force(attribution, truth, table, number):
    """Return labels and scores of the windows of one motif, one by one."""
    mine = [tuple(row) for row in table.tolist() if row[3] == number]
    widths = [end - start for _, start, end, *_ in mine]
    width = max(sorted(set(widths)), key=widths.count)
    length = attribution.shape[1]
    labels, values = [], []
    for row, start, end, *_ in mine:
        if end - start == width and start >= 0 and end <= length:
            labels.append(1)
            values.append(attribution[row, start:end].sum())
    for row in range(len(attribution)):
        for start in range(length - width + 1):
            touched = any(
                r == row and s < start + width and e > start for r, s, e, *_ in table.tolist()
            )
            if not touched and (truth[row, start : start + width] == BACKGROUND).all():
                labels.append(0)
                values.append(attribution[row, start : start + width].sum())
    return labels, values


def test_instances_against_windows_without_a_motif_agree_with_brute_force():
    generator = np.random.default_rng(4)
    attribution = generator.integers(-3, 4, (6, 40)).astype(float)  # many sums are tied
    table = np.array(
        [
            [0, 3, 8, 0, 1],
            [0, 20, 29, 1, -1],
            [1, 35, 40, 0, 1],
            [2, -2, 3, 0, 1],
            [2, 10, 14, 0, -1],
            [3, 36, 45, 1, 1],
            [4, 5, 14, 1, 1],
            [4, 20, 25, 0, 1],
        ]
    )
    truth = np.full((6, 40), BACKGROUND, dtype=np.uint8)
    for row, start, end, *_ in table.tolist():
        truth[row, max(start, 0) : end] = MOTIF
    truth[4, 8] = NEUTRAL
    truth[5, 12:16] = DECOY
    for row, start, end, number, _ in table.tolist():
        attribution[row, max(start, 0) : end] += 1 + number
    arrays = trial(attribution, truth=truth, instances=table)
    lists = [brute_force(attribution, truth, table, number) for number in (0, 1)]
    assert [sum(labels) for labels, _ in lists] == [3, 2]
    for name, function in (
        ("instance-auroc", roc_auc_score),
        ("instance-auprc", average_precision_score),
    ):
        wanted = np.mean([function(*windows) for windows in lists])
        assert score(name, arrays) == pytest.approx(wanted, abs=1e-12)


def test_without_what_they_need_published_scores_are_not_defined():
    nothing = trial(np.ones((2, 30)), truth=np.zeros((2, 30), dtype=np.uint8))
    of_trials = [m for m in METRICS.values() if m.published and m.axis == "localisation"]
    names = {m.name for m in of_trials if m.scope == "trial"}
    assert {"signed-auroc-2021", "instance-auroc", "matrix-cosine", "kmer-consistency"} <= names
    for name in names:
        assert np.isnan(score(name, nothing)), name
    none_there = np.empty((0, 5), dtype=np.int64)
    assert np.isnan(
        score("instance-auroc", trial(np.ones((2, 30)), truth=nothing.truth, instances=none_there))
    )


def test_a_motif_wider_than_the_window_has_no_windows():
    inside, outside = window_scores(
        np.ones((1, 5)), np.ones((1, 5), bool), np.array([[0, -1, 8, 0, 1]])
    )
    assert len(inside) == len(outside) == 0


def test_published_forms_are_in_no_family_unless_one_is_declared():
    published = [m for m in METRICS.values() if m.published]
    assert {m.name for m in published} >= {"filter-matches", "seed-jaccard-published"}
    assert not any(m.main for m in published)
    claims = DeclaredClaims({"binary": {"localisation": "motif-auprc"}}, {}, {}, "input-x-gradient")

    def family(metric: Metric, claims: DeclaredClaims = claims) -> str:
        return claims.family("binary", "input-x-gradient", metric)

    assert {family(m) for m in published} == {""}
    assert family(METRICS["motif-auprc"]) == "primary"
    assert family(METRICS["rank-accuracy"]) == "exploratory"
    declared = DeclaredClaims(
        {"binary": {"localisation": "signed-auroc-2021"}}, {}, {}, "input-x-gradient"
    )
    assert family(METRICS["signed-auroc-2021"], declared) == "primary"


@pytest.fixture(scope="module")
def talgata():
    """Return the published scores of TAL-GATA and what they were held against."""
    if FOLDER not in os.environ:
        pytest.skip(f"{FOLDER} names no folder with the published scores of TAL-GATA")
    folder = Path(os.environ[FOLDER])
    expected = tomllib.loads((folder / "expected.toml").read_text())
    with np.load(folder / "published_scores.npz") as stored:
        scores = dict(stored)
    ids = {str(name): row for row, name in enumerate(scores.pop("ids"))}
    motifs = list(expected["motif"])
    rows = []
    with gzip.open(folder / expected["data"]["sequences"], "rt") as lines:
        next(lines)
        for name, _, embeddings, *_ in (line.rstrip("\n").split("\t") for line in lines):
            for embedding in filter(None, embeddings.split(",") if name in ids else ()):
                place, rest = embedding.removeprefix("pos-").split("_", 1)
                motif, text = rest.rsplit("-", 1)
                end = int(place) + len(text)
                rows.append((ids[name], int(place), end, motifs.index(motif), 1))
    truth = np.full(scores["ism"].shape, BACKGROUND, dtype=np.uint8)
    for row, start, end, *_ in rows:
        truth[row, start:end] = MOTIF
    return expected["motif"], scores, np.array(rows), truth


def test_tal_gata_scores_as_published(talgata):
    expected, scores, table, truth = talgata
    for number, numbers in enumerate(expected.values()):
        mine = table[table[:, 3] == number]
        for name, attribution in scores.items():
            inside, outside = window_scores(
                attribution.astype(np.float64), truth == BACKGROUND, mine
            )
            assert (len(inside), len(outside)) == (numbers["positives"], numbers["negatives"])
            ranking, wanted = PooledRanking(inside, outside), numbers[name]
            assert ranking.roc_area() == pytest.approx(wanted["auroc"], abs=1e-6)
            assert ranking.average_precision() == pytest.approx(wanted["auprc"], abs=1e-6)
    for name, attribution in scores.items():
        arrays = trial(attribution, truth=truth, instances=table)
        for area in ("auroc", "auprc"):
            wanted = np.mean([numbers[name][area] for numbers in expected.values()])
            assert score(f"instance-{area}", arrays) == pytest.approx(wanted, abs=1e-6)
