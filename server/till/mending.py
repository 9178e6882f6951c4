"""Mending and dropping: of all that is decided about one receipt in quarantine, one thing is done.

Whoever decides commits the key of the decision. A mending commits it with the first thing that it
writes of the corrected receipt, so that nothing is written of one that came too late.
"""

from msgspec.structs import replace

from rewards.commit import Commit, CommitKey, KeyKind, QuarantineDecision
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.store.quarantine import (
    DROPPED,
    MENDED,
    WAITING,
    Quarantined,
    decide,
    read_quarantined,
)
from server.till.context import Context
from server.till.durable import Decided, Operation, run_durable
from server.till.forward_sale import UndoOperation

_NAMES = {WAITING: "WAITING", MENDED: "MENDED", DROPPED: "DROPPED"}
BEGUN = "MENDING"
"""Instead of WAITING where a mending has written something, and died before its end."""


async def entry_of_id(context: Context, quarantine_id: bytes) -> Quarantined:
    """Read one entry of the quarantine.

    Raises:
        Refusal: QUARANTINED_NOT_FOUND.
    """
    async with context.database.reading() as connection:
        found = await read_quarantined(connection, quarantine_id)
    if found is None:
        metadata = {"quarantine_id": quarantine_id.hex()}
        text = "nothing is in quarantine under this id"
        raise Refusal(Reason.QUARANTINED_NOT_FOUND, text, metadata)
    return found


class Claim:
    """The right to decide about an entry, which one of all that try gets.

    What was forwarded is known by the key of its statement: the same receipt under the same number
    again is the same mending, whatever else of it differs.
    """

    def __init__(self, context: Context, decision: QuarantineDecision, by_key_id: bytes) -> None:
        """Say what is decided.

        Args:
            context: ports.
            decision: what is to be written of the entry.
            by_key_id: of what is forwarded in its stead; of a drop anything that is always the
                same.
        """
        self._context = context
        self._decision = decision
        key_id = derived_key_id(b"decide", decision.quarantine_id)
        self.key = CommitKey(key_id, KeyKind.QUARANTINE_DECISION, by_key_id)

    async def run(self, context: Context, operation: Operation, deadline_s: float) -> bytes:
        """Carry out a step of a mending, as `run_durable`, if it is this one that decides.

        Raises:
            Refusal: QUARANTINE_STATE; what the operation raises.
        """
        return await run_durable(context, Claiming(self, operation), deadline_s)

    async def decided(self, deadline_s: float) -> Quarantined:
        """Decide, if the step that did it all has not done so; the entry.

        Raises:
            Refusal: QUARANTINE_STATE.
        """
        await run_durable(self._context, Deciding(self), deadline_s)
        return await entry_of_id(self._context, self._decision.quarantine_id)

    async def check_free(self, seen: Seen) -> None:
        """Hold an entry to nobody having decided otherwise.

        Raises:
            Refusal: QUARANTINE_STATE.
        """
        known = seen.keys.get(self.key.key_id)
        if known is not None:
            await self.check_own(known)
            return
        entry = await entry_of_id(self._context, self._decision.quarantine_id)
        if entry.state != WAITING:
            raise _decided_before(entry)

    async def check_own(self, known: KnownKey) -> None:
        """Hold the key of the decision to being this one's.

        Raises:
            Refusal: QUARANTINE_STATE.
        """
        if known.fingerprint != self.key.fingerprint:
            entry = await entry_of_id(self._context, self._decision.quarantine_id)
            raise _decided_before(entry)

    def laid_on(self, commit: Commit, seen: Seen, *, is_last: bool) -> Commit:
        """A commit that also decides; one that is not the last only takes the right to."""
        if self.key.key_id not in seen.keys:
            commit = replace(commit, keys=(*commit.keys, self.key))
        return replace(commit, decisions=(self._decision,)) if is_last else commit

    def alone(self) -> Commit:
        """A commit that decides and does nothing else."""
        now_us = self._context.clock()
        return Commit((self.key,), now_us, now_us, decisions=(self._decision,))

    async def complete(self) -> None:
        """Write a decision whose right was taken by a step that was not the last."""
        async with self._context.database.reading() as connection:
            await decide(connection, [(self._decision, self._context.clock())])


class Claiming:
    """An operation that a mending carries out: it writes nothing unless it decides."""

    def __init__(self, claim: Claim, operation: Operation) -> None:
        """Say what to look up: what the operation does, and the key of the decision.

        Args:
            claim: the right to decide.
            operation: what a Forward would carry out.
        """
        self._claim = claim
        self._operation = operation
        wanted = operation.wanted
        self.wanted = replace(wanted, key_ids=(*wanted.key_ids, claim.key.key_id))

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was forwarded before, by this mending or otherwise.

        Raises:
            Refusal: QUARANTINE_STATE if another one has decided.
        """
        decision = seen.keys.get(self._claim.key.key_id)
        if decision is not None:
            await self._claim.check_own(decision)
        return await self._operation.settled(known, seen, deadline_s)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide what a Forward would, and about the entry with it.

        Raises:
            Refusal: QUARANTINE_STATE; the operation's own.
        """
        await self._claim.check_free(seen)
        decided = await self._operation.decide(seen, deadline_s)
        if decided.commit is None:
            return decided
        # Who dies after an undoing leaves the entry waiting, so that somebody goes on with it.
        is_last = not isinstance(self._operation, UndoOperation)
        return Decided(self._claim.laid_on(decided.commit, seen, is_last=is_last), decided.answer)


class Deciding:
    """Deciding about an entry as a durable operation of its own."""

    def __init__(self, claim: Claim) -> None:
        """Say what to look up: the key of the decision.

        Args:
            claim: the right to decide.
        """
        self._claim = claim
        self.wanted = Wanted((claim.key.key_id,), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It is decided: the same again, or otherwise.

        Raises:
            Refusal: QUARANTINE_STATE.
        """
        await self._claim.check_own(known)
        await self._claim.complete()
        return b""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide.

        Raises:
            Refusal: QUARANTINE_STATE.
        """
        await self._claim.check_free(seen)
        return Decided(self._claim.alone(), b"")


def _decided_before(entry: Quarantined) -> Refusal:
    state = _NAMES[entry.state] if entry.state != WAITING else BEGUN
    metadata = {"state": state, "changed_by": entry.changed_by}
    if state == BEGUN:
        text = "another receipt has begun to be forwarded in its stead: mend it with that one"
    else:
        text = f"it was {state.lower()} before, by {entry.changed_by}"
    return Refusal(Reason.QUARANTINE_STATE, text, metadata)
