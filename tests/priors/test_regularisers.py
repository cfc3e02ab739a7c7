"""Ordinary regularisers by their definitions."""

import pytest
import torch
import torch.nn.functional as F
from fixtures.networks import build_network, regularisation
from fixtures.sequences import random_sequences

from priorbench import Batch, UserError, load_prior
from priorbench.components import registry
from priorbench.components.hooks import LossOfInput
from priorbench.seeds import RandomStreams
from priorbench.study.resolve import resolve
from priorbench.study.study import Study
from priorbench.training.objective import Objective

CLASSES = registry.build("task", "binary")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def examples(count=8, length=80):
    return Batch(
        random_sequences(count, length, dtype=torch.float64),
        torch.arange(count).remainder(2).double(),
    )


def losses_of(model, label):
    return lambda x: F.binary_cross_entropy_with_logits(model(x)[:, 0], label, reduction="none")


def letters(x):
    return ["".join("ACGT"[i] for i in row.argmax(dim=0)) for row in x]


def test_label_smoothing():
    batch = Batch(torch.zeros(3, 4, 5), torch.tensor([0.0, 1.0, 1.0]))
    changed = load_prior("label-smoothing").change_examples(batch, 0.2, seeded())
    assert changed.label.tolist() == pytest.approx([0.1, 0.9, 0.9])
    assert changed.sequence is batch.sequence


def test_penalties_keep_their_examples_when_labels_change():
    model, batch = build_network().double(), examples()
    alone, both = (
        Objective(model, CLASSES, regularisation(prior), RandomStreams(0, ("t",), 0))
        for prior in ("l2", "l2+label-smoothing")
    )
    (_, expected), (loss, penalty) = (each.losses(batch, 0.0) for each in (alone, both))
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-12)
    smooth = batch.label + 0.1 * (0.5 - batch.label)
    assert loss.item() == pytest.approx(losses_of(model, smooth)(batch.sequence).mean().item())


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_mixup_is_linear_and_keeps_the_larger_part(weight):
    batch = Batch(torch.eye(64).reshape(64, 4, 16), torch.arange(64.0), {"row": torch.arange(64)})
    mixed = load_prior("mixup").change_examples(batch, weight, seeded())
    shares = mixed.sequence.reshape(64, 64)
    assert torch.allclose(shares.sum(dim=1), torch.ones(64))
    assert ((shares > 0).sum(dim=1) <= 2).all()
    assert torch.allclose(mixed.label, shares @ batch.label, rtol=1e-5)
    own = shares.diagonal()
    assert (own >= 0.5 - 1e-6).all()
    assert torch.equal(mixed.arrays["row"], batch.arrays["row"])


def test_the_shares_of_mixup_have_the_variance_of_beta():
    count, weight = 4000, 0.5
    batch = Batch(torch.zeros(count, 4, 1), torch.arange(count).remainder(2).float())
    own = [
        load_prior("mixup").change_examples(batch, weight, seeded(seed)).label for seed in range(5)
    ]
    # where the two labels differ, the mixture's distance from 1/2 is that of the share
    distance = (torch.stack(own) - 0.5).abs()
    distance = distance[distance < 0.5 - 1e-6]
    assert distance.square().mean().item() == pytest.approx(1 / (4 * (2 * weight + 1)), rel=0.06)


@pytest.mark.parametrize("form", ["sign", "bases"])
def test_adversarial_inputs(form):
    model, batch = build_network("three-conv:batch_norm=false").double(), examples()
    loss_at = losses_of(model, batch.label)
    x = batch.sequence.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_at(x).sum(), x)
    given = []

    def at(sequence):
        given.append(sequence)
        return loss_at(sequence)

    prior = load_prior(f"adversarial:form={form}:epsilon=0.1")
    value = prior.loss_penalty(LossOfInput(x, loss_at(x), at))
    assert value.item() == pytest.approx(loss_at(given[0]).mean().item())
    assert value.item() > loss_at(batch.sequence).mean().item()
    if form == "sign":
        assert torch.equal(given[0], batch.sequence + 0.1 * gradient.sign())
        return
    changed = (given[0] != batch.sequence).any(dim=1)
    assert torch.equal(given[0].sum(dim=1), torch.ones(8, 80).double())
    for row in range(8):
        gains = gradient[row].max(dim=0).values - (gradient[row] * batch.sequence[row]).sum(dim=0)
        assert set(changed[row].nonzero()[:, 0].tolist()) == set(gains.topk(8).indices.tolist())


