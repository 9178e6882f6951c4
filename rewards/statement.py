"""Where an account stands: what it may spend, what it waits for, what it owes, what ends when."""

from collections.abc import Iterable

from msgspec import Struct

from rewards.ledger import Holdings, LotKind, OwnedLot
from rewards.picking import live_holds


class Due(Struct, frozen=True):
    """An amount that changes its state at an instant: minor units, UTC microseconds."""

    at_us: int
    amount_minor: int


class Position(Struct, frozen=True):
    """One asset of an account at an instant; amounts in its minor unit.

    Attributes:
        amount_minor: active + pending - debt.
        active_minor: what counts now, what is held included.
        pending: what counts later, by when, the soonest first.
        held_minor: part of what is active that baskets have reserved.
        debt_minor: what is owed.
        expiring: what ends, by its last instant, the soonest first; pending lots included.
    """

    asset_code: str
    amount_minor: int
    active_minor: int
    pending: tuple[Due, ...]
    held_minor: int
    debt_minor: int
    expiring: tuple[Due, ...]

    @property
    def pending_minor(self) -> int:
        """What counts later, altogether."""
        return sum([due.amount_minor for due in self.pending])


def nothing_of(asset_code: str) -> Position:
    """Where an account stands that has none of an asset and owes none."""
    return Position(asset_code, 0, 0, (), 0, 0, ())


def positions(holdings: Holdings, at_us: int) -> tuple[Position, ...]:
    """Say where an account stands in every asset that it has or owes, by code.

    What has expired is not counted, whether it was posted already or not.

    Args:
        holdings: the account's lots and holds.
        at_us: the instant, UTC microseconds.
    """
    codes = sorted({lot.asset_code for lot in holdings.lots})
    return tuple(_position(holdings, code, at_us) for code in codes)


def _position(holdings: Holdings, asset_code: str, at_us: int) -> Position:
    lots = [lot for lot in holdings.lots if lot.asset_code == asset_code]
    value = [lot for lot in lots if lot.kind == LotKind.VALUE and not lot.has_expired(at_us)]
    active_minor = _left(lot for lot in value if lot.active_from_us <= at_us)
    pending = _dues((lot.active_from_us, lot) for lot in value if lot.active_from_us > at_us)
    debt_minor = _left(lot for lot in lots if lot.kind == LotKind.DEBT)
    return Position(
        asset_code,
        _left(value) - debt_minor,
        active_minor,
        pending,
        min(active_minor, _held(holdings, asset_code, at_us)),
        debt_minor,
        _dues((lot.expires_at_us, lot) for lot in value if lot.expires_at_us),
    )


def _held(holdings: Holdings, asset_code: str, at_us: int) -> int:
    holds = live_holds(holdings.holds, at_us)
    return sum([hold.amount_minor for hold in holds if hold.asset_code == asset_code])


def _left(lots: Iterable[OwnedLot]) -> int:
    return sum([lot.remaining_minor for lot in lots])


def _dues(dated: Iterable[tuple[int, OwnedLot]]) -> tuple[Due, ...]:
    by_instant: dict[int, int] = {}
    for at_us, lot in dated:
        if lot.remaining_minor:
            by_instant[at_us] = by_instant.get(at_us, 0) + lot.remaining_minor
    return tuple(Due(at_us, by_instant[at_us]) for at_us in sorted(by_instant))
