"""Checkout: sells. A request may be refused; a fact never is for a business reason."""

from enum import IntEnum
from typing import NamedTuple

import msgspec

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import AccountChange, Commit, CommitKey, ExceptionEntry, KeyKind, StoredReceipt
from rewards.decide import (
    Decision,
    Difference,
    differences,
    outcome_differs,
)
from rewards.earning import post_grants
from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.journal import Journal
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import (
    LineAction,
    Outcome,
    ReceiptKey,
    Sale,
    SaleMode,
    TenderKind,
    derived_key_id,
    encode_sale,
    fingerprint_of,
    key_id_of,
)
from server.codec import check
from server.codec.answer_pb import spell_answer
from server.codec.asked import Skipped
from server.codec.sale_pb import outcome_from_pb, receipt_key_from_pb, sale_from_pb
from server.codec.shape import shape_of
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till import evaluation as work
from server.till.context import Context, check_currency
from server.till.durable import Decided, run_durable
from server.till.stored import stored_checkout
from server.token import QuoteToken

_DIFFERENCE = shape_of(pb.QuoteDifference, "line_id", "quoted_minor", "amount_minor", "reason").one
_EXCEPTION = shape_of(pb.CheckoutException, "kind", "detail").one
_RESPONSE = shape_of(
    pb.CheckoutResponse,
    "result",
    "receipt_id",
    "fingerprint",
    "decided_at_us",
    "answer",
    "differs_from_quote",
    "exceptions",
).one
_POINTS, _RETURN = TenderKind.POINTS.value, LineAction.RETURN.value
_ENCODER = msgspec.msgpack.Encoder()
_NO_CUSTOMER = Skipped(prompts=answer_pb2.SET_REASON_NO_CUSTOMER)


class ExceptionKind(IntEnum):
    """As ExceptionKind of the contract."""

    TOKEN = 1
    PRICE_ROSE = 2
    BASKET_SOLD = 3
    RETURN_LINES = 4
    SPEND = 5
    OUTCOME_DIFFERS = 6


class CheckoutCommand(NamedTuple):
    """A Checkout after its request was read and checked."""

    key: ReceiptKey
    key_id: bytes
    basket_id: bytes
    basket_key_id: bytes
    sale: Sale
    encoded_sale: bytes
    fingerprint: bytes
    closed: bool
    signed_token: bytes
    outcome: Outcome | None


class Frozen(NamedTuple):
    """At what a Checkout is evaluated: the quote's instant and version, or now.

    Attributes:
        problem: why a token that was sent is not used; its refusal if the receipt is open.
    """

    rules: ProgramRules
    at_us: int
    token: QuoteToken | None
    problem: Refusal | None


class Sold(NamedTuple):
    """A Checkout as decided, before it is answered and written.

    Attributes:
        now_us: the server's clock at the decision, UTC microseconds.
    """

    scene: work.Scene
    now_us: int
    facts: Facts
    decision: Decision
    skipped: Skipped
    differences: tuple[Difference, ...]
    exceptions: tuple[ExceptionEntry, ...]


async def checkout(context: Context, request: pb.CheckoutRequest, deadline_s: float) -> bytes:
    """Answer a Checkout; durable when this returns.

    Raises:
        Refusal: nothing is recorded, unless it says RESULT_UNKNOWN.
    """
    command = read_command(context, request)
    return await run_durable(context, CheckoutOperation(context, command), deadline_s)


