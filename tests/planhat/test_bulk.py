"""Items are cut into parts that are small enough, in order, none lost and none twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_planhat.planhat.posts import array, parts

ITEMS = st.lists(st.binary(max_size=30).map(bytes.hex).map(str.encode), max_size=40)


@given(items=ITEMS, most_items=st.integers(1, 8), most_bytes=st.integers(3, 120))
def test_parts_hold_all_items_in_order_and_keep_both_limits(
    items: list[bytes], most_items: int, most_bytes: int
) -> None:
    found = list(parts([len(one) for one in items], most_items, most_bytes))

    assert [index for part in found for index in part] == list(range(len(items)))
    for part in found:
        body = array(items[part.start : part.stop])
        assert 1 <= len(part) <= most_items
        assert len(body) <= most_bytes or len(part) == 1


@pytest.mark.parametrize(
    ("sizes", "most_items", "most_bytes", "expected"),
    [
        ([], 5, 100, []),
        ([1] * 5, 2, 100, [2, 2, 1]),
        ([8, 9, 1], 5, 20, [2, 1]),  # [8,9] is 20 bytes
        ([8, 10, 1], 5, 20, [1, 2]),
        ([50, 1, 50], 5, 20, [1, 1, 1]),
    ],
)
def test_parts_are_as_large_as_the_limits_allow(
    sizes: list[int], most_items: int, most_bytes: int, expected: list[int]
) -> None:
    assert [len(part) for part in parts(sizes, most_items, most_bytes)] == expected
