"""What a promotion gives besides prices: points, discounts to come, coupons, prizes, messages.

What each does exactly stands in `docs/engine.md`.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from rewards.basket import Item
from rewards.benefit import (
    Benefit,
    CouponReward,
    DeferredDiscount,
    DrawEntries,
    GiftCertificate,
    Message,
    MoneyTransfer,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    Prize,
    Status,
)
from rewards.facts import Facts
from rewards.limits import ENTRIES_MAX, MILLI, REWARD_MINOR_MAX
from rewards.rounding import RATE_BP_ONE, divide, floor_div, share_bp
from rewards.ruleset import CompiledProgram, CompiledPromotion
from rewards.sale import Sale, TenderKind

_MICROS = 1_000_000
_FOR_ANYBODY = CouponReward | GiftCertificate | Prize | Message
"""Given to the bearer, known or not."""


class Grant(Struct, frozen=True):
    """A reward: an amount of an asset with its start and end, or something counted.

    Attributes:
        number: promotion that gave it.
        place: which of its benefits, in running order.
        asset_code: asset in which it is posted; empty for what is no asset.
        amount_minor: minor units of the asset or of money, or how many; 1 or more.
        value_minor: what it is worth, minor units of money.
        active_from_us: UTC microseconds; 0 is at once.
        expires_at_us: UTC microseconds; 0 is without end.
    """

    number: int
    place: int
    asset_code: str
    amount_minor: int
    value_minor: int
    active_from_us: int
    expires_at_us: int


class Share(Struct, frozen=True):
    """An item a reward is given on, with how much of it, in thousandths."""

    item: Item
    quantity_milli: int


class Earned(Struct, frozen=True):
    """A grant with the amount that each item had in its base, minor units."""

    grant: Grant
    bases: Mapping[int, int]


class RewardScene(Struct, frozen=True):
    """What rewards depend on besides the items."""

    program: CompiledProgram
    sale: Sale
    facts: Facts


def needs_customer(benefit: Benefit) -> bool:
    """Whether only a customer who earns gets it."""
    return not isinstance(benefit, _FOR_ANYBODY)


class Payment(Struct, frozen=True):
    """How a receipt is paid: what is to be paid, and what of it with points, minor units."""

    to_pay_minor: int
    by_points_minor: int


def payment_of(items: Sequence[Item], sale: Sale) -> Payment:
    """What is to be paid for all items now, and what of it is paid with points."""
    by_points_minor = sum([t.amount_minor for t in sale.tenders if t.kind == TenderKind.POINTS])
    to_pay_minor = sum([item.amount_minor for item in items])
    return Payment(max(to_pay_minor, by_points_minor), by_points_minor)


def amount_of(
    benefit: Benefit, shares: Sequence[Share], earned: Sequence[Earned], payment: Payment
) -> int:
    """How much a reward comes to: minor units of its asset or of money, or how many.

    Args:
        benefit: a reward, no message.
        shares: what it is given on; all of it earns.
        earned: what was granted before on this receipt.
        payment: for the part that is paid with points, which earns nothing.

    Returns:
        At most `REWARD_MINOR_MAX`.
    """
    return min(REWARD_MINOR_MAX, _all_of(benefit, shares, earned, payment))


def _all_of(
    benefit: Benefit, shares: Sequence[Share], earned: Sequence[Earned], payment: Payment
) -> int:
    match benefit:
        case PointsRate():
            base = base_minor(shares, payment, benefit.base == "as_sent")
            if benefit.step_minor:
                base -= base % benefit.step_minor
            return share_bp(base, benefit.rate_bp, benefit.rounding)
        case PointsFixed():
            if benefit.for_each_minor:
                base = base_minor(shares, payment)
                return benefit.amount_minor * floor_div(base, benefit.for_each_minor)
            return benefit.amount_minor * _times(shares, benefit.for_each_count)
        case PointsMultiplier():
            return _multiplied(benefit, shares, earned)
        case DeferredDiscount() | MoneyTransfer():
            base = base_minor(shares, payment)
            if not base:
                return 0
            return benefit.amount_minor or share_bp(base, benefit.rate_bp, "down")
        case DrawEntries():
            base = base_minor(shares, payment)
            steps = floor_div(base, benefit.for_each_minor) if benefit.for_each_minor else 1
            return min(ENTRIES_MAX, benefit.count * steps) if base else 0
        case CouponReward() | Prize():
            return benefit.count
        case GiftCertificate():
            return benefit.amount_minor
        case Status():
            return 1
    raise AssertionError("not a reward")


def base_minor(shares: Sequence[Share], payment: Payment, as_sent: bool = False) -> int:
    """What earns: what is paid for the shares now, without the part paid with points."""
    base = sum(bases_of(shares, as_sent).values())
    if not payment.by_points_minor:
        return base
    by_others_minor = payment.to_pay_minor - payment.by_points_minor
    return floor_div(base * by_others_minor, payment.to_pay_minor)


def earns_for(promotion: CompiledPromotion, item: Item) -> bool:
    """Whether a promotion gives rewards on an item."""
    return item.earns and (promotion.on_stickers or not item.sticker)


def is_paid(shares: Sequence[Share]) -> bool:
    """Whether anything of what a reward is given on is paid for."""
    return any(share.item.amount_minor for share in shares)


def bases_of(shares: Sequence[Share], as_sent: bool = False) -> dict[int, int]:
    """Amount of each share, by identity of its item."""
    return {
        id(share.item): floor_div(
            (share.item.sent_minor if as_sent else share.item.amount_minor) * share.quantity_milli,
            share.item.quantity_milli,
        )
        for share in shares
    }


def grant_of(
    scene: RewardScene, number: int, place: int, benefit: Benefit, amount_minor: int
) -> Grant:
    """A reward with its worth and its time."""
    asset_code = getattr(benefit, "asset_code", "")
    starts_us, ends_us = _window(scene, benefit, asset_code)
    value_minor = min(REWARD_MINOR_MAX, _value_minor(scene.program, benefit, amount_minor))
    return Grant(number, place, asset_code, amount_minor, value_minor, starts_us, ends_us)


def _window(scene: RewardScene, benefit: Benefit, asset_code: str) -> tuple[int, int]:
    if asset_code:
        window = next(w for code, w in scene.facts.store.windows if code == asset_code)
        return window.active_from_us, window.expires_at_us
    days = getattr(benefit, "valid_days", 0)
    ends_us = dict(scene.facts.store.day_ends)[days] if days else 0
    return 0, ends_us


def value_micros_of(program: CompiledProgram, asset_code: str) -> int | None:
    """What a minor unit of an asset is worth, millionths of one of money; None is money itself."""
    asset = program.assets[asset_code]
    if asset.kind in ("deferred_discount", "gift_money"):
        return None
    standing_in = program.point_value_micros if asset.kind == "points" else 0
    return asset.value_micros or standing_in


def _value_minor(program: CompiledProgram, benefit: Benefit, amount_minor: int) -> int:
    if isinstance(benefit, PointsRate | PointsFixed | PointsMultiplier):
        value_micros = value_micros_of(program, benefit.asset_code)
        if value_micros is None:
            return amount_minor
        return floor_div(amount_minor * value_micros, _MICROS)
    if isinstance(benefit, DeferredDiscount | GiftCertificate | MoneyTransfer):
        return amount_minor
    return 0


def _times(shares: Sequence[Share], for_each_count: int) -> int:
    """How often a fixed number is given: once, or for every so many pieces that earn."""
    if not for_each_count:
        return 1
    milli = sum([share.quantity_milli for share in shares if share.item.counted])
    return floor_div(milli, for_each_count * MILLI)


def _multiplied(
    benefit: PointsMultiplier, shares: Sequence[Share], earned: Sequence[Earned]
) -> int:
    """What comes on top of earlier grants of the asset for the part earned on these items."""
    ids = {id(share.item) for share in shares}
    extra = 0
    for one in earned:
        whole = sum(one.bases.values())
        if one.grant.asset_code == benefit.asset_code and whole:
            part = sum([minor for key, minor in one.bases.items() if key in ids])
            factor_bp = benefit.factor_bp - RATE_BP_ONE
            extra += divide(
                one.grant.amount_minor * part * factor_bp, whole * RATE_BP_ONE, benefit.rounding
            )
    return extra
