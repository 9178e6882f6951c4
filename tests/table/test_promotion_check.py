"""Each way in which parts of promotions can contradict each other: the place and the reason."""

from typing import Any

import pytest

from tests.program_tree import (
    PERCENT,
    SKU,
    Tree,
    Wrong,
    check_wrong,
    problems,
    promotion,
    promotions,
    rewarding,
    texts,
)

PLACE = "promotions[0]"
N_PLUS_M = {"code": "n_plus_m", "pay_count": 1, "free_count": 1}
OFF = {"code": "receipt_discount", "amount_minor": 500}
TENTH = {"code": "receipt_discount", "rate_bp": 1_000}
GIFT = {"code": "gift", "skus": ["1"]}
POINTS = {"code": "points_rate", "asset_code": "points", "rate_bp": 100}
STAMPS = {"code": "points_fixed", "asset_code": "stamps", "amount_minor": 1}
DOUBLE = {"code": "points_multiplier", "asset_code": "points", "factor_bp": 20_000}
PRIZE = {"code": "prize", "pool_code": "p"}
COUPON = {"code": "coupon", "any_of": ["A"]}
NOBODY = {"code": "known_customer", "known": False}
AMOUNT = {"code": "receipt_amount", "from_minor": 1}
COST = {"asset_code": "stamps", "amount_minor": 10}
BUNDLE = {
    "code": "bundle_price",
    "parts": [{"products": {"skus": [sku]}} for sku in "12"],
    "price_minor": 1,
}


def when(**keys: str) -> Tree:
    return promotions(when=keys)


def limited(*gives: Tree, **limits: Any) -> Tree:
    lane = "reward" if gives and gives[0] in (POINTS, PRIZE, STAMPS) else "price"
    return promotions(*gives, lane=lane, limits=limits)


def grouped(choose: str, *members: Tree) -> Tree:
    groups = [{"group_id": "g", "choose": choose}]
    return {"promotions": list(members), "exclusive_groups": groups}


def member(promotion_id: str, *gives: Tree, **changes: Any) -> Tree:
    return promotion(promotion_id, *gives, exclusive_group="g", **changes)


def multiplying(priority: int, *others: Tree) -> Tree:
    multiplier = promotion("double", DOUBLE, lane="reward", priority=priority)
    return {"promotions": [multiplier, *others]}


RATE = promotion("rate", POINTS, lane="reward")

