"""What must hold for a promotion, as conditions of ours."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from rewards.authored import ProductSet
from rewards.condition import (
    AmountBasis,
    Condition,
    Coupon,
    DaysSincePurchase,
    Hours,
    KnownCustomer,
    NthPurchase,
    Products,
    ReceiptAmount,
    Segments,
    Tier,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.program import When
from tests.peer_cases.amounts import milli, with_tax
from tests.peer_cases.case import Case, CasePromotion, Conditions, Target
from tests.peer_cases.instants import moment
from tests.peer_cases.products import EVERYTHING, counted_set, set_of

NOBODY = "nobody"
"""A segment that no customer is in."""
ANY_QUANTITY = 1_000
"""One piece."""
CLAIMED = "reward-claimed"
"""What a cashier would say before a reward is given that the customer has to ask for."""
REWARDS = frozenset({"buy_n_get_m_free", "free_item", "points_redeem"})
"""Kinds that a customer may have to ask for."""
RUNNING = frozenset({"running", "discounted", "after_discount", "after_discounts"})
CONDITION_ONLY = frozenset({"other", "free_item"})
"""Kinds whose range of unit prices asks whether such an article is there."""


def conditions_of(case: Case, promotion: CasePromotion) -> tuple[Condition, ...]:
    """All that must hold, but for the period, the limits and what benefits filter themselves."""
    asked = promotion.conditions
    return (
        *_who(asked),
        *_where(asked),
        *_required(asked),
        *_reached(case, asked),
        *_priced(promotion),
        *_claimed(case, promotion),
    )


def _claimed(case: Case, promotion: CasePromotion) -> Iterator[Condition]:
    """A reward that nobody asked for is not given."""
    is_unclaimed = not case.rewards_claimed and promotion.kind in REWARDS
    if is_unclaimed or not promotion.params.auto_claim:
        yield Trigger((CLAIMED,))


def _who(asked: Conditions) -> Iterator[Condition]:
    if asked.never or not asked.enabled:
        yield Segments(any_of=(NOBODY,))
    if asked.requires_customer is not None:
        yield KnownCustomer(asked.requires_customer)
    if asked.codes:
        yield Coupon(asked.codes)
    if asked.segments_any or asked.segments_none:
        yield Segments(asked.segments_any, asked.segments_none)
    if asked.tiers_any:
        yield Tier(asked.tiers_any)
    if asked.nth_order is not None:
        yield NthPurchase(asked.nth_order)
    if asked.first_order:
        yield NthPurchase(1)
    if asked.first_order is False:
        yield DaysSincePurchase(0)
    if asked.days_since_last_order_min is not None or asked.days_since_last_order_max is not None:
        longest = asked.days_since_last_order_max
        to_days = 36_600 if longest is None else longest
        yield DaysSincePurchase(asked.days_since_last_order_min or 0, to_days)


def _where(asked: Conditions) -> Iterator[Condition]:
    """A sales channel is a zone: a named set of stores."""
    if asked.channels:
        yield Zones(asked.channels)
    if asked.weekdays:
        yield Weekdays(asked.weekdays)
    if asked.time_from or asked.time_to:
        yield Hours(asked.time_from or "00:00", asked.time_to or "24:00")


def _required(asked: Conditions) -> Iterator[Condition]:
    for sku in asked.requires_skus:
        yield _present(ProductSet(skus=(sku,)))
    for tag in asked.requires_all_tags:
        yield _present(ProductSet(categories=(tag,)))
    if asked.requires_any_sku:
        yield _present(ProductSet(skus=asked.requires_any_sku))
    if asked.requires_any_tag:
        yield _present(ProductSet(categories=asked.requires_any_tag))
    if asked.forbidden_skus:
        yield Products(ProductSet(skus=asked.forbidden_skus), none=True)
    if asked.forbidden_tags:
        yield Products(ProductSet(categories=asked.forbidden_tags), none=True)


def _present(products: ProductSet) -> Products:
    return Products(products, quantity_from_milli=ANY_QUANTITY)


def _priced(promotion: CasePromotion) -> Iterator[Condition]:
    asked = promotion.conditions
    low, high = asked.unit_price_min_minor or 0, asked.unit_price_max_minor or 0
    if promotion.kind in CONDITION_ONLY and (low or high):
        yield _present(ProductSet(unit_price_from_minor=low, unit_price_to_minor=high))


def _reached(case: Case, asked: Conditions) -> Iterator[Condition]:
    """Counts and amounts of the scope, or of the receipt."""
    counted = counted_set(case, asked.scope)
    counts = Products(
        counted,
        quantity_from_milli=milli(asked.min_qty),
        quantity_to_milli=milli(asked.max_qty),
        line_quantity_from_milli=milli(asked.min_line_qty),
        articles_from=asked.min_distinct_skus or 0,
    )
    if counts != Products(counted):
        yield counts
    low, high = _amounts(case, asked)
    if low or high:
        yield _amount(counted, low, high, asked)


def _amounts(case: Case, asked: Conditions) -> tuple[int, int]:
    """Lowest and highest amount; 0 is no bound."""
    exact = asked.amount_equals_minor
    low = asked.min_amount_minor if exact is None else exact
    high = asked.max_amount_minor if exact is None else exact
    if high and asked.strict and exact is None:
        high -= 1
    taxed = asked.amount_tax == "excl"
    return with_tax(case, low or 0, taxed), with_tax(case, high or 0, taxed)


def _amount(counted: ProductSet, low: int, high: int, asked: Conditions) -> Condition:
    basis: AmountBasis = "running" if asked.amount_basis in RUNNING else "as_sent"
    strict = asked.strict and bool(asked.min_amount_minor)
    if counted == EVERYTHING:
        return ReceiptAmount(low, high, strict, basis)
    return Products(
        counted, amount_from_minor=low, amount_to_minor=high, strict=strict, basis=basis
    )


def when_of(asked: Conditions) -> When:
    """The period; an end that names a minute includes that minute."""
    from_date = to_date = from_time = to_time = ""
    if asked.valid_from:
        first = moment(asked.valid_from)
        from_date, from_time = _day(first), _minute(first)
    if asked.valid_to:
        last = moment(asked.valid_to)
        to_date = _day(last)
        if isinstance(last, datetime):
            to_time = _minute_after(last)
    return When(from_date, to_date, from_time, to_time)


def _day(at: date) -> str:
    return at.strftime("%Y-%m-%d")


def _minute(at: date) -> str:
    return at.strftime("%H:%M") if isinstance(at, datetime) else ""


def _minute_after(at: datetime) -> str:
    after = at + timedelta(minutes=1)
    return "24:00" if after.date() != at.date() else _minute(after)


def trigger_set(asked: Conditions) -> ProductSet:
    """The articles that make a promotion happen, to count how often."""
    if asked.requires_skus:
        return ProductSet(skus=asked.requires_skus)
    if asked.requires_any_tag:
        return ProductSet(categories=asked.requires_any_tag)
    return set_of(asked.scope or Target())
