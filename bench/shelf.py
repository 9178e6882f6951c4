"""A chain's assortment, its programs of a given number of promotions, and receipts of it."""

import random
from collections.abc import Sequence

from rewards.authored import LocalText, ProductSet
from rewards.benefit import (
    Benefit,
    CheapestFree,
    FixedPrice,
    NPlusM,
    PercentOff,
    PointsRate,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
)
from rewards.condition import Condition, Hours, ReceiptAmount, Segments, Weekdays
from rewards.facts import AssetWindow, CustomerFacts, CustomerState, Facts, StoreFacts
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import (
    Asset,
    AssetName,
    LaneName,
    LaneSetting,
    PluralForm,
    Program,
    Promotion,
)
from rewards.sale import (
    Capabilities,
    Header,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    Sale,
    SaleMode,
    Unit,
)

CHAIN = "bench"
CURRENCY = "RUB"
ARTICLES_A_PROMOTION = 10
PROMOTIONS_AN_ARTICLE = 3
PIECES_A_LINE = 10
"""Of the receipts with 1,000 lines."""
RECEIPTS = 64
NOON_MINUTE = 12 * 60
DAY = 739_942
"""A Sunday."""
_ABLE = Capabilities(True, True, True, True, True, 40)
_NAMES = (LocalText("ru", "Скидка"),)
_SEGMENTS = tuple(f"segment-{n}" for n in range(20))


class Shelf:
    """Articles in categories, so many that each is named by a few of the promotions.

    Attributes:
        promotions: how many promotions its programs have.
        products: all articles, by number.
        single_skus: the articles that `one_condition_program` names.
    """

    def __init__(self, promotions: int) -> None:
        """Stock the shelf for programs of so many promotions, 100 or more."""
        self.promotions = promotions
        categories = promotions // PROMOTIONS_AN_ARTICLE
        self.categories = categories
        self.products = tuple(
            Product(
                sku=f"sku-{n:06d}",
                name=f"Товар {n}",
                categories=("goods", f"category-{n % categories}"),
                brand=f"brand-{n % 50}",
            )
            for n in range(categories * ARTICLES_A_PROMOTION)
        )
        self.single_skus = tuple(self.products[n].sku for n in range(promotions))


def weekly_program(shelf: Shelf) -> Program:
    """Promotions of many kinds by category, and a few on the whole receipt."""
    weekly = [_weekly(shelf, n) for n in range(shelf.promotions - 2)]
    amount = (ReceiptAmount(from_minor=500_000),)
    off = ReceiptDiscount(amount_minor=10_000)
    whole = [
        _promotion("receipt", off, "basket", ProductSet(), amount),
        _promotion("points", PointsRate("points", 100), "reward", ProductSet(), ()),
    ]
    return bench_program((*weekly, *whole))


def one_condition_program(shelf: Shelf) -> Program:
    """Ten per cent off one article each: what a general rule engine can say as well."""
    return bench_program(
        tuple(
            _promotion(f"single-{n}", PercentOff(1_000), "price", ProductSet(skus=(sku,)), ())
            for n, sku in enumerate(shelf.single_skus)
        )
    )


