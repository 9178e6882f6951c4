"""What another process has put into the database, and this one has not heard of yet."""

import asyncio

import structlog

from rewards.refusal import Reason, Refusal
from server.store.database import RetryError
from server.till.context import Context

NOT_HEARD_OF = frozenset({Reason.UNKNOWN_STORE, Reason.NO_RULESET})
"""Why something is refused that may be in the database since the last poll."""

_log = structlog.get_logger(__name__)


async def catch_up(context: Context, deadline_s: float) -> None:
    """Load what is new, before something is given up for good because it is not known here.

    What cannot be loaded does not matter here: then what was not known is not known still.

    Raises:
        Refusal: DEADLINE_PASSED, STORE_UNAVAILABLE; nothing is recorded.
    """
    try:
        async with asyncio.timeout_at(deadline_s):
            await context.reference.refresh()
    except TimeoutError:
        text = "no time was left before the write; nothing is recorded"
        raise Refusal(Reason.DEADLINE_PASSED, text) from None
    except RetryError as error:
        text = "the database cannot be reached just now: send it again"
        raise Refusal(Reason.STORE_UNAVAILABLE, text) from error
    except Exception as error:
        _log.warning("not_caught_up", error=str(error))


async def know_versions(context: Context, deadline_s: float) -> None:
    """Load versions that were published since the last poll; waits while the database is away.

    What cannot be loaded does not matter here: a server that lacks a version leaves health.

    Raises:
        Refusal: DEADLINE_PASSED; nothing is recorded.
    """
    while True:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await context.reference.catch_up()
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None
        except Exception as error:
            _log.warning("not_caught_up", error=str(error))
            return None
