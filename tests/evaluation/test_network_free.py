"""Baselines without a network, against sums worked out another way."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from priorbench.components import registry
from priorbench.data.codes import BACKGROUND, DECOY, MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.encoding import reverse_complement
from priorbench.evaluation import network_free
from priorbench.evaluation.network_free import KMERS, MOTIF_SCAN, search_motifs
from priorbench.evaluation.reference_scores import reference_scores, stored_references
from priorbench.evaluation.scoring import CENTRE, RANDOM
from priorbench.metrics import METRICS

TASK = registry.build("task", "binary")


@pytest.fixture(scope="module")
def searches(simulated):
    return search_motifs(simulated, TASK)


def draw(count, length, seed=0, most=4):
    return np.random.default_rng(seed).integers(0, most, (count, length)).astype(np.uint8)


def matrix(width, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(4), width).T


def test_occupancy_is_the_log_of_one_and_the_mean_odds():
    codes, motif = draw(3, 9, most=5), matrix(4)
    table = network_free._log_odds(motif)
    expected = []
    for sequence in codes:
        odds = []
        for strand in (sequence, np.where(sequence < 4, 3 - sequence, 4)[::-1]):
            for start in range(6):
                window = strand[start : start + 4]
                odds.append(
                    np.prod([motif[b, i] / 0.25 if b < 4 else 1 for i, b in enumerate(window)])
                )
        expected.append(np.log1p(np.mean(odds)))
    occupancy = network_free._occupancy(codes, [table], True)
    assert occupancy[:, 0] == pytest.approx(expected, rel=2e-3)  # pseudocounts


def test_occupancy_tracks_are_the_slopes_of_the_occupancy():
    # d s / d (log-odds of the base at i) = probability of the places that cover i
    codes, motif = draw(2, 9), matrix(4)
    table = network_free._log_odds(motif)
    (track,) = network_free._occupancy_tracks(codes, [table], both_strands=False)
    base = network_free._occupancy(codes, [table], False)[:, 0]
    step, total = 1e-5, np.zeros(2)
    for column, letter in product(range(4), range(4)):
        moved = table.copy()
        moved[column, letter] += step
        slope = (network_free._occupancy(codes, [moved], False)[:, 0] - base) / step
        total += slope * table[column, letter]
    assert track.sum(axis=1) == pytest.approx(total, abs=1e-3)


def test_pairs_of_words_are_numbered_alike_on_both_strands():
    codes = draw(5, 20)
    for gap in range(network_free._GAPS):
        here = network_free._pairs(codes, gap, True)
        there = network_free._pairs(reverse_complement(codes), gap, True)
        assert (here == there[:, ::-1]).all()
        single = network_free._pairs(codes, gap, False)
        row = codes[0].astype(int)
        words = [16 * row[i] + 4 * row[i + 1] + row[i + 2] for i in range(18)]
        assert single[0].tolist() == [64 * words[i] + words[i + 3 + gap] for i in range(15 - gap)]


def test_unknown_bases_have_no_pairs():
    codes = draw(1, 12)
    codes[0, 5] = 4
    counts = network_free._kmer_counts(codes, False)
    expected = sum(
        not {5} & {*range(i, i + 3), *range(i + 3 + gap, i + 6 + gap)}
        for gap in range(7)
        for i in range(12 - 5 - gap)
    )
    assert counts.sum() == expected


def test_attributions_of_kmers_add_up_to_the_logit(simulated, searches):
    kmers = searches[KMERS]
    place = np.searchsorted(simulated.rows(TEST), simulated.attributed)
    offset = kmers.logit[place] - kmers.attribution.sum(axis=1)
    assert np.ptp(offset) < 1e-3
    assert np.ptp(kmers.logit) > 1


def test_they_predict_and_locate_what_was_planted(simulated, searches):
    label = simulated.columns["label"].take(simulated.rows(TEST))
    scores = reference_scores(simulated, TASK)
    for name in (MOTIF_SCAN, KMERS):
        assert roc_auc_score(label, searches[name].logit) == pytest.approx(scores[name]["auroc"])
        assert scores[name]["motif-auprc"] > 2 * scores[RANDOM]["motif-auprc"]
    assert scores[MOTIF_SCAN]["auroc"] > 0.9
    assert scores[KMERS]["auroc"] > 0.6


def test_the_centre_of_the_window_localises_where_motifs_lie_there(simulated):
    rank = -np.abs(np.arange(simulated.length) - (simulated.length - 1) / 2)
    wanted = []
    for codes in np.asarray(simulated.truth):
        judged = np.isin(codes, (BACKGROUND, DECOY, MOTIF))
        if (codes == MOTIF).any():
            wanted.append(average_precision_score(codes[judged] == MOTIF, rank[judged]))
    centre = reference_scores(simulated, TASK)[CENTRE]
    assert centre["motif-auprc"] == pytest.approx(np.mean(wanted))
    assert {METRICS[name].axis for name in centre} == {"localisation"}
    middle = np.full_like(simulated.truth, BACKGROUND)
    middle[:, 35:45] = MOTIF
    centred = replace(simulated, truth=middle)
    assert reference_scores(centred, TASK)[CENTRE]["motif-auprc"] == 1
    assert CENTRE not in reference_scores(replace(simulated, truth=None, oracle=None), TASK)


def write(folder, codes, label, *, motif=None):
    split = np.resize(np.array([TRAIN, TRAIN, VALID, TEST], dtype=np.uint8), len(codes))
    with DatasetWriter(folder) as writer:
        writer.append(codes, label.astype(np.float32), split)
        if motif is not None:
            writer.add_motifs({"one": motif})
        writer.attribute(np.flatnonzero(split == TEST))
        writer.finish(task="any", name="any")
    return load_dataset(folder)


def test_several_outputs_are_attributed_as_the_task_says(tmp_path):
    codes = draw(400, 30)
    codes[::2, 4:12], codes[::3, 15:23] = 0, 2
    label = np.stack([np.arange(400) % 2 == 0, np.arange(400) % 3 == 0, np.ones(400)], axis=1)
    data = write(tmp_path / "d", codes, label)
    whole = search_motifs(data, registry.build("task", "multitask"))[KMERS]
    parts = [
        search_motifs(data, registry.build("task", f"multitask:output={i}"))[KMERS]
        for i in (1, 2, 3)
    ]
    assert whole.logit.shape == (100, 3)
    total = sum(part.attribution for part in parts)
    np.testing.assert_allclose(whole.attribution, total, atol=1e-4)
    assert (parts[2].attribution == 0).all()  # its label never varies


def test_without_known_motifs_nothing_is_scanned(tmp_path):
    data = write(tmp_path / "d", draw(80, 20), np.arange(80) // 4 % 2)
    assert set(search_motifs(data, TASK)) == {KMERS}
    wide = write(tmp_path / "e", draw(80, 20), np.arange(80) // 4 % 2, motif=matrix(21))
    assert set(search_motifs(wide, TASK)) == {KMERS}  # the motif does not fit
    short = write(tmp_path / "f", draw(80, 12), np.arange(80) // 4 % 2, motif=matrix(5))
    assert set(search_motifs(short, TASK)) == {MOTIF_SCAN}


def test_the_other_strand_of_dna_counts_and_of_rna_does_not():
    codes, motif = draw(4, 15), matrix(6)
    table = network_free._log_odds(motif)
    forward, backward = (
        network_free._occupancy(c, [table], True) for c in (codes, reverse_complement(codes))
    )
    np.testing.assert_allclose(forward, backward)
    single = network_free._occupancy(codes, [table], False)
    turned = network_free._occupancy(reverse_complement(codes), [table], False)
    assert np.abs(single - turned).max() > 0.1


def test_references_are_kept_beside_the_dataset(simulated, tmp_path, monkeypatch):
    data = write(tmp_path / "d", draw(80, 20), np.arange(80) // 4 % 2, motif=matrix(5))
    said = []
    first = stored_references(tmp_path / "d", "binary", said.append)
    assert first[KMERS]["auroc"] == reference_scores(data, TASK)[KMERS]["auroc"]
    assert np.isnan(first[KMERS]["motif-auprc"])
    monkeypatch.setattr("priorbench.evaluation.reference_scores.reference_scores", None)
    again = stored_references(tmp_path / "d", "binary", said.append)
    np.testing.assert_equal(again, first)
    assert said == []


@pytest.mark.parametrize("damage", ["{", '{"scores": {"random": {"auroc": 1.0}}}', None])
def test_references_that_are_not_as_they_were_written_are_computed_again(
    simulated, tmp_path, damage
):
    write(tmp_path / "d", draw(80, 20), np.arange(80) // 4 % 2, motif=matrix(5))
    first = stored_references(tmp_path / "d", "binary", print)
    (path,) = (tmp_path / "d").glob("references-*.json")
    whole, said = path.read_bytes(), []
    path.write_text(path.read_text().replace("0.5", "0.9") if damage is None else damage)
    again = stored_references(tmp_path / "d", "binary", said.append)
    np.testing.assert_equal(again, first)
    assert path.read_bytes() == whole
    (line,) = said
    assert line.startswith(f"{path}: ")
    assert line.endswith("; computed again")


def test_results_do_not_depend_on_chunks(simulated, searches, monkeypatch):
    monkeypatch.setattr(network_free, "_CHUNK_BASES", 7 * simulated.length)
    again = search_motifs(simulated, TASK)
    for name, whole in searches.items():
        np.testing.assert_array_equal(again[name].logit, whole.logit)
