"""A world in which goods come back: its program is in force, and servers' clocks can be shifted."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.program_pb2 import Program
from server.clock import set_offset
from tests import pg
from tests.serving import (
    PROGRAM,
    ServerProcess,
    publish,
    publishing,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    wait_loaded,
    with_totals,
)

DAY_US = 86_400_000_000
POINTS_ASSET = PROGRAM["assets"][0]
SPEND = {"asset_code": "points", "step_minor": 1, "value_minor": 1}
"""A hundredth of a point is worth a kopeck; spent as a discount, if a quote reserves it."""
TENDERED = {**SPEND, "asset_code": "bonus", "mode": "tender"}


def named(text: str) -> list[dict[str, str]]:
    return [{"language_code": "ru", "text": text}]


def rate(promotion_id: str, asset_code: str, **more: Any) -> dict[str, Any]:
    """5% of what is paid, in an asset."""
    gives = [{"code": "points_rate", "asset_code": asset_code, "rate_bp": 500}]
    return {
        "promotion_id": promotion_id,
        "names": named(promotion_id),
        "lane": "reward",
        "gives": gives,
        **more,
    }


def said(trigger: str) -> dict[str, Any]:
    """The cashier has said it."""
    return {"code": "trigger", "any_of": [trigger]}


def threshold(policy: str) -> dict[str, Any]:
    """10% from 1,000.00 on, if the cashier says so."""
    return {
        "promotion_id": f"from-1000-{policy}",
        "names": named("10%"),
        "lane": "basket",
        "conditions": [said(policy), {"code": "receipt_amount", "from_minor": 100_000}],
        "gives": [{"code": "receipt_discount", "rate_bp": 1_000}],
        "policy": {"refund": policy.replace("-", "_")},
    }


POLICIES = ("rewards", "claw-back", "waive", "forbid")
PROGRAM_BACK: dict[str, Any] = {
    "assets": [
        POINTS_ASSET,
        {**POINTS_ASSET, "code": "bonus"},
        {**POINTS_ASSET, "code": "brief", "active_days": 2},
    ],
    "promotions": [
        rate("points-5", "points"),
        rate("brief-5", "brief", conditions=[said("brief")]),
        rate("bonus-5", "bonus", conditions=[said("bonus")]),
        rate(
            "funded-5",
            "points",
            conditions=[said("funded")],
            funding=[{"party_id": "brand", "share_bp": 6_000}],
        ),
        {
            "promotion_id": "three-for-two",
            "names": named("3 = 2"),
            "lane": "price",
            "products": {"skus": ["sku0"]},
            "gives": [{"code": "cheapest_free", "set_count": 3}],
        },
        *(threshold(policy) for policy in POLICIES),
    ],
    "spend_rules": [SPEND, TENDERED, {**SPEND, "asset_code": "brief"}],
    "returns": {"returned_active_days": 14},
}


def _program(**changes: Any) -> Program:
    return test_program(**{**PROGRAM_BACK, **changes})


@pytest.fixture(scope="session")
def refund_template(
    pg_server_dsn: str, seeded_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database to clone: the world of the tests, with the program of refunds in force."""
    dsn = pg.create_database(pg_server_dsn, template=seeded_template)
    with (
        publishing(dsn, tmp_path_factory.mktemp("refund")) as (target, clock_file),
        grpc.insecure_channel(target) as channel,
    ):
        publish(BackOfficeServiceStub(channel), _program(), clock_file)
    yield urlsplit(dsn).path.removeprefix("/")
    pg.drop_database(dsn)


