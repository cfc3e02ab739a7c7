from __future__ import annotations

import numpy as np

from priorbench.data.formats.by_name import rows_by_name


def test_every_row_is_in_the_group_of_its_name() -> None:
    names = np.array(["b", "a", "b", "c", "a", "b"])
    groups = rows_by_name(names)
    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "a": [1, 4],
        "b": [0, 2, 5],
        "c": [3],
    }
    assert rows_by_name(names[:0]) == {}
