"""The audit finds every way in which rows can disagree, and passes a ledger that is right."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from rewards.commit import AccountChange, BudgetUse, Commit, CommitKey, KeyKind, StoredReceipt
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import (
    NO_HOLDINGS,
    BalanceChange,
    Book,
    Hold,
    Holdings,
    Lot,
    LotChange,
    Movement,
    OwnedLot,
    Posting,
)
from rewards.merging import merge_accounts
from server.store.audit import PROBLEMS_MAX, audit_ledger
from server.store.database import Database
from server.store.holdings import read_holdings

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


@pytest.fixture
async def billing(database: Database) -> Database:
    """Accounts 1 with value, a hold and a lapsed one, 2 with a debt, 3 merged into 4."""
    async with database.reading() as connection:
        await connection.execute("insert into account select n, 1 from generate_series(1, 4) n")
    await database.write([earned("a", 1, 100), owed("b", 2, 90), earned("c", 3, 40)])
    spent = Journal(key_of("d"), await lots_of(database, 1))
    spent.take(Book.CLEARING, "points", [(lot_id_of("a"), 30)])
    holds = (
        Hold(key_of("basket"), "points", 50, ((lot_id_of("a"), 50),), AT_US),
        Hold(key_of("lapsed"), "points", 60, ((lot_id_of("a"), 60),), AT_US - 1),
    )
    own = AccountChange(1, 2, spent.movement(), holds=holds)
    paid = Journal(key_of("e"), await lots_of(database, 2))
    paid.grant("p", "points", 20, AssetWindow(AT_US, 0), (("brand", 20),))
    await database.write([of_kind(KeyKind.CHECKOUT, "d", own)])
    await database.write([of_kind(KeyKind.CHECKOUT, "e", AccountChange(2, 2, paid.movement()))])
    lots = await lots_of(database, 3)
    gone, kept = Journal(key_of("m"), lots), Journal(key_of("m"))
    gone.take(Book.CLEARING, "points", [(lots[0].lot_id, 40)])
    kept.receive(lots[0], 40)
    merged = AccountChange(3, 2, gone.movement(), merged_into=4)
    both = (AccountChange(4, 1, kept.movement()), merged)
    await database.write([of_kind(KeyKind.MERGE, "m", *both)])
    return database


def lot_id_of(name: str) -> bytes:
    return key_of(name) + b"\0\0"


async def lots_of(database: Database, account_id: int) -> tuple[OwnedLot, ...]:
    async with database.reading() as connection:
        return (await read_holdings(connection, account_id)).lots


def earned(name: str, account_id: int, amount_minor: int, version: int = 1) -> Commit:
    journal = Journal(key_of(name))
    journal.grant("p", "points", amount_minor, AssetWindow(AT_US, 0))
    return of_kind(KeyKind.CHECKOUT, name, AccountChange(account_id, version, journal.movement()))


def owed(name: str, account_id: int, amount_minor: int) -> Commit:
    journal = Journal(key_of(name))
    journal.owe(Book.CLEARING, "points", amount_minor, AT_US)
    return of_kind(KeyKind.CHECKOUT, name, AccountChange(account_id, 1, journal.movement()))


def of_kind(kind: KeyKind, name: str, *accounts: AccountChange) -> Commit:
    key_id = key_of(name)
    receipt = StoredReceipt(key_id, 1, AT_US, b"request", b"facts", b"answer")
    return Commit((CommitKey(key_id, kind, b""),), AT_US, AT_US, accounts, receipt=receipt)


async def test_a_ledger_that_is_right(ledger: Database) -> None:
    found = await audit_ledger(ledger, AT_US)
    assert found.problems == ()
    assert found.is_balanced
    assert (found.transfers, found.postings, found.lots) == (5, 10, 4)
    assert (found.balances, found.receipts, found.accounts) == (2, 5, 3)


async def test_a_ledger_with_debts_holds_and_merged_accounts_that_is_right(
    billing: Database,
) -> None:
    found = await audit_ledger(billing, AT_US)
    assert found.problems == ()
    assert (found.transfers, found.lots, found.lot_changes) == (7, 5, 4)
    assert (found.balances, found.holds, found.merged) == (4, 1, 1)


async def test_an_empty_ledger_proves_nothing(database: Database) -> None:
    found = await audit_ledger(database, AT_US)
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
        [
            "account 1: its balance in points is 155, its postings sum to 155, its lots to 154",
            "50 granted, its changes sum to 0, but 49 remain",
        ],
    ),
    "a lot is gone": (
        "delete from lot where granted_minor = 50",
        [
            "account 1: its balance in points is 155, its postings sum to 155, its lots to 105",
            "it posted 50 and 0 of debt in points, its lots changed by 0 and 0",
        ],
    ),
    "a lot holds more than it was granted": (
        "alter table lot drop constraint lot__remaining_minor__ck;"
        "update lot set remaining_minor = 101 where granted_minor = 100;"
        "update lot set remaining_minor = 49 where granted_minor = 50",
        [
            "101 remain of 100 granted",
            "100 granted, its changes sum to 0, but 101 remain",
            "50 granted, its changes sum to 0, but 49 remain",
            "its transfer posted 100, but 101 remain on all accounts",
        ],
    ),
    "a lot holds less than nothing": (
        "alter table lot drop constraint lot__remaining_minor__ck;"
        "update lot set remaining_minor = 151 - granted_minor * 3 where granted_minor in (50, 100);"
        "update lot set remaining_minor = 0 where granted_minor = 5;"
        "update balance set amount_minor = -148 where account_id = 1",
        [
            "its balance in points is -148, its postings sum to 155, its lots to -148",
            "-149 remain of 100 granted",
            "50 granted, its changes sum to 0, but 1 remain",
            "100 granted, its changes sum to 0, but -149 remain",
            "5 granted, its changes sum to 0, but 0 remain",
        ],
    ),
    "a lot was granted more than was posted": (
        "update lot set granted_minor = 200 where granted_minor = 100",
        [
            "200 granted, but its transfer posted 100",
            "200 granted, its changes sum to 0, but 100 remain",
            "it posted 100 and 0 of debt in points, its lots changed by 200 and 0",
        ],
    ),
    "a lot that no transfer made": (
        "update lot set lot_id = '\\x00' where granted_minor = 5",
        [
            "lot 00: its transfer posted nothing, but 5 remain on all accounts",
            "account 1: 0 times 5 in points came from other accounts, but 1 lots did",
            "it posted 5 and 0 of debt in points, its lots changed by 0 and 0",
        ],
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
        [
            "no commit key is behind it",
            "changed it, but posted nothing of its asset",
            "account 2: voids took 1 times 70 in points and changed no lot, but 0 lots",
        ],
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
    found = await audit_ledger(ledger, AT_US)
    assert not found.is_balanced
    assert len(found.problems) == len(wanted), found.problems
    for text in wanted:
        assert any(text in problem for problem in found.problems), found.problems


TAMPERED_BILLING = {
    "a debt is forgotten": (
        "update balance set debt_minor = 0 where account_id = 2",
        ["account 2: its debt in points is 0, its postings sum to 70, its lots to 70"],
    ),
    "a debt is a part of what it was": (
        "update lot set remaining_minor = 69 where kind = 2",
        [
            "account 2: its balance in points is -70, its postings sum to -70, its lots to -69",
            "account 2: its debt in points is 70, its postings sum to 70, its lots to 69",
            "90 granted, its changes sum to -20, but 69 remain",
        ],
    ),
    "a debt became value": (
        "update lot set kind = 1 where kind = 2",
        [
            "account 2: its balance in points is -70, its postings sum to -70, its lots to 70",
            "account 2: its debt in points is 70, its postings sum to 70, its lots to 0",
            "90 granted, but its transfer posted -90",
            "its transfer posted -90, but 70 remain on all accounts",
            "it posted 0 and 90 of debt in points, its lots changed by 90 and 0",
            "it posted 0 and -20 of debt in points, its lots changed by -20 and 0",
        ],
    ),
    "a lot of no kind": (
        "update lot set kind = 3 where account_id = 1",
        [
            "70 remain of 100 granted",
            "50 held in points of 70 that remain",
            "it posted 100 and 0 of debt in points, its lots changed by 0 and 0",
            "it posted -30 and 0 of debt in points, its lots changed by 0 and 0",
        ],
    ),
    "a change is another one": (
        "update lot_change set change_minor = -29 where account_id = 1",
        [
            "100 granted, its changes sum to -29, but 70 remain",
            "it posted -30 and 0 of debt in points, its lots changed by -29 and 0",
        ],
    ),
    "a change is gone": (
        "delete from lot_change where account_id = 1",
        [
            "100 granted, its changes sum to 0, but 70 remain",
            "it posted -30 and 0 of debt in points, its lots changed by 0 and 0",
        ],
    ),
    "a change of no lot": (
        "insert into lot_change select account_id, transfer_id, '\\x00', -1 from lot_change"
        " where account_id = 1",
        ["changed it, but there is no such lot"],
    ),
    "a change by no transfer": (
        "update lot_change set transfer_id = '\\x00' where account_id = 1",
        [
            "transfer 00 changed it, but posted nothing of its asset",
            "it posted -30 and 0 of debt in points, its lots changed by 0 and 0",
        ],
    ),
    "a change by a transfer of another asset": (
        "update posting set asset_code = 'stars' where account_id = 1 and amount_minor in (-30, 30)"
        " and book in (1, 5)",
        [
            "its balance in points is 70, its postings sum to 100, its lots to 70",
            "its balance in stars is missing, its postings sum to -30, its lots to 0",
            "posted nothing of its asset",
            "it posted -30 and 0 of debt in stars, its lots changed by 0 and 0",
        ],
    ),
    "more is held than is left": (
        "update hold set amount_minor = 71, lot_minors = '{71}' where amount_minor = 50",
        ["71 held in points of 70 that remain"],
    ),
    "two baskets hold more than is left": (
        "update hold set expires_at_us = expires_at_us + 1",
        ["110 held in points of 70 that remain"],
    ),
    "what is held is not there": (
        "update hold set lot_ids = array['\\x00'::bytea] where amount_minor = 50",
        ["lot 00 of account 1: 50 held in points of 0 that remain"],
    ),
    "what is held is a debt": (
        "update hold set account_id = 2, lot_ids = (select array_agg(lot_id) from lot"
        " where kind = 2) where amount_minor = 50",
        ["50 held in points of 70 that remain"],
    ),
    "a hold of more than its parts": (
        "update hold set amount_minor = 51 where amount_minor = 50",
        ["it is of 51 in points, its parts sum to 50"],
    ),
    "a hold without parts": (
        "update hold set lot_ids = '{}', lot_minors = '{}' where amount_minor = 50",
        ["it is of 50 in points, its parts sum to nothing"],
    ),
    "a hold with a part of no lot": (
        "update hold set lot_minors = '{50,0}' where amount_minor = 50",
        ["it is of 50 in points, its parts sum to 50"],
    ),
    "a merged account has a hold": (
        "update hold set account_id = 3 where amount_minor = 50",
        [
            "account 3: merged into 4, but 0 remain in its lots and 1 holds on it",
            "of account 3: 50 held in points of 0 that remain",
        ],
    ),
    "an account with something in it is merged": (
        "update account set merged_into = 4 where account_id = 1",
        ["account 1: merged into 4, but 70 remain in its lots and 1 holds on it"],
    ),
    "an account is merged into none": (
        "update account set merged_into = 77 where account_id = 3",
        ["account 3: merged into 77, but there is no such account"],
    ),
    "a lot is on two accounts": (
        "update lot set remaining_minor = 40 where account_id = 3",
        [
            "account 3: its balance in points is 0, its postings sum to 0, its lots to 40",
            "of account 3: 40 granted, its changes sum to -40, but 40 remain",
            "its transfer posted 40, but 80 remain on all accounts",
            "account 3: merged into 4, but 40 remain in its lots and 0 holds on it",
        ],
    ),
    "an answer of a merge is gone": (
        "delete from receipt where account_id = 4",
        [f"of kind 8 and day {DAY}: its receipt is missing"],
    ),
}


@pytest.mark.parametrize(
    ("tampering", "wanted"), TAMPERED_BILLING.values(), ids=TAMPERED_BILLING.keys()
)
async def test_is_found_in_billing(billing: Database, tampering: str, wanted: list[str]) -> None:
    async with billing.reading() as connection:
        await connection.execute(tampering)
    found = await audit_ledger(billing, AT_US)
    assert len(found.problems) == len(wanted), found.problems
    for text in wanted:
        assert any(text in problem for problem in found.problems), found.problems


@pytest.fixture
async def moved(database: Database) -> Database:
    """Account 1 with two spendings of one lot and what paid a debt; 2 merged into it, 3 emptied."""
    async with database.reading() as connection:
        await connection.execute("insert into account select n, 1 from generate_series(1, 3) n")
    await database.write([earned("a", 1, 100), earned("b", 2, 40), earned("c", 3, 70)])
    await database.write([earned("e", 2, 25, version=2)])
    for version, (name, amount_minor) in enumerate((("d", 30), ("f", 24)), 2):
        journal = Journal(key_of(name), await lots_of(database, 1))
        journal.take(Book.CLEARING, "points", [(lot_id_of("a"), amount_minor)])
        own = AccountChange(1, version, journal.movement())
        await database.write([of_kind(KeyKind.CHECKOUT, name, own)])
    journal = Journal(key_of("g"), await lots_of(database, 1))
    journal.owe(Book.CLEARING, "points", 15, AT_US)
    journal.grant("p", "points", 35, AssetWindow(AT_US, 0))
    await database.write([of_kind(KeyKind.CHECKOUT, "g", AccountChange(1, 4, journal.movement()))])
    await database.write([earned("h", 1, 35, version=5)])
    lots = await lots_of(database, 2)
    gone, kept = merge_accounts(key_of("m"), Holdings(lots), NO_HOLDINGS, AT_US)
    both = (AccountChange(1, 6, kept), AccountChange(2, 3, gone, merged_into=1))
    await database.write([of_kind(KeyKind.MERGE, "m", *both), void("c", 3, 2, 70)])
    return database


SWAPPED = "update {0} set {1} = (case abs({1}) when {2} then {3} else {2} end) * sign({1})"
PAID, UNPAID = (f"'\\x{id_.hex()}'" for id_ in (key_of("g") + b"\0\1", lot_id_of("h")))
TORN = {
    "two postings are swapped": (
        SWAPPED.format("posting", "amount_minor", 30, 24)
        + " where account_id = 1 and abs(amount_minor) in (24, 30)",
        [
            "it posted -24 and 0 of debt in points, its lots changed by -30 and 0",
            "it posted -30 and 0 of debt in points, its lots changed by -24 and 0",
        ],
    ),
    "two changes are swapped": (
        SWAPPED.format("lot_change", "change_minor", 30, 24)
        + " where account_id = 1 and change_minor in (-24, -30)",
        [
            "it posted -24 and 0 of debt in points, its lots changed by -30 and 0",
            "it posted -30 and 0 of debt in points, its lots changed by -24 and 0",
        ],
    ),
    "all that was spent stands with one transfer": (
        "delete from posting where account_id = 1 and abs(amount_minor) = 24;"
        "update posting set amount_minor = sign(amount_minor) * 54"
        " where account_id = 1 and abs(amount_minor) = 30",
        [
            "changed it, but posted nothing of its asset",
            "it posted -54 and 0 of debt in points, its lots changed by -30 and 0",
        ],
    ),
    "a debt was paid by another lot": (
        f"update posting set amount_minor = 20 where transfer_id = {UNPAID} and book = 1;"
        f"update posting set amount_minor = 35 where transfer_id = {PAID} and book = 1;"
        f"update posting set transfer_id = {UNPAID}, leg = 2"
        f" where transfer_id = {PAID} and book = 6",
        [
            "it posted 20 and -15 of debt in points, its lots changed by 35 and 0",
            "it posted 35 and 0 of debt in points, its lots changed by 20 and -15",
        ],
    ),
    "what came along is parted otherwise": (
        "update posting set amount_minor = sign(amount_minor) * 39"
        " where account_id = 1 and abs(amount_minor) = 40;"
        "update posting set amount_minor = sign(amount_minor) * 26"
        " where account_id = 1 and abs(amount_minor) = 25",
        [
            f"account 1: {posted} times {minor} in points came from other accounts, but {there}"
            for posted, minor, there in ((1, 39, 0), (1, 26, 0), (0, 40, 1), (0, 25, 1))
        ],
    ),
    "a part of a lot went without its void": (
        "update lot_change set transfer_id = lot_id, change_minor = -69 where account_id = 3;"
        "update lot set remaining_minor = 1 where account_id = 3;"
        "update posting set amount_minor = sign(amount_minor) * 69 where account_id = 3"
        " and transfer_id not in (select lot_id from lot);"
        "update balance set amount_minor = 1 where account_id = 3",
        [
            "account 3: voids took 1 times 69 in points and changed no lot, but 0 lots",
            "it posted 70 and 0 of debt in points, its lots changed by 1 and 0",
        ],
    ),
}


@pytest.mark.parametrize(("tampering", "wanted"), TORN.values(), ids=TORN.keys())
async def test_a_transfer_that_is_torn_from_its_lots_is_found(
    moved: Database, tampering: str, wanted: list[str]
) -> None:
    """All sums by account, asset and lot stay as they were."""
    assert (await audit_ledger(moved, AT_US)).problems == ()
    async with moved.reading() as connection:
        await connection.execute(tampering)
    found = await audit_ledger(moved, AT_US)
    assert len(found.problems) == len(wanted), found.problems
    for text in wanted:
        assert any(text in problem for problem in found.problems), found.problems


async def test_lots_that_voids_emptied_before_changes_were_kept(moved: Database) -> None:
    """Their change stands with the transfer that granted them."""
    async with moved.reading() as connection:
        await connection.execute("update lot_change set transfer_id = lot_id where account_id = 3")
    assert (await audit_ledger(moved, AT_US)).problems == ()


async def test_a_lapsed_hold_is_nobody_s_problem(billing: Database) -> None:
    async with billing.reading() as connection:
        await connection.execute("update hold set lot_minors = '{1000}', amount_minor = 1000")
    assert (await audit_ledger(billing, AT_US + 1)).problems == ()


OPEN, CLOSED = b"o" * 16, b"c" * 16
LEASES = """
insert into budget (budget_id, chain_id, promotion_id, store_id, period, most_times, most_minor,
                    leased_times, leased_minor)
