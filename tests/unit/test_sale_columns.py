"""Columns of a sale are its lines turned over, made once, and no part of it."""

import msgspec
import pytest
from msgspec.structs import replace

from rewards.derived import derived
from rewards.sale import Line, LineAction, LineColumns, Sale, encode_sale
from tests import make

TEA = make.line("tea", 3)
BACK = replace(make.line("ale", 1), action=LineAction.RETURN.value, cancelled=True, rest=("46",))


@pytest.mark.parametrize("lines", [(), (TEA,), (TEA, BACK, TEA)])
def test_columns_are_the_lines_turned_over(lines: tuple[Line, ...]) -> None:
    columns = make.sale(*lines).columns
    assert columns == LineColumns(
        tuple(line.line_id for line in lines),
        tuple(line.sku for line in lines),
        tuple(line.quantity_milli for line in lines),
        tuple(line.unit for line in lines),
        tuple(line.amount_minor for line in lines),
        tuple(line.action for line in lines),
        tuple(line.minimum_amount_minor for line in lines),
        tuple(line.cancelled for line in lines),
        tuple(line.rest for line in lines),
    )


@pytest.mark.parametrize(("lines", "has"), [((), False), ((TEA,), False), ((TEA, BACK), True)])
def test_a_cancelled_return_is_one(lines: tuple[Line, ...], has: bool) -> None:
    assert make.sale(*lines).has_returns is has


def test_they_are_made_once_and_no_part_of_the_sale() -> None:
    asked, plain = make.sale(TEA, BACK), make.sale(TEA, BACK)
    assert asked.columns is asked.columns
    assert (asked, encode_sale(asked)) == (plain, encode_sale(plain))
    assert msgspec.msgpack.decode(encode_sale(asked), type=Sale) == plain
    fewer = replace(asked, lines=asked.lines[:1])
    assert fewer.columns.skus == ("tea",)


def test_of_the_class_it_is_what_derives() -> None:
    assert isinstance(Sale.columns, derived)
    assert Sale.columns.__doc__ == "The lines by column."