def test_adversarial_bases_leave_unknown_ones_alone():
    x = torch.zeros(2, 4, 30, dtype=torch.float64)
    x[0, 0, :3] = 1
    slope = torch.randn(2, 4, 30, generator=seeded()).double()
    x.requires_grad_()
    given = []

    def at(sequence):
        given.append(sequence)
        return (sequence * slope).sum(dim=(1, 2))

    load_prior("adversarial:form=bases:epsilon=0.5").loss_penalty(LossOfInput(x, at(x), at))
    assert not given[1][:, :, 3:].any()
    assert not given[1][1].any()


def test_double_backprop_against_two_passes():
    model, batch = build_network().double().train(), examples()
    for layer in model.modules():  # functional transforms refuse to count batches
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    x = batch.sequence.clone().requires_grad_()
    losses = losses_of(model, batch.label)(x)
    value = load_prior("double-backprop").loss_penalty(
        LossOfInput(x, losses, losses_of(model, batch.label))
    )
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(value, learnt)

    def penalty_of_weights(*weights):
        names = [n for n, p in model.named_parameters() if p.requires_grad]
        state = dict(zip(names, weights, strict=True))

        def loss(sequence):
            output = torch.func.functional_call(model, state, sequence)
            return F.binary_cross_entropy_with_logits(output[:, 0], batch.label, reduction="sum")

        return torch.func.grad(loss)(batch.sequence).square().sum() / len(batch.label)

    with torch.no_grad():
        assert value.item() == pytest.approx(penalty_of_weights(*learnt).item(), rel=1e-9)
    expected = torch.func.grad(penalty_of_weights, argnums=tuple(range(len(learnt))))(*learnt)
    for slope, wanted in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope, wanted, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("prior", ["double-backprop", "adversarial", "fourier+double-backprop"])
def test_a_step_pays_for_the_penalty_on_the_loss(prior):
    model, batch = build_network("three-conv:batch_norm=false").double(), examples()
    objective = Objective(model, CLASSES, regularisation(prior), RandomStreams(0, ("t",), 0))
    loss, penalty = objective.losses(batch, 0.0)
    weight = {"double-backprop": 0.01, "adversarial": 1.0}[prior.split("+")[-1]]
    x = batch.sequence.clone().requires_grad_()
    losses = losses_of(model, batch.label)
    given = LossOfInput(x, losses(x), losses)
    expected = weight * load_prior(prior.split("+")[-1]).loss_penalty(given)
    if "+" in prior:
        alone = Objective(model, CLASSES, regularisation("fourier"), RandomStreams(0, ("t",), 0))
        expected = expected + alone.losses(batch, 0.0)[1]
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    assert loss.item() == pytest.approx(losses(batch.sequence).mean().item(), rel=1e-12)
    penalty.backward()


def test_spectral_norm():
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 5), torch.nn.Linear(6, 3))
    largest = [
        torch.linalg.svdvals(layer.weight.reshape(layer.weight.shape[0], -1)).max().item()
        for layer in model
    ]
    value = load_prior("spectral-norm").parameter_penalty(model)
    assert value.item() == pytest.approx(sum(v**2 for v in largest) / 2, rel=1e-6)
    with pytest.raises(UserError, match="no weights"):
        load_prior("spectral-norm").parameter_penalty(torch.nn.BatchNorm1d(3))


def test_the_spectral_norm_of_diverged_weights_is_not_a_number():
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 5), torch.nn.Linear(6, 3))
    with torch.no_grad():
        model[1].weight.fill_(torch.nan)
    assert load_prior("spectral-norm").parameter_penalty(model).isnan()


NONE = {"deletion": 0, "insertion": 0, "translocation": 0, "mutation": 0, "noise": 0}


def evoaug(most=1, **sizes):
    options = {**NONE, **sizes, "most": most}
    return load_prior("evoaug:" + ":".join(f"{k}={v}" for k, v in options.items()))


