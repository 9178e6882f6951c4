"""Each benefit whose keys contradict each other: the place and the reason."""

from typing import Any

import pytest

from rewards.benefit import Benefit, PriceBenefit
from rewards.program_check import LANES_ALLOWED
from tests.program_tree import (
    PERCENT,
    SKU,
    Tree,
    Wrong,
    check_wrong,
    problems,
    promotions,
    rewarding,
    texts,
)

PLACE = "promotions[0].gives[0]"


def one(code: str, **keys: Any) -> Tree:
    return {"code": code, **keys}


def tiers(*steps: Tree) -> Tree:
    return promotions(one("quantity_tiers", tiers=list(steps)))


def bundle(**keys: Any) -> Tree:
    return promotions(one("bundle_price", **keys))


def part(*skus: str, count: int = 1) -> Tree:
    return {"products": {"skus": list(skus)}, "count": count}


POINTS = one("points_rate", asset_code="points", rate_bp=100)
PARTS = [part("1"), part("2")]

VALID: dict[str, Tree] = {
    "percentage of some pieces": promotions(
        one("percent_off", rate_bp=1, pieces={"count_max": 2, "pick": "dearest"})
    ),
    "amount off full groups": promotions(
        one("amount_off", amount_minor=5, pieces={"full_groups_of": 3})
    ),
    "fixed price": promotions(one("fixed_price", price_minor=0)),
    "price list": promotions(one("price_list", list_code="card")),
    "second one": promotions(one("nth_item", n=2, rate_bp=5_000)),
    "n plus m": promotions(one("n_plus_m", pay_count=10, free_count=1)),
    "two of five": promotions(one("cheapest_free", set_count=5, free_count=2)),
    "buy and get": promotions(one("buy_get", buy_count=1, get_products=SKU)),
    "bundle of parts": bundle(parts=PARTS, price_minor=100),
    "bundle of one set": bundle(set_count=3, rate_bp=100),
    "bundle of two of one part": bundle(parts=[part("1", count=2)], amount_off_minor=1),
    "tiers": tiers(
        {"from_milli": 3_000, "rate_bp": 500},
        {"from_milli": 6_000, "rate_bp": 900},
        {"from_milli": 500_000, "price_minor": 100},
        {"from_milli": 600_000, "price_minor": 90},
    ),
    "a choice of gifts": promotions(one("gift", skus=["1", "2"], choice=True)),
    "receipt discount by rate": promotions(
        one("receipt_discount", rate_bp=500, max_minor=100), lane="basket"
    ),
    "receipt discount by amount": promotions(one("receipt_discount", amount_minor=5)),
    "a price for a set": promotions(one("receipt_discount", price_minor=5, max_minor=2)),
    "price and then rewards": promotions(PERCENT, POINTS),
    "points of two assets": rewarding(POINTS, POINTS | {"asset_code": "stamps"}),
    "points for pieces": rewarding(
        one("points_fixed", asset_code="stamps", amount_minor=1, for_each_count=1)
    ),
    "deferred": rewarding(one("deferred_discount", asset_code="later", amount_minor=1)),
    "coupons": rewarding(one("coupon_reward", series_code="s", count=2)),
    "certificate": rewarding(one("gift_certificate", amount_minor=1)),
    "prize": rewarding(one("prize", pool_code="p")),
    "status": rewarding(one("status", tier_code="gold", valid_days=365)),
    "entries": rewarding(one("draw_entries", draw_code="d", for_each_minor=100)),
    "transfer": rewarding(one("money_transfer", destination_code="phone", rate_bp=100)),
    "question to the cashier": rewarding(one("message", texts=texts(), is_question=True)),
    "message on the slip": promotions(one("message", texts=texts("ru", "en"), place="slip")),
}

