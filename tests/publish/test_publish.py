"""Publishing runs: what is kept, pooled, refused, and whole whenever the process dies."""

from __future__ import annotations

import csv
import getpass
import gzip
import io
import json
import os
import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures.published import broken_links, entries, finished_run, publish, write_answer
from fixtures.run_directories import EVIL, seal_again
from fixtures.runs import run_smoke

from priorbench import UserError, load_prior
from priorbench.publish import folder as published_folder
from priorbench.publish.entry import read_entry
from priorbench.publish.folder import stored_entries
from priorbench.publish.new_entry import RunToPublish
from priorbench.reports import site_pages
from priorbench.results.finished_run import load_run
from priorbench.storage.files import write_text
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import read_sealed, write_sealed

pytestmark = pytest.mark.usefixtures("one_epoch")


def refusal(*arguments):
    with pytest.raises(UserError) as error:
        publish(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


def change_records(root, **changes):
    """Let the trials of a run have been trained or scored otherwise."""
    for path in root.glob("trials/*/record.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    seal_again(root)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def run(tmp_path):
    return finished_run(tmp_path / "a run of émile")


@pytest.fixture
def site(tmp_path):
    return tmp_path / "site"


def names(site):
    return [path.name for path in entries(site)]


class TestFolder:
    def test_has_a_table_and_a_page_of_every_run(self, tmp_path, site, capsys):
        first = finished_run(tmp_path / "a", ("none", "tv", "l1"), name="first")
        second = finished_run(tmp_path / "b", ("none", "l1"), failed={("l1", 2)}, name="second")
        publish(first, "--to", site)
        publish(second, "--to", site)
        assert capsys.readouterr().out == f"{site / 'index.html'}\n" * 2
        page = (site / "index.html").read_text()
        assert page.count("<tr><th") == 1 + 3
        assert page.count('class="worse"') + page.count('class="better"') > 0
        assert "3 rows of 2 runs" in page
        assert len(entries(site)) == 2
        assert broken_links(site) == []
        with (site / "table.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["prior"] for row in rows] == ["tv", "l1", "l1"]
        comparisons = pd.read_csv(first / "comparisons.csv").query("prior == 'tv'")
        expected = comparisons.query("metric == 'auroc'").iloc[0]
        assert float(rows[0]["prediction_gain"]) == pytest.approx(expected["difference"])
        assert rows[0]["prediction_verdict"] == expected["verdict"]
        assert float(rows[0]["prediction_p"]) == pytest.approx(expected["p_adjusted"])
        assert [row["failed"] for row in rows] == ["0", "0", "1"]

    def test_tables_are_those_of_the_run(self, run, site):
        publish(run, "--to", site)
        (entry,) = entries(site)
        for name in ("results.csv", "comparisons.csv"):
            assert (entry / name).read_bytes() == (run / name).read_bytes()
        assert set(read_entry(entry).files) < {path.name for path in entry.iterdir()}

    def test_gains_are_positive_where_less_is_better_and_there_is_less(self, run):
        loaded = load_run(run)
        results = loaded.results.copy()
        results.loc[results["metric"] == "auroc", "higher_is_better"] = False
        made = RunToPublish(replace(loaded, results=results))
        (row,) = made.entry(made.files(packed=False)).rows
        (prediction,) = (result for result in row.results if result.axis == "prediction")
        written = loaded.comparisons.query("metric == 'auroc'").iloc[0]
        assert prediction.gain == -written["difference"] != 0
        assert (prediction.low, prediction.high) == (-written["ci_high"], -written["ci_low"])
        others = loaded.comparisons.query("metric != 'auroc'").set_index("metric")
        for result in row.results:
            if result.metric != "auroc":
                assert result.gain == others.loc[result.metric, "difference"]

    def test_the_same_run_again_changes_nothing(self, run, site):
        publish(run, "--to", site)
        before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
        publish(run, "--to", site)
        after = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
        changed = {path.name for path in after if after[path] != before.get(path)}
        assert changed <= {".lock"}
        assert before.keys() == after.keys()

    def test_a_run_with_more_seeds_takes_the_place_of_the_earlier(self, tmp_path, site, capsys):
        publish(finished_run(tmp_path / "few", seeds=range(6)), "--to", site)
        (old,) = names(site)
        publish(finished_run(tmp_path / "more", seeds=range(8)), "--to", site)
        (new,) = entries(site)
        assert read_entry(new).seeds == tuple(range(8))
        assert f"replaced: {old}" in capsys.readouterr().err
        publish(tmp_path / "few", "--to", site)
        assert entries(site) == [new]
        assert "has all of its trials" in capsys.readouterr().err

    def test_an_entry_whose_folder_was_removed_is_gone(self, tmp_path, site):
        first, second = finished_run(tmp_path / "a"), finished_run(tmp_path / "b", ("none", "l1"))
        publish(first, second, "--to", site)
        shutil.rmtree(entries(site)[0])
        publish(site, "--to", site)
        assert "1 row of 1 run" in (site / "index.html").read_text()

    def test_a_report_is_kept_with_the_run(self, run, site):
        write_text(run / "report.html", f"<p>{run}/study.toml, 0.1 h, on elsewhere</td>")
        change_records(run, host="elsewhere")
        write_answer(run)
        (run / "report.html").touch()
        publish(run, "--to", site)
        (entry,) = entries(site)
        assert (entry / "report.html").read_text() == "<p>a run of émile/study.toml, 0.1 h</td>"
        assert 'href="report.html"' in (entry / "index.html").read_text()

    def test_a_report_of_earlier_results_is_made_anew(self, run, site):
        write_text(run / "report.html", "old")
        results = run / "results.csv"
        later = (run / "report.html").stat().st_mtime + 10
        os.utime(results, (later, later))
        publish(run, "--to", site)
        report = (entries(site)[0] / "report.html").read_text()
        assert "priorbench report" in report
        assert str(run.parent) not in report

    def test_a_run_of_the_baseline_alone_has_a_page_and_no_row(self, tmp_path, site):
        publish(finished_run(tmp_path / "alone", ("none",)), "--to", site)
        assert "No run here has a result yet." in (site / "index.html").read_text()
        assert "nothing was compared" in (entries(site)[0] / "index.html").read_text()
        assert broken_links(site) == []

    def test_another_process_in_the_folder_is_waited_for_by_the_user(self, run, site):
        publish(run, "--to", site)
        with RunDirectory(site).lock():
            assert "is using this folder" in refusal(run, "--to", site)


class TestTellingApart:
    """What a reader sees of runs that are alike in all but seeds, weights or folder."""

    def text(self, site):
        """The pages without their tags."""
        page = (site / "index.html").read_text()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.split("<main")[1]))

    def named(self, site):
        """The names under which the index leads to the runs."""
        listed = (site / "index.html").read_text().split('id="runs"')[1]
        return re.findall(r'<a href="runs/[^"]*">([^<]*)</a>', listed)

    def test_a_run_and_its_confirmation(self, tmp_path, site):
        first = finished_run(tmp_path / "first", seeds=range(6))
        second = finished_run(tmp_path / "confirmation", seeds=range(100, 106))
        facts = json.loads((second / "environment.json").read_text())
        facts["command"] = "priorbench run default --seeds 100-105 --weights tv=0.2"
        (second / "environment.json").write_text(json.dumps(facts))
        seal_again(second)
        publish(first, "--to", site)
        publish(second, "--to", site)
        title = read_entry(entries(site)[0]).title
        names = [f"{title} (confirmation)", f"{title} (first)"]
        assert sorted(self.named(site)) == names
        text = self.text(site)
        assert f"{names[0]} seeds 100-105, weights given, scale " in text
        assert f"{names[1]} seeds 0-5, " in text
        assert f"{names[0]} , " in text  # in the list of runs
        pages = {read_entry(path).runs[0].label: path / "index.html" for path in entries(site)}
        page = pages["first"].read_text()
        assert f'<h2 id="name">{names[1]}</h2>' in page
        assert re.search(rf"{re.escape(names[0])}</a> \(seeds 100-105, weights given\)", page)
        assert broken_links(site) == []

    def test_a_name_that_is_not_shared_is_shown_alone(self, tmp_path, site):
        first = finished_run(tmp_path / "a", name="first")
        publish(first, finished_run(tmp_path / "b", ("none", "l1"), name="second"), "--to", site)
        assert self.named(site) == ["first", "second"]

    def test_folders_of_one_name_are_told_apart_by_their_digests(self, tmp_path, site):
        roots = [tmp_path / user / "default" for user in ("me", "you")]
        for root, seeds in zip(roots, (range(6), range(6, 12)), strict=True):
            root.parent.mkdir()
            publish(finished_run(root, seeds=seeds), "--to", site)
        digests = [path.name.rpartition("-")[2] for path in entries(site)]
        named = self.named(site)
        assert len(set(named)) == 2
        assert sorted(name.rpartition("(")[2] for name in named) == sorted(
            f"{digest})" for digest in digests
        )

    def test_every_row_has_its_weight(self, run, site):
        publish(run, "--to", site)
        (entry,) = entries(site)
        weight = read_entry(entry).rows[0].weight
        assert weight is not None
        assert f"<td>{weight:g}</td>" in (site / "index.html").read_text()

    @pytest.mark.parametrize(
        ("tuned", "command", "weight", "words"),
        [
            (5, "priorbench run default", 0.7, "weights tuned"),
            (0, "priorbench run --weights=tv=1", 0.1, "weights given"),
            (0, "priorbench run 'a --weights tv=1", 0.1, "weights given"),
            (0, "priorbench run default", None, "default weights"),
            (0, "priorbench run mine.toml", 0.7, "weights not tuned"),
        ],
    )
    def test_where_weights_come_from(self, run, site, tuned, command, weight, words):
        publish(run, "--to", site)
        entry = read_entry(entries(site)[0])
        weight = load_prior("tv").default_weight("binary") if weight is None else weight
        rows = tuple(row.model_copy(update={"weight": weight}) for row in entry.rows)
        runs = tuple(part.model_copy(update={"command": command}) for part in entry.runs)
        entry = entry.model_copy(update={"tuned": tuned, "rows": rows, "runs": runs})
        assert f"seeds 0-5, {words}, scale " in site_pages([entry]).index

    def test_priors_that_this_program_lacks_are_said_to_be_untuned_alone(self, run, site):
        publish(run, "--to", site)
        entry = read_entry(entries(site)[0])
        rows = tuple(row.model_copy(update={"prior": "theirs"}) for row in entry.rows)
        assert "weights not tuned" in site_pages([entry.model_copy(update={"rows": rows})]).index
        assert "weights not tuned" in site_pages([entry.model_copy(update={"rows": ()})]).index


class TestPortable:
    def test_no_place_of_the_machine_is_published(self, run, site):
        facts = json.loads((run / "environment.json").read_text())
        facts["notes"] = {"binary/simulated": [f"{run}/data.fa: 2 of /home/me/x/y.fa.gz dropped"]}
        facts["command"] = f"priorbench run --data '{run}/my.toml' --out '{run}' --jobs 3 --seeds 6"
        facts |= {"platform": platform.platform(), "cores": 2}
        (run / "environment.json").write_text(json.dumps(facts))
        edit(run / "study.toml", "data = []", f'data = ["{run}/my.toml"]')
        change_records(run, host=platform.node())
        write_answer(run)
        publish(run, "--to", site)
        (entry,) = entries(site)
        text = "".join(p.read_text() for p in site.rglob("*") if p.is_file())
        for place in (str(run.parent), str(Path.home()), "/home/me", "--jobs"):
            assert place not in text
        if getpass.getuser() not in ("root", "user"):
            assert getpass.getuser() not in text
        assert read_entry(entry).runs[0].command == "priorbench run --data my.toml --seeds 6"
        assert 'data = ["my.toml"]' in (entry / "study.toml").read_text()
        assert "data.fa: 2 of y.fa.gz dropped" in (entry / "environment.json").read_text()

    def test_nothing_is_fetched(self, run, site):
        publish(run, "--to", site)
        for page in site.rglob("*.html"):
            text = page.read_text()
            assert "http:" not in text
            assert "https:" not in text
            assert not re.search(r"\b(fetch|XMLHttpRequest|import)\b\s*\(", text)

    def test_texts_of_others_stay_texts(self, tmp_path, site):
        root = finished_run(tmp_path / "evil", name=f'"quoted" {EVIL} ünïcode 数据')
        publish(root, "--to", site)
        for page in site.rglob("*.html"):
            assert EVIL not in page.read_text()
            assert "&lt;script&gt;alert(1)" in page.read_text()
        assert broken_links(site) == []


@pytest.mark.slow
class TestPooled:
    def test_runs_of_one_study_are_one_as_if_they_had_been(self, tmp_path, site):
        options = ["--priors", "l1", "--tasks", "binary"]
        for name, seeds in (("a", "0-2"), ("b", "3-5"), ("whole", "0-5")):
            assert run_smoke(tmp_path / name, *options, "--seeds", seeds) == 0
        publish(tmp_path / "a", tmp_path / "b", "--to", site)
        (entry,) = entries(site)
        pooled, whole = (
            pd.read_csv(path / "comparisons.csv", dtype=str, keep_default_na=False)
            for path in (entry, tmp_path / "whole")
        )
        # times are measured anew in every training
        pooled, whole = (table[table["axis"] != "cost"] for table in (pooled, whole))
        pd.testing.assert_frame_equal(pooled.reset_index(drop=True), whole.reset_index(drop=True))
        assert read_entry(entry).seeds == tuple(range(6))
        assert [part.label for part in read_entry(entry).runs] == ["a", "b"]
        assert (entry / "study-2.toml").exists()
        # the run of all seeds has the same trials
        publish(tmp_path / "whole", "--to", site)
        assert len(entries(site)) == 1

    def test_pooled_runs_take_the_place_of_each(self, tmp_path, site):
        first = finished_run(tmp_path / "a", seeds=range(6))
        second = finished_run(tmp_path / "b", seeds=range(6, 12))
        publish(first, "--to", site)
        publish(first, second, "--to", site)
        (entry,) = entries(site)
        assert read_entry(entry).seeds == tuple(range(12))
        assert "Pooled from 2 runs" in (entry / "index.html").read_text()

    @pytest.mark.parametrize("options", [(), ("--apart",)])
    def test_a_run_that_another_one_has_all_of_is_named(self, tmp_path, site, capsys, options):
        few = finished_run(tmp_path / "few", seeds=range(6))
        publish(few, finished_run(tmp_path / "more", seeds=range(8)), "--to", site, *options)
        assert len(entries(site)) == 1
        text = f"{few}: another of these runs has all of its trials; it is left out"
        assert text in capsys.readouterr().err

    def test_an_entry_has_no_trials_to_pool(self, tmp_path, site, capsys):
        publish(finished_run(tmp_path / "a", seeds=range(6)), "--to", site)
        (first,) = names(site)
        publish(finished_run(tmp_path / "b", seeds=range(6, 12)), "--to", site)
        assert f"b: stands beside {first} of the same study" in capsys.readouterr().err
        assert len(entries(site)) == 2
        assert broken_links(site) == []

    def test_runs_of_other_studies_are_other_entries(self, tmp_path, site):
        first, second = finished_run(tmp_path / "a"), finished_run(tmp_path / "b", ("none", "l1"))
        publish(first, second, "--to", site)
        assert len(entries(site)) == 2


class TestRefused:
    @pytest.fixture
    def others(self, tmp_path):
        first = finished_run(tmp_path / "a", seeds=range(6))
        second = finished_run(tmp_path / "b", seeds=range(6, 12))
        change_records(second, code="of another version")
        write_answer(second)
        return first, second

    def test_runs_that_cannot_be_compared(self, others, site):
        text = refusal(*others, "--to", site)
        assert text.startswith("a and b cannot be joined: code of binary · simulated · three-conv")
        assert text.endswith("is 'none' in a and 'of another version' in b; --apart publishes both")
        assert not site.exists()
        publish(*others, "--to", site, "--apart")
        assert len(entries(site)) == 2

    def test_a_run_and_an_entry_that_cannot_be_compared(self, others, site):
        first, second = others
        publish(first, "--to", site)
        (name,) = names(site)
        text = refusal(second, "--to", site)
        assert text.startswith(f"{name} and b are of one study and cannot be compared: code of")
        assert names(site) == [name]
        publish(second, "--to", site, "--apart")
        assert len(entries(site)) == 2
        publish(first, "--to", site)  # what stands apart already is no reason to refuse others

    def test_other_data_of_one_name(self, tmp_path, site):
        first = finished_run(tmp_path / "a", seeds=range(6))
        second = finished_run(tmp_path / "b", seeds=range(6, 12), length=50)
        assert "the digest of the data binary/simulated is" in refusal(first, second, "--to", site)

    def test_a_run_that_is_not_finished(self, run, site):
        shutil.rmtree(next((run / "trials").glob("1x*")))
        assert refusal(run, "--to", site)
        plan = pd.read_csv(run / "plan.csv")
        more = pd.concat([plan, pd.DataFrame({"trial": ["later"]})])
        other = finished_run(run.parent / "other")
        more.to_csv(other / "plan.csv", index=False)
        seal_again(other)
        assert "1 trial of 13 not run yet; `priorbench run" in refusal(other, "--to", site)
        assert not site.exists()

    def test_damaged_files(self, run, site):
        edit(run / "results.csv", "0.5", "0.6")
        assert f"{run}/results.csv: was edited by hand or damaged" in refusal(run, "--to", site)

    def test_what_is_no_run(self, tmp_path, site):
        (tmp_path / "empty").mkdir()
        assert "not a run directory" in refusal(tmp_path / "empty", "--to", site)

    def test_a_folder_of_something_else(self, run, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "index.html").write_text("mine")
        text = refusal(run, "--to", tmp_path / "mine")
        assert text.endswith("mine: is not empty and not a published folder; choose another --to")
        assert (tmp_path / "mine" / "index.html").read_text() == "mine"

    def test_a_run_directory_as_the_folder(self, run):
        assert "is not empty and not a published folder" in refusal(run, "--to", run)


class TestOfOthers:
    @pytest.fixture
    def theirs(self, tmp_path):
        publish(finished_run(tmp_path / "their run", ("none", "l1")), "--to", tmp_path / "theirs")
        return tmp_path / "theirs"

    def test_entries_are_taken_over_as_they_are(self, run, theirs, site):
        publish(run, theirs, "--to", site)
        (name,) = names(theirs)
        assert name in names(site)
        for path in (theirs / "runs" / name).iterdir():
            if path.name != "index.html":
                assert (site / "runs" / name / path.name).read_bytes() == path.read_bytes()
        assert broken_links(site) == []

    def test_an_entry_of_other_contents_never_takes_the_place_of_mine_in_silence(
        self, run, tmp_path, site, capsys
    ):
        publish(run, "--to", site)
        (mine,) = entries(site)
        shutil.copytree(site, tmp_path / "theirs")
        path = tmp_path / "theirs" / "runs" / mine.name / "entry.json"
        contents = read_sealed(path)
        contents["runs"][0]["command"] = "something else"
        write_sealed(path, contents)
        publish(tmp_path / "theirs", "--to", site)
        assert f"replaced: {mine.name}" in capsys.readouterr().err
        (new,) = entries(site)
        assert new.name != mine.name

    def test_a_lock_that_leads_elsewhere_empties_nothing(self, run, tmp_path, site):
        (tmp_path / "mine").write_text("mine")
        site.mkdir()
        (site / ".lock").symlink_to(tmp_path / "mine")
        publish(run, "--to", site)
        assert (tmp_path / "mine").read_text() == "mine"

    @pytest.mark.parametrize("name", ["results.csv", "entry.json"])
    def test_what_is_not_as_it_was_written_is_refused(self, theirs, site, name):
        path = entries(theirs)[0] / name
        path.write_text(path.read_text().replace("l1", "tv"))
        text = refusal(theirs, "--to", site)
        assert text.startswith(f"{path}: was edited by hand or damaged; publish its run again")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("files", {"../../x.csv": ["0" * 64]}),
            ("files", {"evil.html": ["0" * 64]}),
            ("rows", [{"prior": 1}]),
            ("statuses", "many"),
            ("kind", "something else"),
        ],
    )
    def test_a_sealed_file_of_another_kind_is_refused(self, theirs, site, key, value):
        path = entries(theirs)[0] / "entry.json"
        write_sealed(path, {**read_sealed(path), key: value})
        assert f"{path}: is no entry of a published run" in refusal(theirs, "--to", site)

    def test_a_p_that_is_no_probability_is_refused(self, theirs, site):
        path = entries(theirs)[0] / "entry.json"
        contents = read_sealed(path)
        contents["rows"][0]["results"][0]["p"] = 1e300
        write_sealed(path, contents)
        assert "is no entry of a published run (rows.0.results.0.p)" in refusal(
            theirs, "--to", site
        )

    def test_a_damaged_entry_is_written_again_with_its_run(self, run, site):
        publish(run, "--to", site)
        path = entries(site)[0] / "comparisons.csv"
        good = path.read_bytes()
        path.write_bytes(good[:100])
        assert "publish its run again" in refusal(site, "--to", site)
        publish(run, "--to", site)
        assert path.read_bytes() == good


