"""Rules of a version that a token or a stored receipt names: an old one has to be loaded first."""

import asyncio
from collections.abc import Awaitable

from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from server.reference import Reference


async def rules_of_version(
    reference: Reference, chain_id: str, version: int, deadline_s: float
) -> ProgramRules:
    """The chain's rules at a version; waits for one that is not in memory.

    Args:
        reference: what this process knows.
        chain_id: of the receipt.
        version: of the ruleset.
        deadline_s: the loop's time at which waiting ends; loading goes on.

    Raises:
        Refusal: NO_RULESET, DEADLINE_PASSED.
        RetryError: the database cannot be reached just now.
    """
    at_hand = reference.rules_at_hand(chain_id, version)
    if at_hand is not None:
        return at_hand
    return await in_time(reference.rules_of(chain_id, version), deadline_s)


async def in_time(loading: Awaitable[ProgramRules], deadline_s: float) -> ProgramRules:
    """Wait for rules until the deadline.

    Raises:
        Refusal: DEADLINE_PASSED, or that of loading.
    """
    try:
        async with asyncio.timeout_at(deadline_s):
            return await loading
    except TimeoutError:
        text = "the rules could not be read in time; nothing is recorded: ask again"
        raise Refusal(Reason.DEADLINE_PASSED, text) from None
