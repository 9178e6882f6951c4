"""Goal: money is sent once for a receipt, whatever is stated of it after it was sent.

A hundredth of what is paid is sent, 1,000 of 100,000.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1.program_pb2 import Program
from tests.forwarding import AS_ANSWERED, NOT_SOLD, OTHER, PLAIN, RECORDED, SUPERSEDED, Link, off
from tests.refunding import PROGRAM_BACK, basket, named, open_shop, rate
from tests.serving import CHAIN, test_program

SENDING = test_program(
    **{
        **PROGRAM_BACK,
        "promotions": [
            off("sku1", "points"),
            rate("points-5", "points"),
            {
                "promotion_id": "sent",
                "names": named("1%"),
                "lane": "reward",
                "gives": [{"code": "money_transfer", "destination_code": "phone", "rate_bp": 100}],
            },
        ],
    }
)
REQUESTED, SENT = bo.MONEY_TRANSFER_STATE_REQUESTED, bo.MONEY_TRANSFER_STATE_SENT
DONE = bo.MONEY_TRANSFER_STATE_DONE
RETURNED = bo.MONEY_TRANSFER_STATE_RETURNED


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Link]:
    """Two servers with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("sending")
    template = template_with(SENDING)
    with open_shop(Link, pg_server_dsn, template, folder) as made:
        yield made


class Receipt:
    """A receipt that was sold at the plain price, whose money is on its way."""

    def __init__(self, link: Link) -> None:
        link.begin()
        self._link = link
        self._card = link.card()
        self._made = basket(("sku1", 2, 50_000), card=self._card)
        assert link.forward(1, self._made, PLAIN).state == RECORDED

    def state(self, kind: Any, number: int, lines: Any = None) -> None:
        """Say what the till did."""
        assert self._link.forward(1, self._made, kind, number, lines).state == SUPERSEDED

    def pay_out(self, *states: Any) -> None:
        """Bring all that is requested into states, one after the other."""
        for one in self._listed(REQUESTED):
            for turn, state in enumerate(states, one.turn):
                self._advance(one.transfer_id, turn, state)

    def come_back(self) -> None:
        """All that was sent comes back to the chain."""
        for one in (*self._listed(SENT), *self._listed(DONE)):
            self._advance(one.transfer_id, one.turn, RETURNED)

    def send_again(self) -> int:
        """Send all that came back; how much it was, minor units."""
        found = self._listed(RETURNED)
        for one in found:
            self._advance(one.transfer_id, one.turn, SENT)
        return sum([one.amount_minor for one in found])

    def void(self) -> None:
        """Undo it."""
        self._link.void(1)

    def _advance(self, transfer_id: bytes, turn: int, state: Any) -> None:
        request = bo.AdvanceMoneyTransferRequest(
            chain_id=CHAIN, transfer_id=transfer_id, turn=turn, to_state=state
        )
        self._link.office.AdvanceMoneyTransfer(request)

    def refund(self, number: int) -> None:
        """Take a piece back."""
        self._link.refund(number, 1, {"sku1": 1_000})

    def amounts(self) -> tuple[int, int]:
        """What is sent, and what is to be, minor units."""
        found = (self._listed(SENT), [*self._listed(REQUESTED), *self._listed(RETURNED)])
        sent, waiting = ([one.amount_minor for one in some] for some in found)
        return sum(sent), sum(waiting)

    def _listed(self, state: Any) -> list[Any]:
        request = bo.ListMoneyTransfersRequest(chain_id=CHAIN, state=state)
        found = self._link.office.ListMoneyTransfers(request).transfers
        return [one for one in found if one.customer_number == self._card]


@pytest.fixture
def receipt(links: Link) -> Receipt:
    """A receipt of its own for each test."""
    return Receipt(links)


def test_what_was_sent_is_not_sent_again(receipt: Receipt) -> None:
    """900 of it would have been sent, had the till said at once that it sold as answered."""
    receipt.pay_out(SENT)
    receipt.state(AS_ANSWERED, 2)
    assert receipt.amounts() == (900, 0)


def test_what_was_sent_of_a_later_statement_is_not_sent_again(receipt: Receipt) -> None:
    """It was undone twice by then."""
    receipt.state(OTHER, 2, {"sku1": 96_000})
    receipt.pay_out(SENT)
    assert receipt.amounts() == (900, 0)
    receipt.state(AS_ANSWERED, 3)
    assert receipt.amounts() == (900, 0)


def test_what_came_back_to_the_chain_is_sent_once(receipt: Receipt) -> None:
    """It waits to be sent again."""
    receipt.pay_out(SENT, RETURNED)
    receipt.state(AS_ANSWERED, 2)
    assert receipt.amounts() == (0, 900)


def test_what_was_not_sold_and_was_sold_after_all(receipt: Receipt) -> None:
    """What was sent is not called back."""
    receipt.pay_out(SENT)
    receipt.state(NOT_SOLD, 2)
    assert receipt.amounts() == (900, 0)
    receipt.state(PLAIN, 3)
    assert receipt.amounts() == (900, 0)


def test_nothing_was_sent(receipt: Receipt) -> None:
    """The first one is cancelled, and the second one is lowered with the goods."""
    receipt.state(AS_ANSWERED, 2)
    assert receipt.amounts() == (0, 900)
    receipt.refund(2)
    assert receipt.amounts() == (0, 450)


@pytest.mark.parametrize("before", [(SENT, RETURNED), (SENT,), (SENT, DONE)])
def test_what_comes_back_to_the_chain_of_a_voided_receipt_stays_there(
    receipt: Receipt, before: tuple[Any, ...]
) -> None:
    """Before the void, or after it: there is nothing to send again."""
    receipt.pay_out(*before)
    receipt.void()
    receipt.come_back()
    assert receipt.amounts() == (0, 0)
    assert receipt.send_again() == 0


@pytest.mark.parametrize("before", [(SENT, RETURNED), (SENT,), (SENT, DONE)])
def test_what_comes_back_to_the_chain_is_lowered_with_the_goods(
    receipt: Receipt, before: tuple[Any, ...]
) -> None:
    """A half of the goods is kept, then nothing."""
    receipt.pay_out(*before)
    receipt.refund(2)
    receipt.come_back()
    assert receipt.amounts() == (0, 450)
    assert receipt.send_again() == 450
    receipt.refund(3)
    receipt.come_back()
    assert receipt.amounts() == (0, 0)


@pytest.mark.parametrize("sells_anew", [(AS_ANSWERED,), (NOT_SOLD, AS_ANSWERED)])
def test_what_was_sent_counts_for_what_was_sold_anew(
    receipt: Receipt, sells_anew: tuple[Any, ...]
) -> None:
    """It comes back to the chain, is lowered with the goods, and ends with the receipt."""
    receipt.pay_out(SENT)
    for number, kind in enumerate(sells_anew, 2):
        receipt.state(kind, number)
    receipt.refund(2)
    assert receipt.amounts() == (900, 0)
    receipt.come_back()
    assert receipt.amounts() == (0, 450)
    assert receipt.send_again() == 450
    receipt.void()
    receipt.come_back()
    assert receipt.amounts() == (0, 0)
