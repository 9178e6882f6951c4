"""What a customer may see of an account: balance, what ends when, entries, at any instant."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import customer_service_pb2 as pb
from loyalty.v1 import ledger_pb2 as ledger_pb
from rewards.commit import AccountKind, KeyKind
from rewards.limits import INSTANT_US_MAX
from rewards.refusal import Refusal
from rewards.statement import Due, Position, positions
from server.codec import check
from server.customer_id import ID_MAX
from server.customer_reference import CustomerName, customer_name_from_pb, find_member, find_party
from server.store.facts import AnyConnection
from server.store.membership import Member, count_identifiers
from server.store.refunds import read_owner
from server.store.statements import (
    Entry,
    Place,
    read_balances_at,
    read_entries,
    read_request,
)
from server.till.context import Context

DUES_MAX = 100
PAGE_MAX = 500
PAGE_DEFAULT = 100
PAGE_TOKEN_MAX = 256

KIND_OF: dict[int, pb.EntryKind.ValueType] = {
    KeyKind.CHECKOUT: pb.ENTRY_KIND_CHECKOUT,
    KeyKind.VOID: pb.ENTRY_KIND_VOID,
    KeyKind.REFUND: pb.ENTRY_KIND_REFUND,
    KeyKind.EXPIRY: pb.ENTRY_KIND_EXPIRY,
    KeyKind.GOODWILL: pb.ENTRY_KIND_GOODWILL,
    KeyKind.FORWARDED_SALE: pb.ENTRY_KIND_CHECKOUT,
    KeyKind.FORWARDED_REFUND: pb.ENTRY_KIND_REFUND,
    KeyKind.STATEMENT: pb.ENTRY_KIND_FORWARD,
}
"""What caused an entry, by the kind of its key; of others ENTRY_KIND_OTHER."""


class _Header(Struct, frozen=True, array_like=True):
    chain_id: str
    store_id: str


class _Sale(Struct, frozen=True, array_like=True):
    header: _Header


_PAIR = b"\x92"
"""Makes one msgpack array of the two values that the request of a Checkout is stored as."""
_REQUEST = msgspec.msgpack.Decoder(tuple[_Sale, msgspec.Raw])


async def get_balance(context: Context, request: pb.GetBalanceRequest, deadline_s: float) -> bytes:
    """Say what a customer owns now, or owned at an instant.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, or a bad request.
    """
    name = _customer(context, request.chain_id, request.customer)
    at_us = check.number_of(request.at_us, "at_us", 0, INSTANT_US_MAX)
    known_at_us = check.number_of(request.known_at_us, "known_at_us", 0, INSTANT_US_MAX)
    if at_us:
        return await _past_balance(context, name, at_us, known_at_us)
    now_us = context.clock()
    response = pb.GetBalanceResponse(at_us=now_us)
    async with context.database.reading() as connection:
        party = await find_party(connection, name)
    response.positions.extend(
        _positions_pb(context, name.chain_id, positions(party.holdings, now_us))
    )
    return response.SerializeToString()


async def _past_balance(
    context: Context, name: CustomerName, at_us: int, known_at_us: int
) -> bytes:
    """What a customer owned at an instant; 0 is known now."""
    response = pb.GetBalanceResponse(at_us=at_us)
    async with one_moment(context) as connection:
        member = await find_member(connection, name)
        # After the customer is found: a merge that has brought them there is recorded by then.
        known_at_us = known_at_us or context.clock()
        past = await read_balances_at(connection, member.account_id, at_us, known_at_us)
    for asset_code, amount_minor in past.items():
        response.past.add(asset_code=asset_code, amount_minor=amount_minor)
    return response.SerializeToString()


async def get_statement(
    context: Context, request: pb.GetStatementRequest, deadline_s: float
) -> bytes:
    """List what changed a customer's account, a page at a time.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, or a bad request; INCONSISTENT with a token of an account that
            the customer has left.
    """
    name = _customer(context, request.chain_id, request.customer)
    from_us = check.number_of(request.from_us, "from_us", 0, INSTANT_US_MAX)
    to_us = check.number_of(request.to_us, "to_us", 0, INSTANT_US_MAX) or INSTANT_US_MAX
    known_at_us = check.number_of(request.known_at_us, "known_at_us", 0, INSTANT_US_MAX)
    size = check.number_of(request.page_size, "page_size", 0, PAGE_MAX) or PAGE_DEFAULT
    begun = walk_from_token(request.page_token, known_at_us)
    async with one_moment(context) as connection:
        member = await find_member(connection, name)
        if begun is not None:
            await _check_had(connection, begun, member)
        # After the customer is found: a merge that has brought them there is recorded by then.
        walk = begun or Walk(member.account_id, known_at_us or context.clock(), Place())
        response = pb.GetStatementResponse(known_at_us=walk.known_at_us)
        entries = await read_entries(
            connection, walk.account_id, from_us, to_us, walk.known_at_us, walk.after, size + 1
        )
        for entry in entries[:size]:
            response.entries.append(await _entry_pb(connection, entry))
    if len(entries) > size:
        response.next_page_token = token_of(walk, entries[size - 1])
    return response.SerializeToString()


async def get_customer(
    context: Context, request: ledger_pb.GetCustomerRequest, deadline_s: float
) -> bytes:
    """Show a customer's account: members and holdings, nothing personal.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, or a bad request.
    """
    name = _customer(context, request.chain_id, request.customer)
    async with one_moment(context) as connection:
        party = await find_party(connection, name)
        counts = await count_identifiers(connection, party.account.account_id)
    household = party.account.kind == AccountKind.HOUSEHOLD
    kind = ledger_pb.ACCOUNT_KIND_HOUSEHOLD if household else ledger_pb.ACCOUNT_KIND_CUSTOMER
    response = ledger_pb.GetCustomerResponse(
        customer_number=party.member.customer_number,
        account_kind=kind,
        purchases=party.account.purchases,
    )
    for one in party.members:
        state = answer_pb2.CustomerState.ValueType(one.state)
        member = response.members.add(customer_number=one.customer_number, state=state)
        for customer_id, identifier_kind, count in counts:
            if customer_id == one.customer_id:
                shown = receipt_pb2.IdentifierKind.ValueType(identifier_kind)
                member.identifiers.add(kind=shown, count=count)
    found = positions(party.holdings, context.clock())
    response.positions.extend(_positions_pb(context, name.chain_id, found))
    return response.SerializeToString()


@asynccontextmanager
async def one_moment(context: Context) -> AsyncIterator[AnyConnection]:
    """A connection on which all reads see one moment, whoever is merged meanwhile."""
    async with (
        context.database.reading() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


class Walk(Struct, frozen=True):
    """The pages of one statement: of which account, by what was known when, after which entry."""

    account_id: int
    known_at_us: int
    after: Place


def token_of(walk: Walk, entry: Entry) -> str:
    """Spell where the next page begins."""
    place = f"{entry.effective_at_us}.{entry.transfer_id.hex()}.{entry.asset_code}"
    return f"{walk.account_id}.{walk.known_at_us}.{place}"


def walk_from_token(token: str, known_at_us: int) -> Walk | None:
    """Read where a page goes on; None is a beginning.

    Args:
        token: as it was sent.
        known_at_us: as it was sent; 0 is that of the page before.

    Raises:
        Refusal: it is no token of this call, or of another `known_at_us`.
    """
    if not token:
        return None
    check.text_of(token, "page_token", PAGE_TOKEN_MAX)
    try:
        account_id, begun_at_us, effective_at_us, transfer_id, asset_code = token.split(".", 4)
        after = Place(int(effective_at_us), bytes.fromhex(transfer_id), asset_code)
        walk = Walk(int(account_id), int(begun_at_us), after)
    except ValueError:
        check.refuse_inconsistent("page_token", "is none that this call answered")
    check.number_of(walk.account_id, "page_token", 1, ID_MAX)
    check.number_of(walk.known_at_us, "page_token", 1, INSTANT_US_MAX)
    check.number_of(walk.after.effective_at_us, "page_token", 0, INSTANT_US_MAX)
    if known_at_us not in (0, walk.known_at_us):
        check.refuse_inconsistent("known_at_us", "is not that of the page before")
    return walk


async def _check_had(connection: AnyConnection, walk: Walk, member: Member) -> None:
    """Hold a token to an account that has become the customer's, by merges or without.

    Raises:
        Refusal: INCONSISTENT, which names the token.
    """
    if walk.account_id == member.account_id:
        return
    owner = await read_owner(connection, walk.account_id)
    if owner is None or owner.account_id != member.account_id:
        text = "is of an account that is not the customer's any more: begin again without it"
        check.refuse_inconsistent("page_token", text)


def _customer(context: Context, chain_id: str, reference: pb.CustomerReference) -> CustomerName:
    chain_id = check.text_of(chain_id, "chain_id")
    return customer_name_from_pb(reference, "customer", chain_id, context.hash_identifier)


def _positions_pb(
    context: Context, chain_id: str, found: Iterable[Position]
) -> list[pb.AssetPosition]:
    decimals = _decimals(context, chain_id)
    return [
        pb.AssetPosition(
            asset_code=one.asset_code,
            decimals=decimals.get(one.asset_code, 0),
            amount_minor=one.amount_minor,
            active_minor=one.active_minor,
            pending_minor=one.pending_minor,
            held_minor=one.held_minor,
            debt_minor=one.debt_minor,
            pending=_dues_pb(one.pending),
            expiring=_dues_pb(one.expiring),
        )
        for one in found
    ]


def _dues_pb(dues: Iterable[Due]) -> list[pb.DueAmount]:
    shown = list(dues)[:DUES_MAX]
    return [pb.DueAmount(at_us=due.at_us, amount_minor=due.amount_minor) for due in shown]


def _decimals(context: Context, chain_id: str) -> dict[str, int]:
    """Decimals of the assets of the chain's program; what is owned stands there without one too."""
    try:
        program = context.reference.rules_at(chain_id, context.clock()).program
    except Refusal:
        return {}
    return {code: asset.decimals for code, asset in program.assets.items()}


async def _entry_pb(connection: AnyConnection, entry: Entry) -> pb.StatementEntry:
    key_id = entry.transfer_id[:16]
    store_id = ""
    if entry.kind in (KeyKind.CHECKOUT, KeyKind.FORWARDED_SALE):
        request = await read_request(connection, key_id, entry.day)
        if request is not None:
            store_id = _REQUEST.decode(_PAIR + request)[0].header.store_id
    return pb.StatementEntry(
        effective_at_us=entry.effective_at_us,
        recorded_at_us=entry.recorded_at_us,
        kind=KIND_OF.get(entry.kind, pb.ENTRY_KIND_OTHER),
        asset_code=entry.asset_code,
        amount_minor=entry.amount_minor,
        balance_minor=entry.balance_minor,
        promotion_id=entry.promotion_id,
        store_id=store_id,
        key_id=key_id,
    )
