"""What of an account has expired leaves it: posted to BREAKAGE, without what baskets hold."""

from rewards.journal import Journal
from rewards.ledger import Book, Holdings, Movement
from rewards.picking import expired


def expire(key_id: bytes, holdings: Holdings, at_us: int) -> Movement:
    """Take out of an account what has expired.

    Args:
        key_id: 16 bytes of the expiry.
        holdings: the account as it stands.
        at_us: the instant, UTC microseconds: what ends before it has expired.

    Returns:
        NOTHING if nothing has expired, or baskets hold all of it.
    """
    found = expired(holdings, at_us)
    journal = Journal(key_id, holdings.lots)
    for asset_code in sorted(found):
        journal.take(Book.BREAKAGE, asset_code, found[asset_code])
    return journal.movement()