VALID: dict[str, Tree] = {
    "one day": when(from_date="2026-02-28", to_date="2026-02-28"),
    "hours of one day": when(
        from_date="2026-02-28", to_date="2026-02-28", from_time="09:00", to_time="09:01"
    ),
    "from an hour on": when(from_date="2026-02-28", from_time="09:00"),
    "sets of a receipt": limited(N_PLUS_M, times_per_receipt=1),
    "gifts of a receipt": limited({**GIFT, "for_each_count": 3}, times_per_receipt=1),
    "an amount off for each cost": promotions(
        OFF, cost={**COST, "each": True}, limits={"times_per_receipt": 3}
    ),
    "a gift for each cost": promotions(GIFT, cost={**COST, "each": True}),
    "all limits": limited(
        N_PLUS_M,
        times_per_receipt=2,
        discount_max_minor=100,
        customer_times=1,
        customer_period="week",
        total_times=10,
        total_minor=1_000,
        on_shortage="refuse",
    ),
    "budget of points": limited(POINTS, total_minor=100),
    "more in a year than all have a day": limited(
        customer_times=5, customer_period="year", total_times=4, total_period="day"
    ),
    "a store's budget": limited(store_minor=5, store_period="day", store_times=3, total_times=7),
    "cost": promotions(cost=COST),
    "a reward that costs": rewarding(PRIZE, cost=COST, stackable=True),
    "a price paid with points that earns others": promotions(PERCENT, POINTS, cost=COST),
    "exclusive": promotions(exclusive="receipt"),
    "points instead of discounts": promotions(POINTS, exclusive="items"),
    "running percentage": promotions(base="running", stackable=True),
    "a price of what was sent": promotions(
        {"code": "fixed_price", "price_minor": 1}, base="as_sent"
    ),
    "funding": promotions(
        funding=[{"party_id": "a", "share_bp": 4_000}, {"party_id": "b", "share_bp": 6_000}]
    ),
    "own products beside parts": promotions(BUNDLE, POINTS, products=SKU),
    "own products in a condition": promotions(
        BUNDLE, products={"skus": ["1", "2"]}, conditions=[{"code": "products", "articles_from": 2}]
    ),
    "anybody's prize": rewarding(PRIZE, conditions=[NOBODY]),
    "best, and what cannot be weighed": {
        **promotions(OFF, cost=COST, conditions=[{**AMOUNT, "basis": "running"}]),
        "lanes": [{"lane": "price", "mode": "best"}],
    },
    "a group": grouped("best", member("a"), member("b")),
    "a group by coupon": grouped("last_coupon", member("a", conditions=[COUPON])),
    "a group that is not listed": {"promotions": [member("a"), member("b")]},
    "multiplied": multiplying(-1, RATE),
    "multiplied of equal priority": {
        "promotions": [promotion("z-double", DOUBLE, lane="reward"), RATE]
    },
    "multiplied what a price gave": multiplying(9, promotion("fixed", PERCENT, POINTS)),
    "lanes": {
        "lanes": [{"lane": "price", "mode": "best"}, {"lane": "basket", "mode": "sequential"}]
    },
}

