"""Random programs over every condition and benefit, about a few articles that receipts hold often.

What is random follows from seeds, one for each promotion: hypothesis draws the seeds, which is ten
times cheaper than if it drew every choice, and a failing case is made smaller by leaving parts out.
"""

from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Any, TypeVar

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
    DeferredDiscount,
    DrawEntries,
    FixedPrice,
    Gift,
    GiftCertificate,
    Message,
    MoneyTransfer,
    NPlusM,
    NthItem,
    PercentOff,
    Pieces,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    PriceList,
    Prize,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
    Status,
)
from rewards.benefit_check import LANES_ALLOWED, benefit_code
from rewards.birthday import BIRTH_DATE_FIELD
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
    Products,
    ReceiptAmount,
    Segments,
    StaffPurchase,
    Tender,
    Tier,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.problem import Scope
from rewards.program import (
    Cost,
    CouponRules,
    CouponSeries,
    ExclusiveGroup,
    LaneSetting,
    Limits,
    ProductClass,
    Program,
    Promotion,
    When,
)
from rewards.promotion_check import check_promotion
from tests import make

T = TypeVar("T")

SKUS = "abcdef"
"""Articles of receipts: e is weighed, f is not in the feed."""
PRICES = (100, 99, 250, 1, 7, 333, 0, 101)
TIERS = ("gold", "silver")
SEGMENTS = ("vip", "pensioner", "staff")
COUPONS = ("SPRING", "autumn", "Winter")
SERIES = ("first", "second")
"""Series of coupons for one use."""
TRIGGERS = ("card_shown", "birthday_said")
OFFERS = ("stretch", "favourite")
COUNTERS = ("visits", "coffees")
LISTS = ("club", "region")
BINS = ("427600", "4276001")
ASSETS = (make.POINTS, make.NEXT_DISCOUNT, make.asset("stamps"))
ROUNDINGS = ("down", "half_up", "half_down", "up")
RATES = (1, 333, 1_000, 2_500, 5_000, 9_999, 10_000)
AMOUNTS = (1, 30, 99, 250, 1_000)


