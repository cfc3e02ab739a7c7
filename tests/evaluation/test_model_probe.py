"""Metrics that probe a trained model, on models whose scores are known."""

import numpy as np
import pytest
import torch
from fixtures.networks import CPU, WeightedSum, build_network

from priorbench import TrialArrays
from priorbench.attribution.explainers import EXPLAINERS, load_explainer
from priorbench.components import registry
from priorbench.data.codes import BACKGROUND
from priorbench.evaluation.measure import TrainedModel, measure, score_stored
from priorbench.evaluation.model_probe import ModelProbe, ProbedModel, probed_places
from priorbench.metrics import METRICS
from priorbench.study.study import Measurements

TASK = registry.build("task", "binary")


def probe_of(dataset, model, *, name="input-x-gradient", attribution=None):
    places = probed_places(dataset, "smoke")
    probed = ProbedModel(model.eval(), TASK, dataset, places=places, device=CPU)
    explainer = load_explainer(name)
    if attribution is None:
        attribution = explainer.explain(probed.subject).attribution.double().numpy()
    return ModelProbe(probed, explainer, attribution)


def ask(name, probe):
    return METRICS[name].function(probe)


def test_probed_sequences_are_spread_and_few(simulated):
    places = probed_places(simulated, "smoke")
    assert places[0] == 0
    assert places[-1] == len(simulated.attributed) - 1
    assert len(places) == min(100, max(2, 2000 // simulated.length), len(simulated.attributed))
    assert len(probed_places(simulated, "paper")) == min(100, len(simulated.attributed))


def test_mutagenesis_of_a_linear_model_is_its_corrected_gradient(simulated):
    probe = probe_of(simulated, WeightedSum(simulated.length), name="simplex-gradient")
    assert ask("mutagenesis-correlation", probe) == pytest.approx(1, abs=1e-6)
    assert np.allclose(probe.mutagenesis, 4 / 3 * probe.attribution, atol=1e-4)
    turned = probe_of(simulated, WeightedSum(simulated.length), attribution=-probe.attribution)
    assert ask("mutagenesis-correlation", turned) == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_nothing_changed_is_nothing_lost_whatever_an_explainer_draws(simulated, name, monkeypatch):
    probe = probe_of(simulated, trained_model(simulated).model, name=name)
    unchanged = probe.probed.mutated(probe.probed.codes)
    monkeypatch.setattr(probe.probed, "mutated", lambda codes: unchanged)
    assert ask("mutation-cosine", probe) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_a_model_that_knows_no_strand_is_explained_alike_on_both(simulated, name):
    class BothStrands(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, sequence):
            return self.model(sequence) + self.model(sequence.flip(1, 2))

    model = BothStrands(trained_model(simulated).model)
    assert ask("strand-cosine", probe_of(simulated, model, name=name)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_strand_cosine_of_a_model_that_knows_or_turns_strands(simulated, sign):
    probe = probe_of(simulated, WeightedSum(simulated.length, sign=sign))
    assert ask("strand-cosine", probe) == pytest.approx(sign, abs=1e-6)


def test_rna_has_no_other_strand(simulated):
    probe = probe_of(simulated, WeightedSum(simulated.length))
    probe.probed.task = registry.build("task", "rbp")
    assert np.isnan(ask("strand-cosine", probe))


def test_mutations_lie_outside_motifs_and_do_not_change_a_linear_model(simulated):
    probe = probe_of(simulated, WeightedSum(simulated.length))
    rows = np.arange(len(probe.attribution))
    for positions, _ in probe.of_mutations():
        assert (probe.probed.truth[rows, positions] == BACKGROUND).all()
    assert ask("mutation-cosine", probe) == pytest.approx(1, abs=1e-6)


def test_without_truth_mutations_lie_where_there_is_little(simulated):
    probe = probe_of(simulated, WeightedSum(simulated.length))
    probe.probed.truth = None
    size = np.abs(probe.attribution)
    rows = np.arange(len(size))
    for positions, _ in probe.of_mutations():
        assert (size[rows, positions] <= np.median(size, axis=1)).all()


def test_perturbation_gap_orders_attributions(simulated):
    model = WeightedSum(simulated.length)
    true = probe_of(simulated, model, name="simplex-gradient").attribution
    generator = np.random.default_rng(0)
    noise = generator.normal(size=true.shape)
    gap = {
        name: ask("perturbation-gap", probe_of(simulated, model, attribution=track))
        for name, track in (
            ("true", true),
            ("noisy", true + 2 * true.std() * noise),
            ("random", noise),
            ("wrong", -true),
            ("constant", np.ones_like(true)),
        )
    }
    assert gap["true"] > gap["noisy"] > abs(gap["random"])
    assert gap["wrong"] == pytest.approx(-gap["true"], rel=0.05)
    assert abs(gap["constant"]) < 0.2 * gap["true"]


def test_perturbation_gap_by_hand(simulated):
    """One base counts: its loss is seen at every step, or not until the end."""

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, sequence):
            return sequence[:, 0, 10:11]

    probe = probe_of(simulated, One())
    track = np.zeros_like(probe.attribution)
    track[:, 10] = 1
    best = probe_of(simulated, One(), attribution=track)
    # replacing it first loses at all nine steps what replacing it last loses at none
    change = np.mean(
        [best.values() - best.values(np.ones_like(track, dtype=bool), k) for k in range(4)]
    )
    size = np.mean(
        [abs(best.values() - best.values(np.ones_like(track, dtype=bool), k)) for k in range(4)]
    )
    assert ask("perturbation-gap", best) == pytest.approx(change / size)


def test_mutagenesis_beats_noise_beats_random(simulated):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 8, 7),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * (simulated.length - 6), 1),
    )
    truth = probe_of(simulated, model).mutagenesis
    noise = np.random.default_rng(0).normal(size=truth.shape)
    tracks = (truth, truth + truth.std() * noise, noise)
    for name in ("mutagenesis-correlation", "perturbation-gap"):
        values = [ask(name, probe_of(simulated, model, attribution=t)) for t in tracks]
        assert values[0] > values[1] > values[2] + 0.1, name
        assert abs(values[2]) < 0.35, name


