"""Checkout: sells. A request may be refused; a fact never is for a business reason."""

import asyncio
from collections.abc import Awaitable, Mapping
from enum import IntEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import AccountChange, Commit, CommitKey, ExceptionEntry, KeyKind, StoredReceipt
from rewards.decide import (
    Decision,
    Difference,
    DifferenceReason,
    differences,
    outcome_differs,
)
from rewards.earning import post_grants
from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.journal import Journal
from rewards.outcome import counts_for_nothing
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import (
    Outcome,
    OutcomeKind,
    ReceiptKey,
    Sale,
    SaleMode,
    encode_sale,
    fingerprint_of,
    key_id_of,
)
from rewards.spend_posting import Taking, post_missing, post_takings, spending_uses, takings_of
from rewards.spending import Purse, Wish
from rewards.transfer import transfers_of
from server.codec import check
from server.codec.answer_pb import spell_answer
from server.codec.asked import Skipped
from server.codec.sale_form import ReadCheckout, sale_of
from server.codec.sale_pb import (
    check_choices,
    check_stated_lines,
    outcome_from_pb,
    receipt_key_from_pb,
    sale_from_pb,
)
from server.codec.shape import shape_of
from server.lookups import Seen, Wanted
from server.store.budget_holds import HeldLease
from server.store.database import RetryError
from server.store.facts import KnownKey
from server.till import evaluation as work
from server.till import instruments, quotas, returns, spending
from server.till.context import Context, check_currency
from server.till.durable import Decided, run_durable
from server.till.history import forwarded_refusal, last_statement, stands_as_answered
from server.till.holds import basket_key_id_of, basket_sold, hold_id_of, versions_in_time
from server.till.merged import account_today
from server.till.old_rules import rules_of_version
from server.till.refund_answer import spell_exceptions, spell_returns
from server.till.step import step_with
from server.till.stored import first_answer
from server.till.tiers import TurnoverChange, bought_by
from server.token import QuoteToken

_DIFFERENCE = shape_of(pb.QuoteDifference, "line_id", "quoted_minor", "amount_minor", "reason").one
_RESPONSE = shape_of(
    pb.CheckoutResponse,
    "result",
    "receipt_id",
    "fingerprint",
    "decided_at_us",
    "answer",
    "differs_from_quote",
    "exceptions",
    "returns",
).one
_TRAINED, _COMMITTED = int(pb.DURABLE_RESULT_TRAINING), int(pb.DURABLE_RESULT_COMMITTED)
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
    COUPON = 20
    GIFT_CARD = 21
    BUDGET_OVERRUN = 22


class CheckoutCommand(Struct, frozen=True):
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


class Frozen(Struct, frozen=True):
    """At what a Checkout is evaluated: the quote's instant and version, or now.

    Attributes:
        problem: why a token that was sent is not used; its refusal if the receipt is open.
        told: the token by which something was spent: also one that has expired since.
    """

    rules: ProgramRules
    at_us: int
    token: QuoteToken | None
    problem: Refusal | None
    told: QuoteToken | None = None


class Sold(Struct, frozen=True):
    """A Checkout as decided, before it is answered and written.

    Attributes:
        now_us: the server's clock at the decision, UTC microseconds.
        own: what moves on the customer's account.
        settled: what coupons and gift cards move on other accounts.
        kept: what it uses of limits over many receipts.
        takings: what is spent, and what promotions cost, lot by lot.
        is_held: the basket holds something on the customer's account.
        unused: accounts of bearers on which its Quote held something, with versions.
    """

    scene: work.Scene
    now_us: int
    facts: Facts
    decision: Decision
    skipped: Skipped
    differences: tuple[Difference, ...]
    exceptions: tuple[ExceptionEntry, ...]
    own: Journal
    settled: instruments.Settled
    kept: quotas.Kept
    takings: tuple[Taking, ...] = ()
    is_held: bool = False
    back: returns.Back = returns.NOTHING_BACK
    unused: Mapping[int, int] = {}


