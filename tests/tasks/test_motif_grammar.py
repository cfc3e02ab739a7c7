"""The motif grammar is the published data, sequence by sequence, and says what is known of it."""

import hashlib

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate

from priorbench import UserError
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.data.codes import MOTIF, NEUTRAL, SPLITS, TEST, TRAIN, VALID
from priorbench.encoding import decode

LENGTH = 200
PUBLISHED = {
    "motif-grammar": (
        (7011, 994, 1995),
        "97126603380218089c9296aa4cad8b4cc54127195789b80acdcd06fe76238653",
        "4968bcf1262f5afd502edb040408238cdd28ba9c96c53d4d78e46c0fda961a2f",
        "397fe41abe61000469f2b267dd123364d77c83652536bd36d74b2368bf311025",
        "5cb145e8449ba8e4d84ece6dff073cc654f35ef5f55deb630051ca84b40e8451",
        (0.20738, 0.19981),
    ),
    "motif-grammar:look_alikes=kept": (
        (7012, 1015, 1973),
        "e58b80afe980393b93e3790b16b24adff808e10152afd63f4f18c7be634e7337",
        "61e876daed0bd11eb04ad29f8c19df5f7dbb66653cc6091765133c4678bc2cd7",
        "4626fbc67843d745603f55a6dfe0d9f876e71e76d1482bb9baa19fd00c3a47fd",
        "0e40ae78b445070fa088f6934859ba661909b2fc94a1ec04bf4c46a7bbebce39",
        (0.21041, 0.20263),
    ),
}
"""of each part: positives, digests of the sequences, that of the attributed ones, and the shares of
their positions whose information exceeds 0.01 and 0.1 bits; computed by two other programs"""


def text_digest(dataset, rows):
    """Digest of sequences as text, one a line."""
    lines = "\n".join(decode(codes) for codes in dataset.codes(rows))
    return hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("spec", PUBLISHED)
def test_all_sequences_are_the_published_ones(spec, tmp_path):
    positives, train, valid, test, attributed, shares = PUBLISHED[spec]
    dataset = simulate(tmp_path / "data", spec, scale="paper")
    for split, number, digest in zip(
        (TRAIN, VALID, TEST), positives, (train, valid, test), strict=True
    ):
        rows = dataset.rows(split)
        assert int(dataset.columns["label"].take(rows).sum()) == number, SPLITS[split]
        assert text_digest(dataset, rows) == digest, SPLITS[split]
    assert len(dataset.attributed) == 500
    assert text_digest(dataset, dataset.attributed) == attributed
    matrix = dataset.true_matrices()
    information = 2 + (matrix * np.log2(matrix + 1e-10)).sum(axis=1)
    assert (information > 0.01).mean() == pytest.approx(shares[0], abs=5e-6)
    assert (information > 0.1).mean() == pytest.approx(shares[1], abs=5e-6)


def test_smaller_scales_take_the_first_of_each_part_whatever_the_seed(tmp_path):
    paper = simulate(tmp_path / "paper", "motif-grammar", scale="paper")
    smoke = simulate(tmp_path / "smoke", "motif-grammar", seed=1)
    for split in (TRAIN, VALID, TEST):
        few, all_rows = smoke.rows(split), paper.rows(split)
        assert len(few) < len(all_rows)
        np.testing.assert_array_equal(smoke.codes(few), paper.codes(all_rows[: len(few)]))


def test_positions_of_motifs_are_known_on_either_strand(tmp_path):
    dataset = simulate(tmp_path / "data", "motif-grammar")
    truth, matrix = dataset.truth, dataset.true_matrices()
    information = 2 + (matrix * np.log2(matrix + 1e-10)).sum(axis=1)
    assert (truth[information > 0.2] == MOTIF).all()
    assert (truth[(information < 0.2) & (information > 0.01)] == NEUTRAL).all()
    assert set(np.unique(truth)) == {0, MOTIF, NEUTRAL}
    codes = dataset.codes(dataset.attributed)
    planted = np.take_along_axis(matrix, codes[:, None].astype(int), axis=1)[:, 0]
    assert planted.min() > 1e-3  # no base that its motif never has
    odds = np.log(planted / 0.25)
    np.testing.assert_allclose(dataset.oracle[truth == MOTIF], odds[truth == MOTIF], rtol=1e-4)
    strands = dataset.instances().rows[:, 4]
    assert 0.4 < (strands == 1).mean() < 0.6
    assert set(dataset.meta["motifs"]) == {"SP1", "Gabpa", "CEBPB", "MAX", "YY1"}
    per_sequence = np.bincount(dataset.instances().rows[:, 0])
    assert 3 <= per_sequence.min() <= per_sequence.max() <= 7


