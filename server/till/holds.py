"""What a basket holds on accounts: replaced by each Quote, freed by Release, lapsed by itself.

A hold is written without a key: the version of the account makes it happen once, and a repetition
writes the same hold again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from rewards.commit import AccountChange, Commit
from rewards.facts import Spent
from rewards.ledger import Hold
from rewards.picking import pick
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from rewards.spending import Purse
from server.pipeline import VersionLost
from server.store.commits import PartlyLostError
from server.store.database import RetryError
from server.store.facts import AnyConnection, KnownKey, read_account
from server.till.context import Context

MINUTE_US = 60_000_000
ROUNDS_TOGETHER = 3
"""Attempts in batches with others; then alone."""

DecideHolds = Callable[[], Awaitable[Commit | None]]


def hold_id_of(basket_id: bytes) -> bytes:
    """Under which id a basket holds: 16 bytes; empty without a basket."""
    return derived_key_id(b"hold", basket_id) if basket_id else b""


def basket_key_id_of(basket_id: bytes) -> bytes:
    """The key that a basket takes when it is sold: 16 bytes; empty without a basket."""
    return derived_key_id(b"basket", basket_id) if basket_id else b""


def basket_sold(known: KnownKey) -> Refusal:
    """Why a basket cannot be sold or hold anything: it was sold.

    Args:
        known: the basket's key, which keeps the receipt it was sold as in place of a fingerprint.
    """
    sold_as = known.fingerprint.hex()
    text = f"the basket was sold before, as receipt {sold_as}"
    return Refusal(Reason.BASKET_SOLD, text, {"receipt_id": sold_as})


def holds_for(purse: Purse, spends: Iterable[Spent], expires_at_us: int) -> tuple[Hold, ...]:
    """What a basket holds so that it can spend.

    Args:
        purse: of the account, with the basket's hold_id.
        spends: what it is going to spend, each covered by the purse.
        expires_at_us: UTC microseconds.
    """
    found = []
    for one in spends:
        picked = pick(purse.holdings, one.asset_code, one.amount_minor, purse.at_us, purse.hold_id)
        assert not picked.missing_minor, "more is spent than the purse holds"
        found.append(
            Hold(purse.hold_id, one.asset_code, one.amount_minor, picked.picks, expires_at_us)
        )
    return tuple(found)


def holding_commit(
    hold_id: bytes,
    wanted: Mapping[int, tuple[Hold, ...]],
    held: Collection[int],
    versions: Mapping[int, int],
    now_us: int,
) -> Commit | None:
    """What is written so that a basket holds this and nothing else; None if that is so already.

    Args:
        hold_id: the basket's.
        wanted: by account.
        held: accounts on which the basket holds something now.
        versions: of all these accounts, read before what was decided.
        now_us: the server's clock, UTC microseconds.
    """
    account_ids = sorted({*[one for one, holds in wanted.items() if holds], *held})
    changes = tuple(
        [
            AccountChange(
                account_id,
                versions[account_id],
                holds=wanted.get(account_id, ()),
                released=(hold_id,) if account_id in held else (),
            )
            for account_id in account_ids
        ]
    )
    if not changes:
        return None
    return Commit(keys=(), effective_at_us=now_us, recorded_at_us=now_us, accounts=changes)


async def write_holds(context: Context, decide: DecideHolds, deadline_s: float) -> None:
    """Write what a basket holds; decide again while accounts change, at last under their lock.

    Args:
        context: ports.
        decide: reads and decides, each time anew; None is nothing to write.
        deadline_s: the loop's time past which nothing is written.

    Raises:
        Refusal: that of `decide`; no time; accounts that keep changing.
    """
    account_ids: list[int] = []
    for _ in range(ROUNDS_TOGETHER):
        commit = await decide()
        if commit is None:
            return
        if not isinstance(await context.pipeline.submit(commit, deadline_s), VersionLost):
            return
        account_ids = [one.account_id for one in commit.accounts]
    # Shielded: the caller's end does not reach the write.
    work = asyncio.ensure_future(_write_alone(context, account_ids, decide))
    try:
        async with asyncio.timeout_at(deadline_s):
            await asyncio.shield(work)
    except TimeoutError:
        work.add_done_callback(_swallow)
        raise no_time() from None


async def _write_alone(context: Context, account_ids: Sequence[int], decide: DecideHolds) -> None:
    """Decide while the accounts are locked: what others read of them stays as it is."""

    async def decided(connection: AnyConnection) -> Commit:
        commit = await decide()
        now_us = context.clock()
        return commit or Commit(keys=(), effective_at_us=now_us, recorded_at_us=now_us)

    while True:
        try:
            await context.database.write_alone(account_ids, decided)
            return
        except PartlyLostError as error:
            text = "the accounts of the basket keep changing; nothing is held"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from error
        except RetryError:
            await context.database.recover()


def _swallow(work: "asyncio.Future[None]") -> None:
    """Take note of an end that nobody waits for any more."""
    if not work.cancelled():
        work.exception()


def no_time() -> Refusal:
    """The refusal of what came too late to be written."""
    text = "no time was left before the write; nothing is recorded"
    return Refusal(Reason.DEADLINE_PASSED, text)


async def versions_in_time(
    context: Context, account_ids: Collection[int], deadline_s: float
) -> dict[int, int]:
    """Read the versions of some accounts before the deadline; at once if there are none.

    Raises:
        Refusal: DEADLINE_PASSED; nothing is written.
    """
    if not account_ids:
        return {}
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                return await read_versions(connection, account_ids)
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            raise no_time() from None


async def read_versions(connection: AnyConnection, account_ids: Iterable[int]) -> dict[int, int]:
    """Read the versions of some accounts; one that is not there is left out."""
    found = {}
    for account_id in account_ids:
        account = await read_account(connection, account_id)
        if account is not None:
            found[account_id] = account.version
    return found