def test_completeness_error_by_hand():
    sums = np.array([[1.0, 2.0], [2.0, 2.0]])
    empty = np.zeros((2, 3), np.float32)
    known = TrialArrays({}, np.zeros(2, np.float32), empty, None, None, {}, sums=sums)
    assert METRICS["completeness-error"].function(known) == pytest.approx((1 + 0) / 2 / 2)
    unknown = TrialArrays({}, np.zeros(2, np.float32), empty, None, None, {})
    assert np.isnan(METRICS["completeness-error"].function(unknown))


def test_what_does_not_depend_on_the_weights_is_found_out(simulated):
    class Fixed(torch.nn.Module):
        def __init__(self, length):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))
            generator = torch.Generator().manual_seed(0)
            self.register_buffer("weight", torch.randn(4, length, generator=generator))

        def forward(self, sequence):
            return (sequence * self.weight).sum(dim=(1, 2))[:, None]

    name = "randomised-similarity"
    assert ask(name, probe_of(simulated, Fixed(simulated.length))) == pytest.approx(1)
    assert abs(ask(name, probe_of(simulated, WeightedSum(simulated.length)))) < 0.2
    assert METRICS[name].higher_is_better is None


def trained_model(dataset):
    model = build_network(shape=TASK.network_shape_of(dataset)).eval()
    return TrainedModel(model, TASK, dataset, "smoke", CPU)


def test_measuring_again_adds_what_is_missing_only(simulated, monkeypatch):
    both = Measurements(["input-x-gradient", "simplex-gradient"])
    whole = measure(trained_model(simulated), both)
    first = measure(trained_model(simulated), Measurements(["input-x-gradient"]))
    explained = []
    monkeypatch.setattr(
        "priorbench.evaluation.measure.explain",
        lambda *args: explained.append(args[-1]) or explain(*args),
    )
    from priorbench.evaluation.stored_arrays import explain

    probing = {n for n, m in METRICS.items() if m.scope == "model"}
    known = {"input-x-gradient": dict.fromkeys(probing, 7.0)}
    again = measure(trained_model(simulated), both, first.arrays, known)
    assert explained == ["simplex-gradient"]
    assert again.metrics["simplex-gradient"] == pytest.approx(
        whole.metrics["simplex-gradient"], nan_ok=True
    )
    assert again.metrics["input-x-gradient"]["strand-cosine"] == 7
    assert set(again.arrays) == set(whole.arrays)
    assert again.metrics[""] == pytest.approx(whole.metrics[""], nan_ok=True)


def test_stored_arrays_are_enough_for_metrics_that_need_no_model(simulated):
    measurement = measure(trained_model(simulated), Measurements(["integrated-gradients:steps=4"]))
    again = score_stored(measurement.arrays, ["integrated-gradients:steps=4"], TASK, simulated)
    own = measurement.metrics["integrated-gradients:steps=4"]
    for name, value in again["integrated-gradients:steps=4"].items():
        assert own[name] == pytest.approx(value, nan_ok=True), name
    assert own["completeness-error"] > 0


def test_attributions_that_miss_their_sum_are_flagged(simulated):
    measurement = measure(trained_model(simulated), Measurements(["integrated-gradients:steps=1"]))
    error = measurement.metrics["integrated-gradients:steps=1"]["completeness-error"]
    flagged = [f for f in measurement.flags if f.startswith("integrated-gradients:steps=1: ")]
    assert bool(flagged) == (error > 0.05)
    assert measure(trained_model(simulated), Measurements(["input-x-gradient"])).flags == []


def test_attributions_that_are_not_finite_collapse_a_trial(simulated):
    trained = trained_model(simulated)
    with torch.no_grad():
        next(iter(trained.model.parameters())).fill_(float("nan"))
    measurement = measure(trained, Measurements(["input-x-gradient"]))
    assert measurement.reason == "a prediction is not finite"
    assert measurement.metrics == {}
