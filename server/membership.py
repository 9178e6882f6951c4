"""Merges of accounts and households, as durable operations of the back office."""

from typing import NamedTuple, Protocol

import msgspec

from loyalty.v1 import ledger_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from rewards.commit import (
    UNCHANGED,
    AccountChange,
    AccountKind,
    Commit,
    CommitKey,
    KeyKind,
    Move,
    NewAccount,
    StoredReceipt,
)
from rewards.ledger import Movement
from rewards.merging import LOTS_MAX, merge_accounts
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id, fingerprint_of
from server.codec import check
from server.customer_id import new_account_id_of
from server.customer_reference import CustomerName, Party, customer_name_from_pb, find_party
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till.context import Context
from server.till.durable import Decided, run_durable
from server.till.stored import first_answer

_ENCODER = msgspec.msgpack.Encoder()
_COMMITTED = till_pb.DURABLE_RESULT_COMMITTED


class MembershipCommand(NamedTuple):
    """A merge or a move after its request was read and checked.

    Attributes:
        customer: who moves.
        other: to whose account; None if to an account of their own.
    """

    chain_id: str
    key_id: bytes
    customer: CustomerName
    other: CustomerName | None
    done_by: str
    fingerprint: bytes


async def merge(context: Context, request: pb.MergeAccountsRequest, deadline_s: float) -> bytes:
    """Make two accounts one; durable when this returns.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, MEMBERSHIP_STATE, KEY_CONFLICT, or a bad request.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    losing = customer_name_from_pb(request.losing, "losing", chain_id, context.hash_identifier)
    winning = customer_name_from_pb(request.winning, "winning", chain_id, context.hash_identifier)
    merge_id = request.merge_id
    if merge_id:
        check.id_of(merge_id, "merge_id")
    else:
        merge_id = _ENCODER.encode((losing, winning))
    merged_by = check.text_of(request.merged_by, "merged_by")
    command = _command(b"merge", chain_id, merge_id, losing, winning, merged_by)
    return await run_durable(context, MergeOperation(context, command), deadline_s)


async def join(context: Context, request: pb.JoinHouseholdRequest, deadline_s: float) -> bytes:
    """Move a customer into a household; durable when this returns.

    Raises:
        Refusal: as `merge`.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    join_id = check.id_of(request.join_id, "join_id")
    who = customer_name_from_pb(request.customer, "customer", chain_id, context.hash_identifier)
    member = customer_name_from_pb(request.member, "member", chain_id, context.hash_identifier)
    joined_by = check.text_of(request.joined_by, "joined_by")
    command = _command(b"join", chain_id, join_id, who, member, joined_by)
    return await run_durable(context, JoinOperation(context, command), deadline_s)


async def leave(context: Context, request: pb.LeaveHouseholdRequest, deadline_s: float) -> bytes:
    """Give a member an empty account of their own; durable when this returns.

    Raises:
        Refusal: as `merge`.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    leave_id = check.id_of(request.leave_id, "leave_id")
    who = customer_name_from_pb(request.customer, "customer", chain_id, context.hash_identifier)
    left_by = check.text_of(request.left_by, "left_by")
    command = _command(b"leave", chain_id, leave_id, who, None, left_by)
    return await run_durable(context, LeaveOperation(context, command), deadline_s)


def _command(
    purpose: bytes,
    chain_id: str,
    given_id: bytes,
    customer: CustomerName,
    other: CustomerName | None,
    done_by: str,
) -> MembershipCommand:
    key_id = derived_key_id(purpose, chain_id.encode(), given_id)
    fingerprint = fingerprint_of(_ENCODER.encode((customer, other)))
    return MembershipCommand(chain_id, key_id, customer, other, done_by, fingerprint)


class _Operation:
    """What merges and moves have in common: their key, and the first answer for a repeat."""

    def __init__(self, context: Context, command: MembershipCommand) -> None:
        """Say what to look up: the operation's key.

        Args:
            context: ports.
            command: the checked request.
        """
        self._context = context
        self._command = command
        self.wanted = Wanted((command.key_id,), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was done before: give that answer.

        Raises:
            Refusal: KEY_CONFLICT if it was about other customers.
        """
        key_id, fingerprint = self._command.key_id, self._command.fingerprint
        other = "the id was used for other customers"
        return await first_answer(self._context, key_id, known, fingerprint, other, deadline_s)

    def _decided(
        self,
        answer: bytes,
        now_us: int,
        accounts: tuple[AccountChange, ...],
        moves: tuple[Move, ...],
        new_accounts: tuple[NewAccount, ...] = (),
    ) -> Decided:
        command = self._command
        request = _ENCODER.encode(
            (command.done_by, [msgspec.structs.astuple(one) for one in moves])
        )
        commit = Commit(
            keys=(CommitKey(command.key_id, KeyKind.MERGE, command.fingerprint),),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            accounts=accounts,
            new_accounts=new_accounts,
            receipt=StoredReceipt(command.key_id, 0, now_us, request, b"", answer),
            moves=moves,
        )
        return Decided(commit, answer)

    async def _parties(self) -> tuple[Party, Party]:
        command = self._command
        assert command.other is not None, "the operation has two parties"
        async with self._context.database.reading() as connection:
            own = await find_party(connection, command.customer)
            return own, await find_party(connection, command.other)


