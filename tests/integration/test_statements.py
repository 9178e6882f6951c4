"""Goal: statements and reports say what the postings say; a closed period says it for ever."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from server.instant import iso_instant
from tests.accounts import World, identifier, who, world
from tests.pg import run_apart
from tests.serving import (
    CHAIN,
    PROGRAM,
    STORE,
    checkout_request,
    publish,
    reason_of,
    receipt_key,
    test_program,
)
from tests.starting import run

EARNED = 3_000
POINTS = {
    **PROGRAM["assets"][0],
    "active_after_days": 2,
    "active_days": 30,
    "goodwill_max_minor": 500,
    "balance_max_minor": 8_000,
}
FUNDED = {
    **PROGRAM["promotions"][1],
    "funding": [{"party_id": "brand", "share_bp": 4_000}],
}
OWN: dict[str, Any] = {"assets": [POINTS], "promotions": [FUNDED]}


@pytest.fixture
def made(place: dict[str, str], log_dir: Path) -> Iterator[World]:
    with world(place, log_dir, **OWN) as made:
        yield made


def entries(made: World, card: str, **fields: Any) -> list[cs.StatementEntry]:
    """All entries, page by page."""
    request = cs.GetStatementRequest(chain_id=CHAIN, customer=who(card), **fields)
    found: list[cs.StatementEntry] = []
    while True:
        page = made.customers.GetStatement(request)
        found.extend(page.entries)
        if not page.next_page_token:
            return found
        assert len(page.entries) == request.page_size
        request.page_token = page.next_page_token


def refused(call: Any, request: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=10)
    return reason_of(error.value)[1:]


def goodwill(number: int, card: str, amount_minor: int, **fields: Any) -> cs.PostGoodwillRequest:
    values: dict[str, Any] = {
        "goodwill_id": number.to_bytes(16, "big"),
        "chain_id": CHAIN,
        "store_id": STORE,
        "customer": who(card),
        "asset_code": "points",
        "amount_minor": amount_minor,
        "reason_code": "SORRY",
        "agent_id": "a1",
    }
    return cs.PostGoodwillRequest(**{**values, **fields})


def void(number: int) -> pb.VoidRequest:
    return pb.VoidRequest(receipt_key=receipt_key(number), reason_code="WRONG", cashier_id="c1")


def test_a_statement_says_what_happened_with_running_balances(made: World) -> None:
    made.till.Checkout(checkout_request(1, "card1"))
    made.later(1)
    made.till.Checkout(checkout_request(2, "card1"))
    made.later(2)
    made.till.Void(void(1))
    made.later(3)
    made.customers.PostGoodwill(goodwill(1, "card1", 400))
    found = entries(made, "card1")
    kinds = [cs.EntryKind.Name(one.kind).removeprefix("ENTRY_KIND_") for one in found]
    assert kinds == ["CHECKOUT", "CHECKOUT", "VOID", "GOODWILL"]
    assert [one.amount_minor for one in found] == [EARNED, EARNED, -EARNED, 400]
    assert [one.balance_minor for one in found] == [EARNED, 2 * EARNED, EARNED, EARNED + 400]
    assert [one.store_id for one in found] == [STORE, STORE, "", ""]
    assert [one.promotion_id for one in found] == ["points-5", "points-5", "points-5", ""]
    assert entries(made, "card1", page_size=1) == found
    assert entries(made, "card1", page_size=3) == found
    # A part of it begins with the balance from before.
    second, third = found[1].effective_at_us, found[2].effective_at_us
    assert entries(made, "card1", from_us=second, to_us=third) == [found[1]]
    # By what was recorded then, the void is not there yet.
    assert entries(made, "card1", known_at_us=second) == found[:2]
    assert entries(made, "card2") == []

    # The balance at any instant is that of the last entry before it.
    for at_us, expected in (
        (found[0].effective_at_us - 1, 0),
        (found[0].effective_at_us, EARNED),
        (second, 2 * EARNED),
        (third - 1, 2 * EARNED),
        (third, EARNED),
    ):
        request = cs.GetBalanceRequest(chain_id=CHAIN, customer=who("card1"), at_us=at_us)
        past = made.customers.GetBalance(request).past
        assert sum(one.amount_minor for one in past) == expected
    known = cs.GetBalanceRequest(
        chain_id=CHAIN, customer=who("card1"), at_us=third, known_at_us=second
    )
    assert [one.amount_minor for one in made.customers.GetBalance(known).past] == [2 * EARNED]


def test_a_balance_says_what_counts_when_and_what_ends_when(made: World) -> None:
    made.till.Checkout(checkout_request(1, "card1"))
    made.later(3)
    made.till.Checkout(checkout_request(2, "card1"))
    lots = made.fetch("select active_from_us, expires_at_us from lot order by active_from_us")
    request = cs.GetBalanceRequest(chain_id=CHAIN, customer=who("card1"))
    (points,) = made.customers.GetBalance(request).positions
    assert (points.amount_minor, points.decimals) == (2 * EARNED, 2)
    assert (points.active_minor, points.pending_minor, points.debt_minor) == (EARNED, EARNED, 0)
    assert [(one.at_us, one.amount_minor) for one in points.pending] == [(lots[1][0], EARNED)]
    assert [(one.at_us, one.amount_minor) for one in points.expiring] == [
        (ends_us, EARNED) for _, ends_us in lots
    ]
    told = made.till.Identify(
        pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier("card1"))
    )
    (shown,) = told.balances
    assert (shown.amount_minor, shown.pending_minor, shown.held_minor) == (2 * EARNED, EARNED, 0)
    assert (shown.expiring_minor, shown.expires_at_us) == (EARNED, lots[0][1])
    assert any("30" in one.text and "Сгорит" in one.text for one in told.texts)
    assert refused(made.customers.GetBalance, cs.GetBalanceRequest(chain_id=CHAIN))[0] == (
        "FIELD_REQUIRED"
    )
    stranger = cs.GetBalanceRequest(chain_id=CHAIN, customer=who("nobody"))
    assert refused(made.customers.GetBalance, stranger)[0] == "CUSTOMER_NOT_FOUND"


def test_goodwill_has_a_limit_and_happens_once(made: World) -> None:
    posted = made.customers.PostGoodwill(goodwill(1, "card1", 500))
    assert posted.balance_minor == 500
    assert posted.expires_at_us > posted.active_from_us > 0
    assert made.customers.PostGoodwill(goodwill(1, "card1", 500)) == posted
    assert made.balance("card1") == 500
    over = refused(made.customers.PostGoodwill, goodwill(2, "card1", 501))
    assert over == ("GOODWILL_LIMIT", over[1])
    assert over[1]["max_minor"] == "500"
    post = made.customers.PostGoodwill
    assert refused(post, goodwill(1, "card1", 400))[0] == "KEY_CONFLICT"
    assert refused(post, goodwill(3, "none", 1))[0] == "CUSTOMER_NOT_FOUND"
    assert refused(post, goodwill(3, "card1", 1, asset_code="gold"))[0] == "INCONSISTENT"
    assert refused(post, goodwill(3, "card1", 0))[0] == "OUT_OF_RANGE"
    for number in (4, 5):
        made.till.Checkout(checkout_request(number, "card1"))
    made.customers.PostGoodwill(goodwill(6, "card1", 500))
    made.customers.PostGoodwill(goodwill(7, "card1", 500))
    bound = refused(post, goodwill(8, "card1", 501))
    assert bound[0] == "GOODWILL_LIMIT"
    made.customers.PostGoodwill(goodwill(9, "card1", 500))
    full = refused(post, goodwill(10, "card1", 1))
    assert (full[0], full[1]["max_minor"]) == ("GOODWILL_LIMIT", "0")
    assert made.balance("card1") == 8_000
    made.check_ledger()


def report(made: World, chain_id: str = CHAIN, **fields: int) -> lg.GetLedgerReportResponse:
    request = lg.GetLedgerReportRequest(chain_id=chain_id, **fields)
    found: lg.GetLedgerReportResponse = made.office.GetLedgerReport(request)
    return found


def costs(asset: lg.AssetReport) -> dict[str, int]:
    return {one.party_id: one.amount_minor for one in asset.costs}


def now_us(made: World) -> int:
    at_us: int = made.office.GetRuleset(bo.GetRulesetRequest()).now_us
    return at_us


def close(to_us: int, chain_id: str = CHAIN) -> lg.ClosePeriodRequest:
    return lg.ClosePeriodRequest(chain_id=chain_id, to_us=to_us, closed_by="test")


def test_a_report_adds_up_and_a_closed_period_stays(made: World) -> None:
    for number in range(4):
        made.till.Checkout(checkout_request(number, f"card{number % 2}"))
    made.till.Void(void(0))
    end_us = now_us(made)
    (before,) = report(made).assets
    assert costs(before) == {"": 3 * 1_800, "brand": 3 * 1_200}
    assert (before.liability_minor, before.change_minor) == (3 * EARNED, 3 * EARNED)

    closed = made.office.ClosePeriod(close(end_us))
    assert (closed.from_us, closed.to_us, closed.left_out) == (0, end_us, 0)
    final = report(made, to_us=end_us)
    assert final.final
    assert list(final.assets) == [before]

    # Whatever comes later is of the next period, and nothing changes the closed one.
    made.later(1)
    made.till.Void(void(1))
    made.later(50)
    made.office.ExpireLots(lg.ExpireLotsRequest())
    assert report(made, to_us=end_us) == final
    second = report(made, from_us=end_us)
    assert not second.final
    (later,) = second.assets
    assert (later.liability_minor, later.breakage_minor) == (0, 2 * EARNED)
    assert costs(later) == {"": -1_800, "brand": -1_200}
    assert later.change_minor == -3 * EARNED

    last_us = now_us(made)
    made.office.ClosePeriod(close(last_us))
    assert list(report(made, from_us=end_us, to_us=last_us).assets) == [later]
    assert report(made, to_us=end_us) == final
    whole = report(made, to_us=last_us)
    assert whole.final
    assert whole.assets[0].postings == before.postings + later.postings

    # Closing again, before the end of what is closed, or before the end has come, is refused.
    for at_us in (last_us, end_us, last_us - 1):
        reason, facts = refused(made.office.ClosePeriod, close(at_us))
        assert (reason, facts["closed_to_us"]) == ("PERIOD_CLOSED", str(last_us))
    with pytest.raises(grpc.RpcError) as early:
        made.office.ClosePeriod(close(last_us + 10**12))
    _, reason, facts = reason_of(early.value)
    assert (reason, facts["actual"]) == ("OUT_OF_RANGE", str(last_us + 10**12))
    assert iso_instant(int(facts["max"])) in str(early.value.details())
    assert iso_instant(last_us + 10**12) in str(early.value.details())
    periods = made.office.ListPeriods(lg.ListPeriodsRequest(chain_id=CHAIN)).periods
    assert [(one.from_us, one.to_us) for one in periods] == [(0, end_us), (end_us, last_us)]


HALF_WRITTEN = """
insert into posting (account_id, transfer_id, leg, book, party_id, promotion_id, asset_code,
                     amount_minor, effective_at_us, recorded_at_us)
