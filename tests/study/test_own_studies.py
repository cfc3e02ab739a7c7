"""Studies that come with the program: they can be read, and say who they are."""

import pytest
from fixtures.places import ROOT

from priorbench.study.study import load_study

STUDIES = sorted((ROOT / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_has_the_name_of_its_file_and_a_question(path):
    study = load_study(path)
    assert study.name == path.stem  # the name that its run is recorded under
    assert study.question.endswith("?")
    assert study.minutes
