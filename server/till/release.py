"""Release: frees what a basket holds, on whatever accounts. Safe to repeat."""

import asyncio

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import Commit
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.store.database import RetryError
from server.store.holdings import read_held_accounts
from server.till.context import Context
from server.till.holds import hold_id_of, holding_commit, no_time, read_versions, write_holds


async def release(context: Context, request: pb.ReleaseRequest, deadline_s: float) -> bytes:
    """Free the basket's holds; durable when this returns. Nothing held is success, too.

    Raises:
        Refusal: a bad request, or that of `free`.
    """
    basket_id = check.id_of(request.basket_id, "basket_id")
    await free(context, hold_id_of(basket_id), deadline_s)
    return pb.ReleaseResponse(result=pb.DURABLE_RESULT_COMMITTED).SerializeToString()


async def free(context: Context, hold_id: bytes, deadline_s: float) -> None:
    """Free what a basket holds; durable when this returns.

    Raises:
        Refusal: DEADLINE_PASSED, RESULT_UNKNOWN where a part may be free already, or accounts that
            keep changing.
    """

    async def decide() -> Commit | None:
        return await _freeing(context, hold_id, deadline_s)

    await write_holds(context, decide, deadline_s)
    await _free_budgets(context, hold_id, deadline_s)


async def _free_budgets(context: Context, hold_id: bytes, deadline_s: float) -> None:
    """Free what the basket holds of limits over many receipts."""
    while True:
        try:
            async with asyncio.timeout_at(deadline_s):
                held = await context.budgets.held(hold_id)
                if await context.budgets.hold(hold_id, (), held, 0):
                    return
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "no time was left to free what the basket holds of limits: ask again"
            raise Refusal(Reason.RESULT_UNKNOWN, text) from None


async def _freeing(context: Context, hold_id: bytes, deadline_s: float) -> Commit | None:
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                held = await read_held_accounts(connection, hold_id)
                versions = await read_versions(connection, held)
        except RetryError:
            await context.database.recover()
            continue
        except TimeoutError:
            raise no_time() from None
        return holding_commit(hold_id, {}, list(versions), versions, context.clock())
