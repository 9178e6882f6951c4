"""A scenario of another engine, as its file spells it."""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

Number = Decimal
"""A JSON number with every digit it was written with."""


class Spelled(Struct, frozen=True):
    """Base of all parts of a case."""


class Target(Spelled, frozen=True):
    """What a benefit or a condition is about."""

    type: str = "all"
    values: tuple[str, ...] = ()


ALL = Target()


class CaseLine(Spelled, frozen=True):
    """A line; a price of None does not matter."""

    line_id: str
    sku: str
    qty: Number
    unit_price_minor: Number | None = None
    tags: tuple[str, ...] = ()


class CaseCustomer(Spelled, frozen=True):
    """A customer; uses are counted by promotion id."""

    segments: tuple[str, ...] = ()
    tier: str | None = None
    points_balance: Number | None = None
    prior_uses: dict[str, int] = {}
    cancelled_uses: dict[str, int] = {}
    completed_orders: int = 0
    cancelled_orders: int = 0
    guest: bool = False
    days_since_last_order: int | None = None
    birthday: str | None = None


class Tier(Spelled, frozen=True):
    """A step: from an amount or a quantity on."""

    min_amount_minor: int | None = None
    min_qty: Number | None = None
    percent: Number | None = None
    amount_minor: int | None = None
    price_minor: int | None = None


class Params(Spelled, frozen=True):
    """What a promotion gives."""

    action: str = ""
    target: Target | None = None
    exclude: Target | None = None
    exclude_tag: str = ""
    exclude_tags: tuple[str, ...] = ()
    exclude_skus: tuple[str, ...] = ()
    percent: Number | None = None
    percent_to_pay: Number | None = None
    amount_minor: int | None = None
    amount_basis: str = ""
    price_minor: int | None = None
    max_discount_minor: int | None = None
    cap_tax: str = ""
    rounding: str = ""
    distribution: str = ""
    base: str = ""
    basis: str = ""
    max_units: int | None = None
    max_affected_units: int | None = None
    max_applications: int | None = None
    max_free_units: int | None = None
    pick: str = ""
    every_amount_minor: int | None = None
    group_size: int | None = None
    qty_step: int | None = None
    tiers: tuple[Tier, ...] = ()
    tier_basis: str = ""
    bundle_qty: int | None = None
    n: int | None = None
    buy_qty: int | None = None
    get_qty: int | None = None
    buy_target: Target | None = None
    get_target: Target | None = None
    partial: bool | None = None
    free_units: int | None = None
    free_per_unit: Number | None = None
    gift: str = ""
    gift_sku: str = ""
    gift_choice: tuple[str, ...] = ()
    gift_qty: Number | None = None
    gift_price_minor: int | None = None
    qty: Number | None = None
    per: str = ""
    per_trigger_units: int | None = None
    auto_claim: bool = True
    points: Number | None = None
    points_per_unit: Number | None = None
    points_per_unit_bought: Number | None = None
    multiplier: Number | None = None
    required_points: Number | None = None
    value_per_point_minor: Number | None = None
    per_amount_minor: int | None = None
    min_points: Number | None = None
    max_points: Number | None = None
    redeem: str = ""
    event: str = ""
    balance_minor: int | None = None
    decimals: int | None = None
    stop_further: bool = False
    stop_further_for_item: bool = False
    includes_shipping: bool = False
    manual: bool = False


class Conditions(Spelled, frozen=True):
    """What must hold; None is not asked."""

    coupon: str | tuple[str, ...] | None = None
    case_sensitive: bool | None = None
    scope: Target | None = None
    min_qty: Number | None = None
    max_qty: Number | None = None
    min_line_qty: Number | None = None
    min_distinct_skus: int | None = None
    min_amount_minor: int | None = None
    max_amount_minor: int | None = None
    amount_equals_minor: int | None = None
    amount_with_shipping_equals_minor: int | None = None
    amount_basis: str = ""
    amount_tax: str = ""
    strict: bool = False
    includes_shipping: bool = False
    shipping_method: str | None = None
    requires_skus: tuple[str, ...] = ()
    requires_any_sku: tuple[str, ...] = ()
    requires_any_tag: tuple[str, ...] = ()
    requires_all_tags: tuple[str, ...] = ()
    forbidden_tags: tuple[str, ...] = ()
    forbidden_skus: tuple[str, ...] = ()
    unit_price_min_minor: int | None = None
    unit_price_max_minor: int | None = None
    segments_any: tuple[str, ...] = ()
    segments_none: tuple[str, ...] = ()
    tiers_any: tuple[str, ...] = ()
    valid_from: str | None = None
    valid_to: str | None = None
    usage_limit: int | None = None
    usage_count: int = 0
    per_customer_limit: int | None = None
    per_code_limit: int | None = None
    code_usage_count: int = 0
    reusable_after_cancel: bool = True
    campaign_usage_limit: int | None = None
    campaign_usage_count: int = 0
    campaign_spend_limit_minor: int | None = None
    campaign_spend_used_minor: int = 0
    campaign_spend_minor: int = 0
    budget_minor: int | None = None
    budget_used_minor: int = 0
    nth_order: int | None = None
    first_order: bool | None = None
    days_since_last_order_min: int | None = None
    days_since_last_order_max: int | None = None
    channel: str | tuple[str, ...] | None = None
    never: bool = False
    enabled: bool = True
    owner_only: bool = False
    requires_customer: bool | None = None
    weekdays: tuple[int, ...] = ()
    time_from: str | None = None
    time_to: str | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """Coupon codes of which one must be shown; none if no coupon is asked for."""
        return _all_of(self.coupon)

    @property
    def channels(self) -> tuple[str, ...]:
        """Sales channels of which it must be one; none if any will do."""
        return _all_of(self.channel)


def _all_of(told: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if isinstance(told, tuple):
        return told
    return (told,) if told else ()


class CasePromotion(Spelled, frozen=True):
    """One promotion, or one action of several (`P1a`, `P1b`)."""

    id: str
    kind: str
    params: Params = Params()
    conditions: Conditions = Conditions()
    stacking: str = "stackable"
    order: int = 0


class Tax(Spelled, frozen=True):
    """How prices stand to tax; a rate of None is not told."""

    mode: str = "none"
    rate_percent: Number | None = None
    note: str = ""


class Case(Spelled, frozen=True):
    """A scenario with what is expected of it.

    Attributes:
        expected: by key; only those of `asserts` are compared.
        net_unit_prices_minor: by sku, prices without tax.
        unreadable: why the line of the file is no case; then it says nothing else.
        not_understood: words of its promotions that no translation of ours knows.
    """

    id: str
    lines: tuple[CaseLine, ...]
    promotions: tuple[CasePromotion, ...]
    expected: dict[str, Any]
    asserts: tuple[str, ...]
    scope: str = "in"
    title: str = ""
    currency: str = "USD"
    minor_units: Literal[0, 1, 2, 3, 4] = 2
    tax: Tax = Tax()
    shipping_minor: int | None = None
    customer: CaseCustomer | None = None
    coupons: tuple[str, ...] = ()
    now: str | None = None
    channel: str | None = None
    unit_floor_minor: dict[str, int] = {}
    net_unit_prices_minor: dict[str, int] = {}
    rewards_claimed: bool = True
    unreadable: str = ""
    not_understood: tuple[str, ...] = ()

    @property
    def in_scope(self) -> bool:
        """Whether a till could meet it."""
        return self.scope == "in"
