"""Agreement that is corrected for chance: closed forms against loops over all pairs."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from priorbench.components import registry
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.metrics import METRICS
from priorbench.metrics.seed_agreement import _shifts
from priorbench.metrics.stability import CORRECTED
from priorbench.study.declared import default_primary

PLAIN = [name for name, m in METRICS.items() if m.scope == "seeds" and not name.endswith(CORRECTED)]
PRODUCTS = [name for name in PLAIN if name != "seed-jaccard"]


def score(name, tracks):
    return METRICS[name].function(tracks)


def noise(trials, sequences, length=60, seed=0):
    generator = np.random.default_rng(seed)
    return list(generator.normal(size=(trials, sequences, length)).astype(np.float32))


def _cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def _overlap(a, b):
    count = max(1, round(0.05 * len(a)))
    top = [set(np.argsort(-abs(track))[:count]) for track in (a, b)]
    return len(top[0] & top[1]) / count


def _jaccard(a, b):
    a, b = a / abs(a).sum(), b / abs(b).sum()
    sizes = np.abs([a, b])
    return (np.sign(a * b) * sizes.min(axis=0)).sum() / sizes.max(axis=0).sum()


BY_HAND = {
    "seed-cosine": _cosine,
    "seed-spearman": lambda a, b: np.corrcoef(a, b)[0, 1],
    "seed-top-overlap": _overlap,
    "seed-jaccard": _jaccard,
    "seed-jaccard-published": lambda a, b: np.sign(a * b).mean(),
}


def test_every_metric_of_seeds_has_a_corrected_one():
    every = {name for name, metric in METRICS.items() if metric.scope == "seeds"}
    assert every == {*PLAIN} | {f"{name}{CORRECTED}" for name in PLAIN}
    assert set(BY_HAND) == {*PLAIN}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("sequences", [2, 3, 7, 9, 70])
def test_corrected_agreement_is_that_of_a_loop_over_pairs(name, sequences):
    shared = noise(1, sequences, 40, seed=1)[0]
    tracks = [shared + track.astype(np.float64) for track in noise(3, sequences, 40)]
    pairs = [(m, n) for m in range(sequences) for n in range(sequences) if m != n]
    if name == "seed-jaccard" and sequences > 9:
        pairs = [(m, (m + s) % sequences) for m in range(sequences) for s in _shifts(sequences)]
    similar = BY_HAND[name]
    if name == "seed-spearman":  # ranked once, and not with every other sequence
        assert score(name, tracks)[0, 1] == pytest.approx(
            np.mean([spearmanr(abs(a), abs(b)).statistic for a, b in zip(*tracks[:2], strict=True)])
        )
        tracks, given = [rankdata(abs(track), axis=1) for track in tracks], tracks
    else:
        given = tracks
    expected = np.zeros((3, 3))
    for i, first in enumerate(tracks):
        for j, second in enumerate(tracks):
            same = np.mean([similar(a, b) for a, b in zip(first, second, strict=True)])
            expected[i, j] = same - np.mean([similar(first[m], second[n]) for m, n in pairs])
    assert score(f"{name}{CORRECTED}", given) == pytest.approx(expected, abs=1e-6)


def test_shifts_are_evenly_spread_and_opposite_to_each_other():
    assert [_shifts(count) for count in (2, 3, 4)] == [[1], [1, 2], [1, 2, 3]]
    for count in range(2, 300):
        shifts = _shifts(count)
        assert len(shifts) == min(8, count - 1)
        assert {count - shift for shift in shifts} == {*shifts}
        assert {*shifts} <= {*range(1, count)}
    assert np.ptp(np.diff([0, *_shifts(500), 500])) <= 1


@pytest.mark.parametrize("name", PLAIN)
def test_independent_tracks_that_agree_reach_the_top_and_others_nothing(name):
    first, second = noise(2, 200)
    matrix = score(f"{name}{CORRECTED}", [first, first, second])
    by_chance = 0.05 if name == "seed-top-overlap" else 0.0
    assert matrix[0, 1] == pytest.approx(1 - by_chance, abs=0.01)
    assert matrix[0, 0] == pytest.approx(matrix[0, 1])
    assert matrix[0, 2] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("name", PLAIN)
def test_attributions_by_position_alone_agree_by_chance_alone(name):
    track = noise(1, 1)[0]
    biased = [np.repeat(track, 50, axis=0) for _ in "ab"]
    assert score(name, biased)[0, 1] == pytest.approx(1)
    assert score(f"{name}{CORRECTED}", biased) == pytest.approx(np.zeros((2, 2)), abs=1e-6)


def test_attributions_of_one_sign_agree_by_chance_alone():
    first, second = (np.abs(track) for track in noise(2, 100))
    assert score("seed-cosine", [first, second])[0, 1] > 0.6
    assert abs(score("seed-cosine-corrected", [first, second])[0, 1]) < 0.02


@pytest.mark.parametrize("name", PLAIN)
def test_what_has_no_other_sequence_has_no_correction(name):
    corrected = f"{name}{CORRECTED}"
    one, empty = noise(2, 1), noise(2, 0)
    assert np.isnan(score(corrected, one)).all()
    assert (score(corrected, [0 * track for track in one]) == 0).all()
    assert (score(corrected, empty) == 0).all()
    assert score(corrected, []).shape == (0, 0)


@pytest.mark.parametrize("name", PLAIN)
def test_an_attribution_of_zeros_agrees_with_nothing(name):
    track = noise(1, 30)[0]
    matrix = score(f"{name}{CORRECTED}", [track, 0 * track])
    assert matrix[0, 1] == pytest.approx(0, abs=1e-9)
    assert matrix[1, 1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", PRODUCTS)
def test_corrected_agreement_does_not_depend_on_the_order_of_sequences(name):
    tracks = noise(3, 100)
    order = np.random.default_rng(1).permutation(100)
    plain = score(f"{name}{CORRECTED}", tracks)
    mixed = score(f"{name}{CORRECTED}", [track[order] for track in tracks])
    assert mixed == pytest.approx(plain, abs=1e-9)


def test_references_of_corrected_agreement(simulated):
    references = reference_scores(simulated, registry.build("task", "binary"))
    random, oracle = references["random"], references["oracle"]
    for name in PLAIN:
        corrected = f"{name}{CORRECTED}"
        assert random[corrected] == pytest.approx(0, abs=0.02), name
        assert oracle[name] == 1
        assert 0.5 < oracle[corrected] < 1.01, name
    twice = score("seed-cosine-corrected", [simulated.oracle] * 2)[0, 1]
    assert oracle["seed-cosine-corrected"] == pytest.approx(twice)


def test_the_corrected_cosine_is_primary():
    assert default_primary(registry.build("task", "binary"))["stability"] == "seed-cosine-corrected"
    assert METRICS["seed-cosine"].main
