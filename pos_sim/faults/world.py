"""The chain of the fault runs: filling stations, a few articles, customers of one run each."""

import random
from collections.abc import Iterator
from itertools import count

from loyalty.v1.back_office_service_pb2 import (
    Customer,
    ImportedAnswer,
    ImportedIdentifier,
    Product,
    Store,
)
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, LineKind, QuantityUnit, TillType
from pos_sim.amount import price_of
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload

CHAIN_ID = "field"
CURRENCY_CODE = "RUB"
STORES = (("f1", "АЗС в поле"), ("f2", "АЗС у реки"))
ARTICLES = (
    ("coffee", "Кофе", "drinks", 15_000),
    ("tea", "Чай", "drinks", 9_000),
    ("bun", "Булочка", "food", 7_000),
    ("sandwich", "Сэндвич", "food", 21_000),
    ("oil", "Масло моторное", "car", 250_000),
)
"""sku, name, category, price of a piece in minor units: whole roubles."""
DISCOUNTED = "drinks"
PERCENT_OFF = 10
POINTS_PERCENT = 10
LINES_MAX = 4
PIECES_MAX = 5
UTC_OFFSET_MINUTES = 180


def make_world(runs: list[str], customers_of_each: int, till_count: int) -> Workload:
    """Make the chain.

    Args:
        runs: Names of the runs; each has customers of its own.
        customers_of_each: How many.
        till_count: Tills, in the stores in turn.
    """
    numbers = [number for run in runs for number in customer_numbers(run, customers_of_each)]
    return Workload(
        chain_id=CHAIN_ID,
        currency_code=CURRENCY_CODE,
        program=PROGRAMS / "field.toml",
        stores=[
            Store(
                store_id=store_id,
                name=name,
                time_zone="Europe/Moscow",
                currency_code=CURRENCY_CODE,
                language_code="ru",
            )
            for store_id, name in STORES
        ],
        products=[
            Product(sku=sku, name=name, categories=[category], list_price_minor=price_minor)
            for sku, name, category, price_minor in ARTICLES
        ],
        customers=[
            Customer(
                customer_number=number,
                identifiers=[ImportedIdentifier(kind="card", value=number)],
                answers=[ImportedAnswer(field_code="mobile", value=phone, answered_at_us=1)],
            )
            for number, phone in zip(numbers, phones(), strict=False)
        ],
        tills=[_till(number) for number in range(till_count)],
    )


def customer_numbers(run: str, count: int) -> list[str]:
    """The cards of the customers of a run."""
    return [f"{run}-{number:03d}" for number in range(count)]


def phones() -> Iterator[str]:
    """Phones of all customers, one after the other; no two share one."""
    return (f"+7916{number:07d}" for number in count(1))


def card_of(number: str) -> Given:
    """A card, scanned."""
    return Given(IdentifierKind.IDENTIFIER_KIND_CARD, number, EntryMethod.ENTRY_METHOD_SCANNED)


def draw_basket(
    rng: random.Random, index: int, customer_number: str, opened_at_us: int, business_date: str
) -> Basket:
    """Draw what is on the belt.

    Args:
        rng: Decides.
        index: Of the receipt in the run.
        customer_number: Whose card is scanned; empty is nobody's.
        opened_at_us: The till's clock, UTC microseconds.
        business_date: Label of the receipt's key.
    """
    return Basket(
        index=index,
        items=tuple(_draw_item(rng) for _ in range(rng.randint(1, LINES_MAX))),
        opened_at_us=opened_at_us,
        utc_offset_minutes=UTC_OFFSET_MINUTES,
        business_date=business_date,
        customer_number=customer_number,
        given=card_of(customer_number) if customer_number else None,
    )


def discount_minor(basket: Basket) -> int:
    """What the program takes off a basket, minor units."""
    categories = {sku: category for sku, _, category, _ in ARTICLES}
    hot = [item for item in basket.items if categories[item.sku] == DISCOUNTED]
    return percent_of(sum(map(_price_minor, hot)), PERCENT_OFF)


def price_minor(basket: Basket) -> int:
    """What a basket costs at the plain price, minor units."""
    return sum(map(_price_minor, basket.items))


def percent_of(amount_minor: int, percent: int) -> int:
    """So many per cent of an amount: the figures of this chain divide evenly."""
    share, rest = divmod(amount_minor * percent, 100)
    assert rest == 0, "prices are whole roubles"
    return share


def _price_minor(item: Item) -> int:
    return price_of(item.price_minor, item.quantity_milli)


def _draw_item(rng: random.Random) -> Item:
    sku, _, _, price = rng.choice(ARTICLES)
    piece, goods = QuantityUnit.QUANTITY_UNIT_PIECE, LineKind.LINE_KIND_GOODS
    return Item(sku, 1_000 * rng.randint(1, PIECES_MAX), price, piece, goods)


def _till(number: int) -> TillPlan:
    in_store, store_index = divmod(number, len(STORES))
    return TillPlan(
        till_id=f"t{in_store + 1:02d}",
        store_id=STORES[store_index][0],
        till_type=TillType.TILL_TYPE_STAFFED,
        language_code="ru",
        adds_pieces=False,
        unary=True,
        baskets=[],
    )
