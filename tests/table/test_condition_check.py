"""Each condition that cannot be meant: the place and the reason."""

from typing import Any

import msgspec
import pytest

from rewards.condition import Condition
from rewards.condition_check import condition_code
from tests.program_tree import SKU, Tree, Wrong, asking, check_wrong, problems, texts

PLACE = "promotions[0].conditions[0]"


def one(code: str, **keys: Any) -> Tree:
    return {"code": code, **keys}


def amount(**keys: Any) -> Tree:
    return one("receipt_amount", **keys)


def products(**keys: Any) -> Tree:
    return one("products", **keys)


NOBODY = one("known_customer", known=False)

VALID: dict[str, Tree] = {
    "weekdays": asking(one("weekdays", days=[6, 7])),
    "hours": asking(one("hours", from_time="08:00", to_time="11:00")),
    "hours after midnight": asking(one("hours", from_time="22:00", to_time="02:00")),
    "hours until midnight": asking(one("hours", from_time="22:00", to_time="24:00")),
    "two zones at once": asking(one("zones", any_of=["a"]), one("zones", any_of=["b"])),
    "two coupons at once": asking(one("coupon", any_of=["A"]), one("coupon", any_of=["B"])),
    "no segment but another": asking(one("segments", any_of=["a"], none_of=["b"])),
    "letters of two codes, told apart": {
        **asking(one("coupon", any_of=["Sale", "SALE"])),
        "coupon_rules": {"any_case": False},
    },
    "cash or some cards": asking(one("tender", any_of=["cash"], card_bins=["220220", "22001234"])),
    "on the birthday": asking(one("birthday")),
    "every fifth purchase": asking(one("nth_purchase", n=5, every=True)),
    "first purchase": asking(one("nth_purchase", n=1)),
    "has bought before": asking(one("days_since_purchase")),
    "long away or never here": asking(one("days_since_purchase", from_days=60, never_counts=True)),
    "a range of a counter": asking(one("history", counter_code="c", from_count=1, to_count=1)),
    "a balance": asking(one("balance", asset_code="later", from_minor=1)),
    "own products": asking(products(articles_from=2)),
    "exactly so much": asking(products(products=SKU, amount_from_minor=5, amount_to_minor=5)),
    "none of a set": asking(products(products=SKU, none=True)),
    "two sets at once": asking(
        products(products={"skus": ["1"]}, quantity_from_milli=1000),
        products(products={"skus": ["2"]}, quantity_from_milli=1000),
    ),
    "more than an amount": asking(amount(from_minor=100, strict=True)),
    "at most an amount": asking(amount(to_minor=100)),
    "the customer's own threshold": asking(amount(own_offer="stretch", to_minor=100_000)),
    "in none of a segment, not known": asking(NOBODY, one("segments", none_of=["a"])),
}

