"""A server in this process that keeps the contract in the simplest way, and breaks it on demand."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from msgspec import Struct, field

from loyalty.v1 import answer_pb2 as answers
from loyalty.v1 import till_service_pb2 as tills
from loyalty.v1.receipt_pb2 import ReceiptKey, Sale
from loyalty.v1.till_service_pb2_grpc import add_TillServiceServicer_to_server

COMPLETE = answers.SetStatus(completeness=answers.SET_COMPLETENESS_COMPLETE)
POINTS_BP = 100
METHODS = {
    "Identify": "identify",
    "Quote": "quote",
    "Checkout": "checkout",
    "BreakOff": "break_off",
    "Void": "void_receipt",
    "Forward": "forward",
    "GetReceipt": "get_receipt",
    "SubmitProfile": "submit_profile",
}


class FakeError(Exception):
    """A refusal of the fake."""

    def __init__(self, code: grpc.StatusCode, reason: str, field_name: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.status = Status(code=code.value[0], message=f"refused: {reason}")
        info = ErrorInfo(reason=reason, domain="loyalty.v1", metadata={"result": "REFUSED"})
        violations = [BadRequest.FieldViolation(field=field_name, description="too many")]
        for detail in (info, *([BadRequest(field_violations=violations)] if field_name else [])):
            packed = AnyMessage()
            packed.Pack(detail)
            self.status.details.append(packed)


class Faults(Struct):
    """What goes wrong: each hook is called with the call's name and its count, from 1."""

    before: Callable[[str, int], None] = lambda call, count: None
    after: Callable[[str, int], None] = lambda call, count: None
    lose_stream: Callable[[str, int], bool] = lambda call, count: False
    say_go_away: Callable[[str, int], bool] = lambda call, count: False
    change: Callable[[str, Message], None] = lambda call, answer: None


