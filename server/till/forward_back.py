"""Forward of a refund or a void: settled, or parked until its sale comes or its time is over."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import (
    Commit,
    CommitKey,
    ExceptionEntry,
    KeyKind,
    LinkEntry,
    LinkEvent,
    ParkedEntry,
    StatementEntry,
    StoredReceipt,
)
from rewards.outcome import HOUR_US, Advice, ForwardState, Statement, counts_for_nothing
from rewards.refusal import Reason, Refusal
from rewards.sale import Outcome, OutcomeKind, derived_key_id, fingerprint_of
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.store.forwarded import KnownStatement
from server.till.context import Context
from server.till.durable import Decided
from server.till.forward_command import (
    Forwarded,
    acknowledged,
    check_instant,
    first_acknowledgement,
)
from server.till.goods_back import RETURN_EXCEPTION
from server.till.history import read_history, stated_under, turn_key
from server.till.refund import RefundCommand, RefundOperation
from server.till.void import VoidCommand, VoidOperation


class Waiting(NamedTuple):
    """What was parked and is settled now.

    Attributes:
        parked_key_id: under which it waited.
        own_key_id: under which it is settled.
    """

    parked_key_id: bytes
    own_key_id: bytes


class RefundAdvice(NamedTuple):
    """A forwarded refund after its request was read: `refund` as a fact under its own key."""

    forwarded: Forwarded
    refund: RefundCommand
    body: bytes
    waiting: Waiting | None = None


class VoidAdvice(NamedTuple):
    """A forwarded void after its request was read."""

    forwarded: Forwarded
    void: VoidCommand
    body: bytes
    waiting: Waiting | None = None


def unpark_key_of(parked_key_id: bytes) -> bytes:
    """The key under which what waited is settled or given up: once, whoever tries."""
    return derived_key_id(b"unpark", parked_key_id)


def withdrawn(history: Sequence[KnownStatement], outcome: Outcome) -> Waiting | None:
    """What waits for its sale and, as a higher number says, was not done after all; None if none.

    Args:
        history: of the refund or void.
        outcome: as stated now.
    """
    if not history or outcome.kind != OutcomeKind.NOT_SOLD:
        return None
    last = history[-1]
    is_waiting = last.statement.state == ForwardState.PARKED
    if not is_waiting or outcome.number <= last.statement.outcome.number:
        return None
    return Waiting(last.forward_key_id, unpark_key_of(last.forward_key_id))


def is_open(history: Sequence[KnownStatement], outcome: Outcome) -> bool:
    """Whether what is stated of a refund or void counts: it was not done so far, or nobody knew.

    Args:
        history: of the refund or void; not empty.
        outcome: as stated now.
    """
    last = history[-1].statement.outcome
    is_later = last.kind == OutcomeKind.UNKNOWN or outcome.number > last.number
    return counts_for_nothing(last) and is_later and outcome.kind != OutcomeKind.UNKNOWN


def is_known_sale(known: KnownKey | None, history: Sequence[KnownStatement]) -> bool:
    """Whether a sale has come that something may come back of, or never can under its key."""
    if known is None:
        return False
    return bool(history) or known.kind not in (KeyKind.FENCE, KeyKind.FORWARD)


class ForwardedRefund(RefundOperation):
    """A refund that came by Forward."""

    _kind = KeyKind.FORWARDED_REFUND

    def __init__(self, context: Context, advice: RefundAdvice) -> None:
        """Say what to look up: the statement's own key, the refund's, and those of a Refund.

        Args:
            context: ports.
            advice: the checked request.
        """
        super().__init__(context, advice.refund)
        self._forwarded = advice.forwarded
        self._advice = advice
        self._receipt_id = advice.forwarded.key_id
        own, *others = self.wanted.key_ids
        self.wanted = Wanted((own, advice.forwarded.key_id, *others), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was forwarded before: give that acknowledgement.

        Raises:
            Refusal: KEY_CONFLICT if it was another refund, or another outcome.
        """
        if self._advice.waiting is not None:
            return acknowledged(ForwardState.RECORDED)
        history = await read_history(self._context, self._forwarded.key_id, deadline_s)
        first = stated_under(history, self._command.key_id)
        assert first is not None, "the key of a statement has its statement"
        self._check_same(first.fingerprint)
        return first_acknowledgement(self._forwarded, first)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Settle it as a fact, or park it.

        Raises:
            Refusal: KEY_CONFLICT; what no server could record.
        """
        context, forwarded = self._context, self._forwarded
        if self._advice.waiting is None:
            check_instant(context, forwarded)
        known = seen.keys.get(forwarded.key_id)
        history = await read_history(context, forwarded.key_id, deadline_s)
        if known is not None and known.kind not in (KeyKind.FENCE, KeyKind.FORWARD):
            # A live Refund came first, although its answer was lost.
            self._check_same(known.fingerprint)
            return Decided(None, acknowledged(ForwardState.ALREADY_SETTLED))
        if history and self._advice.waiting is None:
            self._check_same(history[-1].statement.fingerprint)
            first = stated_under(history, self._command.key_id)
            if first is not None:
                return Decided(None, first_acknowledgement(forwarded, first))
            ended = withdrawn(history, forwarded.outcome)
            if ended is not None:
                return self._noted(known, len(history), ended)
            if not is_open(history, forwarded.outcome):
                return Decided(None, acknowledged(ForwardState.ALREADY_SETTLED))
        if counts_for_nothing(forwarded.outcome):
            return self._noted(known, len(history))
        if self._command.original_key is not None:
            key_id = self._command.original_key_id
            past = await read_history(context, key_id, deadline_s)
            if not is_known_sale(seen.keys.get(key_id), past):
                if self._advice.waiting is not None:
                    raise Refusal(Reason.RECEIPT_NOT_FOUND, "its sale has not come yet")
                return self._parked(known, key_id, len(history))
        decided = await super().decide(seen, deadline_s)
        assert decided.commit is not None, "a fact is written"
        return self._recorded(decided.commit, known, len(history))

    def _check_same(self, fingerprint: bytes) -> None:
        if fingerprint != self._fingerprint:
            metadata = {"receipt_id": self._forwarded.key_id.hex()}
            text = "the key is committed with another refund or sale"
            raise Refusal(Reason.KEY_CONFLICT, text, metadata)

    def _recorded(self, commit: Commit, known: KnownKey | None, ordinal: int) -> Decided:
        """Write what a Refund writes, under the statement's key."""
        state = _state(ordinal, self._advice.waiting)
        returns = tuple(
            [replace(one, return_key_id=self._forwarded.key_id) for one in commit.returns]
        )
        now_us = commit.recorded_at_us
        commit = replace(
            commit, returns=returns, effective_at_us=min(self._forwarded.at_us, now_us)
        )
        return self._stated(commit, known, ordinal, state)

    def _noted(self, known: KnownKey | None, ordinal: int, ended: Waiting | None = None) -> Decided:
        """It was not done: its key is closed, and nothing moves; what waited waits no more."""
        now_us = self._context.clock()
        key = CommitKey(self._command.key_id, KeyKind.STATEMENT, self._fingerprint)
        commit = _ended(Commit((key,), now_us, now_us), self._fingerprint, ended)
        state = _state(ordinal, self._advice.waiting)
        return self._stated(commit, known, ordinal, state)

    def _parked(self, known: KnownKey | None, original_key_id: bytes, ordinal: int) -> Decided:
        body = self._advice.body
        commit = parking(self._context, self._forwarded, original_key_id, body, self._fingerprint)
        return self._stated(commit, known, ordinal, ForwardState.PARKED)

    def _stated(
        self, commit: Commit, known: KnownKey | None, ordinal: int, state: ForwardState
    ) -> Decided:
        forwarded, waiting = self._forwarded, self._advice.waiting
        statement = forwarded.stated(Advice.REFUND, state, self._fingerprint)
        commit = with_statement(commit, forwarded, forwarded.key_id, ordinal, statement)
        if known is None:
            key = CommitKey(forwarded.key_id, KeyKind.FORWARD, self._fingerprint)
            commit = replace(commit, keys=(*commit.keys, key))
        return Decided(_unparked(commit, waiting), acknowledged(state))