class Maker:
    """What every part of a case is made with: all that is random about it follows from a seed."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed).random

    def below(self, count: int) -> int:
        return int(self._random() * count)

    def pick(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def once_in(self, times: int) -> bool:
        """True once in so many times."""
        return self.below(times) == times - 1

    def some(self, values: Sequence[T], least: int = 0) -> tuple[T, ...]:
        """Some of the values, in their order."""
        chosen = tuple(value for value in values if self.once_in(2))
        return chosen if len(chosen) >= least else tuple(values[:least])


SETS = (
    ProductSet(),
    ProductSet(skus=("a", "b")),
    ProductSet(categories=("food",)),
    ProductSet(skus=("a",)),
    ProductSet(categories=("drink",)),
    ProductSet(except_skus=("a",)),
    ProductSet(brands=("acme",)),
    ProductSet(properties=("colour=red",)),
    ProductSet(skus=("e", "f", "d")),
    ProductSet(categories=("food",), except_brands=("acme",)),
    ProductSet(properties_all=("colour=red", "size=big")),
    ProductSet(own_offer="favourite"),
    ProductSet(skus=("b",), own_offer="favourite", except_skus=("c",)),
    ProductSet(unit_price_from_minor=99),
    ProductSet(categories=("food",), unit_price_from_minor=2, unit_price_to_minor=250),
    ProductSet(skus=("z",)),
)


# --- benefits -------------------------------------------------------------------------------------


def _pieces(one: Maker) -> Pieces:
    if not one.once_in(3):
        return Pieces()
    count, group = one.pick((0, 1, 2, 3, 7)), one.pick((0, 0, 2, 3))
    if 0 < count < group:
        count = group
    pick: Any = one.pick(("cheapest", "dearest")) if count else "cheapest"
    per_article = one.once_in(3) if count or group else False
    return Pieces(count, pick, group, per_article)


def _percent_off(one: Maker) -> Benefit:
    rounded_on: Any = one.pick(("item", "piece", "total", "carried"))
    rounding: Any = one.pick(ROUNDINGS)
    return PercentOff(one.pick(RATES), rounding, rounded_on, _pieces(one))


def _amount_off(one: Maker) -> Benefit:
    per: Any = one.pick(("unit", "item"))
    return AmountOff(one.pick(AMOUNTS), per, _pieces(one))


def _fixed_price(one: Maker) -> Benefit:
    return FixedPrice(one.pick((50, 0, 98, 200)), _pieces(one))


def _price_list(one: Maker) -> Benefit:
    return PriceList(one.pick(LISTS))


def _tiers(one: Maker) -> Benefit:
    tiers = []
    from_milli = 0
    for step in range(1 + one.below(3)):
        from_milli += one.pick((1_000, 2_000, 500, 4_000))
        kind = one.below(3)
        args = {
            0: {"rate_bp": 500 * (step + 1)},
            1: {"amount_off_minor": 10 * (step + 1)},
            2: {"price_minor": 90 - 20 * step},
        }
        tiers.append(QuantityTier(from_milli, **args[kind]))
    rounding: Any = one.pick(ROUNDINGS)
    return QuantityTiers(tuple(tiers), one.once_in(2), rounding)


def _n_plus_m(one: Maker) -> Benefit:
    as_quantity = one.once_in(2)
    flags = (one.once_in(2), as_quantity, one.once_in(2), not one.once_in(3))
    return NPlusM(one.pick((1, 2, 3, 5)), one.pick((1, 2, 3)), *flags)


def _nth_item(one: Maker) -> Benefit:
    which: Any = one.pick(("cheapest", "dearest"))
    return NthItem(one.pick((2, 3, 4)), one.pick(RATES), which, one.once_in(2), not one.once_in(3))


def _cheapest_free(one: Maker) -> Benefit:
    count = one.pick((2, 3, 5))
    which: Any = one.pick(("cheapest", "dearest"))
    return CheapestFree(count, 1 + one.below(count - 1), which, one.pick(RATES), not one.once_in(3))


def _buy_get(one: Maker) -> Benefit:
    which: Any = one.pick(("cheapest", "dearest"))
    return BuyGet(
        one.pick((1, 2, 3)),
        one.pick(SETS),
        one.pick((1, 2)),
        one.pick(RATES),
        which,
        one.once_in(2),
        not one.once_in(3),
    )


def _bundle(one: Maker) -> Benefit:
    args: Any = one.pick(
        ({"price_minor": 120}, {"amount_off_minor": 45}, {"rate_bp": 2_500}, {"price_minor": 1})
    )
    if one.once_in(3):
        return BundlePrice(set_count=one.pick((2, 3, 6)), **args)
    chosen = tuple(dict.fromkeys(one.pick(SETS[:-1]) for _ in range(2 + one.below(2))))
    parts = tuple(BundlePart(products, one.pick((1, 1, 2))) for products in chosen)
    if len(parts) == 1:
        parts = (BundlePart(parts[0].products, 2),)
    return BundlePrice(parts, **args)


def _receipt_discount(one: Maker) -> Benefit:
    args: dict[str, Any] = one.pick(
        (
            {"rate_bp": 1_000},
            {"amount_minor": 150},
            {"rate_bp": 5_000, "max_minor": 200},
            {"price_minor": 300},
            {"amount_minor": 7},
            {"rate_bp": 9_999},
        )
    )
    share: Any = one.pick(("proportional", "even", "cheapest"))
    remainder: Any = one.pick(("largest", "first", "last"))
    if share == "cheapest":
        remainder = "largest"
    rounding: Any = one.pick(ROUNDINGS) if "rate_bp" in args else "half_up"
    return ReceiptDiscount(**args, rounding=rounding, share=share, remainder=remainder)


def _gift(one: Maker) -> Benefit:
    skus = one.some(("a", "d", "e", "z", "b"), 1)
    return Gift(
        skus,
        one.pick((1_000, 2_000, 500)),
        one.pick((0, 0, 1, 60)),
        one.pick((0, 0, 1, 2, 3)),
        len(skus) > 1 and one.once_in(2),
        not one.once_in(4),
    )


def _points_rate(one: Maker) -> Benefit:
    rounding: Any = one.pick(ROUNDINGS)
    base: Any = one.pick(("paid", "as_sent"))
    return PointsRate(
        one.pick(("points", "stamps")),
        one.pick((100, 1_000, 33_333)),
        rounding,
        base,
        one.pick((0, 0, 100)),
    )


def _points_fixed(one: Maker) -> Benefit:
    count, minor = one.pick(((0, 0), (1, 0), (2, 0), (0, 100)))
    return PointsFixed(one.pick(("stamps", "points")), one.pick((1, 5, 100)), count, minor)


def _multiplier(one: Maker) -> Benefit:
    rounding: Any = one.pick(ROUNDINGS)
    return PointsMultiplier("points", one.pick((20_000, 15_000, 10_001)), rounding)


def _deferred(one: Maker) -> Benefit:
    amount_minor = one.pick((0, 500))
    return DeferredDiscount("next", amount_minor, 0 if amount_minor else one.pick(RATES))


def _coupon_reward(one: Maker) -> Benefit:
    return CouponReward("series", one.pick((0, 7)), one.pick((1, 2)))


def _certificate(one: Maker) -> Benefit:
    return GiftCertificate(1_000, one.pick((0, 30)))


def _prize(one: Maker) -> Benefit:
    return Prize("pool", one.pick((1, 3)))


def _status(one: Maker) -> Benefit:
    return Status(one.pick(TIERS), one.pick((0, 14)))


def _draw_entries(one: Maker) -> Benefit:
    return DrawEntries("draw", one.pick((1, 2)), one.pick((0, 100)))


def _transfer(one: Maker) -> Benefit:
    amount_minor = one.pick((0, 40))
    return MoneyTransfer("charity", amount_minor, 0 if amount_minor else one.pick(RATES))


def _message(one: Maker) -> Benefit:
    return Message(make.texts("hello"))


PRICE_KINDS = (
    _percent_off,
    _n_plus_m,
    _receipt_discount,
    _fixed_price,
    _amount_off,
    _nth_item,
    _cheapest_free,
    _buy_get,
    _bundle,
    _tiers,
    _price_list,
    _gift,
)
REWARD_KINDS = (
    _points_rate,
    _points_fixed,
    _multiplier,
    _deferred,
    _coupon_reward,
    _certificate,
    _prize,
    _status,
    _draw_entries,
    _transfer,
    _message,
)


# --- conditions -----------------------------------------------------------------------------------


def _hours(one: Maker) -> Condition:
    return Hours(*one.pick((("09:00", "21:00"), ("22:00", "16:00"), ("15:01", "15:00"))))


def _products(one: Maker) -> Condition:
    chosen = one.pick((None, None, *SETS[:6], *SETS))
    basis: Any = one.pick(("lane_start", "as_sent", "running"))
    kind = one.below(7)
    if kind == 6 and chosen is not None:
        return Products(one.pick(SETS[6:]), none=True)
    if kind == 0:
        return Products(chosen, quantity_from_milli=one.pick((1_000, 2_000, 6_000)))
    if kind == 1:
        return Products(chosen, amount_from_minor=100, strict=one.once_in(2), basis=basis)
    if kind == 2:
        return Products(chosen, articles_from=one.pick((1, 2, 3)))
    if kind == 3:
        return Products(chosen, line_quantity_from_milli=one.pick((2_000, 3_000)))
    if kind == 4:
        return Products(chosen, amount_to_minor=700, basis=basis)
    return Products(chosen, quantity_from_milli=1_000, quantity_to_milli=8_000)


def _receipt_amount(one: Maker) -> Condition:
    basis: Any = one.pick(("lane_start", "as_sent", "running"))
    if one.once_in(4):
        return ReceiptAmount(own_offer="stretch", basis=basis)
    if one.once_in(3):
        return ReceiptAmount(to_minor=1_500, basis=basis)
    return ReceiptAmount(one.pick((100, 300, 900)), 0, one.once_in(3), basis)


def _segments(one: Maker) -> Condition:
    any_of = one.some(SEGMENTS)
    none_of = tuple(name for name in SEGMENTS if name not in any_of and one.once_in(3))
    return Segments(any_of or (() if none_of else ("vip", "pensioner")), none_of)


def _tender(one: Maker) -> Condition:
    if one.once_in(2):
        return Tender((), (one.pick(BINS),))
    return Tender(one.pick((("cash", "card"), ("points",), ("card",))))


def _history(one: Maker) -> Condition:
    return History(one.pick(COUNTERS), one.pick((1, 0, 3)), one.pick((10, 3)))


def _nth_purchase(one: Maker) -> Condition:
    return one.pick((NthPurchase(2, True), NthPurchase(1), NthPurchase(3, True)))


CONDITION_KINDS: tuple[Callable[[Maker], Condition], ...] = (
    _products,
    _receipt_amount,
    _segments,
    lambda one: Weekdays(one.pick(((7,), (6, 7), (1, 2)))),
    _hours,
    lambda one: Zones(one.pick((("north",), ("south", "north"), ("west",)))),
    lambda one: Channels(one.pick((("staffed",), ("self_checkout", "staffed"), ("web",)))),
    lambda one: Tier(one.some(TIERS, 1)),
    lambda one: KnownCustomer(not one.once_in(5)),
    lambda one: StaffPurchase(one.once_in(4)),
    lambda one: Coupon(one.some(COUPONS, 1), one.some(SERIES) if one.once_in(2) else ()),
    lambda one: Trigger(one.some(TRIGGERS, 1)),
    _tender,
    lambda one: Birthday(one.pick((7, 0)), one.pick((3, 0))),
    _nth_purchase,
    lambda one: DaysSincePurchase(one.pick((0, 5)), one.pick((30, 400)), one.once_in(2)),
    _history,
    lambda one: Balance(one.pick(("points", "stamps")), one.pick((1, 10, 200))),
)


# --- promotions and programs ----------------------------------------------------------------------


def _limits(one: Maker) -> Limits:
    if not one.once_in(3):
        return Limits()
    total_minor = one.pick((0, 0, 1_000))
    shortage: Any = "refuse" if total_minor and one.once_in(3) else "part"
    total_times = one.pick((0, 0, 100))
    return Limits(
        times_per_receipt=one.pick((0, 1, 2, 5)),
        discount_max_minor=one.pick((0, 0, 25, 170)),
        customer_times=one.pick((0, 0, 2)),
        customer_minor=one.pick((0, 0, 0, 500)),
        store_times=one.pick((0, 0, 0, 9)),
        total_times=total_times,
        total_minor=total_minor,
        on_shortage=shortage,
    )


def _cost(one: Maker) -> Cost | None:
    if not one.once_in(7):
        return None
    return Cost(
        one.pick(("stamps", "points")), one.pick((1, 4, 30)), not one.once_in(3), one.once_in(3)
    )


def _gives(one: Maker, kinds: Sequence[Any], lane: str) -> tuple[Benefit, ...]:
    prices = [kind for kind in kinds if kind in PRICE_KINDS]
    rewards = [kind for kind in kinds if kind in REWARD_KINDS]
    if lane == "reward" or not prices or (rewards and one.once_in(6)):
        return tuple(one.pick(rewards or REWARD_KINDS)(one) for _ in range(1 + one.once_in(4)))
    gives = [one.pick(prices)(one) for _ in range(1 + one.once_in(6))]
    if rewards and one.once_in(4):
        gives.append(one.pick(rewards)(one))
    return tuple(gives)


_PERIODS = (*(("", ""),) * 14, *(("2026-01-01", "2026-11-22"),) * 3, ("2026-12-01", ""))


def make_promotion(one: Maker, number: int, kinds: Sequence[Any]) -> Promotion:
    """A promotion of some kinds of benefits; fields may contradict each other."""
    lane: Any = one.pick(("price", "price", "basket", "reward"))
    gives = _gives(one, kinds, lane)
    lane = lane if lane in LANES_ALLOWED[benefit_code(gives[0])] else "reward"
    claims = one.below(4)
    when = When(*one.pick(_PERIODS))
    conditions = [one.pick(CONDITION_KINDS)(one) for _ in range(one.pick((0, 0, 0, 1, 1, 2)))]
    exclusive: Any = "no"
    if claims != 3 and lane != "reward" and one.once_in(6):
        exclusive = one.pick(("items", "receipt"))
    base: Any = one.pick(("running", "lane_start", "as_sent", "running"))
    promotion = make.promotion(
        f"p{number}",
        gives,
        lane=lane,
        priority=one.below(3),
        products=one.pick(SETS[:6] + SETS),
        conditions=tuple(dict.fromkeys(conditions)),
        limits=_limits(one),
        cost=_cost(one) if claims != 3 else None,
        stackable=claims == 3,
        on_stickers=one.once_in(4),
        base="running" if lane == "reward" else base,
        exclusive_group=one.pick(("", "", "", "one", "two")),
        exclusive=exclusive,
    )
    return replace(promotion, when=when)


_SIMPLER: tuple[dict[str, Any], ...] = (
    {},
    {"limits": Limits()},
    {"cost": None},
    {"base": "running"},
    {"products": ProductSet()},
    {"conditions": ()},
    {"exclusive": "no"},
)
"""What is taken away from a promotion, one after another, until its fields do not contradict."""


_SCOPE = Scope(
    language_code="en",
    asset_kinds={asset.code: asset.kind for asset in ASSETS},
    any_case=True,
    has_birth_date=True,
    series_codes=frozenset(SERIES),
)


def _mended(promotion: Promotion) -> Promotion | None:
    """The promotion without what contradicts the rest; None if it cannot be mended."""
    for less in _SIMPLER:
        promotion = replace(promotion, **less)
        if next(check_promotion("promotion", promotion, _SCOPE), None) is None:
            return promotion
    return None


def _program(promotions: tuple[Promotion, ...], **others: Any) -> Program:
    fields = (make.field(BIRTH_DATE_FIELD, "date"),)
    series = tuple(CouponSeries(code) for code in SERIES)
    return make.program(
        *promotions, assets=ASSETS, profile_fields=fields, coupon_series=series, **others
    )


def _groups(one: Maker, promotions: Sequence[Promotion]) -> tuple[ExclusiveGroup, ...]:
    used = sorted({p.exclusive_group for p in promotions if p.exclusive_group})
    groups = []
    for group_id in used:
        choose: Any = one.pick(("best", "first", "last_coupon"))
        members = [p for p in promotions if p.exclusive_group == group_id]
        by_coupon = all(any(isinstance(c, Coupon) for c in p.conditions) for p in members)
        if choose == "last_coupon" and not by_coupon:
            choose = "best"
        groups.append(ExclusiveGroup(group_id, choose))
    return tuple(groups)


CLASSES = (
    ProductClass(ProductSet(skus=("b",)), no_discount=True),
    ProductClass(ProductSet(categories=("drink",)), floor_bp=5_000),
    ProductClass(ProductSet(skus=("c", "f")), no_coupon=True, no_earn=True),
    ProductClass(ProductSet(brands=("acme",)), floor_bp=3_333),
)


def make_program(seed: str, numbers: Collection[int], kinds: Sequence[Any], best: bool) -> Program:
    """A valid program of promotions of some kinds of benefits.

    Args:
        seed: all follows from it.
        numbers: of the promotions; each is the same whichever others there are.
        kinds: of PRICE_KINDS and REWARD_KINDS.
        best: lanes may be of mode best.
    """
    made = [make_promotion(Maker(f"{seed} promotion {n}"), n, kinds) for n in numbers]
    one = Maker(f"{seed} program")
    lane_of = {"": "price"} | {p.exclusive_group: p.lane for p in reversed(made)}
    grouped = [
        p if lane_of[p.exclusive_group] == p.lane else replace(p, exclusive_group="") for p in made
    ]
    promotions = tuple(p for p in map(_mended, grouped) if p is not None)
    mode: Any = "best" if best and one.once_in(2) else "sequential"
    steps = one.pick((200, 50, 1))
    lanes = tuple(LaneSetting(lane, mode, steps) for lane in ("price", "basket"))
    return _program(
        promotions,
        lanes=lanes if mode == "best" else (),
        exclusive_groups=_groups(one, promotions),
        product_classes=tuple(rule for rule in CLASSES if one.once_in(5)),
        coupon_rules=CouponRules(not one.once_in(3), one.pick(_COUPON_CHOICES)),
        point_value_micros=one.pick((1_000_000, 0, 333_333, 10_000_000)),
    )


_COUPON_CHOICES: tuple[Any, ...] = ("all", "all", "first", "last")
