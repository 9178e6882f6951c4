"""Goal: whoever comes first of those that tell of one receipt, it ends the same, and once.

Method: two real servers over one database, everything at the same instant; the ledger is proved
after each test.
"""

import asyncio
from typing import Any

import grpc

from loyalty.v1 import till_service_pb2 as pb
from tests.forwarding import (
    NOT_SOLD,
    PLAIN,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    Link,
    forward_refund,
    forward_request,
)
from tests.refunding import basket, refund_request
from tests.serving import reason_of, receipt_key, wait_until

RECEIPTS = 24
EACH = 450 + 1_000
"""Points of a receipt that was sold plain: 5% of 9,000, and the discount of 1,000."""


async def _at_once(link: Link, sent: list[tuple[int, str, Any]]) -> list[Any]:
    """Send (server, call, request) all at once: answers, or what they were refused with."""
    channels = [grpc.aio.insecure_channel(target) for target in link.targets]
    try:
        waiting: list[Any] = []
        for server, name, request in sent:
            call: Any = channels[server].unary_unary(f"/loyalty.v1.TillService/{name}")
            waiting.append(call(request.SerializeToString(), timeout=60.0))
        return await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        for channel in channels:
            await channel.close()


def forwarded(answers: list[Any]) -> list[int]:
    """What became of forwarded receipts."""
    assert all(isinstance(one, bytes) for one in answers), answers
    return [pb.ForwardResponse.FromString(one).state for one in answers]


def sales(link: Link, count: int = RECEIPTS) -> list[Any]:
    """Sales of three customers in turn."""
    cards = [link.card(n) for n in range(3)]
    return [basket(("sku1", 1, 10_000), card=cards[n % 3]) for n in range(count)]


def points(link: Link) -> int:
    """What the three have."""
    return sum(link.balances(link.card(n)).get("points", 0) for n in range(3))


def test_a_live_retry_races_its_forward(link: Link) -> None:
    sent: list[tuple[int, str, Any]] = []
    for n, made in enumerate(sales(link)):
        live = pb.CheckoutRequest(receipt_key=receipt_key(link.n(n)), sale=made, closed=True)
        sent += [
            (n % 2, "Checkout", live),
            ((n + 1) % 2, "Forward", forward_request(link.n(n), made, PLAIN)),
        ]
    answers = asyncio.run(_at_once(link, sent))
    states = forwarded(answers[1::2])
    for live, state in zip(answers[0::2], states, strict=True):
        if isinstance(live, bytes):
            assert state == SUPERSEDED
        else:
            assert (reason_of(live)[1], state) == ("FORWARDED", RECORDED)
    assert points(link) == RECEIPTS * EACH


def test_two_cash_servers_forward_the_same_till(link: Link) -> None:
    """The same statement comes twice, and a later one with it: that one counts."""
    sent: list[tuple[int, str, Any]] = []
    for n, made in enumerate(sales(link)):
        plain = forward_request(link.n(n), made, PLAIN)
        later = forward_request(link.n(n), made, NOT_SOLD, stated=2)
        sent += [(n % 2, "Forward", plain), ((n + 1) % 2, "Forward", plain)]
        if n % 2:
            sent.append((0, "Forward", later))
    answers = asyncio.run(_at_once(link, sent))
    assert set(forwarded(answers)) <= {RECORDED, SUPERSEDED, SETTLED}
    assert points(link) == RECEIPTS // 2 * EACH
    sold = [link.state(n) for n in range(RECEIPTS)]
    numbers = [sorted(one.outcome.number for one in found.statements) for found in sold]
    assert all(len(set(found)) == len(found) for found in numbers)
    states = [found.state for found in sold]
    assert states == [pb.RECEIPT_STATE_COMMITTED, pb.RECEIPT_STATE_NOT_SOLD] * (RECEIPTS // 2)


def test_two_refunds_of_one_sale_one_of_them_forwarded(link: Link) -> None:
    """One piece was sold. What comes second is a fact all the same, and pays nothing back."""
    sent: list[tuple[int, str, Any]] = []
    for n, made in enumerate(sales(link)):
        link.forward(n, made, PLAIN)
        live = refund_request(link.n(100 + n), link.n(n), {"sku1": 1_000}, closed=True)
        late = forward_refund(link.n(200 + n), link.n(n), {"sku1": 1_000})
        sent += [(n % 2, "Refund", live), ((n + 1) % 2, "Forward", late)]
    answers = asyncio.run(_at_once(link, sent))
    assert set(forwarded(answers[1::2])) == {RECORDED}
    for n, live in enumerate(answers[0::2]):
        paid = pb.RefundResponse.FromString(live).amount_minor
        assert sorted((paid, link.state(200 + n).refund.amount_minor)) == [0, 10_000]
    assert points(link) == 0


def test_a_refund_races_the_sale_that_it_waits_for(link: Link) -> None:
    sent: list[tuple[int, str, Any]] = []
    for n, made in enumerate(sales(link)):
        late = forward_refund(link.n(200 + n), link.n(n), {"sku1": 1_000})
        sale = forward_request(link.n(n), made, PLAIN)
        sent += [(n % 2, "Forward", late), ((n + 1) % 2, "Forward", sale)]
    answers = asyncio.run(_at_once(link, sent))
    assert set(forwarded(answers[1::2])) == {RECORDED}
    wait_until(lambda: points(link) == 0, "all refunds")
    assert link.sql("select count(*) from parked_receipt")[0][0] == 0


def test_a_server_is_killed_amid_forwards(link: Link) -> None:
    """What it had acknowledged, and what not, is sent again to the other: each is there once."""
    made = sales(link)
    for n in range(0, RECEIPTS, 2):
        link.sell(n, made[n])
    requests = [forward_request(link.n(n), one, PLAIN) for n, one in enumerate(made)]
    begun = link.sql("select count(*) from receipt_statement")[0][0]

    def is_begun() -> bool:
        return bool(link.sql("select count(*) from receipt_statement")[0][0] > begun)

    async def interrupted() -> None:
        sent: list[tuple[int, str, Any]] = [(1, "Forward", request) for request in requests]
        running = asyncio.create_task(_at_once(link, sent))
        await asyncio.to_thread(wait_until, is_begun, "a statement")
        link.servers[1].kill()
        await running

    asyncio.run(interrupted())
    again: list[tuple[int, str, Any]] = [(0, "Forward", request) for request in requests]
    states = forwarded(asyncio.run(_at_once(link, again)))
    assert states == [SUPERSEDED, RECORDED] * (RECEIPTS // 2)
    assert forwarded(asyncio.run(_at_once(link, again))) == states
    assert points(link) == RECEIPTS * EACH
