"""What a call says of a database that cannot be reached, whichever read of it found out.

And: what time it has.
"""

import asyncio
from typing import Any, cast

import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server import till_servicer
from server.store.database import RetryError


@pytest.mark.parametrize(
    ("fate_unknown", "reason"),
    [(False, Reason.STORE_UNAVAILABLE), (True, Reason.RESULT_UNKNOWN)],
)
async def test_a_database_that_is_away_is_no_fault_of_the_server(
    fate_unknown: bool, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(context: Any, request: Any, deadline_s: float) -> bytes:
        raise RetryError("the connection is gone", fate_unknown)

    monkeypatch.setattr(till_servicer, "OFFERED", {"GetReceipt": lost})
    calls = till_servicer.TillCalls(cast("Any", None))
    with pytest.raises(Refusal) as refused:
        await calls.answer("GetReceipt", None, 0.0)
    assert refused.value.reason is reason
    await calls.drained()


class _Passed:
    """A unary call whose deadline has passed."""

    def time_remaining(self) -> float:
        """Nothing is left, which is not that there is no deadline."""
        return 0.0


async def test_a_passed_deadline_is_none_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is told that its time is up, and writes nothing past it."""
    told: list[float] = []

    async def called(context: Any, request: Any, deadline_s: float) -> bytes:
        told.append(deadline_s)
        return b""

    monkeypatch.setattr(till_servicer, "OFFERED", {"Release": called})
    handlers = till_servicer.unary_handlers(till_servicer.TillCalls(cast("Any", None)))
    handle: Any = handlers["Release"].unary_unary
    await handle(pb.ReleaseRequest().SerializeToString(), _Passed())
    assert told[0] <= asyncio.get_running_loop().time()
