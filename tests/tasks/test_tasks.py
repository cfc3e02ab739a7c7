"""Every task keeps its contract: truth, floor and ceiling, bytes, losses; and what each plants."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import build_network, regularisation
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from priorbench import Batch, Task, UserError
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.data.codes import (
    DECOY,
    MOTIF,
    NEUTRAL,
    NOWHERE,
    SUBOPTIMAL,
    TEST,
    VALID,
    WHERE,
)
from priorbench.data.dataset import load_dataset
from priorbench.data.simulation import (
    mark_lookalikes,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    scan,
)
from priorbench.encoding import decode, encode, reverse_complement
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.scoring import ORACLE, RANDOM
from priorbench.seeds import RandomStreams
from priorbench.training.loop import fit
from priorbench.training.schedules import schedule_of

TASKS = sorted(registry.components("task"))
# those that have test_profile.py and test_motif_grammar.py
PLANTED = [name for name in TASKS if name not in ("profile", "motif-grammar")]
VARIANTS = [
    *PLANTED,
    "binary:copies=1:co_factors=1",
    "rbp:protein=PUM2",
    "rbp:protein=HNRNPC",
    "short-motif:width=3",
    "short-motif:width=14:fidelity=0.8",
    "syntax:wrong_spacing=0.5",
    "edges:where=both:distance=3",
    "multitask:outputs=3:output=2",
    "motif-grammar:draw_from=seed",
]


def task_of(spec: str) -> Task:
    return registry.build("task", spec)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Return the folder of a task's data, simulated when they are first asked for."""

    @cache
    def folder(spec: str) -> Path:
        data = tmp_path_factory.mktemp("simulated") / "data"
        simulate(data, spec)
        return data

    return folder


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*VARIANTS, "profile", "profile:controls=true:jitter=0"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(spec, folder_of, tmp_path):
    again, other = (simulate(tmp_path / str(seed), spec, seed=seed).digest for seed in (0, 1))
    assert load_dataset(folder_of(spec)).digest == again != other


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*VARIANTS, "profile"])
def test_the_oracle_localises_and_a_random_attribution_is_at_its_floor(spec, folder_of):
    for split in (TEST, VALID):
        dataset = load_dataset(folder_of(spec), split)
        _knows_its_motifs(dataset, spec)
        assert (dataset.split[dataset.attributed] == split).all()


