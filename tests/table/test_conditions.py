"""When a condition holds, and by how much it fails: one row a case, worked out by hand.

Conditions on the receipt's amounts and products stand in `test_basket_conditions`, on coupons in
`test_coupons`. The store's day is Sunday, 22 November 2026, its time 15:00.
"""

from datetime import date
from typing import Any

import pytest

from rewards.condition import (
    Balance,
    Birthday,
    Channels,
    DaysSincePurchase,
    History,
    Hours,
    KnownCustomer,
    NthPurchase,
    Segments,
    StaffPurchase,
    Tender,
    Tier,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.condition import Condition as Authored
from rewards.facts import ANONYMOUS, UNKNOWN, CustomerFacts, CustomerState
from rewards.sale import TenderKind
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, amounts, sold, traced

HOLDS = None
Failure = tuple[Condition, int] | None


def asked(
    *conditions: Authored,
    customer: CustomerFacts | None = None,
    store: dict[str, Any] | None = None,
    **changes: Any,
) -> Failure:
    """Why 10 % off is not given under conditions: what failed and by how much; None if it is."""
    known = make.facts(
        customer=make.customer() if customer is None else customer,
        store=make.store_facts(**(store or {})),
    )
    evaluation = sold(make.percent(conditions=conditions), make.line(), known=known, **changes)
    (entry,) = traced(evaluation)
    assert amounts(evaluation) == [90 if entry == FIRED else 100]
    assert entry[0] in (TraceOutcome.FIRED, TraceOutcome.FAILED)
    return HOLDS if entry == FIRED else entry[1:]


# --- the clock ----------------------------------------------------------------------------------


def at(day: str = "2026-11-22", time: str = "15:00") -> dict[str, Any]:
    """The store's local date and time."""
    hours, minutes = time.split(":")
    return {
        "local_day": date.fromisoformat(day).toordinal(),
        "local_minute": int(hours) * 60 + int(minutes),
    }


@pytest.mark.parametrize(
    ("days", "day", "holds"),
    [
        ((7,), "2026-11-22", True),  # a Sunday
        ((1, 2, 3, 4, 5, 6), "2026-11-22", False),
        ((1,), "2026-11-23", True),
        ((2,), "2028-02-29", True),  # a Tuesday
        ((3,), "2028-02-29", False),
        ((4,), "2026-12-31", True),
        ((5,), "2027-01-01", True),
    ],
)
def test_weekdays(days: tuple[int, ...], day: str, holds: bool) -> None:
    assert asked(Weekdays(days), store=at(day)) == (HOLDS if holds else (Condition.WEEKDAY, 0))


@pytest.mark.parametrize(
    ("hours", "time", "holds"),
    [
        (("18:00", "22:00"), "17:59", False),
        (("18:00", "22:00"), "18:00", True),
        (("18:00", "22:00"), "21:59", True),
        (("18:00", "22:00"), "22:00", False),
        (("22:00", "06:00"), "21:59", False),
        (("22:00", "06:00"), "22:00", True),
        (("22:00", "06:00"), "23:59", True),
        (("22:00", "06:00"), "00:00", True),
        (("22:00", "06:00"), "05:59", True),
        (("22:00", "06:00"), "06:00", False),
        (("20:00", "24:00"), "19:59", False),
        (("20:00", "24:00"), "23:59", True),
        (("20:00", "24:00"), "00:00", False),
        (("00:00", "06:00"), "00:00", True),
        (("00:00", "06:00"), "23:59", False),
        (("09:30", "09:31"), "09:30", True),
        (("09:30", "09:31"), "09:31", False),
    ],
)
def test_hours(hours: tuple[str, str], time: str, holds: bool) -> None:
    expected = HOLDS if holds else (Condition.HOUR, 0)
    assert asked(Hours(*hours), store=at(time=time)) == expected


def test_the_night_belongs_to_the_day_on_which_it_is() -> None:
    """At two in the morning of Saturday it is Saturday, also for hours that began on Friday."""
    friday_night = (Weekdays((5,)), Hours("22:00", "06:00"))
    assert asked(*friday_night, store=at("2026-11-20", "23:00")) is HOLDS
    assert asked(*friday_night, store=at("2026-11-21", "02:00")) == (Condition.WEEKDAY, 0)


@pytest.mark.parametrize(
    ("when", "day", "time", "holds"),
    [
        ({}, "2026-11-22", "15:00", True),
        ({"from_date": "2026-11-22", "to_date": "2026-11-24"}, "2026-11-21", "23:59", False),
        ({"from_date": "2026-11-22", "to_date": "2026-11-24"}, "2026-11-22", "00:00", True),
        ({"from_date": "2026-11-22", "to_date": "2026-11-24"}, "2026-11-24", "23:59", True),
        ({"from_date": "2026-11-22", "to_date": "2026-11-24"}, "2026-11-25", "00:00", False),
        ({"from_date": "2026-11-22", "from_time": "10:00"}, "2026-11-22", "09:59", False),
        ({"from_date": "2026-11-22", "from_time": "10:00"}, "2026-11-22", "10:00", True),
        ({"from_date": "2026-11-22", "from_time": "10:00"}, "2026-11-23", "00:00", True),
        ({"to_date": "2026-11-24", "to_time": "20:00"}, "2026-11-24", "19:59", True),
        ({"to_date": "2026-11-24", "to_time": "20:00"}, "2026-11-24", "20:00", False),
        ({"to_date": "2026-11-24", "to_time": "20:00"}, "2026-11-23", "21:00", True),
        ({"to_date": "2026-11-24", "to_time": "24:00"}, "2026-11-24", "23:59", True),
        ({"from_date": "2028-02-29", "to_date": "2028-02-29"}, "2028-02-28", "23:59", False),
        ({"from_date": "2028-02-29", "to_date": "2028-02-29"}, "2028-02-29", "12:00", True),
        ({"from_date": "2028-02-29", "to_date": "2028-02-29"}, "2028-03-01", "00:00", False),
        ({"from_date": "2026-12-31", "to_date": "2027-01-01"}, "2027-01-01", "23:59", True),
        ({"from_date": "2026-12-31", "to_date": "2027-01-01"}, "2027-01-02", "00:00", False),
    ],
)
def test_the_period_holds_its_first_and_its_last_local_day(
    when: dict[str, Any], day: str, time: str, holds: bool
) -> None:
    known = make.facts(store=make.store_facts(**at(day, time)))
    evaluation = sold(make.percent(**when), make.line(), known=known)
    expected = FIRED if holds else (TraceOutcome.FAILED, Condition.PERIOD, 0)
    assert traced(evaluation) == [expected]
    assert amounts(evaluation) == [90 if holds else 100]


# --- the place ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "there", "holds"),
    [
        (("север",), ("юг", "север"), True),
        (("север", "запад"), ("запад",), True),
        (("север",), ("юг",), False),
        (("север",), (), False),
    ],
)
def test_zones(wanted: tuple[str, ...], there: tuple[str, ...], holds: bool) -> None:
    expected = HOLDS if holds else (Condition.ZONE, 0)
    assert asked(Zones(wanted), store={"zones": there}) == expected


