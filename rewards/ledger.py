"""Double entry: transfers whose postings sum to zero, and the lots that they change.

Every transfer's id is derived from the key of what caused it, so that a repeat cannot post twice.
"""

from collections.abc import Sequence
from enum import IntEnum

from msgspec import Struct

from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram


class Book(IntEnum):
    """Whose side of a transfer a posting stands on."""

    CUSTOMER = 1
    ISSUER = 2


class Posting(Struct, frozen=True, array_like=True, gc=False):
    """One leg of a transfer, in minor units of its asset.

    Attributes:
        transfer_id: 18 bytes: the key's 16 and the transfer's ordinal, big-endian.
        party_id: whose promotion it is; empty is the chain itself.
    """

    transfer_id: bytes
    leg: int
    book: int
    party_id: str
    promotion_id: str
    asset_code: str
    amount_minor: int


class Lot(Struct, frozen=True, array_like=True, gc=False):
    """Points with one start and one expiry; its id is that of the transfer that made it."""

    lot_id: bytes
    asset_code: str
    granted_minor: int
    active_from_us: int
    expires_at_us: int


class OwnedLot(Struct, frozen=True, array_like=True, gc=False):
    """A lot as it stands."""

    lot_id: bytes
    asset_code: str
    granted_minor: int
    remaining_minor: int
    promotion_id: str


class LotChange(Struct, frozen=True, array_like=True, gc=False):
    """What a lot's remainder changes by, minor units."""

    lot_id: bytes
    change_minor: int


class Movement(Struct, frozen=True, array_like=True):
    """Everything that one decision moves on one account.

    Attributes:
        balance_changes: (asset code, minor units), by code.
    """

    postings: tuple[Posting, ...] = ()
    lots: tuple[Lot, ...] = ()
    lot_changes: tuple[LotChange, ...] = ()
    balance_changes: tuple[tuple[str, int], ...] = ()


NOTHING = Movement()


def earn(key_id: bytes, program: CompiledProgram, grants: Sequence[Grant]) -> Movement:
    """Post the rewards of a sale that are assets: a transfer and a lot each.

    Args:
        key_id: key of the receipt, 16 bytes.
        program: the promotions that the grants number.
        grants: what was given, each 1 minor unit or more; what is no asset is not posted.

    Returns:
        Balanced transfers; balance changes equal to the lots granted.
    """
    postings: list[Posting] = []
    lots: list[Lot] = []
    posted = [grant for grant in grants if grant.asset_code]
    for ordinal, grant in enumerate(posted):
        transfer_id = _transfer_id(key_id, ordinal)
        promotion_id = program.promotions[grant.number].promotion_id
        postings += _legs(transfer_id, promotion_id, grant.asset_code, grant.amount_minor)
        lots.append(
            Lot(
                transfer_id,
                grant.asset_code,
                grant.amount_minor,
                grant.active_from_us,
                grant.expires_at_us,
            )
        )
    changes = _summed([(grant.asset_code, grant.amount_minor) for grant in posted])
    return _checked(Movement(tuple(postings), tuple(lots), (), changes))


def take_back(key_id: bytes, lots: Sequence[OwnedLot]) -> Movement:
    """Take back what is left of the lots of a sale that is undone.

    Args:
        key_id: key of the void, 16 bytes.
        lots: the sale's lots as they stand, each with the promotion that gave it.

    Returns:
        Balanced transfers that bring every lot to zero.
    """
    held = [lot for lot in lots if lot.remaining_minor]
    postings: list[Posting] = []
    for ordinal, lot in enumerate(held):
        transfer_id = _transfer_id(key_id, ordinal)
        postings += _legs(transfer_id, lot.promotion_id, lot.asset_code, -lot.remaining_minor)
    changes = _summed([(lot.asset_code, -lot.remaining_minor) for lot in held])
    lot_changes = tuple(LotChange(lot.lot_id, -lot.remaining_minor) for lot in held)
    return _checked(Movement(tuple(postings), (), lot_changes, changes))


def _legs(
    transfer_id: bytes, promotion_id: str, asset_code: str, amount_minor: int
) -> tuple[Posting, Posting]:
    """From the issuer to the customer; a negative amount goes back."""
    return (
        Posting(transfer_id, 0, Book.CUSTOMER, "", promotion_id, asset_code, amount_minor),
        Posting(transfer_id, 1, Book.ISSUER, "", promotion_id, asset_code, -amount_minor),
    )


def _transfer_id(key_id: bytes, ordinal: int) -> bytes:
    return key_id + ordinal.to_bytes(2, "big")


def _summed(amounts: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    sums: dict[str, int] = {}
    for asset_code, amount_minor in amounts:
        sums[asset_code] = sums.get(asset_code, 0) + amount_minor
    return tuple(sorted(sums.items()))


def _checked(movement: Movement) -> Movement:
    """Hold a movement to its invariants before it is written."""
    assert sum(posting.amount_minor for posting in movement.postings) == 0, "unbalanced"
    own_minor = sum(p.amount_minor for p in movement.postings if p.book == Book.CUSTOMER)
    lots_minor = sum(lot.granted_minor for lot in movement.lots)
    changes_minor = sum(change.change_minor for change in movement.lot_changes)
    assert own_minor == lots_minor + changes_minor, "postings differ from lots"
    assert own_minor == sum(minor for _, minor in movement.balance_changes)
    return movement
