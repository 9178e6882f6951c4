"""The world of the server's benchmarks: a seeded chain with its program, articles and customers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

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
ACCOUNTS_AT_ONCE = 100_000
_INSERT_ACCOUNTS = """
insert into account (account_id, version)
select n, 1 from generate_series($1::bigint, $2::bigint) n
"""
_INSERT_CUSTOMERS = """
insert into customer (account_id, customer_id, chain_id, customer_number, state, language_code,
                      segments, field_state)
select n, n, $3::text, n::text, 1, 'ru', '{a}', $4::text::jsonb
  from generate_series($1::bigint, $2::bigint) n
"""
_INSERT_BALANCES = """
insert into balance (account_id, asset_code, amount_minor)
select n, 'points', $3::bigint from generate_series($1::bigint, $2::bigint) n
"""
_INSERT_LOTS = """
insert into lot (account_id, lot_id, asset_code, granted_minor, remaining_minor, active_from_us,
                 expires_at_us, promotion_id)
select n, sha224(int8send(n)), 'points', $3::bigint, $3, $4::bigint, 0, 'points'
  from generate_series($1::bigint, $2::bigint) n
"""
_INSERT_POSTINGS = """
insert into posting (account_id, transfer_id, leg, book, party_id, promotion_id, asset_code,
                     amount_minor, effective_at_us, recorded_at_us)
select n, sha224(int8send(n)), leg, leg, '', 'points', 'points',
       case leg when 1 then $3::bigint else -$3 end, $4::bigint, $4
  from generate_series($1::bigint, $2::bigint) n, generate_series(1, 2) leg
"""
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


Progress = Callable[[int], None]
_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def _unseen(count: int) -> None:
    """Nobody looks."""


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


async def seed_world(
    data_dir: Path,
    accounts: int,
    program: p.Program,
    points_minor: int = 0,
    progress: Progress = _unseen,
) -> None:
    """Fill an embedded database once; a filled one is left as it is.

    Args:
        data_dir: of the embedded PostgreSQL.
        accounts: customers to make.
        program: what is in force.
        points_minor: what each customer has, in one lot. The commit keys of the receipts that
            would have given it are not made, so an audit finds them missing.
        progress: told how many more customers there are.
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
                await _fill_chain(connection, program)
                hash_identifier = keyed_hash(secrets[min(secrets)])
                await _fill_customers(connection, hash_identifier, accounts, points_minor, progress)
        finally:
            await connection.close()
    finally:
        await database.close()


async def vacuum(data_dir: Path) -> None:
    """Leave a filled database as one that has lived: else the measurement pays for its filling.

    Args:
        data_dir: of the embedded PostgreSQL.
    """
    database = Database(None, data_dir, "bench-seed")
    connection = await asyncpg.connect(await database.ensure_running())
    try:
        await connection.execute("vacuum (analyze)")
        await connection.execute("checkpoint")
    finally:
        await connection.close()
        await database.close()


async def files_of_customers(data_dir: Path) -> tuple[Path, ...]:
    """The first files of the relations of which a receipt reads or writes its customer's part.

    Postings are read by nobody and written at the end of their table: only their key counts.

    Args:
        data_dir: of the embedded PostgreSQL.
    """
    database = Database(None, data_dir, "bench-seed")
    connection = await asyncpg.connect(await database.ensure_running())
    try:
        found = await connection.fetch(_FILES_OF_CUSTOMERS)
        root = Path(await connection.fetchval("show data_directory"))
    finally:
        await connection.close()
        await database.close()
    return tuple(root / row["path"] for row in found)


_FILES_OF_CUSTOMERS = """
select pg_relation_filepath(indexrelid) as path from pg_index
where indisprimary and indrelid = any (
    '{posting,customer,lot,account,balance,identifier}'::regclass[])
union all
select pg_relation_filepath(oid) from pg_class
where oid = any ('{customer,lot,account,balance}'::regclass[])
"""


async def _fill_chain(connection: _Connection, program: p.Program) -> None:
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


async def _fill_customers(
    connection: _Connection,
    hash_identifier: Callable[[str, int, str], bytes],
    accounts: int,
    points_minor: int,
    progress: Progress,
) -> None:
    now_us = system_clock()
    fields = f'{{"field0": [{now_us}, null], "field5": [{now_us - 400 * DAY_US}, null]}}'
    for first, last in _portions(accounts):
        await connection.execute(_INSERT_ACCOUNTS, first, last)
        await connection.execute(_INSERT_CUSTOMERS, first, last, CHAIN, fields)
        numbers = range(first, last + 1)
        identifiers = ((hash_identifier(CHAIN, CARD_KIND, str(n)), 1, n, n) for n in numbers)
        await connection.copy_records_to_table("identifier", records=identifiers)
        if points_minor:
            await connection.execute(_INSERT_BALANCES, first, last, points_minor)
            await connection.execute(_INSERT_LOTS, first, last, points_minor, now_us)
            await connection.execute(_INSERT_POSTINGS, first, last, points_minor, now_us)
        progress(len(numbers))


def _portions(accounts: int) -> Iterator[tuple[int, int]]:
    """First and last account of each."""
    for first in range(1, accounts + 1, ACCOUNTS_AT_ONCE):
        yield first, min(first + ACCOUNTS_AT_ONCE - 1, accounts)


def _products() -> Iterator[tuple[object, ...]]:
    for n in range(ARTICLES):
        categories = ["all", f"c{n % CATEGORIES}"]
        yield (
            CHAIN, f"sku{n}", f"Товар {n}", categories, f"b{n % 20}", [], False, False, False, 0, 1
        )  # fmt: skip
