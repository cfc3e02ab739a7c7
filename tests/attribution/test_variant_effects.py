"""Effects of variants that networks predict and attributions tell, where they are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.datasets import simulate
from fixtures.networks import CPU, build_network
from fixtures.variants import KnownEffects, saturated

from priorbench.attribution.explainers import EXPLAINERS
from priorbench.attribution.variant_effects import (
    attributed_effects,
    measure_effects,
    neutral_batch,
    predicted_effects,
    stored_effects,
    with_measured,
    without_effects,
)
from priorbench.components import registry
from priorbench.data.codes import TRAIN
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.scoring import RANDOM, score_effects
from priorbench.training.batches import load_batch

TASK = registry.build("task", "binary")
LINEAR = ["input-x-gradient", "simplex-gradient", "integrated-gradients", "in-silico-mutagenesis"]


@pytest.fixture(scope="module")
def table():
    # shorter than the window of 80 bp, or as long
    return saturated([40, 80, 57])


@pytest.fixture
def with_variants(simulated, table):
    return replace(simulated, variants=table)


def test_a_network_that_knows_all_effects_predicts_them_and_scores_1(with_variants, table):
    # of two elements of one sequence a network can know one only
    one = replace(table, place=table.place[: -3 * 57], measured=table.measured[: -3 * 57])
    dataset = replace(with_variants, variants=one)
    model = KnownEffects(one, dataset.length)
    effects = predicted_effects(model, TASK, dataset, CPU)
    assert np.allclose(effects, one.effect, atol=1e-4)
    for name, score in score_effects(with_measured(one, effects), attributed=False).items():
        assert score == pytest.approx(1, abs=1e-3), name


@pytest.mark.parametrize("name", LINEAR)
def test_attributions_of_a_linear_network_tell_its_effects(with_variants, table, name):
    one = replace(table, place=table.place[: -3 * 57], measured=table.measured[: -3 * 57])
    dataset = replace(with_variants, variants=one)
    model = KnownEffects(one, dataset.length)
    effects = attributed_effects(model, TASK, dataset, CPU, name)
    scores = score_effects(with_measured(one, effects), attributed=True)
    assert len(scores) == 8
    for score, value in scores.items():
        assert value == pytest.approx(1, abs=1e-3), score


def test_shuffled_effects_score_what_chance_gives(with_variants):
    scores = reference_scores(with_variants, TASK)
    for name in ("variant-pearson", "variant-spearman", "variant-attribution-pearson"):
        assert scores[RANDOM][name] == pytest.approx(0, abs=0.03)
    assert scores[RANDOM]["variant-sign"] == pytest.approx(0.5, abs=0.05)
    share = with_variants.variants.strong.mean()
    assert scores[RANDOM]["variant-auprc"] == pytest.approx(share, abs=0.05)


def test_a_replicate_and_methods_without_a_network_are_scored_too(with_variants, table):
    scores = reference_scores(with_variants, TASK)
    last = 3 * 57
    pair = np.corrcoef(table.effect[-last:], table.effect[-2 * last : -last])[0, 1]
    assert scores["replicate"]["variant-pearson"] == pytest.approx(pair)
    for name in ("motif-scan", "gapped-kmers"):
        assert -1 < scores[name]["variant-pearson"] < 1
        assert scores[name]["variant-pearson"] != 0
        assert "variant-attribution-pearson" not in scores[name]


def test_without_variants_references_say_nothing_of_them(simulated):
    scores = reference_scores(simulated, TASK)
    assert not [name for of_one in scores.values() for name in of_one if "variant" in name]


@pytest.mark.parametrize("name", sorted(EXPLAINERS))
def test_every_attribution_of_all_four_bases_tells_effects(with_variants, name):
    model = build_network().eval()
    effects = attributed_effects(model, TASK, with_variants, CPU, name)
    if not EXPLAINERS[name].every_base:
        assert effects is None
        return
    assert effects.dtype == np.float32
    assert effects.shape == (len(with_variants.variants.place),)
    assert np.isfinite(effects).all()
    predicted = predicted_effects(model, TASK, with_variants, CPU)
    assert np.corrcoef(effects, predicted)[0, 1] > 0.3


def test_elements_longer_than_the_window_are_seen_around_the_variant(simulated):
    dataset = replace(simulated, variants=saturated([300]))
    model = build_network().eval()
    effects = predicted_effects(model, TASK, dataset, CPU)
    told = attributed_effects(model, TASK, dataset, CPU, "in-silico-mutagenesis")
    # what mutagenesis says of two bases is 4/3 of the change between them, in the same window
    assert np.allclose(told, 4 / 3 * effects, atol=1e-4)
    placed = dataset.variants.placed(dataset.length)
    variant = 3 * 150  # in the middle of the element
    codes = placed.reference[placed.window[variant]][None]
    changed = placed.changed(slice(variant, variant + 1))
    pair = load_logits(model, dataset, np.concatenate([codes, changed]))
    assert effects[variant] == pytest.approx(pair[1] - pair[0], abs=1e-5)


def test_what_only_rounds_otherwise_has_no_effect(with_variants):
    class Deaf(torch.nn.Module):
        def forward(self, sequence):
            return 3 + 1e-6 * sequence[:, 0].sum(dim=1, keepdim=True)

    assert not predicted_effects(Deaf(), TASK, with_variants, CPU).any()


def load_logits(model, dataset, codes):
    with torch.no_grad():
        return model(neutral_batch(dataset, codes, CPU).sequence)[:, 0].numpy()


def test_what_is_stored_is_not_asked_for_again(with_variants, table):
    model = build_network().eval()
    names = ["input-x-gradient", "gradient"]
    first = measure_effects(
        model, TASK, with_variants, CPU, attributions=names[:1], stored={"x": np.ones(1)}
    )
    assert list(first) == ["variant", "variant.input-x-gradient"]
    arrays = {"x": np.ones(1), **first}
    assert not measure_effects(model, TASK, with_variants, CPU, attributions=names, stored=arrays)
    stored = stored_effects(arrays, "input-x-gradient", table)
    assert np.array_equal(stored.predicted, first["variant.input-x-gradient"])
    assert np.array_equal(stored.measured, table.effect)
    assert stored_effects(arrays, "gradient", table) is None
    assert stored_effects(arrays, "", None) is None
    assert list(without_effects(arrays)) == ["x"]


@pytest.mark.parametrize("spec", ["profile", "profile:controls=true:mean_profile=true"])
def test_variants_of_profiles_change_the_predicted_counts(tmp_path, spec):
    dataset = replace(simulate(tmp_path / "profile", spec), variants=saturated([30, 150]))
    task = registry.build("task", spec)
    model = build_network("bpnet", task.network_shape_of(dataset)).eval()
    codes = dataset.codes(dataset.rows(TRAIN)[:3])
    neutral = neutral_batch(dataset, codes, CPU)
    loaded = load_batch(dataset, dataset.rows(TRAIN)[:3], CPU)
    assert torch.equal(neutral.sequence, loaded.sequence)
    for name, array in loaded.arrays.items():
        assert neutral.arrays[name].shape == array.shape, name
    if "mean_profile" in loaded.arrays:  # what all examples share is as it is
        assert torch.equal(neutral.arrays["mean_profile"], loaded.arrays["mean_profile"])
        assert not neutral.arrays["controls"].any()
    effects = predicted_effects(model, task, dataset, CPU)
    placed = dataset.variants.placed(dataset.length)
    with torch.no_grad():
        before, after = (
            model(batch.sequence, *task.inputs(batch))[1].sum(dim=1)
            for batch in (
                neutral_batch(dataset, placed.reference[placed.window[:5]], CPU),
                neutral_batch(dataset, placed.changed(slice(5)), CPU),
            )
        )
    assert np.allclose(effects[:5], (after - before).numpy(), atol=1e-5)
    assert attributed_effects(model, task, dataset, CPU, "input-x-gradient") is not None


def test_several_outputs_are_summed_unless_one_is_attributed(tmp_path):
    dataset = replace(simulate(tmp_path / "multi", "multitask"), variants=saturated([40]))
    shape = registry.build("task", "multitask").network_shape_of(dataset)
    model = build_network("three-conv", shape).eval()
    every = [
        predicted_effects(model, registry.build("task", spec), dataset, CPU)
        for spec in ("multitask", *(f"multitask:output={i + 1}" for i in range(shape.outputs)))
    ]
    assert np.allclose(every[0], np.sum(every[1:], axis=0), atol=1e-4)
    assert np.abs(every[1] - every[2]).max() > 1e-4
