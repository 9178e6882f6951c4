"""Goal: an exchange counts limits of a customer once: what it uses, less what comes back on it.

A tenth is off, up to 30.00 and four receipts for each customer.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.program_pb2 import Program
from tests.forwarding import AS_ANSWERED, RECORDED, Link, off
from tests.refunding import PROGRAM_BACK, basket, exchanged, open_shop, rate
from tests.serving import receipt_key, test_program, with_totals

LIMITED = test_program(
    **{
        **PROGRAM_BACK,
        "promotions": [
            off("sku1", "points", limits={"customer_minor": 3_000, "customer_times": 4}),
            rate("points-5", "points"),
        ],
    }
)


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Link]:
    """Two servers with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("exchanges")
    template = template_with(LIMITED)
    with open_shop(Link, pg_server_dsn, template, folder) as made:
        yield made


@pytest.fixture
def link(links: Link) -> Link:
    """The shop of a test, with numbers and customers of its own."""
    links.begin()
    return links


def sold(link: Link, number: int, pieces: int, card: str) -> pb.CheckoutResponse:
    return link.sell(number, basket(("sku1", pieces, 5_000), card=card))


def used(link: Link, card: str) -> tuple[int, int]:
    """Receipts, and minor units off, that a customer's account counts."""
    rows = link.sql(
        """select u.times, u.amount_minor from promotion_use u join customer c using (account_id)
        where c.customer_number = $1 and u.promotion_id = 'off-sku1'""",
        card,
    )
    [found] = rows
    return found["times"], found["amount_minor"]


@pytest.mark.parametrize("is_forwarded", [False, True])
def test_a_piece_comes_back_on_a_receipt_with_the_same_promotion(
    link: Link, is_forwarded: bool
) -> None:
    """Two pieces are sold at 45.00, one of them comes back for a third one."""
    card = link.card()
    sold(link, 1, 2, card)
    made = exchanged(link.n(1), ("sku1", 1, 4_500), ("sku1", 1, 5_000), card=card)
    if is_forwarded:
        assert link.forward(2, made, AS_ANSWERED).state == RECORDED
    else:
        link.sell(2, made, closed=True)
    assert used(link, card) == (2, 1_000)
    link.void(1)
    assert used(link, card) == (1, 500)


def test_two_receipts_come_back_on_one(link: Link) -> None:
    """Both of them are there to be used again."""
    card = link.card()
    sold(link, 1, 1, card)
    sold(link, 2, 2, card)
    made = exchanged(link.n(1), ("sku1", 1, 4_500), ("sku1", 1, 5_000), card=card)
    more = made.lines.add()
    more.CopyFrom(made.lines[1])
    more.line_id, more.quantity_milli, more.amount_minor = "back-2", 2_000, 9_000
    more.return_origin.receipt_key.CopyFrom(receipt_key(link.n(2)))
    with_totals(made).header.control_totals.amount_minor = 5_000 - 4_500 - 9_000
    answer = link.sell(3, made, closed=True)
    assert [one.amount_minor for one in answer.returns] == [4_500, 9_000]
    assert used(link, card) == (1, 500)
