"""The audit finds every way in which rows can disagree, and passes a ledger that is right."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.commit import AccountChange, Commit, CommitKey, KeyKind, StoredReceipt
from rewards.ledger import BalanceChange, Book, Lot, LotChange, Movement, Posting
from server.store.audit import PROBLEMS_MAX, audit_ledger
from server.store.database import Database

AT_US = 1_800_000_000_000_000
DAY = 20_833


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    yield opened
    await opened.close()


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def legs(transfer_id: bytes, amount_minor: int) -> tuple[Posting, Posting]:
    return (
        Posting(transfer_id, 0, Book.CUSTOMER, "", "p", "points", amount_minor),
        Posting(transfer_id, 1, Book.ISSUER, "", "p", "points", -amount_minor),
    )


def sale(name: str, account_id: int, version: int, *amounts: int) -> Commit:
    """A checkout that grants a lot for every amount."""
    key_id = key_of(name)
    ids = [key_id + n.to_bytes(2, "big") for n in range(len(amounts))]
    grants = list(zip(ids, amounts, strict=True))
    return commit_of(
        key_id,
        KeyKind.CHECKOUT,
        account_id,
        version,
        Movement(
            postings=tuple(leg for grant in grants for leg in legs(*grant)),
            lots=tuple(Lot(lot_id, "points", amount, AT_US, 0) for lot_id, amount in grants),
            balance_changes=(BalanceChange("points", sum(amounts)),) if amounts else (),
        ),
    )


def void(name: str, account_id: int, version: int, amount: int) -> Commit:
    """The void of a sale with one lot."""
    key_id, lot_id = key_of(f"void {name}"), key_of(name) + b"\0\0"
    transfer_id = key_id + b"\0\0"
    movement = Movement(
        postings=legs(transfer_id, -amount),
        lot_changes=(LotChange(transfer_id, lot_id, -amount),),
        balance_changes=(BalanceChange("points", -amount),),
    )
    return commit_of(key_id, KeyKind.VOID, account_id, version, movement)


def commit_of(
    key_id: bytes, kind: KeyKind, account_id: int, version: int, movement: Movement
) -> Commit:
    return Commit(
        keys=(CommitKey(key_id, kind, b""),),
        effective_at_us=AT_US,
        recorded_at_us=AT_US,
        accounts=(AccountChange(account_id, version, movement),),
        receipt=StoredReceipt(key_id, 1, AT_US, b"request", b"facts", b"answer"),
    )


@pytest.fixture
async def ledger(database: Database) -> Database:
    """Three accounts, sales with and without rewards, and a void."""
    async with database.reading() as connection:
        await connection.execute("insert into account select n, 1 from generate_series(1, 3) n")
    await database.write([sale("a", 1, 1, 100, 50), sale("b", 2, 1, 70), sale("c", 3, 1)])
    await database.write([void("b", 2, 2, 70), sale("d", 1, 2, 5)])
    fence = CommitKey(key_of("fence"), KeyKind.FENCE, b"")
    await database.write([Commit(keys=(fence,), effective_at_us=AT_US, recorded_at_us=AT_US)])
    return database


async def test_a_ledger_that_is_right(ledger: Database) -> None:
    found = await audit_ledger(ledger)
    assert found.problems == ()
    assert found.is_balanced
    assert (found.transfers, found.postings, found.lots) == (5, 10, 4)
    assert (found.balances, found.receipts, found.accounts) == (2, 5, 3)


async def test_an_empty_ledger_proves_nothing(database: Database) -> None:
    found = await audit_ledger(database)
    assert not found.is_balanced
    assert "empty" in found.problems[0]
    assert found.postings == 0


TAMPERED = {
    "a leg is changed": (
        "update posting set amount_minor = amount_minor + 1 where book = 2 and account_id = 2",
        ["its legs in points sum to 1, not to 0"] * 2,
    ),
    "a leg is gone": (
        "delete from posting where book = 2 and amount_minor = -50",
        ["its legs in points sum to 50, not to 0"],
    ),
    "a leg is in another asset": (
        "update posting set asset_code = 'stars' where book = 2 and amount_minor = -50",
        ["its legs in points sum to 50, not to 0", "its legs in stars sum to -50, not to 0"],
    ),
    "a balance is changed": (
        "update balance set amount_minor = 156 where account_id = 1",
        ["account 1: its balance in points is 156, its postings sum to 155, its lots to 155"],
    ),
    "a balance is gone": (
        "delete from balance where account_id = 2",
        ["account 2: its balance in points is missing, its postings sum to 0, its lots to 0"],
    ),
    "a balance of nothing": (
        "insert into balance values (3, 'stars', 1)",
        ["account 3: its balance in stars is 1, its postings sum to 0, its lots to 0"],
    ),
    "a balance without an account": (
        "delete from account where account_id = 1",
        ["account 1: it has a balance in points, but there is no such account"],
    ),
    "a lot holds less": (
        "update lot set remaining_minor = 49 where granted_minor = 50",
        ["account 1: its balance in points is 155, its postings sum to 155, its lots to 154"],
    ),
    "a lot is gone": (
        "delete from lot where granted_minor = 50",
        ["account 1: its balance in points is 155, its postings sum to 155, its lots to 105"],
    ),
    "a lot holds more than it was granted": (
        "alter table lot drop constraint lot__remaining_minor__ck;"
        "update lot set remaining_minor = 101 where granted_minor = 100;"
        "update lot set remaining_minor = 49 where granted_minor = 50",
        ["101 remain of 100 granted"],
    ),
    "a lot holds less than nothing": (
        "alter table lot drop constraint lot__remaining_minor__ck;"
        "update lot set remaining_minor = 151 - granted_minor * 3 where granted_minor in (50, 100);"
        "update lot set remaining_minor = 0 where granted_minor = 5;"
        "update balance set amount_minor = -148 where account_id = 1",
        ["its balance in points is -148", "-149 remain of 100 granted"],
    ),
    "a lot was granted more than was posted": (
        "update lot set granted_minor = 200 where granted_minor = 100",
        ["200 granted, but its transfer posted 100"],
    ),
    "a lot that no transfer made": (
        "update lot set lot_id = '\\x00' where granted_minor = 5",
        ["5 granted, but its transfer posted nothing"],
    ),
    "a key is gone": (
        "delete from commit_key where account_id = 2 and kind = 3",
        ["no commit key is behind it", "no commit key is behind it"],
    ),
    "a transfer with no ordinal": (
        "update posting set transfer_id = substring(transfer_id from 1 for 17)"
        " where account_id = 2 and amount_minor in (-70, 70) and promotion_id = 'p'"
        " and substring(transfer_id from 1 for 16) in"
        " (select key_id from commit_key where kind = 3)",
        ["no commit key is behind it"],
    ),
    "a receipt is gone": (
        "delete from receipt where account_id = 3",
        [f"of kind 1 and day {DAY}: its receipt is missing"],
    ),
    "a receipt on another day": (
        "update receipt set day = day + 1 where account_id = 3",
        [f"of kind 1 and day {DAY}: its receipt is missing", "no commit key is behind it"],
    ),
    "a NULL among the postings": (
        "alter table posting alter amount_minor drop not null;"
        "update posting set amount_minor = null where account_id = 2 and amount_minor = -70"
        " and book = 2",
        ["sum to 70, not to 0", "a posting of it holds NULL"],
    ),
    "a NULL among the lots": (
        "alter table lot alter active_from_us drop not null;"
        "update lot set active_from_us = null where granted_minor = 5",
        ["5 remain of 5 granted"],
    ),
}


@pytest.mark.parametrize(("tampering", "wanted"), TAMPERED.values(), ids=TAMPERED.keys())
async def test_is_found(ledger: Database, tampering: str, wanted: list[str]) -> None:
    async with ledger.reading() as connection:
        await connection.execute(tampering)
    found = await audit_ledger(ledger)
    assert not found.is_balanced
    assert len(found.problems) == len(wanted), found.problems
    for text in wanted:
        assert any(text in problem for problem in found.problems), found.problems


async def test_at_most_so_many_problems_are_listed(ledger: Database) -> None:
    async with ledger.reading() as connection:
        await connection.execute(
            "insert into balance select n, 'points', 1 from generate_series(1000, 1500) n"
        )
    found = await audit_ledger(ledger)
    assert len(found.problems) == PROBLEMS_MAX
    assert found.balances == 503
