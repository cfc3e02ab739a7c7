"""Discovered motifs: TF-MoDISco on attributions whose motif is known, and how they are compared."""

import numpy as np
import pytest

from priorbench import UserError
from priorbench.evaluation import modisco
from priorbench.evaluation.modisco import pack_motifs, unpack_motifs
from priorbench.evaluation.scoring import score_motif_sets
from priorbench.metrics import METRICS
from priorbench.metrics.tools.motif_matching import match_p, match_q
from priorbench.metrics.tools.motif_set import FoundMotif, MotifSet
from priorbench.study.resolve import require_modisco

pytestmark = pytest.mark.slow

LETTERS = "ACGT"


@pytest.fixture(scope="module")
def compiled():
    """TF-MoDISco whose compiled functions are kept on disk, as it keeps those of its own command.

    To compile them takes half a minute.
    """
    modiscolite = pytest.importorskip("modiscolite")
    from numba.core.dispatcher import Dispatcher

    for name in ("affinitymat", "aggregator", "gapped_kmer", "util"):
        for value in vars(getattr(modiscolite, name)).values():
            if isinstance(value, Dispatcher):
                value.enable_caching()


def motif(consensus, fidelity=0.9):
    rows = [[fidelity if b == c else (1 - fidelity) / 3 for b in LETTERS] for c in consensus]
    return np.array(rows).T


GATA, AP1, MYC = motif("AGATAAGC"), motif("TGAGTCACC"), motif("ACCACGTGGT")
KNOWN = {"gata": GATA, "ap1": AP1}


def motif_set(*matrices, both_strands=True):
    return MotifSet([FoundMotif(m, 50, 1) for m in matrices], both_strands)


def score(name, *args):
    return METRICS[name].function(*args)


def test_a_motif_matches_itself_and_its_other_strand_and_no_stranger():
    turned = GATA[::-1, ::-1]
    p = match_p([GATA, turned, MYC], [GATA, AP1], both_strands=True)
    assert p.shape == (3, 2)
    assert p[0, 0] == pytest.approx(p[1, 0], rel=1e-6)
    assert p[0, 0] < 1e-5
    assert p[2].min() > 0.01
    single = match_p([GATA, turned], [GATA, AP1], both_strands=False)
    assert single[0, 0] < 1e-5
    assert single[1, 0] > 1e-3


def test_part_of_a_motif_still_matches_it():
    (p,) = match_p([AP1[:, 1:-1]], [AP1], both_strands=True)
    assert p[0] < 1e-3


def test_q_is_adjusted_over_the_targets():
    p = match_p([GATA], [GATA, AP1, MYC], both_strands=True)[0]
    q = match_q([GATA], [GATA, AP1, MYC], both_strands=True)[0]
    order = np.argsort(p)
    expected = np.minimum.accumulate((p[order] * 3 / np.arange(1, 4))[::-1])[::-1]
    np.testing.assert_allclose(q[order], np.minimum(expected, 1))


def test_recall_precision_and_best_match_by_hand():
    both, half, none = motif_set(GATA, AP1), motif_set(GATA, MYC), motif_set()
    assert [score("motif-recall", s, KNOWN) for s in (both, half, none)] == [1, 0.5, 0]
    assert [score("motif-precision", s, KNOWN) for s in (both, half, none)] == [1, 0.5, 0]
    assert [score("motifs-found", s, KNOWN) for s in (both, half, none)] == [2, 2, 0]
    p = match_p([GATA], [GATA, AP1], both_strands=True)[0]
    expected = -np.log10(p).mean()
    assert score("motif-best-match", motif_set(GATA), KNOWN) == pytest.approx(expected)
    assert score("motif-best-match", none, KNOWN) == 0
    for name in ("motif-recall", "motif-precision", "motif-best-match"):
        assert np.isnan(score(name, both, {}))


def test_scores_do_not_depend_on_strand_or_order():
    forward = motif_set(GATA, MYC)
    turned = motif_set(MYC[::-1, ::-1], GATA[::-1, ::-1])
    for name in ("motif-recall", "motif-precision", "motif-best-match", "motifs-found"):
        assert score(name, forward, KNOWN) == pytest.approx(score(name, turned, KNOWN))


def test_true_motifs_beat_noisy_ones_beat_random_ones():
    generator = np.random.default_rng(1)
    noise = generator.dirichlet(np.full(4, 0.3), 8).T
    noisy = 0.5 * GATA + 0.5 * 0.25
    best = [score("motif-best-match", motif_set(m), {"gata": GATA}) for m in (GATA, noisy, noise)]
    assert best[0] > best[1] > best[2]