class Shop:
    """Two servers over one database, and a till at each.

    Attributes:
        tills: a stub of TillService at each server.
        office: a stub of BackOfficeService.
    """

    def __init__(self, servers: Sequence[ServerProcess], dsn: str, clock: Path) -> None:
        self.servers = servers
        self.targets = [server.target for server in servers]
        self._dsn = dsn
        self._clock = clock
        self._channels = [grpc.insecure_channel(target) for target in self.targets]
        self.tills = [till_stub(channel) for channel in self._channels]
        self.office: Any = BackOfficeServiceStub(self._channels[0])

    def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            channel.close()

    def publish(self, **changes: Any) -> None:
        """Put the program of this world in force at all servers, with some keys replaced."""
        version = publish(self.office, _program(**changes), self._clock)
        for server in self.servers:
            wait_loaded(server, version)

    def at_day(self, days: float) -> None:
        """Set the clock of all servers so many days ahead."""
        set_offset(self._clock, round(days * DAY_US))

    def sell(self, number: int, made: Any, **changes: Any) -> pb.CheckoutResponse:
        """Sell; the answer."""
        request = pb.CheckoutRequest(receipt_key=receipt_key(number), sale=made, **changes)
        answer: pb.CheckoutResponse = self.tills[0].Checkout(request)
        return answer

    def refund(
        self, number: int, original: int, lines: dict[str, int], closed: bool = False, till: int = 0
    ) -> pb.RefundResponse:
        """Take pieces back: thousandths by line."""
        answer: pb.RefundResponse = self.tills[till].Refund(
            refund_request(number, original, lines, closed)
        )
        return answer

    def refused(self, *given: Any, **named: Any) -> tuple[str, dict[str, str]]:
        """The reason and facts that a refund is refused with; nothing is posted."""
        before = self.rows()
        with pytest.raises(grpc.RpcError) as refused:
            self.refund(*given, **named)
        assert self.rows() == before
        _, reason, metadata = reason_of(refused.value)
        return reason, metadata

    def void(self, number: int) -> pb.VoidResponse:
        """Undo a receipt."""
        request = pb.VoidRequest(receipt_key=receipt_key(number), reason_code="X", cashier_id="c1")
        answer: pb.VoidResponse = self.tills[0].Void(request)
        return answer

    def balances(self, card: str) -> dict[str, int]:
        """What a card owns, minor units by asset, where it is not nothing."""
        identifier = sale(card).header.identifiers[0]
        request = pb.IdentifyRequest(chain_id="test", store_id="s1", identifier=identifier)
        found = self.tills[0].Identify(request).balances
        return {one.asset_code: one.amount_minor for one in found if one.amount_minor}

    def sql(self, statement: str, *args: Any) -> list[Any]:
        """Run a statement."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self._dsn)
            try:
                return list(await connection.fetch(statement, *args))
            finally:
                await connection.close()

        return asyncio.run(run())

    def rows(self) -> tuple[int, ...]:
        """How much stands in the ledger and beside it."""
        tables = ("commit_key", "receipt", "posting", "lot", "lot_change", "receipt_refund")
        counts = ", ".join(f"(select count(*) from {table})" for table in tables)
        return tuple(self.sql(f"select {counts}")[0])


ShopT = TypeVar("ShopT", bound=Shop)


@contextmanager
def open_shop(
    kind: type[ShopT], pg_server_dsn: str, template: str, folder: Path, count: int = 2
) -> Iterator[ShopT]:
    """Servers over a database of their own, for tests that share them.

    Args:
        kind: of shop.
        pg_server_dsn: where databases are made.
        template: the database to clone.
        folder: of logs and of the clock.
        count: of servers.
    """
    dsn = pg.create_database(pg_server_dsn, template=template)
    clock = folder / "clock"
    set_offset(clock, 0)
    place = {"LOYALTY_DSN": dsn, "LOYALTY_CLOCK_FILE": str(clock)}
    try:
        with serving(place, folder, count) as servers:
            made = kind(servers, dsn, clock)
            yield made
            proved = made.office.AuditLedger(bo.AuditLedgerRequest())
            assert proved.balanced, proved
            made.close()
    finally:
        pg.drop_database(dsn)


@pytest.fixture
def shop(pg_server_dsn: str, refund_template: str, tmp_path: Path) -> Iterator[Shop]:
    """Two servers with the program of refunds in force; at the end the ledger is proved."""
    with open_shop(Shop, pg_server_dsn, refund_template, tmp_path) as made:
        yield made
        # An empty ledger proves nothing; a test of anonymous receipts would leave one.
        made.sell(9_999, basket(("sku1", 1, 10_000), card="card39"))


def basket(
    *lines: tuple[str, int, int],
    card: str = "card1",
    triggers: Sequence[str] = (),
    till: str = "t1",
) -> Any:
    """A sale of (sku, pieces, price in minor units), each on a line called like its sku."""
    made = sale(card, lines=0, till=till)
    for sku, pieces, price_minor in lines:
        made.lines.add(
            line_id=sku,
            sku=sku,
            quantity_milli=pieces * 1_000,
            unit=receipt_pb2.QUANTITY_UNIT_PIECE,
            unit_price_scaled=price_minor,
            unit_price_scale=2,
            amount_minor=pieces * price_minor,
            price_source=receipt_pb2.PRICE_SOURCE_SHELF,
            kind=receipt_pb2.LINE_KIND_GOODS,
            action=receipt_pb2.LINE_ACTION_SALE,
        )
    made.header.manual_triggers.extend(triggers)
    return with_totals(made)


def exchanged(number_of: int, back: tuple[str, int, int], *lines: Any, card: str = "card1") -> Any:
    """A sale on which (line, pieces, amount) of another receipt comes back."""
    line_id, pieces, amount_minor = back
    made = basket(*lines, card=card)
    line = made.lines.add()
    line.CopyFrom(basket((line_id, pieces, 1)).lines[0])
    line.line_id, line.amount_minor = "back", amount_minor
    line.unit_price_scaled = amount_minor // pieces
    line.action = receipt_pb2.LINE_ACTION_RETURN
    if number_of:
        line.return_origin.receipt_key.CopyFrom(receipt_key(number_of))
        line.return_origin.line_id = line_id
    counted = with_totals(made)
    signed = [-x.amount_minor if x.action == 2 else x.amount_minor for x in made.lines]
    counted.header.control_totals.amount_minor = sum(signed)
    return counted


def refund_request(
    number: int, original: int, lines: dict[str, int], closed: bool = False
) -> pb.RefundRequest:
    """A refund under a number of its own: thousandths by line of the original."""
    return pb.RefundRequest(
        receipt_key=receipt_key(number),
        original_key=receipt_key(original),
        lines=[pb.RefundLine(line_id=key, quantity_milli=milli) for key, milli in lines.items()],
        cashier_id="c1",
        reason_code="BROKEN",
        closed=closed,
    )


def settled(answer: Any) -> dict[str, tuple[int, int, int, int]]:
    """By asset what was given back, taken back, is owed and was waived."""
    return {
        one.asset_code: (
            one.given_back_minor,
            one.taken_back_minor,
            one.owed_minor,
            one.waived_minor,
        )
        for one in answer.assets
    }
