"""Sets of pieces and gifts: who takes some gets others."""

from collections.abc import Sequence

from msgspec.structs import replace

from rewards.authored import ProductSet
from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePart,
    BundlePrice,
    BuyGet,
    CheapestFree,
    CouponReward,
    Gift,
    NPlusM,
    NthItem,
    PercentOff,
    Pieces,
)
from rewards.condition import Products
from tests.peer_cases.amounts import MILLI, bp, milli
from tests.peer_cases.case import Case, CasePromotion, Params, Target
from tests.peer_cases.conditions import trigger_set
from tests.peer_cases.pieces import DEAREST, pick_of, rounded_on, rounding_of
from tests.peer_cases.plan import Plan, Untranslatable
from tests.peer_cases.prices import percent_of
from tests.peer_cases.products import EVERYTHING, benefit_set

ALL_BP = 10_000
SERIES = "next-visit"
"""The series of coupons that are good on a later receipt."""
FROM_BASKET = "from_basket"
BY_ARTICLE = frozenset({"sku", "line", "item", "product", "article"})
"""Whose pieces a set is made of, where it is not made of all articles together."""
NEXT_VISIT = frozenset({"next_order", "next_visit", "later"})


def bundle_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """So many pieces for a price, an amount off or a percentage off."""
    params = promotion.params
    count = params.bundle_qty or params.group_size or params.buy_qty or 0
    parts = _one_of_each(promotion, count)
    benefit = BundlePrice(
        parts,
        0 if parts else count,
        price_minor=params.price_minor or 0,
        amount_off_minor=params.amount_minor or 0,
        rate_bp=0 if params.percent is None else bp(params.percent),
    )
    products = EVERYTHING if parts else benefit_set(promotion, params.target)
    return [Plan((benefit,), products, times=params.max_applications or 0, claims=True)]


def _one_of_each(promotion: CasePromotion, count: int) -> tuple[BundlePart, ...]:
    """The parts of a set of which each article is required; none if any pieces make one."""
    target, required = promotion.params.target, promotion.conditions.requires_skus
    names_all = target is not None and set(target.values) == set(required)
    if len(required) < 2 or not names_all or count not in (0, len(required)):
        return ()
    return tuple(BundlePart(ProductSet(skus=(sku,))) for sku in required)


def nth_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """Of every n pieces one cheaper."""
    params = promotion.params
    products = benefit_set(promotion, params.target)
    times = params.max_affected_units or params.max_units or params.max_applications or 0
    if params.max_affected_units == 1:
        return [_one_of_many(params, products)]
    rate_bp = ALL_BP if params.percent is None else bp(params.percent)
    benefit = NthItem(
        params.n or params.buy_qty or 2, rate_bp, pick_of(params), params.per in BY_ARTICLE, False
    )
    return [Plan((benefit,), products, times=times, claims=True)]


def _one_of_many(params: Params, products: ProductSet) -> Plan:
    """Where one piece at most is lowered, it is one of all, as soon as there are n."""
    enough = Products(products, quantity_from_milli=(params.n or 1) * MILLI)
    return Plan((_lowered(params, Pieces(1, pick_of(params))),), products, (enough,))


def cheapest_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """The cheapest pieces of all free or lowered.

    Where it is said how often it may happen, the pieces that earned one count for no other.
    """
    params = promotion.params
    products = benefit_set(promotion, params.target)
    free = params.free_units or 1
    each = params.group_size or (params.buy_qty and params.buy_qty + (params.get_qty or free))
    if each:
        of_each = _of_all_sets(params, products, each - free) or CheapestFree(
            each, params.get_qty or free, pick_of(params), _rate_bp(params), False
        )
        return [Plan((of_each,), products, times=params.max_applications or 0, claims=True)]
    size = promotion.conditions.min_qty
    times = params.max_applications or 0
    if times and size is not None and size > free and params.amount_minor is None:
        which = pick_of(params)
        bought = BuyGet(int(size) - free, products, free, _rate_bp(params), which)
        return [Plan((bought,), products, times=times, claims=True)]
    pieces = Pieces(free, pick_of(params))
    cap = params.max_discount_minor or 0
    return [Plan((_lowered(params, pieces),), products, discount_max_minor=cap)]


def _of_all_sets(params: Params, products: ProductSet, pay: int) -> BuyGet | None:
    """The cheapest pieces of all sets together; None unless a case names the cheapest."""
    if params.pick != "cheapest" or params.per in BY_ARTICLE:
        return None
    free = params.get_qty or params.free_units or 1
    partly = params.buy_qty is not None and params.partial is not False
    return BuyGet(pay, products, free, _rate_bp(params), partly=partly, spread=False)


def _lowered(params: Params, pieces: Pieces) -> Benefit:
    if params.amount_minor is not None:
        return AmountOff(params.amount_minor, "unit", pieces)
    return PercentOff(_rate_bp(params), rounding_of(params), rounded_on(params), pieces)


def _rate_bp(params: Params) -> int:
    """How much off what is given: all of it where nothing is said."""
    said = params.percent is not None or params.percent_to_pay is not None
    return bp(percent_of(params)) if said else ALL_BP


