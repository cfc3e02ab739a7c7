"""Which known motifs were discovered, and how the report shows it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fixtures.run_directories import make_run, seal_again

import priorbench.reports.motifs as section
from priorbench.evaluation.modisco import pack_motifs
from priorbench.evaluation.motif_recovery import best_matches, recovered
from priorbench.metrics.tools.motif_set import NOTHING_FOUND, FoundMotif, MotifSet
from priorbench.reports._shared.settings import settings_of
from priorbench.reports.motifs import Motifs, chosen_seed, discovered, information
from priorbench.results.finished_run import load_run


def matrix(word):
    """Nearly certain of a word."""
    probabilities = np.full((4, len(word)), 0.01)
    probabilities[["ACGT".index(base) for base in word], np.arange(len(word))] = 0.97
    return probabilities


KNOWN = {"one": matrix("ACAGGAAGTG"), "two": matrix("CCATATTAGG")}
ONE, TWO = (FoundMotif(known, 40, 1) for known in KNOWN.values())
OTHER = FoundMotif(matrix("GTGTGTGTGT"), 9, -1)


def both(*motifs):
    return MotifSet(motifs, both_strands=True)


class TestRecovered:
    def test_counts_seeds_and_not_motifs(self):
        recoveries = recovered({0: both(ONE, ONE), 2: both(ONE, OTHER), 1: both(OTHER)}, KNOWN)
        assert [recovery.motif for recovery in recoveries] == ["one", "two"]
        assert recoveries[0].seeds == (0, 2)
        assert recoveries[0].smallest_q < 1e-4
        assert recoveries[1].seeds == ()
        assert recoveries[1].smallest_q > 0.05

    def test_the_reverse_complement_is_found_on_dna_only(self):
        turned = FoundMotif(ONE.matrix[::-1, ::-1], 40, 1)
        assert recovered({0: both(turned)}, KNOWN)[0].seeds == (0,)
        assert recovered({0: MotifSet((turned,), both_strands=False)}, KNOWN)[0].seeds == ()

    def test_nothing_found_or_known(self):
        assert [recovery.smallest_q for recovery in recovered({0: NOTHING_FOUND}, KNOWN)] == [1, 1]
        assert recovered({}, KNOWN)[0].seeds == ()
        assert recovered({0: both(ONE)}, {}) == []

    def test_best_matches(self):
        first, second = best_matches(both(TWO, OTHER), KNOWN)
        assert (first.motif, first.matches, second.matches) == ("two", True, False)
        assert [match.motif for match in best_matches(both(ONE), {})] == [""]


def test_the_seed_that_most_priors_have():
    by_prior = {"none": {0: NOTHING_FOUND, 1: NOTHING_FOUND}, "tv": {1: NOTHING_FOUND}}
    assert chosen_seed(by_prior) == 1
    assert chosen_seed({"none": {2: NOTHING_FOUND, 1: NOTHING_FOUND}}) == 1
    assert chosen_seed({"none": {}}) is None


def test_information_of_certain_and_of_even_columns():
    heights = information(np.array([[1, 0.25], [0, 0.25], [0, 0.25], [0, 0.25]]))
    assert heights == pytest.approx(np.array([[2, 0], [0, 0], [0, 0], [0, 0]]))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """none finds nothing in seed 0; tv finds the first motif in both seeds."""
    root = make_run(tmp_path / "r", ("none", "tv"), (0, 1))
    for k, seed in ((0, 0), (0, 1), (1, 0), (1, 1)):
        path = root / "trials" / f"{k}x{seed}" / "arrays.npz"
        motifs = both(ONE, OTHER) if k or seed else NOTHING_FOUND
        with np.load(path) as stored:
            arrays = {**stored, **pack_motifs("input-x-gradient", motifs)}
        np.savez(path, **arrays)
    study = root / "study.toml"
    study.write_text(study.read_text().replace("discovery = false", "discovery = true"))
    seal_again(root)
    loaded = load_run(root)
    dataset = loaded.datasets["binary/simulated"]
    monkeypatch.setattr(type(dataset), "motifs", property(lambda _: KNOWN))
    return loaded


class TestSection:
    def test_seeds_and_q_of_every_known_motif(self, run):
        html = str(Motifs().render(run))
        rows = re.findall(r'<tr><th scope="row">(\w+)(.*?)</tr>', html, flags=re.DOTALL)
        counts = {name: re.findall(r'data-sort="(\d)"', cells) for name, cells in rows}
        assert counts == {"none": ["1", "0"], "tv": ["2", "0"]}
        assert "Logos of seed 0" in html
        assert "none: nothing; tv: one, unknown" in html

    def test_reads_finished_trials_only(self, run):
        (setting,) = settings_of(run)
        by_prior = discovered(run, setting)
        assert {prior: sorted(sets) for prior, sets in by_prior.items()} == {
            "none": [0, 1],
            "tv": [0, 1],
        }

    def test_a_large_database_lists_what_was_found(self, run, monkeypatch):
        monkeypatch.setattr(section, "_LISTED", 1)
        html = str(Motifs().render(run))
        assert "1 further known motifs are not listed" in html
        assert '<th scope="col">one</th></tr>' in html

    def test_runs_that_did_not_look_have_none(self, tmp_path):
        assert Motifs().render(load_run(make_run(tmp_path / "q", ("none",), (0,)))) == ""
