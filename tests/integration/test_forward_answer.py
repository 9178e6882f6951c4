"""Goal: the answer to a forwarded sale says, whenever asked for, what a live call had answered.

The live call is a paid receipt with the same outcome. Real servers; the ledger is proved after
each test.
"""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PLAIN,
    PROGRAM_OFFLINE,
    RECORDED,
    SUPERSEDED,
    Link,
)
from tests.refunding import basket
from tests.serving import publish, test_program, wait_until

MIXED = (("sku1", 3, 9_990), ("sku2", 1, 5_000), ("sku4", 2, 1_990), ("sku9", 1, 10_000))


def figures(response: pb.CheckoutResponse) -> Any:
    """The answer without what the two calls cannot share: ids, instants, what only a till is told.

    A sale of which nobody asks any more has no prompts, no cross-sell, and no word of lots that
    expire soon.
    """
    answer = response.answer
    assert answer.HasField("lines")
    assert answer.HasField("rewards")
    assert answer.evaluated_at_us
    for reward in answer.rewards.rewards:
        assert reward.id
        assert reward.active_from_us >= answer.evaluated_at_us
        reward.ClearField("id")
        if reward.active_from_us == answer.evaluated_at_us:
            reward.ClearField("active_from_us")
    for name in ("prompts", "cross_sell", "evaluated_at_us"):
        answer.ClearField(name)
    return MessageToDict(answer)


def outcome(kind: Any, lines: dict[str, int]) -> Any:
    stated = [
        receipt_pb2.OutcomeLine(line_id=one, amount_minor=minor) for one, minor in lines.items()
    ]
    return receipt_pb2.Outcome(kind=kind, number=1, lines=stated)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [(AS_ANSWERED, {}), (PLAIN, {}), (OTHER, {"sku1": 26_973, "sku2": 5_000})],
    ids=["as answered", "plain", "other"],
)
@pytest.mark.parametrize("triggers", [(), ("bonus",)], ids=["", "bonus"])
def test_it_is_what_a_live_call_had_answered(
    link: Link, kind: Any, lines: dict[str, int], triggers: tuple[str, ...]
) -> None:
    sold = basket(*MIXED, card=link.card(1), triggers=triggers)
    live = link.sell(1, sold, closed=True, outcome=outcome(kind, lines))
    made = basket(*MIXED, card=link.card(2), triggers=triggers)
    assert link.forward(2, made, kind, lines=lines).state == RECORDED
    late = link.state(2).checkout
    assert figures(late) == figures(live)
    assert late.receipt_id
    assert late.fingerprint
    assert late.decided_at_us


def test_a_sale_without_a_customer(link: Link) -> None:
    made = basket(*MIXED, card="nobody's")
    live = link.sell(1, made)
    assert link.forward(2, made, AS_ANSWERED).state == RECORDED
    assert figures(link.state(2).checkout) == figures(live)


def test_it_stays_the_same_when_the_program_has_changed(link: Link) -> None:
    card = link.card()
    assert link.forward(1, basket(*MIXED, card=card), AS_ANSWERED).state == RECORDED
    first = link.state(1)
    before = first.checkout.answer.ruleset_version
    version = publish(link.office, test_program(promotions=PROGRAM_OFFLINE["promotions"][:1]))
    try:
        wait_until(lambda: link.is_in_force(version - 1), "the new version")
        assert link.state(1) == first
        assert before < version
    finally:
        again = publish(link.office, test_program(**PROGRAM_OFFLINE))
        wait_until(lambda: link.is_in_force(again - 1), "the first version again")


def test_a_sale_that_was_not_sold_has_none(link: Link) -> None:
    card = link.card()
    assert link.forward(1, basket(*MIXED, card=card), NOT_SOLD).state == RECORDED
    found = link.state(1)
    assert found.state == pb.RECEIPT_STATE_NOT_SOLD
    assert found.checkout.receipt_id
    assert not found.checkout.HasField("answer")


def test_a_later_outcome_is_answered_by_what_counts(link: Link) -> None:
    """Sold anew it is the later sale whose answer is shown."""
    card = link.card()
    made = basket(*MIXED, card=card)
    assert link.forward(1, made, NOT_SOLD).state == RECORDED
    assert link.forward(1, made, AS_ANSWERED, stated=2).state == SUPERSEDED
    live = link.sell(2, basket(*MIXED, card=link.card(2)))
    assert figures(link.state(1).checkout) == figures(live)


def test_a_void_days_later_shows_it_too(link: Link) -> None:
    card = link.card()
    assert link.forward(1, basket(*MIXED, card=card), PLAIN).state == RECORDED
    before = link.state(1).checkout
    link.at_day(2)
    link.void(1)
    found = link.state(1)
    assert found.state == pb.RECEIPT_STATE_VOIDED
    assert found.checkout == before


def test_what_was_spent_by_its_quote(link: Link) -> None:
    live, late = [sold_with_points(link, number) for number in (1, 2)]
    assert live.answer.spent[0].amount_minor == 3_000
    assert figures(late) == figures(live)


def sold_with_points(link: Link, number: int) -> pb.CheckoutResponse:
    """Sell what was quoted with points as a discount: the first receipt live, the other forwarded.

    Customers earn the same before and never had other points.
    """
    card = link.card(number)
    link.sell(10 + number, basket(("sku9", 1, 100_000), card=card))
    made = basket(*MIXED, card=card)
    basket_id = link.n(number).to_bytes(16, "big")
    points = [pb.AssetAmount(asset_code="points", amount_minor=3_000)]
    quote = pb.QuoteRequest(basket_id=basket_id, sale=made, reserve=pb.Reservation(amounts=points))
    token = link.tills[0].Quote(quote).token
    if number == 1:
        return link.sell(1, made, basket_id=basket_id, token=token)
    link.forward(number, made, AS_ANSWERED, basket_id=basket_id, token=token)
    return link.state(number).checkout


def test_the_code_of_a_coupon_that_it_gave_can_be_used(link: Link) -> None:
    """The database knows it by its hash alone; it is made again."""
    made = basket(("sku5", 1, 10_000), card=link.card(), triggers=["coupon"])
    assert link.forward(1, made, AS_ANSWERED).state == RECORDED
    (reward,) = [one for one in link.state(1).checkout.answer.rewards.rewards if one.codes]
    (code,) = reward.codes
    made = basket(("sku5", 1, 10_000), card=link.card())
    made.header.coupon_codes.append(code)
    assert link.sell(2, made).answer.lines.totals.amount_minor == 9_000
