"""Which sequences the report shows, what is drawn of them, and how small it is."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fixtures.run_directories import make_run, pack, seal_again
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from priorbench.data.codes import MOTIF, NEUTRAL
from priorbench.metrics import METRICS
from priorbench.reports._shared.figures.svg import relative
from priorbench.reports._shared.sequences.choice import (
    AGREEMENT,
    LOCALISATION,
    PREDICTION,
    FinishedTrials,
    SequenceRanking,
    chosen_sequences,
    mean_cosine,
    motif_auprc,
    rank_sequences,
    unit_vectors,
)
from priorbench.reports._shared.sequences.examples import all_examples, typical_example
from priorbench.reports._shared.settings import settings_of
from priorbench.reports.attributions import Attributions
from priorbench.results.finished_run import load_run


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", str(html)))


def store(root, trial, attribution, logit=(0, 0, 0, 0, 0, 0)):
    arrays = pack(np.asarray(logit, dtype=np.float32), np.asarray(attribution, dtype=np.float32))
    np.savez(root / "trials" / trial / "arrays.npz", **arrays)
    seal_again(root)


def ranked_after(count, relevant):
    """(L,) attribution whose motif comes after so many positions of background."""
    track = np.where(relevant, 1.0, 0.5)
    track[np.flatnonzero(~relevant)[:count]] = 2.0
    return track


def ranking_of(**values):
    arrays = {prior: np.array(of_prior, dtype=float) for prior, of_prior in values.items()}
    return SequenceRanking(
        LOCALISATION, np.arange(10, 10 + len(next(iter(arrays.values())))), arrays
    )


class TestCases:
    def names(self, ranking):
        return {
            name: chosen.row
            for chosen in chosen_sequences(ranking, "none", (0, 1))
            for name in chosen.names
        }

    def test_by_hand(self):
        rows = self.names(ranking_of(none=[0.5, 0.2, 0.9, 0.3, 0.6], tv=[0.5, 0.1, 0.9, 0.8, 0.3]))
        # means .5, .15, .9, .55, .45: the median is that of the first
        assert rows == {
            "typical": 10,
            "the best": 12,
            "the worst": 11,
            "where tv gains most": 13,
            "where tv loses most": 14,
        }

    def test_the_median_of_an_even_number_is_the_lower(self):
        assert self.names(ranking_of(none=[4, 3, 2, 1]))["typical"] == 12

    def test_gains_and_losses_may_be_of_different_priors(self):
        rows = self.names(ranking_of(none=[0.5] * 3, a=[0.6, 0.5, 0.1], b=[0.5, 0.9, 0.5]))
        assert rows["where b gains most"] == 11
        assert rows["where a loses most"] == 12

    def test_nobody_loses_where_all_gain(self):
        rows = self.names(ranking_of(none=[0.1, 0.2], tv=[0.3, 0.5]))
        assert not any("loses" in name for name in rows)

    def test_a_sequence_is_shown_once_with_all_its_names(self):
        (only,) = chosen_sequences(ranking_of(none=[0.4], tv=[0.6]), "none", (0,))
        assert only.names == ["typical", "the best", "the worst", "where tv gains most"]
        assert len(only.rules) == 4
        assert "over all priors and seed 0, is the median of the 1 attributed" in only.rules[0]
        assert "of the 1 differences in mean motif-auprc to none" in only.rules[3]

    def test_predictions_are_not_compared_with_the_baseline(self):
        ranking = SequenceRanking(
            PREDICTION, np.arange(2), {"none": np.zeros(2), "tv": np.array([0, 1.0])}
        )
        assert not any(
            "most" in n for c in chosen_sequences(ranking, "none", (0,)) for n in c.names
        )

    def test_nothing_to_rank_by_leaves_the_first(self):
        (only,) = chosen_sequences(SequenceRanking(PREDICTION, np.arange(3), {}), "none", (0,))
        assert (only.row, only.names) == (0, ["typical"])


class TestScores:
    def test_located_is_what_the_metric_averages(self):
        generator = np.random.default_rng(0)
        truth = np.zeros((5, 30), dtype=np.uint8)
        truth[:, 10:16], truth[:, 12] = MOTIF, NEUTRAL
        tracks = generator.normal(size=(5, 30)).astype(np.float32)
        arrays = type("Arrays", (), {"truth": truth, "attribution": tracks})
        expected = METRICS["motif-auprc"].function(arrays)
        assert motif_auprc(tracks, truth).mean() == pytest.approx(expected)

    def test_mean_cosine_is_what_the_metric_averages(self):
        tracks = np.random.default_rng(1).normal(size=(4, 6, 20)).astype(np.float32)
        matrix = METRICS["seed-cosine"].function(list(tracks))
        cosines = mean_cosine(unit_vectors(tracks).sum(axis=0), 4)
        assert cosines.shape == (6,)
        assert cosines.mean() == pytest.approx((matrix.sum() - 4) / 12)


@pytest.fixture
def root(tmp_path):
    return make_run(tmp_path / "r", ("none", "tv"), (0, 1, 2), failed={("tv", 0)})


class TestRanking:
    def finished(self, root, seeds=(0, 1)):
        run = load_run(root)
        trials = {(p, s): f"{k}x{s}" for k, p in enumerate(("none", "tv")) for s in (0, 1, 2)}
        del trials["tv", 0]
        return FinishedTrials(run, trials, seeds), run.datasets["binary/simulated"]

    def test_where_motifs_are_known(self, root):
        finished, dataset = self.finished(root)
        relevant = dataset.truth == MOTIF
        for trial in ("0x0", "0x1", "1x1"):
            store(root, trial, [ranked_after(i, relevant[i]) for i in range(6)])
        ranking = rank_sequences(finished, dataset)
        assert ranking.score == LOCALISATION
        assert (np.diff(ranking.values["none"]) < 0).all()
        # the failed trial of tv has no part in its mean
        assert ranking.values["tv"] == pytest.approx(ranking.values["none"])

    def test_where_they_are_not_seeds_agree(self, tmp_path):
        root = make_run(tmp_path / "x", ("none", "tv"), (0, 1, 2), truth=False)
        assert not (root / "data" / "d" / "truth.npy").exists()
        finished, dataset = self.finished(root)
        same = np.random.default_rng(0).normal(size=(6, 40))
        other = same.copy()
        other[3] = -other[3]
        store(root, "0x0", same)
        store(root, "0x1", other)
        ranking = rank_sequences(finished, dataset)
        assert ranking.score == AGREEMENT
        assert ranking.values["none"] == pytest.approx([1, 1, 1, -1, 1, 1])
        assert "tv" not in ranking.values  # one seed of it agrees with nothing

    def test_one_seed_is_ranked_by_what_it_predicts(self, tmp_path):
        root = make_run(tmp_path / "x", ("none", "tv"), (0, 1, 2), truth=False)
        finished, dataset = self.finished(root, seeds=(1,))
        store(root, "0x1", np.ones((6, 40)), logit=range(6))
        ranking = rank_sequences(finished, dataset)
        assert ranking.score == PREDICTION
        assert ranking.values["none"].tolist() == list(range(6))


class TestExamples:
    def test_every_prior_and_seed_is_there(self, root):
        run = load_run(root)
        (setting,) = settings_of(run)
        of_setting = all_examples(run, setting)
        # seed 0 of tv failed, and priors are compared on the same seeds
        assert (of_setting.seeds, of_setting.lettered, of_setting.missing) == ([1, 2], 1, [])
        assert of_setting.passed_over == [0]
        assert of_setting.examples[0].sequence.names[0] == "typical"
        for example in of_setting.examples:
            assert list(example.tracks) == ["none", "tv"]
            assert list(example.tracks["none"].of_seed) == [1, 2]
            assert list(example.tracks["tv"].of_seed) == [1, 2]
            stored = run.arrays("1x2").attribution[example.sequence.row]
            assert (example.tracks["tv"].of_seed[2] == stored).all()
            low, high = example.tracks["tv"].motif_auprc
            assert 0 < low <= high <= 1
            assert -1 <= example.tracks["tv"].agreement <= 1

    def test_the_typical_alone(self, root):
        run = load_run(root)
        (setting,) = settings_of(run)
        (only,) = typical_example(run, setting).examples
        assert only.sequence.row == all_examples(run, setting).examples[0].sequence.row

    def test_long_windows_are_cut_around_the_motif(self, tmp_path):
        root = make_run(tmp_path / "x", ("none",), (0,), length=501)
        run = load_run(root)
        (example, *_) = all_examples(run, settings_of(run)[0]).examples
        # the motif is at 250 to 254
        assert (example.start, example.stop) == (152, 352)

    def test_without_motifs_around_the_attribution(self, tmp_path):
        root = make_run(tmp_path / "x", ("none",), (0,), length=501, truth=False)
        track = np.zeros((6, 501))
        track[:, 400] = -1
        store(root, "0x0", track)
        run = load_run(root)
        (example, *_) = all_examples(run, settings_of(run)[0]).examples
        assert (example.start, example.stop) == (300, 500)


class TestSection:
    def test_strips_hold_every_seed(self, root):
        html = str(Attributions().render(load_run(root)))
        assert "Letters: seed 1, the lowest that all priors finished" in words(html)
        strips = "Strips: seeds 1, 2, from top to bottom; seed 0, which not every prior finished"
        assert strips in words(html)
        figures = html.count("<svg")
        assert figures > 1
        # a strip of all seeds a prior
        assert html.count("<image") == 2 * figures
        assert html.count("<details>") == figures - 1

    def test_one_seed_has_no_word_of_several(self, tmp_path):
        root = make_run(tmp_path / "x", ("none", "tv"), (4,))
        text = words(Attributions().render(load_run(root)))
        assert "Letters: seed 4. " in text
        assert "Strips: seeds" not in text
        assert "seed-cosine" not in text.split("Letters: seed 4.")[1]

    def test_where_no_two_seeds_are_complete_all_are_shown(self, tmp_path):
        failed = {("tv", 0), ("tv", 1)}
        root = make_run(tmp_path / "x", ("none", "tv"), (0, 1, 2), failed=failed)
        run = load_run(root)
        examples = all_examples(run, settings_of(run)[0])
        assert (examples.seeds, examples.lettered, examples.passed_over) == ([0, 1, 2], 2, [])

    def test_trials_that_failed_are_named(self, tmp_path):
        failed = {("tv", 0), ("tv", 1)}
        root = make_run(tmp_path / "x", ("none", "tv"), (0, 1), failed=failed)
        html = str(Attributions().render(load_run(root)))
        assert "failed or collapsed: tv" in words(html)
        assert "seed 0 failed or collapsed" in words(html)


POINTS = st.tuples(st.floats(-99, 999), st.floats(-99, 999))


class TestPaths:
    def test_by_hand(self):
        path = "M 10 20 \nL 12.5 20 \nL 12.5 19.9 \nQ 1 2 3 4.04 \nz \nM 0 0 L -.06 1"
        assert relative(path) == "m10 20l2.5 0 0-.1q-11.5-17.9-9.5-15.9zm-10-20l-.1 1"

    def test_other_commands_are_left_alone(self):
        for path in ("M 0 0 A 1 1 0 0 0 2 2", "m 0 0 l 1 1", "M 0 0 H 3"):
            assert relative(path) == path

    @hypothesis_settings(max_examples=50, deadline=None)
    @given(st.lists(st.lists(POINTS, min_size=1, max_size=6), min_size=1, max_size=4))
    def test_no_point_is_off_by_more_than_half_a_tenth(self, shapes):
        path = " ".join(
            "M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in points) + " z" for points in shapes
        )
        corners, at, start = [], (0.0, 0.0), (0.0, 0.0)
        for command, text in re.findall(r"([a-z])([^a-z]*)", relative(path)):
            steps = list(map(float, re.findall(r"-?(?:\d+\.?\d*|\.\d+)", text)))
            for k, step in enumerate(zip(steps[::2], steps[1::2], strict=True)):
                at = (at[0] + step[0], at[1] + step[1])
                start = at if command == "m" and k == 0 else start
                corners.append(at)
            at = start if command == "z" else at
        expected = [point for points in shapes for point in points]
        assert np.abs(np.array(corners) - np.array(expected)).max() <= 0.0501
