"""Nonsense that has the right form is told, and what cannot carry a score is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.doubts.labels import FEW, FEWEST, doubt_drawn_negatives
from priorbench.data.doubts.truth import chance_of_site, doubt_motifs, doubt_truth
from priorbench.data.doubts.written_data import doubt_written
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError

COUNT = 300
Change = Callable[[dict[str, Any]], None]


def name(value: Any) -> str:
    return getattr(value, "__name__", "")


def classes() -> dict[str, Any]:
    """Nothing is wrong with these two classes: 300 windows, of which a third each is a split."""
    rng = np.random.default_rng(0)
    return {
        "sequence": rng.integers(0, 4, (COUNT, 60)).astype(np.uint8),
        "label": np.tile([0, 1], COUNT // 2).astype(np.float32),
        "split": np.repeat([0, 1, 2], COUNT // 3).astype(np.uint8),
    }


def outputs() -> dict[str, Any]:
    """Nothing is wrong with these three outputs."""
    label = np.random.default_rng(1).integers(0, 2, (COUNT, 3)).astype(np.float32)
    return {**classes(), "label": label}


def profiles() -> dict[str, Any]:
    """Nothing is wrong with these reads and controls on two strands."""
    rng = np.random.default_rng(2)
    reads, controls = rng.poisson(1.0, (2, COUNT, 2, 40)).astype(np.float32)
    label = np.log1p(reads.sum(axis=2))
    return {**classes(), "label": label, "reads": reads, "controls": controls}


def doubts(tmp_path: Path, arrays: dict[str, Any]) -> Notes:
    with DatasetWriter(tmp_path / "data") as writer:
        for begin in range(0, len(arrays["split"]), 70):
            writer.append(**{key: array[begin : begin + 70] for key, array in arrays.items()})
        doubt_written(writer, Path("mine.toml"), both_strands=True)
        return writer.notes


@pytest.mark.parametrize("good", [classes, outputs, profiles])
def test_good_data_raise_no_doubts(tmp_path: Path, good: Callable[[], dict[str, Any]]) -> None:
    notes = doubts(tmp_path, good())
    assert not notes.warnings
    assert not notes.sentences


def _strand_without_reads(arrays: dict[str, Any]) -> None:
    arrays["reads"][:, 1] = 0


def _split_without_reads(arrays: dict[str, Any]) -> None:
    arrays["reads"][100:200] = 0


def _no_reads(arrays: dict[str, Any]) -> None:
    arrays["reads"][:] = 0
    arrays["label"][:] = 0


def _few_windows_with_reads(arrays: dict[str, Any]) -> None:
    arrays["reads"][np.arange(COUNT) % 3 > 0] = 0


def _one_strand_twice(arrays: dict[str, Any]) -> None:
    arrays["reads"][:, 1] = arrays["reads"][:, 0]


def _one_control_twice(arrays: dict[str, Any]) -> None:
    arrays["controls"][:, 1] = arrays["controls"][:, 0]


def _signal_as_control(arrays: dict[str, Any]) -> None:
    arrays["controls"] = arrays["reads"].copy()


def _few_windows(arrays: dict[str, Any]) -> None:
    arrays["split"][110:200] = 0


PROFILE_DOUBTS: list[tuple[Change, str]] = [
    (_no_reads, "Reads of the plus strand have no read in any window"),
    (_strand_without_reads, "Reads of the minus strand have no read in any window"),
    (_split_without_reads, "Reads of the plus strand have no read in any window for validation"),
    (_few_windows_with_reads, "200 of 300 windows have no read"),
    (_one_strand_twice, "Reads of the plus strand and reads of the minus strand are the same"),
    (_one_control_twice, "Controls of the plus strand and controls of the minus strand are"),
    (_signal_as_control, "Reads of the plus strand and controls of the plus strand are the same"),
    (_few_windows, "Only 10 windows for validation"),
]


@pytest.mark.parametrize(("change", "words"), PROFILE_DOUBTS, ids=name)
def test_reads_that_are_nonsense(tmp_path: Path, change: Change, words: str) -> None:
    arrays = profiles()
    change(arrays)
    assert any(words in warning for warning in doubts(tmp_path, arrays).warnings)


def _constant_output(arrays: dict[str, Any]) -> None:
    arrays["label"][:, 1] = 1


def _output_that_is_constant_for_test(arrays: dict[str, Any]) -> None:
    arrays["label"][200:, 2] = 0


def _one_output_twice(arrays: dict[str, Any]) -> None:
    arrays["label"][:, 2] = arrays["label"][:, 0]


def _rare_output(arrays: dict[str, Any]) -> None:
    arrays["label"][:, 0] = np.arange(COUNT) % 100 < 7


OUTPUT_DOUBTS: list[tuple[Change, str]] = [
    (_constant_output, "1 of 3 outputs (number 2) are constant: nothing"),
    (_output_that_is_constant_for_test, "1 of 3 outputs (number 3) are constant for test"),
    (_one_output_twice, "1 of 3 outputs (number 3) equal those of an output before"),
    (
        _rare_output,
        "Fewer than 20 sequences of a class for test in 1 of 3 outputs (number 1)",
    ),
]


@pytest.mark.parametrize(("change", "words"), OUTPUT_DOUBTS, ids=name)
def test_labels_that_are_nonsense(tmp_path: Path, change: Change, words: str) -> None:
    arrays = outputs()
    change(arrays)
    assert any(words in warning for warning in doubts(tmp_path, arrays).warnings)


def test_an_output_that_can_be_scored_is_enough(tmp_path: Path) -> None:
    arrays = outputs()
    arrays["label"][:, :2] = 0
    doubts(tmp_path, arrays)
    arrays["label"][200:, 2] = np.arange(100) < FEWEST - 1
    with pytest.raises(UserError, match=r"mine\.toml: no output has 5 positives and 5 negatives"):
        doubts(tmp_path, arrays)


def _all_the_same(arrays: dict[str, Any]) -> None:
    arrays["sequence"][1::2] = arrays["sequence"][1]


def _few_different(arrays: dict[str, Any]) -> None:
    arrays["sequence"][::2] = arrays["sequence"][:20:2].repeat(15, axis=0)


def _hardly_different(arrays: dict[str, Any]) -> None:
    arrays["sequence"][:, 10:50] = 2


def _some_in_both(arrays: dict[str, Any]) -> None:
    arrays["sequence"][1:41:2] = 3 - arrays["sequence"][0:40:2, ::-1]


def _much_unknown(arrays: dict[str, Any]) -> None:
    arrays["sequence"][:, :10] = 4


def _gc_tells(arrays: dict[str, Any]) -> None:
    arrays["sequence"][1::2] = np.random.default_rng(3).choice([0, 1, 1, 2, 2, 3], (150, 60))


def _n_tells(arrays: dict[str, Any]) -> None:
    arrays["sequence"][1:101:2, 0] = 4


def _leak(arrays: dict[str, Any]) -> None:
    arrays["sequence"][200:220, 4:] = arrays["sequence"][:20, :-4]


def _short_repeats_leak(arrays: dict[str, Any]) -> None:
    arrays["sequence"] = arrays["sequence"][:, :14]
    arrays["sequence"][200:220] = 3 - arrays["sequence"][:20, ::-1]


def _repeats_of_simple_sequence_leak(arrays: dict[str, Any]) -> None:
    row = np.arange(20)[:, None]
    runs = np.where(np.arange(60) < 10 + 2 * row, row % 4, (row + 1) % 4).astype(np.uint8)
    arrays["sequence"][200:220] = arrays["sequence"][:20] = runs


def _training_is_small(arrays: dict[str, Any]) -> None:
    arrays["split"][:50] = 2


def _few_positives(arrays: dict[str, Any]) -> None:
    arrays["label"][200:] = np.arange(100) < FEW - 1


SEQUENCE_DOUBTS: list[tuple[Change, str]] = [
    (_all_the_same, "Of 150 positives, all are the same."),
    (_few_different, "Of 150 negatives, only 10 are different."),
    (_hardly_different, "same base at 40 of 60 positions"),
    (_some_in_both, "20 sequences, 13.3% of a class, are in both classes"),
    (_much_unknown, "17% of all bases are N"),
    (_gc_tells, "The GC content alone tells positives from negatives with auROC 0."),
    (_n_tells, "The share of N alone tells positives from negatives with auROC 0.67"),
    (_leak, "20 of the 100 test sequences, 20.0%, are near-identical to sequences of training"),
    (_short_repeats_leak, "20 of the 100 test sequences, 20.0%, are near-identical"),
    (_repeats_of_simple_sequence_leak, "20 of the 100 test sequences, 20.0%, are near-identical"),
    (_training_is_small, "Training has 50 sequences, fewer than the 150 of test"),
    (_few_positives, "Only 19 positives for test"),
]


@pytest.mark.parametrize(("change", "words"), SEQUENCE_DOUBTS, ids=name)
def test_classes_that_are_nonsense(tmp_path: Path, change: Change, words: str) -> None:
    arrays = classes()
    change(arrays)
    warnings = doubts(tmp_path, arrays).warnings
    assert any(words in warning for warning in warnings), warnings


def test_a_single_leak_is_a_note(tmp_path: Path) -> None:
    arrays = classes()
    arrays["sequence"][200, 4:] = arrays["sequence"][0, :-4]
    notes = doubts(tmp_path, arrays)
    assert not notes.warnings
    assert "1 of the 100 test sequences, 1.0%" in notes.sentences[0]


def test_classes_of_mostly_the_same_sequences_are_refused(tmp_path: Path) -> None:
    arrays = classes()
    arrays["sequence"][1:181:2] = arrays["sequence"][0:180:2]
    with pytest.raises(UserError, match="90 of 150 different sequences of a class are in the"):
        doubts(tmp_path, arrays)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("label", [0, 1])
def test_too_few_of_a_class_are_refused(tmp_path: Path, number: int, label: int) -> None:
    arrays = classes()
    here = np.flatnonzero(arrays["split"] == number)
    arrays["label"][here] = 1 - label
    arrays["label"][here[: FEWEST - 1]] = label
    what = "4 " + ("positives" if label else "negatives")
    with pytest.raises(UserError, match=rf"mine\.toml: {what} for .* cannot carry a score"):
        doubts(tmp_path, arrays)
    arrays["label"][here[:FEW]] = label
    assert not doubts(tmp_path, arrays).warnings


def test_truth_that_says_nothing() -> None:
    def warning(covered: int, bases: int, by_chance: float = 0.0) -> str:
        truth = np.zeros((1000, 100), dtype=np.uint8)
        truth[:covered, :bases] = 1
        notes = Notes()
        doubt_truth(truth, "m.meme", notes, by_chance=by_chance)
        return " ".join(notes.warnings)

    assert warning(0, 0).startswith("No attributed sequence has a site of m.meme")
    assert warning(9, 10).startswith("Few sites of m.meme are in 0.9% of the 1,000")
    assert warning(1000, 51).startswith("Very many sites of m.meme are in 100.0%")
    assert "20.0% of random sequences would have one" in warning(210, 10, by_chance=0.2)
    assert not warning(300, 10, by_chance=0.2)
    assert not warning(10, 1)
    assert not warning(1000, 50)


def test_the_chance_of_a_site() -> None:
    assert chance_of_site([10, 12], 109, 1e-4, both_strands=False) == pytest.approx(
        1 - (1 - 1e-4) ** 198
    )
    assert chance_of_site([200], 100, 1e-4, both_strands=True) == 0


def test_motifs_that_cannot_have_a_site() -> None:
    notes = Notes()
    doubt_motifs({"wide": 30, "short": 6, "long": 31, "good": 12}, 29, 1e-4, notes)
    assert notes.warnings == [
        "No site can be found of motif wide and 1 more: longer than the windows of 29 bp.",
        "No site can be found of motif short: too short to match at p < 0.0001.",
    ]


def test_fewer_negatives_than_positives() -> None:
    notes = Notes()
    positives = np.repeat([0, 1, 2], 10).astype(np.uint8)
    doubt_drawn_negatives(positives, positives[:-1], notes)
    (warning,) = notes.warnings
    assert warning.startswith("Only 9 negatives could be drawn for the 10 positives of test")


def channel(change: Callable[[np.ndarray], None]) -> dict[str, Any]:
    """Two classes with a channel, as a change leaves it."""
    values = (np.random.default_rng(3).random((COUNT, 1, 60)) < 0.25).astype(np.float32)
    change(values)
    return {**classes(), "channel:c": values}


def test_a_channel_is_described(tmp_path: Path) -> None:
    arrays = channel(lambda values: values.__imul__(-2))
    notes = doubts(tmp_path, arrays)
    share = (arrays["channel:c"] != 0).mean()
    assert not notes.warnings
    assert notes.sentences[-1] == (
        f"Channel 'c' is not 0 at {share:.1%} of positions; mean {-2 * share:.4g}, from -2 to 0."
    )


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda values: values.fill(0), "Channel 'c' is 0 at every position of every window: "),
        (lambda values: values.fill(2.5), "Channel 'c' is 2.5 everywhere, which tells a prior"),
        (lambda v: v[100:200].fill(0), "Channel 'c' is 0 at every position for validation."),
        (lambda v: v[200:].fill(7), "Channel 'c' is 7 at every position for test."),
    ],
)
def test_a_channel_that_says_nothing(tmp_path: Path, change: Any, warning: str) -> None:
    (found,) = doubts(tmp_path, channel(change)).warnings
    assert found.startswith(warning)


def test_a_channel_is_no_signal(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(**channel(lambda values: None))
        assert (writer.tracks, writer.channels) == ([], ["c"])
