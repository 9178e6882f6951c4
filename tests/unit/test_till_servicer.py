"""What a call says of a database that cannot be reached, whichever read of it found out."""

from typing import Any, cast

import pytest

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
