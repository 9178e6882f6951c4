"""Double entry: the values that are posted. Transfers sum to zero, and lots follow them.

`rewards.journal` makes them; `docs/billing.md` says which book stands for what.
"""

from collections import defaultdict
from collections.abc import Mapping
from enum import IntEnum
from operator import attrgetter

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


# Plain numbers for what is compared for each posting: members of an enumeration are looked up.
_CUSTOMER, _DEBT = Book.CUSTOMER.value, Book.DEBT.value
_VALUE, _OWED = LotKind.VALUE.value, LotKind.DEBT.value

_LEG = attrgetter("transfer_id", "asset_code", "book", "amount_minor")
_GRANTED = attrgetter("asset_code", "kind", "granted_minor")

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
        book: the chain's side of that transfer: what is taken back goes back there.
    """

    lot_id: bytes
    asset_code: str
    granted_minor: int
    active_from_us: int
    expires_at_us: int
    kind: int = LotKind.VALUE
    promotion_id: str = ""
    funding: Funding = ()
    book: int = Book.ISSUER


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
    book: int = Book.ISSUER

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


AnyLot = Lot | OwnedLot
_Sums = dict[tuple[str, int], int]
"""Minor units by asset and kind of lot."""
NOTHING = Movement()
NO_HOLDINGS = Holdings()


def transfer_id_of(key_id: bytes, ordinal: int) -> bytes:
    """The id of a key's transfer: 18 bytes."""
    return key_id + ordinal.to_bytes(2, "big")


def part_of(funding: Funding, amount_minor: int, before_minor: int = 0) -> Funding:
    """Split a part of what parties funded in their shares.

    Parts that follow each other give every party, in sum, what it paid and never more.

    Args:
        funding: as the whole was paid for; empty is the chain alone.
        amount_minor: the part.
        before_minor: what was parted before; with the part it is at most the whole.

    Returns:
        Amounts that sum to the part, none above what its party paid for the whole.
    """
    if not funding:
        return (("", amount_minor),)
    upto = _shares_of(funding, before_minor + amount_minor)
    if not before_minor:
        return upto
    before = _shares_of(funding, before_minor)
    return tuple(
        (party, minor - gone) for (party, minor), (_, gone) in zip(upto, before, strict=True)
    )


def _shares_of(funding: Funding, amount_minor: int) -> Funding:
    """Shares of the first so many minor units: no share falls as the amount grows."""
    whole_minor = sum([minor for _, minor in funding])
    shares = []
    # Each takes its share of what those before it have left: what is left only grows, too.
    for party_id, minor in funding:
        share_minor = floor_div(minor * amount_minor, whole_minor) if whole_minor else 0
        whole_minor -= minor
        amount_minor -= share_minor
        shares.append((party_id, share_minor))
    return tuple(shares)


def checked(movement: Movement, owned: Mapping[bytes, AnyLot]) -> Movement:
    """Hold a movement to its invariants before it is written.

    Args:
        movement: what is to be posted.
        owned: the lots that it changes and has not made, and others.
    """
    transfers: dict[tuple[bytes, str], int] = defaultdict(int)
    posted: _Sums = defaultdict(int)
    for transfer_id, asset_code, book, minor in map(_LEG, movement.postings):
        transfers[transfer_id, asset_code] += minor
        if book == _CUSTOMER:
            posted[asset_code, _VALUE] += minor
        elif book == _DEBT:
            posted[asset_code, _OWED] -= minor
    assert not any(transfers.values()), "unbalanced"
    in_lots = _in_lots(movement, owned)
    assert _same(posted, in_lots), "postings differ from lots"
    balances: _Sums = {}
    for one in movement.balance_changes:
        balances[one.asset_code, _VALUE] = one.amount_minor + one.debt_minor
        if one.debt_minor:
            balances[one.asset_code, _OWED] = one.debt_minor
    assert _same(posted, balances), "balances differ from postings"
    return movement


def _in_lots(movement: Movement, owned: Mapping[bytes, AnyLot]) -> _Sums:
    """What is added to lots."""
    found: _Sums = defaultdict(int)
    for asset_code, kind, minor in map(_GRANTED, movement.lots):
        found[asset_code, kind] += minor
    if movement.lot_changes:
        made: dict[bytes, AnyLot] = {lot.lot_id: lot for lot in movement.lots}
        for change in movement.lot_changes:
            lot = made.get(change.lot_id) or owned[change.lot_id]
            found[lot.asset_code, lot.kind] += change.change_minor
    return found


def _same(sums: _Sums, others: _Sums) -> bool:
    """Whether sums are the same; one that is missing is zero."""
    return sums == others or _not_zero(sums) == _not_zero(others)


def _not_zero(sums: _Sums) -> _Sums:
    return {key: minor for key, minor in sums.items() if minor}
