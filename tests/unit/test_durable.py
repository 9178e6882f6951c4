"""Goal: a copy of a call gets the first answer, whatever it reads while the other is written.

Method: an operation that decides on a state in which the other copy has been committed already,
although the look-up of its key, a moment before, did not see it.
"""

import asyncio
from typing import Any, cast

import pytest

from rewards.journal import AlreadyPostedError
from rewards.ledger import transfer_id_of
from rewards.refusal import Reason, Refusal
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till.context import Context
from server.till.durable import Decided, run_durable
from tests import make

KEY_ID = make.key_id()
FIRST = b"the first answer"


class _Lookups:
    """Sees the key from the second look on, if it is there at all."""

    def __init__(self, is_committed: bool) -> None:
        self._is_committed = is_committed
        self._looks = 0

    async def look_up(self, wanted: Wanted, deadline_s: float) -> Seen:
        """Give what is seen."""
        self._looks += 1
        if self._is_committed and self._looks > 1:
            return Seen({KEY_ID: KnownKey(1, b"", 0, 0)}, None)
        return Seen({}, None)


class _Operation:
    """Cannot decide."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.wanted = Wanted((KEY_ID,), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer."""
        return FIRST

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Fail."""
        raise self._error


class _Context:
    def __init__(self, is_committed: bool) -> None:
        self.lookups = _Lookups(is_committed)


def _run(error: Exception, is_committed: bool) -> bytes:
    context = cast("Context", cast("Any", _Context(is_committed)))
    return asyncio.run(run_durable(context, _Operation(error), 0.0))


ERRORS = [
    Refusal(Reason.SPEND_NOT_POSSIBLE, "the other copy has spent it"),
    AlreadyPostedError(transfer_id_of(KEY_ID, 0)),
]


@pytest.mark.parametrize("error", ERRORS, ids=["refusal", "lot"])
def test_what_the_other_copy_left_behind_is_no_refusal(error: Exception) -> None:
    """The other copy's answer is given."""
    assert _run(error, is_committed=True) == FIRST


def test_a_refusal_stands_where_nothing_is_committed() -> None:
    """Nothing is there: the refusal is the call's own."""
    with pytest.raises(Refusal, match="spent it"):
        _run(ERRORS[0], is_committed=False)
