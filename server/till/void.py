"""Void: the whole receipt is undone: what it gave is taken back, what it took comes back."""

from typing import NamedTuple

import msgspec

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.cards_share import bearers_comebacks
from rewards.commit import AccountChange, BudgetUse, Commit, CommitKey, KeyKind, StoredReceipt
from rewards.limits import TEXT_ID_MAX
from rewards.refund import RefundRefusal, decide_refund, fitted
from rewards.refusal import Reason, Refusal
from rewards.sale import LineAction, ReceiptKey, fingerprint_of, key_id_of
from rewards.settling import claims_of_void, comebacks_of_void
from rewards.uses_back import UsesBack, uses_back_of_rest, uses_back_of_void
from server.codec import check
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till.break_off import void_key_id_of
from server.till.context import Context, voice_of
from server.till.durable import Decided, run_durable
from server.till.goods_back import changed, is_change, settle_accounts
from server.till.original import (
    Moved,
    Original,
    evaluator_of,
    origin_of,
    read_original,
    sold_key,
    uncounted,
)
from server.till.refund_answer import fill_moved
from server.till.stored import stored_checkout
from server.till.turnover_changes import back_of_void

_ENCODER = msgspec.msgpack.Encoder()
_SLIP, _EMPHASIS = answer_pb2.TEXT_PLACE_SLIP, answer_pb2.TEXT_STYLE_EMPHASIS


class VoidCommand(NamedTuple):
    """A Void after its request was read and checked."""

    key: ReceiptKey
    key_id: bytes
    void_key_id: bytes
    reason_code: str
    cashier_id: str


