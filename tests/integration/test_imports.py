"""Imports over a real database: replaced whole, repeated safely, rejected by row."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rewards.product import Product
from server.store.array_literal import array_literal
from server.store.customer_imports import (
    AnswerRow,
    CustomerRow,
    IdentifierRow,
    import_customers,
    keep_values,
)
from server.store.database import Database
from server.store.feeds import Feeds, StoreRecord
from server.store.imports import import_products, import_stores, stores_of_chain
from server.store.rejections import CustomerNumberError, IdentifierTakenError

CHAIN = "chain"
AWKWARD = ("", " ", "a,b", '"', "\\", "{}", "NULL", "x\ny", 'a\\"b', "Москва")


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    yield opened
    await opened.close()


def store(store_id: str, name: str = "Store", zones: tuple[str, ...] = ()) -> StoreRecord:
    return StoreRecord(CHAIN, store_id, "Europe/Moscow", "RUB", "ru", zones, name)


def customer(number: int, **changes: Any) -> CustomerRow:
    row = CustomerRow(
        customer_id=number,
        customer_number=f"n{number}",
        state=1,
        language_code="",
        segments=(),
        identifiers=(IdentifierRow(1, number.to_bytes(16, "big")),),
        answers=(),
    )
    return msgspec.structs.replace(row, **changes)


async def rows_of(database: Database, statement: str) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


async def field_state(database: Database, number: int) -> dict[str, list[Any]]:
    ((state,),) = await rows_of(
        database, f"select field_state from customer where customer_id = {number}"
    )
    found: dict[str, list[Any]] = msgspec.json.decode(state)
    return found


async def test_array_literals_are_read_back(database: Database) -> None:
    async with database.reading() as connection:
        for texts in ((), AWKWARD):
            found = await connection.fetchval("select $1::text::text[]", array_literal(texts))
            assert tuple(found) == texts


async def test_stores_are_inserted_and_replaced(database: Database) -> None:
    await import_stores(database, [store("b"), store("a", zones=AWKWARD)])
    change, first = await Feeds(database).stores_after(0)
    assert (change, len(first)) == (1, 2)
    await import_stores(database, [store("b", "Other")])
    change, changed = await Feeds(database).stores_after(change)
    assert (change, list(changed)) == (2, [store("b", "Other")])
    assert await stores_of_chain(database, CHAIN) == [store("a", zones=AWKWARD), changed[0]]
    assert await stores_of_chain(database, "other") == []


async def test_products_are_inserted_and_replaced(database: Database) -> None:
    tea = Product("tea", "Tea", ("drinks", "tea"), "B", ("size=1",), True, False, True, 100)
    cake = Product("cake", "Cake")
    await import_products(database, CHAIN, [tea, cake])
    change, first = await Feeds(database).products_after(0)
    assert sorted(first, key=lambda found: found[1].sku) == [(CHAIN, cake), (CHAIN, tea)]
    dearer = msgspec.structs.replace(tea, minimum_price_minor=200)
    await import_products(database, CHAIN, [cake, dearer])
    _, changed = await Feeds(database).products_after(change)
    assert changed == [(CHAIN, dearer)], "an article that is as it was is not loaded again"


async def test_products_of_two_chains_are_apart(database: Database) -> None:
    await import_products(database, "one", [Product("tea", "Tea")])
    await import_products(database, "two", [Product("tea", "Чай")])
    _, found = await Feeds(database).products_after(0)
    assert sorted((chain, product.name) for chain, product in found) == [
        ("one", "Tea"),
        ("two", "Чай"),
    ]


async def test_customers_are_inserted_and_found_by_their_identifiers(database: Database) -> None:
    row = customer(7, segments=AWKWARD, state=2, language_code="en")
    await import_customers(database, CHAIN, [customer(9), row])
    found = await database.find([], [row.identifiers[0].identifier_hash])
    facts = found.customers[7, 7].facts
    assert (facts.account_version, facts.state, facts.language_code) == (1, 2, "en")
    assert facts.segments == frozenset(AWKWARD)


async def test_a_customer_that_is_there_is_replaced_and_its_balance_stays(
    database: Database,
) -> None:
    await import_customers(database, CHAIN, [customer(7, segments=("a", "b"))])
    async with database.reading() as connection:
        await connection.execute("insert into balance values (7, 'points', 500)")
    again = customer(7, segments=("c",), identifiers=(IdentifierRow(2, bytes(16)),))
    await import_customers(database, CHAIN, [again])
    found = await database.find([], [bytes(16), customer(7).identifiers[0].identifier_hash])
    assert set(found.identifiers.values()) == {(7, 7)}
    assert len(found.identifiers) == 2, "identifiers that are not named stay"
    facts = found.customers[7, 7].facts
    assert facts.segments == {"c"}
    assert facts.balances == (("points", 500),)
    assert facts.account_version == 2, "whoever decided on the old facts must lose"


async def test_the_newest_answer_of_a_field_counts_in_any_order(database: Database) -> None:
    def answered(*answers: tuple[str, int, str]) -> list[CustomerRow]:
        rows = tuple(AnswerRow(code, at, value, value) for code, at, value in answers)
        return [customer(7, answers=rows)]

    await import_customers(database, CHAIN, answered(("sex", 20, "b"), ("sex", 10, "a")))
    assert await field_state(database, 7) == {"sex": [20, "b"]}
    await import_customers(database, CHAIN, answered(("sex", 15, "c"), ("car", 5, "yes")))
    assert await field_state(database, 7) == {"sex": [20, "b"], "car": [5, "yes"]}
    await import_customers(database, CHAIN, answered(("sex", 30, "d")))
    assert await field_state(database, 7) == {"sex": [30, "d"], "car": [5, "yes"]}
    answers = await rows_of(
        database, "select field_code, answered_at_us, value from profile_answer order by 1, 2"
    )
    assert answers == [
        ("car", 5, "yes"),
        ("sex", 10, "a"),
        ("sex", 15, "c"),
        ("sex", 20, "b"),
        ("sex", 30, "d"),
    ]


async def test_an_import_repeated_adds_no_answer(database: Database) -> None:
    rows = [customer(7, answers=(AnswerRow("sex", 20, "b", "b"), AnswerRow("sex", 20, "b", "b")))]
    for _ in range(3):
        await import_customers(database, CHAIN, rows)
    assert await rows_of(database, "select count(*) from profile_answer") == [(1,)]


async def test_open_answers_are_not_kept_beside_the_customer(database: Database) -> None:
    row = customer(7, answers=(AnswerRow("surname", 20, "Petrova", None),))
    await import_customers(database, CHAIN, [row])
    assert await field_state(database, 7) == {"surname": [20, None]}


async def test_answers_are_kept_once_their_field_has_a_closed_set(database: Database) -> None:
    answers = (AnswerRow("sex", 10, "male", None), AnswerRow("surname", 10, "Petrov", None))
    later = (*answers, AnswerRow("sex", 20, "female", None))
    rows = [customer(n, answers=later if n % 2 else answers) for n in range(1, 8)]
    await import_customers(database, CHAIN, rows)
    await import_customers(database, "other", [customer(99, answers=answers)])
    await keep_values(database, CHAIN, ["sex"], batch=2)
    assert await field_state(database, 3) == {"sex": [20, "female"], "surname": [10, None]}
    assert await field_state(database, 4) == {"sex": [10, "male"], "surname": [10, None]}
    assert (await field_state(database, 99))["sex"] == [10, None], "another chain's"


async def test_an_identifier_of_another_customer_is_rejected_by_its_row(
    database: Database,
) -> None:
    await import_customers(database, CHAIN, [customer(7)])
    stolen = (IdentifierRow(2, bytes(16)), *customer(7).identifiers)
    with pytest.raises(IdentifierTakenError) as rejected:
        await import_customers(database, CHAIN, [customer(5), customer(6, identifiers=stolen)])
    assert (rejected.value.row, rejected.value.identifier) == (1, 1)
    assert await rows_of(database, "select customer_id from customer") == [(7,)]
    assert await rows_of(database, "select account_id, version from account") == [(7, 1)]


async def test_one_identifier_twice_in_a_batch_is_rejected(database: Database) -> None:
    same = customer(7).identifiers
    with pytest.raises(IdentifierTakenError):
        await import_customers(database, CHAIN, [customer(7), customer(8, identifiers=same)])


async def test_a_number_with_the_hash_of_another_is_rejected_by_its_row(
    database: Database,
) -> None:
    await import_customers(database, CHAIN, [customer(7)])
    with pytest.raises(CustomerNumberError) as rejected:
        await import_customers(
            database, CHAIN, [customer(3), customer(7, customer_number="another")]
        )
    assert rejected.value.row == 1
    assert await rows_of(database, "select customer_number from customer") == [("n7",)]


async def test_imports_at_once_do_not_wait_in_a_circle(database: Database) -> None:
    forth = [customer(n) for n in range(1, 301)]
    await asyncio.gather(
        *(import_customers(database, CHAIN, batch) for batch in (forth, forth[::-1]) * 4)
    )
    ((count, least, most),) = await rows_of(
        database, "select count(*), min(version), max(version) from account"
    )
    assert (count, least, most) == (300, 8, 8)