class MergeOperation(_Operation):
    """A merge as a durable operation."""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Move everything of one account to the other.

        Raises:
            Refusal: CUSTOMER_NOT_FOUND, MEMBERSHIP_STATE.
        """
        losing, winning = await self._parties()
        _check_apart(losing, winning)
        now_us = self._context.clock()
        taken, given = merge_accounts(
            self._command.key_id, losing.holdings, winning.holdings, now_us
        )
        response = pb.MergeAccountsResponse(
            result=_COMMITTED, lots=len(given.lots), customers=len(losing.members)
        )
        _add_moved(response, given)
        accounts = _accounts(losing, winning, taken, given)
        return self._decided(
            response.SerializeToString(), now_us, accounts, _moves(losing, winning)
        )


class JoinOperation(_Operation):
    """Joining a household as a durable operation."""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Move a customer, with all that their account owns and owes.

        Raises:
            Refusal: CUSTOMER_NOT_FOUND, MEMBERSHIP_STATE.
        """
        joining, household = await self._parties()
        _check_apart(joining, household)
        if joining.account.kind == AccountKind.HOUSEHOLD:
            raise _state(
                "IN_HOUSEHOLD", "the customer is in a household, which is to be left first"
            )
        now_us = self._context.clock()
        taken, given = merge_accounts(
            self._command.key_id, joining.holdings, household.holdings, now_us
        )
        members = len(joining.members) + len(household.members)
        response = pb.JoinHouseholdResponse(result=_COMMITTED, members=members)
        _add_moved(response, given)
        accounts = _accounts(joining, household, taken, given, AccountKind.HOUSEHOLD)
        return self._decided(
            response.SerializeToString(), now_us, accounts, _moves(joining, household)
        )


class LeaveOperation(_Operation):
    """Leaving a household as a durable operation."""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Move a customer to an empty account.

        Raises:
            Refusal: CUSTOMER_NOT_FOUND, MEMBERSHIP_STATE.
        """
        command = self._command
        async with self._context.database.reading() as connection:
            leaving = await find_party(connection, command.customer)
        account = leaving.account
        if account.kind != AccountKind.HOUSEHOLD:
            raise _state("NOT_IN_HOUSEHOLD", "the customer is in no household")
        if len(leaving.members) == 1:
            raise _state("LAST_MEMBER", "the last member has the household's points, and stays")
        new_id = new_account_id_of(command.key_id)
        response = pb.LeaveHouseholdResponse(result=_COMMITTED, members=len(leaving.members) - 1)
        return self._decided(
            response.SerializeToString(),
            self._context.clock(),
            (AccountChange(account.account_id, account.version),),
            (Move(leaving.member.customer_id, account.account_id, new_id),),
            (NewAccount(new_id, AccountKind.CUSTOMER, chain_id=command.chain_id),),
        )


def _check_apart(own: Party, other: Party) -> None:
    """Hold two customers to being on different accounts.

    Raises:
        Refusal: MEMBERSHIP_STATE.
    """
    if own.member.customer_id == other.member.customer_id:
        raise _state("SAME_CUSTOMER", "a customer cannot be merged with, or join, themselves")
    if own.account.account_id == other.account.account_id:
        raise _state("SAME_ACCOUNT", "the two customers share an account already")
    lots = len(own.holdings.lots) + len(other.holdings.lots)
    if lots > LOTS_MAX:
        raise _state("TOO_MANY_LOTS", f"{lots} lots are more than {LOTS_MAX}")


def _accounts(
    own: Party, other: Party, taken: Movement, given: Movement, kind: int = UNCHANGED
) -> tuple[AccountChange, AccountChange]:
    """What changes of the account that ends, and of the one that stays."""
    purchases = own.account.purchases
    last_day = max(own.account.last_purchase_day, other.account.last_purchase_day)
    ended = AccountChange(
        own.account.account_id,
        own.account.version,
        taken,
        -purchases,
        released=tuple({hold.hold_id for hold in own.holdings.holds}),
        merged_into=other.account.account_id,
    )
    stays = AccountChange(
        other.account.account_id, other.account.version, given, purchases, last_day, kind=kind
    )
    return ended, stays


def _moves(own: Party, other: Party) -> tuple[Move, ...]:
    account_id, to_account_id = own.account.account_id, other.account.account_id
    return tuple(Move(one.customer_id, account_id, to_account_id) for one in own.members)


class _WithMoved(Protocol):
    """A response that says what came to the account that stays."""

    @property
    def moved(self) -> "_Rows": ...


class _Rows(Protocol):
    def add(self, *, asset_code: str, amount_minor: int) -> object: ...


def _add_moved(response: _WithMoved, given: Movement) -> None:
    for change in given.balance_changes:
        response.moved.add(asset_code=change.asset_code, amount_minor=change.amount_minor)


def _state(state: str, text: str) -> Refusal:
    return Refusal(Reason.MEMBERSHIP_STATE, text, {"state": state})
