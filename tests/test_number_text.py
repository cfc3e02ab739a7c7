"""Numbers in words."""

import pytest

from priorbench.number_text import ranges


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((), ""),
        ((3,), "3"),
        (range(10), "0-9"),
        ((5, 4, 4, 0), "0, 4-5"),
        ((*range(100, 110), 0, 2), "0, 2, 100-109"),
    ],
)
def test_whole_numbers_are_written_as_ranges(numbers, text):
    assert ranges(numbers) == text