select account_id, $2::bytea, leg, book, '', 'late', 'points', amount_minor, $1, $1
  from account, (values (0, 1, 77), (1, 2, -77)) as legs (leg, book, amount_minor)
 where purchases > 0
"""


def test_a_transaction_that_is_open_while_a_period_is_closed_is_in_the_next(made: World) -> None:
    """Postings of it and of all that began after it: in no closed period before, in one after."""
    made.till.Checkout(checkout_request(1, "card1"))
    recorded_us = now_us(made)

    async def run() -> tuple[int, int]:
        connection = await asyncpg.connect(made.dsn, timeout=10)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(HALF_WRITTEN, recorded_us, bytes(18))
            await asyncio.to_thread(made.till.Checkout, checkout_request(2, "card1"))
            first_us = now_us(made)
            left = await asyncio.to_thread(made.office.ClosePeriod, close(first_us))
            await transaction.commit()
            return first_us, left.left_out
        finally:
            await connection.close()

    first_us, left_out = run_apart(run)
    assert left_out == 3, "the legs of the second receipt: customer, chain and brand"
    final = report(made, to_us=first_us)
    assert [one.liability_minor for one in final.assets] == [EARNED]
    second_us = now_us(made)
    assert made.office.ClosePeriod(close(second_us)).left_out == 0
    (later,) = report(made, from_us=first_us, to_us=second_us).assets
    assert (later.change_minor, later.liability_minor) == (EARNED + 77, 2 * EARNED + 77)
    assert report(made, to_us=first_us) == final
    totals: Counter[int] = Counter()
    for book, amount in made.fetch("select book, amount_minor::bigint from ledger_period_total"):
        totals[book] += amount
    posted = made.fetch("select book, sum(amount_minor)::bigint from posting group by book")
    assert dict(totals) == dict(posted)


def test_two_closings_at_once_are_one(made: World) -> None:
    made.till.Checkout(checkout_request(1, "card1"))
    end_us = now_us(made)

    async def attempt() -> str:
        try:
            await asyncio.to_thread(made.office.ClosePeriod, close(end_us))
        except grpc.RpcError as error:
            return reason_of(error)[1]
        return "closed"

    async def run() -> list[str]:
        return await asyncio.gather(*(attempt() for _ in range(6)))

    assert sorted(run_apart(run)) == 5 * ["PERIOD_CLOSED"] + ["closed"]


def test_chains_with_assets_of_one_name_are_apart(made: World) -> None:
    store = bo.Store(
        store_id=STORE, time_zone="Europe/Moscow", currency_code="RUB", language_code="ru", name="B"
    )
    made.office.ImportStores(bo.ImportStoresRequest(chain_id="other", stores=[store]))
    card = bo.ImportedIdentifier(kind="card", value="card1")
    one = bo.Customer(customer_number="1", identifiers=[card])
    made.office.ImportCustomers(bo.ImportCustomersRequest(chain_id="other", customers=[one]))
    own = {
        "program_id": "other",
        "chain_id": "other",
        "promotions": [{**FUNDED, "promotion_id": "other-points"}],
        "cross_sell_links": [],
    }
    publish(made.office, test_program(**{**OWN, **own}))
    made.till.Checkout(checkout_request(1, "card1"))
    for number in (1, 2):
        request = checkout_request(number, "card1")
        request.receipt_key.chain_id = request.sale.header.chain_id = "other"
        made.till.Checkout(request)
    assert [one.liability_minor for one in report(made).assets] == [EARNED]
    assert [one.liability_minor for one in report(made, "other").assets] == [2 * EARNED]
    # A card of one chain is nobody in the other, and nothing is merged across.
    across = lg.MergeAccountsRequest(
        chain_id="other", losing=who("card2"), winning=who("card1"), merged_by="test"
    )
    assert refused(made.office.MergeAccounts, across)[0] == "CUSTOMER_NOT_FOUND"


def ctl(made: World, *arguments: str) -> str:
    settings = {"COLUMNS": "200", "LOYALTY_TARGET": made.servers[0].target}
    done = run("server.ctl", *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_an_operator(made: World) -> None:
    for number, card in enumerate(["card1", "card1", "card2"]):
        made.till.Checkout(checkout_request(number, card))
    made.till.Checkout(
        checkout_request(9, "card2", closed=True, basket_id=bytes(16), token=b"mangled")
    )
    said = ctl(made, "ledger", "statement", "--chain", CHAIN, "--identifier", "card:card1")
    assert "60.00" in said
    assert said.count("checkout") == 2
    assert '"balance_minor":"6000"' in ctl(
        made, "ledger", "statement", "--chain", CHAIN, "--customer", "1", "--json"
    ).replace(" ", "")
    assert "cost of brand" in ctl(made, "ledger", "report", "--chain", CHAIN)
    assert "token" in ctl(made, "ledger", "exceptions")
    merged = ctl(made, "customer", "merge", "card:card1", "2", "--chain", CHAIN, "--by", "test")
    assert "2 lot(s) moved" in merged
    shown = ctl(made, "customer", "show", "--chain", CHAIN, "--customer", "1")
    assert "120.00" in shown
    made.later(60)
    assert "12,000" in ctl(made, "ledger", "expire")
    closed = ctl(
        made, "ledger", "close", "--chain", CHAIN, "--by", "t", "--to", "2026-12-01T00:00:00Z"
    )
    assert "closed: the beginning to 2026-12-01" in closed
    assert "2026-12-01" in ctl(made, "ledger", "periods", "--chain", CHAIN)
    again = close(1_796_083_200_000_000)
    with pytest.raises(grpc.RpcError) as error:
        made.office.ClosePeriod(again)
    assert "closed up to 2026-12-01T00:00:00+00:00" in str(error.value.details())
