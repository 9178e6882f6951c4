"""Forward: a receipt that was broken off, as a fact; only what is malformed is kept apart."""

import structlog

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.sale_form import ReadForward
from server.store.database import RetryError
from server.store.forwarded import Parked
from server.till.advice import Advised, advice_of
from server.till.catching_up import NOT_HEARD_OF, catch_up
from server.till.context import Context
from server.till.durable import Run, run_durable
from server.till.forward_back import ForwardedRefund, ForwardedVoid, RefundAdvice
from server.till.forward_sale import SaleAdvice, forward_sale
from server.till.parked import settle_parked
from server.till.quarantine import QUARANTINED, put_in_quarantine

ATTEMPTS = 2
"""A fault that the state of this instant has caused is gone at the second look; so is what this
process had not heard of."""
LOOKED_AT_AGAIN = NOT_HEARD_OF | {Reason.INTERNAL}

_log = structlog.get_logger(__name__)


async def forward(
    context: Context, request: pb.ForwardRequest | ReadForward, deadline_s: float
) -> bytes:
    """Take a forwarded receipt; durable when this returns. A repeat gives the first answer.

    Raises:
        Refusal: nothing is recorded, unless it says RESULT_UNKNOWN: send it again. What sending
            again does not help is in quarantine, and acknowledged.
    """
    problem: Refusal | None = None
    for _ in range(ATTEMPTS):
        try:
            if problem is not None and problem.reason in NOT_HEARD_OF:
                # Once it is acknowledged the spool forgets it.
                await catch_up(context, deadline_s)
            return await taken(context, advice_of(context, request), deadline_s)
        except Refusal as refusal:
            if refusal.reason not in QUARANTINED:
                raise
            problem = refusal
            if refusal.reason not in LOOKED_AT_AGAIN:
                break
        except RetryError as error:
            text = "the database cannot be reached just now: send it again"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from error
        except Exception as error:
            # Whatever is wrong here must not keep a spool from going on.
            _log.exception("forward_failed")
            problem = Refusal(Reason.INTERNAL, f"a fault of the server: {type(error).__name__}")
    assert problem is not None, "every attempt that does not answer has a problem"
    if isinstance(request, ReadForward):
        request = pb.ForwardRequest.FromString(request.body)
    return await put_in_quarantine(context, request, problem, deadline_s)


async def taken(
    context: Context, advice: Advised, deadline_s: float, run: Run | None = None
) -> bytes:
    """Record, settle or park what was forwarded.

    Args:
        context: ports.
        advice: what was forwarded.
        deadline_s: the loop's time past which nothing is written.
        run: carries out what becomes of it; without one `run_durable`.

    Raises:
        Refusal: also for what belongs into quarantine.
    """
    if isinstance(advice, SaleAdvice):
        answer, waiting = await forward_sale(context, advice, deadline_s, run)
        if waiting:
            await _settle_waiting(context, waiting, deadline_s)
        return answer
    if isinstance(advice, RefundAdvice):
        return await (run or run_durable)(context, ForwardedRefund(context, advice), deadline_s)
    return await (run or run_durable)(context, ForwardedVoid(context, advice), deadline_s)


async def _settle_waiting(context: Context, waiting: tuple[Parked, ...], deadline_s: float) -> None:
    """Settle what waited for a sale; the sale is acknowledged whatever becomes of that."""
    try:
        await settle_parked(context, waiting, deadline_s)
    except (Refusal, RetryError) as error:
        _log.warning("parked_not_settled", error=str(error))
    except Exception:
        _log.exception("parked_not_settled")
