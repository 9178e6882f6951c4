"""The ledger on the real pipeline: one hot promotion against many, and what a redemption costs.

Receipts are decided here and written through the commit pipeline into an embedded PostgreSQL with
fsync on. Hot: all earn from one promotion with one budget and one party that funds it; else from
one of a thousand without budgets. Rounds alternate, the middle figure of each counts.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console

from bench.checkout import Server, _cpu_s
from rewards.commit import AccountChange, BudgetUse, Commit, CommitKey, KeyKind, StoredReceipt
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Book, Holdings, Movement
from rewards.picking import pick
from rewards.quota import NO_LIMIT, Amount, Budget
from server.budgets import Desk, Want
from server.clock import system_clock
from server.pipeline import Committed, Pipeline
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.holdings import read_holdings, read_lots_of_account
from server.store.leases import BudgetLeases
from server.store.migrate import migrate
from server.store.partitions import ensure_partitions

WAIT_S = 60.0
PROMOTIONS = 1_000
LOT_MINOR = 100
REQUEST_BYTES, FACTS_BYTES, ANSWER_BYTES = 900, 600, 2_000
"""Of a receipt of ten lines, about."""


class Size(NamedTuple):
    """How much is measured: receipts a round from so many tills; redemptions over so many lots."""

    tills: int
    receipts: int
    rounds: int
    lots: tuple[int, ...]
    redemptions: int


FULL = Size(tills=256, receipts=20_000, rounds=5, lots=(1, 100, 10_000), redemptions=9)
SMOKE = Size(tills=16, receipts=200, rounds=1, lots=(1, 100), redemptions=1)


class Ledger(NamedTuple):
    """What is measured, and the processes whose CPU counts."""

    database: Database
    pipeline: Pipeline
    desk: Desk
    server: Server


class Redeemed(NamedTuple):
    """One redemption, milliseconds: all of it but the reading; deciding alone; CPU of all."""

    total_ms: float
    read_ms: float
    decide_ms: float
    cpu_ms: float


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: always one here: the pipeline runs in this process.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    return asyncio.run(_measure(SMOKE if smoke else FULL, console))


async def _measure(size: Size, console: Console) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        with EmbeddedPostgres(data_dir) as embedded:
            async with _opened(data_dir, embedded.postmaster_pid) as ledger:
                figures = await _measure_hot(ledger, size, console)
                figures |= await _measure_redemptions(ledger, size, console)
    return figures


@asynccontextmanager
async def _opened(data_dir: Path, postmaster_pid: int | None) -> AsyncIterator[Ledger]:
    database = Database(None, data_dir, "loyalty-bench")
    await migrate(await database.ensure_running())
    await database.open()
    pipeline = Pipeline(database)
    pipeline.start()
    desk = Desk(BudgetLeases(database, "bench"), system_clock, partial(os.urandom, 16))
    desk.start()
    try:
        await ensure_partitions(database, system_clock())
        own = Server((), (), postmaster_pid)
        yield Ledger(database, pipeline, desk, own)
    finally:
        await desk.stop()
        await pipeline.drain()
        await database.close()


# --- one hot promotion -------------------------------------------------------------------------


class Tills:
    """Tills that sell to accounts of their own, so that none loses its version to another."""

    def __init__(self, ledger: Ledger, tills: int) -> None:
        """Start with accounts that have nothing.

        Args:
            ledger: where they sell.
            tills: how many; each has as many accounts as there are tills.
        """
        self._ledger = ledger
        self._tills = tills
        self._versions = [0] * (tills * tills)
        self._random = random.Random(1)
        self._padding = self._random.randbytes(REQUEST_BYTES + FACTS_BYTES + ANSWER_BYTES)
        self._budget = Budget(
            self._random.randbytes(16), "chain", "promotion-0", "", "", Amount(NO_LIMIT, 10**15)
        )

    async def open(self) -> None:
        """Make the accounts, and know the budget."""
        async with self._ledger.database.reading() as connection:
            await connection.execute(
                "insert into account (account_id, version) select n, 0"
                " from generate_series(1, $1::bigint) n",
                len(self._versions),
            )
        await self._ledger.desk.meet([self._budget], asyncio.get_running_loop().time() + WAIT_S)

    async def sell(self, receipts: int, is_hot: bool) -> float:
        """Sell from all tills at once; gives postings a second."""
        numbers = iter(range(receipts))
        began_s = time.perf_counter()
        postings = await asyncio.gather(
            *[self._sell(till, numbers, is_hot) for till in range(self._tills)]
        )
        return sum(postings) / (time.perf_counter() - began_s)

    async def _sell(self, till: int, numbers: Iterator[int], is_hot: bool) -> int:
        postings = 0
        for number in numbers:
            place = till * self._tills + number % self._tills
            key_id = self._random.randbytes(16)
            movement = _earned(key_id, 0 if is_hot else self._random.randrange(PROMOTIONS))
            uses = await self._uses() if is_hot else ()
            change = AccountChange(place + 1, self._versions[place], movement, 1, 739_000)
            fate = await _submit(self._ledger, self._commit(key_id, change, uses))
            self._ledger.desk.settle(uses, isinstance(fate, Committed))
            assert isinstance(fate, Committed), f"a receipt was not written: {fate}"
            self._versions[place] += 1
            postings += len(movement.postings)
        return postings

    async def _uses(self) -> tuple[BudgetUse, ...]:
        """Take a receipt's part of the budget, after leasing more of it where that must be."""
        while True:
            uses, shortages = self._ledger.desk.take([Want(self._budget, Amount(1, LOT_MINOR))])
            if not shortages:
                return uses
            deadline_s = asyncio.get_running_loop().time() + WAIT_S
            await self._ledger.desk.lease(shortages, deadline_s)

    def _commit(self, key_id: bytes, change: AccountChange, uses: tuple[BudgetUse, ...]) -> Commit:
        request, rest = self._padding[:REQUEST_BYTES], self._padding[REQUEST_BYTES:]
        now_us = system_clock()
        facts, answer = rest[:FACTS_BYTES], rest[FACTS_BYTES:]
        receipt = StoredReceipt(key_id, 1, now_us, request, facts, answer)
        key = CommitKey(key_id, KeyKind.CHECKOUT, key_id)
        return Commit((key,), now_us, now_us, (change,), receipt=receipt, budget_uses=uses)


