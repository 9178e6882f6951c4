"""BackOfficeService over gRPC: messages in, messages out; every refusal with its reason."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server import status
from server.back_office import BackOffice
from server.codec.back_office_pb import customers_from_pb, products_from_pb, stores_from_pb
from server.codec.budget_pb import budgets_to_pb, wanted_budgets_from_pb
from server.codec.coupon_pb import coupons_from_pb
from server.codec.message import parsed
from server.codec.plan_pb import (
    history_to_pb,
    plan_to_pb,
    published_to_pb,
    roll_back_from_pb,
    rolled_back_to_pb,
    wanted_from_pb,
)
from server.codec.price_pb import prices_from_pb
from server.store.database import RetryError

Context = grpc.aio.ServicerContext[Any, Any]
CallOnBody = Callable[[bytes], Awaitable[Message]]
"""A call that takes its request as it came."""

_Response = TypeVar("_Response")
_log = structlog.get_logger(__name__)


class BackOfficeServicer:
    """The calls of the back office, under their names in the contract: none may be missing.

    Attributes:
        calls_on_bodies: calls that take their request as it came.
    """

    def __init__(self, back_office: BackOffice) -> None:
        """Serve a back office.

        Args:
            back_office: does the work.
        """
        self._back_office = back_office
        self._publishing = back_office.publishing
        # What holds a program may have megabytes: a worker parses it, not the loop.
        self.calls_on_bodies: dict[str, CallOnBody] = {
            "ValidateProgram": self.validate_program,
            "PlanProgram": self.plan_program,
            "PublishProgram": self.publish_program,
        }

    async def RollBackRuleset(
        self, request: pb.RollBackRulesetRequest, context: Context
    ) -> pb.RollBackRulesetResponse:
        """Publish the content of an old version as a new one."""
        return await _answered(context, self._roll_back(request))

    async def ListRulesetVersions(
        self, request: pb.ListRulesetVersionsRequest, context: Context
    ) -> pb.ListRulesetVersionsResponse:
        """Answer a page of versions, the newest first."""
        return await _answered(context, self._list_versions(request))

    async def GetRuleset(
        self, request: pb.GetRulesetRequest, context: Context
    ) -> pb.GetRulesetResponse:
        """Answer the versions in force and to come."""
        return await _answered(context, self._get_ruleset())

    async def ImportStores(
        self, request: pb.ImportStoresRequest, context: Context
    ) -> pb.ImportStoresResponse:
        """Insert or replace stores."""
        return await _answered(context, self._import_stores(request))

    async def ImportProducts(
        self, request: pb.ImportProductsRequest, context: Context
    ) -> pb.ImportProductsResponse:
        """Insert or replace articles."""
        return await _answered(context, self._import_products(request))

    async def ImportCustomers(
        self, request: pb.ImportCustomersRequest, context: Context
    ) -> pb.ImportCustomersResponse:
        """Insert or replace customers."""
        return await _answered(context, self._import_customers(request))

    async def ImportPrices(
        self, request: pb.ImportPricesRequest, context: Context
    ) -> pb.ImportPricesResponse:
        """Insert, replace and remove prices of a list."""
        return await _answered(context, self._import_prices(request))

    async def ImportCoupons(
        self, request: pb.ImportCouponsRequest, context: Context
    ) -> pb.ImportCouponsResponse:
        """Open coupons of a series."""
        return await _answered(context, self._import_coupons(request))

    async def ListMoneyTransfers(
        self, request: pb.ListMoneyTransfersRequest, context: Context
    ) -> pb.ListMoneyTransfersResponse:
        """Answer a page of transfers of money."""
        return await _answered(context, self._back_office.payouts.page(request))

    async def AdvanceMoneyTransfer(
        self, request: pb.AdvanceMoneyTransferRequest, context: Context
    ) -> pb.AdvanceMoneyTransferResponse:
        """Bring a transfer of money into another state."""
        return await _answered(context, self._back_office.payouts.advance(request))

    async def AuditLedger(
        self, request: pb.AuditLedgerRequest, context: Context
    ) -> pb.AuditLedgerResponse:
        """Audit the whole database on one snapshot."""
        return await _answered(context, self._audit())

    async def ListBudgets(
        self, request: pb.ListBudgetsRequest, context: Context
    ) -> pb.ListBudgetsResponse:
        """Answer a page of budgets."""
        return await _answered(context, self._list_budgets(request))

    async def validate_program(self, body: bytes) -> pb.ValidateProgramResponse:
        """Answer what is wrong with a program; changes nothing."""
        problems = await self._publishing.validate(body)
        response = pb.ValidateProgramResponse()
        for problem in problems:
            response.problems.add(path=problem.path, reason=problem.reason)
        return response

    async def plan_program(self, body: bytes) -> pb.PlanProgramResponse:
        """Answer what publishing would change; changes nothing."""
        return plan_to_pb(await self._publishing.plan(body))

    async def publish_program(self, body: bytes) -> pb.PublishProgramResponse:
        """Put a program into a new version of the ruleset."""
        return published_to_pb(await self._publishing.publish(body))

    async def _roll_back(self, request: pb.RollBackRulesetRequest) -> pb.RollBackRulesetResponse:
        return rolled_back_to_pb(await self._publishing.roll_back(roll_back_from_pb(request)))

    async def _list_versions(
        self, request: pb.ListRulesetVersionsRequest
    ) -> pb.ListRulesetVersionsResponse:
        return history_to_pb(await self._back_office.history.page(wanted_from_pb(request)))

    async def _list_budgets(self, request: pb.ListBudgetsRequest) -> pb.ListBudgetsResponse:
        wanted = wanted_budgets_from_pb(request)
        found = await self._back_office.budgets(
            wanted.chain_id, wanted.promotion_id, wanted.after, wanted.size + 1
        )
        return budgets_to_pb(found, wanted.size)

    async def _get_ruleset(self) -> pb.GetRulesetResponse:
        now_us = self._back_office.clock()
        response = pb.GetRulesetResponse(now_us=now_us)
        for known in await self._back_office.versions(now_us):
            response.versions.add(
                version=known.head.version,
                effective_at_us=known.head.effective_at_us,
                loaded=known.is_loaded,
            )
        return response

    async def _import_stores(self, request: pb.ImportStoresRequest) -> pb.ImportStoresResponse:
        stores = stores_from_pb(request)
        await self._back_office.import_stores(stores)
        return pb.ImportStoresResponse(imported=len(stores))

    async def _import_products(
        self, request: pb.ImportProductsRequest
    ) -> pb.ImportProductsResponse:
        chain_id, products = products_from_pb(request)
        await self._back_office.import_products(chain_id, products)
        return pb.ImportProductsResponse(imported=len(products))

    async def _import_customers(
        self, request: pb.ImportCustomersRequest
    ) -> pb.ImportCustomersResponse:
        chain_id, customers = customers_from_pb(request, self._back_office.clock())
        await self._back_office.import_customers(chain_id, customers)
        return pb.ImportCustomersResponse(imported=len(customers))

    async def _import_prices(self, request: pb.ImportPricesRequest) -> pb.ImportPricesResponse:
        chain_id, prices = prices_from_pb(request)
        await self._back_office.import_prices(chain_id, prices)
        return pb.ImportPricesResponse(imported=len(prices))

    async def _import_coupons(self, request: pb.ImportCouponsRequest) -> pb.ImportCouponsResponse:
        chain_id, series_code, coupons = coupons_from_pb(request)
        created = await self._back_office.import_coupons(chain_id, series_code, coupons)
        return pb.ImportCouponsResponse(imported=len(coupons), created=created)

    async def _audit(self) -> pb.AuditLedgerResponse:
        found = await self._back_office.audit()
        return pb.AuditLedgerResponse(
            balanced=found.is_balanced,
            transfers=found.transfers,
            postings=found.postings,
            lots=found.lots,
            balances=found.balances,
            receipts=found.receipts,
            problems=found.problems,
            lot_changes=found.lot_changes,
            holds=found.holds,
            merged_accounts=found.merged,
            budgets=found.budgets,
            accounts=found.accounts,
            statements=found.statements,
        )


async def _answered(context: Context, work: Awaitable[_Response]) -> _Response:
    """Wait for an answer; whatever goes wrong leaves as a refusal."""
    try:
        return await work
    except Refusal as refusal:
        return await status.abort(context, refusal)
    except RetryError as error:
        _log.warning("store_unavailable", error=str(error))
        text = "the database cannot be reached just now; nothing was recorded"
        return await status.abort(context, Refusal(Reason.STORE_UNAVAILABLE, text))
    except Exception:
        _log.exception("back_office_call_failed")
        text = "a fault of the server; ask what was recorded before you send it again"
        return await status.abort(context, Refusal(Reason.INTERNAL, text))


def back_office_handlers(
    servicer: BackOfficeServicer,
    others: "Mapping[str, grpc.RpcMethodHandler[bytes, bytes]]",
) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    """Give the handlers of all calls; what is no message of a call is refused with its reason.

    Args:
        servicer: most of the calls.
        others: handlers of the calls that it does not have.
    """
    service = pb.DESCRIPTOR.services_by_name["BackOfficeService"]
    own: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method.name: grpc.unary_unary_rpc_method_handler(_handler(servicer, method.name))
        for method in service.methods
        if method.name not in others
    }
    return {**own, **others}


def _handler(
    servicer: BackOfficeServicer, name: str
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    if name in servicer.calls_on_bodies:
        return _body_handler(servicer.calls_on_bodies[name])
    kind = getattr(pb, f"{name}Request")
    call = getattr(servicer, name)

    async def handle(body: bytes, context: Context) -> bytes:
        try:
            request = parsed(kind, body)
        except Refusal as refusal:
            await status.abort(context, refusal)
        response: Message = await call(request, context)
        return response.SerializeToString()

    return handle


def _body_handler(call: CallOnBody) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def handle(body: bytes, context: Context) -> bytes:
        response = await _answered(context, call(body))
        return response.SerializeToString()

    return handle
