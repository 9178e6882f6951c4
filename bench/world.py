"""The world of the server's benchmarks: a seeded chain with its program, articles and customers."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
from msgspec.structs import replace

from bench.receipts import ARTICLES, CHAIN, STORE
from rewards import program as p
from rewards.authored import LocalText, ProductSet
from rewards.benefit import (
    Benefit,
    CheapestFree,
    DeferredDiscount,
    NPlusM,
    PercentOff,
    PointsRate,
    ReceiptDiscount,
)
from rewards.compilation import compile_encoded
from rewards.condition import Condition, Products, ReceiptAmount, Segments, Weekdays
from server.clock import system_clock
from server.main import keyed_hash
from server.store.database import Database
from server.store.migrate import migrate
from server.store.partitions import ensure_partitions
from server.store.secrets import shared_secrets

CARD_KIND = 1
CATEGORIES = 100
CUSTOMER_COLUMNS = (
    "account_id",
    "customer_id",
    "chain_id",
    "customer_number",
    "state",
    "language_code",
    "segments",
    "field_state",
)
PRODUCT_COLUMNS = (
    "chain_id",
    "sku",
    "name",
    "categories",
    "brand",
    "properties",
    "no_discount",
    "no_earn",
    "no_cross_sell",
    "minimum_price_minor",
    "change",
)
DAY_US = 86_400_000_000
_LARGE = (ReceiptAmount(500_000),)
_NAMES = (LocalText("ru", "Акция"), LocalText("en", "Offer"))
_WEEKLY = (LocalText("ru", "Скидка недели"), LocalText("en", "Discount of the week"))
LIVELY = 100
"""Promotions that the receipts' articles are in; those beyond are of other articles."""


def bench_program(promotions: int) -> p.Program:
    """A program of so many promotions.

    Each but three lowers prices in one category, a hundredth of the articles, so that about half
    of the lines are discounted; one gives points to all, one a discount to larger receipts, one a
    discount on the next visit.
    """
    price = [_price_promotion(n) for n in range(promotions - 3)]
    every = [
        p.Promotion("basket", _NAMES, "basket", (ReceiptDiscount(200),), conditions=_LARGE),
        p.Promotion("points", _NAMES, "reward", (PointsRate("points", 500),), stackable=True),
        p.Promotion(
            "next-time",
            _NAMES,
            "reward",
            (DeferredDiscount("next", amount_minor=5_000),),
            conditions=_LARGE,
        ),
    ]
    return p.Program(
        program_id=CHAIN,
        chain_id=CHAIN,
        currency_code="RUB",
        language_code="ru",
        assets=(_asset("points", "points"), _asset("next", "deferred_discount")),
        promotions=tuple(price + every),
        profile_fields=tuple(_field(n) for n in range(6)),
        prompts_max=2,
        cross_sell_links=tuple(_link(n) for n in range(CATEGORIES)),
        till_groups=(p.TillGroup("all", cross_sell_max=2),),
        point_value_micros=1_000_000,
    )


def _price_promotion(n: int) -> p.Promotion:
    products = ProductSet(categories=(f"c{n % CATEGORIES}",))
    percent = PercentOff(1_000)
    gives: Benefit = (percent, CheapestFree(3), percent, NPlusM(10, 1), percent)[n % 5]
    return p.Promotion(f"p{n}", _NAMES, "price", (gives,), priority=n % 7, products=products)


def many_promotions(count: int, seed: int) -> p.Program:
    """The program of the quotes with more promotions for articles that they have not.

    Args:
        count: promotions in all, LIVELY or more.
        seed: another one gives a tenth of them another rate.
    """
    program = bench_program(LIVELY)
    others = tuple(_weekly_promotion(n, seed) for n in range(count - LIVELY))
    return replace(program, promotions=program.promotions + others)


