"""Rows from columns: what is missing is made or refused, never left out."""

import pytest

from ext.rows import Lines, values_of

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


class Squares(dict[int, int]):
    def __missing__(self, key: int) -> int:
        return key * key


def test_values_stand_in_the_order_of_their_keys_and_what_is_missed_is_made() -> None:
    assert values_of(Squares({2: -2}), [3, 2, 3]) == (9, -2, 9)
    assert values_of({}, ()) == ()


def test_a_value_that_nobody_makes_is_refused() -> None:
    with pytest.raises(KeyError):
        values_of({1: 1}, [1, 2])
