"""Stored value: what a case spells as a promotion, but a till sends as a tender.

It is no discount, so the evaluation sees a means of payment. How much of it is taken is arithmetic
on what the evaluation left to pay.
"""

from collections.abc import Iterator

from tests.peer_cases.amounts import whole
from tests.peer_cases.case import Case, CasePromotion
from tests.peer_cases.points import has_points

PAYMENTS = frozenset({"stored_value_payment", "gift_card_payment"})
TOP_UPS = frozenset({"stored_value_topup"})
SOLD = frozenset({"gift_card_sale"})
TENDER_ACTIONS = PAYMENTS | TOP_UPS | SOLD
NO_BOUND = 10**12


def payments_of(case: Case) -> list[CasePromotion]:
    """The payments that are made: those by code only if the code was shown and may be used so."""
    made = [one for one in case.promotions if one.params.action in PAYMENTS]
    return [one for one in made if _is_shown(case, one)]


def _is_shown(case: Case, one: CasePromotion) -> bool:
    codes = one.conditions.codes
    is_held = bool(set(codes) & set(case.coupons))
    return not codes or (is_held and not one.conditions.owner_only)


def paying_codes(case: Case) -> set[str]:
    """Codes that paid."""
    return {code for one in payments_of(case) for code in one.conditions.codes}


def held_minor(case: Case) -> int | None:
    """What the customer's own stored value holds, minor units of money; None is not told.

    Where promotions give or take points, the balance is one of points.
    """
    held = case.customer.points_balance if case.customer else None
    return None if held is None or has_points(case) else whole(held.scaleb(case.minor_units))


def _is_own(one: CasePromotion) -> bool:
    """Whether it pays out of the customer's own stored value; others are cards of their own."""
    return one.params.balance_minor is None and not one.conditions.codes


def offered_minor(case: Case, one: CasePromotion) -> int:
    """How much one payment may be at most."""
    held = held_minor(case) if _is_own(one) else None
    bounds = (one.params.amount_minor, one.params.balance_minor, held)
    return min((bound for bound in bounds if bound is not None), default=NO_BOUND)


def paid_minor(case: Case, due_minor: int) -> int:
    """What is paid by stored value: no more than is due, nor than it holds."""
    paid = min(sum(offered_minor(case, one) for one in payments_of(case)), due_minor)
    held = held_minor(case)
    own = [one for one in payments_of(case) if _is_own(one)]
    return paid if held is None or not own else min(paid, held)


def topped_up_minor(case: Case) -> int:
    """What is added to stored value."""
    return sum(_amounts(case))


def _amounts(case: Case) -> Iterator[int]:
    for one in case.promotions:
        if one.params.action in TOP_UPS:
            yield one.params.amount_minor or 0
