"""Double entry: the values that are posted. Transfers sum to zero, and lots follow them.

`rewards.journal` makes them; `docs/billing.md` says which book stands for what.
"""

from collections.abc import Sequence
from enum import IntEnum

from msgspec import Struct

from rewards.rounding import floor_div


class Book(IntEnum):
    """On whose side of a transfer a posting stands.

    Attributes:
        CUSTOMER: what the account owns.
        ISSUER: what the chain has given out at its own cost.
        FUNDING: the same at the cost of the posting's party.
        BREAKAGE: what expired.
        CLEARING: what was spent, moved or paid out.
        DEBT: what the account owes, as a negative amount.
        OVERRUN: what facts gave beyond a budget.
    """

    CUSTOMER = 1
    ISSUER = 2
    FUNDING = 3
    BREAKAGE = 4
    CLEARING = 5
    DEBT = 6
    OVERRUN = 7


class LotKind(IntEnum):
    """What a lot is: points with a start and an expiry, or a debt."""

    VALUE = 1
    DEBT = 2


Funding = tuple[tuple[str, int], ...]
"""(party, minor units) of who pays for something; an empty party is the chain. Empty: it alone."""
Pick = tuple[bytes, int]
"""A lot and how much of it, minor units."""


class Posting(Struct, frozen=True, array_like=True, gc=False):
    """One leg of a transfer, in minor units of its asset.

    Attributes:
        transfer_id: 18 bytes: the key's 16 and the transfer's ordinal, big-endian.
        party_id: who funds it; empty is the chain itself.
    """

    transfer_id: bytes
    leg: int
    book: int
    party_id: str
    promotion_id: str
    asset_code: str
    amount_minor: int


class Lot(Struct, frozen=True, array_like=True, gc=False):
    """A new lot: what one transfer granted or left owing; its id is that transfer's.

    Attributes:
        active_from_us: UTC microseconds.
        expires_at_us: UTC microseconds, the last one included; 0 is without end.
    """

    lot_id: bytes
    asset_code: str
    granted_minor: int
    active_from_us: int
    expires_at_us: int
    kind: int = LotKind.VALUE
    promotion_id: str = ""
    funding: Funding = ()


class OwnedLot(Struct, frozen=True, array_like=True, gc=False):
    """A lot as it stands; of a debt `remaining_minor` is still owed."""

    lot_id: bytes
    asset_code: str
    granted_minor: int
    remaining_minor: int
    active_from_us: int = 0
    expires_at_us: int = 0
    kind: int = LotKind.VALUE
    promotion_id: str = ""
    funding: Funding = ()

    def is_usable(self, at_us: int) -> bool:
        """Whether it has value that may be spent at an instant."""
        return (
            self.kind == LotKind.VALUE
            and self.remaining_minor > 0
            and self.active_from_us <= at_us
            and not self.has_expired(at_us)
        )

    def has_expired(self, at_us: int) -> bool:
        """Whether its last instant is over."""
        return 0 < self.expires_at_us < at_us


class LotChange(Struct, frozen=True, array_like=True, gc=False):
    """What a transfer changes a lot's remainder by, minor units."""

    transfer_id: bytes
    lot_id: bytes
    change_minor: int


class Hold(Struct, frozen=True, array_like=True, gc=False):
    """An amount of an account's lots that a basket has reserved, until it lapses.

    Attributes:
        hold_id: 16 bytes, derived from the basket.
        picks: from which lots; their amounts sum to `amount_minor`.
        expires_at_us: UTC microseconds, the last one included.
    """

    hold_id: bytes
    asset_code: str
    amount_minor: int
    picks: tuple[Pick, ...]
    expires_at_us: int


class Holdings(Struct, frozen=True):
    """What an account owns and what of it is held, as read at one version of it."""

    lots: tuple[OwnedLot, ...] = ()
    holds: tuple[Hold, ...] = ()


class BalanceChange(Struct, frozen=True, array_like=True, gc=False):
    """What a movement changes a balance by, minor units.

    Attributes:
        amount_minor: value less debt.
        debt_minor: debt alone; more debt is a positive change.
    """

    asset_code: str
    amount_minor: int
    debt_minor: int = 0


class Movement(Struct, frozen=True, array_like=True):
    """Everything that one decision moves on one account; balance changes by asset code."""

    postings: tuple[Posting, ...] = ()
    lots: tuple[Lot, ...] = ()
    lot_changes: tuple[LotChange, ...] = ()
    balance_changes: tuple[BalanceChange, ...] = ()


NOTHING = Movement()
NO_HOLDINGS = Holdings()


def transfer_id_of(key_id: bytes, ordinal: int) -> bytes:
    """The id of a key's transfer: 18 bytes."""
    return key_id + ordinal.to_bytes(2, "big")


def part_of(funding: Funding, amount_minor: int) -> Funding:
    """Split a part of what parties funded in their shares; what division leaves is the last one's.

    Args:
        funding: as the whole was paid for.
        amount_minor: the part, at most the whole.

    Returns:
        Amounts that sum to the part, none above what its party paid for the whole.
    """
    if not funding:
        return (("", amount_minor),)
    whole_minor = sum([minor for _, minor in funding])
    parts: list[tuple[str, int]] = []
    upto_minor = given_minor = 0
    # Cut the whole at the parties' borders: no part is above its party's own.
    for party_id, minor in funding:
        upto_minor += minor
        part_minor = floor_div(upto_minor * amount_minor, whole_minor) - given_minor
        given_minor += part_minor
        parts.append((party_id, part_minor))
    return tuple(parts)


def checked(movement: Movement, kinds: Sequence[tuple[bytes, int]]) -> Movement:
    """Hold a movement to its invariants before it is written.

    Args:
        movement: what is to be posted.
        kinds: (lot, LotKind) of the lots that it changes and has not made.
    """
    by_asset: dict[str, int] = {}
    for posting in movement.postings:
        by_asset[posting.asset_code] = by_asset.get(posting.asset_code, 0) + posting.amount_minor
    assert not any(by_asset.values()), "unbalanced"
    kind_of = dict(kinds)
    value_minor = debt_minor = 0
    for lot in movement.lots:
        kind_of[lot.lot_id] = lot.kind
        value_minor += lot.granted_minor if lot.kind == LotKind.VALUE else 0
        debt_minor += lot.granted_minor if lot.kind == LotKind.DEBT else 0
    for change in movement.lot_changes:
        is_debt = kind_of[change.lot_id] == LotKind.DEBT
        value_minor += 0 if is_debt else change.change_minor
        debt_minor += change.change_minor if is_debt else 0
    assert value_minor == _posted(movement, Book.CUSTOMER), "postings differ from lots"
    assert debt_minor == -_posted(movement, Book.DEBT), "postings differ from debts"
    changes = movement.balance_changes
    assert value_minor - debt_minor == sum([change.amount_minor for change in changes])
    assert debt_minor == sum([change.debt_minor for change in changes])
    return movement


def _posted(movement: Movement, book: Book) -> int:
    return sum([one.amount_minor for one in movement.postings if one.book == book])
