"""Goal: no commit changes an account twice: the second change would be lost where it is written."""

import pytest

from rewards.commit import AccountChange, AccountKind, Commit, NewAccount


@pytest.mark.parametrize(
    ("changed", "opened"), [((7, 7), ()), ((-1, 7, -1), ()), ((7,), (7,)), ((), (-1, -1))]
)
def test_an_account_is_changed_once(changed: tuple[int, ...], opened: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="twice"):
        Commit(
            keys=(),
            effective_at_us=0,
            recorded_at_us=0,
            accounts=tuple(AccountChange(account_id, 1) for account_id in changed),
            new_accounts=tuple(NewAccount(one, AccountKind.BEARER) for one in opened),
        )
