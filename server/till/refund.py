"""Refund: goods come back, by line and quantity. A request may be refused; a fact never is."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import Commit, CommitKey, ExceptionEntry, KeyKind, StoredReceipt
from rewards.refusal import Reason, Refusal
from rewards.sale import ReceiptKey, fingerprint_of, key_id_of
from server.codec import check
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.durable import Decided, run_durable
from server.till.goods_back import Returned, changes_of, exception_of, return_goods
from server.till.history import forwarded_refusal, last_statement
from server.till.original import read_original, sold_key
from server.till.refund_answer import fill_returned, fill_unsettled
from server.till.returns import NO_ORIGINAL
from server.till.stored import first_answer

_ENCODER = msgspec.msgpack.Encoder()


class BackLine(NamedTuple):
    """A line that comes back: thousandths; sku and minor units only without an original."""

    line_id: str
    quantity_milli: int
    sku: str
    amount_minor: int


class RefundCommand(NamedTuple):
    """A Refund after its request was read and checked.

    Attributes:
        original_key: None without a receipt.
        content: what makes two refunds under one key the same.
    """

    key: ReceiptKey
    key_id: bytes
    original_key: ReceiptKey | None
    original_key_id: bytes
    lines: tuple[BackLine, ...]
    closed: bool
    content: bytes


async def refund(context: Context, request: pb.RefundRequest, deadline_s: float) -> bytes:
    """Take goods back; durable when this returns. A repeat gives the first answer.

    Raises:
        Refusal: nothing is recorded, unless it says RESULT_UNKNOWN.
    """
    return await run_durable(context, RefundOperation(context, read_command(request)), deadline_s)


def read_command(request: pb.RefundRequest) -> RefundCommand:
    """Read and check the request.

    Raises:
        Refusal: names the field.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key = receipt_key_from_pb(request.receipt_key)
    original_key = None
    if request.HasField("original_key"):
        original_key = receipt_key_from_pb(request.original_key, "original_key")
        if original_key == key:
            check.refuse_inconsistent("original_key", "a refund has a key of its own")
        if original_key.chain_id != key.chain_id:
            check.refuse_inconsistent("original_key.chain_id", "is not that of receipt_key")
    check.count_of(len(request.lines), "lines", limits.LINES_MAX, least=1)
    lines = tuple(_read_line(line, n, original_key is None) for n, line in enumerate(request.lines))
    if len({line.line_id for line in lines}) != len(lines):
        check.refuse_inconsistent("lines", "a line_id stands on two lines")
    cashier_id = check.text_of(request.cashier_id, "cashier_id")
    reason_code = check.text_of(request.reason_code, "reason_code")
    return RefundCommand(
        key,
        key_id_of(key),
        original_key,
        key_id_of(original_key) if original_key is not None else b"",
        lines,
        request.closed,
        _ENCODER.encode(("refund", original_key, lines, cashier_id, reason_code)),
    )


def _read_line(line: pb.RefundLine, n: int, alone: bool) -> BackLine:
    path = f"lines[{n}]"
    sku, amount_minor = line.sku, line.amount_minor
    if alone:
        check.text_of(sku, f"{path}.sku")
        check.number_of(amount_minor, f"{path}.amount_minor", 0, limits.AMOUNT_MINOR_MAX)
    elif sku or amount_minor:
        check.refuse_inconsistent(path, "sku and amount_minor only without an original")
    return BackLine(
        check.text_of(line.line_id, f"{path}.line_id"),
        check.number_of(
            line.quantity_milli, f"{path}.quantity_milli", 1, limits.QUANTITY_MILLI_MAX
        ),
        sku,
        amount_minor,
    )


