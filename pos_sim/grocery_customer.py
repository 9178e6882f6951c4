"""The demo's customers: who they are, what they answered and when; all names are made up."""

import random
from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct

from loyalty.v1.back_office_service_pb2 import Customer, ImportedAnswer, ImportedIdentifier

DAY_US = 86_400_000_000
FRESH_DAYS_MAX = 60
EXPIRED_DAYS = (1_500, 3_000)
"""Days since an answer that is certainly past its validity."""

FEMALE_NAMES = ("Анна", "Мария", "Ольга", "Елена", "Наталья", "Ирина", "Татьяна", "Светлана")
MALE_NAMES = ("Иван", "Алексей", "Сергей", "Дмитрий", "Павел", "Николай", "Михаил", "Андрей")
SURNAMES = ("Петров", "Соколов", "Лебедев", "Морозов", "Новиков", "Волков", "Зайцев", "Егоров")
STREETS = ("Садовая", "Лесная", "Школьная", "Набережная", "Полевая", "Мира", "Заречная")
FAMILY_STATUSES = ("single", "married", "divorced", "widowed")
SEGMENTS = ("pensioner", "athlete", "family", "student", "")
SEGMENT_WEIGHTS = (22, 12, 25, 15, 26)
BIRTH_YEARS = {"pensioner": (1940, 1963), "student": (2001, 2008), "": (1960, 2000)}


class Person(Struct, frozen=True):
    """A customer with what the workload needs besides.

    Attributes:
        segment: The segment that shapes the baskets; empty for none.
        home: Index of the store where the customer shops most.
        phone: Empty for a customer with a card only.
    """

    customer: Customer
    segment: str
    home: int
    card: str
    phone: str


def make_people(count: int, store_count: int, now_us: int, rng: random.Random) -> list[Person]:
    """Make customers, those who come most often first.

    Args:
        count: How many, 1 to 99999.
        store_count: Over how many stores they spread.
        now_us: From when the age of their answers is counted, UTC microseconds.
        rng: Decides everything.
    """
    return [_person(number, store_count, now_us, rng) for number in range(1, count + 1)]


def _person(number: int, store_count: int, now_us: int, rng: random.Random) -> Person:
    segment = rng.choices(SEGMENTS, SEGMENT_WEIGHTS)[0]
    sex = rng.choice(("female", "male"))
    card = f"29{number:05d}{rng.randrange(10**6):06d}"
    phone = f"+79{number:05d}{rng.randrange(10**4):04d}" if rng.random() < 0.8 else ""
    customer = Customer(
        customer_number=f"C{number:05d}",
        identifiers=[
            ImportedIdentifier(kind=kind, value=value)
            for kind, value in (("card", card), ("phone", phone))
            if value
        ],
        segments=_segments(segment, rng),
        state=rng.choices(("active", "earn_only", "blocked"), (98, 1, 1))[0],
        language_code="en" if rng.random() < 0.04 else "",
        answers=_answers(_values(sex, segment, number, phone, rng), now_us, rng),
    )
    return Person(customer, segment, rng.randrange(store_count), card, phone)


def _segments(segment: str, rng: random.Random) -> list[str]:
    others = ["cat_owner"] if rng.random() < 0.15 else []
    return [segment, *others] if segment else others


def _values(
    sex: str, segment: str, number: int, phone: str, rng: random.Random
) -> Iterator[tuple[str, str]]:
    """What the customer would answer, by field; the phone only if it is known."""
    yield "sex", sex
    yield "first_name", rng.choice(FEMALE_NAMES if sex == "female" else MALE_NAMES)
    yield "surname", rng.choice(SURNAMES) + ("а" if sex == "female" else "")
    first_year, last_year = BIRTH_YEARS.get(segment, BIRTH_YEARS[""])
    born = date(rng.randint(first_year, last_year), 1, 1) + timedelta(days=rng.randrange(365))
    yield "birth_date", born.isoformat()
    if phone:
        yield "mobile", phone
    yield "email", f"customer{number}@mail.example"
    yield "address", f"ул. {rng.choice(STREETS)}, {rng.randint(1, 99)}"
    yield "family_status", rng.choice(FAMILY_STATUSES)
    yield "message_consent", rng.choice(("yes", "no"))


def _answers(
    values: Iterator[tuple[str, str]], now_us: int, rng: random.Random
) -> Iterator[ImportedAnswer]:
    """Of ten answers two are missing, two past their validity and six fresh."""
    for field_code, value in values:
        days = _age_days(rng)
        if days is not None:
            answered_at_us = now_us - days * DAY_US
            yield ImportedAnswer(field_code=field_code, value=value, answered_at_us=answered_at_us)


def _age_days(rng: random.Random) -> int | None:
    drawn = rng.random()
    if drawn < 0.2:
        return None
    if drawn < 0.4:
        return rng.randint(*EXPIRED_DAYS)
    return rng.randint(1, FRESH_DAYS_MAX)
