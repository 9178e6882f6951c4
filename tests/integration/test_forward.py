"""Goal: a receipt that was broken off becomes what its till states of it, once, whenever it comes.

Real servers over one database; the ledger is proved after each test. Points are hundredths.
"""

from typing import Any

import pytest

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PLAIN,
    QUARANTINED,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    UNKNOWN,
    Link,
    forward_refund,
    forward_request,
    forward_void,
)
from tests.refunding import basket
from tests.serving import receipt_key

BASKET = (("sku1", 1, 10_000), ("sku2", 1, 20_000), ("sku3", 1, 30_000))
"""10% off each: 1,000 becomes points, 2,000 a deferred discount, 3,000 nothing."""
PAID_POINTS = 3_000
"""5% of the plain 60,000."""
DISCOUNTED_POINTS = 2_700
"""5% of the 54,000 that are left after the discounts."""


def test_all_outcomes_without_an_earlier_commit(link: Link) -> None:
    """Rewards are those of the sale; discounts that were not given are given by their policy."""
    for n, (kind, lines, owned) in enumerate(
        (
            (PLAIN, None, {"points": DISCOUNTED_POINTS + 1_000, "later": 2_000}),
            (AS_ANSWERED, None, {"points": DISCOUNTED_POINTS}),
            (OTHER, {"sku1": 9_500, "sku2": 18_000}, {"points": DISCOUNTED_POINTS + 500}),
            (NOT_SOLD, None, {}),
            (UNKNOWN, None, {}),
        )
    ):
        card = link.card(n)
        first = link.forward(n, basket(*BASKET, card=card), kind, lines=lines)
        assert (first.result, first.state) == (pb.DURABLE_RESULT_COMMITTED, RECORDED)
        assert link.balances(card) == owned, pb.ForwardState.Name(first.state)


def test_a_repetition_gets_the_first_acknowledgement_for_ever(link: Link) -> None:
    request = forward_request(link.n(1), basket(*BASKET, card=link.card()), PLAIN)
    link.break_off(1)
    first = link.tills[0].Forward(request)
    rows = link.rows()
    assert first.state == RECORDED
    link.at_day(40)
    # Too old to be taken for the first time.
    assert link.forward(2, basket(*BASKET), PLAIN).state == QUARANTINED
    rows = link.rows()
    assert [link.tills[n].Forward(request) for n in (0, 1)] == [first, first]
    assert link.rows() == rows


@pytest.mark.parametrize(
    ("kind", "lines", "owned"),
    [
        (AS_ANSWERED, None, {"points": DISCOUNTED_POINTS}),
        (PLAIN, None, {"points": DISCOUNTED_POINTS + 1_000, "later": 2_000}),
        (OTHER, {"sku1": 9_000, "sku2": 19_000}, {"points": DISCOUNTED_POINTS, "later": 1_000}),
        (NOT_SOLD, None, {}),
    ],
)
def test_an_answer_that_was_lost_is_settled_by_what_the_till_did(
    link: Link, kind: Any, lines: Any, owned: dict[str, int]
) -> None:
    """The server had committed the sale; the statement settles it once, whoever repeats it."""
    made = basket(*BASKET, card=link.card())
    link.sell(1, made)
    request = forward_request(link.n(1), made, kind, lines=lines)
    assert link.tills[1].Forward(request).state == SUPERSEDED
    rows = link.rows()
    assert link.tills[0].Forward(request).state == SUPERSEDED
    assert link.forward(1, made, UNKNOWN, stated=2).state == SETTLED
    assert link.rows() == rows
    assert link.balances(link.card()) == owned


def test_only_a_higher_number_supersedes(link: Link) -> None:
    """Whatever came before, the last statement is what counts."""
    made = basket(*BASKET, card=link.card())
    link.sell(1, made)
    assert link.forward(1, made, PLAIN, stated=3).state == SUPERSEDED
    owned = link.balances(link.card())
    for stated in (1, 2):
        assert link.forward(1, made, NOT_SOLD, stated=stated).state == SETTLED
    assert link.balances(link.card()) == owned
    assert link.forward(1, made, NOT_SOLD, stated=4).state == SUPERSEDED
    assert link.balances(link.card()) == {}
    assert link.state(1).state == pb.RECEIPT_STATE_NOT_SOLD
    assert link.forward(1, made, AS_ANSWERED, stated=5).state == SUPERSEDED
    assert link.balances(link.card()) == {"points": DISCOUNTED_POINTS}
    assert link.forward(1, made, PLAIN, stated=6).state == SUPERSEDED
    assert link.balances(link.card()) == owned
    assert link.forward(1, made, AS_ANSWERED, stated=7).state == SUPERSEDED
    assert link.balances(link.card()) == {"points": DISCOUNTED_POINTS}
    statements = link.state(1).statements
    assert [one.outcome.number for one in statements] == [3, 4, 5, 6, 6, 7]


