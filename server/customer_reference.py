"""Finds the customer whom a request names by number or by identifier."""

from typing import NamedTuple

from msgspec import Struct

from loyalty.v1 import customer_service_pb2 as pb
from rewards import limits
from rewards.ledger import Holdings
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.codec.sale_pb import HashIdentifier
from server.customer_id import customer_id_of
from server.store.facts import AnyConnection
from server.store.holdings import read_holdings
from server.store.membership import (
    AccountState,
    Member,
    read_account_state,
    read_member_by_hash,
    read_member_by_id,
    read_members,
)

_IDENTIFIER_KIND_LAST = 5


class CustomerName(NamedTuple):
    """Who is meant: by an identifier's hash, or by a customer's id where there is none."""

    chain_id: str
    path: str
    identifier_hash: bytes = b""
    customer_id: int = 0


def customer_name_from_pb(
    reference: pb.CustomerReference, path: str, chain_id: str, hash_identifier: HashIdentifier
) -> CustomerName:
    """Read whom a request names; an identifier goes no further than its hash.

    Args:
        reference: as sent.
        path: of the field.
        chain_id: checked.
        hash_identifier: as tills' identifiers are hashed.

    Raises:
        Refusal: a part is missing or not acceptable.
    """
    who = reference.WhichOneof("who")
    if who is None:
        check.refuse_required(path)
    if who == "customer_number":
        number = check.text_of(reference.customer_number, f"{path}.customer_number")
        return CustomerName(chain_id, path, customer_id=customer_id_of(chain_id, number))
    identifier = reference.identifier
    kind = check.enum_of(identifier.kind, f"{path}.identifier.kind", _IDENTIFIER_KIND_LAST)
    value = check.text_of(identifier.value, f"{path}.identifier.value", limits.TEXT_CODE_MAX)
    return CustomerName(chain_id, path, identifier_hash=hash_identifier(chain_id, kind, value))


class Party(Struct, frozen=True):
    """A customer with the account they are on, as read at one version of it.

    Attributes:
        members: all customers of the account.
    """

    member: Member
    account: AccountState
    members: tuple[Member, ...]
    holdings: Holdings


async def find_party(connection: AnyConnection, name: CustomerName) -> Party:
    """Find a customer with their account; who commits on its version loses if it has changed.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, which names the field.
    """
    while True:
        member = await find_member(connection, name)
        account = await read_account_state(connection, member.account_id)
        assert account is not None, "a customer has an account"
        holdings = await read_holdings(connection, account.account_id)
        # Last: whoever is still there has been so while all that is theirs was read.
        members = await read_members(connection, account.account_id)
        if any(one.customer_id == member.customer_id for one in members):
            return Party(member, account, members, holdings)


async def find_member(connection: AnyConnection, name: CustomerName) -> Member:
    """Find a customer and the account they are on now.

    Raises:
        Refusal: CUSTOMER_NOT_FOUND, which names the field.
    """
    if name.identifier_hash:
        found = await read_member_by_hash(connection, name.identifier_hash)
    else:
        found = await read_member_by_id(connection, name.customer_id)
    if found is None or found.chain_id != name.chain_id:
        text = "no customer of the chain has this number or identifier"
        fields = ((name.path, text),)
        raise Refusal(Reason.CUSTOMER_NOT_FOUND, f"{name.path}: {text}", fields=fields)
    return found
