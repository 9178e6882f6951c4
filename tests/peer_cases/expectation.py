"""Compares an answer with what a case expects: exactly the keys that it asserts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.peer_cases.amounts import whole
from tests.peer_cases.answer import Answer, Gifted
from tests.peer_cases.case import Case
from tests.peer_cases.payments import paid_minor, paying_codes, topped_up_minor
from tests.peer_cases.points import EARNING, LATER, POINTS, SPENDING, has_points
from tests.peer_cases.receipt import lines_of

Reader = Callable[[Case, Answer], Any]
"""What we answer to a key that is compared as it stands."""


def differences(case: Case, answer: Answer) -> list[str]:
    """What differs, one readable text each; none if the case passes."""
    return [text for key in case.asserts for text in _compare(case, answer, key)]


def _compare(case: Case, answer: Answer, key: str) -> Iterator[str]:
    expected = case.expected.get(key)
    if key in COMPARERS:
        yield from (f"{key}: {text}" for text in COMPARERS[key](case, answer, expected))
    elif key in READERS:
        got = READERS[key](case, answer)
        yield from (f"{key}{text}" for text in _unequal(case, expected, got))
    else:
        yield f"{key}: expected {expected}, but no evaluation answers it"


def _unequal(case: Case, expected: Any, got: Any) -> Iterator[str]:
    """Differences of values; None in what is expected does not matter."""
    if isinstance(expected, dict) and isinstance(got, Mapping):
        for name, wanted in expected.items():
            yield from (f"[{name}]{text}" for text in _unequal(case, wanted, got.get(name)))
    elif expected is not None and not _is_equal(case, expected, got):
        yield f": expected {expected}, got {got}"


def _is_equal(case: Case, expected: Any, got: Any) -> bool:
    if not _is_number(expected) or not _is_number(got):
        return bool(expected == got)
    tolerance = Decimal(str(case.expected.get("tolerance_minor") or 0))
    return abs(Decimal(str(expected)) - Decimal(str(got))) <= tolerance


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _total(case: Case, answer: Answer) -> int:
    return sum(answer.left_minor.values())


def _discount(case: Case, answer: Answer) -> int:
    return sum(answer.sent_minor.values()) - _total(case, answer)


def _allocations(case: Case, answer: Answer) -> dict[str, int]:
    return {line: sent - answer.left_minor[line] for line, sent in answer.sent_minor.items()}


def _by_promotion(case: Case, answer: Answer) -> dict[str, int]:
    by_promotion: dict[str, int] = defaultdict(int)
    for given in answer.given:
        by_promotion[given.promotion_id] += given.amount_minor
    return by_promotion


def _quantities(case: Case, answer: Answer) -> dict[str, Decimal]:
    """Quantity that was lowered, by line."""
    by_line: dict[str, Decimal] = defaultdict(Decimal)
    for given in answer.given:
        if given.amount_minor:
            by_line[given.line_id] += given.quantity
    return by_line


def _consumed(case: Case, answer: Answer) -> Decimal:
    """Pieces that promotions took, lowered or not."""
    return sum((given.quantity for given in answer.given), Decimal(0))


def _left(case: Case, answer: Answer) -> Decimal:
    return sum((line.qty for line in lines_of(case)), Decimal(0)) - _consumed(case, answer)


def _unit_price_after(case: Case, answer: Answer) -> dict[str, int]:
    left = answer.left_minor
    return {line.line_id: whole(left[line.line_id] / line.qty) for line in lines_of(case)}


def _applications(case: Case, answer: Answer) -> int:
    return sum(answer.fired.values())


def _points(case: Case, answer: Answer) -> Decimal:
    return answer.points.get(POINTS, Decimal(0)) + answer.points.get(LATER, Decimal(0))


def _balance_after(case: Case, answer: Answer) -> Decimal:
    """What the customer owned, with what the receipt gave and cost."""
    before = (case.customer.points_balance if case.customer else None) or Decimal(0)
    return before + _stored(case, answer) + _points(case, answer) - answer.spent


def _stored(case: Case, answer: Answer) -> Decimal:
    """What the receipt adds to the customer's stored value; nothing where the balance is points."""
    if has_points(case):
        return Decimal(0)
    stored = Decimal(topped_up_minor(case) - paid_minor(case, _total(case, answer)))
    return stored.scaleb(-case.minor_units)


def _to_pay(case: Case, answer: Answer) -> int:
    return _total(case, answer) - paid_minor(case, _total(case, answer))


def _tax(case: Case, answer: Answer) -> int | None:
    """Tax that prices contain; None where its rate is not told."""
    rate = case.tax.rate_percent
    if case.tax.mode != "gross" or rate is None:
        return None
    return whole(_total(case, answer) * rate / (100 + rate))


def _untaxed(case: Case, answer: Answer) -> int | None:
    tax = _tax(case, answer)
    return None if tax is None else _total(case, answer) - tax


def _grand_total(case: Case, answer: Answer) -> int:
    return _total(case, answer) + (case.shipping_minor or 0)


def _claimable(case: Case, answer: Answer) -> bool:
    """Whether the customer can have every reward that costs points."""
    return all(one.id in answer.fired for one in case.promotions if one.kind == SPENDING)


def _refund(case: Case, answer: Answer) -> dict[str, Any]:
    """Points after a return; empty if it was refused."""
    returned = answer.returned
    if returned is None:
        return {}
    change = returned.points_returned - returned.points_reversed
    return {
        "qty": returned.quantity,
        "points_reversed": returned.points_reversed,
        "points_returned": returned.points_returned,
        "balance_after": _balance_after(case, answer) + change,
    }


