"""What gates read of a receipt and its facts: tokens and named numbers; and whether gates hold."""

from collections.abc import Sequence

from rewards.basket import Item
from rewards.facts import CustomerState, Facts, InstrumentState
from rewards.gate import (
    BASES,
    MINUTES_A_DAY,
    AmountGate,
    NumberGate,
    ProductsGate,
    TokenGate,
    coupon_token,
    series_token,
    token,
)
from rewards.instrument import series_of
from rewards.ruleset import CHANNEL_NUMBERS, CompiledProgram
from rewards.sale import Sale, TenderKind
from rewards.trace import Condition

EARNING_STATES = (CustomerState.ACTIVE, CustomerState.EARN_ONLY)
DAYS_A_WEEK = 7
BIN_MIN = 6
_CHANNEL_NAMES = {number: name for name, number in CHANNEL_NUMBERS.items()}
_TENDER_NAMES = {kind.value: kind.name.lower() for kind in TenderKind}
_AS_SENT, _LANE_START = BASES["as_sent"], BASES["lane_start"]

Failure = tuple[Condition, int]
"""What failed, and by how much in its unit."""


def shown_token(program: CompiledProgram, facts: Facts, code: str) -> str:
    """The token of a coupon code as it was shown: of a series if it is a coupon of one.

    Returns:
        Empty for a coupon of a series that cannot be used.
    """
    for one in facts.coupons:
        if one.code == code:
            is_usable = one.state == InstrumentState.USABLE
            return series_token(series_of(one.asset_code)) if is_usable else ""
    return coupon_token(code, program.coupon_rules)


def coupon_tokens(program: CompiledProgram, sale: Sale, facts: Facts) -> tuple[str, ...]:
    """Tokens of the coupons that count: the customer's own, then those shown, in that order."""
    rules = program.coupon_rules
    shown = [shown_token(program, facts, code) for code in sale.header.coupon_codes]
    own = [series_token(series_of(one.asset_code)) for one in facts.coupons if not one.code]
    if rules.choose == "all":
        unseen = [found for found in own if found not in shown]
        return tuple(dict.fromkeys([*unseen, *[found for found in shown if found]]))
    known = [found for found in shown if found in program.coupons] or own[-1:]
    return tuple(known[:1] if rules.choose == "first" else known[-1:])


def tokens_of(program: CompiledProgram, sale: Sale, facts: Facts) -> frozenset[str]:
    """Everything about a receipt that gates ask for by name."""
    header, customer, store = sale.header, facts.customer, facts.store
    found = set(coupon_tokens(program, sale, facts))
    found.add(token("channel", _CHANNEL_NAMES.get(header.till_type, "")))
    found.add(token("weekday", str((store.local_day - 1) % DAYS_A_WEEK + 1)))
    found.update(token("zone", name) for name in store.zones)
    found.update(token("trigger", name) for name in header.manual_triggers)
    found.update(token("tender", _TENDER_NAMES[one.kind]) for one in sale.tenders)
    found.update(token("bin", start) for one in sale.tenders for start in _bins(one.card_bin))
    if header.staff_purchase:
        found.add(token("staff", "purchase"))
    if customer.account_id:
        found.add(token("customer", "known"))
        found.update(token("segment", name) for name in customer.segments)
        if customer.tier:
            found.add(token("tier", customer.tier))
    return frozenset(found)


def _bins(card_bin: str) -> list[str]:
    """A card's BIN and the shorter ones that it begins with: 6 to 8 digits name an issuer."""
    return [card_bin[:length] for length in range(BIN_MIN, len(card_bin) + 1)]


def number_of(name: str, facts: Facts) -> int | None:
    """A named number of the facts; None if there is none. Counters and balances start at 0."""
    customer, store = facts.customer, facts.store
    if name == "minute":
        return store.local_day * MINUTES_A_DAY + store.local_minute
    if not customer.account_id:
        return None
    if name == "birthday":
        return customer.birthday_in_days
    if name == "purchase":
        return customer.purchases + 1
    if name == "days_since_purchase":
        if not customer.last_purchase_day:
            return None
        return store.local_day - customer.last_purchase_day
    kind, _, code = name.partition(":")
    return dict(customer.counters if kind == "history" else customer.balances).get(code, 0)


def token_failure(gate: TokenGate, tokens: frozenset[str]) -> Failure | None:
    """Whether a gate on tokens fails."""
    if gate.tokens.isdisjoint(tokens) == gate.none_of:
        return None
    return Condition(gate.condition), 0


def number_failure(gate: NumberGate, number: int | None, is_known: bool) -> Failure | None:
    """Whether a gate on a number fails, and how much more it would take.

    Args:
        gate: the gate.
        number: the receipt's; None if it has none.
        is_known: there is a customer.
    """
    if number is None:
        fits = gate.absent_fits and is_known
        return None if fits else (Condition(gate.condition), 0)
    value = number - gate.offset
    if gate.modulo:
        value %= gate.modulo
    if gate.low <= value <= gate.high:
        return None
    counts = not gate.modulo and gate.condition != Condition.PERIOD
    return Condition(gate.condition), max(0, gate.low - value) if counts else 0


def amount_failure(gate: AmountGate, items: Sequence[Item], facts: Facts) -> Failure | None:
    """Whether the receipt's goods come to too little or too much."""
    low = gate.low
    if gate.own_offer:
        own = [o for o in facts.customer.offers if o.offer_code == gate.own_offer]
        if not own:
            return Condition.OWN_OFFER, 0
        low += own[0].amount_from_minor
    amount_minor = sum([_amount_minor(item, gate.basis) for item in items if item.goods])
    if low <= amount_minor <= gate.high:
        return None
    return Condition.RECEIPT_AMOUNT, max(0, low - amount_minor)


def products_failure(gate: ProductsGate, items: Sequence[Item]) -> Failure | None:
    """Whether the receipt holds too little or too much of a set."""
    found = [item for item in items if gate.set_number in item.sets]
    if gate.none:
        return (Condition.EXCLUDED_PRODUCTS, 0) if found else None
    by_sku: dict[str, int] = {}
    for item in found:
        by_sku[item.sku] = by_sku.get(item.sku, 0) + item.quantity_milli
    quantity, most = sum(by_sku.values()), max(by_sku.values(), default=0)
    if quantity < gate.quantity_low or quantity > gate.quantity_high:
        return Condition.PRODUCTS, max(0, gate.quantity_low - quantity)
    if most < gate.line_quantity_low:
        return Condition.PRODUCTS, gate.line_quantity_low - most
    if len(by_sku) < gate.articles_low:
        return Condition.ARTICLES, gate.articles_low - len(by_sku)
    amount_minor = sum([_amount_minor(item, gate.basis) for item in found])
    if amount_minor < gate.amount_low or amount_minor > gate.amount_high:
        return Condition.PRODUCTS_AMOUNT, max(0, gate.amount_low - amount_minor)
    return None


def _amount_minor(item: Item, basis: int) -> int:
    if basis == _AS_SENT:
        return item.sent_minor
    return item.start_minor if basis == _LANE_START else item.amount_minor
