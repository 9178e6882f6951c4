"""The storm's little chain: two stores twelve hours apart, a few articles, customers who meet."""

import random

from loyalty.v1.back_office_service_pb2 import Customer, ImportedIdentifier, Product, Store
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, LineKind, QuantityUnit, TillType
from pos_sim.run import Run
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload

CHAIN_ID = "storm"
CURRENCY_CODE = "RUB"
STORES = (("s1", "Калининград", "Europe/Kaliningrad"), ("s2", "Камчатка", "Asia/Kamchatka"))
ARTICLES = (
    ("tea", "Чай", "drinks", 19_900, False),
    ("coffee", "Кофе", "drinks", 45_050, False),
    ("mug", "Кружка", "mugs", 30_000, False),
    ("cup", "Чашка", "mugs", 24_999, False),
    ("glass", "Стакан", "mugs", 9_901, False),
    ("cheese", "Сыр", "food", 89_990, True),
    ("bread", "Хлеб", "food", 5_500, False),
    ("salt", "Соль", "food", 4_120, False),
    ("cigarettes", "Сигареты", "tobacco", 18_000, False),
)
"""sku, name, category, price of a unit in minor units, whether it is weighed."""
LINES_MAX = 5
PIECES_MAX = 7
ANONYMOUS_SHARE = 0.1
LATE_CUSTOMERS = 9
COUPON_SERIES = "welcome"
COUPON_SHARE = 0.15
COUPONS = 60
"""Codes of one use each, which many customers show."""


def make_world(customer_count: int, till_count: int) -> Workload:
    """Make the chain.

    Args:
        customer_count: customers with a card each; few of them meet at the tills often.
        till_count: tills, in the stores in turn.
    """
    return Workload(
        chain_id=CHAIN_ID,
        currency_code=CURRENCY_CODE,
        program=PROGRAMS / "wallet.toml",
        stores=[
            Store(
                store_id=store_id,
                name=name,
                time_zone=zone,
                currency_code=CURRENCY_CODE,
                language_code="ru",
                zones=[store_id],
            )
            for store_id, name, zone in STORES
        ],
        products=[
            Product(
                sku=sku,
                name=name,
                categories=[category],
                weighed=weighed,
                list_price_minor=price_minor,
            )
            for sku, name, category, price_minor, weighed in ARTICLES
        ],
        customers=[
            write_customer(number) for number in known_at_first(customer_numbers(customer_count))
        ],
        tills=[_till(number) for number in range(till_count)],
    )


def write_customer(number: str) -> Customer:
    """A customer and their card, as the back office imports them."""
    identifier = ImportedIdentifier(kind="card", value=number)
    return Customer(customer_number=number, identifiers=[identifier])


def customer_numbers(count: int) -> list[str]:
    """The cards of the imported customers."""
    return [f"storm-{number:04d}" for number in range(count)]


def known_at_first(numbers: list[str]) -> list[str]:
    """Those who are imported before the storm; the others show cards that nobody has yet."""
    return numbers[: max(2, len(numbers) - LATE_CUSTOMERS)]


def coupon_codes() -> list[str]:
    """The codes of the series that were handed out."""
    return [f"WELCOME-{number:03d}" for number in range(COUPONS)]


def card_of(number: str) -> Given:
    """A card, scanned."""
    return Given(IdentifierKind.IDENTIFIER_KIND_CARD, number, EntryMethod.ENTRY_METHOD_SCANNED)


def draw_basket(
    rng: random.Random, run: Run, index: int, customer_number: str = "", card: str = ""
) -> Basket:
    """Draw what is on the belt.

    Args:
        rng: decides.
        run: says when the run began.
        index: of the receipt in the run.
        customer_number: whose card is scanned; empty is nobody's.
        card: which of theirs.
    """
    return Basket(
        index=index,
        items=tuple(_draw_item(rng) for _ in range(rng.randint(1, LINES_MAX))),
        opened_at_us=run.started_at_us,
        utc_offset_minutes=120,
        business_date="day",
        customer_number=customer_number,
        given=card_of(card) if card else None,
        coupon_codes=(rng.choice(coupon_codes()),) if rng.random() < COUPON_SHARE else (),
    )


def _draw_item(rng: random.Random) -> Item:
    sku, _, _, price_minor, weighed = rng.choice(ARTICLES)
    goods = LineKind.LINE_KIND_GOODS
    if weighed:
        unit, milli = QuantityUnit.QUANTITY_UNIT_KILOGRAM, rng.randint(80, 2_500)
    else:
        unit, milli = QuantityUnit.QUANTITY_UNIT_PIECE, 1_000 * rng.randint(1, PIECES_MAX)
    return Item(sku, milli, price_minor, unit, goods)


def _till(number: int) -> TillPlan:
    in_store, store_index = divmod(number, len(STORES))
    return TillPlan(
        till_id=f"t{in_store + 1:02d}",
        store_id=STORES[store_index][0],
        till_type=TillType.TILL_TYPE_STAFFED,
        language_code="ru",
        adds_pieces=False,
        unary=number % 4 == 3,
        baskets=[],
    )
