"""A world in which tills break off: two servers, a program with every offline policy, a clock."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset, system_clock
from tests import pg
from tests.refunding import SPEND, TENDERED, Shop, basket, named, rate, refund_request
from tests.serving import (
    CHAIN,
    PROGRAM,
    ServerProcess,
    publish,
    reason_of,
    receipt_key,
    serving,
    test_program,
)

DAY_US = 86_400_000_000
POINTS_ASSET = PROGRAM["assets"][0]
NAMES = POINTS_ASSET["names"]
K = receipt_pb2
RECORDED, SUPERSEDED = pb.FORWARD_STATE_RECORDED, pb.FORWARD_STATE_SUPERSEDED
SETTLED, PARKED = pb.FORWARD_STATE_ALREADY_SETTLED, pb.FORWARD_STATE_PARKED
QUARANTINED = pb.FORWARD_STATE_QUARANTINED
AS_ANSWERED, PLAIN = K.OUTCOME_KIND_AS_ANSWERED, K.OUTCOME_KIND_PLAIN
OTHER, NOT_SOLD = K.OUTCOME_KIND_OTHER, K.OUTCOME_KIND_NOT_SOLD
UNKNOWN = K.OUTCOME_KIND_UNKNOWN


def off(sku: str, policy: str | None, **more: Any) -> dict[str, Any]:
    """10% off an article; a till that could not give it gives what the policy says."""
    kept = {"policy": {"offline": policy}} if policy else {}
    return {
        "promotion_id": f"off-{sku}",
        "names": named("10%"),
        "lane": "price",
        "products": {"skus": [sku]},
        "gives": [{"code": "percent_off", "rate_bp": 1_000}],
        **kept,
        **more,
    }


PROGRAM_OFFLINE: dict[str, Any] = {
    "assets": [
        POINTS_ASSET,
        {"code": "later", "kind": "deferred_discount", "names": NAMES},
        {**POINTS_ASSET, "code": "bonus"},
        {"code": "gift", "kind": "gift_money", "names": NAMES},
        {"code": "stamps", "kind": "stamps", "names": NAMES},
    ],
    "coupon_series": [{"series_code": "half", "valid_days": 7}],
    "promotions": [
        off("sku1", None),
        off("sku2", "deferred_discount"),
        off("sku3", "nothing"),
        off("sku4", "points", funding=[{"party_id": "brand", "share_bp": 6_000}]),
        off("sku5", "points", conditions=[{"code": "coupon", "series": ["half"]}]),
        off("sku6", "points", cost={"asset_code": "bonus", "amount_minor": 500}),
        rate("points-5", "points"),
        rate("bonus-50", "bonus", conditions=[{"code": "trigger", "any_of": ["bonus"]}]),
        {
            "promotion_id": "give-half",
            "names": named("купон"),
            "lane": "reward",
            "conditions": [{"code": "trigger", "any_of": ["coupon"]}],
            "gives": [{"code": "coupon_reward", "series_code": "half"}],
        },
    ],
    "spend_rules": [SPEND, TENDERED],
}
"""A hundredth of a point is worth a kopeck; earned are 5% of what is paid."""


class Link(Shop):
    """A shop whose link is poor: receipts that were broken off are forwarded.

    Tests share its servers: each has numbers and customers of its own.
    """

    def __init__(self, servers: Sequence[ServerProcess], dsn: str, clock: Path) -> None:
        super().__init__(servers, dsn, clock)
        self._base = 0

    @property
    def clock(self) -> Path:
        """The file by which the clock of the servers is shifted."""
        return self._clock

    def is_in_force(self, version: int) -> bool:
        """Whether both servers have a later version than the first of these tests in force."""
        found = []
        for channel in self._channels:
            rules = BackOfficeServiceStub(channel).GetRuleset(bo.GetRulesetRequest())
            live = [one for one in rules.versions if one.loaded]
            found.append([one for one in live if one.effective_at_us <= rules.now_us])
        return all(len(one) and one[-1].version > version for one in found)

    def begin(self) -> None:
        """Begin a test: new numbers, new customers."""
        self._base += 1_000

    def n(self, number: int) -> int:
        """The number of a receipt of this test."""
        return self._base + number

    def card(self, number: int = 1) -> str:
        """A customer of this test; made when first asked for."""
        name = f"link-{self._base}-{number}"
        identifier = bo.ImportedIdentifier(kind="card", value=name)
        customer = bo.Customer(customer_number=name, identifiers=[identifier], segments=["all"])
        request = bo.ImportCustomersRequest(chain_id=CHAIN, customers=[customer])
        self.office.ImportCustomers(request)
        return name

    def sell(self, number: int, made: Any, **changes: Any) -> pb.CheckoutResponse:
        """Sell; the answer."""
        return super().sell(self.n(number), made, **changes)

    def refund(
        self, number: int, original: int, lines: dict[str, int], closed: bool = False, till: int = 0
    ) -> pb.RefundResponse:
        """Take pieces back: thousandths by line."""
        return super().refund(self.n(number), self.n(original), lines, closed, till)

    def void(self, number: int) -> pb.VoidResponse:
        """Undo a receipt."""
        return super().void(self.n(number))

    def forward(
        self,
        number: int,
        made: Any = None,
        kind: Any = PLAIN,
        stated: int = 1,
        lines: dict[str, int] | None = None,
        **changes: Any,
    ) -> pb.ForwardResponse:
        """Forward a sale; the acknowledgement."""
        request = forward_request(self.n(number), made, kind, stated, lines, **changes)
        answer: pb.ForwardResponse = self.tills[number % 2].Forward(request)
        return answer

    def state(self, number: int) -> pb.GetReceiptResponse:
        """What became of a receipt."""
        request = pb.GetReceiptRequest(receipt_key=receipt_key(self.n(number)))
        found: pb.GetReceiptResponse = self.tills[1].GetReceipt(request)
        return found

    def break_off(self, number: int) -> pb.BreakOffResponse:
        """Give up on a key."""
        request = pb.BreakOffRequest(receipt_key=receipt_key(self.n(number)))
        found: pb.BreakOffResponse = self.tills[0].BreakOff(request)
        return found

    def refused(self, call: Any, request: Any) -> tuple[str, dict[str, str]]:
        """The reason and facts that a call is refused with."""
        with pytest.raises(grpc.RpcError) as found:
            call(request)
        _, reason, metadata = reason_of(found.value)
        return reason, metadata


def forward_request(
    number: int,
    made: Any,
    kind: Any = PLAIN,
    stated: int = 1,
    lines: dict[str, int] | None = None,
    **changes: Any,
) -> pb.ForwardRequest:
    """A forwarded sale: amounts by line with OTHER."""
    outcome = K.Outcome(
        kind=kind,
        number=stated,
        lines=[
            K.OutcomeLine(line_id=one, amount_minor=minor) for one, minor in (lines or {}).items()
        ],
    )
    return pb.ForwardRequest(
        receipt_key=receipt_key(number),
        sale=made,
        outcome=outcome,
        sold_at_us=changes.pop("sold_at_us", system_clock()),
        **changes,
    )


def forward_refund(number: int, original: int, lines: dict[str, int], **changes: Any) -> Any:
    """A forwarded refund: thousandths by line of the original."""
    request = refund_request(number, original, lines, closed=True)
    return pb.ForwardRequest(
        receipt_key=receipt_key(number),
        refund=request,
        outcome=K.Outcome(kind=changes.pop("kind", AS_ANSWERED), number=changes.pop("stated", 1)),
        sold_at_us=changes.pop("sold_at_us", system_clock()),
        **changes,
    )


def forward_void(number: int, **changes: Any) -> Any:
    """A forwarded void."""
    void = pb.VoidRequest(receipt_key=receipt_key(number), reason_code="X", cashier_id="c1")
    return pb.ForwardRequest(
        receipt_key=receipt_key(number),
        void_receipt=void,
        outcome=K.Outcome(kind=changes.pop("kind", AS_ANSWERED), number=changes.pop("stated", 1)),
        sold_at_us=changes.pop("sold_at_us", system_clock()),
        **changes,
    )


@pytest.fixture(scope="session")
def offline_template(
    pg_server_dsn: str, seeded_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database to clone: the world of the tests, with the program of this module in force."""
    dsn = pg.create_database(pg_server_dsn, template=seeded_template)
    server = ServerProcess({"LOYALTY_DSN": dsn}, tmp_path_factory.mktemp("offline") / "server.log")
    try:
        with grpc.insecure_channel(server.target) as channel:
            publish(BackOfficeServiceStub(channel), test_program(**PROGRAM_OFFLINE))
    finally:
        assert server.stop() == 0
    yield urlsplit(dsn).path.removeprefix("/")
    pg.drop_database(dsn)


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, offline_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Link]:
    """Two servers with that program in force, for all tests of a file."""
    folder = tmp_path_factory.mktemp("links")
    dsn = pg.create_database(pg_server_dsn, template=offline_template)
    clock = folder / "clock"
    set_offset(clock, 0)
    place = {"LOYALTY_DSN": dsn, "LOYALTY_CLOCK_FILE": str(clock), "LOYALTY_PARKING_S": "0.2"}
    try:
        with serving(place, folder, count=2) as servers:
            made = Link(servers, dsn, clock)
            yield made
            made.close()
    finally:
        pg.drop_database(dsn)


@pytest.fixture
def link(links: Link) -> Iterator[Link]:
    """The shop of a test; at the end the ledger is proved, and the clock is right again."""
    links.begin()
    yield links
    # An empty ledger proves nothing.
    links.sell(999, basket(("sku9", 1, 10_000), card="card39"))
    links.at_day(0)
    proved = links.office.AuditLedger(bo.AuditLedgerRequest())
    assert proved.balanced, proved
