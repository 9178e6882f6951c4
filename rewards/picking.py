"""Which lots something is taken from: the soonest to expire first, never what a basket holds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rewards.ledger import Hold, Holdings, LotKind, OwnedLot, Pick

_WITHOUT_END = 2**63


class Picked(NamedTuple):
    """Parts of lots, and what is missing to the amount asked for, minor units."""

    picks: tuple[Pick, ...]
    missing_minor: int


def live_holds(holds: Iterable[Hold], at_us: int, own_hold_id: bytes = b"") -> tuple[Hold, ...]:
    """The holds that bind others at an instant: not lapsed, and not one's own."""
    return tuple(
        hold for hold in holds if hold.expires_at_us >= at_us and hold.hold_id != own_hold_id
    )


def unheld(holdings: Holdings, own_hold_id: bytes = b"") -> Holdings:
    """An account as if no other basket held anything of it."""
    own = [hold for hold in holdings.holds if hold.hold_id == own_hold_id]
    return Holdings(holdings.lots, tuple(own))


def held_of(holds: Iterable[Hold]) -> Counter[bytes]:
    """By lot what some holds have of it, minor units."""
    held: Counter[bytes] = Counter()
    for hold in holds:
        for lot_id, minor in hold.picks:
            held[lot_id] += minor
    return held


def uncovered(holds: Sequence[Hold], left: Mapping[bytes, int]) -> tuple[bytes, ...]:
    """Ids of the holds of which a lot has not got left what is held of it.

    Args:
        holds: of one account, those that have not lapsed.
        left: by lot, minor units; one that is missing has nothing.
    """
    short = {lot_id for lot_id, minor in held_of(holds).items() if minor > left.get(lot_id, 0)}
    found = [hold.hold_id for hold in holds if not short.isdisjoint(dict(hold.picks))]
    return tuple(dict.fromkeys(found))


def usable_minor(holdings: Holdings, asset_code: str, at_us: int, own_hold_id: bytes = b"") -> int:
    """What may be spent of an asset at an instant: active, not expired, not held by others."""
    picked = pick(holdings, asset_code, _WITHOUT_END, at_us, own_hold_id)
    return sum([minor for _, minor in picked.picks])


def pick(
    holdings: Holdings, asset_code: str, amount_minor: int, at_us: int, own_hold_id: bytes = b""
) -> Picked:
    """Choose what to spend: what one's own hold has, then the soonest to expire.

    Args:
        holdings: the account as it stands.
        asset_code: of what asset.
        amount_minor: how much.
        at_us: the instant; lots must be active then and not expired, but for what the own hold
            has of them: that was promised while they were.
        own_hold_id: of the basket that spends.
    """
    free = _free(holdings, at_us, own_hold_id)
    lots = sorted(_value_lots(holdings.lots, asset_code), key=_soonest)
    promised = _promised(holdings.holds, asset_code, at_us, own_hold_id)
    if not promised:
        return _take([lot for lot in lots if lot.is_usable(at_us)], free, amount_minor)
    own = {lot_id: min(minor, free.get(lot_id, 0)) for lot_id, minor in promised.items()}
    first = _take([lot for lot in lots if lot.lot_id in own], own, amount_minor)
    parts = dict(first.picks)
    for lot_id, minor in parts.items():
        free[lot_id] -= minor
    usable = [lot for lot in lots if lot.is_usable(at_us)]
    then = _take(usable, free, first.missing_minor)
    for lot_id, minor in then.picks:
        parts[lot_id] = parts.get(lot_id, 0) + minor
    return Picked(tuple(parts.items()), then.missing_minor)


def pick_any(holdings: Holdings, asset_code: str, amount_minor: int, at_us: int) -> Picked:
    """Choose what to take back: usable lots first, then those that are not active yet."""
    free = _free(holdings, at_us, b"")
    lots = [lot for lot in _value_lots(holdings.lots, asset_code) if not lot.has_expired(at_us)]
    lots.sort(key=lambda lot: (lot.active_from_us > at_us, *_soonest(lot)))
    return _take(lots, free, amount_minor)


def expired(holdings: Holdings, at_us: int) -> dict[str, tuple[Pick, ...]]:
    """By asset what has expired and no basket holds."""
    found: dict[str, list[Pick]] = {}
    free = _free(holdings, at_us, b"")
    for lot in sorted(holdings.lots, key=_soonest):
        if lot.kind == LotKind.VALUE and free[lot.lot_id] and lot.has_expired(at_us):
            found.setdefault(lot.asset_code, []).append((lot.lot_id, free[lot.lot_id]))
    return {code: tuple(picks) for code, picks in found.items()}


def debts(holdings: Holdings, asset_code: str) -> tuple[OwnedLot, ...]:
    """The debts of an asset that are still owed, the oldest first."""
    owed = [
        lot
        for lot in holdings.lots
        if lot.kind == LotKind.DEBT and lot.asset_code == asset_code and lot.remaining_minor
    ]
    return tuple(sorted(owed, key=lambda lot: (lot.active_from_us, lot.lot_id)))


def _promised(
    holds: Iterable[Hold], asset_code: str, at_us: int, own_hold_id: bytes
) -> dict[bytes, int]:
    """By lot what one's own hold has of an asset, if it has not lapsed."""
    promised: dict[bytes, int] = {}
    for hold in holds:
        is_own = hold.hold_id == own_hold_id and hold.asset_code == asset_code
        if is_own and hold.expires_at_us >= at_us:
            for lot_id, minor in hold.picks:
                promised[lot_id] = promised.get(lot_id, 0) + minor
    return promised


def _value_lots(lots: Iterable[OwnedLot], asset_code: str) -> list[OwnedLot]:
    return [
        lot
        for lot in lots
        if lot.kind == LotKind.VALUE and lot.asset_code == asset_code and lot.remaining_minor
    ]


def _soonest(lot: OwnedLot) -> tuple[int, bytes]:
    return lot.expires_at_us or _WITHOUT_END, lot.lot_id


def _free(holdings: Holdings, at_us: int, own_hold_id: bytes) -> dict[bytes, int]:
    """By lot what others do not hold of it."""
    free = {lot.lot_id: lot.remaining_minor for lot in holdings.lots}
    for hold in live_holds(holdings.holds, at_us, own_hold_id):
        for lot_id, minor in hold.picks:
            free[lot_id] = max(0, free.get(lot_id, 0) - minor)
    return free


def _take(lots: Sequence[OwnedLot], free: dict[bytes, int], amount_minor: int) -> Picked:
    picks = []
    for lot in lots:
        if not amount_minor:
            break
        part_minor = min(amount_minor, free[lot.lot_id])
        if part_minor:
            picks.append((lot.lot_id, part_minor))
            amount_minor -= part_minor
    return Picked(tuple(picks), amount_minor)