def test_own_draws_follow_the_same_rules():
    task = registry.build("task", "motif-grammar:draw_from=seed")
    drawn = task.draw(2000, LENGTH, np.random.default_rng(0))
    again = task.draw(2000, LENGTH, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.planted.sequences, again.planted.sequences)
    starts = np.array([row for row, *_ in drawn.planted.instances])
    number = np.bincount(starts, minlength=2000)
    assert (number[1::2] == 0).all()  # motifs of negatives are background
    shares = np.bincount(number[::2], minlength=8)[3:] / 1000
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.17, 0.05, 0.03], atol=0.05)


def test_the_probability_may_be_attributed_instead_of_the_logit(tmp_path):
    output = torch.tensor([[2.0], [-1.0]])
    for name in ("motif-grammar", "binary", "rbp", "short-motif", "suboptimal", "syntax", "edges"):
        logit = registry.build("task", name)
        probability = registry.build("task", f"{name}:attributed=probability")
        assert torch.equal(logit.explained(output), output[:, 0])
        assert torch.equal(probability.explained(output), torch.sigmoid(output[:, 0]))
        assert torch.equal(probability.target(output), output[:, 0])
        assert registry.data_spec(f"{name}:attributed=probability") == name
    with pytest.raises(UserError, match="not one of logit, probability"):
        registry.build("task", "binary:attributed=odds")


def test_published_networks_have_the_published_sizes():
    shapes = {
        "koo-local": ([(24, 200), (24, 4), (48, 4), (48, 2)], 96),
        "koo-dist": ([(24, 200), (32, 200), (32, 50), (48, 44), (48, 11), (64, 9), (64, 3)], 192),
        "koo-dist:form=2023": (
            [(24, 200), (32, 200), (32, 50), (48, 50), (48, 12), (64, 12), (64, 4)],
            256,
        ),
    }
    for spec, (sizes, flat) in shapes.items():
        network = registry.build("architecture", spec).build(NetworkShape(LENGTH), "paper")
        value, seen = torch.zeros(2, 4, LENGTH), []
        for layer in network:
            value = layer(value)
            if isinstance(layer, (torch.nn.Conv1d, torch.nn.MaxPool1d)):
                seen.append(tuple(value.shape[1:]))
            if isinstance(layer, torch.nn.Flatten):
                assert value.shape[1] == flat
        assert seen == sizes
        drops = [m.p for m in network if isinstance(m, torch.nn.Dropout)]
        assert drops == [0.1, 0.2, 0.5] if "local" in spec else [0.1, 0.2, 0.3, 0.4, 0.5]
        norms = [m for m in network if isinstance(m, torch.nn.BatchNorm1d)]
        assert {(m.momentum, m.eps) for m in norms} == {(0.01, 1e-3)}
        biased = [m for m in network if getattr(m, "bias", None) is not None and m not in norms]
        assert biased == [network[-1]]  # batch norm would take away the others'
    first = registry.build("architecture", "koo-dist:first_width=11").build(
        NetworkShape(LENGTH), "paper"
    )[0]
    assert first.weight.shape == (24, 4, 11)
    with pytest.raises(UserError, match="first_width 2"):
        registry.build("architecture", "koo-dist:first_width=2")


def test_weights_are_drawn_as_keras_does():
    torch.manual_seed(0)
    for spec, spread, most in (
        ("koo-dist", (2 / (19 * 28)) ** 0.5, (6 / (19 * 28)) ** 0.5),
        ("koo-dist:form=2023", (2 / (19 * 4)) ** 0.5, 2 * (2 / (19 * 4)) ** 0.5 / 0.8796),
    ):
        network = registry.build("architecture", spec).build(NetworkShape(LENGTH), "paper")
        weight = network[0].weight
        assert weight.std().item() == pytest.approx(spread, rel=0.05)
        assert 0.95 * most < weight.abs().max().item() <= 1.001 * most
        assert not network[-1].bias.any()
