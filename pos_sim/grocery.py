"""The demo's grocery chain: stores, and baskets filled the way its customers shop."""

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from loyalty.v1.back_office_service_pb2 import Store
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, TillType
from pos_sim.grocery_customer import SEGMENTS, Person, make_people
from pos_sim.run import Run
from pos_sim.shelf import Article, Shelf, fill_shelves, read_shelves
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload

CHAIN_ID = "demo"
CURRENCY_CODE = "RUB"
RECEIPTS = 2_500
CUSTOMERS = 1_500
ANONYMOUS_SHARE = 0.25
AWAY_SHARE = 0.15
"""Of a customer's receipts, how many are not at the store where they shop most."""
PHONE_SHARE = 0.3
COUPON_SHARE = 0.04
COUPON_CODES = ("МЁД2026", "СЛАДКО", "сладко100", "SWEET10", "ЧУЖОЙ-КОД")
ITEMS_MAX = 60
BETWEEN_RECEIPTS_US = 40_000
UNARY_EVERY = 8
"""One till in so many makes unary calls."""

STORES = (
    ("s01", "Москва, Садовая", "Europe/Moscow", "ru", ["moscow", "centre"]),
    ("s02", "Екатеринбург, Заречная", "Asia/Yekaterinburg", "ru", ["ural"]),
    ("s03", "Новосибирск, Лесная", "Asia/Novosibirsk", "ru", ["siberia"]),
    ("s04", "Калининград, Портовая", "Europe/Kaliningrad", "ru", ["west"]),
    ("s05", "Moscow, Airport", "Europe/Moscow", "en", ["moscow", "airport"]),
)
TILL_TYPES = (
    TillType.TILL_TYPE_STAFFED,
    TillType.TILL_TYPE_STAFFED,
    TillType.TILL_TYPE_SELF_CHECKOUT,
    TillType.TILL_TYPE_STAFFED,
    TillType.TILL_TYPE_STAFFED,
    TillType.TILL_TYPE_MOBILE,
)


def make_workload(run: Run, count: int, till_count: int) -> Workload:
    """Make the demo's data and receipts. The same arguments make the same.

    Args:
        run: Gives the seed and the time.
        count: Receipts, 1 or more.
        till_count: Tills, 1 or more; they stand in the stores in turn.
    """
    rng = run.chance("grocery")
    stocked = fill_shelves(read_shelves(), rng)
    stores = [_store(*facts) for facts in STORES]
    open_stores = stores[:till_count]
    people = make_people(CUSTOMERS, len(open_stores), run.started_at_us, rng)
    tills = [_till(number, open_stores) for number in range(till_count)]
    shopping = _Shopping(run, open_stores, people, stocked, rng)
    for index in range(count):
        store, basket = shopping.next_basket(index)
        standing = tills[store :: len(open_stores)]
        min(standing, key=lambda till: len(till.baskets)).baskets.append(basket)
    return Workload(
        chain_id=CHAIN_ID,
        currency_code=CURRENCY_CODE,
        program=PROGRAMS / "demo_grocery.toml",
        stores=stores,
        products=[article.product for articles in stocked for article in articles],
        customers=[person.customer for person in people],
        tills=tills,
    )


def _store(store_id: str, name: str, time_zone: str, language: str, zones: list[str]) -> Store:
    return Store(
        store_id=store_id,
        name=name,
        time_zone=time_zone,
        currency_code=CURRENCY_CODE,
        language_code=language,
        zones=zones,
    )


def _till(number: int, stores: list[Store]) -> TillPlan:
    in_store, store_index = divmod(number, len(stores))
    store = stores[store_index]
    till_type = TILL_TYPES[in_store % len(TILL_TYPES)]
    return TillPlan(
        till_id=f"t{in_store + 1:02d}",
        store_id=store.store_id,
        till_type=till_type,
        language_code=store.language_code,
        adds_pieces=till_type != TillType.TILL_TYPE_MOBILE,
        unary=number % UNARY_EVERY == UNARY_EVERY - 1,
        baskets=[],
    )


def _zipf(count: int, exponent: float) -> list[float]:
    """Cumulative weights of ranks: the first comes most often."""
    return list(accumulate((rank + 2) ** -exponent for rank in range(count)))


