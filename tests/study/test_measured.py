"""What is measured of networks must be there to be measured."""

import pytest

from priorbench import UserError
from priorbench.study.resolve import require_every_base, resolve
from priorbench.study.study import Measurements, make_study


@pytest.mark.parametrize(
    ("key", "option"),
    [("keep_hypothetical", "--keep-hypothetical"), ("discovery", "--discovery")],
)
def test_all_four_bases_are_asked_of_an_attribution_that_has_them(key, option):
    if key == "discovery":
        pytest.importorskip("modiscolite")
    study = make_study({"attributions": ["gradient"], key: True}, where="s.toml")
    with pytest.raises(UserError, match=f"{option}: .*attribution gradient does not depend"):
        resolve(study, "cpu")
    both = study.model_copy(update={"attributions": ["gradient", "input-x-gradient"]})
    assert getattr(resolve(both, "cpu"), key)
    with pytest.raises(UserError, match=option):
        require_every_base(Measurements(["gradient"], **{key: True}))
    require_every_base(Measurements(["gradient"]))
