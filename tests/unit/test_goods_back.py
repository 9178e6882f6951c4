"""What several returns of one receipt change of an account goes as one change of that account."""

from typing import Any

from rewards.ledger import NO_HOLDINGS
from server.store.refunds import Owner
from server.till.goods_back import Returned, changes_of
from server.till.original import Moved, Touched

ORIGINAL: Any = None
ACCOUNT_ID = 7


def returned(version: int, last_day: int) -> Returned:
    """A return that undoes a purchase of the account, as it stood at a version."""
    owner = Owner((ACCOUNT_ID,), version, 3)
    touched = Touched(owner, False, {}, NO_HOLDINGS, (), (), {}, {})
    return Returned(ORIGINAL, 0, moved=(Moved.nothing(touched),), uncount=(-1, last_day))


def test_an_account_read_twice_is_changed_at_the_version_read_first() -> None:
    """What was read first is older: a commit in between must not go unnoticed."""
    for versions in ((1, 2), (2, 2)):
        (change,) = changes_of([returned(version, 20_000) for version in versions])
        assert (change.account_id, change.version) == (ACCOUNT_ID, versions[0])
        assert (change.purchases, change.last_purchase_day) == (-2, 20_000)
