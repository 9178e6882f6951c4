"""What a forwarded receipt tells its customer, and until when."""

from typing import Any

import pytest

from rewards.benefit import CouponReward, DrawEntries, GiftCertificate, MoneyTransfer, Prize, Status
from rewards.commit import MessageFigure, NewMessage
from rewards.notice import HOUR_US, Told, Turned, messages_of
from rewards.program import CouponSeries, MessageRules
from tests import make

SOLD_US = 1_790_000_000_000_000
KEY, OTHER_KEY = make.key_id("key"), make.key_id("other")
GIVES = (
    CouponReward("series", 2),
    GiftCertificate(50_000),
    Prize("pool"),
    Status("gold"),
    DrawEntries("car"),
    MoneyTransfer("phone", 1_000),
)
MONEY = make.asset("money", "gift_money", decimals=2)
RULES = make.rules(
    make.points(),
    make.promotion("all", GIVES, lane="reward"),
    assets=(make.POINTS, make.NEXT_DISCOUNT, MONEY),
    coupon_series=(CouponSeries("series"),),
    version=7,
)
ALL = next(n for n, one in enumerate(RULES.program.promotions) if one.promotion_id == "all")


def told(hours_late: int = 0, **changes: Any) -> Told:
    facts = {
        "own_key_id": KEY,
        "receipt_id": KEY,
        "chain_id": make.CHAIN,
        "store_id": "s1",
        "customer_id": 5,
        "sold_at_us": SOLD_US,
        "arrived_at_us": SOLD_US + hours_late * HOUR_US,
        **changes,
    }
    return Told(**facts)


def the_message(*grants: Any, turned: tuple[Turned, ...] = (), **changes: Any) -> NewMessage:
    [message] = messages_of(RULES, grants, turned, told(**changes))
    return message


@pytest.mark.parametrize(
    ("hours_late", "window_hours", "is_late"),
    [(0, 24, False), (17, 24, False), (18, 24, False), (19, 25, True), (240, 246, True)],
)
def test_the_window(hours_late: int, window_hours: int, is_late: bool) -> None:
    """The later of a day after the sale and six hours after the arrival."""
    message = the_message(make.grant(), hours_late=hours_late)
    assert message.window_end_us == SOLD_US + window_hours * HOUR_US
    assert message.is_late == is_late
    assert message.not_before_us == message.arrived_at_us == SOLD_US + hours_late * HOUR_US


def test_amounts_of_an_asset_are_told_together() -> None:
    """With what a discount that was not given became; what ends ends for all at the soonest."""
    grants = (make.grant(amount_minor=100, expires_at_us=900), make.grant(amount_minor=50))
    turned = (Turned("points", 25, 800), Turned("next", 7_000))
    assert the_message(*grants, turned=turned).figures == (
        MessageFigure("points", "points", 175, expires_at_us=800),
        MessageFigure("deferred_discount", "next", 7_000),
    )


def test_what_is_no_asset_of_the_program() -> None:
    """Named as the ledger has it; what has a code says whose."""
    places: dict[type, int] = {
        type(one): n for n, one in enumerate(RULES.program.promotions[ALL].gives)
    }
    amounts = (2, 50_000, 1, 1, 3, 1_000)
    grants = [
        make.grant(ALL, "", amount, place=places[type(one)])
        for one, amount in zip(GIVES, amounts, strict=True)
    ]
    coupon, gift = places[CouponReward], places[GiftCertificate]
    assert the_message(*grants).figures == (
        MessageFigure("coupon", "coupon.series", 2, number=ALL, place=coupon),
        MessageFigure("gift_certificate", "money", 50_000, number=ALL, place=gift),
        MessageFigure("prize", "prize.pool", 1),
        MessageFigure("status", "tier.gold", 1, "gold"),
        MessageFigure("draw_entry", "draw.car", 3),
        MessageFigure("money_transfer", "", 1_000),
    )


def test_nobody_is_told_of_nothing() -> None:
    assert messages_of(RULES, (), (), told()) == ()
    assert messages_of(RULES, (make.grant(),), (), told(customer_id=0)) == ()
    silent = make.rules(make.points(), messages=MessageRules(by_sms=False))
    assert messages_of(silent, (make.grant(),), (), told()) == ()


def test_a_message_belongs_to_what_caused_it() -> None:
    """The same cause makes the same message; a later outcome another one about the same sale."""
    first, again = the_message(make.grant()), the_message(make.grant())
    later = the_message(make.grant(), own_key_id=OTHER_KEY)
    assert first == again
    assert first.ruleset_version == 7
    assert later.message_id != first.message_id
    assert later.receipt_id == first.receipt_id == KEY