WRONG: Wrong = {
    "percentage in lane reward": (
        rewarding(PERCENT),
        "promotions[0].lane",
        "percent_off cannot stand in lane reward; allowed: price, basket",
    ),
    "multiplier in lane price": (
        promotions(one("points_multiplier", asset_code="points", factor_bp=20_000)),
        "promotions[0].lane",
        "points_multiplier cannot stand in lane price; allowed: reward",
    ),
    "price behind a reward": (
        promotions(POINTS, PERCENT),
        "promotions[0].gives[1]",
        "percent_off stands behind points_rate, a reward; prices come first",
    ),
    "the same twice": (
        promotions(PERCENT, PERCENT),
        "promotions[0].gives[1]",
        "is the same as promotions[0].gives[0]",
    ),
    "dearest of all": (
        promotions(one("percent_off", rate_bp=1, pieces={"pick": "dearest"})),
        f"{PLACE}.pieces.pick",
        "without count_max all pieces are taken",
    ),
    "fewer than a group": (
        promotions(one("fixed_price", price_minor=1, pieces={"count_max": 2, "full_groups_of": 3})),
        f"{PLACE}.pieces.count_max",
        "2 pieces never make a full group of 3",
    ),
    "all of a set free": (
        promotions(one("cheapest_free", set_count=2, free_count=2)),
        f"{PLACE}.free_count",
        "2 of 2 leaves nothing to pay; it must be below set_count",
    ),
    "nothing to get": (
        promotions(one("buy_get", buy_count=1, get_products={"skus": ["1"], "except_skus": ["1"]})),
        f"{PLACE}.get_products.except_skus[0]",
        "both put in and left out",
    ),
    "a bundle of nothing": (bundle(rate_bp=1), PLACE, "needs one of parts and set_count"),
    "a bundle of parts and a count": (
        bundle(parts=PARTS, set_count=2, rate_bp=1),
        f"{PLACE}.set_count",
        "stands beside parts; give one of parts and set_count",
    ),
    "a bundle for nothing": (
        bundle(parts=PARTS),
        PLACE,
        "needs one of price_minor, amount_off_minor and rate_bp",
    ),
    "a bundle at a price and a rate": (
        bundle(parts=PARTS, price_minor=1, rate_bp=1),
        f"{PLACE}.rate_bp",
        "stands beside price_minor; give one of price_minor, amount_off_minor and rate_bp",
    ),
    "a bundle of one piece": (
        bundle(set_count=1, price_minor=1),
        f"{PLACE}.set_count",
        "is one piece, which is no bundle; see fixed_price",
    ),
    "a bundle of one part of one piece": (
        bundle(parts=[part("1")], price_minor=1),
        f"{PLACE}.parts",
        "is one piece",
    ),
    "a bundle of a part twice": (
        bundle(parts=[part("1"), part("1")], price_minor=1),
        f"{PLACE}.parts[1].products",
        f"is the set of {PLACE}.parts[0]; raise the count there",
    ),
    "a part that nothing fits": (
        bundle(
            parts=[
                part("2"),
                {"products": {"properties_all": ["a=b"], "except_properties": ["a=b"]}},
            ],
            price_minor=1,
        ),
        f"{PLACE}.parts[1].products.properties_all[0]",
        "both put in and left out",
    ),
    "a tier from nothing on": (
        tiers({"from_milli": 0, "rate_bp": 1}),
        f"{PLACE}.tiers[0].from_milli",
        "is 0; a tier starts above it",
    ),
    "a tier of thousandths": (
        tiers({"from_milli": 6, "rate_bp": 1}),
        f"{PLACE}.tiers[0].from_milli",
        "write 6000 for 6 pieces",
    ),
    "a tier that gives nothing": (
        tiers({"from_milli": 1_000}),
        f"{PLACE}.tiers[0]",
        "needs one of rate_bp, amount_off_minor and price_minor",
    ),
    "a tier that gives two things": (
        tiers({"from_milli": 1_000, "rate_bp": 1, "price_minor": 1}),
        f"{PLACE}.tiers[0].price_minor",
        "stands beside rate_bp",
    ),
    "tiers that do not rise": (
        tiers({"from_milli": 1_000, "rate_bp": 1}, {"from_milli": 1_000, "rate_bp": 2}),
        f"{PLACE}.tiers[1].from_milli",
        "1000 does not rise above 1000, the tier before",
    ),
    "a higher tier of a lower rate": (
        tiers({"from_milli": 1_000, "rate_bp": 2}, {"from_milli": 2_000, "rate_bp": 1}),
        f"{PLACE}.tiers[1].rate_bp",
        "1 is no more than 2, the tier before",
    ),
    "a higher tier of the same amount": (
        tiers(
            {"from_milli": 1_000, "amount_off_minor": 2},
            {"from_milli": 2_000, "amount_off_minor": 2},
        ),
        f"{PLACE}.tiers[1].amount_off_minor",
        "2 is no more than 2",
    ),
    "a higher tier of a higher price": (
        tiers({"from_milli": 1_000, "price_minor": 2}, {"from_milli": 2_000, "price_minor": 3}),
        f"{PLACE}.tiers[1].price_minor",
        "3 is no less than 2, the tier before",
    ),
    "a gift twice": (promotions(one("gift", skus=["1", "1"])), f"{PLACE}.skus[1]", "already"),
    "a gift with a blank": (promotions(one("gift", skus=["1\t"])), f"{PLACE}.skus[0]", "blanks"),
    "a gift of thousandths": (
        promotions(one("gift", skus=["1"], quantity_milli=2)),
        f"{PLACE}.quantity_milli",
        "write 2000 for 2 pieces",
    ),
    "a choice of one": (
        promotions(one("gift", skus=["1"], choice=True)),
        f"{PLACE}.choice",
        "leaves nothing to choose",
    ),
    "neither rate nor amount": (
        promotions(one("receipt_discount")),
        PLACE,
        "needs one of rate_bp, amount_minor and price_minor",
    ),
    "both rate and amount": (
        promotions(one("receipt_discount", rate_bp=1, amount_minor=1)),
        f"{PLACE}.amount_minor",
        "stands beside rate_bp; give one of rate_bp, amount_minor and price_minor",
    ),
    "an amount and at most an amount": (
        promotions(one("receipt_discount", amount_minor=1, max_minor=2)),
        f"{PLACE}.max_minor",
        "stands beside amount_minor",
    ),
    "unknown asset": (
        rewarding(one("points_rate", asset_code="stars", rate_bp=1)),
        f"{PLACE}.asset_code",
        "no asset is named 'stars'; of kind points or stamps there are: points, stamps",
    ),
    "fixed points of the wrong kind": (
        rewarding(one("points_fixed", asset_code="later", amount_minor=1)),
        f"{PLACE}.asset_code",
        "is of kind deferred_discount, but points or stamps is needed",
    ),
    "deferred discount of the wrong kind": (
        rewarding(one("deferred_discount", asset_code="points", rate_bp=1)),
        f"{PLACE}.asset_code",
        "is of kind points, but deferred_discount is needed",
    ),
    "deferred discount of nothing": (
        rewarding(one("deferred_discount", asset_code="later")),
        PLACE,
        "needs one of rate_bp and amount_minor",
    ),
    "transfer of a rate and an amount": (
        rewarding(one("money_transfer", destination_code="d", rate_bp=1, amount_minor=1)),
        f"{PLACE}.amount_minor",
        "stands beside rate_bp",
    ),
    "tier with a blank": (
        rewarding(one("status", tier_code="gold ")),
        f"{PLACE}.tier_code",
        "'gold ' has blanks around it",
    ),
    "message without the default language": (
        rewarding(one("message", texts=texts("en"))),
        f"{PLACE}.texts",
        "lacks the program's default language ru",
    ),
    "message twice in a language": (
        rewarding(one("message", texts=texts("ru", "ru"))),
        f"{PLACE}.texts[1].language_code",
        "already",
    ),
    "question on the slip": (
        rewarding(one("message", texts=texts(), place="slip", is_question=True)),
        f"{PLACE}.is_question",
        "only the cashier can be asked, but the place is slip",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert problems(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    check_wrong(changes, path, reason)


def test_every_benefit_is_written_in_some_valid_program() -> None:
    written = {
        benefit["code"]
        for changes in VALID.values()
        for promotion in changes["promotions"]
        for benefit in promotion["gives"]
    }
    assert LANES_ALLOWED.keys() - written == {"points_multiplier"}


def test_every_benefit_has_its_lanes() -> None:
    assert set(LANES_ALLOWED) == {kind.__struct_config__.tag for kind in Benefit.__args__}


def test_prices_are_settled_before_the_reward_lane() -> None:
    prices = {kind.__struct_config__.tag for kind in PriceBenefit.__args__}
    assert {code for code, lanes in LANES_ALLOWED.items() if "reward" not in lanes} == prices