class TestEvoAug:
    x = random_sequences(200, 60, dtype=torch.float32)

    def pairs(self, weight=1.0, **sizes):
        changed = evoaug(**sizes).augment(self.x, weight, seeded())
        return list(zip(letters(self.x), letters(changed), strict=True))

    def test_deletion(self):
        sizes = set()
        for old, new in self.pairs(deletion=9):
            # some length, place and ends explain what is there
            found = [
                (size, start)
                for size in range(10)
                for start in range(61 - size)
                if new[size // 2 : size // 2 + 60 - size] == old[:start] + old[start + size :]
            ]
            assert found
            sizes.add(max(found)[0])
        assert sizes >= set(range(1, 10))

    def test_insertion(self):
        for old, new in self.pairs(insertion=9):
            assert any(explains(old, new, size, start) for size in range(10) for start in range(61))

    def test_translocation(self):
        shifts = set()
        for old, new in self.pairs(translocation=4):
            (shift,) = [s for s in range(-4, 5) if new == old[-s:] + old[:-s]][:1]
            shifts.add(shift)
        assert shifts == set(range(-4, 5))

    def test_inversion(self):
        turned = str.maketrans("ACGT", "TGCA")
        for old, new in self.pairs(inversion=7):
            assert any(
                new == old[:a] + old[a : a + k].translate(turned)[::-1] + old[a + k :]
                for k in range(8)
                for a in range(61 - k)
            )

    def test_mutation(self):
        changed = [
            sum(a != b for a, b in zip(old, new, strict=True))
            for old, new in self.pairs(mutation=0.1)
        ]
        assert sum(changed) / (200 * 60) == pytest.approx(0.1, abs=0.01)

    def test_reverse_complement(self):
        turned = str.maketrans("ACGT", "TGCA")
        pairs = self.pairs(reverse_complement=0.5)
        kept = sum(old == new for old, new in pairs)
        assert 70 < kept < 130
        assert all(new in (old, old.translate(turned)[::-1]) for old, new in pairs)

    def test_noise_and_unknown_bases(self):
        noisy = evoaug(noise=0.3).augment(self.x, 1.0, seeded())
        assert (noisy - self.x).std().item() == pytest.approx(0.3, rel=0.02)
        unknown = self.x.clone()
        unknown[:, :, 20:30] = 0
        assert not evoaug(mutation=0.5).augment(unknown, 1.0, seeded())[:, :, 20:30].any()

    def test_the_weight_is_the_share_of_sequences_that_change(self):
        x = random_sequences(2000, 60, dtype=torch.float32)
        changed = evoaug(noise=0.3).augment(x, 0.25, seeded()) != x
        assert changed.flatten(1).any(dim=1).float().mean().item() == pytest.approx(0.25, abs=0.03)

    def test_each_sequence_gets_as_many_changes_as_most(self):
        both = evoaug(mutation=0.5, noise=0.3, most=2).augment(self.x, 1.0, seeded())
        one = evoaug(mutation=0.5, noise=0.3, most=1).augment(self.x, 1.0, seeded())
        whole = one == one.round()
        assert not (both == both.round()).all(dim=(1, 2)).any()
        assert 60 < whole.all(dim=(1, 2)).sum() < 140

    def test_what_makes_no_sense_is_refused(self):
        for options, problem in (
            ({"deletion": -1}, "deletion -1 is negative"),
            ({"mutation": 0.9}, "mutation 0.9 is not between 0 and 0.75"),
            ({"most": 3, "noise": 0.1}, "most 3 is not between 1 and 1"),
        ):
            with pytest.raises(UserError, match=problem):
                evoaug(**options)
        with pytest.raises(UserError, match="do not fit into 60 bp"):
            evoaug(deletion=60).augment(self.x, 1.0, seeded())
        with pytest.raises(UserError, match="not a probability"):
            load_prior("evoaug").check_weight(1.5)


def explains(old, new, size, start):
    """Whether an insertion of some bases at a place, cut at both ends, makes ``new``."""
    longer = [*old[:start], *[None] * size, *old[start:]][size // 2 : size // 2 + 60]
    return all(base in (None, there) for base, there in zip(longer, new, strict=True))


REFUSED = {
    ("label-smoothing", "profile"): "no classes",
    ("mixup", "profile"): "no classes",
    ("evoaug", "profile"): "no longer lie where their bases are",
    ("evoaug:reverse_complement=0.5", "rbp"): "another molecule",
    ("fourier+mixup", "profile"): "no classes",
}


@pytest.mark.parametrize(("prior", "task"), REFUSED)
def test_a_prior_that_cannot_act_in_a_task_is_refused_before_training(prior, task):
    with pytest.raises(UserError, match=REFUSED[prior, task]) as error:
        resolve(Study(priors=["none", prior], tasks=[task]), "cpu")
    assert f"{prior!r} cannot act in task {task}" in str(error.value)


def test_noise_and_mutations_act_on_profiles():
    spec = "evoaug:deletion=0:insertion=0:translocation=0"
    resolve(Study(priors=["none", spec], tasks=["profile"]), "cpu")
