"""Goal: bounds of spending and earning count what stays spent and earned, whatever is stated.

Each customer has 5,000 points, and may spend 3,000 of them; so much is spent without being asked.
Each may earn 12,000 points, those included.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from loyalty.v1.program_pb2 import Program
from tests.forwarding import AS_ANSWERED, NOT_SOLD, OTHER, PLAIN, SUPERSEDED, Link, off
from tests.refunding import PROGRAM_BACK, SPEND, basket, open_shop, rate, said
from tests.serving import test_program

BOUNDED = test_program(
    **{
        **PROGRAM_BACK,
        "promotions": [
            off("sku3", "points"),
            rate("points-5", "points", products={"skus": ["sku9"]}),
            rate("bonus-5", "points", conditions=[said("bonus")]),
        ],
        "earn_bounds": [{"asset_code": "points", "customer_max_minor": 12_000}],
        "spend_rules": [{**SPEND, "automatic": True, "customer_max_minor": 3_000}],
    }
)
MADE = ("sku1", 2, 10_000)
EVEN = {"sku1": 18_500}
"""A half of the 3,000 points was not taken."""


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Link]:
    """A server with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("bounds")
    template = template_with(BOUNDED)
    with open_shop(Link, pg_server_dsn, template, folder) as made:
        yield made


class Receipt:
    """A receipt that spends all that its customer may spend."""

    def __init__(self, link: Link) -> None:
        link.begin()
        self.link = link
        self.card = link.card()
        link.sell(1, basket(("sku9", 1, 100_000), card=self.card))
        self._made = basket(MADE, card=self.card)
        sold = link.sell(2, self._made)
        assert [one.amount_minor for one in sold.answer.spent] == [3_000]

    def state(self, kind: Any, number: int = 1, lines: Any = None) -> None:
        """Say what the till did."""
        assert self.link.forward(2, self._made, kind, number, lines).state == SUPERSEDED

    def refund(self, number: int, milli: int) -> None:
        """Take pieces back."""
        self.link.refund(number, 2, {"sku1": milli})

    def void(self) -> None:
        """Undo it."""
        self.link.void(2)

    def may_spend(self) -> int:
        """What the next receipt may spend, minor units of points."""
        sold = self.link.sell(9, basket(("sku2", 1, 50_000), card=self.card))
        return sum(one.amount_minor for one in sold.answer.spent)


Step = Callable[[Receipt], None]
CASES: dict[str, tuple[Sequence[Step], int]] = {
    "plain": ([lambda r: r.state(PLAIN)], 3_000),
    "other, and a half was taken": ([lambda r: r.state(OTHER, 1, EVEN)], 1_500),
    "plain, then voided": ([lambda r: r.state(PLAIN), lambda r: r.void()], 3_000),
    "other, then voided": ([lambda r: r.state(OTHER, 1, EVEN), lambda r: r.void()], 3_000),
    "plain, then not sold": ([lambda r: r.state(PLAIN), lambda r: r.state(NOT_SOLD, 2)], 3_000),
    "plain, then as answered": (
        [lambda r: r.state(PLAIN), lambda r: r.state(AS_ANSWERED, 2)],
        0,
    ),
    "plain, then all came back": (
        [lambda r: r.state(PLAIN), lambda r: r.refund(3, 1_000), lambda r: r.refund(4, 1_000)],
        3_000,
    ),
    "a piece came back, then other, then voided": (
        [
            lambda r: r.refund(3, 1_000),
            lambda r: r.state(OTHER, 1, EVEN),
            lambda r: r.void(),
        ],
        3_000,
    ),
    "a piece came back": ([lambda r: r.refund(3, 1_000)], 1_500),
}


@pytest.mark.parametrize("name", CASES)
def test_what_came_back_may_be_spent_again(links: Link, name: str) -> None:
    """No more than that either: nothing is given back twice."""
    steps, wanted = CASES[name]
    receipt = Receipt(links)
    for step in steps:
        step(receipt)
    assert receipt.may_spend() == wanted
    uses = receipt.link.sql(
        """select u.amount_minor from promotion_use u join customer c using (account_id)
        where c.customer_number = $1 and u.promotion_id = 'spend:points'""",
        receipt.card,
    )
    assert [one["amount_minor"] for one in uses] == [3_000]


UNDONE: dict[str, Sequence[Callable[[Link], object]]] = {
    "voided": [lambda link: link.void(2)],
    "plain, then voided": [lambda link: link.void(2)],
    "plain, then all came back": [
        lambda link: link.refund(3, 2, {"sku3": 1_000}),
        lambda link: link.refund(4, 2, {"sku3": 1_000}),
    ],
    "plain, then a piece came back, then voided": [
        lambda link: link.refund(3, 2, {"sku3": 1_000}),
        lambda link: link.void(2),
    ],
}


@pytest.mark.parametrize("name", UNDONE)
def test_what_was_given_for_a_discount_was_not_earned(links: Link, name: str) -> None:
    """No bound counts it; so none gets it back either, and 12,000 are the most that is earned."""
    links.begin()
    card = links.card()
    made = basket(("sku3", 2, 50_000), card=card, triggers=["bonus"])
    sold = links.sell(2, made)
    assert [one.amount_minor for one in sold.answer.rewards.rewards] == [4_500]
    if "plain" in name:
        assert links.forward(2, made, PLAIN).state == SUPERSEDED
        assert links.balances(card) == {"points": 14_500}
    for step in UNDONE[name]:
        step(links)
    assert links.balances(card) == {}
    sold = links.sell(9, basket(("sku2", 1, 400_000), card=card, triggers=["bonus"]))
    assert [one.amount_minor for one in sold.answer.rewards.rewards] == [12_000]