def _weekly_promotion(n: int, seed: int) -> p.Promotion:
    conditions: list[Condition] = [Segments(any_of=(f"segment{n % 50}", "everybody"))]
    if n % 2:
        conditions.append(Weekdays((1 + n % 7, 1 + (n + 3) % 7)))
    if n % 5 == 0:
        conditions.append(Products(amount_from_minor=50_000 + n))
    changed = (n + seed) % 10 == 0
    return p.Promotion(
        f"week-{n}",
        _WEEKLY,
        "price",
        (PercentOff(500 + seed if changed else 500),),
        priority=n % 100,
        products=ProductSet(
            skus=tuple(f"week{n}-{article}" for article in range(n % 8)),
            categories=(f"week{n}",),
        ),
        conditions=tuple(conditions),
    )


def _asset(code: str, kind: str) -> p.Asset:
    forms = (p.PluralForm("other", "баллов"),)
    names = (p.AssetName("ru", forms),)
    made = {"code": code, "kind": kind, "names": names, "decimals": 2, "active_days": 180}
    return msgspec.convert(made, p.Asset)


def _field(n: int) -> p.ProfileField:
    return p.ProfileField(f"field{n}", _NAMES, "text", valid_days=365, weight=n)


def _link(n: int) -> p.CrossSellLink:
    show = ProductSet(categories=(f"c{(n + 1) % CATEGORIES}",))
    texts = (LocalText("ru", "Предложите {product}"),)
    return p.CrossSellLink(f"l{n}", ProductSet(categories=(f"c{n}",)), show, texts)


async def seed_world(data_dir: Path, accounts: int, program: p.Program) -> None:
    """Fill an embedded database once; a filled one is left as it is.

    Args:
        data_dir: of the embedded PostgreSQL.
        accounts: customers to make.
        program: what is in force.
    """
    database = Database(None, data_dir, "bench-seed")
    dsn = await database.ensure_running()
    await migrate(dsn)
    await database.open()
    try:
        await ensure_partitions(database, system_clock())
        secrets = await shared_secrets(database, "identifier", system_clock())
        connection = await asyncpg.connect(dsn)
        try:
            if not await connection.fetchval("select exists (select from account)"):
                await _fill(connection, secrets[min(secrets)], accounts, program)
        finally:
            await connection.close()
    finally:
        await database.close()


async def _fill(
    connection: "asyncpg.Connection[asyncpg.Record]",
    secret: bytes,
    accounts: int,
    program: p.Program,
) -> None:
    hash_identifier = keyed_hash(secret)
    await connection.execute(
        "insert into store values ($1, $2, 'Europe/Moscow', 'RUB', 'ru', '{}', 'Bench', 1)",
        CHAIN,
        STORE,
    )
    await connection.copy_records_to_table("product", records=_products(), columns=PRODUCT_COLUMNS)
    await connection.execute("update feed set change = 1")
    now_us = system_clock()
    compiled = compile_encoded(1, (program,))
    await connection.execute(
        "insert into ruleset_version values (1, $1, $1, 'bench', $2, $3, $4)",
        now_us - DAY_US,
        len(program.promotions),
        msgspec.msgpack.encode((program,)),
        compiled,
    )
    numbers = range(1, accounts + 1)
    await connection.copy_records_to_table(
        "account", records=((n, 1) for n in numbers), columns=("account_id", "version")
    )
    fields = f'{{"field0": [{now_us}, null], "field5": [{now_us - 400 * DAY_US}, null]}}'
    customers = ((n, n, CHAIN, str(n), 1, "ru", ["a"], fields) for n in numbers)
    await connection.copy_records_to_table("customer", records=customers, columns=CUSTOMER_COLUMNS)
    identifiers = ((hash_identifier(CHAIN, CARD_KIND, str(n)), 1, n, n) for n in numbers)
    await connection.copy_records_to_table("identifier", records=identifiers)


def _products() -> Iterator[tuple[object, ...]]:
    for n in range(ARTICLES):
        categories = ["all", f"c{n % CATEGORIES}"]
        yield (
            CHAIN, f"sku{n}", f"Товар {n}", categories, f"b{n % 20}", [], False, False, False, 0, 1
        )  # fmt: skip