def test_a_till_that_does_not_know_hides_nothing_that_it_knew(link: Link) -> None:
    """UNKNOWN overtakes PLAIN on the way: the sale counts, and what it is stated to be later."""
    card = link.card()
    made = basket(*BASKET, card=card)
    link.forward(1, made, UNKNOWN, stated=3)
    assert link.balances(card) == {}
    assert link.forward(1, made, PLAIN, stated=2).state == SUPERSEDED
    owned = link.balances(card)
    assert owned == {"points": DISCOUNTED_POINTS + 1_000, "later": 2_000}
    for kind, stated, state in ((UNKNOWN, 3, RECORDED), (NOT_SOLD, 1, SETTLED)):
        assert link.forward(1, made, kind, stated=stated).state == state
        assert link.balances(card) == owned
    assert link.forward(1, made, NOT_SOLD, stated=4).state == SUPERSEDED
    assert link.balances(card) == {}


def test_a_fact_whose_live_answer_was_lost_is_told_once(link: Link) -> None:
    """It comes again by the spool, with the same number; nothing moves by it."""
    made = basket(*BASKET, card=link.card())
    outcome = receipt_pb2.Outcome(kind=AS_ANSWERED, number=1)
    live = link.sell(1, made, closed=True, outcome=outcome)
    owned = link.balances(link.card())
    for _ in range(2):
        assert link.forward(1, made, AS_ANSWERED).state == SUPERSEDED
    assert (messages(link, 1), link.balances(link.card())) == ([1], owned)
    assert link.state(1).checkout == live
    assert link.refund(2, 1, {"sku1": 1_000}).amount_minor == 9_000


def test_a_live_checkout_after_its_forward_commits_nothing(link: Link) -> None:
    made = basket(*BASKET, card=link.card())
    link.break_off(1)
    late = pb.CheckoutRequest(receipt_key=receipt_key(link.n(1)), sale=made)
    assert link.refused(link.tills[1].Checkout, late)[0] == "BROKEN_OFF"
    for number in (1, 2):
        late.receipt_key.CopyFrom(receipt_key(link.n(number)))
        link.forward(number, made, PLAIN)
        rows = link.rows()
        for closed in (False, True):
            late.closed = closed
            reason, metadata = link.refused(link.tills[1].Checkout, late)
            assert (reason, metadata["outcome"]) == ("FORWARDED", "PLAIN")
        assert link.rows() == rows
    assert link.state(2).state == pb.RECEIPT_STATE_COMMITTED


def test_the_first_answer_stands_where_the_till_did_as_answered(link: Link) -> None:
    made = basket(*BASKET, card=link.card())
    first = link.sell(1, made)
    link.forward(1, made, AS_ANSWERED)
    assert link.sell(1, made) == first
    link.forward(1, made, PLAIN, stated=2)
    late = pb.CheckoutRequest(receipt_key=receipt_key(link.n(1)), sale=made)
    assert link.refused(link.tills[0].Checkout, late)[0] == "FORWARDED"
    told = link.state(1)
    assert told.checkout == first
    assert [(one.asset_code, one.amount_minor) for one in told.statements[-1].instead] == [
        ("points", 1_000),
        ("later", 2_000),
    ]


def test_training_is_answered_and_leaves_nothing(link: Link) -> None:
    made = basket(*BASKET, card=link.card())
    made.header.mode = 2
    rows = link.rows()
    assert link.forward(1, made).result == pb.DURABLE_RESULT_TRAINING
    assert link.rows() == rows


def test_another_sale_under_a_known_key_is_kept_apart(link: Link) -> None:
    link.sell(1, basket(*BASKET))
    link.forward(2, basket(*BASKET), PLAIN)
    for number in (1, 2):
        answer = link.forward(number, basket(("sku1", 2, 10_000)), PLAIN, stated=2)
        assert (answer.state, answer.reason) == (QUARANTINED, "KEY_CONFLICT")