@pytest.mark.parametrize(
    ("channels", "till_type", "holds"),
    [
        (("staffed",), 1, True),
        (("self_checkout",), 2, True),
        (("mobile",), 3, True),
        (("web", "pump"), 4, True),
        (("web",), 5, True),
        (("web", "pump"), 1, False),
        (("staffed",), 0, False),  # a type that was not said is none
    ],
)
def test_channels(channels: tuple[Any, ...], till_type: int, holds: bool) -> None:
    expected = HOLDS if holds else (Condition.CHANNEL, 0)
    assert asked(Channels(channels), till_type=till_type) == expected


# --- the customer -------------------------------------------------------------------------------

PENSIONER = make.customer(segments=("пенсионер",))
STUDENT_PENSIONER = make.customer(segments=("пенсионер", "студент"))


@pytest.mark.parametrize(
    ("any_of", "none_of", "customer", "holds"),
    [
        (("пенсионер",), (), PENSIONER, True),
        (("студент", "пенсионер"), (), PENSIONER, True),
        (("студент",), (), PENSIONER, False),
        (("пенсионер",), (), ANONYMOUS, False),
        (("пенсионер",), (), UNKNOWN, False),
        ((), ("пенсионер",), PENSIONER, False),
        ((), ("студент",), PENSIONER, True),
        ((), ("пенсионер",), ANONYMOUS, True),  # who is nobody is in no segment
        (("пенсионер",), ("студент",), PENSIONER, True),
        (("пенсионер",), ("студент",), STUDENT_PENSIONER, False),
    ],
)
def test_segments(
    any_of: tuple[str, ...], none_of: tuple[str, ...], customer: CustomerFacts, holds: bool
) -> None:
    expected = HOLDS if holds else (Condition.SEGMENT, 0)
    assert asked(Segments(any_of, none_of), customer=customer) == expected


