"""What a customer is told by message of a receipt that was forwarded: figures and times, no text.

The window is that of DESIGN section 10: the later of sale + 24 h and arrival + 6 h. Where arrival
decides, the link was away so long, and the message is late by the link.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.benefit import (
    Benefit,
    CouponReward,
    DrawEntries,
    GiftCertificate,
    MoneyTransfer,
    Prize,
    Status,
)
from rewards.commit import MessageFigure, NewMessage
from rewards.instrument import counted_asset, coupon_asset
from rewards.problem import COUNTED_KINDS
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram, ProgramRules
from rewards.sale import derived_key_id

HOUR_US = 3_600_000_000
AFTER_SALE_US = 24 * HOUR_US
AFTER_ARRIVAL_US = 6 * HOUR_US
TEMPLATE_REWARD = "sms_reward"

_Thing = tuple[str, str, str, int, int]
"""Kind, asset, detail, and of what has codes the promotion and the place of its benefit."""


class Turned(Struct, frozen=True, gc=False):
    """What a discount that was not given became: minor units of an asset.

    Attributes:
        expires_at_us: UTC microseconds, the last one included; 0 is without end.
    """

    asset_code: str
    amount_minor: int
    expires_at_us: int = 0


class Told(Struct, frozen=True, gc=False):
    """A forwarded receipt, as far as a message needs it.

    Attributes:
        own_key_id: of what is committed: the receipt's own key, or that of a later outcome.
        receipt_id: the receipt's own key.
        customer_id: whose reward it is; 0 is nobody, who is told nothing.
        sold_at_us: the sale, UTC microseconds.
        arrived_at_us: when it reached the server, UTC microseconds.
    """

    own_key_id: bytes
    receipt_id: bytes
    chain_id: str
    store_id: str
    customer_id: int
    sold_at_us: int
    arrived_at_us: int


def messages_of(
    rules: ProgramRules, grants: Sequence[Grant], turned: Sequence[Turned], told: Told
) -> tuple[NewMessage, ...]:
    """The messages that a forwarded receipt sends: one that tells of all, or none.

    Args:
        rules: at the sale; its promotions are those that the grants number.
        grants: what the receipt gave.
        turned: what the offline policy made of discounts that were not given.
        told: keys, place, customer, instants.
    """
    figures = figures_of(rules.program, grants, turned)
    if not told.customer_id or not figures or not rules.program.messages.by_sms:
        return ()
    window_end_us = window_end_of(told.sold_at_us, told.arrived_at_us)
    message = NewMessage(
        message_id=derived_key_id(b"message", told.own_key_id),
        receipt_id=told.receipt_id,
        chain_id=told.chain_id,
        store_id=told.store_id,
        customer_id=told.customer_id,
        ruleset_version=rules.version,
        template_code=TEMPLATE_REWARD,
        figures=figures,
        sold_at_us=told.sold_at_us,
        arrived_at_us=told.arrived_at_us,
        not_before_us=told.arrived_at_us,
        window_end_us=window_end_us,
        is_late=window_end_us > told.sold_at_us + AFTER_SALE_US,
    )
    return (message,)


def window_end_of(sold_at_us: int, arrived_at_us: int) -> int:
    """Until when a message about a sale may be sent, UTC microseconds."""
    return max(sold_at_us + AFTER_SALE_US, arrived_at_us + AFTER_ARRIVAL_US)


def figures_of(
    program: CompiledProgram, grants: Iterable[Grant], turned: Iterable[Turned]
) -> tuple[MessageFigure, ...]:
    """What there is to tell: amounts of one asset together, things with a code one by one."""
    together: dict[_Thing, tuple[int, int]] = {}
    for grant in grants:
        thing = _of_grant(program, grant)
        _add(together, thing, grant.amount_minor, grant.expires_at_us)
    for one in turned:
        thing = (_kind_of(program, one.asset_code), one.asset_code, "", -1, 0)
        _add(together, thing, one.amount_minor, one.expires_at_us)
    found = []
    for (kind, asset_code, detail_code, *coded), (amount_minor, ends_us) in together.items():
        found.append(MessageFigure(kind, asset_code, amount_minor, detail_code, ends_us, *coded))
    return tuple(found)


def _add(together: dict[_Thing, tuple[int, int]], thing: _Thing, minor: int, ends_us: int) -> None:
    """Add an amount of a thing; what ends of one ends of both, at the sooner end."""
    before_minor, before_us = together.get(thing, (0, 0))
    both = before_us and ends_us
    sooner_us = min(before_us, ends_us) if both else before_us or ends_us
    together[thing] = before_minor + minor, sooner_us


def _of_grant(program: CompiledProgram, grant: Grant) -> _Thing:
    if grant.asset_code:
        return _kind_of(program, grant.asset_code), grant.asset_code, "", -1, 0
    benefit = program.promotions[grant.number].gives[grant.place]
    kind, asset_code, detail_code = _no_asset(program, benefit)
    if asset_code and kind in ("coupon", "gift_certificate"):
        return kind, asset_code, detail_code, grant.number, grant.place
    return kind, asset_code, detail_code, -1, 0


def _kind_of(program: CompiledProgram, asset_code: str) -> str:
    is_counted = program.assets[asset_code].kind in COUNTED_KINDS
    return "points" if is_counted else "deferred_discount"


def _no_asset(program: CompiledProgram, benefit: Benefit) -> tuple[str, str, str]:
    """Of a reward that is no asset of the program its kind, its ledger asset and its tier."""
    match benefit:
        case CouponReward():
            is_series = benefit.series_code in program.coupon_series
            return "coupon", coupon_asset(benefit.series_code) if is_series else "", ""
        case GiftCertificate():
            return "gift_certificate", program.gift_asset, ""
        case Prize():
            return "prize", counted_asset(benefit), ""
        case Status():
            return "status", counted_asset(benefit), benefit.tier_code
        case DrawEntries():
            return "draw_entry", counted_asset(benefit), ""
        case MoneyTransfer():
            return "money_transfer", "", ""
    raise AssertionError(f"{type(benefit).__name__} gives an asset, or no reward")