class RefundOperation:
    """A Refund as a durable operation."""

    _kind = KeyKind.REFUND

    def __init__(self, context: Context, command: RefundCommand) -> None:
        """Say what to look up: the refund's own key, the original's, and that of its void.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self._receipt_id = command.key_id
        self._fingerprint = fingerprint_of(command.content)
        original: tuple[bytes, ...] = ()
        if command.original_key is not None:
            original = (command.original_key_id, void_key_id_of(command.original_key_id))
        self.wanted = Wanted((command.key_id, *original), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer again, if this is the same refund.

        Raises:
            Refusal: BROKEN_OFF or KEY_CONFLICT.
        """
        last = await last_statement(self._context, self._command.key_id, deadline_s)
        if last is not None:
            raise forwarded_refusal(self._command.key_id, last)
        if known.kind == KeyKind.FENCE:
            metadata = {"receipt_id": self._command.key_id.hex()}
            raise Refusal(Reason.BROKEN_OFF, "the key was closed by BreakOff", metadata)
        key_id, other = self._command.key_id, "the key is committed with another refund or sale"
        return await first_answer(
            self._context, key_id, known, self._fingerprint, other, deadline_s, key_id
        )

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide what is paid back, taken back and given back.

        Raises:
            Refusal: an open refund is refused; a closed one is recorded with its exceptions.
        """
        command, context = self._command, self._context
        context.reference.store(command.key.chain_id, command.key.store_id)
        if command.original_key is None:
            return self._alone()
        try:
            known = sold_key(seen, command.original_key_id)
            original = await read_original(
                context, command.original_key, command.original_key_id, known, deadline_s
            )
        except Refusal as problem:
            if problem.reason not in NO_ORIGINAL:
                raise
            return self._unsettled([problem])
        now = {line.line_id: line.quantity_milli for line in command.lines}
        returned = return_goods(
            context, original, now, command.key_id, context.clock(), command.closed
        )
        return self._settled_decision(returned)

    def _alone(self) -> Decided:
        """Without an original nothing is known of what was earned: nothing is posted."""
        command, context = self._command, self._context
        rules = context.reference.rules_at(command.key.chain_id, context.clock())
        if rules.program.returns.no_original == "pay":
            return self._unsettled([])
        text = "the program takes nothing back without its receipt"
        return self._unsettled([Refusal(Reason.ORIGINAL_REQUIRED, text)])

    def _unsettled(self, problems: Sequence[Refusal]) -> Decided:
        """Refuse, or record a fact of which nothing is settled."""
        command, context = self._command, self._context
        if problems and not command.closed:
            raise problems[0]
        now_us = context.clock()
        rules = context.reference.rules_at(command.key.chain_id, now_us)
        exceptions = tuple(exception_of(problem) for problem in problems)
        response = pb.RefundResponse(
            result=pb.DURABLE_RESULT_COMMITTED, receipt_id=self._receipt_id, decided_at_us=now_us
        )
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        lines = command.lines if command.original_key is None else ()
        amounts = [(line.line_id, line.quantity_milli, line.amount_minor) for line in lines]
        fill_unsettled(response, store, rules.program, amounts, exceptions)
        return self._decided(response, rules.version, now_us, now_us, Commit((), 0, 0), exceptions)

    def _settled_decision(self, returned: Returned) -> Decided:
        command, context = self._command, self._context
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        response = pb.RefundResponse(
            result=pb.DURABLE_RESULT_COMMITTED,
            receipt_id=self._receipt_id,
            decided_at_us=returned.now_us,
        )
        fill_returned(response, store, returned)
        original = returned.original
        commit = Commit(
            keys=returned.keys,
            effective_at_us=0,
            recorded_at_us=0,
            accounts=changes_of([returned]),
            returns=returned.entries,
            budget_uses=returned.budget_uses,
            transfer_cuts=returned.transfer_cuts,
        )
        return self._decided(
            response,
            original.rules.version,
            original.stored.evaluated_at_us,
            returned.now_us,
            commit,
            returned.exceptions,
        )

    def _decided(
        self,
        response: pb.RefundResponse,
        version: int,
        evaluated_at_us: int,
        now_us: int,
        made: Commit,
        exceptions: tuple[ExceptionEntry, ...],
    ) -> Decided:
        command = self._command
        answer = response.SerializeToString()
        key = CommitKey(command.key_id, self._kind, self._fingerprint)
        receipt = StoredReceipt(
            command.key_id, version, evaluated_at_us, command.content, b"", answer
        )
        commit = msgspec.structs.replace(
            made,
            keys=(key, *made.keys),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            receipt=receipt,
            exceptions=exceptions,
        )
        return Decided(commit, answer)
