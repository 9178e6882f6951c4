"""Decisions of calls that were looked up together are taken a step at a time, all in turn.

A decision runs through more code than a processor's caches hold. Taken one after the other, each
call fetches all of it anew; in step, a call finds the code of the step where the one before has
left it. Source: ADR 0048.
"""

from collections.abc import Generator
from types import coroutine

from server.lookups import Seen


@coroutine
def step_with(seen: Seen | None) -> Generator[None, None, None]:
    """Let the others take the step that this call has just taken; go on at once if it is alone.

    Between two steps anything may change that others can change: a decision that has begun keeps to
    what its `Scene` holds.

    Args:
        seen: what was looked up for the call; None if it was in vain.
    """
    if seen is not None and seen.in_step:
        yield