async def void_receipt(context: Context, request: pb.VoidRequest, deadline_s: float) -> bytes:
    """Undo a receipt; durable when this returns. A repeat gives the first answer.

    Raises:
        Refusal: RECEIPT_NOT_FOUND, RECEIPT_STATE, or a bad request.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key = receipt_key_from_pb(request.receipt_key)
    key_id = key_id_of(key)
    command = VoidCommand(
        key=key,
        key_id=key_id,
        void_key_id=void_key_id_of(key_id),
        reason_code=check.text_of(request.reason_code, "reason_code", TEXT_ID_MAX),
        cashier_id=check.text_of(request.cashier_id, "cashier_id", TEXT_ID_MAX),
    )
    return await run_durable(context, VoidOperation(context, command), deadline_s)


class VoidOperation:
    """A Void as a durable operation."""

    def __init__(self, context: Context, command: VoidCommand) -> None:
        """Say what to look up: the void's own key and the receipt's.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self.wanted = Wanted((command.void_key_id, command.key_id), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was voided before: give that answer."""
        stored = await stored_checkout(self._context, self._command.void_key_id, known, deadline_s)
        return stored.answer

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Undo what is left of the sale: what refunds have settled stays as it is.

        Raises:
            Refusal: RECEIPT_NOT_FOUND, RECEIPT_STATE.
        """
        command, context = self._command, self._context
        known = sold_key(seen, command.key_id)
        original = await read_original(context, command.key, command.key_id, known, deadline_s)
        check_no_exchange(original)
        now_us = context.clock()
        undone = undo(context, original, command.void_key_id, now_us)
        moved = undone.moved
        answer = self._answer(original, moved, now_us)
        request = _ENCODER.encode((command.key_id, command.reason_code, command.cashier_id))
        own_key = CommitKey(command.void_key_id, KeyKind.VOID, fingerprint_of(request))
        commit = Commit(
            keys=(own_key, original.turn_key),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=undone.accounts,
            budget_uses=undone.budget_uses,
            undone_key_ids=original.caused_key_ids,
            receipt=StoredReceipt(
                key_id=command.void_key_id,
                ruleset_version=original.stored.ruleset_version,
                evaluated_at_us=original.stored.evaluated_at_us,
                request=request,
                facts=b"",
                answer=answer,
            ),
        )
        return Decided(commit, answer)

    def _answer(self, original: Original, moved: tuple[Moved, ...], now_us: int) -> bytes:
        command, program = self._command, original.rules.program
        store = self._context.reference.store(command.key.chain_id, command.key.store_id)
        slip = voice_of(store, program, store.record.language_code, "").slip
        response = pb.VoidResponse(
            result=pb.DURABLE_RESULT_COMMITTED, receipt_id=command.key_id, decided_at_us=now_us
        )
        response.texts.add(place=_SLIP, style=_EMPHASIS, text=slip.say("slip_voided"))
        fill_moved(response, slip, program, moved)
        return response.SerializeToString()


class Undone(NamedTuple):
    """What is undone of a sale: what moves, what changes of its accounts, what limits get back."""

    moved: tuple[Moved, ...]
    accounts: tuple[AccountChange, ...]
    budget_uses: tuple[BudgetUse, ...]


def undo(context: Context, original: Original, key_id: bytes, now_us: int) -> Undone:
    """Undo what is left of a sale: what refunds have settled stays as it is.

    Args:
        context: ports.
        original: the sale; of one that counts for nothing nothing is left.
        key_id: of what undoes it.
        now_us: the instant, UTC microseconds.
    """
    if original.is_undone:
        return Undone((), (), ())
    moved = _settled(context, original, key_id, now_us)
    uses = _uses_back(context, original)
    is_counted = not (original.returns and original.gone_with({}))
    uncount = uncounted(original) if is_counted else None
    turnover = back_of_void(original, evaluator_of(context))
    changes = [changed(one, uncount, uses.account_uses, turnover) for one in moved]
    accounts = tuple(one for one in changes if is_change(one))
    return Undone(moved, accounts, uses.budget_uses)


def _uses_back(context: Context, original: Original) -> UsesBack:
    """What comes back of limits over many receipts."""
    evaluate, earlier = evaluator_of(context), original.returned_after_each
    customer = original.customer
    spendings = customer.spendings if customer is not None else ()
    comebacks = comebacks_of_void(spendings, original.records)
    claims = claims_of_void(original.earned, original.records)
    if not original.returns:
        sold = evaluate(original.rules, original.sale, original.facts, None)
        return uses_back_of_void(original.counted, sold, claims, comebacks)
    rest = {line.line_id: line.quantity_milli for line in original.sold}
    rest, _ = fitted(original.sale, original.returned, rest)
    decided = decide_refund(
        original.rules, original.sale, original.facts, earlier, rest, evaluate,
        original.paid, may_refuse=False, settled=original.settlement, least=original.least,
        kept_money=original.kept_money,
    )  # fmt: skip
    assert not isinstance(decided, RefundRefusal), "what is left can come back"
    return uses_back_of_rest(original.counted, decided, claims, comebacks, was_gone=not rest)


def _settled(context: Context, original: Original, key_id: bytes, now_us: int) -> tuple[Moved, ...]:
    records = original.records
    granted = [one for touched in original.accounts for one in touched.granted]
    comebacks = {
        one.owner.account_ids[0]: bearers_comebacks(
            one.owner.account_ids[0], one.spendings, records
        )
        if one.is_bearer
        else comebacks_of_void(one.spendings, records)
        for one in original.accounts
    }
    claims = claims_of_void(granted, records)
    return settle_accounts(context, original, claims, comebacks, key_id, now_us, is_fact=True)


def has_goods_back(original: Original) -> bool:
    """Whether goods of other receipts came back on it."""
    returns = [one for one in original.sale.lines if one.action == LineAction.RETURN]
    return any(origin_of(one) is not None and not one.cancelled for one in returns)


def check_no_exchange(original: Original) -> None:
    """Hold a sale on which goods came back to its end: what came back on it has been settled.

    Raises:
        Refusal: RECEIPT_STATE.
    """
    if has_goods_back(original):
        metadata = {"receipt_id": original.key_id.hex(), "state": "EXCHANGED"}
        text = "goods came back on the receipt: refund what was sold on it instead"
        raise Refusal(Reason.RECEIPT_STATE, text, metadata)