class _Shopping:
    """Draws who comes to which store and what they buy."""

    def __init__(
        self,
        run: Run,
        stores: list[Store],
        people: list[Person],
        stocked: list[list[Article]],
        rng: random.Random,
    ) -> None:
        self._run = run
        self._zones = [ZoneInfo(store.time_zone) for store in stores]
        self._people = people
        self._people_weights = _zipf(len(people), 0.7)
        self._stocked = stocked
        self._article_weights = [_zipf(len(articles), 0.9) for articles in stocked]
        self._shelf_weights = {
            segment: list(accumulate(articles[0].shelf.weight_for(segment) for articles in stocked))
            for segment in SEGMENTS
        }
        self._rng = rng

    def next_basket(self, index: int) -> tuple[int, Basket]:
        """Draw the next receipt: the index of its store, and its basket."""
        rng = self._rng
        person = self._draw_person()
        at_home = person is not None and rng.random() >= AWAY_SHARE
        store = person.home if person and at_home else rng.randrange(len(self._zones))
        opened_at_us = self._run.started_at_us + index * BETWEEN_RECEIPTS_US
        opened_at = datetime.fromtimestamp(self._run.epoch, UTC).astimezone(self._zones[store])
        return store, Basket(
            index=index,
            items=tuple(self._draw_items(person.segment if person else "")),
            opened_at_us=opened_at_us,
            utc_offset_minutes=(opened_at.utcoffset() or timedelta()) // timedelta(minutes=1),
            business_date=opened_at.date().isoformat(),
            customer_number=person.customer.customer_number if person else "",
            given=self._draw_identifier(person) if person else None,
            coupon_codes=self._coupon_codes(index),
        )

    def _coupon_codes(self, index: int) -> tuple[str, ...]:
        """Few customers show a code; some of those codes are of another chain."""
        chance = self._run.chance(f"coupon/{index}")
        return (chance.choice(COUPON_CODES),) if chance.random() < COUPON_SHARE else ()

    def _draw_person(self) -> Person | None:
        if self._rng.random() < ANONYMOUS_SHARE:
            return None
        return self._rng.choices(self._people, cum_weights=self._people_weights)[0]

    def _draw_identifier(self, person: Person) -> Given:
        if person.phone and self._rng.random() < PHONE_SHARE:
            kind = IdentifierKind.IDENTIFIER_KIND_PHONE
            return Given(kind, person.phone, EntryMethod.ENTRY_METHOD_KEYED)
        kind = IdentifierKind.IDENTIFIER_KIND_CARD
        return Given(kind, person.card, EntryMethod.ENTRY_METHOD_SCANNED)

    def _draw_items(self, segment: str) -> list[Item]:
        """Eight lines on average, sixty at most."""
        wanted = max(1, min(ITEMS_MAX, round(self._rng.lognormvariate(1.8, 0.75))))
        weights = self._shelf_weights[segment]
        items: list[Item] = []
        while len(items) < wanted:
            number = self._rng.choices(range(len(self._stocked)), cum_weights=weights)[0]
            items += self._draw_from_shelf(number)
        return items[:ITEMS_MAX]

    def _draw_from_shelf(self, number: int) -> list[Item]:
        """Mostly one article; from some shelves three, often different ones."""
        articles, weights = self._stocked[number], self._article_weights[number]
        takes_three = articles[0].shelf.some and self._rng.random() < 0.4
        count = 3 if takes_three else 1
        chosen = self._rng.choices(articles, cum_weights=weights, k=count)
        return [self._item(article, takes_three) for article in chosen]

    def _item(self, article: Article, one_of_three: bool) -> Item:
        return Item(
            sku=article.product.sku,
            quantity_milli=1000 if one_of_three else self._draw_quantity(article.shelf),
            price_minor=article.price_minor,
            unit=article.unit,
            kind=article.kind,
            barcode=article.barcode,
            age_check=article.shelf.age_check,
        )

    def _draw_quantity(self, shelf: Shelf) -> int:
        """Thousandths: grams of weighed goods, else whole pieces."""
        if shelf.weighed:
            return max(80, min(4_500, round(self._rng.lognormvariate(6.5, 0.6))))
        if shelf.many and self._rng.random() < 0.35:
            return 1000 * self._rng.choice((5, 6, 10, 10, 10, 11, 12, 20))
        return 1000 * self._rng.choices((1, 2, 3), (80, 15, 5))[0]