def read_command(context: Context, request: pb.CheckoutRequest) -> CheckoutCommand:
    """Read and check the request.

    Raises:
        Refusal: names the field.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key = receipt_key_from_pb(request.receipt_key)
    sale = sale_from_pb(request.sale, context.hash_identifier)
    _check_place(key, sale)
    check.number_of(request.attempt, "attempt", 0, limits.ATTEMPT_MAX)
    check.count_of(len(request.choices), "choices", limits.CHOICES_MAX)
    basket_id = request.basket_id
    if basket_id or request.token:
        check.id_of(basket_id, "basket_id")
    outcome = outcome_from_pb(request.outcome) if request.HasField("outcome") else None
    if outcome is not None and not request.closed:
        check.refuse_inconsistent("outcome", "only a closed receipt has an outcome")
    encoded_sale = encode_sale(sale)
    return CheckoutCommand(
        key=key,
        key_id=key_id_of(key),
        basket_id=basket_id,
        basket_key_id=derived_key_id(b"basket", basket_id) if basket_id else b"",
        sale=sale,
        encoded_sale=encoded_sale,
        fingerprint=fingerprint_of(encoded_sale),
        closed=request.closed,
        signed_token=request.token,
        outcome=outcome,
    )


def _check_place(key: ReceiptKey, sale: Sale) -> None:
    header = sale.header
    if (key.chain_id, key.store_id, key.till_id) != (
        header.chain_id,
        header.store_id,
        header.till_id,
    ):
        check.refuse_inconsistent("sale.header", "chain, store and till differ from receipt_key")


class CheckoutOperation:
    """A Checkout as a durable operation."""

    def __init__(self, context: Context, command: CheckoutCommand) -> None:
        """Say what to look up: the receipt's key, the basket's, the customer.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        basket = (command.basket_key_id,) if command.basket_id else ()
        self.wanted = Wanted((command.key_id, *basket), work.identifier_hashes(command.sale))

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer again, if this is the same sale.

        Raises:
            Refusal: BROKEN_OFF or KEY_CONFLICT.
        """
        if known.kind == KeyKind.FENCE:
            text = "the key was closed by BreakOff: send the receipt by Forward"
            raise Refusal(Reason.BROKEN_OFF, text, {"receipt_id": self._command.key_id.hex()})
        stored = await stored_checkout(self._context, self._command.key_id, known, deadline_s)
        if known.fingerprint != self._command.fingerprint:
            metadata = {
                "receipt_id": self._command.key_id.hex(),
                "fingerprint": known.fingerprint.hex(),
                "committed_at_us": str(stored.recorded_at_us),
            }
            text = "the key is committed with another sale"
            raise Refusal(Reason.KEY_CONFLICT, text, metadata)
        return stored.answer

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide the sale at the quote's frozen instant, or now.

        Raises:
            Refusal: an open receipt is refused; a closed one is recorded with its exceptions.
        """
        command, context = self._command, self._context
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        exceptions: list[ExceptionEntry] = []
        now_us = context.clock()
        frozen = await self._freeze(work.account_of(seen), now_us)
        check_currency(store, frozen.rules.program, command.sale.header.currency_code)
        if frozen.problem is not None:
            self._except(exceptions, ExceptionKind.TOKEN, frozen.problem)
        self._check_business(seen, exceptions)
        scene = work.Scene(context, store, frozen.rules, command.sale, frozen.at_us)
        facts = await self._facts(scene, seen, deadline_s)
        decision = work.decide_prices(scene, facts)
        found = self._differences(decision.evaluation, frozen, exceptions)
        decision, skipped = _add_extras(scene, decision, facts, seen)
        detail = outcome_differs(command.sale, decision.evaluation, command.outcome)
        if detail:
            exceptions.append(ExceptionEntry(ExceptionKind.OUTCOME_DIFFERS, detail))
        sold = Sold(scene, now_us, facts, decision, skipped, found, tuple(exceptions))
        answer = self._answer(sold)
        if command.sale.header.mode == SaleMode.TRAINING:
            return Decided(None, answer)
        return Decided(self._commit(sold, seen, answer), answer)

    async def _facts(self, scene: work.Scene, seen: Seen, deadline_s: float) -> Facts:
        try:
            return await work.gather_facts(scene, seen, deadline_s)
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None

    async def _freeze(self, account_id: int, now_us: int) -> Frozen:
        command, reference = self._command, self._context.reference
        chain_id = command.key.chain_id
        if not command.signed_token:
            return Frozen(reference.rules_at(chain_id, now_us), now_us, None, None)
        try:
            token = self._usable_token(account_id, now_us)
            rules = await reference.rules_of(chain_id, token.ruleset_version)
        except Refusal as problem:
            return Frozen(reference.rules_at(chain_id, now_us), now_us, None, problem)
        return Frozen(rules, token.instant_us, token, None)

    def _usable_token(self, account_id: int, now_us: int) -> QuoteToken:
        command = self._command
        token = self._context.signer.check(command.signed_token)
        here = (command.basket_id, command.key.chain_id, command.key.store_id)
        if (token.basket_id, token.chain_id, token.store_id) != here:
            text = "the token is of another basket or store"
            raise Refusal(Reason.TOKEN_FOREIGN, text, fields=(("token", text),))
        if token.account_id not in (0, account_id):
            text = "the token is of another customer"
            raise Refusal(Reason.TOKEN_FOREIGN, text, fields=(("token", text),))
        if now_us > token.expires_at_us:
            metadata = {"expired_at_us": str(token.expires_at_us)}
            text = "the token has expired: quote again"
            raise Refusal(Reason.TOKEN_EXPIRED, text, metadata, (("token", text),))
        return token

    def _check_business(self, seen: Seen, exceptions: list[ExceptionEntry]) -> None:
        """What an open receipt is refused for, and a closed one is recorded with."""
        command = self._command
        if command.basket_id and command.basket_key_id in seen.keys:
            # A basket's key keeps the receipt it was sold as in place of a fingerprint.
            sold_as = seen.keys[command.basket_key_id].fingerprint.hex()
            text = f"the basket was sold before, as receipt {sold_as}"
            refusal = Refusal(Reason.BASKET_SOLD, text, {"receipt_id": sold_as})
            self._except(exceptions, ExceptionKind.BASKET_SOLD, refusal)
        if _POINTS in [tender.kind for tender in command.sale.tenders]:
            text = "spending points is not offered by this version"
            refusal = Refusal(Reason.SPEND_NOT_POSSIBLE, text)
            self._except(exceptions, ExceptionKind.SPEND, refusal)
        if _RETURN in [line.action for line in command.sale.lines]:
            text = "RETURN lines inside a sale are not offered by this version"
            self._except(exceptions, ExceptionKind.RETURN_LINES, Refusal(Reason.NOT_OFFERED, text))

    def _except(
        self, exceptions: list[ExceptionEntry], kind: ExceptionKind, refusal: Refusal
    ) -> None:
        """Refuse an open receipt; note it for a closed one."""
        if not self._command.closed:
            raise refusal
        exceptions.append(ExceptionEntry(kind, f"{refusal.reason.value}: {refusal.message}"))

    def _differences(
        self, evaluation: Evaluated, frozen: Frozen, exceptions: list[ExceptionEntry]
    ) -> tuple[Difference, ...]:
        command, token = self._command, frozen.token
        if token is None:
            return ()
        same_sale = token.fingerprint == command.fingerprint
        found = differences(command.sale, evaluation, token.lines, same_sale)
        risen = next((difference for difference in found if difference.rises), None)
        if risen is not None:
            metadata = {
                "line_id": risen.line_id,
                "quoted_minor": str(risen.quoted_minor),
                "amount_minor": str(risen.amount_minor),
            }
            text = f"line {risen.line_id} would cost more than quoted: quote again"
            refusal = Refusal(Reason.PRICE_WOULD_RISE, text, metadata)
            self._except(exceptions, ExceptionKind.PRICE_ROSE, refusal)
        return found

    def _answer(self, sold: Sold) -> bytes:
        command = self._command
        training = command.sale.header.mode == SaleMode.TRAINING
        id_base = command.basket_id or command.key_id
        # A piece to add is an offer of an open basket; a sale has none.
        asked = work.asked_of(
            sold.scene, sold.facts, sold.decision, sold.skipped, id_base, may_add=False
        )
        return _RESPONSE(
            pb.DURABLE_RESULT_TRAINING if training else pb.DURABLE_RESULT_COMMITTED,
            command.key_id,
            command.fingerprint,
            sold.now_us,
            spell_answer(asked),
            [_DIFFERENCE(*difference[:4]) for difference in sold.differences],
            [_EXCEPTION(entry.kind, entry.detail) for entry in sold.exceptions],
        )

    def _commit(self, sold: Sold, seen: Seen, answer: bytes) -> Commit:
        command, rules, at_us = self._command, sold.scene.rules, sold.scene.at_us
        keys = [CommitKey(command.key_id, KeyKind.CHECKOUT, command.fingerprint)]
        if command.basket_id and command.basket_key_id not in seen.keys:
            keys.append(CommitKey(command.basket_key_id, KeyKind.BASKET, command.key_id))
        kept = (command.closed, command.basket_id, command.outcome)
        return Commit(
            keys=tuple(keys),
            effective_at_us=at_us,
            recorded_at_us=sold.now_us,
            accounts=self._accounts(sold),
            receipt=StoredReceipt(
                key_id=command.key_id,
                ruleset_version=rules.version,
                evaluated_at_us=at_us,
                request=command.encoded_sale + _ENCODER.encode(kept),
                facts=_ENCODER.encode(sold.facts),
                answer=answer,
            ),
            exceptions=sold.exceptions,
        )

    def _accounts(self, sold: Sold) -> tuple[AccountChange, ...]:
        """What changes of the customer's account."""
        customer = sold.facts.customer
        if not customer.account_id:
            return ()
        journal = Journal(self._command.key_id)
        post_grants(journal, sold.scene.rules.program, sold.decision.evaluation.grants)
        last_day = max(customer.last_purchase_day, sold.facts.store.local_day)
        change = AccountChange(
            customer.account_id, customer.account_version, journal.movement(), 1, last_day
        )
        return (change,)


def _add_extras(
    scene: work.Scene, decision: Decision, facts: Facts, seen: Seen
) -> tuple[Decision, Skipped]:
    """Add prompts for a known customer, and cross-sell for everybody."""
    if not facts.customer.account_id:
        return work.add_items(scene, decision, facts), _NO_CUSTOMER
    decision = work.add_prompts(scene, decision, seen)
    return work.add_items(scene, decision, facts), Skipped()
