"""Two runs of one study are compared arm by arm and verdict by verdict."""

import sys

import pandas as pd
import pytest
from fixtures.places import BENCHMARKS

sys.path.insert(0, str(BENCHMARKS))
import verdicts

from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile


def write_run(folder, shift):
    folder.mkdir()
    key = {"task": "t", "dataset": "d", "architecture": "a", "metric": "auroc"}
    rows = [
        {
            **key,
            "stage": "evaluate",
            "prior": prior,
            "attribution": "",
            "seed": seed,
            "value": 0.8 + 0.01 * seed + shift * (prior == "tv"),
        }
        for prior in ("none", "tv")
        for seed in range(8)
    ]
    verdict = "better" if shift else "equivalent"
    comparison = {**key, "prior": "tv", "attribution": "", "family": "primary"}
    comparison |= {"difference": shift, "p_adjusted": 0.01, "verdict": verdict}
    tables = {"results.csv": pd.DataFrame(rows), "comparisons.csv": pd.DataFrame([comparison])}
    texts = {name: table.to_csv(index=False) for name, table in tables.items()}
    RunDirectory(folder).manifest.write(texts)
    return folder


def test_arm_by_arm_and_verdict_by_verdict(tmp_path):
    run, other = write_run(tmp_path / "one", 0.0), write_run(tmp_path / "other", 0.1)
    scores = verdicts.paired_scores(run, other, {"auroc"}).set_index("prior")
    assert scores.loc["tv", "difference"] == pytest.approx(0.1)
    assert scores.loc["tv", "deviation"] == pytest.approx(0)
    assert scores.loc["tv", "p"] == pytest.approx(2 / 2**8)
    assert scores.loc["tv", "p_adjusted"] == pytest.approx(4 / 2**8)
    assert scores.loc["none", "p"] == 1
    assert list(verdicts.verdicts(run, other))[-1] == {"same verdicts": "0 of 1"}
    assert list(verdicts.verdicts(run, run))[-1] == {"same verdicts": "1 of 1"}


def test_an_edited_table_is_refused(tmp_path):
    run = write_run(tmp_path / "one", 0.0)
    (run / "comparisons.csv").write_text((run / "comparisons.csv").read_text() + "\n")
    with pytest.raises(DamagedFile, match=r"comparisons\.csv: was edited by hand or damaged"):
        verdicts.paired_verdicts(run, run)
