"""The seal on what a study claims: what differs from it is named, and is no finding."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from priorbench.metrics import METRICS
from priorbench.storage.sealed_files import MANIFEST
from priorbench.study.declared import ALL, EXPLORATORY, PRIMARY, DeclaredClaims, claims_of
from priorbench.study.sealed_claims import (
    CLAIMS_FILE,
    Look,
    checked_claims,
    look_at,
    looks_at,
    record_look,
    seal_claims,
    upcoming_claims,
)
from priorbench.study.study import Study
from priorbench.study.trial import Trial

MAIN = "input-x-gradient"
AXES = {"prediction": "auroc", "localisation": "motif-auprc", "stability": "seed-cosine-corrected"}
CLAIMS = DeclaredClaims({"binary": AXES}, {"auroc": 0.005}, attribution=MAIN)


def families(claims):
    """Return the family of every primary metric."""
    return {name: claims.family("binary", MAIN, METRICS[name]) for name in AXES.values()}


def record(root, seeds, **more):
    """Record a look at these seeds."""
    record_look(root, Look(tuple(seeds), **more))


def trial(seed, **more):
    about = {"task": "binary", "dataset": "SRF", "architecture": "three-conv", "prior": "tv"}
    about |= {"weight": 1.0, "train_attribution": MAIN, "stage": "evaluate", "scale": "smoke"}
    about |= {"root_seed": 0, "device": "cpu", "digest": "d", "code": "c"}
    return Trial(seed=seed, **(about | more))


def begin(root):
    (root / "trials" / "0").mkdir(parents=True)


class TestSealing:
    def test_is_kept_from_the_first_trial_on(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        written = (tmp_path / CLAIMS_FILE).read_bytes()
        begin(tmp_path)
        seal_claims(tmp_path, replace(CLAIMS, margins={"auroc": 0.1}))
        assert (tmp_path / CLAIMS_FILE).read_bytes() == written

    def test_is_not_written_after_the_first_trial(self, tmp_path):
        begin(tmp_path)
        seal_claims(tmp_path, CLAIMS)
        assert not (tmp_path / CLAIMS_FILE).exists()

    def test_says_what_was_declared(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        stored = json.loads((tmp_path / CLAIMS_FILE).read_text())
        assert stored["declared"] == {
            "primary": {"binary": AXES},
            "margins": {"auroc": 0.005},
            "skill_margins": dict(CLAIMS.skill_margins),
            "attribution": MAIN,
            "baseline": "none",
            "correction": "joint",
        }
        assert stored["looks"] == []

    def test_what_is_as_declared_is_primary(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        begin(tmp_path)
        checked = checked_claims(tmp_path, CLAIMS)
        assert checked == CLAIMS
        assert set(families(checked).values()) == {PRIMARY}

    def test_a_study_is_as_it_was_written(self, tmp_path):
        study = Study(primary={"binary": AXES}, attributions=[MAIN]).model_dump(mode="json")
        seal_claims(tmp_path, claims_of(study))
        assert checked_claims(tmp_path, claims_of(study)).changed == {}


class TestEdits:
    @pytest.mark.parametrize(
        ("edit", "exploratory", "words"),
        [
            (
                {"margins": {"auroc": 0.3}},
                {"auroc"},
                "the margin of auroc that was declared is 0.005, and here it is 0.3",
            ),
            (
                {"margins": {}},
                {"auroc"},
                "the margin of auroc that was declared is 0.005, and here it is none",
            ),
            (
                {"margins": {"auroc": 0.005, "motif-auprc": 0.5}},
                {"motif-auprc"},
                "the margin of motif-auprc that was declared is none, and here it is 0.5",
            ),
            (
                {"skill_margins": {**CLAIMS.skill_margins, "localisation": 0.9}},
                {"motif-auprc"},
                "the margin on localisation that was declared is 0.1, and here it is 0.9",
            ),
            (
                {"primary": {"binary": {**AXES, "localisation": "motif-auroc"}}},
                {"motif-auprc"},
                "the primary metric of binary on localisation that was declared is motif-auprc, "
                "and here it is motif-auroc",
            ),
            (
                {"primary": {"binary": {k: v for k, v in AXES.items() if k != "prediction"}}},
                set(AXES.values()),
                "the primary metric of binary on prediction that was declared is auroc, and here "
                "it is none",
            ),
            (
                {"primary": {}},
                set(AXES.values()),
                "the primary metric of binary on stability that was declared is "
                "seed-cosine-corrected, and here it is none",
            ),
            (
                {"baseline": "dropout"},
                set(AXES.values()),
                "the baseline that was declared is none, and here it is dropout",
            ),
            (
                {"correction": "holm"},
                set(AXES.values()),
                "the correction that was declared is joint, and here it is holm",
            ),
            (
                {"attribution": "gradient"},
                set(AXES.values()),
                "the attribution that was declared is input-x-gradient, and here it is gradient",
            ),
        ],
    )
    def test_are_named_and_make_no_verdict(self, tmp_path, edit, exploratory, words):
        seal_claims(tmp_path, CLAIMS)
        begin(tmp_path)
        checked = checked_claims(tmp_path, replace(CLAIMS, **edit))
        assert checked.sealed
        assert any(words in text for text in checked.changed.values())
        by_name = families(checked)
        assert {name for name, family in by_name.items() if family == EXPLORATORY} == exploratory
        for name in set(checked.primary.get("binary", {}).values()) - set(
            AXES.values()
        ):  # what was not declared is no more than a lead
            assert checked.family("binary", MAIN, METRICS[name]) == EXPLORATORY

    def test_are_all_named_where_several_meet(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        margins = {**CLAIMS.skill_margins, "prediction": 0.5}
        edited = replace(CLAIMS, margins={"auroc": 0.3}, skill_margins=margins)
        text = checked_claims(tmp_path, edited).changed["auroc"]
        assert "the margin of auroc" in text
        assert "the margin on prediction" in text
        edited = replace(CLAIMS, correction="holm", attribution="gradient")
        text = checked_claims(tmp_path, edited).changed[ALL]
        assert "the correction that" in text
        assert "the attribution that" in text

    def test_another_baseline_on_request_is_named_once(self, tmp_path):
        study = Study(primary={"binary": AXES}, attributions=[MAIN]).model_dump(mode="json")
        seal_claims(tmp_path, claims_of(study))
        checked = checked_claims(tmp_path, claims_of(study, "dropout"))
        assert checked.changed == {
            ALL: "the baseline that was declared is none, and here it is dropout"
        }

    @pytest.mark.parametrize(
        "edit",
        [
            lambda stored: stored["declared"]["margins"].update(auroc=0.3),
            lambda stored: stored["looks"].clear(),
            lambda stored: stored.pop("looks"),
            lambda stored: stored.update(sealed=True),
        ],
    )
    def test_of_the_seal_itself_are_noticed(self, tmp_path, edit):
        seal_claims(tmp_path, CLAIMS)
        record(tmp_path, range(8))
        path = tmp_path / CLAIMS_FILE
        stored = json.loads(path.read_text())
        edit(stored)
        path.write_text(json.dumps(stored))
        checked = checked_claims(tmp_path, CLAIMS)
        assert not checked.sealed
        assert "is missing or was edited" in checked.changed[ALL]
        assert set(families(checked).values()) == {EXPLORATORY}

    def test_that_remove_the_seal_are_noticed(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        assert checked_claims(tmp_path, CLAIMS).sealed
        begin(tmp_path)
        (tmp_path / CLAIMS_FILE).unlink()
        assert "is missing or was edited" in checked_claims(tmp_path, CLAIMS).changed[ALL]
        # nor does another one take its place
        seal_claims(tmp_path, replace(CLAIMS, margins={"auroc": 0.3}))
        record(tmp_path, range(8))
        assert not (tmp_path / CLAIMS_FILE).exists()
        assert ALL in checked_claims(tmp_path, replace(CLAIMS, margins={"auroc": 0.3})).changed

    @pytest.mark.parametrize("claims", [CLAIMS, replace(CLAIMS, margins={"auroc": 0.3})])
    def test_that_put_another_seal_in_its_place_are_noticed(self, tmp_path, claims):
        """That of another run, or of the same claims before the first look at the results."""
        seal_claims(tmp_path, CLAIMS)
        record(tmp_path, range(8))
        other = tmp_path / "other"
        other.mkdir()
        seal_claims(other, claims)
        (tmp_path / CLAIMS_FILE).write_bytes((other / CLAIMS_FILE).read_bytes())
        assert ALL in checked_claims(tmp_path, claims).changed

    def test_that_remove_the_manifest_too_are_noticed(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        begin(tmp_path)
        (tmp_path / MANIFEST).unlink()
        for seal in (True, False):
            if not seal:
                (tmp_path / CLAIMS_FILE).unlink()
            assert ALL in checked_claims(tmp_path, CLAIMS).changed

    @pytest.mark.parametrize("contents", ["", "[]", "null", '{"format": 1}', "\x00"])
    def test_a_damaged_seal_is_no_seal(self, tmp_path, contents):
        (tmp_path / CLAIMS_FILE).write_text(contents)
        checked = checked_claims(tmp_path, CLAIMS)
        assert (checked.sealed, list(checked.changed)) == (False, [ALL])

    def test_before_a_run_has_begun_the_study_is_taken_at_its_word(self, tmp_path):
        record(tmp_path, range(8))
        checked = checked_claims(tmp_path, CLAIMS)
        assert (checked.sealed, checked.changed, checked.look) == (False, {}, 1)
        assert set(families(checked).values()) == {PRIMARY}


class TestLooks:
    def look(self, root, seeds, **more):
        record(root, seeds, **more)
        return checked_claims(root, CLAIMS).look

    def test_are_counted_by_their_seeds(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        assert checked_claims(tmp_path, CLAIMS).look == 1
        looks = [
            self.look(tmp_path, seeds)
            for seeds in (
                range(8),
                range(8),
                range(6),
                range(10),
                range(8),
                range(9),
                range(100, 112),
            )
        ]
        # the same seeds and some of them are no further look, others are
        assert looks == [1, 1, 1, 2, 2, 2, 3]
        stored = json.loads((tmp_path / CLAIMS_FILE).read_text())["looks"]
        assert [look["seeds"] for look in stored] == [
            list(range(8)),
            list(range(10)),
            list(range(100, 112)),
        ]

    def test_are_of_arms_as_well_as_of_seeds(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        arms = ("a", "a", "b", "b", "a")
        looks = [self.look(tmp_path, range(8), arms=name) for name in arms]
        assert looks == [1, 1, 2, 2, 2]

    def test_at_other_weights_priors_or_settings_are_others(self):
        known = look_at([trial(seed) for seed in (3, 0, 1)])
        assert (known.seeds, known.settings) == ((0, 1, 3), 1)
        assert known.covers(look_at([trial(1), trial(0)]))
        assert not known.covers(look_at([trial(2)]))
        for other in ({"weight": 2.0}, {"prior": "l1"}, {"dataset": "GATA2"}):
            more = look_at([trial(seed, **own) for seed in (0, 1, 3) for own in ({}, other)])
            assert not known.covers(more)
            assert not more.covers(known)
            assert more.settings == (2 if "dataset" in other else 1)
        assert not known.covers(look_at([trial(seed, weight=2.0) for seed in (0, 1, 3)]))

    # five seeds can show that nothing is lost: one side of a test has p of 1/32
    @pytest.mark.parametrize("counts", [(5, 6, 7), (8, 12, 16)])
    def test_each_has_the_level_that_is_left(self, tmp_path, counts):
        seal_claims(tmp_path, CLAIMS)
        levels = []
        for count in counts:
            record(tmp_path, range(count))
            levels.append(checked_claims(tmp_path, CLAIMS).level)
        assert levels == pytest.approx([0.04, 0.005, 0.0025])
        assert tuple(len(look.seeds) for look in looks_at(tmp_path)) == counts

    def test_whose_seeds_are_gone_leave_nothing_to_claim(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        record(tmp_path, range(8))
        assert checked_claims(tmp_path, CLAIMS, range(8)) == CLAIMS
        assert checked_claims(tmp_path, CLAIMS, range(9)) == CLAIMS
        checked = checked_claims(tmp_path, CLAIMS, (0, 1, 2, 4, 5, 6))
        assert checked.sealed
        assert checked.changed == {ALL: "trials of seeds 3 and 7 were looked at and are gone"}
        assert set(families(checked).values()) == {EXPLORATORY}

    def test_to_come_are_foreseen(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        eight, twelve = Look(tuple(range(8)), "a"), Look(tuple(range(12)), "a")
        assert upcoming_claims(tmp_path, CLAIMS, eight).look == 1
        record_look(tmp_path, eight)
        others = replace(eight, arms="b")
        not_chosen_yet = replace(eight, arms="")
        foreseen = [
            upcoming_claims(tmp_path, CLAIMS, look).look
            for look in (eight, not_chosen_yet, twelve, others)
        ]
        assert foreseen == [1, 1, 2, 2]
        record_look(tmp_path, others)
        assert checked_claims(tmp_path, CLAIMS).look == 2

    def test_at_too_few_runs_to_claim_anything_spend_nothing(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        assert self.look(tmp_path, range(3)) == 1
        assert json.loads((tmp_path / CLAIMS_FILE).read_text())["looks"] == []
        assert self.look(tmp_path, range(3), settings=4) == 1
        assert looks_at(tmp_path) == (Look((0, 1, 2), settings=4),)

    def test_spend_something_once_one_has_however_few_their_seeds(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        assert self.look(tmp_path, range(8)) == 1
        assert self.look(tmp_path, range(100, 103)) == 2

    def test_keep_what_was_declared(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        record(tmp_path, range(8))
        assert checked_claims(tmp_path, CLAIMS).changed == {}
        assert list(checked_claims(tmp_path, replace(CLAIMS, margins={})).changed) == ["auroc"]