class TestEntriesOnly:
    def test_are_small_and_make_the_same_pages(self, run, site, tmp_path):
        kept = tmp_path / "kept"
        publish(run, "--to", kept, "--entries-only")
        assert not list(kept.rglob("*.html"))
        assert not (kept / "table.csv").exists()
        (entry,) = entries(kept)
        assert {path.suffix for path in entry.iterdir()} == {".gz", ".json"}
        packed = gzip.decompress((entry / "results.csv.gz").read_bytes())
        assert packed == (run / "results.csv").read_bytes()
        publish(kept, "--to", site)
        assert broken_links(site) == []
        assert "results.csv.gz" in (entries(site)[0] / "index.html").read_text()
        publish(run, "--to", tmp_path / "other")
        tables = [(folder / "table.csv").read_text() for folder in (site, tmp_path / "other")]
        assert re.sub(r"-[0-9a-f]{8},", ",", tables[0]) == re.sub(r"-[0-9a-f]{8},", ",", tables[1])

    def test_of_trials_that_tuned_have_primary_metrics(self, run):
        loaded = load_run(run)
        tuned = loaded.results.replace({"stage": {"evaluate": "tune"}})
        tuned = tuned[tuned["stage"] == "tune"]
        table = pd.concat([tuned, loaded.results])
        files = RunToPublish(replace(loaded, results=table)).files(packed=True)
        kept = pd.read_csv(io.BytesIO(gzip.decompress(files["results.csv.gz"])))
        of_tuning = kept[kept["stage"] == "tune"]
        assert set(of_tuning["metric"]) == {"auroc", "motif-auprc", "seed-cosine"}
        assert len(kept) == len(of_tuning) + len(loaded.results)
        assert set(of_tuning["trial"]) == set(tuned["trial"])

    def test_are_the_same_bytes_every_time(self, run, tmp_path):
        for name in ("x", "y"):
            publish(run, "--to", tmp_path / name, "--entries-only")
        files = [
            {
                p.relative_to(tmp_path / name): p.read_bytes()
                for p in entries(tmp_path / name)[0].iterdir()
            }
            for name in ("x", "y")
        ]
        assert files[0] == files[1]

    def test_a_folder_with_pages_keeps_them(self, run, site):
        publish(run, "--to", site)
        assert "has pages; leave --entries-only out" in refusal(run, "--to", site, "--entries-only")


