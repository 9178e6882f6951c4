"""Goal: a receipt key means one sale, for ever and for everybody.

Method: real server processes over one database; what is in the database is read directly.
"""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from loyalty.v1 import till_service_pb2 as pb
from tests.serving import (
    checkout_request,
    raw_checkout,
    reason_of,
    receipt_key,
    sale,
    serving,
    till_stub,
)

COPIES = 100
CONNECTIONS = 10


async def _rows(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        counts = {
            table: await connection.fetchval(f"select count(*) from {table}")
            for table in ("commit_key", "receipt", "posting", "lot", "checkout_exception")
        }
        counts["sum"] = await connection.fetchval(
            "select coalesce(sum(amount_minor), 0) from balance"
        )
        counts["versions"] = await connection.fetchval("select sum(version) from account")
        return counts
    finally:
        await connection.close()


def rows(place: dict[str, str]) -> dict[str, Any]:
    """What is in the ledger."""
    return asyncio.run(_rows(place["LOYALTY_DSN"]))


async def _send_copies(targets: list[str], request: pb.CheckoutRequest) -> list[bytes]:
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [
        grpc.aio.insecure_channel(targets[n % len(targets)], options=options)
        for n in range(CONNECTIONS)
    ]
    try:
        calls = [raw_checkout(channels[n % CONNECTIONS], request) for n in range(COPIES)]
        return await asyncio.gather(*calls)
    finally:
        for channel in channels:
            await channel.close()


@pytest.mark.parametrize("card", ["card1", ""], ids=["customer", "anonymous"])
def test_a_hundred_copies_post_once(place: dict[str, str], log_dir: Path, card: str) -> None:
    """100 copies at once over ten connections and two servers: one posting, one answer."""
    before = rows(place)
    with serving(place, log_dir, count=2) as servers:
        request = checkout_request(1, card)
        answers = asyncio.run(_send_copies([s.target for s in servers], request))
    assert len(set(answers)) == 1
    first = pb.CheckoutResponse.FromString(answers[0])
    assert first.result == pb.DURABLE_RESULT_COMMITTED
    earned = sum(reward.amount_minor for reward in first.answer.rewards.rewards)
    # Three lines of 2 x 100.00: sku1 is tea at -10 %, so 580.00 is paid and 5 % of it is earned.
    assert earned == (2_900 if card else 0)
    after = rows(place)
    assert after["commit_key"] - before["commit_key"] == 1
    assert after["receipt"] - before["receipt"] == 1
    assert after["sum"] - before["sum"] == earned
    assert after["posting"] - before["posting"] == (2 if card else 0)
    assert after["versions"] - before["versions"] == (1 if card else 0)


def test_copies_of_many_receipts_of_one_customer(place: dict[str, str], log_dir: Path) -> None:
    """Forty baskets of one card at once, each sent twice to two servers: each counts once."""

    async def send(targets: list[str]) -> list[bytes]:
        async with (
            grpc.aio.insecure_channel(targets[0]) as one,
            grpc.aio.insecure_channel(targets[1]) as two,
        ):
            requests = [
                checkout_request(n, "card2", basket_id=n.to_bytes(16, "big")) for n in range(40)
            ]
            calls = [raw_checkout(channel, r) for r in requests for channel in (one, two)]
            return await asyncio.gather(*calls)

    with serving(place, log_dir, count=2) as servers:
        answers = asyncio.run(send([s.target for s in servers]))
    assert answers[0::2] == answers[1::2]
    assert len(set(answers)) == 40
    after = rows(place)
    assert (after["lot"], after["posting"], after["sum"]) == (40, 80, 40 * 2_900)


@pytest.mark.parametrize("change", ["body", "card", "no card"])
def test_same_key_other_sale_is_refused(place: dict[str, str], log_dir: Path, change: str) -> None:
    """The same key with another body or card is a conflict that names what is committed."""
    with serving(place, log_dir) as servers, grpc.insecure_channel(servers[0].target) as channel:
        stub = till_stub(channel)
        first = stub.Checkout(checkout_request(7, "card3"))
        before = rows(place)
        other = {
            "body": sale("card3", price_minor=10_001),
            "card": sale("card4"),
            "no card": sale(""),
        }[change]
        request = pb.CheckoutRequest(receipt_key=receipt_key(7), sale=other, closed=True)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Checkout(request)
        code, reason, metadata = reason_of(refused.value)
        assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT")
        assert metadata["fingerprint"] == first.fingerprint.hex()
        assert metadata["receipt_id"] == first.receipt_id.hex()
        assert rows(place) == before
        assert stub.Checkout(checkout_request(7, "card3")) == first


async def _race(one: str, two: str, count: int) -> list[tuple[object, object]]:
    """A Checkout on one server against a BreakOff on the other, for many keys at once."""
    async with grpc.aio.insecure_channel(one) as a, grpc.aio.insecure_channel(two) as b:
        break_off: Any = b.unary_unary("/loyalty.v1.TillService/BreakOff")

        async def contest(n: int) -> tuple[object, object]:
            request = pb.BreakOffRequest(receipt_key=receipt_key(n)).SerializeToString()
            sell = raw_checkout(a, checkout_request(n, f"card{n % 40}"))
            give_up = break_off(request, timeout=30.0)

            async def later() -> bytes:
                await asyncio.sleep((n % 8) * 0.002)
                answer: bytes = await give_up
                return answer

            both = await asyncio.gather(sell, later(), return_exceptions=True)
            return both[0], both[1]

        return await asyncio.gather(*(contest(n) for n in range(count)))


def test_break_off_racing_checkout_ends_one_way(place: dict[str, str], log_dir: Path) -> None:
    """Whoever wins, both sides and everybody after them hear the same."""
    count = 120
    with serving(place, log_dir, count=2) as servers:
        results = asyncio.run(_race(servers[0].target, servers[1].target, count))
        with grpc.insecure_channel(servers[0].target) as channel:
            stub = till_stub(channel)
            sold = [_one_end(stub, n, *results[n]) for n in range(count)]
    assert rows(place)["receipt"] == sum(sold)
    assert rows(place)["commit_key"] == count


def _one_end(stub: Any, n: int, checkout: object, break_off: object) -> bool:
    """Hold both answers, and those that come later, to one end; say whether it was sold."""
    assert isinstance(break_off, bytes), f"BreakOff never refuses: {break_off}"
    fence = pb.BreakOffResponse.FromString(break_off)
    again = stub.BreakOff(pb.BreakOffRequest(receipt_key=receipt_key(n)))
    assert again == fence
    found = stub.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(n)))
    assert found.state == fence.state
    if isinstance(checkout, bytes):
        assert fence.state == pb.RECEIPT_STATE_COMMITTED
        assert fence.checkout.SerializeToString() == checkout
        assert found.checkout.SerializeToString() == checkout
        return True
    assert isinstance(checkout, grpc.RpcError)
    assert reason_of(checkout)[1] == "BROKEN_OFF"
    assert fence.state == pb.RECEIPT_STATE_BROKEN_OFF
    with pytest.raises(grpc.RpcError) as refused:
        stub.Checkout(checkout_request(n, f"card{n % 40}", closed=True))
    assert reason_of(refused.value)[1] == "BROKEN_OFF"
    return False