def _earned(key_id: bytes, number: int) -> Movement:
    journal = Journal(key_id)
    funding = (("brand", LOT_MINOR),)
    window = AssetWindow(1, 0)
    journal.grant(f"promotion-{number}", "points", LOT_MINOR, window, funding)
    return journal.movement()


async def _submit(ledger: Ledger, commit: Commit) -> object:
    deadline_s = asyncio.get_running_loop().time() + WAIT_S
    return await ledger.pipeline.submit(commit, deadline_s)


async def _measure_hot(ledger: Ledger, size: Size, console: Console) -> dict[str, object]:
    tills = Tills(ledger, size.tills)
    await tills.open()
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-1, size.rounds):
        # Which of the two goes first alternates, so that neither always meets the larger tables.
        for is_hot in (True, False) if number % 2 else (False, True):
            rate = await tills.sell(size.receipts, is_hot)
            if number >= 0:
                rates[is_hot].append(rate)
                name = "hot" if is_hot else "many"
                console.print(f"round {number + 1} {name}: {rate:,.0f} postings/s")
    hot, many = median(rates[True]), median(rates[False])
    return {
        "postings_rate": round(many, 1),
        "hot_postings_rate": round(hot, 1),
        "hot_share": round(hot / many, 3),
    }


# --- redemptions -------------------------------------------------------------------------------


