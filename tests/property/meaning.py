"""What conditions and sets of products mean, said a second time and another way.

Of conditions only those are here that do not look at the goods.
"""

from datetime import date

from rewards.authored import ProductSet
from rewards.condition import (
    Balance,
    Birthday,
    Channels,
    Condition,
    Coupon,
    DaysSincePurchase,
    History,
    Hours,
    KnownCustomer,
    NthPurchase,
    Segments,
    StaffPurchase,
    Tender,
    Tier,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.facts import Facts
from rewards.instrument import coupon_asset
from rewards.product import Product
from rewards.program import When
from rewards.sale import Line, LineAction, LineKind, Sale, TenderKind

CHANNELS = {1: "staffed", 2: "self_checkout", 3: "mobile", 4: "pump", 5: "web"}
KIND_OF_TENDER = {"cash": TenderKind.CASH, "card": TenderKind.CARD, "points": TenderKind.POINTS}


def could_hold(condition: Condition, sale: Sale, facts: Facts) -> bool:
    """Whether a condition holds; of a coupon, whether it could."""
    match condition:
        case Hours() | Weekdays() | Zones() | Channels():
            return _holds_here(condition, sale, facts)
        case Coupon() | Trigger() | Tender() | StaffPurchase():
            return _holds_of_sale(condition, sale, facts)
        case KnownCustomer(known):
            return known == (facts.customer.account_id != 0)
        case Segments(any_of, none_of):
            # Who is not known is in none, which may be what is asked.
            segments = facts.customer.segments
            return (not any_of or bool(segments & {*any_of})) and not segments & {*none_of}
        case Tier() | Birthday() | NthPurchase() | DaysSincePurchase() | History() | Balance():
            return facts.customer.account_id != 0 and _holds_of_customer(condition, facts)
    # Conditions on the goods say nothing here.
    return True


def _holds_here(condition: Condition, sale: Sale, facts: Facts) -> bool:
    store = facts.store
    match condition:
        case Hours(start, end):
            now = f"{store.local_minute // 60:02}:{store.local_minute % 60:02}"
            return start <= now < end if start < end else now >= start or now < end
        case Weekdays(days):
            return date.fromordinal(store.local_day).isoweekday() in days
        case Zones(any_of):
            return not store.zones.isdisjoint(any_of)
        case Channels(any_of):
            return CHANNELS[sale.header.till_type] in any_of
    raise AssertionError(condition)


def _holds_of_sale(condition: Condition, sale: Sale, facts: Facts) -> bool:
    header = sale.header
    match condition:
        case Coupon(any_of, series):
            shown = {code.lower() for code in header.coupon_codes}
            owned = {one.asset_code for one in facts.coupons}
            by_code = any(code.lower() in shown for code in any_of)
            return by_code or any(coupon_asset(one) in owned for one in series)
        case Trigger(any_of):
            return any(trigger in header.manual_triggers for trigger in any_of)
        case Tender(any_of, card_bins):
            kinds = {tender.kind for tender in sale.tenders}
            by_card = any(
                tender.card_bin[: len(start)] == start
                for tender in sale.tenders
                for start in card_bins
            )
            return by_card or any(KIND_OF_TENDER[name] in kinds for name in any_of)
        case StaffPurchase(staff):
            return header.staff_purchase == staff
    raise AssertionError(condition)


def _holds_of_customer(condition: Condition, facts: Facts) -> bool:
    customer = facts.customer
    match condition:
        case Tier(any_of):
            return customer.tier in any_of
        case Birthday(before, after):
            days = customer.birthday_in_days
            return days is not None and -after <= days <= before
        case NthPurchase(n, every):
            number = customer.purchases + 1
            return number % n == 0 if every else number == n
        case DaysSincePurchase(first, last, never_counts):
            if not customer.last_purchase_day:
                return never_counts
            return first <= facts.store.local_day - customer.last_purchase_day <= last
        case History(counter_code, lowest, highest):
            return lowest <= dict(customer.counters).get(counter_code, 0) <= highest
        case Balance(asset_code, lowest):
            return dict(customer.balances).get(asset_code, 0) >= lowest
    raise AssertionError(condition)


def is_in_force(when: When, facts: Facts) -> bool:
    """Whether whole days of a period hold the store's day."""
    today = date.fromordinal(facts.store.local_day).isoformat()
    return (when.from_date or today) <= today <= (when.to_date or today)


def is_in(chosen: ProductSet, sku: str, product: Product | None) -> bool:
    """Whether a set that asks neither a price nor the customer's own offer holds an article."""
    found = product or Product(sku, "")
    properties = found.properties
    pairs = [
        ((sku,), chosen.skus, chosen.except_skus),
        (found.categories, chosen.categories, chosen.except_categories),
        ((found.brand,), chosen.brands, chosen.except_brands),
        (properties, chosen.properties, chosen.except_properties),
    ]
    if any({*has} & {*less} for has, _, less in pairs):
        return False
    if not {*chosen.properties_all} <= {*properties}:
        return False
    return not any(put for _, put, _ in pairs) or any({*has} & {*put} for has, put, _ in pairs)


def is_goods(line: Line) -> bool:
    """Whether rules see a line at all."""
    sold = not line.cancelled and line.action == LineAction.SALE
    return sold and line.kind not in (LineKind.GIFT_CARD, LineKind.DEPOSIT)