class ForwardedVoid(VoidOperation):
    """A void that came by Forward."""

    def __init__(self, context: Context, advice: VoidAdvice) -> None:
        """Say what to look up: the statement's own key, the void's, the receipt's.

        Args:
            context: ports.
            advice: the checked request.
        """
        super().__init__(context, advice.void)
        self._advice = advice
        waiting = advice.waiting
        self._own_key_id = advice.forwarded.own_key_id if waiting is None else waiting.own_key_id
        self._fingerprint = fingerprint_of(advice.void.void_key_id)
        self.wanted = Wanted((self._own_key_id, *self.wanted.key_ids), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was forwarded before: give that acknowledgement.

        Raises:
            Refusal: KEY_CONFLICT if it was another outcome.
        """
        if self._advice.waiting is not None:
            # Settled, given up or withdrawn by somebody else: nobody is told here.
            return acknowledged(ForwardState.RECORDED)
        history = await read_history(self._context, self._command.void_key_id, deadline_s)
        first = stated_under(history, self._own_key_id)
        assert first is not None, "the key of a statement has its statement"
        return first_acknowledgement(self._advice.forwarded, first)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Undo the receipt, or park the void.

        Raises:
            Refusal: RECEIPT_STATE for what is no sale; KEY_CONFLICT.
        """
        command, context, advice = self._command, self._context, self._advice
        if advice.waiting is None:
            check_instant(context, advice.forwarded)
        history = await read_history(context, command.void_key_id, deadline_s)
        is_done = command.void_key_id in seen.keys
        first = stated_under(history, self._own_key_id)
        if first is not None and advice.waiting is None:
            return Decided(None, first_acknowledgement(advice.forwarded, first))
        if is_done and advice.waiting is None:
            return Decided(None, acknowledged(ForwardState.ALREADY_SETTLED))
        ended = withdrawn(history, advice.forwarded.outcome)
        if history and advice.waiting is None and ended is None:
            if not is_open(history, advice.forwarded.outcome):
                return Decided(None, acknowledged(ForwardState.ALREADY_SETTLED))
        now_us = context.clock()
        nothing = Commit((), now_us, now_us)
        state = _state(len(history), advice.waiting)
        if is_done or counts_for_nothing(advice.forwarded.outcome):
            commit = _ended(nothing, self._fingerprint, ended)
            return self._stated(commit, len(history), state)
        past = await read_history(context, command.key_id, deadline_s)
        if not is_known_sale(seen.keys.get(command.key_id), past):
            if advice.waiting is not None:
                raise Refusal(Reason.RECEIPT_NOT_FOUND, "its sale has not come yet")
            parked = parking(
                context, advice.forwarded, command.key_id, advice.body, self._fingerprint
            )
            return self._stated(parked, len(history), ForwardState.PARKED)
        try:
            decided = await super().decide(seen, deadline_s)
        except Refusal as refusal:
            if refusal.metadata.get("state") != "EXCHANGED":
                raise
            text = f"{refusal.reason.value}: {refusal.message}"
            noted = replace(nothing, exceptions=(ExceptionEntry(RETURN_EXCEPTION, text),))
            return self._stated(noted, len(history), state)
        assert decided.commit is not None, "a void is written"
        return self._stated(decided.commit, len(history), state)

    def _stated(self, commit: Commit, ordinal: int, state: ForwardState) -> Decided:
        forwarded, waiting = self._advice.forwarded, self._advice.waiting
        void_key_id = self._command.void_key_id
        statement = forwarded.stated(Advice.VOID, state, self._fingerprint)
        if not commit.parked:
            own = CommitKey(self._own_key_id, KeyKind.STATEMENT, self._fingerprint)
            commit = replace(commit, keys=(own, *commit.keys))
        commit = with_statement(commit, forwarded, void_key_id, ordinal, statement)
        return Decided(_unparked(commit, waiting), acknowledged(state))


def with_statement(
    commit: Commit, forwarded: Forwarded, key_id: bytes, ordinal: int, statement: Statement
) -> Commit:
    """Add a statement with the key of its turn, and what the report counts.

    Args:
        commit: with the statement's own key first; what it is of is stored there.
        forwarded: what was forwarded.
        key_id: of what it is stated.
        ordinal: how many statements of that there were before.
        statement: as it is kept.
    """
    state = ForwardState(statement.state)
    return replace(
        commit,
        keys=(*commit.keys, turn_key(key_id, ordinal)),
        statements=(StatementEntry(key_id, ordinal, statement),),
        link_events=(forwarded.event(state, commit.recorded_at_us),),
    )


def _state(ordinal: int, waiting: Waiting | None) -> ForwardState:
    """How a statement of a refund or void that is not parked is kept.

    Args:
        ordinal: how many there were before.
        waiting: it was parked, and is settled now: that goes on and supersedes nothing.
    """
    is_first = not ordinal or waiting is not None
    return ForwardState.RECORDED if is_first else ForwardState.SUPERSEDED


def _unparked(commit: Commit, waiting: Waiting | None) -> Commit:
    """What does not wait any more counts as that, not as new."""
    if waiting is None:
        return commit
    events = (LinkEntry(LinkEvent.UNPARKED),)
    return replace(commit, unparked=(waiting.parked_key_id,), link_events=events)


def _ended(commit: Commit, fingerprint: bytes, ended: Waiting | None) -> Commit:
    """What waited for its sale is never settled: its key is taken for that."""
    if ended is None:
        return commit
    key = CommitKey(ended.own_key_id, KeyKind.STATEMENT, fingerprint)
    return replace(commit, keys=(*commit.keys, key), unparked=(ended.parked_key_id,))


def parking(
    context: Context,
    forwarded: Forwarded,
    original_key_id: bytes,
    body: bytes,
    fingerprint: bytes,
) -> Commit:
    """What is written of something that waits for its sale: what was sent, and until when.

    Args:
        context: ports.
        forwarded: what waits.
        original_key_id: of the sale.
        body: the request as it was sent; it names no customer.
        fingerprint: of it.
    """
    now_us = context.clock()
    rules = context.reference.rules_at(forwarded.key.chain_id, now_us)
    until_us = now_us + rules.program.forward.parked_hours * HOUR_US
    answer = acknowledged(ForwardState.PARKED)
    receipt = StoredReceipt(forwarded.own_key_id, rules.version, forwarded.at_us, body, b"", answer)
    key = CommitKey(forwarded.own_key_id, KeyKind.PARKED, fingerprint)
    return Commit(
        (key,), now_us, now_us, receipt=receipt, parked=(ParkedEntry(original_key_id, until_us),)
    )


def body_of(request: pb.ForwardRequest) -> bytes:
    """The request of a refund or void, as it is kept while it waits."""
    return request.SerializeToString(deterministic=True)