WRONG: Wrong = {
    "promotion id twice": (
        {"promotions": [promotion("a"), promotion("b"), promotion("a")]},
        "promotions[2].promotion_id",
        "'a' is already at promotions[0]",
    ),
    "without the default language": (
        promotions(names=texts("en")),
        f"{PLACE}.names",
        "lacks the program's default language ru",
    ),
    "named twice in a language": (
        promotions(names=texts("ru", "ru")),
        f"{PLACE}.names[1].language_code",
        "already",
    ),
    "day that does not exist": (
        when(from_date="2026-02-29"),
        f"{PLACE}.when.from_date",
        "there is no day 2026-02-29",
    ),
    "ends before it starts": (
        when(from_date="2026-03-02", to_date="2026-03-01"),
        f"{PLACE}.when.to_date",
        "2026-03-01 is before from_date 2026-03-02",
    ),
    "time without a day": (
        when(from_time="09:00"),
        f"{PLACE}.when.from_time",
        "needs from_date; hours of every day are the condition hours",
    ),
    "end time without a day": (
        when(from_date="2026-03-02", to_time="09:00"),
        f"{PLACE}.when.to_time",
        "needs to_date",
    ),
    "first day of no hours": (
        when(from_date="2026-03-02", from_time="24:00"),
        f"{PLACE}.when.from_time",
        "leaves nothing of the first day",
    ),
    "last day of no hours": (
        when(to_date="2026-03-02", to_time="00:00"),
        f"{PLACE}.when.to_time",
        "leaves nothing of the last day",
    ),
    "ends before it starts on its day": (
        when(from_date="2026-03-02", to_date="2026-03-02", from_time="09:00", to_time="09:00"),
        f"{PLACE}.when.to_time",
        "09:00 is not after from_time 09:00 of the same day",
    ),
    "products that nothing fits": (
        promotions(products={"skus": ["1"], "except_skus": ["1"]}),
        f"{PLACE}.products.except_skus[0]",
        "both put in and left out",
    ),
    "a property asked for and left out": (
        promotions(products={"properties_all": ["a=b"], "except_properties": ["a=b"]}),
        f"{PLACE}.products.properties_all[0]",
        "both put in and left out",
    ),
    "prices that cross": (
        promotions(products={"unit_price_from_minor": 3, "unit_price_to_minor": 2}),
        f"{PLACE}.products.unit_price_to_minor",
        "2 is below the lower end 3",
    ),
    "sku with a blank": (
        promotions(products={"skus": ["1", "2 "]}),
        f"{PLACE}.products.skus[1]",
        "'2 ' has blanks around it",
    ),
    "left out with a blank": (
        promotions(products={"except_categories": [" a"]}),
        f"{PLACE}.products.except_categories[0]",
        "blanks",
    ),
    "products beside those of a bundle": (
        promotions(BUNDLE, products=SKU),
        f"{PLACE}.products",
        "the bundle's parts name the products",
    ),
    "points for nobody": (
        rewarding(POINTS, conditions=[NOBODY]),
        f"{PLACE}.gives[0]",
        "needs a customer, but the condition known_customer says there is none",
    ),
    "cost for nobody": (promotions(cost=COST, conditions=[NOBODY]), f"{PLACE}.cost", "needs a"),
    "times of nobody": (
        promotions(conditions=[NOBODY], limits={"customer_times": 1}),
        f"{PLACE}.limits.customer_times",
        "needs a customer",
    ),
    "sets of a percentage": (
        limited(times_per_receipt=1),
        f"{PLACE}.limits.times_per_receipt",
        "percent_off makes no sets to count; see pieces of a benefit",
    ),
    "sets of a receipt discount": (
        limited(OFF, times_per_receipt=1),
        f"{PLACE}.limits.times_per_receipt",
        "receipt_discount makes no sets to count",
    ),
    "sets of a gift that is given once": (
        limited(GIFT, times_per_receipt=1),
        f"{PLACE}.limits.times_per_receipt",
        "gift makes no sets",
    ),
    "sets of points": (
        limited(POINTS, times_per_receipt=1),
        f"{PLACE}.limits.times_per_receipt",
        "points_rate makes no sets to count",
    ),
    "at most so much off of points": (
        limited(POINTS, discount_max_minor=1),
        f"{PLACE}.limits.discount_max_minor",
        "points_rate lowers no price",
    ),
    "budget of prizes": (
        limited(PRIZE, total_minor=1),
        f"{PLACE}.limits.total_minor",
        "prize has no worth in money",
    ),
    "period of no times": (
        limited(customer_period="day"),
        f"{PLACE}.limits.customer_period",
        "customer_times and customer_minor are 0",
    ),
    "store's period of nothing": (
        limited(total_times=5, store_period="week"),
        f"{PLACE}.limits.store_period",
        "store_times and store_minor are 0",
    ),
    "period of nothing": (
        limited(store_minor=5, total_period="year"),
        f"{PLACE}.limits.total_period",
        "total_times and total_minor are 0",
    ),
    "a customer's budget of prizes": (
        limited(PRIZE, customer_minor=1),
        f"{PLACE}.limits.customer_minor",
        "prize has no worth in money",
    ),
    "money of nobody": (
        promotions(conditions=[NOBODY], limits={"customer_minor": 1}),
        f"{PLACE}.limits.customer_minor",
        "the condition known_customer says there is none",
    ),
    "more money for a store than for all": (
        limited(store_minor=5, store_period="day", total_minor=4),
        f"{PLACE}.limits.store_minor",
        "5 is never reached: total_minor is 4",
    ),
    "more times for one than for all": (
        limited(customer_times=5, total_times=4),
        f"{PLACE}.limits.customer_times",
        "5 is never reached: total_times is 4",
    ),
    "refused without a budget": (
        limited(discount_max_minor=5, on_shortage="refuse"),
        f"{PLACE}.limits.on_shortage",
        "store_minor and total_minor are 0, so nothing runs short",
    ),
    "two caps": (
        limited({**TENTH, "max_minor": 500}, discount_max_minor=400),
        f"{PLACE}.limits.discount_max_minor",
        "makes max_minor 500 of receipt_discount needless",
    ),
    "cost of an unknown asset": (
        promotions(cost={"asset_code": "stars", "amount_minor": 1}),
        f"{PLACE}.cost.asset_code",
        "no asset is named 'stars'",
    ),
    "cost of a discount": (
        promotions(cost={"asset_code": "later", "amount_minor": 1}),
        f"{PLACE}.cost.asset_code",
        "is of kind deferred_discount, but points or stamps is needed",
    ),
    "cost of stackable prices": (
        promotions(cost=COST, stackable=True),
        f"{PLACE}.cost",
        "pieces that are paid for so must be claimed",
    ),
    "costs what it gives": (
        rewarding(STAMPS, cost=COST),
        f"{PLACE}.gives[0].asset_code",
        "gives 'stamps', which is what the promotion costs",
    ),
    "cost of each of nothing": (
        promotions(cost={**COST, "each": True}),
        f"{PLACE}.cost.each",
        "no benefit is a gift or an amount off that is given once a receipt",
    ),
    "alone and beside all others": (
        promotions(exclusive="items", stackable=True),
        f"{PLACE}.exclusive",
        "contradicts stackable",
    ),
    "exclusive too late": (
        rewarding(POINTS, exclusive="receipt"),
        f"{PLACE}.exclusive",
        "prices are settled before lane reward",
    ),
    "base of points": (
        rewarding(POINTS, base="as_sent"),
        f"{PLACE}.base",
        "no benefit lowers a price",
    ),
    "funded twice by one": (
        promotions(funding=[{"party_id": "a", "share_bp": 1}, {"party_id": "a", "share_bp": 1}]),
        f"{PLACE}.funding[1].party_id",
        "'a' is already at",
    ),
    "funded too much": (
        promotions(
            funding=[{"party_id": "a", "share_bp": 6_000}, {"party_id": "b", "share_bp": 4_001}]
        ),
        f"{PLACE}.funding",
        "shares sum to 10001, but 10000 is the whole",
    ),
    "lane twice": (
        {"lanes": [{"lane": "price", "mode": "best"}, {"lane": "price", "mode": "sequential"}]},
        "lanes[1].lane",
        "'price' is already at lanes[0]",
    ),
    "group twice": (
        {"promotions": [member("a")], "exclusive_groups": [{"group_id": "g"}, {"group_id": "g"}]},
        "exclusive_groups[1].group_id",
        "already",
    ),
    "group of nobody": (
        {"exclusive_groups": [{"group_id": "g"}]},
        "exclusive_groups[0].group_id",
        "no promotion has the exclusive_group 'g'",
    ),
    "group over two lanes": (
        grouped("first", member("a"), member("b", OFF, lane="basket")),
        "promotions[1].exclusive_group",
        "promotion 'a' of the group is in lane price, this one in basket; a group has one lane",
    ),
    "group by coupon without one": (
        grouped("last_coupon", member("a", conditions=[COUPON]), member("b")),
        "promotions[1].exclusive_group",
        "'g' chooses by the last coupon, but there is no condition coupon",
    ),
    "nothing to multiply": (
        multiplying(0),
        f"{PLACE}.gives[0]",
        "has nothing to multiply: no promotion that runs before gives 'points'",
    ),
    "multiplied too early": (multiplying(1, RATE), f"{PLACE}.gives[0]", "nothing to multiply"),
    "multiplied what it gives itself": (
        rewarding(POINTS, DOUBLE),
        f"{PLACE}.gives[1]",
        "nothing to multiply",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert problems(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    check_wrong(changes, path, reason)


def test_every_problem_is_found_at_once() -> None:
    broken = {"promotions": [promotion(lane="reward"), promotion(when={"to_date": "2026-99-99"})]}
    assert [problem.path for problem in problems(broken)] == [
        "promotions[1].promotion_id",
        "promotions[0].lane",
        "promotions[1].when.to_date",
    ]