def _knows_its_motifs(dataset, spec):
    scores = reference_scores(dataset, task_of(spec))
    assert scores[ORACLE]["motif-auprc"] >= 0.99
    relevant = np.isin(dataset.truth, (MOTIF, SUBOPTIMAL))
    share = relevant[relevant.any(axis=1)].mean()
    assert share < scores[RANDOM]["motif-auprc"] < share + 0.08
    assert scores[RANDOM].get("auroc", 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("spec", [*VARIANTS, "profile", "profile:controls=true:jitter=0"])
def test_instances_are_where_the_truth_is_and_their_matrices_give_the_oracle(spec, folder_of):
    for split in (TEST, VALID):
        dataset = load_dataset(folder_of(spec), split)
        assert dataset.instance_motifs[: len(dataset.motifs)] == tuple(dataset.motifs)
        covered = np.zeros(dataset.truth.shape, dtype=bool)
        for row, start, end, *_ in dataset.instances().rows.tolist():
            assert not covered[row, start:end].any()
            covered[row, start:end] = True
        relevant = np.isin(dataset.truth, (MOTIF, SUBOPTIMAL))
        assert covered[relevant].all()
        assert np.isin(dataset.truth[covered], (MOTIF, SUBOPTIMAL, NEUTRAL)).all()
        matrices = dataset.true_matrices()
        assert np.allclose(matrices.sum(axis=1), 1, atol=1e-5)
        assert (matrices == 0.25).all(axis=1)[~covered].all()
        codes = dataset.codes(dataset.attributed)
        odds = np.log(np.take_along_axis(matrices, codes[:, None], axis=1)[:, 0] / 0.25)
        # several outputs may want the same motif
        times = dataset.oracle[relevant] / odds[relevant]
        assert np.allclose(times, times.round(), atol=1e-3)
        assert (times.round() >= 1).all()


def composition(sequences, taken):
    """Shares of neighbouring bases outside the motifs."""
    pairs = 4 * sequences[:, :-1].astype(int) + sequences[:, 1:]
    free = ~(taken[:, :-1] | taken[:, 1:])
    counts = [
        np.bincount(row[f], minlength=16) / f.sum() for row, f in zip(pairs, free, strict=True)
    ]
    return np.array(counts)


# negatives of the motif grammar hold motifs of their own, which are background
@pytest.mark.slow
@pytest.mark.parametrize("spec", [spec for spec in VARIANTS if "grammar" not in spec])
def test_what_does_not_see_motifs_cannot_beat_chance(spec):
    task = task_of(spec)
    drawn = task.draw(3000, 100, np.random.default_rng(3))
    label = task.positive(drawn.labels).astype(int)
    features = composition(drawn.planted.sequences, drawn.planted.occupied)
    model = LogisticRegression(C=100, max_iter=500).fit(features[:1500], label[:1500])
    assert roc_auc_score(label[1500:], model.decision_function(features[1500:])) < 0.56
    assert len(np.unique(label)) == 2


@pytest.mark.parametrize(
    "spec",
    ["binary:copies=4", "rbp:copies=4", "suboptimal", "edges:where=middle", "multitask:outputs=1"],
)
def test_decoys_stand_in_the_same_places_in_both_classes(spec):
    task = task_of(spec)
    drawn = task.draw(20_000, 100, np.random.default_rng(0))
    decoy = drawn.planted.codes == DECOY
    some = decoy.any(axis=1)
    label = task.positive(drawn.labels)[some]
    from_middle = np.abs(np.arange(100) - 49.5)
    distance = (decoy[some] @ from_middle) / decoy[some].sum(axis=1)
    assert ks_2samp(distance[label], distance[~label]).pvalue > 1e-3
    number = decoy.sum(axis=1)
    assert ks_2samp(number[task.positive(drawn.labels)], number).pvalue > 1e-3


def with_shuffled_motifs(drawn, generator):
    """Sequences in which the bases of every instance, or of one of each pair, are shuffled."""
    codes = drawn.planted.sequences.copy()
    motif = np.isin(drawn.planted.codes, (MOTIF, SUBOPTIMAL))
    edges = np.diff(np.pad(motif, ((0, 0), (1, 1))).astype(int), axis=1)
    for row in np.flatnonzero(motif.any(axis=1)):
        runs = list(
            zip(np.flatnonzero(edges[row] == 1), np.flatnonzero(edges[row] == -1), strict=True)
        )
        for start, end in runs:
            codes[row, start:end] = generator.permutation(codes[row, start:end])
    return codes


SCRAMBLED = ["binary", "binary:copies=1:co_factors=2", "suboptimal", "edges", "edges:where=both"]


@pytest.mark.parametrize("spec", SCRAMBLED)
def test_with_shuffled_motifs_nothing_is_left_to_learn(spec):
    drawn = task_of(spec).draw(6000, 100, np.random.default_rng(2))
    codes = with_shuffled_motifs(drawn, np.random.default_rng(3)).astype(int)
    triplets = 16 * codes[:, :-2] + 4 * codes[:, 1:-1] + codes[:, 2:]
    counts = np.array([np.bincount(row, minlength=64) for row in triplets]) / 100
    gc = np.isin(codes, (1, 2)).reshape(len(codes), 20, 5).mean(axis=2)
    features = np.hstack([counts, gc])
    model = LogisticRegression(C=10, max_iter=1000).fit(features[:3000], drawn.labels[:3000])
    auroc = roc_auc_score(drawn.labels[3000:], model.decision_function(features[3000:]))
    assert auroc == pytest.approx(0.5, abs=0.04)
    # whatever is blind to the order of bases has nothing to go by, even with the motifs there
    content = np.isin(drawn.planted.sequences, (1, 2)).mean(axis=1)
    assert roc_auc_score(drawn.labels, content) == pytest.approx(0.5, abs=0.03)


def test_a_shift_of_gc_is_seen_without_motifs():
    drawn = task_of("binary:gc_shift=0.3").draw(1000, 100, np.random.default_rng(0))
    gc = ((drawn.planted.sequences == 1) | (drawn.planted.sequences == 2)).mean(axis=1)
    assert roc_auc_score(drawn.labels, gc) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_network_learns_the_task_a_little(name, folder_of):
    task, dataset = task_of(name), load_dataset(folder_of(name))
    model = build_network(task.architecture, task.network_shape_of(dataset))
    training = fit(
        model,
        task,
        regularisation("fourier", 0.1, task=name),
        dataset,
        schedule=schedule_of(task, "smoke"),
        streams=RandomStreams(0, (name, "simulated"), 0),
        device=torch.device("cpu"),
    )
    assert not training.divergence
    assert training.history[-1].training_loss < training.history[0].training_loss
    assert training.history[0].penalty > 0


@pytest.mark.parametrize("spec", VARIANTS)
def test_losses_targets_and_predictions_have_one_row_per_example(spec, folder_of):
    task, dataset = task_of(spec), load_dataset(folder_of(spec))
    form = task.network_shape_of(dataset)
    rows = np.arange(7)
    label = torch.from_numpy(dataset.columns["label"].take(rows))
    batch = Batch(torch.zeros(7, 4, form.length), label)
    output = torch.randn(7, form.outputs, generator=torch.Generator().manual_seed(0))
    assert task.prediction_loss(output, batch).shape == (7,)
    assert task.target(output).shape == (7,)
    assert task.applies(batch).tolist() == task.positive(label.numpy()).tolist()
    chance = task.chance(dataset)
    for name, values in task.predictions(output, batch).items():
        assert len(values) == 7
        assert chance[name].shape == (len(dataset.rows(TEST)), *values.shape[1:])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("binary:co_factors=9", "co_factors 9"),
        ("binary:gc_shift=3", "gc_shift 3"),
        ("rbp:protein=FUS", "not one of PUM2"),
        ("rbp:copies=0.5", "copies 0.5"),
        ("rbp:fidelity=0.2", "fidelity 0.2"),
        ("syntax:jitter=9", "jitter 9 is not between 0 and spacing 6"),
        ("syntax:wrong_spacing=2", "wrong_spacing 2"),
        ("syntax:fidelity=1", "fidelity 1"),
        ("suboptimal:mutated=0", "mutated 0"),
        ("suboptimal:mutated=0.5", "at most 0.3"),
        ("suboptimal:fidelity=1", "fidelity 1"),
        ("edges:distance=-1", "distance -1"),
        ("edges:fidelity=0", "fidelity 0"),
        ("short-motif:width=2", "width 2"),
        ("short-motif:fidelity=0.3", "fidelity 0.3"),
        ("multitask:outputs=99", "outputs 99"),
        ("multitask:output=-1", "output -1"),
        ("multitask:fidelity=1", "fidelity 1"),
    ],
)
def test_options_outside_their_range_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        task_of(spec)


