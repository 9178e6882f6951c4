"""Goal: what has expired leaves the balance once, never what a basket holds or a till spends.

Method: points that live for 30 days, a clock that the test sets, servers whose own job is off
except where the test is about it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from tests.accounts import World, world
from tests.serving import PROGRAM, checkout_request, receipt_key, sale, wait_until

EARNED = 3_000
"""What the usual sale earns without the discount on tea."""
POINTS = {**PROGRAM["assets"][0], "active_days": 30}
SHORT_LIVED: dict[str, Any] = {
    "assets": [POINTS],
    "promotions": [PROGRAM["promotions"][1]],
    "spend_rules": [{"asset_code": "points", "step_minor": 100, "value_minor": 100}],
    "hold_minutes": 60,
}
EXPIRED = "select coalesce(sum(amount_minor), 0)::bigint from posting where book = 4"
LONG_AFTER = 40.0
"""Days after which all points of a test's beginning have ended."""


@pytest.fixture
def place_of_two(place: dict[str, str], log_dir: Path) -> Iterator[World]:
    with world(place, log_dir, count=2, **SHORT_LIVED) as made:
        yield made


def expire(made: World) -> lg.ExpireLotsResponse:
    done: lg.ExpireLotsResponse = made.office.ExpireLots(lg.ExpireLotsRequest(), timeout=60)
    return done


def test_what_has_expired_is_taken_out_once(place_of_two: World) -> None:
    for number in range(3):
        place_of_two.till.Checkout(checkout_request(number, f"card{number % 2}"))
    assert expire(place_of_two).accounts == 0
    place_of_two.later(LONG_AFTER)
    place_of_two.till.Checkout(checkout_request(3, "card0"))
    # Nobody waits for the job: what has expired is not in the balance that is shown.
    assert place_of_two.balance("card0") == EARNED
    done = expire(place_of_two)
    assert (done.accounts, done.more) == (2, False)
    assert [(one.asset_code, one.amount_minor) for one in done.amounts] == [("points", 3 * EARNED)]
    assert place_of_two.balance("card0") == EARNED
    assert expire(place_of_two).accounts == 0
    assert place_of_two.fetch(EXPIRED) == [(3 * EARNED,)]
    stated = place_of_two.fetch("select sum(amount_minor)::bigint from balance")
    assert stated == [(EARNED,)]
    place_of_two.check_ledger()


def test_the_last_instant_counts(place_of_two: World) -> None:
    """A lot ends after its last microsecond, not before."""
    place_of_two.till.Checkout(checkout_request(1, "card1"))
    ((ends_us,),) = place_of_two.fetch("select expires_at_us from lot")
    place_of_two.later(LONG_AFTER)
    assert expire(place_of_two).accounts == 1
    ((at_us,),) = place_of_two.fetch("select min(effective_at_us) from posting where book = 4")
    assert at_us > ends_us


def test_what_a_basket_holds_is_left_until_it_is_free(place_of_two: World) -> None:
    """Held over the expiry, points are spent; what is freed expires."""
    till = place_of_two.till
    till.Checkout(checkout_request(1, "card1"))
    ((ends_us,),) = place_of_two.fetch("select expires_at_us from lot")
    ((earned_us,),) = place_of_two.fetch("select max(recorded_at_us) from posting")
    day_us = 86_400_000_000
    place_of_two.later((ends_us - earned_us) / day_us - 0.01)
    quotes = [quoted(till, bytes([n]) * 16, minor) for n, minor in ((1, 1_000), (2, 500))]
    place_of_two.later((ends_us - earned_us) / day_us + 0.01)
    assert [one.amount_minor for one in expire(place_of_two).amounts] == [EARNED - 1_500]
    sold = till.Checkout(
        pb.CheckoutRequest(
            receipt_key=receipt_key(2),
            sale=sale("card1"),
            basket_id=bytes([1]) * 16,
            token=quotes[0].token,
        )
    )
    assert [one.amount_minor for one in sold.answer.spent] == [1_000]
    till.Release(pb.ReleaseRequest(basket_id=bytes([2]) * 16))
    assert [one.amount_minor for one in expire(place_of_two).amounts] == [500]
    assert place_of_two.fetch(EXPIRED) == [(EARNED - 1_000,)]
    place_of_two.check_ledger()


def quoted(till: Any, basket_id: bytes, spend_minor: int) -> pb.QuoteResponse:
    reserve = pb.Reservation(
        amounts=[pb.AssetAmount(asset_code="points", amount_minor=spend_minor)]
    )
    answer: pb.QuoteResponse = till.Quote(
        pb.QuoteRequest(basket_id=basket_id, sale=sale("card1"), reserve=reserve)
    )
    assert [one.amount_minor for one in answer.answer.spent] == [spend_minor]
    return answer


def test_expiry_races_redemptions_on_two_servers(place_of_two: World) -> None:
    """Old points end while tills spend and earn on the same accounts, and two jobs run at once."""
    cards = [f"card{n}" for n in range(8)]
    for number, card in enumerate(cards):
        place_of_two.till.Checkout(checkout_request(number, card))
    place_of_two.later(LONG_AFTER)
    for number, card in enumerate(cards):
        place_of_two.till.Checkout(checkout_request(100 + number, card))
    targets = [server.target for server in place_of_two.servers]

    async def spend(number: int, stub: Any) -> None:
        card, basket_id = cards[number % 8], (1_000 + number).to_bytes(16, "big")
        reserve = pb.Reservation(amounts=[pb.AssetAmount(asset_code="points", amount_minor=100)])
        held = await stub.Quote(
            pb.QuoteRequest(basket_id=basket_id, sale=sale(card), reserve=reserve), timeout=60
        )
        request = checkout_request(200 + number, card, basket_id=basket_id, token=held.token)
        sold = await stub.Checkout(request, timeout=60)
        assert [one.amount_minor for one in sold.answer.spent] == [100]

    async def run() -> None:
        async with (
            grpc.aio.insecure_channel(targets[0]) as one,
            grpc.aio.insecure_channel(targets[1]) as two,
        ):
            tills: list[Any] = [TillServiceStub(one), TillServiceStub(two)]
            offices: list[Any] = [BackOfficeServiceStub(one), BackOfficeServiceStub(two)]
            jobs = [offices[n % 2].ExpireLots(lg.ExpireLotsRequest(), timeout=60) for n in range(6)]
            await asyncio.gather(*(spend(n, tills[n % 2]) for n in range(24)), *jobs)

    asyncio.run(run())
    while expire(place_of_two).more:
        pass
    assert place_of_two.fetch(EXPIRED) == [(8 * EARNED,)]
    spent = place_of_two.fetch("select sum(amount_minor)::bigint from posting where book = 5")
    assert spent == [(24 * 100,)]
    place_of_two.check_ledger()


def test_every_server_does_it_by_itself(place: dict[str, str], log_dir: Path) -> None:
    """Two servers look again and again; each lot is taken out once."""
    settings = {"LOYALTY_EXPIRY_S": "0.1"}
    with world(place, log_dir, count=2, settings=settings, **SHORT_LIVED) as made:
        for number in range(20):
            made.till.Checkout(checkout_request(number, f"card{number}"))
        made.later(LONG_AFTER)
        wait_until(lambda: made.fetch(EXPIRED) == [(20 * EARNED,)], "expiry")
        made.check_ledger()
