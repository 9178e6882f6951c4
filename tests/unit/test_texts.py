"""What is said and in which language: plural forms and figures are held to Babel itself."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Literal, get_args

import pytest
from babel import Locale
from babel.localedata import locale_identifiers
from babel.numbers import format_currency, get_currency_precision
from hypothesis import given
from hypothesis import strategies as st

from rewards.authored import LocalText
from rewards.program import Asset, AssetName, PluralForm, TextTemplate
from rewards.program_check import check_program
from rewards.wording import FIGURES
from server.built_in_texts import BUILT_IN
from server.texts import Speaker, pick
from tests import make

NBSP, NNBSP = "\u00a0", "\u202f"
Category = Literal["zero", "one", "two", "few", "many", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
NAMED = tuple(PluralForm(category, category) for category in CATEGORIES)
"""Forms whose words are the names of their categories."""
LANGUAGES = sorted({code.split("_")[0] for code in locale_identifiers()})
THOUSANDS = "kw"
"""Cornish: the one language whose rules look at whole thousands; it has a test of its own."""


def speaker(language: str, currency: str = "RUB", **own: dict[str, str]) -> Speaker:
    return Speaker(language, currency, own)


def category(language: str, amount_minor: int, decimals: int) -> str:
    asset = make.asset(decimals=decimals, names=(AssetName("en", NAMED),))
    return speaker(language).asset(amount_minor, asset)


# --- plural forms -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "word"),
    [
        (0, "баллов"),
        (1, "балл"),
        (2, "балла"),
        (4, "балла"),
        (5, "баллов"),
        (11, "баллов"),
        (12, "баллов"),
        (14, "баллов"),
        (21, "балл"),
        (22, "балла"),
        (101, "балл"),
        (111, "баллов"),
        (1_001, "балл"),
        (1_011, "баллов"),
        (1_000_000, "баллов"),
        (1_000_001, "балл"),
        (999_999_999_912, "баллов"),
        (999_999_999_922, "балла"),
        (-1, "балл"),
        (-5, "баллов"),
    ],
)
def test_russian_points(amount: int, word: str) -> None:
    assert speaker("ru").asset(amount, make.asset()) == word
    whole = make.asset(decimals=2)
    assert speaker("ru").asset(amount * 100, whole) == word
    assert speaker("ru-RU").asset(amount, make.asset()) == word


@pytest.mark.parametrize("amount", [1, 50, 150, 210, 501, 100_001])
def test_a_fraction_of_points_has_its_own_form(amount: int) -> None:
    assert speaker("ru").asset(amount, make.asset(decimals=2)) == "балла"


@pytest.mark.parametrize(("amount", "word"), [(0, "points"), (1, "point"), (2, "points")])
def test_english_points(amount: int, word: str) -> None:
    assert speaker("en").asset(amount, make.asset()) == word


AMOUNTS = (
    st.integers(0, 250)
    | st.integers(0, 10**13)
    | st.builds(lambda digit, power: digit * 10**power, st.integers(1, 99), st.integers(0, 11))
)


@given(
    st.sampled_from(["ru", "en"]) | st.sampled_from([x for x in LANGUAGES if x != THOUSANDS]),
    AMOUNTS,
    st.integers(0, 6),
)
def test_plural_categories_are_those_of_cldr(language: str, amount: int, decimals: int) -> None:
    major, minor = divmod(amount, 10**decimals)
    shown = Decimal(amount).scaleb(-decimals) if minor else Decimal(major)
    assert category(language, amount, decimals) == Locale.parse(language).plural_form(shown)


@pytest.mark.parametrize("amount", [20_000, 190_000, 100_000, 3_400_000])
def test_a_language_whose_rules_look_at_whole_thousands(amount: int) -> None:
    assert category(THOUSANDS, amount, 0) == Locale.parse(THOUSANDS).plural_form(amount)


def test_a_form_that_is_not_given_is_that_of_other_numbers() -> None:
    names = (AssetName("ru", (PluralForm("one", "балл"), PluralForm("other", "балла"))),)
    assert speaker("ru").asset(5, make.asset(names=names)) == "балла"


def test_money_has_no_name_beside_it() -> None:
    assert speaker("ru").asset(500, make.NEXT_DISCOUNT) == ""


# --- figures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "currency", "amount_minor", "written"),
    [
        ("ru", "RUB", 123_456_789, f"1{NBSP}234{NBSP}567,89{NBSP}₽"),
        ("ru", "RUB", 5, f"0,05{NBSP}₽"),
        ("ru", "RUB", -12_345, f"-123,45{NBSP}₽"),
        ("en", "USD", 123_456_789, "$1,234,567.89"),
        ("en", "USD", -12_345, "-$123.45"),
        ("en-GB", "GBP", 100, "£1.00"),
        ("en", "RUB", 100_000, "RUB1,000.00"),
        ("de", "EUR", 123_456, f"1.234,56{NBSP}€"),
        ("fr", "EUR", 123_456, f"1{NNBSP}234,56{NBSP}€"),
        ("ja", "JPY", 1_234, "￥1,234"),
        ("en", "KWD", 1_234, "KWD1.234"),
    ],
)
def test_money(language: str, currency: str, amount_minor: int, written: str) -> None:
    assert speaker(language, currency).money(amount_minor) == written


MONEY_LANGUAGES = ["ru", "en", "uk", "kk", "be", "uz", "de", "fr", "es", "pt-BR", "pl", "tr", "ja"]


@given(
    st.sampled_from(MONEY_LANGUAGES),
    st.sampled_from(["RUB", "USD", "EUR", "KZT", "JPY", "KWD"]),
    st.integers(0, 10**13) | st.integers(0, 2_000),
)
def test_money_is_written_as_cldr_says(language: str, currency: str, amount_minor: int) -> None:
    amount = Decimal(amount_minor).scaleb(-get_currency_precision(currency))
    expected = format_currency(amount, currency, locale=Locale.parse(language, sep="-"))
    assert speaker(language, currency).money(amount_minor) == expected


@pytest.mark.parametrize("language", ["en-IN", "hi", "ta"])
def test_thousands_are_grouped_as_the_language_groups_them(language: str) -> None:
    expected = format_currency(1_234_567, "INR", locale=Locale.parse(language, sep="-"))
    assert speaker(language, "INR").money(123_456_700) == expected


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_can_be_spoken(code: str) -> None:
    voice = speaker(code)
    assert "5" in voice.money(5)
    assert voice.day(make.NOON_US, UTC)
    assert voice.asset(5, make.asset())


@pytest.mark.parametrize(
    ("decimals", "amount_minor", "written"),
    [
        (0, 1_234, f"1{NBSP}234"),
        (2, 100, "1"),
        (2, 150, "1,50"),
        (2, 5, "0,05"),
        (2, 0, "0"),
        (2, -150, "-1,50"),
        (2, -100, "-1"),
        (3, 1_234_567, f"1{NBSP}234,567"),
        (0, 10**12, f"1{NBSP}000{NBSP}000{NBSP}000{NBSP}000"),
    ],
)
def test_points_are_numbers(decimals: int, amount_minor: int, written: str) -> None:
    assert speaker("ru").amount(amount_minor, make.asset(decimals=decimals)) == written


def test_a_deferred_discount_is_written_as_money() -> None:
    assert speaker("ru").amount(10_000, make.NEXT_DISCOUNT) == f"100,00{NBSP}₽"


@pytest.mark.parametrize(
    ("language", "offset_hours", "written"),
    [
        ("ru", 0, f"22 нояб. 2026{NNBSP}г."),
        ("ru", 12, f"23 нояб. 2026{NNBSP}г."),
        ("en", 0, "Nov 22, 2026"),
        ("en-GB", 0, "22 Nov 2026"),
        ("de", -13, "21.11.2026"),
    ],
)
def test_a_day_is_that_of_the_store(language: str, offset_hours: int, written: str) -> None:
    zone = timezone(timedelta(hours=offset_hours))
    assert speaker(language).day(make.NOON_US, zone) == written


def test_the_last_microsecond_belongs_to_its_day() -> None:
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    at_us = round(midnight.timestamp()) * 1_000_000 - 1
    assert speaker("de").day(at_us, UTC) == "22.11.2026"


# --- languages ----------------------------------------------------------------------------------

WORDS = {"en": "English", "ru": "русский", "pt-BR": "brasileiro"}


@pytest.mark.parametrize(
    ("language", "word"),
    [
        ("en", "English"),
        ("en-GB", "English"),
        ("ru", "русский"),
        ("ru-RU", "русский"),
        ("pt-BR", "brasileiro"),
        ("pt", "English"),
        ("zz", "English"),
    ],
)
def test_the_nearest_language_is_picked(language: str, word: str) -> None:
    assert pick(WORDS, language) == word


def test_without_english_any_language_is_better_than_none() -> None:
    assert pick({"kk": "қазақша"}, "de") == "қазақша"


def test_asset_names_follow_the_same_fallback() -> None:
    names = (AssetName("kk", (PluralForm("other", "ұпай"),)),)
    assert speaker("de").asset(5, make.asset(names=names)) == "ұпай"
    assert speaker("de").asset(5, make.asset()) == "points"
    assert speaker("ru-KZ").asset(5, make.asset()) == "баллов"


@pytest.mark.parametrize(
    "language", ["zz", "no such language", "--", "x" * 35, "ru_RU", "\x01\x02"]
)
def test_an_unknown_language_is_spoken_as_english(language: str) -> None:
    voice = speaker(language, "USD")
    assert voice.say("slip_voided") == "Receipt voided"
    assert voice.money(123_456) == "$1,234.56"


@given(st.text(min_size=2, max_size=35))
def test_any_language_code_is_spoken_somehow(language: str) -> None:
    voice = speaker(language)
    assert voice.say("slip_voided")
    assert "5" in voice.money(5)


@pytest.mark.parametrize("language", ["RU", "Ru-ru", "ru-RU-u-nu-latn", "ru-x-private"])
def test_words_and_figures_are_of_one_language(language: str) -> None:
    """Codes of BCP 47 are case-insensitive and may carry extensions."""
    voice = speaker(language)
    assert (voice.say("slip_voided"), voice.money(150)) == ("Чек аннулирован", f"1,50{NBSP}₽")


# --- templates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", BUILT_IN)
def test_every_built_in_text_exists_in_both_languages(code: str) -> None:
    assert set(BUILT_IN[code]) == {"ru", "en"}
    figures = dict.fromkeys(FIGURES[code], "7")
    assert "{" not in speaker("ru").say(code, **figures)
    assert "{" not in speaker("en").say(code, **figures)


@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        ("ru", 1, "1 купон"),
        ("ru", 3, "3 купона"),
        ("ru", 1_005, f"1{NBSP}005 купонов"),
        ("ru", 21, "21 купон"),
        ("en", 1, "1 coupon"),
        ("en", 0, "0 coupons"),
        ("ar", 2, "2 coupons"),
    ],
)
def test_what_is_counted_stands_in_the_plural_form_of_its_number(
    language: str, count: int, said: str
) -> None:
    assert speaker(language).counted("coupon", count) == said


@pytest.mark.parametrize(
    ("language", "milli", "said"),
    [("ru", 2_000, "2"), ("ru", 500, "0,5"), ("en", 1_255, "1.255"), ("en", 1_234_000, "1,234")],
)
def test_a_quantity_has_as_many_decimals_as_it_needs(language: str, milli: int, said: str) -> None:
    assert speaker(language).quantity(milli) == said


def test_a_program_replaces_a_text() -> None:
    own = {"ru": "Выгода {amount}", "en": "{amount} less"}
    assert speaker("ru", slip_saved=own).say("slip_saved", amount="5") == "Выгода 5"
    assert speaker("de", slip_saved=own).say("slip_saved", amount="5") == "5 less"
    assert speaker("ru", slip_saved=own).say("slip_voided") == "Чек аннулирован"


def test_a_text_need_not_name_every_figure() -> None:
    own = {"en": "Well done"}
    assert (
        speaker("en", slip_earned_points=own).say("slip_earned_points", amount="5", asset="points")
        == own["en"]
    )


@pytest.mark.parametrize("text", ["{sum}", "{", "}", "{0}", "{amount.real}", "{amount!r:>9}"])
def test_a_program_with_a_text_that_cannot_be_said_is_refused(text: str) -> None:
    """Otherwise it is published, and every receipt that would say it fails."""
    template = TextTemplate("slip_saved", (LocalText("en", text),))
    problems = check_program(make.program(text_templates=(template,)))
    assert [problem.path for problem in problems] == ["texts[0].texts[0].text"]


def test_a_program_with_a_text_that_nobody_says_is_refused() -> None:
    template = TextTemplate("slip_savd", (LocalText("en", "You saved {amount}"),))
    problems = check_program(make.program(text_templates=(template,)))
    assert [problem.path for problem in problems] == ["texts[0].text_code"]


def test_assets_of_one_code_in_two_programs_keep_their_own_names() -> None:
    def named(word: str) -> Asset:
        return make.asset(names=(AssetName("en", (PluralForm("other", word),)),))

    assert speaker("en").asset(5, named("stars")) == "stars"
    assert speaker("en").asset(5, named("bonuses")) == "bonuses"