class FakeServer(Struct):
    """State of the fake: what it sold, and what customers own."""

    faults: Faults = field(default_factory=Faults)
    delay_s: float = 0.0
    sold: dict[bytes, tuple[bytes, tills.CheckoutResponse, str]] = field(default_factory=dict)
    closed: set[bytes] = field(default_factory=set)
    voided: dict[bytes, tills.VoidResponse] = field(default_factory=dict)
    owned: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    forwarded: list[tills.ForwardRequest] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    unary: int = 0

    async def answer(self, call: str, request: Any) -> Message:
        """Answer one call."""
        self.calls[call] += 1
        count = self.calls[call]
        self.faults.before(call, count)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        made: Message = getattr(self, call)(request)
        answer = type(made)()
        answer.CopyFrom(made)
        self.faults.after(call, count)
        self.faults.change(call, answer)
        return answer

    def identify(self, request: tills.IdentifyRequest) -> tills.IdentifyResponse:
        balance = answers.AssetBalance(
            asset_code="points", amount_minor=self.owned[request.identifier.value], decimals=2
        )
        return tills.IdentifyResponse(
            state=answers.CUSTOMER_STATE_ACTIVE, display_name="Мария", balances=[balance]
        )

    def quote(self, request: tills.QuoteRequest) -> tills.QuoteResponse:
        self._check(request.sale)
        return tills.QuoteResponse(answer=self._decide(request.sale, True), token=b"token")

    def checkout(self, request: tills.CheckoutRequest) -> tills.CheckoutResponse:
        key, body = _bytes(request.receipt_key), _bytes(request.sale)
        if key in self.sold:
            if self.sold[key][0] != body:
                raise FakeError(grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT")
            return self.sold[key][1]
        if key in self.closed:
            raise FakeError(grpc.StatusCode.FAILED_PRECONDITION, "BROKEN_OFF")
        self._check(request.sale)
        response = tills.CheckoutResponse(
            result=tills.DURABLE_RESULT_COMMITTED, answer=self._decide(request.sale, False)
        )
        self.sold[key] = (body, response, _customer(request.sale))
        self.owned[_customer(request.sale)] += _points(response.answer)
        return response

    def break_off(self, request: tills.BreakOffRequest) -> tills.BreakOffResponse:
        key = _bytes(request.receipt_key)
        if key in self.sold:
            committed = tills.RECEIPT_STATE_COMMITTED
            return tills.BreakOffResponse(state=committed, checkout=self.sold[key][1])
        self.closed.add(key)
        return tills.BreakOffResponse(state=tills.RECEIPT_STATE_BROKEN_OFF)

    def forward(self, request: tills.ForwardRequest) -> tills.ForwardResponse:
        self.forwarded.append(request)
        recorded = tills.FORWARD_STATE_RECORDED
        return tills.ForwardResponse(result=tills.DURABLE_RESULT_COMMITTED, state=recorded)

    def void_receipt(self, request: tills.VoidRequest) -> tills.VoidResponse:
        key = _bytes(request.receipt_key)
        if key not in self.voided:
            _, response, customer = self.sold[key]
            points = _points(response.answer)
            self.owned[customer] -= points
            change = tills.AssetChange(asset_code="points", amount_minor=-points)
            self.voided[key] = tills.VoidResponse(changes=[change])
        return self.voided[key]

    def get_receipt(self, request: tills.GetReceiptRequest) -> tills.GetReceiptResponse:
        key = _bytes(request.receipt_key)
        return tills.GetReceiptResponse(
            state=tills.RECEIPT_STATE_COMMITTED, checkout=self.sold[key][1]
        )

    def submit_profile(self, request: tills.SubmitProfileRequest) -> tills.SubmitProfileResponse:
        return tills.SubmitProfileResponse(field_codes=[a.field_code for a in request.answers])

    def _check(self, sale: Sale) -> None:
        if sum(line.quantity_milli for line in sale.lines) > 10_000_000:
            raise FakeError(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "sale.lines")

    def _decide(self, sale: Sale, is_quote: bool) -> answers.Answer:
        """A tenth off the first line, a point for a rouble, one prompt and one thing to show."""
        answer = answers.Answer(ruleset_version=1)
        for group in (answer.lines, answer.rewards, answer.prompts, answer.cross_sell):
            group.status.CopyFrom(COMPLETE)
        for index, line in enumerate(sale.lines):
            pieces = line.quantity_milli // 1000
            whole = line.quantity_milli == 1000 * pieces
            off = line.unit_price_scaled // 10 * pieces if index == 0 and whole else 0
            result = answer.lines.lines.add(
                line_id=line.line_id, amount_minor=line.amount_minor - off
            )
            price = (line.amount_minor - off) // pieces if whole else line.unit_price_scaled
            result.runs.add(
                quantity_milli=line.quantity_milli,
                unit_price_minor=price,
                amount_minor=line.amount_minor - off,
            )
            if off:
                result.adjustments.add(
                    promotion_id="tenth",
                    kind=answers.ADJUSTMENT_KIND_PERCENT_OFF,
                    amount_minor=-off,
                    quantity_milli=line.quantity_milli,
                    text="Скидка 10% на первый товар в чеке",
                )
        self._fill_totals(sale, answer)
        if _customer(sale):
            self._fill_sets(sale, answer)
        if is_quote and sale.lines[0].quantity_milli == 10_000:
            answer.lines.to_add.add(
                id=b"A", line_id=sale.lines[0].line_id, sku=sale.lines[0].sku, quantity_milli=1000
            )
        return answer

    def _fill_totals(self, sale: Sale, answer: answers.Answer) -> None:
        before = sum(line.amount_minor for line in sale.lines)
        after = sum(line.amount_minor for line in answer.lines.lines)
        answer.lines.totals.amount_before_minor = before
        answer.lines.totals.adjustments_minor = after - before
        answer.lines.totals.amount_minor = after

    def _fill_sets(self, sale: Sale, answer: answers.Answer) -> None:
        points = answer.lines.totals.amount_minor * POINTS_BP // 10_000
        answer.rewards.rewards.add(
            id=b"R",
            kind=answers.REWARD_KIND_POINTS,
            promotion_id="points",
            asset_code="points",
            amount_minor=points,
            active_from_us=1_790_000_000_000_000,
            text="Начислено баллов",
        )
        answer.rewards.balances.add(asset_code="points", amount_minor=points, decimals=2)
        answer.prompts.prompts.add(
            id=b"P",
            field_code="email",
            reason=answers.PROMPT_REASON_MISSING,
            check=answers.ANSWER_CHECK_EMAIL,
            text="Ваш адрес электронной почты?",
        )
        answer.cross_sell.items.add(
            id=b"X",
            link_id="tea",
            sku="never-in-a-basket",
            because_line_id=sale.lines[0].line_id,
            text="К чаю: пряники",
        )
        answer.trace.add(promotion_id="tenth", outcome=answers.TRACE_OUTCOME_FIRED, times=2)
        answer.trace.add(
            promotion_id="from-2000",
            outcome=answers.TRACE_OUTCOME_FAILED,
            condition=answers.TRACE_CONDITION_RECEIPT_AMOUNT,
            missing=12_345,
        )
        answer.texts.add(place=answers.TEXT_PLACE_SLIP, text="Вы сэкономили, приходите ещё " * 3)
        answer.texts.add(place=answers.TEXT_PLACE_CASHIER, text="Поблагодарите клиента")


@asynccontextmanager
async def serving(fake: FakeServer, port: int = 0) -> AsyncIterator[str]:
    """Serve the fake on a port; gives host:port."""
    server = grpc.aio.server()
    servicer: Any = _Servicer(fake)
    add_TillServiceServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(None)


class _Servicer:
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake
        for method in tills.DESCRIPTOR.services_by_name["TillService"].methods:
            if method.name != "Session":
                setattr(self, method.name, self._unary(METHODS.get(method.name, method.name)))

    def _unary(self, call: str) -> Callable[[Any, Any], Awaitable[Message]]:
        async def handle(request: Any, context: Any) -> Message:
            self._fake.unary += 1
            try:
                return await self._fake.answer(call, request)
            except FakeError as error:
                details = (("grpc-status-details-bin", error.status.SerializeToString()),)
                await context.abort(error.code, error.status.message, details)
                raise

        return handle

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self._fake.streams += 1
        to_send: asyncio.Queue[Any] = asyncio.Queue()
        reading = asyncio.create_task(self._read(request_iterator, to_send))
        try:
            while (response := await to_send.get()) is not None:
                yield response
        finally:
            reading.cancel()

    async def _read(self, requests: Any, to_send: asyncio.Queue[Any]) -> None:
        under_way: set[asyncio.Task[None]] = set()
        async for request in requests:
            call = request.WhichOneof("call")
            if self._fake.faults.lose_stream(call, self._fake.calls[call] + 1):
                await self._fake.answer(call, getattr(request, call))
                break
            if self._fake.faults.say_go_away(call, self._fake.calls[call] + 1):
                to_send.put_nowait(tills.SessionResponse(go_away=tills.GoAway(reason="drain")))
            task = asyncio.create_task(self._one(call, request, to_send))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        to_send.put_nowait(None)

    async def _one(self, call: str, request: Any, to_send: asyncio.Queue[Any]) -> None:
        response = tills.SessionResponse(correlation_id=request.correlation_id)
        try:
            answer = await self._fake.answer(call, getattr(request, call))
            getattr(response, call).CopyFrom(answer)
        except FakeError as error:
            response.status.CopyFrom(error.status)
        to_send.put_nowait(response)


def _bytes(message: Sale | ReceiptKey) -> bytes:
    return message.SerializeToString(deterministic=True)


def _customer(sale: Sale) -> str:
    return sale.header.identifiers[0].value if sale.header.identifiers else ""


def _points(answer: answers.Answer) -> int:
    return sum(reward.amount_minor for reward in answer.rewards.rewards)
