"""Money that promotions send: what a sale asks for, what a refund cuts, and who may follow whom."""

import pytest

from rewards.benefit import MoneyTransfer
from rewards.commit import NewTransfer, TransferCut
from rewards.evaluate import Evaluation
from rewards.ledger import transfer_id_of
from rewards.refund import Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.transfer import (
    SentBefore,
    TransferState,
    cuts_of,
    may_follow,
    not_sent_yet,
    transfers_of,
)
from tests import make
from tests.table.test_refund import by_reference

KEY = make.key_id("sale")
POINTS_FIRST = make.points(priority=9)
TO_PHONE = make.promotion("phone", MoneyTransfer("mobile", rate_bp=1_000), priority=5)
TO_CHARITY = make.promotion("charity", MoneyTransfer("fund", 40))
TEA = make.line("tea", 2, 100)


def given(*, customer_id: int = 70) -> tuple[ProgramRules, Sale, Evaluation]:
    rules, sale = make.rules(POINTS_FIRST, TO_PHONE, TO_CHARITY), make.sale(TEA)
    facts = make.facts(customer=make.customer(customer_id=customer_id))
    return rules, sale, by_reference(rules, sale, facts, None)


def test_each_transfer_has_its_place_among_those_of_the_receipt() -> None:
    """Points are given, too, and are no transfer."""
    rules, _, evaluation = given()
    assert transfers_of(rules.program, evaluation.grants, KEY, 70) == (
        NewTransfer(transfer_id_of(KEY, 0), "chain", 70, "phone", "mobile", 20),
        NewTransfer(transfer_id_of(KEY, 1), "chain", 70, "charity", "fund", 40),
    )


def test_nobody_is_sent_nothing() -> None:
    rules, _, evaluation = given()
    assert transfers_of(rules.program, evaluation.grants, KEY, 0) == ()


@pytest.mark.parametrize(
    ("milli", "cuts"),
    [
        (1_000, (TransferCut(transfer_id_of(KEY, 0), 10),)),
        (2_000, (TransferCut(transfer_id_of(KEY, 0), 0), TransferCut(transfer_id_of(KEY, 1), 0))),
    ],
)
def test_a_refund_cuts_what_has_lost_its_ground(milli: int, cuts: tuple[TransferCut, ...]) -> None:
    """Half of the tea leaves half of the rate, and all of the fixed amount."""
    rules, sale, _ = given()
    refund = decide_refund(rules, sale, make.facts(), (), {"tea": milli}, by_reference)
    assert cuts_of(rules.program, refund, KEY, 70) == cuts  # type: ignore[arg-type]
    assert cuts_of(rules.program, refund, KEY, 0) == ()  # type: ignore[arg-type]


BEFORE = b"before"


def before(sent_minor: int) -> tuple[SentBefore, ...]:
    """What was sent when it was sold before."""
    return (SentBefore(BEFORE, "phone", "mobile", sent_minor, sent_minor),)


@pytest.mark.parametrize(
    ("sent_minor", "left"),
    [(0, (20, 40)), (5, (15, 40)), (20, (40,)), (50, (40,))],
)
def test_what_was_sent_before_is_not_asked_for_again(
    sent_minor: int, left: tuple[int, ...]
) -> None:
    rules, _, evaluation = given()
    asked = transfers_of(rules.program, evaluation.grants, KEY, 70)
    found, grounds = not_sent_yet(asked, before(sent_minor))
    counted = min(20, sent_minor)
    assert grounds == ((TransferCut(BEFORE, counted),) if counted else ())
    assert tuple(one.amount_minor for one in found) == left
    assert found[-1] == asked[-1]


@pytest.mark.parametrize(
    ("sent_minor", "left_minor", "ground_minor"), [(0, 10, 0), (4, 6, 4), (15, 0, 10)]
)
def test_a_refund_leaves_what_was_not_sent_before(
    sent_minor: int, left_minor: int, ground_minor: int
) -> None:
    """Half of the tea leaves 10 in all, whenever it is sent; no more is sent a second time."""
    rules, sale, _ = given()
    refund = decide_refund(rules, sale, make.facts(), (), {"tea": 1_000}, by_reference)
    assert isinstance(refund, Refund)
    sent = (*before(sent_minor), SentBefore(b"other", "charity", "mobile", 7, 7))
    cut, *grounds = cuts_of(rules.program, refund, KEY, 70, sent)
    assert cut == TransferCut(transfer_id_of(KEY, 0), left_minor)
    is_lowered = ground_minor < sent_minor
    assert grounds == ([TransferCut(BEFORE, ground_minor)] if is_lowered else [])


STATES = TransferState
FOLLOW = {
    (STATES.REQUESTED, STATES.SENT),
    (STATES.SENT, STATES.DONE),
    (STATES.SENT, STATES.RETURNED),
    (STATES.DONE, STATES.RETURNED),
    (STATES.RETURNED, STATES.SENT),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("to_state", STATES)
def test_states_follow_each_other_one_way(state: TransferState, to_state: TransferState) -> None:
    assert may_follow(state, to_state) == ((state, to_state) in FOLLOW)