@pytest.mark.parametrize(
    ("customer", "holds"),
    [
        (make.customer(tier="золото"), True),
        (make.customer(tier="платина"), True),
        (make.customer(tier="серебро"), False),
        (make.customer(), False),
        (ANONYMOUS, False),
    ],
)
def test_tier(customer: CustomerFacts, holds: bool) -> None:
    expected = HOLDS if holds else (Condition.TIER, 0)
    assert asked(Tier(("золото", "платина")), customer=customer) == expected


@pytest.mark.parametrize(
    ("customer", "is_known"),
    [
        (make.customer(), True),
        (make.customer(state=CustomerState.EARN_ONLY), True),
        (ANONYMOUS, False),
        (UNKNOWN, False),
    ],
)
def test_known_customer(customer: CustomerFacts, is_known: bool) -> None:
    failure = (Condition.CUSTOMER, 0)
    assert asked(KnownCustomer(), customer=customer) == (HOLDS if is_known else failure)
    assert asked(KnownCustomer(False), customer=customer) == (failure if is_known else HOLDS)


@pytest.mark.parametrize("is_staff", [True, False])
def test_staff_purchase(is_staff: bool) -> None:
    failure = (Condition.STAFF, 0)
    assert asked(StaffPurchase(), staff_purchase=is_staff) == (HOLDS if is_staff else failure)
    assert asked(StaffPurchase(False), staff_purchase=is_staff) == (failure if is_staff else HOLDS)


def test_what_the_cashier_says() -> None:
    """Without it the promotion is none of the receipt's business: not even a candidate."""
    promotion = make.percent(conditions=(Trigger(("показан билет", "инвалид")),))
    shown = sold(promotion, make.line(), manual_triggers=("другое", "показан билет"))
    assert (amounts(shown), traced(shown)) == ([90], [FIRED])
    for others in ((), ("другое",)):
        plain = sold(promotion, make.line(), manual_triggers=others)
        assert (amounts(plain), traced(plain)) == ([100], [])


BIRTHDAY = [
    # (days to the nearest birthday, days before, days after, holds)
    (0, 0, 0, True),
    (1, 0, 0, False),
    (-1, 0, 0, False),
    (7, 7, 3, True),  # on 27 December of a birthday on 3 January, too: facts count over new year
    (8, 7, 3, False),
    (-3, 7, 3, True),
    (-4, 7, 3, False),
    (None, 180, 180, False),
]


@pytest.mark.parametrize(("in_days", "before", "after", "holds"), BIRTHDAY)
def test_birthday(in_days: int | None, before: int, after: int, holds: bool) -> None:
    failure = asked(Birthday(before, after), customer=make.customer(birthday_in_days=in_days))
    assert (failure is HOLDS) == holds
    assert holds or (failure is not None and failure[0] == Condition.BIRTHDAY)


def test_nobody_has_no_birthday() -> None:
    assert asked(Birthday(180, 180), customer=ANONYMOUS) == (Condition.BIRTHDAY, 0)


@pytest.mark.parametrize(
    ("condition", "purchases", "holds"),
    [
        (NthPurchase(1), 0, True),
        (NthPurchase(1), 1, False),
        (NthPurchase(3), 2, True),
        (NthPurchase(3), 3, False),
        (NthPurchase(3), 5, False),
        (NthPurchase(3, every=True), 2, True),
        (NthPurchase(3, every=True), 5, True),
        (NthPurchase(3, every=True), 0, False),
        (NthPurchase(3, every=True), 3, False),
    ],
)
def test_nth_purchase(condition: NthPurchase, purchases: int, holds: bool) -> None:
    failure = asked(condition, customer=make.customer(purchases=purchases))
    assert (failure is HOLDS) == holds
    assert holds or (failure is not None and failure[0] == Condition.PURCHASE)


def test_nobody_purchases_for_the_first_time() -> None:
    assert asked(NthPurchase(1), customer=ANONYMOUS) == (Condition.PURCHASE, 0)


TODAY = make.TODAY.toordinal()