def test_what_does_not_fit_the_window_is_refused(tmp_path):
    for spec, message in [
        ("edges:distance=20", "need windows of 84 bp, scale smoke has 80"),
        ("short-motif:width=3:fidelity=0.4", "cannot be told from background"),
        ("multitask:outputs=4:output=5", "output 5 is beyond the 4 outputs"),
    ]:
        with pytest.raises(UserError, match=message):
            simulate(tmp_path / "data", spec)


def test_rna_motifs_stand_on_the_given_strand():
    drawn = task_of("rbp:protein=TARDBP:fidelity=0.999").draw(400, 80, np.random.default_rng(0))
    for sequence, codes in zip(drawn.planted.sequences[::2], drawn.planted.codes[::2], strict=True):
        start = int(np.argmax(codes == MOTIF))
        pairs = zip(decode(sequence[start : start + 6]), "TGTGTG", strict=True)
        assert sum(a == b for a, b in pairs) >= 5
    assert not (drawn.planted.codes[1::2] == MOTIF).any()


def test_positions_of_a_motif_that_say_nothing_are_neutral():
    drawn = task_of("rbp:protein=PUM2").draw(200, 80, np.random.default_rng(0))
    positive = drawn.planted.codes[::2]
    # UGUANAUA: the fifth column has no information
    within = (positive == NEUTRAL) & drawn.planted.occupied[::2]
    assert within.sum() * 7 == (positive == MOTIF).sum()
    assert (drawn.planted.oracle[drawn.planted.codes == NEUTRAL] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "fidelity"), [(3, 0.97), (6, 0.9), (10, 0.8), (14, 0.8)])