async def _measure_redemptions(ledger: Ledger, size: Size, console: Console) -> dict[str, object]:
    figures: dict[str, object] = {}
    for number, lots in enumerate(size.lots):
        account_id = 10**9 + number
        version = await _grant_lots(ledger, account_id, lots)
        found = []
        for _ in range(size.redemptions + 1):
            found.append(await _redeem(ledger, account_id, version, lots * LOT_MINOR))
            version = await _put_back(ledger, account_id, version + 1)
        middle = [round(median(column), 3) for column in zip(*found[1:], strict=True)]
        names = (f"redeem_ms_{lots}", f"redeem_read_ms_{lots}", f"redeem_decide_ms_{lots}")
        figures |= dict(zip((*names, f"redeem_cpu_ms_{lots}"), middle, strict=True))
        console.print(f"{lots} lots: {middle[0]:,.1f} ms, {middle[3]:,.1f} ms CPU")
    return figures


async def _grant_lots(ledger: Ledger, account_id: int, lots: int) -> int:
    """Open an account with so many lots, each ending an hour after the one before."""
    async with ledger.database.reading() as connection:
        await connection.execute(
            "insert into account (account_id, version) values ($1, 0)", account_id
        )
    key_id = os.urandom(16)
    journal = Journal(key_id)
    ends_us = system_clock() + 10**15
    for n in range(lots):
        window = AssetWindow(1, ends_us + n * 3_600_000_000)
        journal.grant("promotion-0", "points", LOT_MINOR, window)
    await _write(ledger, key_id, AccountChange(account_id, 0, journal.movement()))
    return 1


async def _redeem(ledger: Ledger, account_id: int, version: int, amount_minor: int) -> Redeemed:
    """Spend everything: pick, post, and write it durably; reading the lots counts apart."""
    key_id = os.urandom(16)
    read_from_s = time.perf_counter()
    holdings = await _holdings(ledger, account_id)
    read_ms = (time.perf_counter() - read_from_s) * 1_000
    cpu_s = _spent_s(ledger)
    began_s = time.perf_counter()
    journal = Journal(key_id, holdings.lots)
    picked = pick(holdings, "points", amount_minor, system_clock())
    assert not picked.missing_minor, "everything can be spent"
    journal.take(Book.CLEARING, "points", picked.picks)
    change = AccountChange(account_id, version, journal.movement())
    decided_s = time.perf_counter()
    await _write(ledger, key_id, change)
    done_s = time.perf_counter()
    return Redeemed(
        total_ms=(done_s - began_s) * 1_000,
        read_ms=read_ms,
        decide_ms=(decided_s - began_s) * 1_000,
        cpu_ms=(_spent_s(ledger) - cpu_s) * 1_000,
    )


async def _put_back(ledger: Ledger, account_id: int, version: int) -> int:
    """Give back what was spent, so that it can be spent again."""
    async with ledger.database.reading() as connection:
        lots = await read_lots_of_account(connection, account_id)
    key_id = os.urandom(16)
    journal = Journal(key_id, lots)
    journal.give_back("points", [(lot.lot_id, lot.granted_minor) for lot in lots])
    await _write(ledger, key_id, AccountChange(account_id, version, journal.movement()))
    return version + 1


async def _holdings(ledger: Ledger, account_id: int) -> Holdings:
    async with ledger.database.reading() as connection:
        return await read_holdings(connection, account_id)


async def _write(ledger: Ledger, key_id: bytes, change: AccountChange) -> None:
    now_us = system_clock()
    key = CommitKey(key_id, KeyKind.REFUND_TURN, b"")
    fate = await _submit(ledger, Commit((key,), now_us, now_us, (change,)))
    assert isinstance(fate, Committed), f"it was not written: {fate}"


def _spent_s(ledger: Ledger) -> float:
    """CPU seconds of this process and of PostgreSQL."""
    return time.process_time() + _cpu_s(ledger.server)
