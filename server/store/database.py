"""The one database: its pool, its supervision if it is embedded, and what its errors mean.

Nothing above `server.store` sees asyncpg: errors arrive as the classes of this module.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import structlog
from asyncpg.transaction import Transaction

from rewards.commit import Commit
from rewards.quota import Amount
from server.store import commits, facts, holdings, prices
from server.store.account_changes import LostRowError
from server.store.budget_holds import HeldLease, read_held_leases
from server.store.commits import KeysTakenError, PartlyLostError, WrittenBatch
from server.store.embedded import EmbeddedPostgres
from server.store.facts import AnyConnection, KnownCustomer, KnownKey
from server.store.forwarded import Parked, read_parked_of
from server.store.pool import Pool, PooledConnection, PoolSettings, classify, create_pool

READERS_MAX = 3
ALONE_MAX = 2
"""Of the pool's connections: single reads, and commits under a lock, whose decision may read too.
What is left is for look-ups and for a batch of each pipeline, so that none waits in a circle."""
RECOVERY_PAUSE_S = 0.1
"""Between two attempts to reach a database that is down."""

_log = structlog.get_logger(__name__)


class StoreError(Exception):
    """Base of what can go wrong with a batch."""


class PoisonError(StoreError):
    """Some row of the batch can never be stored."""


class RetryError(StoreError):
    """Nothing is wrong with the rows: run it again.

    Attributes:
        fate_unknown: COMMIT was sent and its answer was lost: read the keys first.
    """

    def __init__(self, message: str, fate_unknown: bool) -> None:
        """Keep the facts."""
        super().__init__(message)
        self.fate_unknown = fate_unknown


class Found:
    """Rows that one round of look-ups found."""

    __slots__ = ("customers", "held", "identifiers", "keys", "leases", "prices", "uses")

    def __init__(
        self,
        keys: dict[bytes, KnownKey],
        identifiers: dict[bytes, tuple[int, int]],
        customers: dict[tuple[int, int], KnownCustomer],
        prices: dict[bytes, tuple[int, int]] | None = None,
        uses: dict[int, dict[tuple[str, str], Amount]] | None = None,
        held: dict[bytes, tuple[int, ...]] | None = None,
        leases: dict[bytes, tuple[HeldLease, ...]] | None = None,
    ) -> None:
        """Keep the rows."""
        self.keys = keys
        self.identifiers = identifiers
        self.customers = customers
        self.prices = prices or {}
        self.uses = uses or {}
        self.held = held or {}
        self.leases = leases or {}


assert READERS_MAX + ALONE_MAX + 2 < PoolSettings().size_max, "look-ups and batches need their own"

_Result = TypeVar("_Result")
_Other = TypeVar("_Other")
DecideAlone = Callable[[AnyConnection], Awaitable[Commit]]


class Database:
    """Connections to the database, embedded or not."""

    def __init__(self, dsn: str | None, data_dir: Path, application_name: str) -> None:
        """Remember where the database is; `open` connects.

        Args:
            dsn: a real database; None starts the embedded one.
            data_dir: where the embedded one keeps its data.
            application_name: what pg_stat_activity shows.
        """
        self._dsn = dsn
        self._embedded = None if dsn else EmbeddedPostgres(data_dir)
        self._application_name = application_name
        self._pool: Pool | None = None
        self._recovery = asyncio.Lock()
        self._readers = asyncio.Semaphore(READERS_MAX)
        self._alone = asyncio.Semaphore(ALONE_MAX)

    async def ensure_running(self) -> str:
        """Start the embedded database if it is not running; give the DSN.

        Raises:
            EmbeddedPostgresError: it cannot be started.
        """
        if self._embedded is None:
            assert self._dsn is not None
            return self._dsn
        return await asyncio.to_thread(self._embedded.ensure_running)

    async def open(self) -> None:
        """Connect."""
        dsn = await self.ensure_running()
        self._pool = await create_pool(dsn, PoolSettings(), application_name=self._application_name)

    async def close(self) -> None:
        """Disconnect; stop the embedded database if nobody else uses it."""
        if self._pool is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), timeout=5.0)
            self._pool = None
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    @property
    def pool(self) -> Pool:
        """The pool, once open."""
        assert self._pool is not None, "the database is not open"
        return self._pool

    async def recover(self) -> None:
        """Wait a moment and see that the embedded database runs. Never raises for a database."""
        async with self._recovery:
            await asyncio.sleep(RECOVERY_PAUSE_S)
            try:
                await self.ensure_running()
            except Exception as error:
                _log.warning("database_not_recovered", error=str(error))

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AnyConnection]:
        """A connection for a short read; few at a time.

        Raises:
            RetryError: the database cannot be reached just now.
            PoisonError: a value that PostgreSQL does not take.
        """
        async with self._readers, self._connected() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AnyConnection]:
        try:
            async with self.pool.acquire() as connection:
                yield connection
        except Exception as error:
            raise store_error(error, fate_unknown=False) from error

    async def find(
        self,
        key_ids: Sequence[bytes],
        hashes: Sequence[bytes],
        price_keys: Sequence[bytes] = (),
        uses: Sequence[tuple[int, tuple[str, ...]]] = (),
        hold_ids: Sequence[bytes] = (),
        lease_hold_ids: Sequence[bytes] = (),
    ) -> Found:
        """Look up keys, customers by hashes of identifiers, prices of lists, uses, and holds.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        if hashes and key_ids:
            # Keys need nothing of the rest. What is used and held is read after the versions of
            # accounts: who decides on an older state of it loses.
            known, found = await both(
                self.known_keys(key_ids),
                self.find((), hashes, price_keys, uses, hold_ids, lease_hold_ids),
            )
            found.keys = known
            return found
        async with self._connected() as connection:
            keys = await facts.read_keys(connection, key_ids) if key_ids else {}
            identifiers, customers = (
                await facts.read_owners(connection, hashes) if hashes else ({}, {})
            )
            priced = await prices.read_prices(connection, price_keys) if price_keys else {}
            used = await facts.read_uses(connection, uses) if uses else {}
            held = await holdings.read_held_by_id(connection, hold_ids) if hold_ids else {}
            leases = await read_held_leases(connection, lease_hold_ids) if lease_hold_ids else {}
            return Found(keys, identifiers, customers, priced, used, held, leases)

    async def parked_of(self, original_key_ids: Sequence[bytes]) -> list[Parked]:
        """Look up what waits for some sales.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        async with self._connected() as connection:
            return await read_parked_of(connection, original_key_ids)

    async def known_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, KnownKey]:
        """Read which keys exist.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        async with self._connected() as connection:
            return await facts.read_keys(connection, key_ids)

    async def write(self, batch: Sequence[Commit]) -> WrittenBatch:
        """Write a batch in one transaction; durable when this returns.

        Raises:
            KeysTakenError: run again without the commits of those keys.
            PartlyLostError: run again without those commits.
            PoisonError: bisect.
            RetryError: run the whole batch again.
        """

        async def write_all(connection: AnyConnection) -> WrittenBatch:
            return await commits.write_batch(connection, batch)

        return await self._transact(write_all)

    async def write_alone(self, account_ids: Sequence[int], decide: DecideAlone) -> Commit:
        """Decide and write one commit while its accounts are locked.

        Args:
            account_ids: the accounts that keep losing their version to others, sorted.
            decide: reads on the connection and decides; may raise a refusal, which passes through.

        Raises:
            KeysTakenError, PoisonError, RetryError: as `write`.
            PartlyLostError: it was decided on other accounts than those that were locked.
        """

        async def lock_and_write(connection: AnyConnection) -> Commit:
            # One after the other: a statement over many would not run on a distributed database.
            for account_id in account_ids:
                await facts.lock_account(connection, account_id)
            commit = await decide(connection)
            written = await commits.write_batch(connection, [commit])
            if written.won != (0,):
                raise PartlyLostError(frozenset({0}))
            return commit

        async with self._alone:
            return await self._transact(lock_and_write)

    async def _transact(self, work: Callable[[AnyConnection], Awaitable[_Result]]) -> _Result:
        commit_sent = False
        try:
            async with self.pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    result = await work(connection)
                except BaseException:
                    await _roll_back(connection, transaction)
                    raise
                commit_sent = True
                await transaction.commit()
                return result
        except (KeysTakenError, PartlyLostError):
            raise
        except Exception as error:
            raise store_error(error, fate_unknown=commit_sent) from error


async def _roll_back(connection: PooledConnection, transaction: Transaction) -> None:
    """Roll back; a connection that cannot, as one cut off inside COPY, is not used again."""
    try:
        await transaction.rollback()
    except Exception:
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()


async def both(
    first: Coroutine[Any, Any, _Result], second: Coroutine[Any, Any, _Other]
) -> tuple[_Result, _Other]:
    """Read two things beside each other; what one of them raises ends the other, too."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def store_error(error: Exception, fate_unknown: bool) -> Exception:
    """What an error means for a batch; errors that are not the database's pass as they are.

    Args:
        error: what was raised.
        fate_unknown: COMMIT had been sent. Unless PostgreSQL itself has answered it, nobody may
            be told that nothing is recorded, whatever the error is.
    """
    fate = classify(error)
    lost_answer = fate_unknown and not isinstance(error, asyncpg.PostgresError)
    if fate == "retry" or lost_answer:
        return RetryError(str(error) or type(error).__name__, fate_unknown)
    if fate in ("poison", "conflict") or isinstance(error, LostRowError):
        return PoisonError(str(error))
    return error