def test_short_motifs_are_equally_easy_to_see_at_every_length(width, fidelity):
    task = task_of(f"short-motif:width={width}:fidelity={fidelity}")
    drawn = task.draw(4000, 120, np.random.default_rng(5))
    likelihood = sum(
        np.exp(score).mean(axis=1) for score in scan(task.motif, drawn.planted.sequences)
    )
    auroc = roc_auc_score(drawn.labels, likelihood)
    assert auroc == pytest.approx(0.95, abs=0.015)
    assert task.motif.width == width


def test_syntax_positives_have_the_preferred_gap_and_negatives_do_not():
    task = task_of("syntax:spacing=5:jitter=1:wrong_spacing=0.5:fidelity=0.999")
    drawn = task.draw(600, 100, np.random.default_rng(0))
    gaps = {MOTIF: [], DECOY: []}
    for codes in drawn.planted.codes:
        code = MOTIF if (codes == MOTIF).any() else DECOY
        here = np.flatnonzero(codes == code)
        inside = codes[here[0] : here[-1] + 1] == code
        gaps[code].append(len(here) if inside.all() and len(here) == 10 else (~inside).sum())
    assert set(gaps[MOTIF]) == {4, 5, 6}
    turned = {gap for gap in gaps[DECOY] if gap in (4, 5, 6)}
    assert turned == {4, 5, 6}  # in another orientation the preferred gap is wrong too
    counts = np.bincount([len(np.flatnonzero(c)) for c in drawn.planted.codes])
    assert counts[20] > 300  # all positives and half of the negatives hold both
    assert counts[10] > 100


def test_suboptimal_positions_are_the_worst_base_between_good_ones():
    drawn = task_of("suboptimal:mutated=0.3").draw(2000, 80, np.random.default_rng(0))
    codes, oracle = drawn.planted.codes, drawn.planted.oracle
    number = (codes[::2] == SUBOPTIMAL).sum(axis=1)
    assert set(number.tolist()) == {0, 1}
    assert number.mean() == pytest.approx(0.3, abs=0.05)
    assert not (codes[1::2] == SUBOPTIMAL).any()
    assert (oracle[codes == SUBOPTIMAL] < -0.5).all()
    row, column = np.nonzero(codes == SUBOPTIMAL)
    for side in (-1, 1):
        assert (codes[row, column + side] == MOTIF).all()
        assert (oracle[row, column + side] > 0.5).all()


