"""Goal: whatever comes back of a receipt at the same instant comes back once, and no more.

Method: two real servers over one database; the ledger is proved after each test.
"""

import asyncio
from typing import Any

import grpc
import pytest

from loyalty.v1 import till_service_pb2 as pb
from tests.refunding import Shop, basket, refund_request
from tests.serving import reason_of, receipt_key, wait_until

RECEIPTS = 24


async def _calls(shop: Shop, sent: list[tuple[int, str, bytes]]) -> list[Any]:
    """Send (server, call, request) all at once: answers, or what they were refused with."""
    channels = [grpc.aio.insecure_channel(target) for target in shop.targets]
    try:
        waiting: list[Any] = []
        for server, name, request in sent:
            call: Any = channels[server].unary_unary(f"/loyalty.v1.TillService/{name}")
            waiting.append(call(request, timeout=30.0))
        return await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        for channel in channels:
            await channel.close()


def void_request(number: int) -> bytes:
    request = pb.VoidRequest(receipt_key=receipt_key(number), reason_code="X", cashier_id="c1")
    return request.SerializeToString()


@pytest.mark.parametrize("card", ["card1", ""], ids=["customer", "anonymous"])
def test_a_refund_and_a_void_at_once(shop: Shop, card: str) -> None:
    """Either the void came first and nothing is refunded, or it undoes what the refund has left."""
    sent: list[tuple[int, str, bytes]] = []
    for n in range(RECEIPTS):
        shop.sell(n, basket(("sku1", 2, 10_000), card=card))
        refund = refund_request(100 + n, n, {"sku1": 1_000}).SerializeToString()
        sent += [(n % 2, "Refund", refund), ((n + 1) % 2, "Void", void_request(n))]
    answers = asyncio.run(_calls(shop, sent))
    for refund, void in zip(answers[0::2], answers[1::2], strict=True):
        undone = pb.VoidResponse.FromString(void)
        if isinstance(refund, bytes):
            back = pb.RefundResponse.FromString(refund)
            taken = sum(one.taken_back_minor for one in (*back.assets, *undone.assets))
        else:
            _, reason, metadata = reason_of(refund)
            assert (reason, metadata["state"]) == ("RECEIPT_STATE", "VOIDED")
            taken = sum(one.taken_back_minor for one in undone.assets)
        assert taken == (1_000 if card else 0)
    refunded = sum(isinstance(answer, bytes) for answer in answers[0::2])
    assert shop.sql("select count(*) from receipt_refund")[0][0] == refunded
    assert shop.balances("card1") == {}
    assert shop.sql("select purchases from account where purchases > 0") == []


def test_an_exchange_and_a_refund_of_the_same_piece_at_once(shop: Shop) -> None:
    """One piece was sold; it comes back on the next sale or by a refund, not by both."""
    sent: list[tuple[int, str, bytes]] = []
    for n in range(RECEIPTS):
        shop.sell(n, basket(("sku1", 1, 10_000), card=f"card{n % 3}"))
        refund = refund_request(100 + n, n, {"sku1": 1_000}).SerializeToString()
        made = basket(("sku3", 1, 30_000), card=f"card{n % 2}")
        back = made.lines.add()
        back.CopyFrom(basket(("sku1", 1, 10_000)).lines[0])
        back.line_id, back.action = "back", 2
        back.return_origin.receipt_key.CopyFrom(receipt_key(n))
        back.return_origin.line_id = "sku1"
        made.header.control_totals.line_count = 2
        made.header.control_totals.amount_minor = 20_000
        sale = pb.CheckoutRequest(receipt_key=receipt_key(200 + n), sale=made)
        sent += [(n % 2, "Refund", refund), ((n + 1) % 2, "Checkout", sale.SerializeToString())]
    answers = asyncio.run(_calls(shop, sent))
    for refund, sold in zip(answers[0::2], answers[1::2], strict=True):
        assert isinstance(refund, bytes) != isinstance(sold, bytes)
        lost = refund if isinstance(sold, bytes) else sold
        assert reason_of(lost)[1] == "MORE_THAN_SOLD"
    assert shop.sql("select count(*) from receipt_refund")[0][0] == RECEIPTS
    kept = sum(isinstance(answer, bytes) for answer in answers[1::2])
    assert shop.sql("select sum(amount_minor)::bigint from balance")[0][0] == kept * 1_500


def test_a_refund_survives_its_server(shop: Shop) -> None:
    """Servers are killed while refunds run; sent again, each is settled once."""
    for n in range(RECEIPTS):
        shop.sell(n, basket(("sku1", 2, 10_000), card="card1"))
    requests = [refund_request(100 + n, n, {"sku1": 1_000}) for n in range(RECEIPTS)]

    def is_begun() -> bool:
        return bool(shop.sql("select 1 from receipt_refund limit 1"))

    async def interrupted() -> None:
        sent = [(1, "Refund", request.SerializeToString()) for request in requests]
        running = asyncio.create_task(_calls(shop, sent))
        await asyncio.to_thread(wait_until, is_begun, "a refund")
        shop.servers[1].kill()
        await running

    asyncio.run(interrupted())
    again = [(0, "Refund", request.SerializeToString()) for request in requests]
    answers = asyncio.run(_calls(shop, again))
    assert all(isinstance(answer, bytes) for answer in answers)
    assert asyncio.run(_calls(shop, again)) == answers
    assert shop.sql("select count(*) from receipt_refund")[0][0] == RECEIPTS
    points = shop.sql("select sum(amount_minor)::bigint from balance")[0][0]
    assert points == RECEIPTS * 500
