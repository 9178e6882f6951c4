"""Accounts that were merged since a till heard of them."""

import asyncio

from rewards.refusal import Reason, Refusal
from server.store.database import RetryError
from server.store.refunds import read_owner
from server.till.context import Context


async def account_today(context: Context, account_id: int, deadline_s: float) -> int:
    """Follow an account to where it was merged; itself if it was not.

    Args:
        context: ports.
        account_id: as it was known.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        Refusal: DEADLINE_PASSED.
    """
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                owner = await read_owner(connection, account_id)
                return account_id if owner is None else owner.account_id
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None