def test_edges_plants_where_it_says():
    for where, starts in {
        "start": [{2}],
        "end": [{66}],
        "middle": [{34}],
        "both": [{2, 66}],
        # as far apart, 4 bp between them, as those at the ends are around them
        "both-middle": [{26, 42}],
        "mixed": [{2}, {66}, {2, 66}, {34}, {26, 42}],
    }.items():
        drawn = task_of(f"edges:where={where}:distance=2").draw(80, 80, np.random.default_rng(0))
        begins_of_windows = []
        for codes in drawn.planted.codes[::2]:
            motif = (codes == MOTIF).astype(int)
            begins = set(np.flatnonzero(np.diff(motif, prepend=0) == 1).tolist())
            if begins not in begins_of_windows:
                begins_of_windows.append(begins)
        assert begins_of_windows == starts, where
        assert set(drawn.arrays["where"][1::2]) == {NOWHERE}
        names = [WHERE[number] for number in drawn.arrays["where"][::2]]
        assert set(names) == ({where} if where != "mixed" else set(WHERE[:5]))


def test_edges_anywhere_keeps_its_distance_and_reaches_it():
    drawn = task_of("edges:where=anywhere:distance=5").draw(4000, 80, np.random.default_rng(0))
    motif = drawn.planted.codes[::2] == MOTIF
    begins = motif.argmax(axis=1)
    assert (motif.sum(axis=1) == 12).all()
    assert set(begins) == set(range(5, 80 - 12 - 5 + 1))
    # decoys are as likely at any place in both classes
    decoy = drawn.planted.codes == DECOY
    shares = [decoy[first::2].mean(axis=0) for first in (0, 1)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.04)


def test_outputs_share_motifs_and_follow_them():
    task = task_of("multitask:outputs=16")
    mixtures = task.mixtures()
    assert (mixtures.sum(axis=1) == 2).all()
    assert len(np.unique(mixtures, axis=0)) == 16
    single = task_of("multitask:outputs=16:output=5")
    drawn = single.draw(500, 100, np.random.default_rng(0))
    with_motif = (drawn.planted.codes == MOTIF).any(axis=1)
    assert (with_motif == (drawn.labels[:, 4] == 1)).all()
    assert single.target(torch.eye(16)).tolist() == [float(i == 4) for i in range(16)]


def test_motifs_that_feed_no_output_do_not_matter():
    task = task_of("multitask:outputs=1")
    drawn = task.draw(500, 100, np.random.default_rng(0))
    with_motif = (drawn.planted.codes == MOTIF).any(axis=1)
    assert (with_motif == (drawn.labels[:, 0] == 1)).all()
    # the oracle of the sum counts a motif once for every output that it makes positive
    nine = task_of("multitask:outputs=9")
    many = nine.draw(500, 100, np.random.default_rng(0))
    assert np.array_equal(drawn.planted.sequences, many.planted.sequences)
    here = drawn.planted.oracle != 0
    ratio = np.round(many.planted.oracle[here] / drawn.planted.oracle[here]).astype(int)
    assert set(ratio.tolist()) == set(nine.mixtures().sum(axis=0)[:2].tolist())


def test_strands_of_dna_are_drawn_evenly():
    drawn = task_of("binary:copies=1:fidelity=0.999").draw(400, 80, np.random.default_rng(1))
    forward = 0
    for sequence, codes in zip(drawn.planted.sequences[::2], drawn.planted.codes[::2], strict=True):
        motif = sequence[codes == MOTIF]
        same = [
            sum(a == b for a, b in zip(decode(strand), "GCATGAGTCACC", strict=True))
            for strand in (motif, reverse_complement(motif))
        ]
        assert max(same) >= 10
        forward += same[0] > same[1]
    assert 70 < forward < 130


def test_background_has_no_motif_more_often_than_chance():
    codes = markov_background(200, 100, np.random.default_rng(0))
    assert "GCATGAGTCACC" not in "N".join(decode(row) for row in codes)


