"""A scenario of another engine, as its file spells it.

Keys that these types do not know are kept out of the translation and reported, never an error:
other files of the same form may say more.
"""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
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
    min_points: Number | None = None
    redeem: str = ""
    event: str = ""
    balance_minor: int | None = None
    decimals: int | None = None
    stop_further_for_item: bool = False
    includes_shipping: bool = False
    manual: bool = False


class Conditions(Spelled, frozen=True):
    """What must hold; None is not asked."""

    coupon: str | None = None
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
    channel: str | None = None
    never: bool = False
    enabled: bool = True
    owner_only: bool = False
    requires_customer: bool | None = None


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

    @property
    def in_scope(self) -> bool:
        """Whether a till could meet it."""
        return self.scope == "in"


def read_cases(path: Path) -> tuple[list[Case], dict[str, list[str]]]:
    """Read a file of cases, one JSON object a line.

    Returns:
        The cases, and by case id the keys of promotions that these types do not know.
    """
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    cases = [_read_case(line, number) for number, line in enumerate(lines, start=1)]
    both = zip(cases, lines, strict=True)
    unknown = {case.id: list(_unknown_keys(line)) for case, line in both if not case.unreadable}
    return cases, {case_id: keys for case_id, keys in unknown.items() if keys}


def _read_case(line: bytes, number: int) -> Case:
    """One case; a line that is none is a case that fails, and the others still run."""
    try:
        return msgspec.json.decode(line, type=Case)
    except msgspec.DecodeError as error:
        reason = str(error)
    try:
        # Another writer may spell what is not there as null, and whole numbers with a point.
        spelled = _tidied(json.loads(line, parse_float=Decimal))
        return msgspec.convert(spelled, Case, strict=False)
    except (ValueError, RecursionError):
        name = re.search(rb'"id"\s*:\s*"([^"]*)"', line)
        case_id = name[1].decode(errors="replace") if name else f"line {number}"
        scope = "in" if b'"out' not in line else "out: not read"
        return Case(case_id, (), (), {}, (), scope, unreadable=reason)


def _tidied(value: Any) -> Any:
    """Without keys of null, but for expectations; whole numbers as integers."""
    if isinstance(value, dict):
        return {
            key: child if key == "expected" else _tidied(child)
            for key, child in value.items()
            if child is not None or key == "unit_price_minor"
        }
    if isinstance(value, list):
        return [_tidied(child) for child in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _unknown_keys(line: bytes) -> Iterator[str]:
    parts: Sequence[tuple[str, type[Struct]]] = (("params", Params), ("conditions", Conditions))
    for promotion in json.loads(line)["promotions"]:
        for name, known in parts:
            spelled = promotion.get(name) or {}
            yield from (f"{name}.{key}" for key in spelled if key not in known.__struct_fields__)
