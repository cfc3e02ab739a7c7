"""Channels of a data file, from the command line to the scores of the priors that read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.runs import SMOKE, run_smoke

from priorbench.cli.app import execute_command
from priorbench.data.dataset import load_dataset
from priorbench.encoding import decode
from priorbench.errors import UserError

pytestmark = pytest.mark.slow

LENGTH, MOTIF = 60, "TGACGTCATC"
PRIORS = "mask:channel=site,mask:channel=site:moved=true,track:channel=phylop"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data file whose positives have a motif, where two channels say."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    texts = [decode(row) for row in random.integers(0, 4, (1200, LENGTH)).astype(np.uint8)]
    bed, fasta = [], {"p.fa": "", "n.fa": ""}
    for number, text in enumerate(texts):
        name, start = f"r{number}", int(random.integers(0, LENGTH - len(MOTIF)))
        end = start + len(MOTIF)
        if number % 2:
            bed.append(f"{name}\t{start}\t{end}\tCRE\n")
        planted = f"{text[:start]}{MOTIF}{text[end:]}" if number % 2 else text
        fasta["p.fa" if number % 2 else "n.fa"] += f">{name}\n{planted}\n"
    for file, contents in fasta.items():
        (folder / file).write_text(contents)
    (folder / "sites.bed").write_text("".join(bed))
    graph = [line.replace("CRE", "2.5") for line in bed]
    (folder / "phylop.bedgraph").write_text("".join(graph))
    path = folder / "mine.toml"
    path.write_text(
        'task = "binary"\npositives = "p.fa"\nnegatives = "n.fa"\nsites = "sites.bed"\n\n'
        '[channels]\nsite = "sites.bed"\n'
        'phylop = {file = "phylop.bedgraph", value = "score"}\n'
    )
    return path


def test_validate_says_what_channels_hold(data, capsys):
    assert execute_command(["validate", str(data), "--scale", "smoke"]) == 0
    text = capsys.readouterr().out
    sizes, positives, shares = (
        np.array(re.search(rf"{row} +(\S+?)%? +(\S+?)%? +(\S+?)%?\n", text).groups(), float)
        for row in ("sequences", "positives", "channel phylop, positions not 0")
    )
    # a motif has ten bases of sixty
    assert shares == pytest.approx(100 * positives / sizes / 6, abs=0.06)
    assert sizes.tolist() == [400, 100, 200]
    assert re.search(r"channel phylop, range +0 to 2.5 +0 to 2.5 +0 to 2.5\n", text)
    assert re.search(r"channel phylop, mean +0\.2\d+ +0\.2\d+ +0\.2\d+\n", text)
    assert re.search(r"channel site, range +0 to 1 +0 to 1 +0 to 1\n", text)
    assert "reads" not in text
    assert "not 0 at 8.3% of positions; mean 0.2083, from 0 to 2.5." in text
    assert execute_command(["validate", str(data), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["datasets"][0]["splits"]["test"]
    assert facts["channels"]["phylop"]["most"] == 2.5


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    arguments = ["--data", str(data), "--priors", PRIORS, "--seeds", "2"]
    arguments += ["--tasks", "binary:train_epochs=3", "--architectures", "three-conv"]
    assert run_smoke(out, *arguments) == 0
    return out


def test_priors_that_know_the_motif_put_attribution_on_it(finished):
    results = pd.read_csv(finished / "results.csv", keep_default_na=False, na_values=[""])
    scores = results[(results["metric"] == "motif-auprc") & results["value"].notna()]
    mean = scores.groupby("prior")["value"].mean()
    known, moved, track = (mean[prior] for prior in PRIORS.split(","))
    assert min(known, track) > mean["none"] + 0.1
    # the same prior with a channel that knows nothing is no help
    assert moved < mean["none"]


def test_the_dataset_of_a_run_has_the_channels_of_its_sample(finished):
    (folder,) = (finished / "data").iterdir()
    dataset = load_dataset(folder)
    assert dataset.channels == ["phylop", "site"]
    rows = np.arange(len(dataset.split))
    assert len(rows) == 700
    channel = dataset.columns["channel:site"].take(rows)[:, 0]
    for codes, values in zip(dataset.codes(rows), channel, strict=True):
        start = int(values.argmax())
        assert not values.any() or decode(codes)[start : start + len(MOTIF)] == MOTIF
    label = dataset.columns["label"].take(rows)
    assert np.array_equal(channel.any(axis=1), label == 1)


def test_a_prior_whose_channel_is_not_there_is_refused(data, tmp_path):
    arguments = ["run", "--data", str(data), "--priors", "mask", "--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match=r"reads the channel 'motif'.*\(it has phylop, site\)"):
        execute_command([*arguments, *SMOKE])
