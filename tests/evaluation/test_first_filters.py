"""What the filters of a first layer respond to, and whether these are motifs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, WeightedSum, build_network

from priorbench.components import registry
from priorbench.data.simulation import motif_from_consensus
from priorbench.encoding import one_hot
from priorbench.evaluation import measure as measure_module
from priorbench.evaluation.first_filters import filter_matrices
from priorbench.evaluation.measure import TrainedModel, measure
from priorbench.evaluation.reference_scores import discovery_floors, reference_scores
from priorbench.evaluation.scoring import RANDOM, score_filters
from priorbench.metrics import METRICS
from priorbench.metrics.published.filters import FirstFilters, filter_matches
from priorbench.metrics.tools.motif_set import MotifSet
from priorbench.study.study import Measurements


def first_layer(weight, *following, **more):
    """A network that begins with a convolution of these (filters, 4, width) weights."""
    layer = torch.nn.Conv1d(4, len(weight), weight.shape[2], bias=False, **more)
    layer.weight.data = torch.as_tensor(weight, dtype=torch.float32)
    following = following or (torch.nn.ReLU(),)
    layers = (layer, *following, torch.nn.Flatten(), torch.nn.LazyLinear(1))
    return torch.nn.Sequential(*layers).eval()


def test_a_filter_wants_the_bases_of_the_windows_it_responds_to():
    codes = np.array([[0, 1, 2, 3, 0, 1, 2, 0, 3, 3, 3, 3]])
    sequence = torch.as_tensor(np.eye(4)[codes].transpose(0, 2, 1), dtype=torch.float32)
    weight = np.zeros((3, 4, 3))
    weight[0, [1, 2], [0, 1]] = 1.0  # CG, twice there, then T or A
    weight[1] = -1.0  # never above 0
    weight[2, 0, 1] = 1.0
    cg, silent, adenine = filter_matrices(first_layer(weight), sequence)
    assert cg.T.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5]]
    assert silent is None
    assert adenine[:, 1].tolist() == [1, 0, 0, 0]
    wide = np.zeros((1, 4, 13))
    assert filter_matrices(first_layer(wide), sequence) == []
    assert filter_matrices(first_layer(weight, dilation=2), sequence) == []
    assert filter_matrices(WeightedSum(12), sequence) == []


class Exponential(torch.nn.Module):
    def forward(self, value):
        return value.exp()


def test_what_follows_the_first_convolution_decides_where_it_responds():
    """Half the largest exponential leaves the best windows; a negative scale turns a filter."""
    codes = np.array([[0, 1, 2, 3, 0, 1, 3, 0, 3, 3, 3, 3]])
    sequence = torch.as_tensor(np.eye(4)[codes].transpose(0, 2, 1), dtype=torch.float32)
    weight = np.zeros((1, 4, 2))
    weight[0, [1, 2], [0, 1]] = 1.0  # CG: 2 once, and CT: 1 once
    normed = torch.nn.BatchNorm1d(1)
    normed.weight.data[:] = 3.0
    pooled = torch.nn.MaxPool1d(3, stride=1, padding=1)  # which mixes positions
    (linear,) = filter_matrices(first_layer(weight, torch.nn.Identity()), sequence)
    (sharp,) = filter_matrices(first_layer(weight, normed, Exponential(), pooled), sequence)
    assert linear.T.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert sharp.T.tolist() == linear.T.tolist()
    weight[0, [1, 2], [0, 1]] = 0.1
    (wide,) = filter_matrices(first_layer(weight, Exponential()), sequence)
    assert (wide.sum(axis=1) > 0).sum() > 2  # e to such powers hardly differs
    normed.weight.data[:] = -100.0
    (turned,) = filter_matrices(first_layer(weight, normed, Exponential()), sequence)
    assert turned[1, 0] < 1  # what it liked best comes last now


class Wanting(torch.nn.Module):
    """A layer that takes no tensor."""

    def forward(self, value):
        return value["sequence"]


class Counting(torch.nn.Module):
    """A layer that counts its calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, value):
        self.calls += 1
        return value


