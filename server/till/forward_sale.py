"""Forward of a sale: recorded as it was sold, or settled against what was known of it.

Whoever commits takes the receipt's next turn, so that two statements, or a statement and a refund,
never settle the same.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import (
    Commit,
    CommitKey,
    ExceptionEntry,
    KeyKind,
    NewMessage,
    StatementEntry,
    StoredReceipt,
)
from rewards.decide import Decision
from rewards.evaluate import Evaluated
from rewards.facts import AssetWindow, Facts
from rewards.notice import messages_of
from rewards.outcome import (
    Advice,
    ForwardState,
    Instead,
    Plan,
    Statement,
    counts_for_nothing,
    in_force,
    is_plain,
    plain_sale,
    plan_of,
    sells_alike,
)
from rewards.refusal import Reason, Refusal
from rewards.sale import OutcomeKind, SaleMode, derived_key_id
from rewards.settling import ReturnRecord
from rewards.spending import Wish
from rewards.transfer import not_sent_yet
from rewards.undelivered import (
    Undelivered,
    delivered_wishes,
    instead_of,
    post_instead,
    undelivered,
    without_price,
)
from server.codec.asked import Skipped
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.store.forwarded import KnownStatement, Parked, codes_key_of
from server.store.instruments import Standing
from server.till import evaluation as work
from server.till import instruments, quotas, returns
from server.till.break_off import void_key_id_of
from server.till.checkout import (
    CheckoutCommand,
    CheckoutOperation,
    ExceptionKind,
    Frozen,
    Sold,
    returned_by,
)
from server.till.context import Context
from server.till.durable import Decided, Run, run_durable
from server.till.forward_command import (
    Forwarded,
    acknowledged,
    check_instant,
    check_same_outcome,
    first_acknowledgement,
)
from server.till.history import (
    base_of,
    is_sale,
    read_history,
    stated_under,
    turn_key,
)
from server.till.old_rules import in_time, rules_of_version
from server.till.original import Original, evaluator_of, read_original, stated_live
from server.till.supersede import lower, noted, turned, undo_all

_BY_LINES = (OutcomeKind.PLAIN, OutcomeKind.OTHER)


class SaleAdvice(Struct, frozen=True):
    """A forwarded sale after its request was read and checked.

    Attributes:
        checkout: as that of a paid receipt, under the statement's own key.
    """

    forwarded: Forwarded
    checkout: CheckoutCommand


async def forward_sale(
    context: Context, advice: SaleAdvice, deadline_s: float, run: Run | None = None
) -> tuple[bytes, tuple[Parked, ...]]:
    """Record or settle a forwarded sale; durable when this returns.

    Args:
        context: ports.
        advice: the checked request.
        deadline_s: the loop's time past which nothing is written.
        run: carries its operations out; without one `run_durable`.

    Returns:
        The acknowledgement, and what had waited for the sale when it was looked up.

    Raises:
        Refusal: KEY_CONFLICT for another sale under a known key; UNKNOWN_STORE and its like;
            no time.
    """
    if advice.checkout.sale.header.mode == SaleMode.TRAINING:
        return acknowledged(ForwardState.RECORDED, training=True), ()
    forward = ForwardOperation(context, advice)
    while True:
        try:
            answer = await (run or run_durable)(context, forward, deadline_s)
            return answer, forward.waiting
        except UndoFirstError as first:
            # Its own commit: sold anew it reads the accounts as that has left them. Whoever dies in
            # between is sent the statement again, and goes on from here.
            undoing = UndoOperation(context, advice, first.turn)
            await (run or run_durable)(context, undoing, deadline_s)


class UndoFirstError(Exception):
    """What was settled by lines must be undone before it is sold anew.

    Attributes:
        turn: of the receipt, that the undoing is to take.
    """

    def __init__(self, turn: int) -> None:
        """Keep the turn."""
        super().__init__("what was settled by lines is to be undone first")
        self.turn = turn


class ForwardOperation:
    """A forwarded sale as a durable operation."""

    def __init__(self, context: Context, advice: SaleAdvice) -> None:
        """Say what to look up: the statement's own key, the receipt's, its void's, the customer.

        Args:
            context: ports.
            advice: the checked request.
        """
        self._context = context
        self._advice = advice
        key_id = advice.forwarded.key_id
        self._selling = ForwardedCheckout(context, advice)
        _, *others = self._selling.wanted.key_ids
        self.wanted = Wanted(
            (advice.forwarded.own_key_id, key_id, void_key_id_of(key_id), *others),
            self._selling.wanted.identifier_hashes,
            sale_ids=(key_id,),
            can_wait=True,
        )
        self.waiting: tuple[Parked, ...] = ()
        """What waits for the sale, as it was looked up."""

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was stated before: give that acknowledgement.

        Raises:
            Refusal: KEY_CONFLICT if it was stated of another sale, or was another outcome.
        """
        self.waiting = seen.parked or self.waiting
        forwarded = self._advice.forwarded
        history = await read_history(self._context, forwarded.key_id, deadline_s)
        first = stated_under(history, forwarded.own_key_id)
        assert first is not None, "the key of a statement has its statement"
        return self._as_first(first)

    def _as_first(self, first: Statement) -> bytes:
        """Acknowledge a copy as the first one was.

        Raises:
            Refusal: KEY_CONFLICT.
        """
        self._check_same(first.fingerprint)
        return first_acknowledgement(self._advice.forwarded, first)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide what becomes of the statement.

        Raises:
            Refusal: KEY_CONFLICT, INSTANT_NOT_ACCEPTED; what no server could record.
            UndoFirstError: see the class.
        """
        context, forwarded = self._context, self._advice.forwarded
        self.waiting = seen.parked or self.waiting
        check_instant(context, forwarded)
        # A key that is not there has no statement; one that comes meanwhile takes it.
        history: tuple[KnownStatement, ...] = ()
        if forwarded.key_id in seen.keys:
            history = await read_history(context, forwarded.key_id, deadline_s)
        first = stated_under(history, forwarded.own_key_id)
        if first is not None:
            return Decided(None, self._as_first(first))
        known = seen.keys.get(forwarded.key_id)
        original = await self._original(known, history, deadline_s)
        is_voided = void_key_id_of(forwarded.key_id) in seen.keys
        live = None if original is None else stated_live(original)
        if live is not None and live.number == forwarded.outcome.number:
            check_same_outcome(forwarded, Advice.SALE, live)
        standing = in_force(
            live=original is not None and not history,
            stated_live=live,
            statements=[one.statement for one in history],
        )
        if original is not None:
            standing = standing._replace(is_voided=is_voided, has_returns=bool(original.returns))
        plan = plan_of(standing, forwarded.outcome)
        if plan == Plan.SETTLED:
            return Decided(None, acknowledged(ForwardState.ALREADY_SETTLED))
        turn = len(history) + (len(original.returns) if original is not None else 0)
        if plan == Plan.UNDO_AND_SELL:
            raise UndoFirstError(turn)
        if plan == Plan.SELL:
            own = [one.forward_key_id for one in history]
            self._selling.sold_before = frozenset((forwarded.key_id, *own))
            self._selling.before = given_before(original)
            commit, statement, base = await self._sold(seen, deadline_s, is_new=original is None)
            if original is not None:
                waiting, counted = not_sent_yet(commit.money_transfers, original.sent)
                commit = replace(commit, money_transfers=waiting, transfer_grounds=counted)
        else:
            assert original is not None, "only what is known is settled"
            commit, statement, base = self._settled(plan, original)
        return self._decided(commit, statement, base, known, len(history), turn)

    async def _original(
        self, known: KnownKey | None, history: tuple[KnownStatement, ...], deadline_s: float
    ) -> Original | None:
        """The sale as it is known; None if it is not.

        Raises:
            Refusal: KEY_CONFLICT.
        """
        forwarded = self._advice.forwarded
        if known is None:
            return None
        if not is_sale(known, history):
            raise self._conflict("the key is committed with something else than a sale")
        base = base_of(known, forwarded.key_id, history)
        if base is None:
            return None
        fingerprint = history[-1].statement.fingerprint if history else known.fingerprint
        self._check_same(fingerprint)
        return await read_original(
            self._context, forwarded.key, forwarded.key_id, known, deadline_s
        )

    def _check_same(self, fingerprint: bytes) -> None:
        if fingerprint != self._advice.checkout.fingerprint:
            raise self._conflict("the key is committed with another sale")

    def _conflict(self, text: str) -> Refusal:
        metadata = {"receipt_id": self._advice.forwarded.key_id.hex()}
        return Refusal(Reason.KEY_CONFLICT, text, metadata)

    async def _sold(
        self, seen: Seen, deadline_s: float, *, is_new: bool
    ) -> tuple[Commit, Statement, tuple[bytes, int]]:
        """Sell what was not sold before, or not for certain."""
        state = ForwardState.RECORDED if is_new else ForwardState.SUPERSEDED
        commit, instead = await self._selling.sold(seen, deadline_s)
        if not is_new:
            commit = replace(commit, silenced_key_ids=(self._advice.forwarded.key_id,))
        statement = self._statement(state)
        is_undone = counts_for_nothing(statement.outcome)
        assert commit.receipt is not None, "what is sold is stored"
        statement = replace(
            statement,
            instead=instead,
            is_base=True,
            is_undone=is_undone,
            codes_key_id=self._selling.before.codes_key_by(commit.receipt.ruleset_version),
        )
        return commit, statement, (b"", 0)

    def _settled(
        self, plan: Plan, original: Original
    ) -> tuple[Commit, Statement, tuple[bytes, int]]:
        """Settle a statement against what is known."""
        context, forwarded = self._context, self._advice.forwarded
        now_us = context.clock()
        statement = self._statement(ForwardState.SUPERSEDED)
        at_us = max(forwarded.at_us, original.stored.evaluated_at_us)
        commit = Commit(keys=(), effective_at_us=min(at_us, now_us), recorded_at_us=now_us)
        if plan == Plan.LOWER:
            lowered = lower(context, original, forwarded.outcome, forwarded.own_key_id, now_us)
            commit = replace(
                commit,
                accounts=lowered.accounts,
                exceptions=lowered.exceptions,
                messages=messages_of(
                    original.rules,
                    lowered.grants,
                    turned(lowered.instead, lowered.windows),
                    forwarded.told(original.facts.customer.customer_id, now_us),
                ),
                silenced_key_ids=(forwarded.key_id,),
            )
            statement = replace(
                statement,
                settled=lowered.record,
                instead=lowered.instead,
                returned=tuple(original.returned.items()),
            )
        elif plan == Plan.UNDO:
            commit = undo_all(context, original, forwarded.own_key_id, commit)
            statement = replace(statement, is_undone=True)
        else:
            statement = replace(statement, is_undone=original.is_undone)
            commit = replace(
                commit,
                accounts=noted(context, original, forwarded.outcome),
                exceptions=_noted(original, forwarded),
                messages=self._untold(original, now_us),
            )
        base = original.base_key_id, original.base_day
        return commit, statement, base

    def _untold(self, original: Original, now_us: int) -> tuple[NewMessage, ...]:
        """What the customer is told of a live sale whose answer has never reached the till."""
        forwarded = self._advice.forwarded
        is_as_answered = forwarded.outcome.kind == OutcomeKind.AS_ANSWERED
        if original.history or original.is_undone or not is_as_answered:
            return ()
        sold = evaluator_of(self._context)(original.rules, original.sale, original.facts, None)
        told = forwarded.told(original.facts.customer.customer_id, now_us)
        return messages_of(original.rules, sold.grants, (), told)

    def _statement(self, state: ForwardState) -> Statement:
        return self._advice.forwarded.stated(Advice.SALE, state, self._advice.checkout.fingerprint)

    def _decided(
        self,
        commit: Commit,
        statement: Statement,
        base: tuple[bytes, int],
        known: KnownKey | None,
        ordinal: int,
        turn: int,
    ) -> Decided:
        forwarded = self._advice.forwarded
        state = ForwardState(statement.state)
        kind = KeyKind.FORWARDED_SALE if statement.is_base else KeyKind.STATEMENT
        fingerprint = statement.fingerprint
        keys = [CommitKey(forwarded.own_key_id, kind, fingerprint)]
        keys.append(turn_key(forwarded.key_id, turn))
        if known is None:
            keys.append(CommitKey(forwarded.key_id, KeyKind.FORWARD, fingerprint))
        commit = replace(
            commit,
            keys=(*keys, *commit.keys),
            statements=(StatementEntry(forwarded.key_id, ordinal, statement, *base),),
            link_events=(forwarded.event(state, commit.recorded_at_us),),
        )
        return Decided(commit, acknowledged(state))


def _noted(original: Original, forwarded: Forwarded) -> tuple[ExceptionEntry, ...]:
    """What a statement that changes nothing says to the back office."""
    before = original.by_lines
    if before is None or not original.returns or sells_alike(before.outcome, forwarded.outcome):
        return ()
    stated = OutcomeKind(forwarded.outcome.kind).name
    text = f"stated {stated} after goods had come back: what was settled before stands"
    return (ExceptionEntry(ExceptionKind.OUTCOME_DIFFERS, text),)


def given_before(original: Original | None) -> instruments.GivenBefore:
    """What a receipt gave when it was sold before; nothing, if it was not."""
    if original is None:
        return instruments.NOTHING_BEFORE
    return instruments.GivenBefore(
        original.stored.ruleset_version,
        codes_key_of(original.base_key_id, original.history),
        frozenset([one.code_hash for one in original.codes]),
        {
            one.owner.account_id: Standing(one.owner.version, one.holdings, tuple(one.lots))
            for one in original.bearers
        },
        original.kept,
    )


class UndoOperation:
    """Undoes what a statement had settled by lines, before a later one is sold anew."""

    def __init__(self, context: Context, advice: SaleAdvice, turn: int) -> None:
        """Say what to look up: the key of the undoing, the receipt's, its void's.

        Args:
            context: ports.
            advice: what is sold anew then.
            turn: of the receipt, by which that was decided.
        """
        self._context = context
        self._advice = advice
        self._turn = turn
        self._key_id = forwarded_undo_key(advice.forwarded, turn)
        key_id = advice.forwarded.key_id
        self._void_key_id = void_key_id_of(key_id)
        self.wanted = Wanted((self._key_id, key_id, self._void_key_id), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It is undone."""
        return b""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Undo what is left; the number in force stays.

        Nothing is undone if anything has happened to the receipt since that was called for: a later
        number, goods that came back, or a void may want what is there now to stay.
        """
        context, forwarded = self._context, self._advice.forwarded
        known = seen.keys[forwarded.key_id]
        original = await read_original(context, forwarded.key, forwarded.key_id, known, deadline_s)
        turn = len(original.returns) + len(original.history)
        # A void takes the turn and is not counted. What comes after these reads takes it as well.
        if turn != self._turn or self._void_key_id in seen.keys:
            return Decided(None, b"")
        now_us = context.clock()
        last = original.history[-1].statement
        commit = Commit(
            keys=(
                CommitKey(self._key_id, KeyKind.STATEMENT, last.fingerprint),
                original.turn_key,
            ),
            effective_at_us=now_us,
            recorded_at_us=now_us,
        )
        commit = undo_all(context, original, self._key_id, commit)
        statement = replace(
            last,
            settled=ReturnRecord(()),
            instead=(),
            is_base=False,
            is_undone=True,
            returned=(),
        )
        entry = StatementEntry(
            forwarded.key_id,
            len(original.history),
            statement,
            original.base_key_id,
            original.base_day,
        )
        return Decided(replace(commit, statements=(entry,)), b"")


def forwarded_undo_key(forwarded: Forwarded, turn: int) -> bytes:
    """The key under which what was settled is undone before a statement is sold anew.

    Of each turn it is another: a lower number may be sold between the undoing and the sale, and is
    undone then, too.
    """
    return derived_key_id(b"forward undo", forwarded.own_key_id, turn.to_bytes(4, "big"))


class ForwardedCheckout(CheckoutOperation):
    """A sale that came by Forward and is not known: sold as its till has sold it."""

    _kind = KeyKind.FORWARDED_SALE

    def __init__(self, context: Context, advice: SaleAdvice) -> None:
        """Prepare to sell it.

        Args:
            context: ports.
            advice: the checked request.
        """
        super().__init__(context, advice.checkout)
        self._forwarded = advice.forwarded
        self._receipt_id = advice.forwarded.key_id
        self._is_plain = is_plain(advice.forwarded.outcome)
        if self._is_plain:
            self._sale = plain_sale(self._sale)
        self.sold_before: frozenset[bytes] = frozenset()
        """Keys under which the receipt was sold before, and what came back on it settled."""
        self._missing: Undelivered | None = None
        self._instead: tuple[Instead, ...] = ()
        self._messages: tuple[NewMessage, ...] = ()

    async def sold(self, seen: Seen, deadline_s: float) -> tuple[Commit, tuple[Instead, ...]]:
        """Decide it; the commit has no keys of its own and of the receipt yet.

        Returns:
            What is to be written, and what is given in the stead of discounts.
        """
        self._instead, self._messages = (), ()
        if counts_for_nothing(self._forwarded.outcome):
            return await self._unsold(seen, deadline_s), ()
        decided = await self.decide(seen, deadline_s)
        assert decided.commit is not None, "a live sale is written"
        commit = decided.commit
        commit = replace(
            commit,
            keys=commit.keys[1:],
            effective_at_us=self._at_us,
            messages=self._messages,
        )
        return commit, self._instead

    async def _coming_back(
        self, scene: work.Scene, seen: Seen, deadline_s: float
    ) -> tuple[returns.ComingBack, ...]:
        """What is settled stays so when the sale is undone: it does not come back twice."""
        coming = await super()._coming_back(scene, seen, deadline_s)
        return tuple([one for one in coming if not one.came_back_by(self.sold_before)])

    async def _unsold(self, seen: Seen, deadline_s: float) -> Commit:
        """Keep what was scanned of a receipt of which nothing is posted."""
        context, command = self._context, self._command
        now_us = context.clock()
        frozen = await self._freeze(work.account_of(seen), now_us, deadline_s)
        store = context.reference.store(command.key.chain_id, command.key.store_id)
        scene = work.scene_of(context, store, frozen.rules, self._sale, frozen.at_us)
        try:
            facts = await work.gather_facts(scene, seen, deadline_s)
        except TimeoutError:
            text = "no time was left before the write; nothing is recorded"
            raise Refusal(Reason.DEADLINE_PASSED, text) from None
        answer = pb.CheckoutResponse(
            result=pb.DURABLE_RESULT_COMMITTED,
            receipt_id=self._receipt_id,
            fingerprint=command.fingerprint,
            decided_at_us=now_us,
        )
        encode = msgspec.msgpack.encode
        receipt = StoredReceipt(
            command.key_id,
            frozen.rules.version,
            frozen.at_us,
            command.encoded_sale + encode(self._kept(None)),
            encode(facts),
            answer.SerializeToString(),
        )
        return Commit((), self._at_us, now_us, receipt=receipt)

    @property
    def _at_us(self) -> int:
        """When it counts: at its sale, never ahead of the server."""
        return min(self._forwarded.at_us, self._context.clock())

    async def _freeze(self, account_id: int, now_us: int, deadline_s: float) -> Frozen:
        """The quote's instant and version, however long ago; or those of the sale."""
        reference, chain_id = self._context.reference, self._command.key.chain_id
        problem = None
        if self._command.signed_token:
            try:
                token = await self._usable_token(account_id, 0, deadline_s)
                version = token.ruleset_version
                rules = await rules_of_version(reference, chain_id, version, deadline_s)
                return Frozen(rules, token.instant_us, token, None, token)
            except Refusal as refusal:
                if refusal.reason in (Reason.DEADLINE_PASSED, Reason.STORE_UNAVAILABLE):
                    raise
                problem = refusal
        rules = await in_time(reference.rules_in_force(chain_id, self._at_us), deadline_s)
        return Frozen(rules, self._at_us, None, problem)

    async def _facts(
        self, scene: work.Scene, seen: Seen, frozen: Frozen, now_us: int, deadline_s: float
    ) -> tuple[Facts, instruments.Looked, instruments.Basket]:
        facts, looked, basket = await super()._facts(scene, seen, frozen, now_us, deadline_s)
        if self._is_plain:
            # Nobody took a coupon for what the customer did not get.
            facts = replace(facts, coupons=())
        return facts, looked, basket

    async def _paying(
        self,
        scene: work.Scene,
        facts: Facts,
        frozen: Frozen,
        seen: Seen,
        now_us: int,
        deadline_s: float,
    ) -> tuple[work.Scene, Facts]:
        scene, facts = await super()._paying(scene, facts, frozen, seen, now_us, deadline_s)
        if self._is_plain:
            costs = tuple([(code, 0) for code in scene.rules.program.cost_assets])
            facts = replace(facts, customer=replace(facts.customer, usable=costs))
        return scene, facts

    async def _within_limits(
        self, scene: work.Scene, facts: Facts, frozen: Frozen, deadline_s: float
    ) -> quotas.Kept:
        """At other prices, too, nobody paid a promotion's price for what they did not get."""
        outcome = self._forwarded.outcome
        while True:
            kept = await super()._within_limits(scene, facts, frozen, deadline_s)
            if outcome.kind != OutcomeKind.OTHER:
                return kept
            sold = kept.decision.evaluation
            less = without_price(scene.rules, self._sale, facts, sold, outcome)
            if less is None:
                return kept
            self._context.budgets.settle(kept.budget_uses, was_written=False)
            facts = less

    def _wishes(self, scene: work.Scene, facts: Facts, frozen: Frozen) -> tuple[Wish, ...]:
        if self._is_plain:
            return ()
        wishes = super()._wishes(scene, facts, frozen)
        outcome = self._forwarded.outcome
        if outcome.kind != OutcomeKind.OTHER or all(one.tender_minor for one in wishes):
            return wishes
        sold = work.decide_prices(scene, facts).evaluation
        return delivered_wishes(wishes, scene.rules.program, self._sale, sold, outcome)

    def _with_extras(
        self, scene: work.Scene, decision: Decision, facts: Facts, seen: Seen
    ) -> tuple[Decision, Skipped]:
        """Nobody stands at the till any more who could be asked, or offered something."""
        return decision, Skipped()

    def _differs(self, evaluation: Evaluated) -> str:
        """Lines that the till sold for less than was decided: nobody takes that back."""
        if self._forwarded.outcome.kind not in _BY_LINES:
            return ""
        self._missing = undelivered(self._sale, evaluation, self._forwarded.outcome)
        below = self._missing.below
        return f"sold below what was decided: {', '.join(below[:10])}" if below else ""

    def _grant_more(self, sold: Sold) -> None:
        """Give what each promotion's policy says for what the till did not give; tell of it all."""
        windows = dict(sold.scene.store.facts_at(sold.scene.rules, sold.now_us).windows)
        if self._forwarded.outcome.kind in _BY_LINES:
            self._give_instead(sold, windows)
        self._messages = messages_of(
            sold.scene.rules,
            sold.decision.evaluation.grants,
            turned(self._instead, windows),
            self._forwarded.told(sold.facts.customer.customer_id, sold.now_us),
        )

    def _give_instead(self, sold: Sold, windows: Mapping[str, AssetWindow]) -> None:
        program, facts = sold.scene.rules.program, sold.facts
        assert self._missing is not None, "what is missing was seen as it was decided"
        balances = dict(facts.customer.balances)
        for grant in sold.decision.evaluation.grants:
            if grant.asset_code:
                before_minor = balances.get(grant.asset_code, 0)
                balances[grant.asset_code] = before_minor + grant.amount_minor
        given = instead_of(program, facts, self._missing.by_promotion, balances)
        post_instead(sold.own, program, given, windows)
        self._instead = tuple([one for _, one in given])

    def _answer(self, sold: Sold) -> bytes:
        """What is stored: the answer in it is spelled when it is asked for (ADR 0046)."""
        return self._response(sold, None)

    def _kept(self, sold: Sold | None) -> tuple[object, ...]:
        forwarded = self._forwarded
        kept = (*super()._kept(sold), forwarded.sold_at_us, forwarded.clock_offset_us)
        returned = returned_by(sold) if sold is not None and sold.back.returned else {}
        return (*kept, tuple(returned.items())) if returned else kept
