"""Void: the whole receipt is undone. Takes back what is left of the lots that the sale granted."""

from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import (
    UNCHANGED,
    AccountChange,
    Commit,
    CommitKey,
    KeyKind,
    StoredReceipt,
)
from rewards.facts import CustomerFacts
from rewards.journal import Journal
from rewards.ledger import NOTHING, Movement
from rewards.limits import TEXT_ID_MAX
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import ReceiptKey, fingerprint_of, key_id_of
from server.codec import check
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Seen, Wanted
from server.store.facts import (
    AccountRow,
    KnownKey,
    StoredRow,
    read_account,
)
from server.store.holdings import read_lots_of_key
from server.till.break_off import void_key_id_of
from server.till.context import Context, voice_of
from server.till.durable import Decided, run_durable
from server.till.stored import stored_checkout

_ENCODER = msgspec.msgpack.Encoder()
_SLIP, _EMPHASIS = answer_pb2.TEXT_PLACE_SLIP, answer_pb2.TEXT_STYLE_EMPHASIS


class _CustomerOfFacts(Struct, frozen=True, array_like=True):
    """The first part of the facts of a sale; the rest is not read."""

    customer: CustomerFacts


_FACTS = msgspec.msgpack.Decoder(_CustomerOfFacts)
_NO_ACCOUNT_ROW = AccountRow(0, 0, {})


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
        """Take back what the sale granted.

        Raises:
            Refusal: RECEIPT_NOT_FOUND, RECEIPT_STATE.
        """
        command, context = self._command, self._context
        receipt = self._receipt(seen)
        stored = await stored_checkout(context, command.key_id, receipt, deadline_s)
        rules = await context.reference.rules_of(command.key.chain_id, stored.ruleset_version)
        account, movement = await self._movement(receipt.account_id)
        purchases, last_day = _taken_back(account, stored)
        now_us = context.clock()
        answer = self._answer(rules, movement, account.balances, now_us)
        request = _ENCODER.encode((command.key_id, command.reason_code, command.cashier_id))
        commit = Commit(
            keys=(CommitKey(command.void_key_id, KeyKind.VOID, fingerprint_of(request)),),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=_changed(receipt.account_id, account.version, movement, purchases, last_day),
            receipt=StoredReceipt(
                key_id=command.void_key_id,
                ruleset_version=stored.ruleset_version,
                evaluated_at_us=stored.evaluated_at_us,
                request=request,
                facts=b"",
                answer=answer,
            ),
        )
        return Decided(commit, answer)

    def _receipt(self, seen: Seen) -> KnownKey:
        known = seen.keys.get(self._command.key_id)
        metadata = {"receipt_id": self._command.key_id.hex()}
        if known is None:
            text = "nothing is recorded under this key: there is nothing to void"
            raise Refusal(Reason.RECEIPT_NOT_FOUND, text, metadata)
        if known.kind != KeyKind.CHECKOUT:
            metadata["state"] = "BROKEN_OFF"
            raise Refusal(Reason.RECEIPT_STATE, "the receipt was broken off", metadata)
        return known

    async def _movement(self, account_id: int) -> tuple[AccountRow, Movement]:
        """The account, and what is taken back. The account is read first."""
        async with self._context.database.reading() as connection:
            account = await read_account(connection, account_id) if account_id else None
            if account is None:
                return _NO_ACCOUNT_ROW, NOTHING
            lots = await read_lots_of_key(connection, account_id, self._command.key_id)
        journal = Journal(self._command.void_key_id, lots)
        for lot in lots:
            if lot.remaining_minor:
                journal.take_back(lot.lot_id, lot.remaining_minor)
        return account, journal.movement()

    def _answer(
        self, rules: ProgramRules, movement: Movement, balances: dict[str, int], now_us: int
    ) -> bytes:
        command, context = self._command, self._context
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        slip = voice_of(store, rules.program, store.record.language_code, "").slip
        response = pb.VoidResponse(
            result=pb.DURABLE_RESULT_COMMITTED, receipt_id=command.key_id, decided_at_us=now_us
        )
        voided = slip.say("slip_voided")
        response.texts.add(place=_SLIP, style=_EMPHASIS, text=voided)
        for asset_code, change_minor, _ in map(astuple, movement.balance_changes):
            balance_minor = balances.get(asset_code, 0) + change_minor
            response.changes.add(
                asset_code=asset_code, amount_minor=change_minor, balance_minor=balance_minor
            )
            asset = rules.program.assets[asset_code]
            figures = slip.owned(-change_minor, asset)
            text = slip.fill(f"slip_taken_back_{asset.kind}", figures)
            response.texts.add(place=_SLIP, style=_EMPHASIS, text=text)
        return response.SerializeToString()


def _changed(
    account_id: int, version: int, movement: Movement, purchases: int, last_day: int
) -> tuple[AccountChange, ...]:
    if not account_id:
        return ()
    return (AccountChange(account_id, version, movement, purchases, last_day),)


def _taken_back(account: AccountRow, stored: StoredRow) -> tuple[int, int]:
    """How the purchase is uncounted: the change of the count, and the day of the last one.

    The day before the sale is known from its facts; it is the last one again if nothing was bought
    after the sale.
    """
    before = _FACTS.decode(stored.facts).customer
    if not before.account_id:
        return 0, UNCHANGED
    bought_since = account.purchases != before.purchases + 1
    return -1, UNCHANGED if bought_since else before.last_purchase_day
