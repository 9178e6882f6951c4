"""Goal: what users of such systems lose money on, each loss by its name. Points are hundredths.

Real servers over one database; the ledger is proved after each test.
"""

import asyncio
from typing import Any

import grpc
import pytest

from loyalty.v1 import ledger_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.refunding import POLICIES, Shop, basket, refund_request, settled
from tests.serving import reason_of, receipt_key

BASKET = bytes(range(16))


def quoted(shop: Shop, made: Any, spend: int, asset_code: str = "points") -> pb.QuoteResponse:
    """A quote that reserves so much of an asset."""
    request = pb.QuoteRequest(basket_id=BASKET, sale=made)
    request.reserve.amounts.add(asset_code=asset_code, amount_minor=spend)
    answer: pb.QuoteResponse = shop.tills[0].Quote(request)
    return answer


def sold_spending(shop: Shop, number: int, made: Any, spend: int) -> pb.CheckoutResponse:
    """Sell with points spent as a discount."""
    token = quoted(shop, made, spend).token
    return shop.sell(number, made, basket_id=BASKET, token=token)


def test_buy_earn_spend_refund(shop: Shop) -> None:
    """Points of a receipt are spent on another before it comes back: they are owed, then paid."""
    shop.sell(1, basket(("sku1", 1, 100_000)))
    assert shop.balances("card1") == {"points": 5_000}
    sold_spending(shop, 2, basket(("sku3", 1, 5_000)), 5_000)
    assert shop.balances("card1") == {}
    back = shop.refund(3, 1, {"sku1": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (100_000, 0)
    assert settled(back) == {"points": (0, 0, 5_000, 0)}
    assert shop.balances("card1") == {"points": -5_000}
    shop.sell(4, basket(("sku1", 1, 120_000)))
    assert shop.balances("card1") == {"points": 1_000}


def test_refund_of_a_receipt_part_paid_with_points_as_a_discount(shop: Shop) -> None:
    """100.00 of 300.00 were points: each piece pays two thirds in money and one in points."""
    shop.sell(1, basket(("sku1", 1, 200_000)))
    sold = sold_spending(shop, 2, basket(("sku3", 3, 10_000)), 10_000)
    assert sold.answer.lines.lines[0].amount_minor == 20_000
    # 5% of the 200.00 that were paid in money.
    assert shop.balances("card1") == {"points": 1_000}
    parts = [shop.refund(3 + n, 2, {"sku3": 1_000}) for n in range(3)]
    assert [part.lines[0].amount_minor for part in parts] == [10_000, 10_000, 10_000]
    for part in parts:
        assert part.amount_minor + part.by_points_minor == 10_000
    assert sum(part.amount_minor for part in parts) == 20_000
    assert sum(settled(part)["points"][0] for part in parts) == 10_000
    assert sum(settled(part)["points"][1] for part in parts) == 1_000
    assert shop.balances("card1") == {"points": 10_000}


def test_refund_of_a_receipt_part_paid_with_points_as_a_tender(shop: Shop) -> None:
    """The same where points are a tender: what is printed on the line is paid back in both."""
    shop.sell(1, basket(("sku1", 1, 200_000), triggers=["bonus"]))
    made = basket(("sku1", 1, 10_000), ("sku3", 1, 20_000))
    made.tenders.add(kind=4, state=1, amount_minor=10_000, asset_code="bonus")
    made.tenders.add(kind=1, state=1, amount_minor=20_000)
    answer = quoted(shop, made, 10_000, "bonus")
    shop.sell(2, made, basket_id=BASKET, token=answer.token)
    assert shop.balances("card1") == {"points": 11_000}
    one = shop.refund(3, 2, {"sku1": 1_000})
    assert (one.amount_minor, one.by_points_minor) == (6_667, 3_333)
    two = shop.refund(4, 2, {"sku3": 1_000})
    assert (two.amount_minor, two.by_points_minor) == (13_333, 6_667)
    assert shop.balances("card1") == {"points": 10_000, "bonus": 10_000}


def test_buy_two_get_one_and_return_the_two_paid(shop: Shop) -> None:
    """The discount was printed over all three: returning two pays two thirds, points go along."""
    sold = shop.sell(1, basket(("sku0", 3, 30_000)))
    assert sold.answer.lines.lines[0].amount_minor == 60_000
    back = shop.refund(2, 1, {"sku0": 2_000})
    assert back.amount_minor == 40_000
    # What stays was sold for 200.00: 5 % of that is kept, 10.00 of 30.00 points.
    assert settled(back)["points"][1] == 2_000
    rest = shop.refund(3, 1, {"sku0": 1_000})
    assert back.amount_minor + rest.amount_minor == 60_000
    assert shop.balances("card1") == {}


@pytest.mark.parametrize("policy", POLICIES)
def test_ten_percent_from_a_threshold_and_return_below_it(shop: Shop, policy: str) -> None:
    """1,200.00 at -10%; 400.00 of it come back, and what is kept is below 1,000.00."""
    shop.sell(1, basket(("sku1", 2, 40_000), ("sku3", 1, 40_000), triggers=[policy]))
    lines = {"sku3": 1_000}
    if policy == "forbid":
        assert shop.refused(2, 1, lines) == (
            "REFUND_FORBIDDEN",
            {
                "receipt_id": shop.sql("select key_id from receipt")[0][0].hex(),
                "promotion_id": "from-1000-forbid",
                "result": "REFUSED",
            },
        )
        fact = shop.refund(2, 1, lines, closed=True)
        assert (fact.amount_minor, fact.kept_back_minor) == (36_000, 0)
        assert [one.detail.split(":")[0] for one in fact.exceptions] == ["REFUND_FORBIDDEN"]
        return
    back = shop.refund(2, 1, lines)
    assert back.lines[0].amount_minor == 36_000
    # 800.00 are kept; they were sold at 720.00 and cost 800.00 without the promotion.
    assert back.kept_back_minor == (8_000 if policy == "claw-back" else 0)
    assert back.amount_minor == 36_000 - back.kept_back_minor
    # With the rest all that was paid is back.
    pieces = [shop.refund(number, 1, {"sku1": 1_000}) for number in (3, 4)]
    assert back.amount_minor + sum(one.amount_minor for one in pieces) == 108_000
    kept_minor = sum(one.kept_back_minor for one in pieces)
    assert kept_minor == -back.kept_back_minor


def test_the_same_refund_sent_twice(shop: Shop) -> None:
    """The same bytes come back, and nothing is posted again; another body is a conflict."""
    shop.sell(1, basket(("sku1", 2, 10_000)))
    first = shop.refund(2, 1, {"sku1": 1_000})
    before = shop.rows()
    assert shop.refund(2, 1, {"sku1": 1_000}, till=1).SerializeToString() == (
        first.SerializeToString()
    )
    assert shop.rows() == before
    assert shop.refused(2, 1, {"sku1": 2_000})[0] == "KEY_CONFLICT"


@pytest.mark.parametrize("card", ["card1", ""], ids=["customer", "anonymous"])
def test_the_same_refund_fifty_times_at_once(shop: Shop, card: str) -> None:
    shop.sell(1, basket(("sku1", 2, 10_000), card=card))
    request = refund_request(2, 1, {"sku1": 1_000}).SerializeToString()
    answers = asyncio.run(_all_at_once(shop, [request] * 50))
    assert len(set(answers)) == 1
    assert shop.sql("select count(*) from receipt_refund")[0][0] == 1
    assert shop.balances("card1") == ({"points": 500} if card else {})


async def _all_at_once(shop: Shop, requests: list[bytes]) -> list[Any]:
    """Send refunds to both servers at the same time: answers, or what they were refused with."""
    channels = [grpc.aio.insecure_channel(target) for target in shop.targets]
    try:
        calls: list[Any] = [
            channel.unary_unary("/loyalty.v1.TillService/Refund") for channel in channels
        ]
        sent = [calls[n % 2](request, timeout=20.0) for n, request in enumerate(requests)]
        return await asyncio.gather(*sent, return_exceptions=True)
    finally:
        for channel in channels:
            await channel.close()


@pytest.mark.parametrize("card", ["card1", ""], ids=["customer", "anonymous"])
def test_more_than_sold_by_racing_refunds_is_impossible(shop: Shop, card: str) -> None:
    """Two pieces were sold; of eight refunds of one piece at once two win."""
    shop.sell(1, basket(("sku1", 2, 10_000), card=card))
    requests = [refund_request(10 + n, 1, {"sku1": 1_000}).SerializeToString() for n in range(8)]
    answers = asyncio.run(_all_at_once(shop, requests))
    won = [one for one in answers if isinstance(one, bytes)]
    lost = [reason_of(one) for one in answers if isinstance(one, grpc.RpcError)]
    assert len(won) == 2
    assert {(reason, metadata["left_milli"]) for _, reason, metadata in lost} == {
        ("MORE_THAN_SOLD", "0")
    }
    assert shop.sql("select count(*) from receipt_refund")[0][0] == 2
    assert shop.balances("card1") == {}


def test_refund_over_midnight(shop: Shop) -> None:
    """Two days later the sale's own instant counts: what was paid and what was earned."""
    shop.sell(1, basket(("sku0", 3, 30_000)))
    shop.at_day(2)
    back = shop.refund(2, 1, {"sku0": 3_000})
    assert back.amount_minor == 60_000
    assert settled(back) == {"points": (0, 3_000, 0, 0)}


def test_refund_over_an_expiry_of_what_was_earned(shop: Shop) -> None:
    """Nothing is owed for points that expired unspent, posted so or not."""
    shop.sell(1, basket(("sku1", 2, 100_000), triggers=["brief"]))
    assert shop.balances("card1") == {"points": 10_000, "brief": 10_000}
    shop.at_day(5)
    shop.office.ExpireLots(ledger_pb2.ExpireLotsRequest())
    back = shop.refund(2, 1, {"sku1": 1_000})
    assert settled(back)["points"] == (0, 5_000, 0, 0)
    assert settled(back).get("brief", (0, 0, 0, 0)) == (0, 0, 0, 0)
    shop.void(1)
    assert shop.balances("card1") == {}


def test_refund_over_an_expiry_of_what_was_spent(shop: Shop) -> None:
    """Spent points whose lot has expired come back in a new one, for fourteen days."""
    shop.sell(1, basket(("sku1", 1, 100_000), triggers=["brief"]))
    made = basket(("sku3", 1, 10_000))
    answer = quoted(shop, made, 5_000, "brief")
    shop.sell(2, made, basket_id=BASKET, token=answer.token)
    assert shop.balances("card1")["points"] == 5_000 + 250
    shop.at_day(5)
    back = shop.refund(3, 2, {"sku3": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (5_000, 5_000)
    assert shop.balances("card1") == {"points": 5_000, "brief": 5_000}
    (lot,) = shop.sql(
        "select active_from_us, expires_at_us from lot"
        " where asset_code = 'brief' and remaining_minor > 0"
    )
    assert 14 <= (lot[1] - lot[0]) / 86_400_000_000 <= 15


def test_refund_over_a_new_ruleset(shop: Shop) -> None:
    """The program has changed since: what the sale's own version gave is taken back."""
    shop.sell(1, basket(("sku1", 2, 100_000)))
    shop.publish(promotions=[])
    back = shop.refund(2, 1, {"sku1": 1_000})
    assert settled(back) == {"points": (0, 5_000, 0, 0)}
    assert back.amount_minor == 100_000


def test_partial_refunds_sum_exactly_to_what_was_paid(shop: Shop) -> None:
    """Seven pieces at three prices and an odd discount, one by one, in money and points."""
    shop.sell(1, basket(("sku1", 1, 200_000)))
    made = basket(("sku0", 7, 3_333), ("sku3", 3, 1_001), triggers=["funded"])
    sold = sold_spending(shop, 2, made, 1_009)
    paid = sum(line.amount_minor for line in sold.answer.lines.lines)
    before = shop.balances("card1")["points"]
    earned = sum(reward.amount_minor for reward in sold.answer.rewards.rewards)
    answers = [shop.refund(10 + n, 2, {"sku0": 1_000}) for n in range(7)]
    answers += [shop.refund(20 + n, 2, {"sku3": 1_000}) for n in range(3)]
    assert sum(one.amount_minor for one in answers) == paid
    assert sum(one.by_points_minor for one in answers) == 1_009
    assert all(one.amount_minor >= 0 for one in answers)
    assert shop.balances("card1") == {"points": before + 1_009 - earned}
    brand = shop.sql("select sum(amount_minor) from posting where party_id = 'brand'")
    assert brand[0][0] == 0
    state = shop.tills[1].GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(2)))
    assert state.state == pb.RECEIPT_STATE_REFUNDED
    assert [one.amount_minor for one in state.returns] == [one.amount_minor for one in answers]