@pytest.mark.parametrize("activation", [torch.nn.SiLU, torch.nn.Mish, torch.nn.Hardswish])
def test_a_layer_that_writes_in_place_is_no_other(activation):
    torch.manual_seed(0)
    codes = np.random.default_rng(0).integers(0, 4, (6, 40))
    sequence = torch.as_tensor(np.eye(4)[codes].transpose(0, 2, 1), dtype=torch.float32)
    weight = np.random.default_rng(1).standard_normal((5, 4, 6))
    apart = filter_matrices(first_layer(weight, activation()), sequence)
    in_place = filter_matrices(first_layer(weight, activation(inplace=True)), sequence)
    for one, other in zip(apart, in_place, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", [Wanting(), Counting(), torch.nn.BatchNorm1d(3)])
def test_layers_of_others_are_neither_changed_nor_in_the_way(layer):
    weight = np.random.default_rng(1).standard_normal((3, 4, 6))
    model = first_layer(weight, layer).train()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    codes = np.random.default_rng(0).integers(0, 4, (6, 40))
    sequence = torch.as_tensor(np.eye(4)[codes].transpose(0, 2, 1), dtype=torch.float32)
    assert len(filter_matrices(model, sequence)) == 3
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    grouped = torch.nn.Conv1d(4, 8, 7, groups=4)
    assert filter_matrices(torch.nn.Sequential(grouped), sequence) == []


def test_filters_that_are_motifs_match_and_others_do_not(simulated):
    motif = simulated.motifs["target"]
    matching = np.log(motif / 0.25)
    others = np.zeros((3, *motif.shape))
    others[0, 0] = others[1, 3] = others[2, 1] = 1.0  # runs of one base
    layer = first_layer(np.stack([matching, matching[::-1, ::-1], *others, -np.ones(motif.shape)]))
    sequence = one_hot(simulated.codes(simulated.attributed), CPU)
    matrices = filter_matrices(layer, sequence)
    assert score_filters(FirstFilters(matrices, True), simulated) == {"filter-matches": 2 / 6}
    unknown = replace(simulated, meta={**simulated.meta, "motifs": {}})
    for filters, dataset in ((matrices, unknown), ([], simulated)):
        scores = score_filters(FirstFilters(filters, True), dataset)
        assert np.isnan(scores["filter-matches"])
    assert score_filters(FirstFilters([None], True), simulated) == {"filter-matches": 0}


@pytest.mark.parametrize(("both_strands", "share"), [(True, 1.0), (False, 0.5)])
def test_the_other_strand_counts_where_there_is_one(both_strands, share):
    motif = motif_from_consensus("m", "AAAAAAGGGGGG", 0.9).matrix.T
    filters = FirstFilters([motif, motif[::-1, ::-1]], both_strands)
    assert filter_matches(filters, {"m": motif}) == share


def test_the_filters_of_a_trial_are_scored_whatever_explains_it(simulated, monkeypatch):
    monkeypatch.setattr(measure_module, "discover", lambda *_, both_strands: MotifSet((), True))
    task, names = registry.build("task", "binary"), ["gradient", "input-x-gradient"]
    trained = TrainedModel(build_network().eval(), task, simulated, "smoke", CPU)
    scores = measure(trained, Measurements(names, discovery=True)).metrics
    values = [scores[name]["filter-matches"] for name in names]
    assert values[0] == values[1]
    assert 0 <= values[0] <= 1


def test_filters_are_compared_with_motifs_only_where_motifs_are_looked_for(simulated, monkeypatch):
    # what compares them takes most of a minute to compile, once on every machine
    monkeypatch.setattr("priorbench.metrics.published.filters.match_q", None)
    task, name = registry.build("task", "binary"), "input-x-gradient"
    trained = TrainedModel(build_network().eval(), task, simulated, "smoke", CPU)
    assert "filter-matches" not in measure(trained, Measurements([name])).metrics[name]
    references = reference_scores(simulated, task)
    assert "filter-matches" not in references[RANDOM]
    assert discovery_floors()["filter-matches"] == 0


def test_filters_of_networks_that_were_not_trained_match_nothing(simulated):
    sequence = one_hot(simulated.codes(simulated.attributed), CPU)
    shares = []
    for seed in range(5):
        torch.manual_seed(seed)
        matrices = filter_matrices(build_network(), sequence)
        shares.append(filter_matches(FirstFilters(matrices, True), simulated.motifs))
    assert np.mean(shares) == pytest.approx(METRICS["filter-matches"].floor, abs=0.02)
