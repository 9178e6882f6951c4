"""Ids that are derived, so that the same cause always gives the same one: 1 to 2^63-1."""

from hashlib import blake2b

ID_MAX = 2**63 - 1


def customer_id_of(chain_id: str, customer_number: str) -> int:
    """The id of a customer, and of their first account, by the chain's number of them."""
    text = f"{chain_id}\x00{customer_number}".encode()
    return _id_of(text, b"customer")


def enrolled_number_of(key_id: bytes) -> str:
    """The number of a customer who enrolls without one: 41 characters, from the enrolment's key."""
    return f"enrolled-{key_id.hex()}"


def new_account_id_of(key_id: bytes) -> int:
    """The id of an account that an operation opens, by the operation's key."""
    return _id_of(key_id, b"account")


def _id_of(text: bytes, person: bytes) -> int:
    digest = blake2b(text, digest_size=8, person=person).digest()
    return int.from_bytes(digest, "big") & ID_MAX or 1