def returned_by(sold: Sold) -> dict[str, int]:
    """What RETURN lines change of the assets of the sale's customer, minor units, by code."""
    return returns.change_of_assets(sold.back, sold.facts.customer.account_id)


async def checkout(
    context: Context, request: pb.CheckoutRequest | ReadCheckout, deadline_s: float
) -> bytes:
    """Answer a Checkout; durable when this returns.

    Raises:
        Refusal: nothing is recorded, unless it says RESULT_UNKNOWN.
    """
    command = read_command(context, request)
    if command.outcome is not None and counts_for_nothing(command.outcome):
        text = "a closed receipt was sold: Void undoes one, Forward says that it was not sold"
        check.refuse_inconsistent("outcome", text)
    operation = CheckoutOperation(context, command)
    answer = await run_durable(context, operation, deadline_s)
    context.budgets.close_later(operation.held)
    return answer


def read_command(context: Context, request: pb.CheckoutRequest | ReadCheckout) -> CheckoutCommand:
    """Check the request, or what is left to check of one that was read by its form.

    Raises:
        Refusal: names the field.
    """
    if isinstance(request, ReadCheckout):
        key, outcome = request.receipt_key, request.outcome
        sale = sale_of(request.sale, context.hash_identifier)
    else:
        if not request.HasField("receipt_key"):
            check.refuse_required("receipt_key")
        key = receipt_key_from_pb(request.receipt_key)
        sale = sale_from_pb(request.sale, context.hash_identifier)
        check.number_of(request.attempt, "attempt", 0, limits.ATTEMPT_MAX)
        check_choices(request.choices)
        outcome = outcome_from_pb(request.outcome) if request.HasField("outcome") else None
    _check_place(key, sale)
    basket_id = request.basket_id
    if basket_id or request.token:
        check.id_of(basket_id, "basket_id")
    if outcome is not None and not request.closed:
        check.refuse_inconsistent("outcome", "only a closed receipt has an outcome")
    if outcome is not None and outcome.lines:
        check_stated_lines(outcome, sale)
    encoded_sale = encode_sale(sale)
    return CheckoutCommand(
        key=key,
        key_id=key_id_of(key),
        basket_id=basket_id,
        basket_key_id=basket_key_id_of(basket_id),
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

    _kind = KeyKind.CHECKOUT
    before = instruments.NOTHING_BEFORE
    """What the receipt gave when it was sold before, and was undone."""

    def __init__(self, context: Context, command: CheckoutCommand) -> None:
        """Say what to look up: the receipt's key, the basket's, the customer.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self._receipt_id = command.key_id
        self._sale = command.sale
        self._hold_id = hold_id_of(command.basket_id)
        self._is_training = command.sale.header.mode == SaleMode.TRAINING
        self.held: tuple[HeldLease, ...] = ()
        """What its basket held of limits over many receipts at the last decision."""
        basket = (command.basket_key_id,) if command.basket_id else ()
        originals = returns.wanted_keys(command.sale)
        self.wanted = Wanted(
            (command.key_id, *basket, *originals), work.identifier_hashes(command.sale)
        )

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer again, if this is the same sale.

        Raises:
            Refusal: BROKEN_OFF or KEY_CONFLICT.
        """
        statement = await last_statement(self._context, self._command.key_id, deadline_s)
        if statement is not None and not stands_as_answered(known, statement):
            raise forwarded_refusal(self._command.key_id, statement)
        if known.kind == KeyKind.FENCE:
            text = "the key was closed by BreakOff: send the receipt by Forward"
            raise Refusal(Reason.BROKEN_OFF, text, {"receipt_id": self._command.key_id.hex()})
        key_id, fingerprint = self._command.key_id, self._command.fingerprint
        other = "the key is committed with another sale"
        return await first_answer(
            self._context, key_id, known, fingerprint, other, deadline_s, key_id
        )

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide the sale at the quote's frozen instant, or now.

        Raises:
            Refusal: an open receipt is refused; a closed one is recorded with its exceptions.
        """
        command, context = self._command, self._context
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        exceptions: list[ExceptionEntry] = []
        now_us = context.clock()
        frozen = await self._freeze(work.account_of(seen), now_us, deadline_s)
        check_currency(store, frozen.rules.program, command.sale.header.currency_code)
        if frozen.problem is not None:
            self._except(exceptions, ExceptionKind.TOKEN, frozen.problem)
        self._check_business(seen, exceptions)
        scene = work.scene_of(context, store, frozen.rules, self._sale, frozen.at_us)
        facts, looked, basket = await self._facts(scene, seen, frozen, now_us, deadline_s)
        await step_with(seen)
        promised = {}
        if basket.promised:
            promised = await versions_in_time(context, basket.promised, deadline_s)
        scene, facts = await self._paying(scene, facts, frozen, seen, now_us, deadline_s)
        coming: tuple[returns.ComingBack, ...] = ()
        if self._sale.has_returns:
            coming = await self._coming_back(scene, seen, deadline_s)
        self.held = ()
        if frozen.told is not None and frozen.told.holds_budgets:
            self.held = await self._held(seen, deadline_s)
        await step_with(seen)
        kept = await self._within_limits(scene, facts, frozen, deadline_s)
        try:
            await step_with(seen)
            return await self._decided(
                scene, seen, frozen, kept, looked, basket, promised, coming, exceptions
            )
        except BaseException:
            context.budgets.settle(kept.budget_uses, was_written=False)
            raise

    def _within_limits(
        self, scene: work.Scene, facts: Facts, frozen: Frozen, deadline_s: float
    ) -> Awaitable[quotas.Kept]:
        """Decide lines and rewards within limits over many receipts; what is taken stands in it."""
        return quotas.decide(scene, facts, self._asking(frozen), deadline_s)

    async def _coming_back(
        self, scene: work.Scene, seen: Seen, deadline_s: float
    ) -> tuple[returns.ComingBack, ...]:
        """What comes back on RETURN lines and is to be settled with the sale."""
        return await returns.look_at(scene, seen, deadline_s)

    async def _decided(
        self,
        scene: work.Scene,
        seen: Seen,
        frozen: Frozen,
        kept: quotas.Kept,
        looked: instruments.Looked,
        basket: instruments.Basket,
        promised: Mapping[int, int],
        coming: tuple[returns.ComingBack, ...],
        exceptions: list[ExceptionEntry],
    ) -> Decided:
        """Put together what is answered and written of a sale whose prices are decided."""
        command, decision = self._command, kept.decision
        facts = kept.facts
        if decision.spends:
            facts = replace(facts, spends=decision.spends)
        if kept.overrun:
            exceptions += _overruns(scene.rules, kept)
        takings = self._takings(scene, facts, decision, frozen, exceptions)
        found = self._differences(decision.evaluation, frozen, exceptions)
        decision, skipped = self._with_extras(scene, decision, facts, seen)
        await step_with(seen)
        detail = self._differs(decision.evaluation)
        if detail:
            exceptions.append(ExceptionEntry(ExceptionKind.OUTCOME_DIFFERS, detail))
        purse = spending.purse_of(scene)
        own_lots = instruments.own_lots(facts, decision, looked)
        own = Journal(command.key_id, spending.lots_with(purse, own_lots))
        post_takings(own, takings)
        settled = instruments.settle(
            scene, facts, decision, looked, basket, command.key_id, own, self.before
        )
        self._except_instruments(settled, exceptions)
        back = returns.NOTHING_BACK
        if self._sale.has_returns:
            own_id = facts.customer.account_id
            journals = {**settled.journals, own_id: own}
            back = returns.settle(scene, coming, journals, own_id, basket.now_us, command.closed)
            exceptions += back.exceptions
        sold = Sold(
            scene,
            basket.now_us,
            facts,
            decision,
            skipped,
            found,
            tuple(exceptions),
            own,
            settled,
            kept,
            takings,
            _is_held(purse, frozen.told),
            back,
            promised,
        )
        await step_with(seen)
        answer = self._answer(sold)
        await step_with(seen)
        if self._is_training:
            return Decided(None, answer)
        return Decided(self._commit(sold, seen, answer), answer)

    async def _paying(
        self,
        scene: work.Scene,
        facts: Facts,
        frozen: Frozen,
        seen: Seen,
        now_us: int,
        deadline_s: float,
    ) -> tuple[work.Scene, Facts]:
        """What is spent, and what of; an ordinary receipt reads nothing for it."""
        command = self._command
        wishes = self._wishes(scene, facts, frozen)
        in_debt = seen.customer is not None and seen.customer.in_debt
        try:
            return await spending.prepare(
                scene, facts, wishes, self._hold_id, now_us, command.closed, in_debt, deadline_s
            )
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None

    def _wishes(self, scene: work.Scene, facts: Facts, frozen: Frozen) -> tuple[Wish, ...]:
        """What is to be spent."""
        told, outcome = frozen.told, self._command.outcome
        is_same = told is not None and told.fingerprint == self._command.fingerprint
        is_plain = outcome is not None and outcome.kind in (OutcomeKind.PLAIN, OutcomeKind.NOT_SOLD)
        return spending.wishes_to_sell(scene, facts, told, is_same, is_plain)

    def _with_extras(
        self, scene: work.Scene, decision: Decision, facts: Facts, seen: Seen
    ) -> tuple[Decision, Skipped]:
        """Add what a till asks and offers: prompts for a known customer, cross-sell for all."""
        if not facts.customer.account_id:
            return work.add_items(scene, decision, facts), _NO_CUSTOMER
        decision = work.add_prompts(scene, decision, seen)
        return work.add_items(scene, decision, facts), Skipped()

    def _differs(self, evaluation: Evaluated) -> str:
        """How what the till did differs from what is answered; empty if it does not."""
        return outcome_differs(self._command.sale, evaluation, self._command.outcome)

    def _takings(
        self,
        scene: work.Scene,
        facts: Facts,
        decision: Decision,
        frozen: Frozen,
        exceptions: list[ExceptionEntry],
    ) -> tuple[Taking, ...]:
        """The lots that it takes. An open receipt takes what is covered, or is refused."""
        purse = spending.purse_of(scene)
        for short in decision.short:
            refusal = spending.refusal_of(short, purse, frozen.told)
            self._except(exceptions, ExceptionKind.SPEND, refusal)
        takings = takings_of(scene.rules.program, facts, decision.evaluation, purse)
        exceptions += spending.owed_exceptions(takings)
        return takings

    async def _facts(
        self, scene: work.Scene, seen: Seen, frozen: Frozen, now_us: int, deadline_s: float
    ) -> tuple[Facts, instruments.Looked, instruments.Basket]:
        command = self._command
        promised = frozen.told.bearers if frozen.told is not None else ()
        basket = instruments.Basket(self._hold_id, now_us, command.closed, promised=promised)
        try:
            facts = await work.gather_facts(scene, seen, deadline_s)
            facts, looked = await instruments.look_at(scene, facts, basket, deadline_s)
            return facts, looked, basket
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None

    def _asking(self, frozen: Frozen) -> quotas.Asking:
        """A sale uses limits up; a fact at least what its quote has shown, training nothing."""
        command, token = self._command, frozen.token
        shown = token.shown if token is not None and command.closed else ()
        return quotas.Asking(not self._is_training, self.held, shown)

    async def _held(self, seen: Seen, deadline_s: float) -> tuple[HeldLease, ...]:
        """What the basket holds of limits over many receipts, as its quote says that it does.

        Whoever uses it takes the basket's key as well: so it is used once.
        """
        command, context = self._command, self._context
        if self._is_training or command.basket_key_id in seen.keys:
            return ()
        while True:
            try:
                async with asyncio.timeout_at(deadline_s):
                    return await context.budgets.held(self._hold_id)
            except RetryError:
                await context.database.recover()
            except TimeoutError:
                text = "no time was left before the write; nothing is recorded"
                raise Refusal(Reason.DEADLINE_PASSED, text) from None

    async def _freeze(self, account_id: int, now_us: int, deadline_s: float) -> Frozen:
        command, reference = self._command, self._context.reference
        chain_id = command.key.chain_id
        if not command.signed_token:
            return Frozen(reference.rules_at(chain_id, now_us), now_us, None, None)
        try:
            token = await self._usable_token(account_id, now_us, deadline_s)
            version = token.ruleset_version
            rules = await rules_of_version(reference, chain_id, version, deadline_s)
        except Refusal as problem:
            if problem.reason is Reason.DEADLINE_PASSED:
                raise
            told = None
            if problem.reason is Reason.TOKEN_EXPIRED:
                told = self._context.signer.check(command.signed_token)
            return Frozen(reference.rules_at(chain_id, now_us), now_us, None, problem, told)
        return Frozen(rules, token.instant_us, token, None, token)

    async def _usable_token(self, account_id: int, now_us: int, deadline_s: float) -> QuoteToken:
        command = self._command
        token = self._context.signer.check(command.signed_token)
        here = (command.basket_id, command.key.chain_id, command.key.store_id)
        if (token.basket_id, token.chain_id, token.store_id) != here:
            text = "the token is of another basket or store"
            raise Refusal(Reason.TOKEN_FOREIGN, text, fields=(("token", text),))
        if token.account_id not in (0, account_id):
            merged_into = await account_today(self._context, token.account_id, deadline_s)
            if merged_into != account_id:
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
            refusal = basket_sold(seen.keys[command.basket_key_id])
            self._except(exceptions, ExceptionKind.BASKET_SOLD, refusal)

    def _except_instruments(
        self, settled: instruments.Settled, exceptions: list[ExceptionEntry]
    ) -> None:
        """What cannot be done with cards and coupons; of an open receipt coupons do not count."""
        for refusal in settled.refused:
            self._except(exceptions, ExceptionKind.GIFT_CARD, refusal)
        if self._command.closed:
            exceptions += [ExceptionEntry(ExceptionKind.COUPON, one) for one in settled.unusable]

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
        command, token = self._command, frozen.told
        if token is None:
            return ()
        same_sale = token.fingerprint == command.fingerprint
        found = differences(command.sale, evaluation, token.lines, same_sale)
        if frozen.token is None:
            found = tuple([one._replace(reason=DifferenceReason.TOKEN_NOT_USED) for one in found])
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
        id_base = command.basket_id or command.key_id
        # A piece to add is an offer of an open basket; a sale has none.
        asked = work.asked_of(
            sold.scene, sold.facts, sold.decision, sold.skipped, id_base, may_add=False
        )
        view = spending.view_of(sold.scene, sold.facts, sold.decision, False, {})
        codes = asked.codes if self._is_training else sold.settled.codes
        asked = replace(asked, codes=codes, spend=view, returned=returned_by(sold))
        return self._response(sold, spell_answer(asked))

    def _response(self, sold: Sold, answer: bytes | None) -> bytes:
        """Spell the response around its answer; without one the field is left out."""
        return _RESPONSE(
            _TRAINED if self._is_training else _COMMITTED,
            self._receipt_id,
            self._command.fingerprint,
            sold.now_us,
            answer,
            [_DIFFERENCE(*difference[:4]) for difference in sold.differences],
            spell_exceptions(sold.exceptions),
            spell_returns(sold.scene.store, sold.back.returned),
        )

    def _commit(self, sold: Sold, seen: Seen, answer: bytes) -> Commit:
        command, rules, at_us = self._command, sold.scene.rules, sold.scene.at_us
        keys = [CommitKey(command.key_id, self._kind, command.fingerprint)]
        if command.basket_id and command.basket_key_id not in seen.keys:
            keys.append(CommitKey(command.basket_key_id, KeyKind.BASKET, self._receipt_id))
        kept = self._kept(sold)
        return Commit(
            keys=(*keys, *sold.settled.keys, *sold.back.keys),
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
            new_accounts=sold.settled.new_accounts,
            new_instruments=sold.settled.new_instruments,
            moved_instruments=sold.settled.moved_instruments,
            money_transfers=transfers_of(
                rules.program,
                sold.decision.evaluation.grants,
                command.key_id,
                sold.facts.customer.customer_id,
            ),
            budget_uses=(*sold.kept.budget_uses, *sold.back.budget_uses),
            returns=sold.back.entries,
            transfer_cuts=sold.back.transfer_cuts,
        )

    def _kept(self, sold: Sold | None) -> tuple[object, ...]:
        """What is kept of the request besides the sale; None is one of which nothing is posted."""
        command = self._command
        return command.closed, command.basket_id, command.outcome

    def _grant_more(self, sold: Sold) -> None:
        """Grant on the customer's journal what is given besides rewards: nothing to a live call."""

    def _accounts(self, sold: Sold) -> tuple[AccountChange, ...]:
        """What changes of the customer's account."""
        customer = sold.facts.customer
        others = self._freed(sold, (*sold.settled.accounts, *sold.back.accounts))
        if not customer.account_id:
            return others
        journal = sold.own
        program, grants = sold.scene.rules.program, sold.decision.evaluation.grants
        post_grants(journal, program, grants, sold.kept.overrun)
        post_missing(journal, sold.takings, sold.scene.at_us)
        self._grant_more(sold)
        bounded = spending_uses(program, sold.facts, sold.decision.evaluation)
        last_day = max(customer.last_purchase_day, sold.facts.store.local_day)
        change = AccountChange(
            customer.account_id,
            customer.account_version,
            journal.movement(),
            1 + sold.back.purchases,
            last_day,
            released=(self._hold_id,) if sold.is_held else (),
            uses=(*sold.kept.account_uses, *bounded, *sold.back.account_uses),
            turnover=(*self._bought(sold), *sold.back.turnover),
        )
        return (change, *others)

    def _bought(self, sold: Sold) -> tuple[TurnoverChange, ...]:
        """What it adds to its customer's turnover."""
        command, evaluation = self._command, sold.decision.evaluation
        program = sold.scene.rules.program
        return bought_by(program, command.sale, sold.facts, evaluation, command.outcome)

    def _freed(self, sold: Sold, changes: tuple[AccountChange, ...]) -> tuple[AccountChange, ...]:
        """Changes of bearers' accounts, without anything that the basket held there."""
        if not changes and not sold.unused:
            return ()
        hold_id, unused = self._hold_id, dict(sold.unused)
        found = []
        for one in changes:
            was_held = unused.pop(one.account_id, None) is not None
            released = {*one.released, hold_id} if was_held else one.released
            found.append(replace(one, released=tuple(released)))
        rest = [AccountChange(key, version, released=(hold_id,)) for key, version in unused.items()]
        return (*found, *rest)


def _is_held(purse: Purse, told: QuoteToken | None) -> bool:
    """Whether the basket holds, or has held, something on the customer's account."""
    if told is not None and told.hold_ids:
        return True
    return purse.hold_id in [hold.hold_id for hold in purse.holdings.holds]


def _overruns(rules: ProgramRules, kept: quotas.Kept) -> list[ExceptionEntry]:
    """What a fact gave beyond limits over many receipts, because its quote had shown it."""
    shown = dict(kept.shown_by(rules))
    names = [rules.program.promotions[number].promotion_id for number in sorted(kept.overrun)]
    return [
        ExceptionEntry(ExceptionKind.BUDGET_OVERRUN, f"{name}: {shown[name]} beyond its limits")
        for name in names
    ]