def test_a_number_that_has_stated_something_else_is_kept_apart(link: Link) -> None:
    """Whoever sends it is told, and nothing of it counts; the same once more gets its answer."""
    card = link.card()
    made = basket(*BASKET, card=card)
    link.sell(1, made)
    lines = {"sku1": 9_500}
    link.forward(1, made, OTHER, lines=lines)
    owned = link.balances(card)
    others: list[tuple[Any, Any]] = [(PLAIN, None), (NOT_SOLD, None), (OTHER, {"sku1": 9_600})]
    for kind, stated in others:
        answer = link.forward(1, made, kind, lines=stated)
        assert (answer.state, answer.reason) == (QUARANTINED, "KEY_CONFLICT")
    assert link.forward(1, made, OTHER, lines=lines).state == SUPERSEDED
    assert link.balances(card) == owned
    refund = forward_refund(link.n(2), link.n(1), {"sku1": 1_000})
    assert link.tills[0].Forward(refund).state == RECORDED
    assert link.tills[0].Forward(forward_void(link.n(1), kind=NOT_SOLD)).state == RECORDED
    void = forward_void(link.n(1))
    refund.outcome.kind = NOT_SOLD
    for request in (refund, void):
        answer = link.tills[1].Forward(request)
        assert (answer.state, answer.reason) == (QUARANTINED, "KEY_CONFLICT")


def test_the_order_in_which_lines_are_stated_is_no_other_outcome(link: Link) -> None:
    """Neither under the same number, nor under a higher one: then it is kept, and nothing moves."""
    made = basket(*BASKET, card=link.card())
    link.sell(1, made)
    lines = {"sku1": 9_500, "sku2": 18_000}
    turned = dict(reversed(lines.items()))
    assert link.forward(1, made, OTHER, lines=lines).state == SUPERSEDED
    rows = link.rows()
    assert link.forward(1, made, OTHER, lines=turned).state == SUPERSEDED
    assert link.rows() == rows
    assert link.forward(1, made, OTHER, stated=2, lines=turned).state == SUPERSEDED
    assert [one.outcome.number for one in link.state(1).statements] == [1, 2]


def test_a_number_that_a_live_call_has_stated_is_taken(link: Link) -> None:
    """Another outcome under it would be lost if it were acknowledged."""
    made = basket(*BASKET, card=link.card())
    outcome = forward_request(link.n(1), made, OTHER, lines={"sku1": 9_500, "sku2": 18_000}).outcome
    link.sell(1, made, closed=True, outcome=outcome)
    owned = link.balances(link.card())
    answer = link.forward(1, made, PLAIN)
    assert (answer.state, answer.reason) == (QUARANTINED, "KEY_CONFLICT")
    assert link.forward(1, made, OTHER, lines={"sku2": 18_000, "sku1": 9_500}).state == SETTLED
    assert link.balances(link.card()) == owned
    assert link.forward(1, made, PLAIN, stated=2).state == SUPERSEDED


def test_a_refund_or_void_that_was_done_was_done_in_one_way(link: Link) -> None:
    """Of them a till can only say whether they were done: prices are those of the sale."""
    link.sell(1, basket(*BASKET, card=link.card()))
    for request in (forward_refund(link.n(2), link.n(1), {"sku1": 1_000}), forward_void(link.n(1))):
        assert link.tills[0].Forward(request).state == RECORDED
        for kind in (PLAIN, OTHER):
            request.outcome.kind = kind
            assert link.tills[1].Forward(request).state == RECORDED


def messages(link: Link, number: int) -> list[int]:
    """The states of messages about a receipt, oldest first: 1 queued, 7 stopped."""
    key_id = link.state(number).checkout.receipt_id
    rows = link.sql(
        "select state from outbox_message where receipt_id = $1 order by arrived_at_us", key_id
    )
    return [row[0] for row in rows]


def test_a_reward_is_told_by_message_once(link: Link) -> None:
    """A later statement or a void stops what nobody has sent, and tells what counts instead."""
    made = basket(*BASKET, card=link.card())
    request = forward_request(link.n(1), made, PLAIN)
    for till in link.tills:
        till.Forward(request)
    assert messages(link, 1) == [1]
    link.forward(1, made, NOT_SOLD, stated=2)
    assert messages(link, 1) == [7]
    link.forward(1, made, AS_ANSWERED, stated=3)
    assert messages(link, 1) == [7, 1]
    link.void(1)
    assert messages(link, 1) == [7, 7]
    link.sell(2, made)
    assert messages(link, 2) == [], "the slip of the till tells it"
    link.forward(2, made, AS_ANSWERED)
    assert messages(link, 2) == [1], "the answer was lost: no slip has told it"
    link.forward(2, made, PLAIN, stated=2)
    assert messages(link, 2) == [7, 1]
    for kind in (NOT_SOLD, UNKNOWN):
        link.forward(kind + 10, made, kind)
        assert messages(link, kind + 10) == []
    link.forward(3, basket(*BASKET, card=""), PLAIN)
    assert messages(link, 3) == []
