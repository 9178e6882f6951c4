"""What commits write of accounts: lots and their history, debts, holds, uses, merges.

Each test decides with the pure core, writes through the store, and reads back by the store.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from rewards.commit import (
    UNCHANGED,
    AccountChange,
    AccountKind,
    Commit,
    CommitKey,
    KeyKind,
    NewAccount,
    PromotionUse,
)
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import NO_HOLDINGS, NOTHING, Book, Hold, Holdings, LotKind, Movement
from rewards.picking import pick
from server.store.commits import PartlyLostError, WrittenBatch
from server.store.database import Database, PoisonError
from server.store.facts import read_account
from server.store.holdings import (
    read_changes_of_key,
    read_held_accounts,
    read_holdings,
    read_lots,
    read_lots_of_key,
)
from tests import make

AT_US = make.NOON_US
ALWAYS = AssetWindow(AT_US, 0)


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    async with opened.reading() as connection:
        await connection.execute("insert into account select n, 0 from generate_series(1, 9) n")
    yield opened
    await opened.close()


def commit_of(name: str, *accounts: AccountChange, new: tuple[NewAccount, ...] = ()) -> Commit:
    key = CommitKey(make.key_id(name), KeyKind.CHECKOUT, b"")
    return Commit((key,), AT_US, AT_US, accounts, new)


async def write(database: Database, *commits: Commit) -> WrittenBatch:
    return await database.write(commits)


async def holdings_of(database: Database, account_id: int = 1) -> Holdings:
    async with database.reading() as connection:
        return await read_holdings(connection, account_id)


async def row(database: Database, query: str) -> tuple[object, ...]:
    async with database.reading() as connection:
        found = await connection.fetchrow(query)
    assert found is not None
    return tuple(found.values())


def granted(name: str, amount_minor: int, holdings: Holdings = NO_HOLDINGS) -> Movement:
    journal = Journal(make.key_id(name), holdings.lots)
    journal.grant("p", "points", amount_minor, ALWAYS, (("brand", amount_minor),))
    return journal.movement()


def owed(name: str, amount_minor: int) -> Movement:
    journal = Journal(make.key_id(name))
    journal.owe(Book.CLEARING, "points", amount_minor, AT_US)
    return journal.movement()


async def test_a_lot_is_read_back_as_it_was_granted(database: Database) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, granted("a", 100))))
    (lot,) = (await holdings_of(database)).lots
    assert (lot.granted_minor, lot.remaining_minor, lot.kind) == (100, 100, LotKind.VALUE)
    assert (lot.promotion_id, lot.funding) == ("p", (("brand", 100),))
    assert (lot.active_from_us, lot.expires_at_us) == (AT_US, 0)


async def test_what_was_given_beyond_a_budget_goes_back_there(database: Database) -> None:
    journal = Journal(make.key_id("a"))
    journal.grant("p", "points", 100, ALWAYS, (("brand", 60), ("", 40)), Book.OVERRUN)
    await write(database, commit_of("a", AccountChange(1, 0, journal.movement())))
    lots = (await holdings_of(database)).lots
    journal = Journal(make.key_id("b"), lots)
    journal.take_back(lots[0].lot_id, 100)
    await write(database, commit_of("b", AccountChange(1, 1, journal.movement())))
    books = (
        "select array_agg(distinct book), sum(amount_minor) filter (where party_id = 'brand'),"
        " sum(amount_minor) filter (where book = 7) from posting"
    )
    assert await row(database, books) == ([1, 7], 0, 0)


async def test_what_was_spent_of_a_lot_is_kept_by_its_transfer(database: Database) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, granted("a", 100))))
    holdings = await holdings_of(database)
    journal = Journal(make.key_id("b"), holdings.lots)
    journal.take(Book.CLEARING, "points", pick(holdings, "points", 30, AT_US).picks)
    journal.take(Book.CLEARING, "points", pick(holdings, "points", 5, AT_US).picks)
    await write(database, commit_of("b", AccountChange(1, 1, journal.movement())))
    (lot,) = (await holdings_of(database)).lots
    assert lot.remaining_minor == 65
    async with database.reading() as connection:
        changes = await read_changes_of_key(connection, 1, make.key_id("b"))
        assert await read_changes_of_key(connection, 1, make.key_id("a")) == ()
        assert await read_lots_of_key(connection, 1, make.key_id("a")) == (lot,)
        assert await read_lots_of_key(connection, 1, make.key_id("b")) == ()
    assert [(one.lot_id, one.change_minor) for one in changes] == [
        (lot.lot_id, -30),
        (lot.lot_id, -5),
    ]
    assert {one.transfer_id[:16] for one in changes} == {make.key_id("b")}


async def test_a_million_points_are_spent_over_ten_thousand_lots(database: Database) -> None:
    """Soonest to expire first, in one commit, and what was not needed stays."""
    journal = Journal(make.key_id("a"))
    for n in range(10_001):
        journal.grant("p", "points", 100, AssetWindow(AT_US, AT_US + 20_000 - n))
    await write(database, commit_of("a", AccountChange(1, 0, journal.movement())))
    holdings = await holdings_of(database)
    picked = pick(holdings, "points", 1_000_000, AT_US)
    assert (len(picked.picks), picked.missing_minor) == (10_000, 0)
    journal = Journal(make.key_id("b"), holdings.lots)
    journal.take(Book.CLEARING, "points", picked.picks)
    movement = journal.movement()
    assert len(movement.postings) == 2
    await write(database, commit_of("b", AccountChange(1, 1, movement)))
    (lot,) = (await holdings_of(database)).lots
    assert (lot.remaining_minor, lot.expires_at_us) == (100, AT_US + 20_000)
    assert await row(database, "select amount_minor from balance") == (100,)


async def test_a_debt_is_paid_out_of_the_next_lot(database: Database) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, owed("a", 70))))
    balance = "select amount_minor, debt_minor from balance where account_id = 1"
    assert await row(database, balance) == (-70, 70)
    paid = granted("b", 50, await holdings_of(database))
    await write(database, commit_of("b", AccountChange(1, 1, paid)))
    assert await row(database, balance) == (-20, 20)
    paid = granted("c", 50, await holdings_of(database))
    await write(database, commit_of("c", AccountChange(1, 2, paid)))
    assert await row(database, balance) == (30, 0)
    (lot,) = (await holdings_of(database)).lots
    assert (lot.granted_minor, lot.remaining_minor) == (50, 30)


async def test_uses_are_counted_and_taken_back_but_not_below_nothing(database: Database) -> None:
    uses = "select times, amount_minor from promotion_use where account_id = 1"

    async def use(name: str, version: int, times: int, amount_minor: int) -> None:
        used = (PromotionUse("p", "2026-11", times, amount_minor),)
        change = AccountChange(1, version, NOTHING, 0, UNCHANGED, uses=used)
        await write(database, commit_of(name, change))

    await use("a", 0, 2, 500)
    await use("b", 1, 1, 100)
    assert await row(database, uses) == (3, 600)
    await use("c", 2, -1, -100)
    assert await row(database, uses) == (2, 500)
    await use("d", 3, -3, -500)
    assert await row(database, uses) == (0, 0)


async def test_taking_back_uses_that_were_never_counted_counts_nothing(database: Database) -> None:
    used = (PromotionUse("p", "", -1, -100),)
    won = await write(database, commit_of("a", AccountChange(1, 0, uses=used)))
    assert won == WrittenBatch((0,), ())
    assert await row(database, "select count(*) from promotion_use") == (0,)


async def test_a_hold_takes_the_place_of_the_older_one_until_it_is_released(
    database: Database,
) -> None:
    hold = Hold(make.key_id("basket"), "points", 30, ((b"one", 10), (b"two", 20)), AT_US)
    other = replace(hold, hold_id=make.key_id("other"))
    later = replace(hold, amount_minor=5, picks=((b"one", 5),), expires_at_us=AT_US + 9)
    await write(database, commit_of("a", AccountChange(1, 0, holds=(hold, other))))
    assert set((await holdings_of(database)).holds) == {hold, other}
    await write(database, commit_of("b", AccountChange(1, 1, holds=(later,))))
    assert set((await holdings_of(database)).holds) == {later, other}
    async with database.reading() as connection:
        assert await read_held_accounts(connection, hold.hold_id) == [1]
    await write(database, commit_of("c", AccountChange(1, 2, released=(hold.hold_id,))))
    assert (await holdings_of(database)).holds == (other,)


async def test_a_basket_that_is_reserved_anew_keeps_none_of_its_older_holds(
    database: Database,
) -> None:
    hold = Hold(make.key_id("basket"), "points", 30, ((b"one", 30),), AT_US)
    coupon = replace(hold, asset_code="coupon.x", amount_minor=1, picks=((b"two", 1),))
    await write(database, commit_of("a", AccountChange(1, 0, holds=(hold, coupon))))
    again = AccountChange(1, 1, holds=(hold,), released=(hold.hold_id,))
    await write(database, commit_of("b", again))
    assert (await holdings_of(database)).holds == (hold,)


async def test_a_merge_moves_lots_with_their_ids_and_marks_the_account(database: Database) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, granted("a", 100))))
    lots = (await holdings_of(database)).lots
    gone, kept = Journal(make.key_id("m"), lots), Journal(make.key_id("m"))
    gone.take(Book.CLEARING, "points", [(lots[0].lot_id, 100)])
    kept.receive(lots[0], 100)
    from_1 = AccountChange(1, 1, gone.movement(), merged_into=2)
    await write(database, commit_of("m", AccountChange(2, 0, kept.movement()), from_1))
    assert (await holdings_of(database)).lots == ()
    assert (await holdings_of(database, 2)).lots == lots
    assert await row(database, "select version, merged_into from account where account_id = 1") == (
        2,
        2,
    )
    async with database.reading() as connection:
        (empty,) = await read_lots(connection, 1, [lots[0].lot_id])
        assert empty == replace(lots[0], remaining_minor=0)


async def test_a_commit_of_two_accounts_wins_both_or_none(database: Database) -> None:
    both = commit_of("a", AccountChange(1, 0), AccountChange(2, 5))
    with pytest.raises(PartlyLostError) as lost:
        await write(database, commit_of("b", AccountChange(3, 0)), both)
    assert lost.value.lost == {1}
    versions = "select sum(version) from account"
    assert await row(database, versions) == (0,)
    neither = commit_of("a", AccountChange(1, 5), AccountChange(2, 5))
    won = await write(database, commit_of("b", AccountChange(3, 0)), neither)
    assert won == WrittenBatch((0,), (1,))


async def test_an_account_is_opened_with_what_it_is_given(database: Database) -> None:
    new = NewAccount(77, AccountKind.BEARER, granted("a", 1))
    await write(database, commit_of("a", new=(new,)))
    async with database.reading() as connection:
        account = await read_account(connection, 77)
    assert account is not None
    assert (account.version, account.balances) == (0, {"points": 1})
    with pytest.raises(PoisonError):
        await write(database, commit_of("b", new=(NewAccount(77, AccountKind.BEARER),)))


async def test_canary_a_change_of_a_lot_that_is_not_there_is_not_written(
    database: Database,
) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, granted("a", 100))))
    lots = (await holdings_of(database)).lots
    journal = Journal(make.key_id("b"), lots)
    journal.take(Book.CLEARING, "points", [(lots[0].lot_id, 100)])
    stranger = commit_of("b", AccountChange(2, 0, journal.movement()))
    with pytest.raises(PoisonError, match="lots"):
        await write(database, stranger)
    assert await row(database, "select count(*) from commit_key") == (1,)


async def test_canary_a_debt_that_is_not_there_is_not_paid(database: Database) -> None:
    await write(database, commit_of("a", AccountChange(1, 0, owed("a", 70))))
    paid = granted("b", 50, await holdings_of(database))
    with pytest.raises(PoisonError):
        await write(database, commit_of("b", AccountChange(2, 0, paid)))
    assert await row(database, "select count(*) from commit_key") == (1,)