@pytest.mark.parametrize(
    ("condition", "last_day", "failure"),
    [
        (DaysSincePurchase(60), TODAY - 60, HOLDS),
        (DaysSincePurchase(60), TODAY - 59, (Condition.PURCHASE, 1)),
        (DaysSincePurchase(60), TODAY - 400, HOLDS),
        (DaysSincePurchase(60, 90), TODAY - 90, HOLDS),
        (DaysSincePurchase(60, 90), TODAY - 91, (Condition.PURCHASE, 0)),
        (DaysSincePurchase(0, 1), TODAY, HOLDS),
        (DaysSincePurchase(1), TODAY, (Condition.PURCHASE, 1)),
        (DaysSincePurchase(60), 0, (Condition.PURCHASE, 0)),
        (DaysSincePurchase(60, never_counts=True), 0, HOLDS),
        (DaysSincePurchase(60, never_counts=True), TODAY - 1, (Condition.PURCHASE, 59)),
    ],
)
def test_days_since_purchase(condition: DaysSincePurchase, last_day: int, failure: Failure) -> None:
    assert asked(condition, customer=make.customer(last_purchase_day=last_day)) == failure


def test_who_leaves_the_card_at_home_is_not_won_back() -> None:
    condition = DaysSincePurchase(60, never_counts=True)
    assert asked(condition, customer=ANONYMOUS) == (Condition.PURCHASE, 0)


@pytest.mark.parametrize(
    ("count", "failure"),
    [
        (4, (Condition.HISTORY, 1)),
        (5, HOLDS),
        (9, HOLDS),
        (10, (Condition.HISTORY, 0)),
    ],
)
def test_history(count: int, failure: Failure) -> None:
    customer = make.customer(counters=(("кофе", 99), ("coffee", count)))
    assert asked(History("coffee", 5, 9), customer=customer) == failure


def test_a_counter_that_never_counted_is_at_nothing() -> None:
    assert asked(History("coffee", 5)) == (Condition.HISTORY, 5)
    assert asked(History("coffee", 0, 9)) is HOLDS
    assert asked(History("coffee", 0, 9), customer=ANONYMOUS) == (Condition.HISTORY, 0)


@pytest.mark.parametrize(
    ("balances", "failure"),
    [
        ((("points", 100),), HOLDS),
        ((("points", 99),), (Condition.BALANCE, 1)),
        ((("next", 500),), (Condition.BALANCE, 100)),
        ((("points", -20),), (Condition.BALANCE, 120)),
        ((), (Condition.BALANCE, 100)),
    ],
)
def test_balance(balances: tuple[tuple[str, int], ...], failure: Failure) -> None:
    assert asked(Balance("points", 100), customer=make.customer(balances=balances)) == failure


# --- the payment --------------------------------------------------------------------------------

CASH = make.tender(TenderKind.CASH, 100)
BANK = make.tender(TenderKind.CARD, 100, card_bin="220220")
LONG_BIN = make.tender(TenderKind.CARD, 100, card_bin="22022012")


@pytest.mark.parametrize(
    ("condition", "tenders", "holds"),
    [
        (Tender(("card",)), (BANK,), True),
        (Tender(("card",)), (CASH,), False),
        (Tender(("card",)), (CASH, BANK), True),
        (Tender(("card",)), (), False),  # unpaid: unknown
        (Tender(("gift_card", "mobile")), (make.tender(TenderKind.MOBILE),), True),
        (Tender(("voucher",)), (make.tender(TenderKind.VOUCHER),), True),
        (Tender(card_bins=("220220",)), (BANK,), True),
        (Tender(card_bins=("427600", "220220")), (BANK,), True),
        (Tender(card_bins=("427600",)), (BANK,), False),
        (Tender(("cash",), ("427600",)), (BANK,), False),
        (Tender(("cash",), ("220220",)), (BANK,), True),
        (Tender(card_bins=("220220",)), (LONG_BIN,), True),
        (
            Tender(card_bins=("22022012",)),
            (BANK,),
            False,
        ),
    ],
)
def test_tender(condition: Tender, tenders: tuple[Any, ...], holds: bool) -> None:
    expected = HOLDS if holds else (Condition.TENDER, 0)
    assert asked(condition, tenders=tenders) == expected


# --- several ------------------------------------------------------------------------------------


def test_all_of_them_must_hold() -> None:
    both = (Segments(("пенсионер",)), Hours("09:00", "12:00"))
    assert asked(*both, customer=PENSIONER, store=at(time="10:00")) is HOLDS
    assert asked(*both, customer=PENSIONER, store=at(time="12:00")) == (Condition.HOUR, 0)
    assert asked(*both, store=at(time="10:00")) == (Condition.SEGMENT, 0)


def test_what_is_not_of_the_time_is_told_before_what_is_not_for_the_customer() -> None:
    both = (Segments(("пенсионер",)), Hours("09:00", "12:00"))
    assert asked(*both, store=at(time="12:00")) == (Condition.HOUR, 0)
