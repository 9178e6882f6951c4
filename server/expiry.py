"""The expiry job: takes out of accounts what has expired by the clock port, portion by portion.

Every server process runs it; an account's version decides who posts, so several do no harm, and
neither does a redemption in the middle. What a basket holds is left until its hold ends.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog
from msgspec import Struct

from rewards.commit import AccountChange, Commit, CommitKey, KeyKind
from rewards.expiring import expire
from rewards.ledger import NOTHING, Movement
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from server.pipeline import Committed
from server.store.database import RetryError
from server.store.expiries import read_expired
from server.store.facts import read_account
from server.store.holdings import read_holdings
from server.till.context import Context

PORTION_LOTS = 1_000
"""Lots that one look finds; their accounts are worked on before the next look."""
TOGETHER = 16
"""Accounts worked on at a time: a batch of the pipeline has room for tills."""
COMMIT_TIMEOUT_S = 30.0

_log = structlog.get_logger(__name__)


class Expired(Struct, frozen=True):
    """What a run took out.

    Attributes:
        accounts: from how many accounts.
        amounts: (asset code, minor units), by code.
        lost: accounts that somebody else changed meanwhile: the next run looks again.
        more: the run ended at its limit, or gave way to another process.
    """

    accounts: int = 0
    amounts: tuple[tuple[str, int], ...] = ()
    lost: int = 0
    more: bool = False


class Expiry:
    """Expires lots of all accounts of the database."""

    def __init__(self, context: Context, pause_s: float) -> None:
        """Start idle; `start` begins to work.

        Args:
            context: ports.
            pause_s: between two runs; 0 never runs by itself.
        """
        self._context = context
        self._pause_s = pause_s
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look every `pause_s` seconds."""
        if self._pause_s:
            self._worker = asyncio.create_task(self._work(), name="expiry")

    async def stop(self) -> None:
        """Stop; what is being written is written, or not, as a whole."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def run(self, accounts_max: int) -> Expired:
        """Take out what has expired now.

        Args:
            accounts_max: the run ends after about so many accounts.

        Raises:
            RetryError: the database cannot be reached just now; running again is safe.
            Refusal: STORE_UNAVAILABLE and its like; running again is safe.
        """
        amounts: Counter[str] = Counter()
        accounts = lost = 0
        after = (0, 0)
        now_us = self._context.clock()
        while True:
            async with self._context.database.reading() as connection:
                found = await read_expired(connection, now_us, after, PORTION_LOTS)
            if not found:
                return Expired(accounts, tuple(sorted(amounts.items())), lost)
            after = found[-1]
            account_ids = sorted({account_id for _, account_id in found})
            movements = await self._expire_all(account_ids)
            posted = [movement for movement in movements if movement and movement.postings]
            for movement in posted:
                for change in movement.balance_changes:
                    amounts[change.asset_code] -= change.amount_minor
            accounts += len(posted)
            lost_now = movements.count(None)
            lost += lost_now
            # Whoever loses most accounts works beside another process: that one goes on.
            if accounts >= accounts_max or 2 * lost_now > len(account_ids):
                return Expired(accounts, tuple(sorted(amounts.items())), lost, more=True)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            try:
                done = await self.run(accounts_max=2**31)
            except (RetryError, Refusal) as error:
                _log.warning("expiry_interrupted", error=str(error))
            except Exception:
                _log.exception("expiry_failed")
            else:
                if done.accounts:
                    _log.info("expired", accounts=done.accounts, amounts=dict(done.amounts))

    async def _expire_all(self, account_ids: Sequence[int]) -> list[Movement | None]:
        done: list[Movement | None] = []
        for first in range(0, len(account_ids), TOGETHER):
            some = account_ids[first : first + TOGETHER]
            done += await asyncio.gather(*(self._try_expire(account_id) for account_id in some))
        return done

    async def _try_expire(self, account_id: int) -> Movement | None:
        """As `_expire`; an account that can never be expired does not stop the others."""
        try:
            return await self._expire(account_id)
        except RetryError:
            raise
        except Refusal as refusal:
            if refusal.reason is not Reason.INTERNAL:
                raise
            _log.exception("account_not_expired", account_id=account_id)
        except Exception:
            _log.exception("account_not_expired", account_id=account_id)
        return NOTHING

    async def _expire(self, account_id: int) -> Movement | None:
        """Take out of one account what has expired; None if somebody was faster."""
        context = self._context
        now_us = context.clock()
        async with context.database.reading() as connection:
            # The version before the lots: a change between the two makes us lose.
            account = await read_account(connection, account_id)
            assert account is not None, "a lot has an account"
            holdings = await read_holdings(connection, account_id)
        key_id = expiry_key_id_of(account_id, account.version)
        movement = expire(key_id, holdings, now_us)
        if not movement.postings:
            return movement
        commit = Commit(
            keys=(CommitKey(key_id, KeyKind.EXPIRY, b""),),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=(AccountChange(account_id, account.version, movement),),
        )
        deadline_s = asyncio.get_running_loop().time() + COMMIT_TIMEOUT_S
        fate = await context.patient.submit(commit, deadline_s)
        return movement if isinstance(fate, Committed) else None


def expiry_key_id_of(account_id: int, version: int) -> bytes:
    """The key of an expiry: one for each version of an account.

    Ids of bearers' accounts are below 0.
    """
    account = account_id.to_bytes(8, "big", signed=True)
    return derived_key_id(b"expiry", account, version.to_bytes(8, "big"))
