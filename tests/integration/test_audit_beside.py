"""The audit finds wrong rows beside the ledger: money transfers, codes, returns, closed periods."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.commit import (
    AccountChange,
    AccountKind,
    Commit,
    CommitKey,
    KeyKind,
    NewAccount,
    NewInstrument,
    NewTransfer,
    ReturnEntry,
    StoredReceipt,
)
from rewards.facts import AssetWindow
from rewards.instrument import CodeKind
from rewards.journal import Journal
from rewards.ledger import transfer_id_of
from rewards.settling import ReturnRecord
from server.store.audit import audit_ledger
from server.store.database import Database
from server.store.statements import close_period

AT_US = 1_800_000_000_000_000
SALE, REFUND, LATE = b"s" * 16, b"r" * 16, b"l" * 16
CODE = b"code" * 4
TRANSFER = NewTransfer(transfer_id_of(SALE, 0), "c", 7, "p", "phone", 500)
CARD_ID, OWN_ID = -5, 1


def granted(key_id: bytes, amount_minor: int) -> Journal:
    journal = Journal(key_id)
    journal.grant("p", "points", amount_minor, AssetWindow(AT_US, 0))
    return journal


def sold() -> Commit:
    """A sale that earns, opens a card and asks for a transfer of money."""
    own = AccountChange(OWN_ID, 1, granted(SALE, 30).movement())
    card = NewAccount(CARD_ID, AccountKind.BEARER, granted(SALE, 20).movement(), "c")
    return Commit(
        (CommitKey(SALE, KeyKind.CHECKOUT, b""),),
        AT_US,
        AT_US,
        (own,),
        receipt=StoredReceipt(SALE, 1, AT_US, b"request", b"facts", b"answer"),
        new_accounts=(card,),
        new_instruments=(NewInstrument(CODE, CodeKind.GIFT_CARD, CARD_ID, b"", "points", SALE),),
        money_transfers=(TRANSFER,),
    )


def refunded() -> Commit:
    return Commit(
        (CommitKey(REFUND, KeyKind.REFUND, b""),),
        AT_US,
        AT_US,
        receipt=StoredReceipt(REFUND, 1, AT_US, b"request", b"", b"answer"),
        returns=(ReturnEntry(SALE, 0, ReturnRecord((("1", 1_000, 100),))),),
        undone_key_ids=(SALE,),
    )


def later() -> Commit:
    """A sale after the period was closed."""
    own = AccountChange(OWN_ID, 2, granted(LATE, 5).movement())
    receipt = StoredReceipt(LATE, 1, AT_US, b"request", b"facts", b"answer")
    key = CommitKey(LATE, KeyKind.CHECKOUT, b"")
    return Commit((key,), AT_US, AT_US + 2, (own,), receipt=receipt)


@pytest.fixture
async def ledger(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A card, a return, a transfer that it cancels, and a period that is closed."""
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    async with opened.reading() as connection:
        await connection.execute(
            "insert into account (account_id, version, chain_id) values (1, 1, 'c')"
        )
    await opened.write([sold()])
    await opened.write([refunded()])
    await close_period(opened, "c", AT_US + 1, AT_US + 1, "test")
    await opened.write([later()])
    yield opened
    await opened.close()


async def test_what_is_right(ledger: Database) -> None:
    assert (await audit_ledger(ledger, AT_US)).problems == ()


TAMPERED = {
    "a transfer is there again": (
        "update money_transfer set state = 1",
        "it is in state 1 at turn 1, its 1 changes end in 5 at 1",
    ),
    "a change of it is gone": (
        "delete from money_transfer_change",
        "it is in state 5 at turn 1, its 0 changes end in 1 at 0",
    ),
    "a transfer is gone": (
        "delete from money_transfer",
        "it is in state missing at turn , its 1 changes end in 5 at 1",
    ),
    "nobody asked for it": (
        "update money_transfer set transfer_id = '\\x01' || transfer_id;"
        "update money_transfer_change set transfer_id = '\\x01' || transfer_id",
        "no commit key is behind it",
    ),
    "a code opens nothing": (
        "update instrument set account_id = -6",
        "account -6 has no such lot of points",
    ),
    "a code opens another lot": (
        "update instrument set lot_id = '\\x01'",
        "account -5 has no such lot of points",
    ),
    "nobody gave a code out": (
        "update instrument set key_id = '\\x01'",
        "no commit key is behind it",
    ),
    "a bearer owes": (
        "update lot set kind = 2 where account_id < 0",
        "account -5: a bearer's, and it owes 20 of points",
    ),
    "a return of no key": (
        "update receipt_refund set refund_key_id = '\\x01'",
        "return 0 of receipt 7373",
    ),
    "a return of no receipt": (
        "update receipt_refund set original_key_id = '\\x01'",
        "return 0 of receipt 01: there is no such receipt",
    ),
    "a return is gone": (
        "update receipt_refund set ordinal = 1",
        "its return 0 is missing",
    ),
    "a period says more": (
        "update ledger_period_total set amount_minor = 51 where book = 1",
        "chain c, period to 1800000000000001: 51 in points of book 1 are stored, its postings sum"
        " to 50",
    ),
    "a figure of a period is gone": (
        "delete from ledger_period_total where book = 2",
        "nothing in points of book 2 are stored, its postings sum to -50",
    ),
    "a period has what came later": (
        "update ledger_period_total set postings = 3 where book = 1",
        "50 in points of book 1 are stored, its postings sum to 50",
    ),
}


@pytest.mark.parametrize(("tampering", "wanted"), TAMPERED.values(), ids=TAMPERED.keys())
async def test_is_found(ledger: Database, tampering: str, wanted: str) -> None:
    async with ledger.reading() as connection:
        await connection.execute(tampering)
    problems = (await audit_ledger(ledger, AT_US)).problems
    assert any(wanted in problem for problem in problems), problems
