"""What becomes of a statement of a till, whatever was known before; and when it may be of."""

import pytest

from rewards.outcome import (
    NOTHING_KNOWN,
    Advice,
    ForwardState,
    InForce,
    Plan,
    Statement,
    in_force,
    instant_limit,
    plain_sale,
    plan_of,
)
from rewards.program import ForwardRules
from rewards.sale import Outcome, OutcomeKind, Tender, TenderKind
from tests import make

A, P, O, N, U = OutcomeKind  # noqa: E741 - the letters of the tables below
LIVE = InForce(is_known=True, is_live=True)


def stated(kind: OutcomeKind, number: int = 2, *lines: tuple[str, int]) -> Outcome:
    return Outcome(kind, number, lines)


def known(kind: OutcomeKind, *lines: tuple[str, int], has_returns: bool = False) -> InForce:
    outcome = Outcome(kind, 1, lines)
    return InForce(outcome, True, kind in (P, O), kind in (N, U), has_returns=has_returns)


@pytest.mark.parametrize(
    ("before", "plans"),
    [
        # In the order AS_ANSWERED, PLAIN, OTHER, NOT_SOLD, UNKNOWN.
        (NOTHING_KNOWN, (Plan.SELL,) * 5),
        (LIVE, (Plan.NOTE, Plan.LOWER, Plan.LOWER, Plan.UNDO, Plan.SETTLED)),
        (known(A), (Plan.NOTE, Plan.LOWER, Plan.LOWER, Plan.UNDO, Plan.SETTLED)),
        (known(P), (Plan.UNDO_AND_SELL, Plan.NOTE, Plan.UNDO_AND_SELL, Plan.UNDO, Plan.SETTLED)),
        (
            known(O, ("1", 5)),
            (Plan.UNDO_AND_SELL, Plan.UNDO_AND_SELL, Plan.UNDO_AND_SELL, Plan.UNDO, Plan.SETTLED),
        ),
        (known(N), (Plan.SELL, Plan.SELL, Plan.SELL, Plan.NOTE, Plan.SETTLED)),
        (known(U), (Plan.SELL, Plan.SELL, Plan.SELL, Plan.NOTE, Plan.SETTLED)),
        (LIVE._replace(is_voided=True), (Plan.SETTLED,) * 5),
        (
            known(P, has_returns=True),
            (Plan.NOTE, Plan.NOTE, Plan.NOTE, Plan.UNDO, Plan.SETTLED),
        ),
        (
            LIVE._replace(has_returns=True),
            (Plan.NOTE, Plan.LOWER, Plan.LOWER, Plan.UNDO, Plan.SETTLED),
        ),
    ],
    ids=[
        "nothing known", "live", "as answered", "plain", "other", "not sold", "unknown", "voided",
        "plain, then goods came back", "live, then goods came back",
    ],
)  # fmt: skip
def test_every_statement_after_every_state(before: InForce, plans: tuple[Plan, ...]) -> None:
    assert tuple(plan_of(before, stated(kind)) for kind in OutcomeKind) == plans


@pytest.mark.parametrize("kind", OutcomeKind)
def test_only_a_higher_number_counts(kind: OutcomeKind) -> None:
    for before in (A, P, O, N):
        standing = known(before)
        assert plan_of(standing, stated(kind, 1)) == Plan.SETTLED
        assert standing.outcome is not None
        lower = standing._replace(outcome=Outcome(before, 7, ()))
        assert plan_of(lower, stated(kind, 6)) == Plan.SETTLED


def test_what_the_till_does_not_know_hides_no_lower_number() -> None:
    """As if it had come behind it: then it would have counted for nothing."""
    unknown = known(U)._replace(outcome=Outcome(U, 7, ()))
    plans = [plan_of(unknown, stated(kind, 6)) for kind in OutcomeKind]
    assert plans == [Plan.SELL, Plan.SELL, Plan.SELL, Plan.NOTE, Plan.SETTLED]
    sold = known(P)._replace(outcome=Outcome(P, 6, ()))
    assert plan_of(sold, stated(U, 7)) == Plan.SETTLED
    live = InForce(Outcome(U, 7, ()), is_known=True, is_live=True)
    assert plan_of(live, stated(P, 6)) == Plan.SETTLED, "it was sold live with that number"