values ('\\x01', 'c', 'p', '', '', 100, -1, 24, 30);
insert into budget_lease (budget_id, lease_id, server_id, times, amount_minor, expires_at_us)
select '\\x01', lease_id, 's', 20, -1, 1 from unnest($1::bytea[]) lease_id
"""


@pytest.fixture
async def budgeted(ledger: Database) -> Database:
    """A budget with an open and a closed lease; an overrun, and something that came back."""
    async with ledger.reading() as connection:
        for statement in LEASES.split(";"):
            arguments = ([OPEN, CLOSED],) if "$1" in statement else ()
            await connection.execute(statement, *arguments)
    used = (BudgetUse(b"\1", OPEN, 3, 9), BudgetUse(b"\1", CLOSED, 4, 30))
    back = (BudgetUse(b"\1", b"", -1, -5), BudgetUse(b"\1", b"", 2, 8, is_overrun=True))
    await ledger.write([replace(sale("u", 1, 3, 1), budget_uses=used)])
    await ledger.write([replace(sale("v", 2, 3, 1), budget_uses=back)])
    async with ledger.reading() as connection:
        await connection.execute("update budget_lease set is_open = false where used_times = 4")
    return ledger


async def test_budgets_that_are_right(budgeted: Database) -> None:
    found = await audit_ledger(budgeted, AT_US)
    assert found.problems == ()
    assert found.budgets == 1


TAMPERED_BUDGETS = {
    "a lease counts more": (
        "update budget_lease set used_times = 4 where is_open",
        ["6f6f of budget 01: it counts 4 times and 9, receipts used 3 and 9"],
    ),
    "a closed lease counts less": (
        "update budget_lease set used_minor = 29 where not is_open",
        [
            "it counts 4 times and 29, receipts used 4 and 30",
            "24 times and 30 are leased, its leases sum to 24 and 29",
        ],
    ),
    "a use of no lease": (
        "update budget_use set lease_id = '\\x02' where times = 3",
        [
            "it counts 3 times and 9, receipts used 0 and 0",
            "lease 02 of budget 01: it counts 0 times and 0, receipts used 3 and 9",
        ],
    ),
    "a chunk is forgotten": (
        "update budget set leased_times = 4",
        ["4 times and 30 are leased, its leases sum to 24 and 30"],
    ),
    "more is returned than came back": (
        "update budget set returned_minor = 6",
        ["1 times and 6 are returned, returns gave back 1 and 5"],
    ),
    "a use of a receipt that is not there": (
        "update budget_use set key_id = '\\x02', receipt_id = '\\x02' where is_overrun",
        ["receipt 02 used it, but no commit key is behind that"],
    ),
}


@pytest.mark.parametrize(
    ("tampering", "wanted"), TAMPERED_BUDGETS.values(), ids=TAMPERED_BUDGETS.keys()
)
async def test_is_found_in_budgets(budgeted: Database, tampering: str, wanted: list[str]) -> None:
    async with budgeted.reading() as connection:
        await connection.execute(tampering)
    found = await audit_ledger(budgeted, AT_US)
    assert len(found.problems) == len(wanted), found.problems
    for text in wanted:
        assert any(text in problem for problem in found.problems), found.problems


async def test_at_most_so_many_problems_are_listed(ledger: Database) -> None:
    async with ledger.reading() as connection:
        await connection.execute(
            "insert into balance select n, 'points', 1 from generate_series(1000, 1500) n"
        )
    found = await audit_ledger(ledger, AT_US)
    assert len(found.problems) == PROBLEMS_MAX
    assert found.balances == 503