WRONG: Wrong = {
    "weekday twice": (asking(one("weekdays", days=[6, 6])), f"{PLACE}.days[1]", "already"),
    "hours without a start": (
        asking(one("hours", from_time="", to_time="08:00")),
        f"{PLACE}.from_time",
        "is empty; write HH:MM",
    ),
    "hours without an end": (
        asking(one("hours", from_time="08:00", to_time="")),
        f"{PLACE}.to_time",
        "is empty",
    ),
    "hours from the end of a day": (
        asking(one("hours", from_time="24:00", to_time="08:00")),
        f"{PLACE}.from_time",
        "write 00:00",
    ),
    "no hours": (
        asking(one("hours", from_time="08:00", to_time="08:00")),
        f"{PLACE}.to_time",
        "no hours are left",
    ),
    "all hours": (
        asking(one("hours", from_time="00:00", to_time="24:00")),
        PLACE,
        "is the whole day",
    ),
    "second hours": (
        asking(
            one("hours", from_time="08:00", to_time="09:00"),
            one("hours", from_time="18:00", to_time="19:00"),
        ),
        "promotions[0].conditions[1]",
        "is a second hours, besides promotions[0].conditions[0]; all conditions must hold at once",
    ),
    "the same condition twice": (
        asking(amount(from_minor=5), amount(from_minor=6), amount(from_minor=5)),
        "promotions[0].conditions[2]",
        "is already at promotions[0].conditions[0]",
    ),
    "zone twice": (asking(one("zones", any_of=["a", "a"])), f"{PLACE}.any_of[1]", "already"),
    "zone with a blank": (
        asking(one("zones", any_of=["a "])),
        f"{PLACE}.any_of[0]",
        "'a ' has blanks around it",
    ),
    "channel twice": (asking(one("channels", any_of=["web", "web"])), f"{PLACE}.any_of[1]", "web"),
    "tier twice": (asking(one("tier", any_of=["a", "a"])), f"{PLACE}.any_of[1]", "already"),
    "trigger with a blank": (asking(one("trigger", any_of=[" a"])), f"{PLACE}.any_of[0]", "blank"),
    "code twice": (asking(one("coupon", any_of=["A", "A"])), f"{PLACE}.any_of[1]", "already"),
    "code twice but for capitals": (
        asking(one("coupon", any_of=["Sale", "SALE"])),
        f"{PLACE}.any_of[1]",
        "any_case takes capital and small letters alike",
    ),
    "no segment": (asking(one("segments")), PLACE, "needs any_of or none_of"),
    "segment both in and out": (
        asking(one("segments", any_of=["a", "b"], none_of=["b"])),
        f"{PLACE}.none_of[0]",
        "'b' is also in any_of",
    ),
    "no tender": (asking(one("tender")), PLACE, "needs any_of or card_bins"),
    "tender twice": (asking(one("tender", any_of=["cash", "cash"])), f"{PLACE}.any_of[1]", "cash"),
    "BIN twice": (
        asking(one("tender", card_bins=["220220", "220220"])),
        f"{PLACE}.card_bins[1]",
        "already",
    ),
    "some cards and all cards": (
        asking(one("tender", any_of=["card"], card_bins=["220220"])),
        f"{PLACE}.card_bins",
        "any_of takes every card",
    ),
    "a short BIN": (
        asking(one("tender", card_bins=["2202"])),
        f"{PLACE}.card_bins[0]",
        "'2202' is no BIN: the first 6 to 8 digits of a card",
    ),
    "a BIN with letters": (
        asking(one("tender", card_bins=["22O220"])),
        f"{PLACE}.card_bins[0]",
        "no BIN",
    ),
    "every purchase": (
        asking(one("nth_purchase", n=1, every=True)),
        PLACE,
        "is every purchase",
    ),
    "a birthday that nobody is asked for": (
        {**asking(one("birthday")), "profile_fields": []},
        PLACE,
        "never holds: no profile field birth_date is checked as date",
    ),
    "a birthday that is a text": (
        {
            **asking(one("birthday")),
            "profile_fields": [{"field_code": "birth_date", "questions": texts(), "check": "text"}],
        },
        PLACE,
        "never holds",
    ),
    "days that cross": (
        asking(one("days_since_purchase", from_days=9, to_days=8)),
        f"{PLACE}.to_days",
        "8 is below from_days 9",
    ),
    "everybody, however long away": (
        asking(one("days_since_purchase", never_counts=True)),
        PLACE,
        "holds for everybody",
    ),
    "counts that cross": (
        asking(one("history", counter_code="c", from_count=9, to_count=8)),
        f"{PLACE}.to_count",
        "8 is below from_count 9",
    ),
    "any count": (asking(one("history", counter_code="c")), PLACE, "asks for nothing"),
    "a balance of nothing": (
        asking(one("balance", asset_code="points", from_minor=0)),
        f"{PLACE}.from_minor",
        "is 0, which everybody owns",
    ),
    "a balance of an unknown asset": (
        asking(one("balance", asset_code="stars", from_minor=1)),
        f"{PLACE}.asset_code",
        "no asset is named 'stars'; there are: later, points, stamps",
    ),
    "products without a bound": (
        asking(products(products=SKU)),
        PLACE,
        "asks for nothing; needs one of quantity_from_milli, quantity_to_milli",
    ),
    "quantities that cross": (
        asking(products(quantity_from_milli=3000, quantity_to_milli=2000)),
        f"{PLACE}.quantity_to_milli",
        "2000 is below the lower end 3000",
    ),
    "more of one article than of all": (
        asking(products(line_quantity_from_milli=3000, quantity_to_milli=2000)),
        f"{PLACE}.quantity_to_milli",
        "2000 is below the lower end 3000",
    ),
    "amounts that cross": (
        asking(products(amount_from_minor=3, amount_to_minor=2)),
        f"{PLACE}.amount_to_minor",
        "2 is below the lower end 3",
    ),
    "pieces taken for thousandths": (
        asking(products(quantity_from_milli=3)),
        f"{PLACE}.quantity_from_milli",
        "3 is 3 thousandths of a piece; write 3000 for 3 pieces",
    ),
    "more than no amount": (
        asking(products(articles_from=2, strict=True)),
        f"{PLACE}.strict",
        "has no effect without amount_from_minor",
    ),
    "more than, and at most": (
        asking(products(amount_from_minor=5, amount_to_minor=5, strict=True)),
        f"{PLACE}.strict",
        "nothing is more than 5 and at most 5",
    ),
    "basis of no amount": (
        asking(products(articles_from=2, basis="as_sent")),
        f"{PLACE}.basis",
        "no amount is asked for",
    ),
    "none, but some": (
        asking(products(products=SKU, none=True, quantity_from_milli=1000)),
        f"{PLACE}.quantity_from_milli",
        "stands beside none",
    ),
    "none of its own products": (
        asking(products(none=True)),
        f"{PLACE}.none",
        "without them the promotion's own must not be there",
    ),
    "a set that nothing fits": (
        asking(products(products={"brands": ["b"], "except_brands": ["b"]}, articles_from=1)),
        f"{PLACE}.products.except_brands[0]",
        "'b' is both put in and left out",
    ),
    "any amount": (asking(amount()), PLACE, "needs from_minor, to_minor or own_offer"),
    "receipt amounts that cross": (
        asking(amount(from_minor=3, to_minor=2)),
        f"{PLACE}.to_minor",
        "2 is below the lower end 3",
    ),
    "strictly nothing": (
        asking(amount(to_minor=2, strict=True)),
        f"{PLACE}.strict",
        "has no effect without from_minor",
    ),
    "two lower ends": (
        asking(amount(own_offer="stretch", from_minor=5)),
        f"{PLACE}.from_minor",
        "own_offer says the lower end",
    ),
    "the segment of nobody": (
        asking(NOBODY, one("segments", any_of=["a"])),
        "promotions[0].conditions[1]",
        "never holds: known_customer says that the customer must not be known",
    ),
    "the birthday of nobody": (
        asking(one("birthday"), NOBODY),
        PLACE,
        "never holds",
    ),
    "the own offer of nobody": (
        asking(NOBODY, amount(own_offer="stretch")),
        "promotions[0].conditions[1]",
        "never holds",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert problems(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    check_wrong(changes, path, reason)


def test_every_condition_is_written_in_some_valid_program() -> None:
    written = {
        condition["code"]
        for changes in VALID.values()
        for promotion in changes["promotions"]
        for condition in promotion["conditions"]
    }
    codes = {kind.__struct_config__.tag for kind in Condition.__args__}
    assert codes - written == {"channels", "staff_purchase", "tier", "trigger"}


@pytest.mark.parametrize("kind", Condition.__args__)
def test_the_code_of_a_condition_is_its_tag(kind: Any) -> None:
    required = {field.name: () for field in msgspec.structs.fields(kind) if field.required}
    assert condition_code(kind(**required)) == kind.__struct_config__.tag
