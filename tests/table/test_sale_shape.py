"""What lines and tenders of a sale may not say, though each field is within its bounds."""

from collections.abc import Sequence

import pytest

from loyalty.v1 import receipt_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.sale_pb import sale_from_pb
from tests import make


def refused(sale: pb.Sale) -> tuple[Reason, list[str]]:
    with pytest.raises(Refusal) as refusal:
        sale_from_pb(sale, make.hash_identifier)
    return refusal.value.reason, [path for path, _ in refusal.value.fields]


def of_parents(parents: Sequence[int | None]) -> pb.Sale:
    """A sale whose lines belong to the lines at these places; the last of them is cancelled."""
    lines = [make.pb_line(line_id=str(n)) for n in range(len(parents))]
    lines[-1].cancelled = True
    for line, parent in zip(lines, parents, strict=True):
        line.parent_line_id = "" if parent is None else str(parent)
    return make.pb_sale(*lines)


@pytest.mark.parametrize(
    ("parents", "closing"),
    [
        ((0, None), 0),
        ((None, 1, None), 1),
        ((1, 0, None), 1),
        ((None, 2, 3, 1), 3),
        ((1, 2, 1, None), 2),
        ((1, None, 3, 2), 3),
    ],
    ids=["own", "own, further on", "two", "three", "a tail", "beside a good one"],
)
def test_no_line_belongs_to_itself(parents: Sequence[int | None], closing: int) -> None:
    """Nobody could say what such a line is a part of; the line that closes the circle is named."""
    found = refused(of_parents(parents))
    assert found == (Reason.INCONSISTENT, [f"sale.lines[{closing}].parent_line_id"])


@pytest.mark.parametrize("parents", [(None, 0, 1, 2), (3, 3, 3, None), (1, 2, 3, None)])
def test_a_line_of_a_line_of_a_line(parents: Sequence[int | None]) -> None:
    assert len(sale_from_pb(of_parents(parents), make.hash_identifier).lines) == len(parents)


def paid_by(card_bin: str) -> pb.Sale:
    tender = pb.Tender(
        kind=pb.TENDER_KIND_CARD,
        state=pb.TENDER_STATE_PAID,
        amount_minor=1,
        card_bin=card_bin,
    )
    return make.pb_sale(make.pb_line(), tenders=[tender])


@pytest.mark.parametrize("card_bin", ["4276**", "42760O", " 427600", "-42760", "٤٢٧٦٠٠", "42760²"])
def test_a_bin_is_of_digits(card_bin: str) -> None:
    """A masked number names no issuer: no promotion of that bank would be found by it."""
    assert refused(paid_by(card_bin)) == (Reason.BAD_TEXT, ["sale.tenders[0].card_bin"])


@pytest.mark.parametrize("card_bin", ["", "427600", "42760012"])
def test_a_bin_that_names_an_issuer(card_bin: str) -> None:
    assert sale_from_pb(paid_by(card_bin), make.hash_identifier).tenders[0].card_bin == card_bin