def test_agreement_and_reproducibility_by_hand():
    # trial 0 and 1 share GATA; trial 2 has nothing; trial 3 has both
    sets = [motif_set(GATA), motif_set(GATA, MYC), motif_set(), motif_set(GATA, MYC)]
    agreement = score("motif-agreement", sets)
    expected = [[1, 2 / 3, 0, 2 / 3], [2 / 3, 1, 0, 1], [0, 0, 0, 0], [2 / 3, 1, 0, 1]]
    np.testing.assert_allclose(agreement, expected)
    # GATA is in 3 of 4 seeds, which is below 80%
    assert score("motif-reproducibility", sets).tolist() == [0, 0, 0, 0]
    five = [*map(motif_set, [GATA] * 3), motif_set(GATA, MYC), motif_set()]  # 4 of 5
    assert score("motif-reproducibility", five).tolist() == [1, 1, 1, 0.5, 0]
    scores = score_motif_sets(sets)
    assert scores[0]["motif-agreement"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert scores[3]["motif-reproducibility"] == 0


def test_what_is_stored_is_read_back():
    whole = MotifSet([FoundMotif(GATA, 70, 1), FoundMotif(MYC, 30, -1)], True)
    packed = pack_motifs("gradient", whole) | pack_motifs("other", MotifSet([], True))
    back = unpack_motifs(packed, "gradient", both_strands=True)
    assert [(m.seqlets, m.sign) for m in back.motifs] == [(70, 1), (30, -1)]
    for unpacked, stored in zip(back.matrices, whole.matrices, strict=True):
        np.testing.assert_allclose(unpacked, stored, atol=1e-6)
    assert unpack_motifs(packed, "other", both_strands=True) == MotifSet([], True)
    assert unpack_motifs(packed, "third", both_strands=True) is None
    assert modisco.without_motifs({**packed, "attribution.gradient": GATA}).keys() == {
        "attribution.gradient"
    }


def discover(codes, track, *, both_strands):
    """Motifs in attributions whose hypothetical contributions have no mean over the bases."""
    observed = (codes[:, None, :] == np.arange(4)[:, None]) * track[:, None, :]
    every_base = (4 * observed - track[:, None, :]) / 3
    return modisco.discover(codes, every_base.astype(np.float32), both_strands=both_strands)


def planted(count, length, consensus):
    """Sequences of which some 70% have the word, with attributions above noise."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, (count, length)).astype(np.uint8)
    track = 0.05 * generator.standard_normal((count, length)).astype(np.float32)
    word = np.array([LETTERS.index(c) for c in consensus], dtype=np.uint8)
    for row in np.flatnonzero(generator.random(count) < 0.7):
        start = generator.integers(15, length - 15 - len(word))
        codes[row, start : start + len(word)] = word
        track[row, start : start + len(word)] += generator.uniform(0.3, 1, len(word))
    return codes, track


def test_a_planted_motif_is_discovered(compiled):
    codes, track = planted(200, 150, "TGAGTCACC")
    motifs = discover(codes, track, both_strands=True)
    assert score("motif-recall", motifs, {"ap1": AP1}) == 1
    assert score("motif-precision", motifs, {"ap1": AP1}) == 1
    assert motifs.motifs[0].seqlets >= 30
    assert motifs.motifs[0].sign == 1
    np.testing.assert_allclose(motifs.matrices[0].sum(axis=0), 1)


@pytest.mark.parametrize(("sign", "scale"), [(1, 1), (-1, 2.0**-40)])
def test_clean_attributions_show_motifs_too_whatever_scale_and_sign(sign, scale, compiled):
    codes, track = planted(200, 150, "TGAGTCACC")
    clean = sign * scale * np.where(track > 0.25, track, 0)
    motifs = discover(codes, clean.astype(np.float32), both_strands=True)
    assert motifs.motifs[0].sign == sign
    assert score("motif-recall", motifs, {"ap1": AP1}) == 1


def test_on_one_strand_a_word_and_its_reverse_complement_are_two_motifs(compiled):
    generator = np.random.default_rng(2)
    codes = generator.integers(0, 4, (200, 120)).astype(np.uint8)
    track = 0.05 * generator.standard_normal(codes.shape).astype(np.float32)
    words = [np.array([LETTERS.index(c) for c in w]) for w in ("TGTAAATA", "TATTTACA")]
    for row in range(200):
        start = generator.integers(20, 90)
        codes[row, start : start + 8] = words[row % 2]
        track[row, start : start + 8] += generator.uniform(0.3, 1, 8)
    both = discover(codes, track, both_strands=False)
    known = {"one": motif("TGTAAATA"), "other": motif("TATTTACA")}
    assert score("motif-recall", both, known) == 1


def test_attributions_without_a_sign_show_motifs_too(compiled):
    codes, track = planted(200, 150, "TGAGTCACC")
    assert score("motif-recall", discover(codes, np.abs(track), both_strands=True), {"a": AP1}) == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_attributions_and_short_windows_show_nothing(value, compiled):
    codes, track = planted(120, 60, "TGAGTCACC")
    assert discover(codes, np.full_like(track, value), both_strands=True).motifs == ()
    assert discover(codes[:, :40], track[:, :40], both_strands=True).motifs == ()


def test_noise_shows_no_known_motif(compiled):
    codes, track = planted(200, 150, "TGAGTCACC")
    noise = np.random.default_rng(1).standard_normal(track.shape).astype(np.float32)
    assert score("motif-recall", discover(codes, noise, both_strands=True), {"ap1": AP1}) == 0


def test_without_modisco_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'priorbench\[modisco\]'"):
        require_modisco()
