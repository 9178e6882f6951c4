"""What is decided of a message that is due, and what its parts make of it."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.commit import MessageFigure
from rewards.notice import AFTER_ARRIVAL_US, HOUR_US
from rewards.outbox import (
    FOLLOWING,
    End,
    MessageState,
    PutOff,
    Recipient,
    Seen,
    Send,
    figures_left,
    judge,
    over_cap,
)
from rewards.program import MessageRules
from server.sms.delivery import missing_parts, state_by_parts
from server.sms.transport import id_forms, masked
from server.store.outbox_work import Part

NOW_US = 1_790_000_000_000_000  # 2026-09-21 17:13 in Moscow
WINDOW_US = NOW_US + HOUR_US
MOSCOW = ZoneInfo("Europe/Moscow")
POINTS = MessageFigure("points", "points", 100)
MONEY = MessageFigure("money_transfer", "", 700)
QUIET = MessageRules(quiet_from="17:00", quiet_to="09:00")


def judged(
    state: MessageState = MessageState.QUEUED,
    rules: MessageRules = MessageRules(),  # noqa: B008 - immutable
    stop_note: str = "",
    window_end_us: int = WINDOW_US,
    **recipient: Any,
) -> Any:
    facts = {"phone": "+79161234567", "consent": "", "zone": MOSCOW, **recipient}
    seen = Seen(state, window_end_us, stop_note)
    return judge(seen, (POINTS, MONEY), Recipient(**facts), rules, NOW_US)


def test_it_goes_out() -> None:
    assert judged() == Send((POINTS, MONEY), is_resend=False)
    assert judged(MessageState.SENDING) == Send((POINTS, MONEY), is_resend=True)
    assert judged(window_end_us=NOW_US) == Send((POINTS, MONEY), is_resend=False)


@pytest.mark.parametrize(
    ("changes", "state", "note"),
    [
        ({"stop_note": "voided"}, MessageState.STOPPED, "voided"),
        ({"is_voided": True}, MessageState.STOPPED, "voided"),
        ({"claimed": {"points": 100}, "sending_minor": 0}, MessageState.STOPPED, "nothing"),
        ({"rules": MessageRules(by_sms=False)}, MessageState.STOPPED, "sends no messages"),
        ({"is_stopped": True}, MessageState.STOPPED, "stop list"),
        ({"consent": "no"}, MessageState.STOPPED, "does not want"),
        ({"rules": MessageRules(consent="only_yes")}, MessageState.STOPPED, "not agreed"),
        ({"window_end_us": NOW_US - 1}, MessageState.EXPIRED, "passed"),
        ({"window_end_us": NOW_US - 1, "rules": QUIET}, MessageState.EXPIRED, "passed"),
        ({"phone": ""}, MessageState.NO_PHONE, "no phone"),
    ],
)
@pytest.mark.parametrize("seen", [MessageState.QUEUED, MessageState.SENDING])
def test_it_ends(seen: MessageState, changes: Any, state: MessageState, note: str) -> None:
    verdict = judged(seen, **changes)
    assert isinstance(verdict, End)
    assert verdict.state == state
    assert note in verdict.note
    assert verdict.state in FOLLOWING[seen]


def test_quiet_hours_leave_six_hours_after_them() -> None:
    verdict = judged(rules=QUIET)
    assert isinstance(verdict, PutOff)
    assert verdict.due_at_us > NOW_US
    assert verdict.window_end_us == verdict.due_at_us + AFTER_ARRIVAL_US
    later = judged(rules=QUIET, window_end_us=NOW_US + 100 * HOUR_US)
    assert later.window_end_us == NOW_US + 100 * HOUR_US
    kamchatka = ZoneInfo("Asia/Kamchatka")  # two in the morning there
    assert isinstance(judged(rules=MessageRules(quiet_from="01:00", quiet_to="07:00")), Send)
    night = judged(rules=MessageRules(quiet_from="01:00", quiet_to="07:00"), zone=kamchatka)
    assert night.due_at_us - NOW_US < 7 * HOUR_US


def test_what_refunds_leave() -> None:
    """Claims come off the figures of their asset, money off what is still to be sent."""
    more = MessageFigure("points", "points", 50, number=3)
    voucher = MessageFigure("prize", "prize.pool", 1)
    claims = Recipient("", "", MOSCOW, claimed={"points": 70, "other": 9}, sending_minor=300)
    left = figures_left((POINTS, more, voucher, MONEY), claims)
    assert [(one.kind, one.amount_minor) for one in left] == [
        ("points", 80),
        ("prize", 1),
        ("money_transfer", 300),
    ]


@given(st.lists(st.integers(1, 100), max_size=6), st.integers(0, 400))
def test_claims_never_take_more_than_there_is(amounts: list[int], claimed: int) -> None:
    figures = tuple(MessageFigure("points", "points", one) for one in amounts)
    left = figures_left(figures, Recipient("", "", MOSCOW, claimed={"points": claimed}))
    assert sum(one.amount_minor for one in left) == max(0, sum(amounts) - claimed)
    assert all(one.amount_minor > 0 for one in left)


def test_too_many_messages() -> None:
    """It waits until one of the others is old enough, or ends where that is too late."""
    rules = MessageRules(customer_max=2, customer_hours=24)
    sent = [NOW_US - hours * HOUR_US for hours in (1, 23, 20)]
    verdict = over_cap(sent, rules, NOW_US + 30 * HOUR_US)
    assert isinstance(verdict, PutOff)
    assert verdict.due_at_us == NOW_US + 4 * HOUR_US + 1
    ended = over_cap(sent, rules, NOW_US + 3 * HOUR_US)
    assert isinstance(ended, End)
    assert ended.state == MessageState.STOPPED


def parts(*states: tuple[int, int]) -> list[Part]:
    return [Part(part, n, f"{n}", state, 0) for n, (part, state) in enumerate(states)]


@pytest.mark.parametrize(
    ("count", "found", "state", "expected"),
    [
        (1, parts((1, 2)), MessageState.SENT, MessageState.DELIVERED),
        (2, parts((1, 2)), MessageState.SENT, None),
        (2, parts((1, 2), (2, 1)), MessageState.SENT, None),
        (2, parts((1, 2), (2, 1)), MessageState.SENDING, MessageState.SENT),
        (2, parts((1, 2), (2, 2)), MessageState.SENDING, MessageState.DELIVERED),
        (2, parts((1, 2), (2, 3)), MessageState.SENT, MessageState.FAILED),
        (2, parts((1, 3), (2, 1)), MessageState.SENT, None),
        (1, parts((1, 3), (1, 2)), MessageState.FAILED, MessageState.DELIVERED),  # sent twice
        (1, parts((1, 3), (1, 1)), MessageState.SENT, None),
        (1, parts((1, 2)), MessageState.EXPIRED, MessageState.DELIVERED),
        (1, parts((1, 3)), MessageState.EXPIRED, None),
        (0, [], MessageState.QUEUED, None),
    ],
)
def test_a_message_is_what_its_parts_are(
    count: int, found: list[Part], state: MessageState, expected: MessageState | None
) -> None:
    assert state_by_parts(state, count, found) == expected


def test_parts_that_nobody_has_taken() -> None:
    assert missing_parts(3, parts((2, 1), (2, 3))) == [1, 3]


@pytest.mark.parametrize(
    ("spelled", "forms"),
    [
        ("00A1", ["a1", "161"]),
        ("161", ["161", "a1", "353"]),
        ("0", ["0"]),
        ("x-9", ["x-9"]),
        (" 7F ", ["7f", "127"]),
    ],
)
def test_ids_in_either_base(spelled: str, forms: list[str]) -> None:
    assert id_forms(spelled) == forms


def test_phones_are_masked() -> None:
    assert masked("+79161234567") == "+*********67"
    assert masked("") == ""
