"""What must hold for a promotion: each condition a small value `{code, args}`, all of them at once.

Wall-clock conditions use the store's time zone. A condition on products asks whether the receipt
reaches a count or an amount; it claims nothing.
"""

from typing import Annotated, Literal

from msgspec import Meta

from rewards.authored import (
    AmountMinor,
    AssetCode,
    Authored,
    Channel,
    Code,
    Count,
    CouponCode,
    Days,
    LocalTime,
    Name,
    ProductSet,
    QuantityMilli,
)

AmountBasis = Literal["lane_start", "as_sent", "running"]
"""Amounts before any promotion of the lane; before any promotion at all; or when it is asked."""
Weekday = Annotated[int, Meta(ge=1, le=7)]
TenderName = Literal["cash", "card", "gift_card", "points", "voucher", "mobile", "other"]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1_000)]


class Weekdays(Authored, frozen=True, tag_field="code", tag="weekdays"):
    """On one of these days: 1 is Monday, 7 is Sunday."""

    days: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)]


class Hours(Authored, frozen=True, tag_field="code", tag="hours"):
    """From one time of the day until before another; an end before the start is after midnight."""

    from_time: LocalTime
    to_time: LocalTime


class Zones(Authored, frozen=True, tag_field="code", tag="zones"):
    """In a store of one of these zones."""

    any_of: Names


class Channels(Authored, frozen=True, tag_field="code", tag="channels"):
    """At a till of one of these types."""

    any_of: Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=5)]


class Segments(Authored, frozen=True, tag_field="code", tag="segments"):
    """The customer is in one of some segments and in none of others."""

    any_of: tuple[Name, ...] = ()
    none_of: tuple[Name, ...] = ()


class Tier(Authored, frozen=True, tag_field="code", tag="tier"):
    """The customer has one of these tiers."""

    any_of: Names


class KnownCustomer(Authored, frozen=True, tag_field="code", tag="known_customer"):
    """The customer is known (or, the other way round, is not)."""

    known: bool = True


class StaffPurchase(Authored, frozen=True, tag_field="code", tag="staff_purchase"):
    """It is a purchase of the staff (or, the other way round, is not)."""

    staff: bool = True


class Coupon(Authored, frozen=True, tag_field="code", tag="coupon"):
    """One of these codes was shown, or there is an unused coupon of one of these series.

    How letters of codes compare is a setting of the program. Of a series the customer's own
    coupons count without being shown; a promotion that fires by one uses it up.
    """

    any_of: Annotated[tuple[CouponCode, ...], Meta(max_length=1_000)] = ()
    series: Annotated[tuple[Code, ...], Meta(max_length=1_000)] = ()


class Trigger(Authored, frozen=True, tag_field="code", tag="trigger"):
    """The cashier said that one of these holds ("pensioner card shown")."""

    any_of: Names


class Tender(Authored, frozen=True, tag_field="code", tag="tender"):
    """Paid by one of these means, or with a card of one of these BINs; unknown while unpaid."""

    any_of: tuple[TenderName, ...] = ()
    card_bins: tuple[Name, ...] = ()


class Birthday(Authored, frozen=True, tag_field="code", tag="birthday"):
    """Around the customer's birthday; of 29 February it is the 28th in other years."""

    days_before: Annotated[int, Meta(ge=0, le=180)] = 0
    days_after: Annotated[int, Meta(ge=0, le=180)] = 0


class NthPurchase(Authored, frozen=True, tag_field="code", tag="nth_purchase"):
    """This is the customer's nth purchase, or every nth."""

    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    every: bool = False


class DaysSincePurchase(Authored, frozen=True, tag_field="code", tag="days_since_purchase"):
    """So many local days after the last purchase; who never bought fits only if said so."""

    from_days: Days = 0
    to_days: Days = 36_600
    never_counts: bool = False


class History(Authored, frozen=True, tag_field="code", tag="history"):
    """A counter of the customer's purchases lies in a range, both ends included."""

    counter_code: Code
    from_count: Annotated[int, Meta(ge=0, le=10**15)] = 0
    to_count: Annotated[int, Meta(ge=0, le=10**15)] = 10**15


class Balance(Authored, frozen=True, tag_field="code", tag="balance"):
    """The customer owns at least so much of an asset, minor units of the asset."""

    asset_code: AssetCode
    from_minor: AmountMinor


class Products(Authored, frozen=True, tag_field="code", tag="products"):
    """The receipt holds so much of a set; every bound that is not 0 must hold.

    Attributes:
        products: the set; without it the promotion's own.
        quantity_from_milli: pieces, kilograms, litres in thousandths.
        line_quantity_from_milli: so much of one article.
        articles_from: so many different articles.
        amount_from_minor: included, unless `strict`.
        none: the set must not be on the receipt; then no bound is given.
    """

    products: ProductSet | None = None
    quantity_from_milli: QuantityMilli = 0
    quantity_to_milli: QuantityMilli = 0
    line_quantity_from_milli: QuantityMilli = 0
    articles_from: Count = 0
    amount_from_minor: AmountMinor = 0
    amount_to_minor: AmountMinor = 0
    strict: bool = False
    basis: AmountBasis = "lane_start"
    none: bool = False


class ReceiptAmount(Authored, frozen=True, tag_field="code", tag="receipt_amount"):
    """The receipt, without gift cards and deposits, comes to an amount in a range.

    Attributes:
        from_minor: included, unless `strict`.
        to_minor: included; 0 is no bound.
        own_offer: the lower end is that of the customer's own offer of this code.
    """

    from_minor: AmountMinor = 0
    to_minor: AmountMinor = 0
    strict: bool = False
    basis: AmountBasis = "lane_start"
    own_offer: Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{0,64}\Z")] = ""


Condition = (
    Weekdays
    | Hours
    | Zones
    | Channels
    | Segments
    | Tier
    | KnownCustomer
    | StaffPurchase
    | Coupon
    | Trigger
    | Tender
    | Birthday
    | NthPurchase
    | DaysSincePurchase
    | History
    | Balance
    | Products
    | ReceiptAmount
)
