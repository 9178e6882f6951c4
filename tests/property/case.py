"""Programs and receipts of every kind, drawn: benefits, conditions, lanes, groups, limits, costs.

Programs are drawn in swarms: each example leaves some kinds of benefit out, so that the others
meet each other more often. Receipts mix counted and weighed goods, flags, floors and discounts of
the cashier's. What is drawn is a number for each line and promotion: that keeps drawing cheap.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.allocate import allocate
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
    PriceBenefit,
    PriceList,
    Prize,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
    Status,
)
from rewards.condition import (
    Balance,
    Condition,
    Coupon,
    History,
    Hours,
    KnownCustomer,
    NthPurchase,
    Products,
    ReceiptAmount,
    Segments,
    Tender,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import ANONYMOUS, CustomerFacts, CustomerState, Facts, ListPrice, Quota
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import (
    Cost,
    ExclusiveGroup,
    LaneSetting,
    Limits,
    ProductClass,
    Promotion,
)
from rewards.rounding import floor_div
from rewards.ruleset import ProgramRules
from rewards.runs import LineOutcome
from rewards.sale import (
    Capabilities,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    Sale,
    TenderKind,
    Unit,
)
from tests import make

SKUS = "abcd"
SETS = (
    ProductSet(),
    ProductSet(skus=("a",)),
    ProductSet(categories=("food",)),
    ProductSet(skus=("b", "c")),
    ProductSet(except_skus=("a",)),
    ProductSet(unit_price_from_minor=50),
)
A_SET, FOOD_SET, BC_SET = SETS[1:4]
BENEFITS: tuple[tuple[Benefit, ...], ...] = (
    (
        PercentOff(1),
        PercentOff(333, "up"),
        PercentOff(1_000, "down", "total"),
        PercentOff(5_000, "half_down", "piece"),
        PercentOff(10_000),
        PercentOff(1_000, rounded_on="carried"),
        PercentOff(5_000, pieces=Pieces(2)),
        PercentOff(5_000, pieces=Pieces(3, "dearest", 2, True)),
    ),
    (AmountOff(7), AmountOff(1_000, "item"), AmountOff(9, pieces=Pieces(full_groups_of=2))),
    (FixedPrice(0), FixedPrice(50), FixedPrice(90, Pieces(1, "dearest")), PriceList("card")),
    (NthItem(2, 5_000), NthItem(3, 3_333, "dearest", False), NthItem(2, 10_000, spread=False)),
    (
        NPlusM(2, 1),
        NPlusM(1, 2),
        NPlusM(2, 2, per_article=False),
        NPlusM(3, 1, as_quantity=False, spread=False),
        NPlusM(2, 3, partly=False),
    ),
    (
        CheapestFree(2),
        CheapestFree(4, 2, "dearest"),
        CheapestFree(3, rate_bp=4_999, spread=False),
    ),
    (
        BuyGet(1, ProductSet()),
        BuyGet(2, BC_SET, 2, 5_000, "dearest", True),
        BuyGet(1, A_SET, spread=False),
    ),
    (
        BundlePrice(set_count=2, price_minor=100),
        BundlePrice((BundlePart(A_SET), BundlePart(BC_SET, 2)), rate_bp=1_111),
        BundlePrice((BundlePart(FOOD_SET), BundlePart(A_SET)), amount_off_minor=33),
    ),
    (
        QuantityTiers((QuantityTier(2_000, rate_bp=500), QuantityTier(5_000, rate_bp=1_500))),
        QuantityTiers((QuantityTier(3_000, price_minor=70),), per_article=False),
        QuantityTiers((QuantityTier(500, amount_off_minor=11),)),
    ),
    (
        Gift(("d",)),
        Gift(("a",), for_each_count=2),
        Gift(("a", "b"), 2_000, 10, choice=True),
        Gift(("c",), counts_in_basket=False),
    ),
    (
        ReceiptDiscount(rate_bp=777),
        ReceiptDiscount(amount_minor=500),
        ReceiptDiscount(amount_minor=100, share="even", remainder="last"),
        ReceiptDiscount(amount_minor=61, share="cheapest"),
        ReceiptDiscount(rate_bp=5_000, max_minor=99, remainder="first"),
        ReceiptDiscount(price_minor=300),
    ),
    (
        PointsRate("points", 1_000),
        PointsRate("points", 10_000, "up", "as_sent"),
        PointsRate("points", 500, step_minor=100),
        PointsFixed("points", 50),
        PointsFixed("points", 3, 2),
    ),
    (PointsMultiplier("points", 20_000), PointsMultiplier("points", 15_000, "up")),
    (
        DeferredDiscount("next", 500),
        DeferredDiscount("next", 0, 1_000),
        MoneyTransfer("phone", 0, 333),
        GiftCertificate(100, 7),
    ),
    (CouponReward("later", 14, 2), Prize("pool"), Status("gold", 30), DrawEntries("draw", 1, 100)),
    (Message(make.texts("thanks")),),
)
"""By kind, in the order of the document."""

Holds = Callable[[Sale, Facts], bool]
_HOUR = 60
GATES: tuple[tuple[Condition, Holds], ...] = (
    (Weekdays((7,)), lambda sale, facts: True),
    (Weekdays((1, 2)), lambda sale, facts: False),
    (Hours("09:00", "15:00"), lambda sale, facts: facts.store.local_minute == 9 * _HOUR),
    (Hours("15:00", "09:00"), lambda sale, facts: facts.store.local_minute == 15 * _HOUR),
    (Zones(("north",)), lambda sale, facts: "north" in facts.store.zones),
    (Segments(("pensioner",)), lambda sale, facts: "pensioner" in facts.customer.segments),
    (
        Segments((), ("pensioner",)),
        lambda sale, facts: "pensioner" not in facts.customer.segments,
    ),
    (KnownCustomer(), lambda sale, facts: bool(facts.customer.account_id)),
    (KnownCustomer(False), lambda sale, facts: not facts.customer.account_id),
    (Coupon(("SALE",)), lambda sale, facts: "sale" in sale.header.coupon_codes),
    (Coupon(("OTHER", "ДРУГОЙ")), lambda sale, facts: "другой" in sale.header.coupon_codes),
    (Trigger(("ticket",)), lambda sale, facts: "ticket" in sale.header.manual_triggers),
    (
        Tender(("points", "card")),
        lambda sale, facts: any(
            t.kind in (TenderKind.POINTS, TenderKind.CARD) for t in sale.tenders
        ),
    ),
    (NthPurchase(2, every=True), lambda sale, facts: facts.customer.purchases % 2 == 1),
    (History("tea", 3, 5), lambda sale, facts: ("tea", 4) in facts.customer.counters),
    (
        Balance("points", 60),
        lambda sale, facts: dict(facts.customer.balances).get("points", 0) >= 60,
    ),
)
"""Conditions that do not look at the goods, each with whether it holds, said another way."""
BASKET_GATES: tuple[Condition, ...] = (
    ReceiptAmount(300),
    ReceiptAmount(0, 500, basis="as_sent"),
    ReceiptAmount(200, strict=True, basis="running"),
    Products(quantity_from_milli=2_000),
    Products(FOOD_SET, articles_from=2),
    Products(A_SET, none=True),
    Products(BC_SET, amount_from_minor=150, basis="as_sent"),
)
CONDITIONS = tuple(condition for condition, _ in GATES) + BASKET_GATES
LIMITS = (
    *(Limits(),) * 4,
    Limits(times_per_receipt=1),
    Limits(times_per_receipt=2, discount_max_minor=60),
    Limits(discount_max_minor=25),
    Limits(total_minor=1_000),
    Limits(store_times=9, customer_minor=500),
    Limits(customer_times=2, total_times=5, total_minor=1_000, on_shortage="refuse"),
)
COSTS = (
    None,
    None,
    None,
    Cost("points", 20),
    Cost("points", 30, with_earned=True),
    Cost("points", 25, each=True),
)
QUOTA_LEFT = (-1, -1, 1, 0)
MONEY_LEFT = (-1, 40, 200, 1)

_CONDITION_RADIX = len(CONDITIONS) * 5
_RADIXES = (
    *(len(BENEFITS), 8, len(SETS), 3, 4, 6, len(LIMITS), len(COSTS), 3, 6, 8, 3),
    *(_CONDITION_RADIX, _CONDITION_RADIX, len(BENEFITS), 8, 4),
)
ONE_PROMOTION = st.integers(0, 2**62)


def stirred(number: int) -> int:
    """Another number of 62 bits: drawn ones are small too often, and would give the first kinds."""
    return number * 0x1E3779B97F4A7C15 % 2**62


def digits(number: int, *radixes: int) -> list[int]:
    """Read one drawn number as several: one draw a line keeps the drawing cheap."""
    found = []
    for radix in radixes:
        number, digit = divmod(number, radix)
        found.append(digit)
    return found


def _benefit(kind: int, variant: int, kinds: list[int]) -> Benefit:
    variants = BENEFITS[kinds[kind % len(kinds)]]
    return variants[variant % len(variants)]


def _promotion(n: int, drawn: int, kinds: list[int]) -> Promotion:
    kind, variant, chosen, priority, claims, base, *rest = digits(stirred(drawn), *_RADIXES)
    limits, cost, lane, group, beats, sticker, first, second, *more = rest
    other_kind, other_variant, both = more
    asked = [number for number in (first, second) if number < len(CONDITIONS)]
    gives = [_benefit(kind, variant, kinds)]
    if not both and _benefit(other_kind, other_variant, kinds) != gives[0]:
        gives.append(_benefit(other_kind, other_variant, kinds))
    gives.sort(key=lambda one: not isinstance(one, PriceBenefit))
    lowers = isinstance(gives[0], PriceBenefit)
    multiplies = any(isinstance(one, PointsMultiplier) for one in gives)
    if multiplies and lowers:
        gives = [one for one in gives if not isinstance(one, PointsMultiplier)]
    stackable = claims == 3
    where = ("price", "basket", "reward")[lane]
    if lowers and where == "reward":
        where = "basket"
    if not lowers and multiplies:
        where = "reward"
    exclusive = ("receipt", "items", *["no"] * 6)[beats] if lowers and not stackable else "no"
    return make.promotion(
        f"p{n}",
        tuple(gives),
        where,  # type: ignore[arg-type]
        priority=priority,
        products=SETS[chosen],
        conditions=tuple(CONDITIONS[number] for number in dict.fromkeys(asked)),
        limits=LIMITS[limits],
        cost=None if stackable else COSTS[cost],
        stackable=stackable,
        on_stickers=sticker == 0,
        base=("running", "running", "running", "lane_start", "as_sent", "running")[base],
        exclusive_group=("g", "h", "", "", "", "")[group],
        exclusive=exclusive,
    )


@st.composite
def promotions(draw: st.DrawFn) -> tuple[Promotion, ...]:
    """One to six promotions of some kinds."""
    mask = stirred(draw(st.integers(1, 2**62)))
    kinds = [kind for kind in range(len(BENEFITS)) if mask >> kind & 1] or [*range(len(BENEFITS))]
    drawn = draw(st.lists(ONE_PROMOTION, min_size=1, max_size=6))
    return tuple(_promotion(n, one, kinds) for n, one in enumerate(drawn))


CLASSES = (
    (),
    (),
    (ProductClass(FOOD_SET, floor_bp=3_333),),
    (ProductClass(A_SET, no_discount=True, no_coupon=True), ProductClass(BC_SET, no_earn=True)),
)
LANES = ((), (), (LaneSetting("price", "best", 500),), (LaneSetting("basket", "best"),))


@st.composite
def settings(draw: st.DrawFn, best: bool = True) -> dict[str, Any]:
    """Fields of a program besides its promotions."""
    first, second, classes, lanes = digits(stirred(draw(st.integers(0, 2**62))), 3, 3, 4, 4)
    choose = ("first", "best", "last_coupon")
    return {
        "exclusive_groups": (
            ExclusiveGroup("g", choose[first]),  # type: ignore[arg-type]
            ExclusiveGroup("h", choose[second]),  # type: ignore[arg-type]
        ),
        "product_classes": CLASSES[classes],
        "lanes": LANES[lanes] if best else (),
    }


FLAGS: tuple[dict[str, Any], ...] = (
    *({},) * 13,
    {"no_discount": True},
    {"no_earn": True},
    {"price_source": PriceSource.STICKER},
    {"kind": LineKind.GIFT_CARD},
    {"kind": LineKind.DEPOSIT},
    {"cancelled": True},
    {"action": LineAction.RETURN},
)
PRICES = (100, 0, 1, 7, 99, 101, 333)
CASHIERS_PERCENT = (0, 0, 0, 1, 50)
FLOOR_PERCENT = (0, 0, 0, 50)
ONE_LINE = st.integers(0, 4 * 7 * 12 * 20 * 5 * 4 * 2 - 1)


def drawn_line(n: int, drawn: int, floors: bool) -> Line:
    """The line that a number of `ONE_LINE` stands for."""
    sku, price, more, flag, off, floor, weighed = digits(drawn, 4, 7, 12, 20, 5, 4, 2)
    whole_minor = (1 + more) * PRICES[price]
    amount_minor = whole_minor - floor_div(whole_minor * CASHIERS_PERCENT[off], 100)
    is_weighed = bool(weighed) and SKUS[sku] in "ad"
    return make.line(
        SKUS[sku],
        price_minor=PRICES[price],
        line_id=f"l{n}",
        amount_minor=amount_minor,
        quantity_milli=(1 + more) * (337 if is_weighed else MILLI),
        unit=Unit.KILOGRAM if is_weighed else Unit.PIECE,
        minimum_amount_minor=floor_div(amount_minor * FLOOR_PERCENT[floor], 100) if floors else 0,
        **FLAGS[flag],
    )


def products(minimum_price_minor: int) -> tuple[Product, ...]:
    """Articles a to c are in the feed, d is not."""
    return (
        make.product("a", categories=("food",), minimum_price_minor=minimum_price_minor),
        make.product("b", categories=("food",)),
        make.product("c", no_earn=minimum_price_minor == 1),
    )


CUSTOMERS = (
    make.customer(balances=(("points", 75),), purchases=1),
    make.customer(segments=("pensioner",), counters=(("tea", 4),)),
    make.customer(balances=(("points", 1_000),), state=CustomerState.EARN_ONLY),
    ANONYMOUS,
    make.customer(balances=(("points", -30),)),
    make.customer(balances=(("points", 5_000),), purchases=3),
)
FEED_FLOORS = (0, 0, 1, 60, 1_000)
TENDERS = ((), (), (make.tender(TenderKind.POINTS, 150),), (make.tender(TenderKind.CARD, 9),))
CODES = ((), (), ("sale",), ("другой", "sale"), ("sale", "другой", "unknown"))
PRICES_ON_LIST = (ListPrice("card", "a", 80), ListPrice("card", "d", 90))
UNABLE = Capabilities(zero_price=True, add_piece=True)
NO_ZERO = Capabilities(split_line=True)
TILLS = (make.ABLE, UNABLE, NO_ZERO, Capabilities())


@st.composite
def known(draw: st.DrawFn, customers: tuple[CustomerFacts, ...] = CUSTOMERS) -> Facts:
    """Facts, with what is left of every limit that a promotion may have."""
    number = stirred(draw(st.integers(0, 2**62)))
    floor, customer, zone, morning, *left = digits(number, 5, 6, 2, 2, *(4,) * 6)
    quotas = tuple(
        Quota(f"p{n}", QUOTA_LEFT[one], QUOTA_LEFT[(one + 1) % 4], MONEY_LEFT[(one * 3 + n) % 4])
        for n, one in enumerate(left)
    )
    return make.facts(
        *products(FEED_FLOORS[floor]),
        customer=customers[customer % len(customers)],
        store=make.store_facts(
            ("north",) if zone else (), local_minute=(9 if morning else 15) * 60
        ),
        quotas=quotas,
        prices=PRICES_ON_LIST,
    )


class Case(NamedTuple):
    """A program and a receipt."""

    promotions: tuple[Promotion, ...]
    settings: dict[str, Any]
    sale: Sale
    facts: Facts

    def rules(self) -> ProgramRules:
        """The program, compiled."""
        return make.rules(*self.promotions, **self.settings)

    def evaluate(self, share: Any = allocate) -> Evaluation:
        """What the rules say of it."""
        return evaluate(self.rules(), self.sale, self.facts, share)

    def lines(self, evaluation: Evaluation) -> list[tuple[Line, LineOutcome]]:
        """Each line that is not cancelled, as sent and as it is to be sold."""
        both = zip(self.sale.lines, evaluation.outcomes, strict=True)
        return [(line, outcome) for line, outcome in both if outcome is not None]

    def by_number(self) -> list[Promotion]:
        """The promotions by their numbers."""
        authored = {promotion.promotion_id: promotion for promotion in self.promotions}
        return [authored[one.promotion_id] for one in self.rules().program.promotions]

    def with_lines(self, *lines: Line) -> "Case":
        """The same with other lines."""
        return self._replace(sale=replace(self.sale, lines=lines))


@st.composite
def cases(draw: st.DrawFn, tills: tuple[Capabilities, ...] = TILLS, floors: bool = True) -> Case:
    """A program and a receipt of one to seven lines."""
    drawn = draw(st.lists(ONE_LINE, min_size=1, max_size=7))
    tenders, till, codes, trigger = digits(stirred(draw(st.integers(0, 2**62))), 4, 4, 5, 2)
    sale = make.sale(
        *[drawn_line(n, one, floors) for n, one in enumerate(drawn)],
        tenders=TENDERS[tenders],
        coupon_codes=CODES[codes],
        manual_triggers=("ticket",) if trigger else (),
        capabilities=tills[till % len(tills)],
    )
    return Case(draw(promotions()), draw(settings()), sale, draw(known()))
