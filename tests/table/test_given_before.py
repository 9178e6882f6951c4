"""Goal: what was kept counts once against what is given anew, where it was given if that can be."""

import pytest

from rewards.given_before import Giving, counted_against, kept_today

ONE, TWO, OTHER = -1, -2, -3


def giving(account_id: int, amount_minor: int, promotion_id: str = "p") -> Giving:
    return Giving(account_id, promotion_id, "gift", amount_minor)


@pytest.mark.parametrize(
    ("gives", "kept", "counted"),
    [
        ([giving(ONE, 5)], {(ONE, "p", "gift"): 3}, [3]),
        ([giving(ONE, 5)], {(ONE, "p", "gift"): 9}, [5]),
        ([giving(ONE, 5), giving(TWO, 5)], {(TWO, "p", "gift"): 3}, [0, 3]),
        ([giving(ONE, 5), giving(TWO, 5)], {(TWO, "p", "gift"): 7}, [2, 5]),
        ([giving(ONE, 5), giving(TWO, 5)], {(OTHER, "p", "gift"): 7}, [5, 2]),
        ([giving(ONE, 5)], {(ONE, "q", "gift"): 3}, [0]),
        ([giving(ONE, 5)], {(ONE, "p", "points"): 3}, [0]),
    ],
)
def test_what_counts(
    gives: list[Giving], kept: dict[tuple[int, str, str], int], counted: list[int]
) -> None:
    """No more than is given, and no more than was kept, of the same promotion and asset."""
    assert counted_against(gives, kept) == counted


def test_what_was_kept_is_what_was_not_taken_back() -> None:
    """Accounts that were merged since count as one."""
    moved = [
        (giving(7, 10), 9),
        (giving(9, -6), 9),
        (giving(9, 5, "q"), 9),
        (giving(9, -5, "q"), 9),
    ]
    assert kept_today(moved) == {(9, "p", "gift"): 4}