def test_what_a_live_call_had_said_comes_again() -> None:
    """Its answer was lost: nothing moves, but the customer is told."""
    live = known(A)._replace(is_live=True)
    assert plan_of(live, stated(A, 1)) == Plan.NOTE
    assert plan_of(live, stated(P, 1)) == Plan.SETTLED
    assert plan_of(live._replace(is_voided=True), stated(A, 1)) == Plan.SETTLED
    assert plan_of(known(P)._replace(is_live=True), stated(P, 1)) == Plan.SETTLED


def test_the_same_amounts_again_move_nothing() -> None:
    assert plan_of(known(O, ("1", 5)), stated(O, 2, ("1", 5))) == Plan.NOTE


def statement(kind: OutcomeKind, number: int, is_undone: bool = False) -> Statement:
    outcome = Outcome(kind, number, ())
    state = ForwardState.SUPERSEDED
    return Statement(Advice.SALE, outcome, state, b"", 1, 0, is_undone=is_undone)


def test_what_is_in_force_is_the_last_statement() -> None:
    assert in_force(live=False, stated_live=None, statements=[]) == NOTHING_KNOWN
    assert in_force(live=True, stated_live=None, statements=[]) == LIVE
    closed = Outcome(P, 3, ())
    # A live fact is recorded as it was answered: nothing was settled by lines.
    assert in_force(live=True, stated_live=closed, statements=[]) == LIVE._replace(outcome=closed)
    history = [statement(P, 1), statement(P, 1, is_undone=True), statement(A, 2)]
    assert in_force(live=False, stated_live=None, statements=history[:1]).is_by_lines
    undone = in_force(live=False, stated_live=None, statements=history[:2])
    assert (undone.is_by_lines, undone.is_undone) == (False, True)
    last = in_force(live=False, stated_live=None, statements=history)
    assert (last.outcome, last.is_undone) == (Outcome(A, 2, ()), False)


HOUR_US = 3_600_000_000
NOW_US = 1_000 * 24 * HOUR_US


@pytest.mark.parametrize(
    ("sold_at_us", "offset_us", "limit"),
    [
        (NOW_US, 0, ""),
        (NOW_US + 60_000_000, 0, ""),
        (NOW_US + 60_000_001, 0, "FUTURE"),
        (NOW_US + HOUR_US, -HOUR_US, ""),
        (NOW_US, 2 * HOUR_US, "FUTURE"),
        (NOW_US - 2 * HOUR_US, 2 * HOUR_US, ""),
        (NOW_US - 2 * HOUR_US, 2 * HOUR_US + 1, "TOLERANCE"),
        (NOW_US, -2 * HOUR_US - 1, "TOLERANCE"),
        (NOW_US - 30 * 24 * HOUR_US, 0, ""),
        (NOW_US - 30 * 24 * HOUR_US - 1, 0, "AGE"),
    ],
)
def test_the_instant_of_a_sale(sold_at_us: int, offset_us: int, limit: str) -> None:
    assert instant_limit(ForwardRules(), sold_at_us, offset_us, NOW_US) == limit


def test_a_plain_sale_is_paid_with_money() -> None:
    made = make.sale(make.line("1"))
    cash = Tender(TenderKind.CASH, 2, 500, "", "", 0)
    points = Tender(TenderKind.POINTS, 1, 300, "", "", 0)
    card = Tender(TenderKind.GIFT_CARD, 2, 200, "", "card", 0)
    foreign = Tender(TenderKind.VOUCHER, 2, 100, "", "", 0)
    paid = type(made)(made.header, made.lines, (cash, points, card, foreign), 0)
    assert plain_sale(paid).tenders == (cash, foreign)
    assert plain_sale(made) is made