def _coupons_kept(case: Case, answer: Answer) -> list[str]:
    return list(dict.fromkeys(code for code, applied in answer.coupons if applied))


READERS: dict[str, Reader] = {
    "receipt_total_minor": _total,
    "discount_total_minor": _discount,
    "discount_gross_minor": _discount,
    "line_totals_minor": lambda _, answer: answer.left_minor,
    "allocations_minor": _allocations,
    "discount_by_promotion_minor": _by_promotion,
    "unit_price_after_minor": _unit_price_after,
    "discounted_qty": _quantities,
    "discounted_units": lambda case, answer: sum(_quantities(case, answer).values()),
    "units_consumed": _consumed,
    "units_left": _left,
    "applications": _applications,
    "application_order": lambda _, answer: list(answer.fired),
    "free_line_count": lambda _, answer: len(_free_quantities(answer)),
    "points_earned": _points,
    "points_redeemed": lambda _, answer: answer.spent,
    "points_balance_after": _balance_after,
    "coupons_issued": lambda _, answer: answer.coupons_issued,
    "coupon_points": lambda _, answer: answer.points.get(LATER, Decimal(0)),
    "coupons_kept": _coupons_kept,
    "claimable": _claimable,
    "to_pay_minor": _to_pay,
    "refund": _refund,
    "tax_minor": _tax,
    "untaxed_minor": _untaxed,
    "shipping_total_minor": lambda case, _: case.shipping_minor or 0,
    "grand_total_minor": _grand_total,
}


def _compare_rejected(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    """Each is refused; of the coupons that were shown no other is."""
    refused = {entry["ref"] for entry in expected or ()}
    by_coupon = {code for code, applied in answer.coupons if applied} | paying_codes(case)
    for ref in sorted(refused):
        shown = ref in case.coupons
        if ref in (by_coupon if shown else answer.fired):
            yield f"{ref} should be refused, but took effect"
    for code in sorted(set(case.coupons) - refused - by_coupon):
        yield f"{code} should be taken, but was refused"


def _compare_eligible(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    for promotion_id, wanted in expected.items():
        if (promotion_id in answer.fired) != wanted:
            yield f"{promotion_id} expected {wanted}"


def _compare_applied(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    """Points that are earned lower nothing: they count only where they are listed."""
    earning = {one.id for one in case.promotions if one.kind in EARNING}
    got = [name for name in answer.fired if name in expected or name not in earning]
    if sorted(expected) != sorted(got):
        yield f"expected {expected}, got {got}"


def _compare_free_items(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    """Articles and quantities; where the customer chooses, what was chosen must be on offer."""
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    for entry in expected or ():
        wanted[entry["sku"]] += Decimal(str(entry["qty"]))
    got = _free_quantities(answer)
    for offered_quantity, skus in _choices(answer):
        chosen = {sku: wanted[sku] for sku in skus if sku in wanted}
        if sum(chosen.values()) == offered_quantity:
            got = {sku: got[sku] for sku in got if sku not in skus} | chosen
    if wanted != got:
        yield f"expected {_listed(wanted)}, got {_listed(got)}"


def _choices(answer: Answer) -> list[tuple[Decimal, frozenset[str]]]:
    """Of how many pieces the customer chooses the article, and of which."""
    offered: dict[tuple[str, int], list[Gifted]] = defaultdict(list)
    for gift in answer.gifts:
        if gift.choice:
            offered[gift.promotion_id, gift.choice].append(gift)
    return [
        (gifts[0].quantity, frozenset(gift.sku for gift in gifts)) for gifts in offered.values()
    ]


def _free_quantities(answer: Answer) -> dict[str, Decimal]:
    """Gifts, and of articles in the basket as many as what was taken off them is worth."""
    free: dict[str, Decimal] = defaultdict(Decimal)
    for gift in answer.gifts:
        free[gift.sku] += gift.quantity
    for given in answer.given:
        if given.is_freed and given.amount_minor:
            free[given.sku] += Decimal(given.amount_minor) / answer.prices_minor[given.line_id]
    return free


def _listed(quantities: Mapping[str, Decimal]) -> str:
    return (
        ", ".join(f"{quantity:f} {sku}" for sku, quantity in sorted(quantities.items())) or "none"
    )


def _compare_multiset(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    yield from _unequal_sorted(expected, _allocations(case, answer).values())


def _compare_parts(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    yield from _unequal_sorted(expected, _by_promotion(case, answer).values())


def _unequal_sorted(expected: Sequence[Any], got: Iterable[Any]) -> Iterator[str]:
    """Pieces of a price are alike: which of them has the left-over unit is free."""
    found = sorted(got)
    if sorted(expected) != found:
        yield f"expected {sorted(expected)}, got {found}"


def _compare_unit_discounts(case: Case, answer: Answer, expected: Any) -> Iterator[str]:
    prices = {line.line_id: line.unit_price_minor for line in lines_of(case)}
    for line_id, wanted in expected.items():
        price = prices[line_id]
        if price is not None:
            got = [whole(price) - left for left in answer.unit_prices_minor[line_id]]
            yield from (f"{line_id} {text}" for text in _unequal_sorted(wanted, got))


COMPARERS: dict[str, Callable[[Case, Answer, Any], Iterator[str]]] = {
    "rejected": _compare_rejected,
    "eligible": _compare_eligible,
    "applied": _compare_applied,
    "free_items": _compare_free_items,
    "allocations_multiset_minor": _compare_multiset,
    "discount_parts_minor": _compare_parts,
    "unit_discounts_minor": _compare_unit_discounts,
}