class Killed(BaseException):
    """The process died."""


def dying_after(patch, count):
    """Let the process die at a step that changes the disk, the one after so many."""
    left = [count]

    def step(function):
        def stepped(*arguments, **more):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*arguments, **more)

        return stepped

    patch.setattr(published_folder, "put_text", step(published_folder.put_text))
    patch.setattr(published_folder, "write_sealed", step(published_folder.write_sealed))
    patch.setattr(published_folder.shutil, "rmtree", step(shutil.rmtree))
    patch.setattr(Path, "rename", step(Path.rename))
    patch.setattr(Path, "mkdir", step(Path.mkdir))
    return left


@pytest.mark.parametrize("begun", [True, False], ids=["more to a site", "a new site"])
def test_whenever_the_process_dies_the_site_is_whole(tmp_path, begun):
    first = finished_run(tmp_path / "few", seeds=range(6))
    second = finished_run(tmp_path / "more", seeds=range(8))
    whole = tmp_path / "whole"
    publish(first, "--to", whole)
    publish(second, "--to", whole)
    for count in range(100):
        site = tmp_path / f"site{count}"
        if begun:
            publish(first, "--to", site)
        with pytest.MonkeyPatch.context() as patch:
            left = dying_after(patch, count)
            try:
                publish(second, "--to", site)
            except Killed:
                pass
            else:
                assert left[0] >= 0
                break
        if (site / "index.html").exists():
            assert broken_links(site) == []
        assert begun <= (site / "index.html").exists()
        stored_entries(site)  # all are whole
        publish(second, "--to", site)
        listings = [sorted(p.relative_to(f) for p in f.rglob("*")) for f in (site, whole)]
        assert listings[0] == listings[1]
        assert (site / "index.html").read_bytes() == (whole / "index.html").read_bytes()
    assert count > 5
