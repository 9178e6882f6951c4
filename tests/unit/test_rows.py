"""Lines from columns: how many runs and adjustments each has is held to those that there are."""

import pytest

from ext.rows import Lines

LINES = Lines(lambda *values: values, lambda *values: values, lambda *values: values)


def test_each_line_takes_its_own_and_one_without_runs_is_none() -> None:
    runs = ([1, 2, 3], [4, 5, 6], [7, 8, 9])
    columns = ([10, 20, 30], [1, 0, 2], [0, 0, 1], *runs, [11], [-12], [13])
    assert LINES.of(columns) == (
        (10, ((1, 4, 7),), ()),
        None,
        (30, ((2, 5, 8), (3, 6, 9)), ((11, -12, 13),)),
    )


def test_no_lines() -> None:
    assert LINES.of(((),) * 9) == ()


@pytest.mark.parametrize("short", range(1, 9))
def test_a_column_that_is_too_short_is_refused(short: int) -> None:
    columns = [[1], [2], [2], *([1, 2] for _ in range(6))]
    assert LINES.of(columns) == ((1, ((1, 1, 1), (2, 2, 2)), ((1, 1, 1), (2, 2, 2))),)
    columns[short].pop()
    with pytest.raises(IndexError):
        LINES.of(columns)
