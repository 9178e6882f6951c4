"""Goal: a refund costs no more evaluations for the refunds that came before it.

Method: a server in this process counts them; a reward with a limit makes earlier refunds matter.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from server.main import composed
from server.settings import Settings
from server.till.checkout import checkout
from server.till.refund import refund
from tests.refunding import basket, rate, refund_request
from tests.serving import receipt_key, test_program

PIECES = 6
LATER_S = 60.0
LIMITED = {"limits": {"customer_minor": 1_000_000, "customer_period": "month"}}


async def test_every_refund_of_a_receipt_evaluates_as_often(
    place_with: Callable[[Any], dict[str, str]],
) -> None:
    dsn = place_with(test_program(promotions=[rate("points-5", "points", **LIMITED)]))
    counts = [0]
    async with composed(Settings(dsn=dsn["LOYALTY_DSN"])) as context:
        evaluate = context.evaluate

        def counting(*given: Any) -> Any:
            counts[-1] += 1
            return evaluate(*given)

        counted = replace(context, evaluate=counting)
        deadline_s = asyncio.get_running_loop().time() + LATER_S
        made = basket(("sku9", PIECES, 10_000))
        request = pb.CheckoutRequest(receipt_key=receipt_key(1), sale=made)
        await checkout(context, request, deadline_s)
        for number in range(2, 2 + PIECES):
            counts.append(0)
            await refund(counted, refund_request(number, 1, {"sku9": 1_000}), deadline_s)
    _, first, *others = counts
    # All is left before the first one: that is not evaluated.
    assert set(others) == {first + 1}
