"""Files for TF-MoDISco: true contributions of all four bases, from the stored models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.runs import records, run_smoke

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.evaluation.stored_arrays import read_arrays, stored_attribution
from priorbench.export.formats import export_run

pytestmark = pytest.mark.slow

SPECS = (
    "input-x-gradient",
    "simplex-gradient",
    "integrated-gradients:steps=2:reference=uniform",
    "expected-gradients:samples=2",
    "deep-lift-shap:shuffles=2",
    "in-silico-mutagenesis",
)
CORRECTED = ("simplex-gradient", "in-silico-mutagenesis", SPECS[2])
"""attributions whose hypothetical contributions have the mean 0 over the bases"""
FLOAT16 = 1e-3
"""relative precision of what trials store"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("modisco") / "run"
    arguments = ("--priors", "dropout", "--seeds", "2", "--attributions")
    assert run_smoke(folder, *arguments, ",".join([*SPECS, "gradient"])) == 0
    return folder


def array(path: Path) -> np.ndarray:
    with np.load(path) as file:
        return file["arr_0"]


@pytest.mark.parametrize("spec", SPECS)
def test_times_the_sequence_they_are_the_stored_attribution(root, tmp_path, spec):
    written = export_run(root, tmp_path, "modisco", attribution=spec, each_trial=True)
    paths = {path.stem: path for path in written.paths}
    sequences = array(paths["sequences"])
    every_base = {name: array(path) for name, path in paths.items() if name != "sequences"}
    assert len(every_base) == 2 * (2 + 1)
    evaluated = [r for r in records(root).values() if r["stage"] == "evaluate"]
    for record in evaluated:
        values = every_base[f"attributions-{record['prior']}-seed{record['seed']}"]
        stored = read_arrays((root / "trials" / record["trial"] / "arrays.npz").read_bytes())
        attribution = stored_attribution(stored, spec)
        size = np.abs(attribution).max()
        assert sequences.shape == values.shape
        np.testing.assert_allclose(
            (values * sequences).sum(axis=1), attribution, atol=FLOAT16 * size
        )
        assert np.abs(values[sequences == 0]).max() > 0.1 * size
        if spec in CORRECTED:
            assert np.abs(values.mean(axis=1)).max() < 1e-4 * np.abs(values).max()
    for prior in ("none", "dropout"):
        of_seeds = [every_base[f"attributions-{prior}-seed{seed}"] for seed in (0, 1)]
        np.testing.assert_allclose(
            every_base[f"attributions-{prior}"], np.mean(of_seeds, axis=0), atol=1e-6
        )


def test_an_attribution_without_other_bases_is_refused(root, tmp_path):
    with pytest.raises(
        UserError,
        match=r"attribution gradient does not depend on the observed base.*take --attribution "
        "input-x-gradient",
    ):
        export_run(root, tmp_path / "out", "modisco", attribution="gradient", each_trial=False)
    assert not (tmp_path / "out").exists()


def test_a_model_that_explains_otherwise_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "priorbench.export.every_base.explain_every_base",
        lambda model, task, dataset, *_: np.ones((len(dataset.attributed), 4, dataset.length)),
    )
    with pytest.raises(UserError, match=r"otherwise than when it was scored.*priorbench score"):
        export_run(root, tmp_path, "modisco", attribution=None, each_trial=False)


def test_a_model_that_cannot_be_built_is_one_line(root, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("size mismatch\nfor many layers")

    monkeypatch.setattr("priorbench.export.every_base.stored_model", fail)
    with pytest.raises(UserError, match=r"RuntimeError: size mismatch\); `priorbench run"):
        export_run(root, tmp_path, "modisco", attribution=None, each_trial=False)


def test_a_line_for_every_setting_fits_its_sequences(root, tmp_path, capsys, monkeypatch):
    for path in (tmp_path / "a", tmp_path / "b b"):
        path.mkdir()
        length = 30 if path.name == "a" else 900
        np.savez(path / "sequences.npz", np.zeros((2, 4, length), dtype=np.int8))
    paths = [
        tmp_path / a / b for a in ("a", "b b") for b in ("sequences.npz", "attributions-x.npz")
    ]
    monkeypatch.setattr("priorbench.export.formats._TRACKS", {"modisco": lambda *_, **__: paths})
    assert execute_command(["export", str(root), "--format", "modisco"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "modisco motifs" in line]
    assert [line.rpartition("-w ")[2] for line in lines] == ["30", "400"]
    assert f"'{tmp_path}/b b/sequences.npz'" in lines[1]


def test_tf_modisco_reads_them(root, tmp_path):
    modiscolite = pytest.importorskip("modiscolite")
    export_run(root, tmp_path, "modisco", attribution=None, each_trial=False)
    (folder,) = tmp_path.iterdir()
    sequences = array(folder / "sequences.npz").transpose(0, 2, 1).astype("float32")
    every_base = array(folder / "attributions-none.npz").transpose(0, 2, 1)
    by_sign = modiscolite.tfmodisco.TFMoDISco(
        sequences, every_base, sliding_window_size=11, flank_size=5
    )
    assert len(by_sign) == 2
