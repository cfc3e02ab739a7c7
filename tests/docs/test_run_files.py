"""The page of a run's files has every file that a run leaves, and every column."""

import pandas as pd
import pytest
from fixtures.places import docs_program


def module():
    return docs_program("run_files_page")


def test_meanings_are_of_columns_that_there_are():
    page = module()
    tables = {e["name"]: page.columns_of(e) for e in page.texts()["file"] if "columns" in e}
    meanings = page.texts()["columns"]
    own = {name: meaning for name, meaning in meanings.items() if isinstance(meaning, dict)}
    assert set(meanings) - set(own) <= {column for columns in tables.values() for column in columns}
    for name, meaning in own.items():
        assert set(meaning) <= set(tables[name])


def test_a_column_without_a_meaning_stops_the_page(monkeypatch):
    from priorbench.results import collect

    monkeypatch.setattr(collect, "RESULT_COLUMNS", [*collect.RESULT_COLUMNS, "another"])
    with pytest.raises(KeyError, match="another"):
        module().run_files_page()


@pytest.mark.slow
def test_every_file_of_a_run_is_on_the_page(tmp_path):
    from priorbench.cli.app import execute_command

    run = tmp_path / "run"
    assert execute_command(f"run --scale smoke --priors l1 --seeds 2 --out {run}".split()) == 0
    entries = {entry["name"]: entry for entry in module().texts()["file"]}
    there = {path.name for path in run.iterdir() if path.is_file() and path.name[0] != "."}
    assert there <= set(entries)
    for name in there:
        if name.endswith(".csv"):
            columns = pd.read_csv(run / name, nrows=0).columns
            assert list(columns) == module().columns_of(entries[name]), name
    trial = next((run / "trials").glob("[0-9a-f]*"))
    assert {f"trials/ID/{path.name}" for path in trial.iterdir()} <= set(entries)
    (data,) = (run / "data").iterdir()
    page = module().run_files_page()
    references = {path.name for path in data.glob("references-*.json")}
    for name in {path.name for path in data.iterdir()} - references:
        assert f"`{name}`" in page, name
