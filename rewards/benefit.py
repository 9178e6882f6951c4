"""What a promotion gives: each benefit a small value `{code, args}`.

Benefits on prices stand in the lanes price and basket. Rewards stand in any lane: they give on what
is to be paid at their place, in the lane reward on what is paid in the end. What each does exactly
stands in `docs/engine.md`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from rewards.authored import (
    AmountMinor,
    AssetCode,
    Authored,
    Code,
    Count,
    Days,
    LocalTexts,
    Name,
    ProductSet,
    QuantityMilli,
    ShareBp,
)
from rewards.rounding import Rounding

SetCount = Annotated[int, Meta(ge=1, le=1_000)]
RateBp = Annotated[int, Meta(ge=1, le=10_000)]
PointsRateBp = Annotated[int, Meta(ge=1, le=10**9)]
Pick = Literal["cheapest", "dearest"]
RoundedOn = Literal["item", "piece", "total", "carried"]
"""Where a rate is rounded: on all pieces of an article at a price; on each piece; on the sum of all
articles, then shared; or on each article, what rounding took carried on to the next one."""
Share = Literal["proportional", "even", "cheapest"]
"""How a discount on many articles is shared: by price, evenly by piece, or cheapest piece first."""
Remainder = Literal["largest", "first", "last"]
"""Who gets the minor units left over: largest remainders, the first articles, the last one."""


class Pieces(Authored, frozen=True):
    """Which pieces of the set a benefit takes; without it all of them.

    Attributes:
        count_max: at most so many pieces; 0 is all.
        pick: which, if not all; pieces that cost nothing are never picked.
        full_groups_of: only as many as make full groups of so many; 0 is any.
        per_article: both count the pieces of each article; otherwise those of the whole set.
    """

    count_max: Count = 0
    pick: Pick = "cheapest"
    full_groups_of: Count = 0
    per_article: bool = False


ALL_PIECES = Pieces()


class PercentOff(Authored, frozen=True, tag_field="code", tag="percent_off"):
    """A percentage off each product of the set."""

    rate_bp: RateBp
    rounding: Rounding = "half_up"
    rounded_on: RoundedOn = "item"
    pieces: Pieces = ALL_PIECES


class AmountOff(Authored, frozen=True, tag_field="code", tag="amount_off"):
    """An amount off each piece, kilogram or litre, or off each article of the set."""

    amount_minor: Annotated[int, Meta(ge=1, le=10**12)]
    per: Literal["unit", "item"] = "unit"
    pieces: Pieces = ALL_PIECES


class FixedPrice(Authored, frozen=True, tag_field="code", tag="fixed_price"):
    """A price for each piece, kilogram or litre; never a dearer one."""

    price_minor: AmountMinor
    pieces: Pieces = ALL_PIECES


class PriceList(Authored, frozen=True, tag_field="code", tag="price_list"):
    """The prices of a list by article, for a piece, kilogram or litre; never a dearer one.

    The list is imported, not written here: it may hold millions of prices, by zone, segment or
    customer; the most personal price that fits is the list's price.
    """

    list_code: Code


class NthItem(Authored, frozen=True, tag_field="code", tag="nth_item"):
    """Of every `n` pieces, dearest first, one at a percentage off. Counted goods.

    Attributes:
        which: the cheapest of the `n`, or the dearest.
        per_article: the `n` are of one article; otherwise of the whole set.
        spread: the discount is spread over all pieces of the set, so that each of them can be
            returned at its printed price; otherwise the lowered ones bear it.
    """

    n: Annotated[int, Meta(ge=2, le=1_000)]
    rate_bp: RateBp
    which: Pick = "cheapest"
    per_article: bool = True
    spread: bool = True


class NPlusM(Authored, frozen=True, tag_field="code", tag="n_plus_m"):
    """Of N+M pieces M are free. Counted goods.

    Attributes:
        per_article: the pieces are of one article; otherwise of the whole set.
        as_quantity: who has N is offered M more pieces of the cheapest article.
        partly: pieces above N of the last set are free although M are not there.
        spread: the discount is spread over all pieces of the set, so that each of them can be
            returned at its printed price; otherwise the lowered ones bear it.
    """

    pay_count: SetCount
    free_count: SetCount
    per_article: bool = True
    as_quantity: bool = True
    partly: bool = True
    spread: bool = True


class CheapestFree(Authored, frozen=True, tag_field="code", tag="cheapest_free"):
    """Of every `set_count` pieces of the set, dearest first, some are free. Counted goods.

    Attributes:
        which: the cheapest of the set, or the dearest.
        rate_bp: how much off them.
        spread: the discount is spread over all pieces of the set, so that each of them can be
            returned at its printed price; otherwise the lowered ones bear it.
    """

    set_count: Annotated[int, Meta(ge=2, le=1_000)]
    free_count: SetCount = 1
    which: Pick = "cheapest"
    rate_bp: RateBp = 10_000
    spread: bool = True


class BuyGet(Authored, frozen=True, tag_field="code", tag="buy_get"):
    """Who buys `buy_count` of the promotion's products gets `get_count` of other ones cheaper.

    Counted goods. A piece that both sets hold counts as bought first, the dearest first; what is
    given is the cheapest.

    Attributes:
        which: the cheapest of the other ones are given, or the dearest.
        partly: fewer than `get_count` are given if there are no more.
        spread: the discount is spread over all pieces of the set, so that each of them can be
            returned at its printed price; otherwise the lowered ones bear it.
    """

    buy_count: SetCount
    get_products: ProductSet
    get_count: SetCount = 1
    rate_bp: RateBp = 10_000
    which: Pick = "cheapest"
    partly: bool = False
    spread: bool = True


class BundlePart(Authored, frozen=True):
    """So many pieces of a set."""

    products: ProductSet
    count: SetCount = 1


class BundlePrice(Authored, frozen=True, tag_field="code", tag="bundle_price"):
    """A price, an amount off or a percentage off for some pieces of each of several sets.

    Counted goods. Without parts it is `set_count` pieces of the promotion's products. Pieces are
    taken dearest first. Exactly one of the three is given.
    """

    parts: Annotated[tuple[BundlePart, ...], Meta(max_length=8)] = ()
    set_count: Annotated[int, Meta(ge=0, le=1_000)] = 0
    price_minor: AmountMinor = 0
    amount_off_minor: AmountMinor = 0
    rate_bp: ShareBp = 0


class QuantityTier(Authored, frozen=True):
    """From a quantity on: a percentage off, an amount off a unit, or a price for a unit."""

    from_milli: QuantityMilli
    rate_bp: ShareBp = 0
    amount_off_minor: AmountMinor = 0
    price_minor: AmountMinor = 0


class QuantityTiers(Authored, frozen=True, tag_field="code", tag="quantity_tiers"):
    """The more, the cheaper: the highest tier that is reached counts for all pieces.

    Attributes:
        per_article: each article reaches a tier by itself; otherwise the set does.
    """

    tiers: Annotated[tuple[QuantityTier, ...], Meta(min_length=1, max_length=32)]
    per_article: bool = True
    rounding: Rounding = "half_up"


class Gift(Authored, frozen=True, tag_field="code", tag="gift"):
    """Articles that may be added at a price, mostly for nothing.

    Attributes:
        skus: all of them are given, or the customer chooses one.
        quantity_milli: of each that is given, each time.
        price_minor: for one piece.
        for_each_count: once for every so many pieces of the promotion's products; 0 is once.
        choice: the customer chooses one.
        counts_in_basket: pieces of it that were scanned are the gift and become as cheap; only what
            is missing is added. Otherwise the gift always comes on top.
    """

    skus: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
    quantity_milli: Annotated[int, Meta(ge=1, le=10**7)] = 1_000
    price_minor: AmountMinor = 0
    for_each_count: Count = 0
    choice: bool = False
    counts_in_basket: bool = True


class ReceiptDiscount(Authored, frozen=True, tag_field="code", tag="receipt_discount"):
    """A rate or an amount off the set as a whole, or a price for it, shared over its articles.

    Attributes:
        price_minor: what the set costs then, if that is less.
        max_minor: at most so much; 0 is no bound.
    """

    rate_bp: ShareBp = 0
    amount_minor: AmountMinor = 0
    price_minor: AmountMinor = 0
    max_minor: AmountMinor = 0
    rounding: Rounding = "half_up"
    share: Share = "proportional"
    remainder: Remainder = "largest"


class PointsRate(Authored, frozen=True, tag_field="code", tag="points_rate"):
    """`rate_bp` minor units of the asset for 10,000 minor units paid.

    Attributes:
        base: what is paid after discounts, or the amounts as sent.
        step_minor: counts only full steps of so much; 0 counts every minor unit.
    """

    asset_code: AssetCode
    rate_bp: PointsRateBp
    rounding: Rounding = "down"
    base: Literal["paid", "as_sent"] = "paid"
    step_minor: AmountMinor = 0


class PointsFixed(Authored, frozen=True, tag_field="code", tag="points_fixed"):
    """A number of points, for the receipt, for every so many pieces or every so much paid.

    Attributes:
        amount_minor: minor units of the asset.
        for_each_count: for every so many pieces; 0 is once a receipt.
        for_each_minor: for every so much that is paid for the set; 0 is once a receipt.
    """

    asset_code: AssetCode
    amount_minor: Annotated[int, Meta(ge=1, le=10**12)]
    for_each_count: Count = 0
    for_each_minor: AmountMinor = 0


class PointsMultiplier(Authored, frozen=True, tag_field="code", tag="points_multiplier"):
    """What earlier promotions give of an asset on the set, times a factor (20,000 bp: doubled)."""

    asset_code: AssetCode
    factor_bp: Annotated[int, Meta(ge=10_001, le=1_000_000)]
    rounding: Rounding = "down"


class DeferredDiscount(Authored, frozen=True, tag_field="code", tag="deferred_discount"):
    """An amount, or a rate of what is paid for the set, off a later receipt."""

    asset_code: AssetCode
    amount_minor: AmountMinor = 0
    rate_bp: ShareBp = 0


class CouponReward(Authored, frozen=True, tag_field="code", tag="coupon_reward"):
    """A coupon of a series, valid for some days after that of the sale; 0 is without end."""

    series_code: Code
    valid_days: Days = 0
    count: SetCount = 1


class GiftCertificate(Authored, frozen=True, tag_field="code", tag="gift_certificate"):
    """A certificate for an amount, valid for some days after that of the sale."""

    amount_minor: Annotated[int, Meta(ge=1, le=10**12)]
    valid_days: Days = 0


class Prize(Authored, frozen=True, tag_field="code", tag="prize"):
    """A prize from a pool."""

    pool_code: Code
    count: SetCount = 1


class Status(Authored, frozen=True, tag_field="code", tag="status"):
    """A tier for some days; 0 is without end."""

    tier_code: Name
    valid_days: Days = 0


class DrawEntries(Authored, frozen=True, tag_field="code", tag="draw_entries"):
    """Entries to a draw: for the receipt, or for every full step of what is paid for the set."""

    draw_code: Code
    count: SetCount = 1
    for_each_minor: AmountMinor = 0


class MoneyTransfer(Authored, frozen=True, tag_field="code", tag="money_transfer"):
    """Money to an account of the customer: an amount, or a rate of what is paid for the set."""

    destination_code: Code
    amount_minor: AmountMinor = 0
    rate_bp: ShareBp = 0


class Message(Authored, frozen=True, tag_field="code", tag="message"):
    """A text for the cashier or the customer.

    Attributes:
        is_question: the cashier asks it and must acknowledge.
    """

    texts: LocalTexts
    place: Literal["cashier", "customer_display", "slip"] = "cashier"
    is_question: bool = False


PriceBenefit = (
    PercentOff
    | AmountOff
    | FixedPrice
    | PriceList
    | NthItem
    | NPlusM
    | CheapestFree
    | BuyGet
    | BundlePrice
    | QuantityTiers
    | Gift
    | ReceiptDiscount
)
RewardBenefit = (
    PointsRate
    | PointsFixed
    | PointsMultiplier
    | DeferredDiscount
    | CouponReward
    | GiftCertificate
    | Prize
    | Status
    | DrawEntries
    | MoneyTransfer
    | Message
)
Benefit = PriceBenefit | RewardBenefit
