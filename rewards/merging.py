"""Moves everything of one account to another: lots keep their ids, dates and funding."""

from collections.abc import Iterable

from rewards.journal import Journal
from rewards.ledger import Book, Holdings, LotKind, Movement, OwnedLot, Pick
from rewards.picking import debts, pick_any

LOTS_MAX = 50_000
"""Lots that may be moved at once: each is a transfer, and a key has 65,536."""


def merge_accounts(
    key_id: bytes, losing: Holdings, winning: Holdings, at_us: int
) -> tuple[Movement, Movement]:
    """Move all that the losing account owns and owes to the winning one.

    What one of them owes is paid out of what the other has, as far as no basket of the winning
    account holds it. Holds of the losing account end: its open baskets quote again.

    Args:
        key_id: 16 bytes of the merge.
        losing: what is left of it afterwards is nothing.
        winning: the account that stays.
        at_us: the instant, UTC microseconds.

    Returns:
        Movements of the losing and of the winning account; CLEARING of both sums to zero.
    """
    source, target = Journal(key_id, losing.lots), Journal(key_id, winning.lots)
    for asset_code in _assets(losing):
        _pay(source, Holdings(losing.lots), target, winning, asset_code, at_us)
        _pay(target, winning, source, Holdings(losing.lots), asset_code, at_us)
    _move(source, target)
    return source.movement(), target.movement()


def _assets(holdings: Holdings) -> list[str]:
    return sorted({lot.asset_code for lot in holdings.lots})


def _pay(
    payer: Journal, own: Holdings, debtor: Journal, owing: Holdings, asset_code: str, at_us: int
) -> None:
    """Pay the debts of one account out of what the other one has of the asset."""
    owed = [(lot.lot_id, lot.remaining_minor) for lot in debts(owing, asset_code)]
    owed_minor = sum([minor for _, minor in owed])
    picked = pick_any(own, asset_code, owed_minor, at_us)
    payer.take(Book.CLEARING, asset_code, picked.picks)
    paid = _first(owed, owed_minor - picked.missing_minor)
    debtor.forgive(Book.CLEARING, asset_code, paid)


def _first(picks: Iterable[Pick], amount_minor: int) -> list[Pick]:
    """Cut picks to an amount, from the first on."""
    found = []
    for lot_id, minor in picks:
        part_minor = min(minor, amount_minor)
        amount_minor -= part_minor
        if part_minor:
            found.append((lot_id, part_minor))
    return found


def _move(source: Journal, target: Journal) -> None:
    """Take what is left of all lots, and receive it lot by lot."""
    left = [lot for lot in source.lots() if lot.remaining_minor]
    for asset_code in sorted({lot.asset_code for lot in left}):
        value, owed = (_picks(left, asset_code, kind) for kind in (LotKind.VALUE, LotKind.DEBT))
        source.take(Book.CLEARING, asset_code, value)
        source.forgive(Book.CLEARING, asset_code, owed)
    for lot in left:
        target.receive(lot, lot.remaining_minor)


def _picks(lots: Iterable[OwnedLot], asset_code: str, kind: LotKind) -> list[Pick]:
    return [
        (lot.lot_id, lot.remaining_minor)
        for lot in lots
        if lot.asset_code == asset_code and lot.kind == kind
    ]