def receipts(shelf: Shelf, line_count: int, seed: int) -> list[tuple[Sale, Facts]]:
    """Receipts of a known customer; 1,000 lines hold 10,000 pieces."""
    random_ = random.Random(seed)
    count = max(2, RECEIPTS * 10 // line_count)
    return [_receipt(shelf, line_count, random_) for _ in range(count)]


def _weekly(shelf: Shelf, number: int) -> Promotion:
    kinds: Sequence[Benefit] = (
        PercentOff(500 + number % 30 * 100),
        FixedPrice(9_900 - number % 50 * 100),
        NPlusM(2, 1),
        CheapestFree(3),
        QuantityTiers((QuantityTier(3_000, 500), QuantityTier(6_000, 1_000))),
    )
    conditions: Sequence[tuple[Condition, ...]] = (
        (),
        (Segments((_SEGMENTS[number % len(_SEGMENTS)],)),),
        (Weekdays((6, 7)), Hours("09:00", "21:00")),
    )
    chosen = ProductSet(categories=(f"category-{number % shelf.categories}",))
    benefit = kinds[number // shelf.categories % len(kinds)]
    if number % 3 == 0:
        benefit = kinds[number % len(kinds)]
    wanted = conditions[number // 7 % len(conditions)]
    return _promotion(f"weekly-{number}", benefit, "price", chosen, wanted, number % 100)


def _promotion(
    promotion_id: str,
    benefit: Benefit,
    lane: LaneName,
    products: ProductSet,
    conditions: tuple[Condition, ...],
    priority: int = 0,
) -> Promotion:
    return Promotion(
        promotion_id=promotion_id,
        names=_NAMES,
        lane=lane,
        gives=(benefit,),
        priority=priority,
        products=products,
        conditions=conditions,
    )


def bench_program(
    promotions: tuple[Promotion, ...], lanes: tuple[LaneSetting, ...] = ()
) -> Program:
    """A program of nothing but some promotions and points."""
    names = (AssetName("ru", (PluralForm("other", "балла"),)),)
    return Program(
        program_id="bench",
        chain_id=CHAIN,
        currency_code=CURRENCY,
        language_code="ru",
        assets=(Asset("points", "points", names),),
        promotions=promotions,
        lanes=lanes,
        point_value_micros=1_000_000,
    )


def _receipt(shelf: Shelf, line_count: int, random_: random.Random) -> tuple[Sale, Facts]:
    chosen = random_.sample(shelf.products, min(line_count, len(shelf.products)))
    while len(chosen) < line_count:
        chosen.append(random_.choice(shelf.products))
    pieces = [PIECES_A_LINE if line_count == 1_000 else random_.randint(1, 4) for _ in chosen]
    lines = tuple(
        line_of(number, product.sku, pieces[number], random_.randint(20, 200) * 100 - 1)
        for number, product in enumerate(chosen)
    )
    customer = CustomerFacts(
        account_id=1,
        customer_id=1,
        state=CustomerState.ACTIVE,
        segments=frozenset(random_.sample(_SEGMENTS, 3)),
    )
    store = StoreFacts(frozenset({"north"}), DAY, (("points", AssetWindow(0, 0)),), NOON_MINUTE)
    products = tuple(sorted(set(chosen), key=lambda product: product.sku))
    return sale_of(lines), Facts(customer, store, products)


def line_of(number: int, sku: str, pieces: int, price_minor: int) -> Line:
    """A line of counted goods."""
    return Line(
        line_id=str(number),
        sku=sku,
        quantity_milli=pieces * MILLI,
        unit=Unit.PIECE,
        unit_price_scaled=price_minor,
        unit_price_scale=2,
        amount_minor=pieces * price_minor,
        price_source=PriceSource.SHELF,
        kind=LineKind.GOODS,
        action=LineAction.SALE,
    )


def sale_of(lines: tuple[Line, ...]) -> Sale:
    """A sale of some lines at a till that can do everything."""
    return Sale(_header(lines), lines, (), 0)


def _header(lines: Sequence[Line]) -> Header:
    return Header(
        chain_id=CHAIN,
        store_id="store",
        till_id="till",
        mode=SaleMode.LIVE,
        till_type=1,
        cashier_id="cashier",
        shift_id="1",
        till_time_us=0,
        till_utc_offset_minutes=180,
        currency_code=CURRENCY,
        language_code="ru",
        line_count=len(lines),
        amount_minor=sum(line.amount_minor for line in lines),
        identifiers=(),
        coupon_codes=(),
        manual_triggers=(),
        staff_purchase=False,
        legal_entity_id="",
        order_number="",
        fiscal_number="",
        capabilities=_ABLE,
    )