@pytest.mark.parametrize("name", sorted(registry.components("architecture")))
def test_architectures_say_what_they_cannot_do(name):
    architecture = registry.build("architecture", name)
    with pytest.raises(UserError, match=f"architecture {name}"):
        architecture.build(NetworkShape(3), "smoke")
    for form in (NetworkShape(80), NetworkShape(120, 7)):
        output = architecture.build(form, "smoke")(torch.zeros(3, 4, form.length))
        assert output.shape == (3, form.outputs)
    for scale, length in (("quick", 120), ("standard", 200), ("paper", 1000)):
        model = architecture.build(NetworkShape(length), scale).eval()
        assert model(torch.zeros(1, 4, length)).shape == (1, 1)


@pytest.mark.parametrize("name", sorted(registry.components("architecture")))
@pytest.mark.parametrize("length", [97, 101, 110])
def test_every_base_of_the_window_counts(name, length):
    torch.manual_seed(0)
    model = registry.build("architecture", name).build(NetworkShape(length), "quick").eval()
    sequence = torch.rand(64, 4, length, requires_grad=True)
    model(sequence).square().sum().backward()
    assert bool((sequence.grad.abs().sum(dim=(0, 1)) > 0).all())


def test_networks_of_numbers_refuse_profiles_and_bpnet_gives_them():
    for name in ("three-conv", "basset", "deepsea", "deepbind"):
        with pytest.raises(UserError, match="predicts numbers, and this task wants profiles"):
            registry.build("architecture", name).build(NetworkShape(200, 2, 100), "smoke")
    for controls in (0, 2):
        form = NetworkShape(200, 2, 101, controls)
        model = registry.build("architecture", "bpnet").build(form, "smoke")
        given = [torch.ones(3, controls, 101)] if controls else []
        logits, counts = model(torch.zeros(3, 4, 200), *given)
        assert logits.shape == (3, 2, 101)
        assert counts.shape == (3, 2)
    paper = registry.build("architecture", "bpnet").build(NetworkShape(1346, 2, 1000), "paper")
    assert paper(torch.zeros(1, 4, 1346))[0].shape == (1, 2, 1000)


def test_digest_of_the_default_binary_data_has_not_changed(tmp_path):
    dataset = simulate(tmp_path / "data")
    codes = dataset.columns["sequence"].take(np.arange(700))
    assert hashlib.sha256(codes.tobytes()).hexdigest()[:16] == EXPECTED


EXPECTED = "c12767daf8383567"


def test_scan_finds_a_motif_on_either_strand():
    motif = motif_from_consensus("m", "ACCGT", 0.9)
    text = "AAAACCGTAAAACGGTAA"
    forward, backward = scan(motif, encode(text.encode())[None])
    best = 5 * np.log(0.9 / 0.25)
    assert np.flatnonzero(np.isclose(forward[0], best)).tolist() == [text.index("ACCGT")]
    assert np.flatnonzero(np.isclose(backward[0], best)).tolist() == [text.index("ACGGT")]
    assert len(scan(motif, encode(text.encode())[None], both_strands=False)) == 1


@pytest.mark.parametrize("both", [True, False])
def test_background_that_looks_like_the_motif_is_neutral(both):
    motif = motif_from_consensus("m", "ACCGT", 0.9)
    codes = encode(b"AAAACCGTAAAACGGTAAAAACCGTA")[None]
    planted = nothing_planted(codes)
    planted.codes[0, 20:25] = MOTIF
    mark_lookalikes(planted, motif, both_strands=both)
    neutral = [*range(3, 8), *(range(11, 16) if both else ())]
    assert np.flatnonzero(planted.codes[0] == NEUTRAL).tolist() == neutral
    assert np.flatnonzero(planted.codes[0] == MOTIF).tolist() == list(range(20, 25))


def test_every_motif_has_a_name_and_decoys_are_not_among_them():
    drawn = task_of("binary:co_factors=3").draw(200, 110, np.random.default_rng(0))
    assert set(drawn.planted.motifs) == {"target", *(f"co-factor {i}" for i in (1, 2, 3))}
