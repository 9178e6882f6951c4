"""What a Quote is asked to hold: amounts of assets, coupons, and money on gift cards."""

from collections.abc import Mapping
from typing import NamedTuple

from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.instrument import spelled
from rewards.ledger import Hold
from rewards.spending import Wish
from server.codec import check
from server.till import spending
from server.till.evaluation import Scene
from server.till.holds import MINUTE_US, holds_for
from server.till.instrument_holds import cards_to_hold, coupons_to_hold
from server.till.instruments import Looked
from server.till.quotas import Kept


class Reserved(NamedTuple):
    """What the till asks to hold.

    Attributes:
        wishes: what is to be spent, one an asset.
        coupon_codes: as they were shown.
        budgets: what promotions give out of limits over many receipts.
        cards: gift cards as they were sent, with minor units of money.
    """

    wishes: tuple[Wish, ...] = ()
    coupon_codes: tuple[str, ...] = ()
    budgets: bool = False
    cards: Mapping[str, int] = {}


def reserved_by(reserve: pb.Reservation) -> Reserved:
    """Read what a Quote is asked to hold.

    Raises:
        Refusal: names the field.
    """
    check.count_of(len(reserve.amounts), "reserve.amounts", limits.RESERVED_ASSETS_MAX)
    check.count_of(len(reserve.coupon_codes), "reserve.coupon_codes", limits.COUPON_CODES_MAX)
    wishes: dict[str, Wish] = {}
    for n, one in enumerate(reserve.amounts):
        path = f"reserve.amounts[{n}]"
        code = check.text_of(one.asset_code, f"{path}.asset_code", limits.ASSET_CODE_MAX)
        if code in wishes:
            check.refuse_inconsistent(f"{path}.asset_code", "stands twice")
        amount_minor = one.amount_minor
        check.number_of(amount_minor, f"{path}.amount_minor", 1, limits.AMOUNT_MINOR_MAX)
        wishes[code] = Wish(code, amount_minor)
    codes = [
        check.text_of(code, f"reserve.coupon_codes[{n}]", limits.TEXT_CODE_MAX)
        for n, code in enumerate(reserve.coupon_codes)
    ]
    return Reserved(tuple(wishes.values()), tuple(codes), reserve.budgets, _cards(reserve))


def _cards(reserve: pb.Reservation) -> dict[str, int]:
    check.count_of(len(reserve.gift_cards), "reserve.gift_cards", limits.RESERVED_CARDS_MAX)
    cards: dict[str, int] = {}
    for n, one in enumerate(reserve.gift_cards):
        path = f"reserve.gift_cards[{n}]"
        code = check.text_of(one.gift_card_id, f"{path}.gift_card_id", limits.TEXT_CODE_MAX)
        if spelled(code) in {spelled(known) for known in cards}:
            check.refuse_inconsistent(f"{path}.gift_card_id", "stands twice")
        amount_minor = one.amount_minor
        check.number_of(amount_minor, f"{path}.amount_minor", 1, limits.AMOUNT_MINOR_MAX)
        cards[code] = amount_minor
    return cards


def wanted_holds(
    scene: Scene, kept: Kept, looked: Looked, reserved: Reserved, hold_id: bytes, now_us: int
) -> dict[int, tuple[Hold, ...]]:
    """By account what a basket is to hold: what is spent as asked for, coupons, and gift cards.

    Args:
        scene: with what the customer pays with.
        kept: as decided, with what is spent.
        looked: accounts of coupons and cards.
        reserved: what the till asks to hold.
        hold_id: the basket's.
        now_us: the server's clock, UTC microseconds.
    """
    expires_at_us = now_us + scene.rules.program.hold_minutes * MINUTE_US
    asked = {wish.asset_code for wish in reserved.wishes}
    spends = [one for one in kept.decision.spends if one.asset_code in asked]
    held = coupons_to_hold(kept.facts, reserved.coupon_codes, hold_id, expires_at_us)
    cards = {spelled(code): amount_minor for code, amount_minor in reserved.cards.items()}
    held |= cards_to_hold(kept.facts, looked, cards, scene.at_us, hold_id, expires_at_us)
    own = holds_for(spending.purse_of(scene), spends, expires_at_us)
    if own:
        account_id = kept.facts.customer.account_id
        held[account_id] = (*held.get(account_id, ()), *own)
    return held
