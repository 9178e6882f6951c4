"""Goal: turnover is what the till took, whatever it stated and when, and goes with what comes back.

Every sale here is of three lines of two pieces, 60,000 as sent and 54,000 as decided.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.program_pb2 import Program
from tests.forwarding import AS_ANSWERED, NOT_SOLD, OTHER, PLAIN, forward_request
from tests.refunding import Shop, open_shop, refund_request
from tests.serving import PROGRAM, receipt_key, sale, test_program, with_totals

TURNOVERS = test_program(
    promotions=[
        {
            "promotion_id": "off",
            "names": [{"language_code": "ru", "text": "10%"}],
            "lane": "price",
            "gives": [{"code": "percent_off", "rate_bp": 1_000}],
        },
        PROGRAM["promotions"][1],
    ],
    tier_rules=[{"tier_code": "silver", "amount_from_minor": 60_000, "rolling_days": 30}],
)
STATED = {"1": 19_000, "2": 18_000}
"""By line what a till took: with the third as sent 57,000."""


class Receipt:
    """A receipt of a customer of its own, and what the world has counted since it was begun."""

    def __init__(self, shop: Shop, number: int) -> None:
        self._shop = shop
        self._number = number * 100
        self._refunds = count(self._number + 1)
        self._made = sale(f"card{number}")
        self._before = self._counted()

    def sell(self, kind: Any = None, stated: int = 1, lines: Any = None) -> None:
        """Sell by a live call that is closed, with an outcome or without."""
        outcome = None
        if kind is not None:
            given = forward_request(self._number, self._made, kind, stated, lines)
            outcome = given.outcome
        self._shop.sell(self._number, self._made, closed=True, outcome=outcome)

    def forward(self, kind: Any, stated: int = 1, lines: Any = None) -> None:
        """State what the till did."""
        request = forward_request(self._number, self._made, kind, stated, lines)
        told = self._shop.tills[0].Forward(request)
        assert told.state in (pb.FORWARD_STATE_RECORDED, pb.FORWARD_STATE_SUPERSEDED)

    def refund(self, **milli: int) -> None:
        """Take pieces back: thousandths by line, `line1` and so on."""
        lines = {name.removeprefix("line"): one for name, one in milli.items()}
        request = refund_request(next(self._refunds), self._number, lines)
        self._shop.tills[0].Refund(request)

    def exchange(self, milli: int) -> None:
        """Take pieces of the first line back on another sale, which nobody's card is shown at."""
        made = sale("", lines=1, price_minor=5_000)
        line = made.lines.add()
        line.CopyFrom(self._made.lines[0])
        line.line_id, line.quantity_milli = "back", milli
        line.amount_minor = 9_000 * milli // 1_000
        line.action = receipt_pb2.LINE_ACTION_RETURN
        line.return_origin.receipt_key.CopyFrom(receipt_key(self._number))
        line.return_origin.line_id = "1"
        with_totals(made).header.control_totals.amount_minor = 10_000 - line.amount_minor
        self._shop.sell(next(self._refunds), made, closed=True)

    def void(self) -> None:
        """Undo it."""
        self._shop.void(self._number)

    def added(self) -> tuple[int, int]:
        """Minor units and receipts that it has added to turnover, and not lost since."""
        now = self._counted()
        return now[0] - self._before[0], now[1] - self._before[1]

    def _counted(self) -> tuple[int, int]:
        sums = "coalesce(sum(amount_minor), 0)::bigint, coalesce(sum(receipts), 0)::bigint"
        return tuple(self._shop.sql(f"select {sums} from turnover")[0])


@pytest.fixture(scope="module")
def shop(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Shop]:
    """A server with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("turnover")
    template = template_with(TURNOVERS)
    with open_shop(Shop, pg_server_dsn, template, folder, count=1) as made:
        yield made


Step = Callable[[Receipt], None]
SOLD: dict[str, tuple[Sequence[Step], int]] = {
    "live": ([lambda r: r.sell()], 54_000),
    "live, as answered": ([lambda r: r.sell(AS_ANSWERED)], 54_000),
    "live, plain": ([lambda r: r.sell(PLAIN)], 60_000),
    "live, other": ([lambda r: r.sell(OTHER, lines=STATED)], 57_000),
    "live, below what was decided": ([lambda r: r.sell(OTHER, lines={"1": 100})], 40_100),
    "forwarded, plain": ([lambda r: r.forward(PLAIN)], 60_000),
    "forwarded, other": ([lambda r: r.forward(OTHER, lines=STATED)], 57_000),
    "live, then plain": ([lambda r: r.sell(), lambda r: r.forward(PLAIN)], 60_000),
    "live, then other": (
        [lambda r: r.sell(), lambda r: r.forward(OTHER, lines=STATED)],
        57_000,
    ),
    "plain, then as answered": (
        [lambda r: r.sell(PLAIN), lambda r: r.forward(AS_ANSWERED, 2)],
        54_000,
    ),
    "plain by Forward, then as answered": (
        [lambda r: r.sell(), lambda r: r.forward(PLAIN), lambda r: r.forward(AS_ANSWERED, 2)],
        54_000,
    ),
    "plain, then not sold, then other": (
        [
            lambda r: r.sell(PLAIN),
            lambda r: r.forward(NOT_SOLD, 2),
            lambda r: r.forward(OTHER, 3, STATED),
        ],
        57_000,
    ),
    "plain after a piece came back": (
        [lambda r: r.sell(), lambda r: r.refund(line1=1_000), lambda r: r.forward(PLAIN)],
        50_000,
    ),
    "other after a piece came back, of plain": (
        [
            lambda r: r.forward(PLAIN),
            lambda r: r.refund(line1=1_000),
            lambda r: r.forward(OTHER, 2, STATED),
        ],
        47_500,
    ),
    "plain after a piece came back on another sale": (
        [lambda r: r.sell(), lambda r: r.exchange(1_000), lambda r: r.forward(PLAIN)],
        50_000,
    ),
}
NUMBERS = {name: number for number, name in enumerate(SOLD, 1)}


@pytest.mark.parametrize("name", SOLD)
def test_what_the_till_took_is_counted_and_goes_again(shop: Shop, name: str) -> None:
    """All that is counted goes with a void; or with refunds, part by part."""
    steps, wanted_minor = SOLD[name]
    for number, undo in enumerate((_void, _refund_all)):
        receipt = Receipt(shop, 2 * NUMBERS[name] + number)
        for step in steps:
            step(receipt)
        assert receipt.added() == (wanted_minor, 1)
        undo(receipt, "piece" in name)
        assert receipt.added() == (0, 0)


@pytest.mark.parametrize("number", [1, 2])
def test_what_was_not_sold_counts_nothing(shop: Shop, number: int) -> None:
    """However it was sold before."""
    receipt = Receipt(shop, 32 + number)
    receipt.sell(PLAIN) if number == 1 else receipt.forward(PLAIN)
    receipt.forward(NOT_SOLD, 2)
    assert receipt.added() == (0, 0)


def _void(receipt: Receipt, is_part_gone: bool) -> None:
    receipt.void()


def _refund_all(receipt: Receipt, is_part_gone: bool) -> None:
    receipt.refund(line2=1_000, line3=2_000)
    receipt.refund(line1=1_000 if is_part_gone else 2_000)
    receipt.refund(line2=1_000)