def buy_get_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """Who buys some gets others: added to the basket, or out of it."""
    params = promotion.params
    names_gift = bool(params.gift_sku or params.gift_choice)
    is_added = params.gift == "extra_units" or (names_gift and not params.gift)
    if is_added:
        return _added_plans(case, promotion)
    bought = params.buy_target or params.target
    if params.get_target is not None or params.gift_sku:
        return [_bought_plan(promotion, bought)]
    return [_n_plus_m_plan(promotion, bought)]


def _bought_plan(promotion: CasePromotion, bought: Target | None) -> Plan:
    params = promotion.params
    given = params.get_target or Target("skus", (params.gift_sku,))
    benefit = BuyGet(
        params.buy_qty or 1,
        benefit_set(promotion, given),
        params.get_qty or 1,
        _rate_bp(params),
        which="dearest" if params.pick in DEAREST else "cheapest",
        partly=bool(params.partial),
        spread=False,
    )
    products = benefit_set(promotion, bought)
    return Plan((benefit,), products, times=_times(params), claims=True, is_taken_from_basket=True)


def _n_plus_m_plan(promotion: CasePromotion, bought: Target | None) -> Plan:
    """All articles of the set together, unless each is meant by itself."""
    params = promotion.params
    by_article = params.per in BY_ARTICLE
    pay, free = params.buy_qty or 1, params.get_qty or 1
    products = benefit_set(promotion, bought)
    of_all = _of_all_sets(params, products, pay)
    if of_all is not None:
        benefit: Benefit = of_all
    elif _rate_bp(params) != ALL_BP and by_article and free == 1:
        benefit = NthItem(pay + free, _rate_bp(params), pick_of(params), True, False)
    elif pick_of(params) == "dearest":
        benefit = CheapestFree(pay + free, free, "dearest", _rate_bp(params), False)
    elif _rate_bp(params) != ALL_BP:
        benefit = BuyGet(pay, products, free, _rate_bp(params), partly=True, spread=False)
    else:
        partly = params.partial is not False
        benefit = NPlusM(pay, free, by_article, False, partly, False)
    return Plan((benefit,), products, times=_times(params), claims=True, is_taken_from_basket=True)


def _times(params: Params) -> int:
    """How often; a limit of free pieces is one of whole sets."""
    if params.max_free_units is not None:
        return params.max_free_units // (params.get_qty or 1)
    return params.max_applications or 0


def _added_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """Pieces on top: of named articles, or of one of those that were bought."""
    params = promotion.params
    bought = benefit_set(promotion, params.buy_target or params.target)
    gifts = params.gift_choice or ((params.gift_sku,) if params.gift_sku else ())
    skus = tuple(_skus_in(case, params.buy_target or params.target))
    if gifts or params.per not in BY_ARTICLE:
        return [_added(params, gifts or skus, bought)]
    return [_added(params, (sku,), replace(bought, skus=(sku,), categories=())) for sku in skus]


def _added(params: Params, skus: tuple[str, ...], bought: ProductSet) -> Plan:
    each = milli(params.free_per_unit) if params.free_per_unit else (params.get_qty or 1) * MILLI
    gift = Gift(
        skus,
        quantity_milli=each,
        for_each_count=1 if params.free_per_unit else params.buy_qty or 1,
        choice=len(skus) > 1,
        counts_in_basket=False,
    )
    return Plan((gift,), bought, times=_times(params))


def _skus_in(case: Case, target: Target | None) -> Sequence[str]:
    """The articles of a target: those it names, and those on the receipt that it tags."""
    if target is not None and target.type.startswith(("sku", "product", "variant")):
        return target.values
    tags = frozenset(target.values) if target is not None else frozenset()
    found = [line.sku for line in case.lines if not tags or tags & set(line.tags)]
    return tuple(dict.fromkeys(found))


def gift_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """An article for nothing: to be added, out of the basket, or on a later receipt."""
    params = promotion.params
    if params.redeem in NEXT_VISIT:
        return [Plan((CouponReward(SERIES),), lane="reward")]
    skus = params.gift_choice or ((params.gift_sku,) if params.gift_sku else ())
    if not skus:
        raise Untranslatable("names no gift")
    if params.gift == FROM_BASKET:
        return [freed_from_basket(skus, _gift_count(params))]
    every = params.per_trigger_units or 0
    gift = Gift(
        skus,
        _gift_count(params) * MILLI,
        for_each_count=every,
        choice=len(skus) > 1,
        counts_in_basket=False,
    )
    products = trigger_set(promotion.conditions) if every else EVERYTHING
    return [Plan((gift,), products, times=params.max_applications or 0)]


def _gift_count(params: Params) -> int:
    return int(params.qty or params.gift_qty or params.get_qty or 1)


def freed_from_basket(skus: tuple[str, ...], count: int) -> Plan:
    """Pieces that are in the basket become free."""
    benefit = PercentOff(ALL_BP, pieces=Pieces(count))
    return Plan((benefit,), ProductSet(skus=skus), is_taken_from_basket=True)
