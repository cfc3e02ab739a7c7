"""bigWig files: what their summary tells."""

import math

import pyBigWig
import pytest

from priorbench.data.formats.bigwig import _may_hold_nan


@pytest.mark.parametrize(("value", "doubtful"), [(2.0, False), (math.nan, True)])
def test_the_summary_of_a_bigwig_tells_whether_to_look_for_what_is_no_number(
    tmp_path, value, doubtful
):
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("c", 100)], maxZooms=0)
        file.addEntries("c", [5, 9], values=[1.0, value], span=1)
    assert _may_hold_nan(path) == doubtful
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + bytes(8) + whole[52:])  # no summary
    assert _may_hold_nan(path)
