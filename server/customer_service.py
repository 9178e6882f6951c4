"""CustomerService, and the calls of BackOfficeService on accounts and ledger: bytes in, bytes out.

All of them have the shape of a till's call: ports, a request, a deadline; the answer's bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

import grpc
import structlog

from loyalty.v1 import customer_service_pb2, forward_pb2, ledger_pb2, outbox_pb2
from rewards.refusal import Reason, Refusal
from server import membership, messages, periods, quarantined, statements, status
from server.codec import check
from server.codec.message import parsed
from server.expiry import Expiry
from server.goodwill import post_goodwill
from server.store.database import RetryError
from server.till.context import Context
from server.till_servicer import ANSWER_RESERVE_S, TIMEOUT_MAX_S, Handler

SERVICE = "loyalty.v1.CustomerService"
TIMEOUT_DEFAULT_S = 60.0
"""For a call whose client named no deadline: a report may read a long time."""
EXPIRE_ACCOUNTS_MAX = 10_000
EXPIRE_ACCOUNTS_DEFAULT = 1_000

UnaryContext = grpc.aio.ServicerContext[bytes, bytes]
Unary = Callable[[bytes, UnaryContext], Awaitable[bytes]]
Handlers = dict[str, "grpc.RpcMethodHandler[bytes, bytes]"]

CUSTOMER_CALLS: dict[str, Handler] = {
    "GetBalance": statements.get_balance,
    "GetStatement": statements.get_statement,
    "PostGoodwill": post_goodwill,
}
"""The calls of CustomerService, by name."""

LEDGER_CALLS: dict[str, Handler] = {
    "MergeAccounts": membership.merge,
    "JoinHousehold": membership.join,
    "LeaveHousehold": membership.leave,
    "GetCustomer": statements.get_customer,
    "GetLedgerReport": periods.get_report,
    "ClosePeriod": periods.close,
    "ListPeriods": periods.list_periods,
    "ListExceptions": periods.list_exceptions,
}
"""The calls of BackOfficeService on accounts and ledger, by name; ExpireLots is another."""

FORWARD_CALLS: dict[str, Handler] = {
    "ListQuarantined": quarantined.list_quarantined,
    "GetQuarantined": quarantined.get_quarantined,
    "MendQuarantined": quarantined.mend_quarantined,
    "DropQuarantined": quarantined.drop_quarantined,
    "GetForwardReport": quarantined.get_forward_report,
}
"""The calls of BackOfficeService on receipts that tills broke off, by name."""

MESSAGE_CALLS: dict[str, Handler] = {
    "ListMessages": messages.list_messages,
    "GetMessage": messages.get_message,
    "ReportMessages": messages.report_messages,
    "SetMessageStop": messages.set_message_stop,
}
"""The calls of BackOfficeService on messages to customers, by name."""

_log = structlog.get_logger(__name__)


def customer_handlers(context: Context) -> Handlers:
    """GRPC handlers of CustomerService."""
    return _handlers(context, CUSTOMER_CALLS, customer_service_pb2)


def ledger_handlers(context: Context, expiry: Expiry) -> Handlers:
    """GRPC handlers of the back office's calls on accounts, ledger and messages."""

    async def expire_lots(
        context: Context, request: ledger_pb2.ExpireLotsRequest, deadline_s: float
    ) -> bytes:
        most = check.number_of(request.accounts_max, "accounts_max", 0, EXPIRE_ACCOUNTS_MAX)
        done = await expiry.run(most or EXPIRE_ACCOUNTS_DEFAULT)
        response = ledger_pb2.ExpireLotsResponse(
            accounts=done.accounts, more=done.more or bool(done.lost)
        )
        for asset_code, amount_minor in done.amounts:
            response.amounts.add(asset_code=asset_code, amount_minor=amount_minor)
        return response.SerializeToString()

    return {
        **_handlers(context, {**LEDGER_CALLS, "ExpireLots": expire_lots}, ledger_pb2),
        **_handlers(context, FORWARD_CALLS, forward_pb2),
        **_handlers(context, MESSAGE_CALLS, outbox_pb2),
    }


def _handlers(context: Context, calls: Mapping[str, Handler], messages: ModuleType) -> Handlers:
    return {
        name: grpc.unary_unary_rpc_method_handler(
            _unary(context, name, call, getattr(messages, f"{name}Request"))
        )
        for name, call in calls.items()
    }


def _unary(context: Context, name: str, call: Handler, kind: type[Any]) -> Unary:
    async def handle(body: bytes, servicer: UnaryContext) -> bytes:
        budget_s = min(servicer.time_remaining() or TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S)
        deadline_s = asyncio.get_running_loop().time() + budget_s - ANSWER_RESERVE_S
        try:
            return await call(context, parsed(kind, body), deadline_s)
        except Refusal as refusal:
            await status.abort(servicer, refusal)
        except RetryError as error:
            _log.warning("store_unavailable", call=name, error=str(error))
            text = "the database cannot be reached just now; nothing was recorded"
            await status.abort(servicer, Refusal(Reason.STORE_UNAVAILABLE, text))
        except Exception:
            _log.exception("call_failed", call=name)
            text = "a fault of the server; ask what was recorded before you send it again"
            await status.abort(servicer, Refusal(Reason.INTERNAL, text))

    return handle