def test_a_basket_is_sold_once(place: dict[str, str], log_dir: Path) -> None:
    """Two receipts of one basket: an open one is refused, a fact is recorded with an exception."""
    basket = bytes(range(16))
    with serving(place, log_dir) as servers, grpc.insecure_channel(servers[0].target) as channel:
        stub = till_stub(channel)
        first = stub.Checkout(checkout_request(1, basket_id=basket))
        with pytest.raises(grpc.RpcError) as refused:
            stub.Checkout(checkout_request(2, basket_id=basket))
        _, reason, metadata = reason_of(refused.value)
        assert (reason, metadata["receipt_id"]) == ("BASKET_SOLD", first.receipt_id.hex())
        fact = stub.Checkout(checkout_request(3, basket_id=basket, closed=True))
        assert [entry.kind for entry in fact.exceptions] == [pb.EXCEPTION_KIND_BASKET_SOLD]
    assert rows(place)["checkout_exception"] == 1


def test_many_voids_of_one_customer_at_once(place: dict[str, str], log_dir: Path) -> None:
    """120 receipts of one card, all voided at the same time: each once, nothing is left."""
    count = 120

    async def void_all(target: str) -> list[bytes]:
        async with grpc.aio.insecure_channel(target) as channel:
            call: Any = channel.unary_unary("/loyalty.v1.TillService/Void")
            requests = [
                pb.VoidRequest(receipt_key=receipt_key(n), reason_code="X", cashier_id="c1")
                for n in range(count)
            ]
            calls = [call(r.SerializeToString(), timeout=20.0) for r in requests]
            answers: list[bytes] = await asyncio.gather(*calls)
            return answers

    async def sell_all(target: str) -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            requests = [checkout_request(n, "card9") for n in range(count)]
            await asyncio.gather(*[raw_checkout(channel, request) for request in requests])

    with serving(place, log_dir) as servers:
        asyncio.run(sell_all(servers[0].target))
        answers = asyncio.run(void_all(servers[0].target))
    changes = [pb.VoidResponse.FromString(answer).changes[0] for answer in answers]
    assert [change.amount_minor for change in changes] == [-2_900] * count
    assert sorted(change.balance_minor for change in changes) == [2_900 * n for n in range(count)]
    assert rows(place)["sum"] == 0
