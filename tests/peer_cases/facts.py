"""What a case says of the customer, the store and the articles, as facts of ours."""

from decimal import Decimal

from rewards.facts import (
    ANONYMOUS,
    AssetWindow,
    CustomerFacts,
    CustomerState,
    Facts,
    Quota,
    StoreFacts,
)
from rewards.product import Product
from tests.peer_cases.case import Case, CaseCustomer
from tests.peer_cases.instants import now_of
from tests.peer_cases.limits import allowance_of
from tests.peer_cases.points import LATER, POINTS, earn_bounds, has_points, point_minor
from tests.peer_cases.products import NOT_DISCOUNTABLE
from tests.peer_cases.program import Translation
from tests.peer_cases.receipt import lines_of

MICROS = 1_000_000
NOBODY_SPECIAL = CaseCustomer()


def facts_of(case: Case, translation: Translation) -> Facts:
    """Everything the evaluation reads besides rules and receipt."""
    quotas = _quotas(case, translation)
    left = tuple((one.asset_code, one.receipt_max_minor) for one in earn_bounds(case))
    return Facts(_customer(case), _store(case), _products(case), quotas, earn_left=left)


def _customer(case: Case) -> CustomerFacts:
    """The customer; where points are at stake there always is one."""
    if case.customer is None and not has_points(case):
        return ANONYMOUS
    known = case.customer or NOBODY_SPECIAL
    balance = known.points_balance or Decimal(0)
    return CustomerFacts(
        account_id=1,
        account_version=1,
        customer_id=1,
        state=CustomerState.ACTIVE,
        language_code="en",
        segments=frozenset(known.segments),
        balances=((LATER, 0), (POINTS, point_minor(case, balance))) if balance else (),
        tier=known.tier or "",
        purchases=known.completed_orders,
        last_purchase_day=_last_purchase_day(case, known),
    )


def _last_purchase_day(case: Case, known: CaseCustomer) -> int:
    days = known.days_since_last_order
    if days is None and not known.completed_orders:
        return 0
    return now_of(case).toordinal() - (days or 0)


def _store(case: Case) -> StoreFacts:
    now = now_of(case)
    now_us = int(now.timestamp()) * MICROS
    window = AssetWindow(now_us, 0)
    return StoreFacts(
        zones=frozenset(() if case.channel is None else (case.channel,)),
        local_day=now.toordinal(),
        windows=((LATER, window), (POINTS, window)),
        local_minute=now.hour * 60 + now.minute,
        day_ends=((0, 0),),
    )


def _products(case: Case) -> tuple[Product, ...]:
    """The articles with the tags of all their lines."""
    tags: dict[str, dict[str, None]] = {}
    for line in lines_of(case):
        tags.setdefault(line.sku, {}).update(dict.fromkeys(line.tags))
    return tuple(
        Product(sku, sku, tuple(found), no_discount=bool(NOT_DISCOUNTABLE & found.keys()))
        for sku, found in tags.items()
    )


def _quotas(case: Case, translation: Translation) -> tuple[Quota, ...]:
    by_source = {one.id: allowance_of(case, one) for one in case.promotions}
    quotas = []
    for promotion_id, source in sorted(translation.sources.items()):
        left = by_source[source]
        if left.is_limited:
            quota = Quota(promotion_id, left.customer_left, left.total_left, left.minor_left)
            quotas.append(quota)
    return tuple(quotas)
