"""Texts to show and print, by language: built-in templates that a program may replace.

Figures follow the language's own way of writing (CLDR, through Babel); what Babel works out slowly
is worked out once for a language and remembered.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_precision
from msgspec import Struct

from rewards.limits import MILLI
from rewards.problem import COUNTED_KINDS
from rewards.program import Asset
from rewards.rounding import floor_div
from rewards.ruleset import CompiledPromotion
from server.built_in_texts import BUILT_IN, PLURAL_FORMS

FALLBACK_LANGUAGE: Final = "en"
DAYS_KEPT_MAX = 10_000
_GROUPED_FROM = 1_000
"""No language parts a smaller number into groups."""
_PROMOTION_ID = attrgetter("promotion_id")


def pick(texts: Mapping[str, str], language_code: str) -> str:
    """Choose the text of a language: exact, its base language, English, or any."""
    found = texts.get(language_code) or texts.get(language_code.partition("-")[0])
    return found or texts.get(FALLBACK_LANGUAGE) or next(iter(texts.values()))


class _Figures(Struct, frozen=True, gc=False):
    """How a language writes numbers, and money of one currency.

    Attributes:
        unit: minor units in one of the currency.
        money: makes an amount of money of its whole number and its minor units.
        lowest_group: digits in the group before the point.
        higher_group: digits in each group above it.
    """

    unit: int
    money: str
    group: str
    point: str
    lowest_group: int
    higher_group: int


class _AssetWords(Struct, frozen=True, gc=False):
    """An asset in one language.

    Attributes:
        asset: the asset itself; a code alone may name another one.
        is_money: it is written like money, and has no name.
        unit: minor units in one of it.
        with_minor: makes an amount of its whole number and its minor units.
        forms: its name by plural category.
        only_form: its name, where it is the same for every amount.
    """

    asset: Asset
    is_money: bool
    unit: int
    with_minor: str
    forms: dict[str, str]
    only_form: str


class Speaker:
    """Says things in one language for one program.

    Attributes:
        language_code: the language that is spoken, BCP 47.
        templates: by text code.
        questions: by tag of a profile field and reason, what is spelled to ask for it.
        offers: by tag of a cross-sell link, the template that offers what it shows. Both are
            kept by those who spell them, as many as the program has.
    """

    def __init__(
        self, language_code: str, currency_code: str, own_texts: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Pick the templates of the language once.

        Args:
            language_code: BCP 47; an unknown one is spoken as English.
            currency_code: ISO 4217.
            own_texts: the program's templates by text code and language.
        """
        locale = _locale(language_code)
        parts = (locale.language, locale.territory)
        self.language_code = language_code = "-".join(part for part in parts if part)
        self._locale = str(locale)
        self._figures = _figures(self._locale, currency_code)
        self._reach = _plural_reach(self._locale)
        self._names: dict[str, str] = {}
        self._assets: dict[str, _AssetWords] = {}
        self.questions: dict[tuple[bytes, int], bytes] = {}
        self.offers: dict[bytes, str] = {}
        self._dated: dict[tuple[str, int, tzinfo], str] = {}
        self.templates = {
            code: pick(own_texts.get(code) or built_in, language_code)
            for code, built_in in BUILT_IN.items()
        }

    def name_of(self, promotion: CompiledPromotion) -> str:
        """Name a promotion."""
        name = self._names.get(promotion.promotion_id)
        if name is None:
            name = pick(promotion.texts, self.language_code)
            self._names[promotion.promotion_id] = name
        return name

    def names_of(self, promotions: Sequence[CompiledPromotion]) -> list[str]:
        """Name promotions."""
        try:
            return list(map(self._names.__getitem__, map(_PROMOTION_ID, promotions)))
        except KeyError:
            return list(map(self.name_of, promotions))

    def say(self, text_code: str, **figures: str) -> str:
        """Fill a template; a figure that it does not name is left out."""
        return self.templates[text_code].format_map(figures)

    def fill(self, text_code: str, figures: Mapping[str, str]) -> str:
        """As `say`, with figures that are put together already."""
        return self.templates[text_code].format_map(figures)

    def money(self, amount_minor: int) -> str:
        """Write an amount of the program's currency, minor units."""
        if amount_minor < 0:
            return f"-{self.money(-amount_minor)}"
        form = self._figures
        major, minor = divmod(amount_minor, form.unit)
        whole = _grouped(major, form) if major >= _GROUPED_FROM else str(major)
        return form.money.format(whole, minor)

    def amount(self, amount_minor: int, asset: Asset) -> str:
        """Write an amount of an asset: money for a discount, else a number."""
        return self.owned(amount_minor, asset)["amount"]

    def asset(self, amount_minor: int, asset: Asset) -> str:
        """Name an asset in the plural form that its amount asks for; empty for money."""
        return self.owned(amount_minor, asset)["asset"]

    def owned(self, amount_minor: int, asset: Asset) -> dict[str, str]:
        """The figures of an amount of an asset: what `amount` writes and `asset` names."""
        if amount_minor < 0:
            figures = self.owned(-amount_minor, asset)
            return {**figures, "amount": f"-{figures['amount']}"}
        words = self._assets.get(asset.code)
        if words is None or words.asset is not asset:
            point = self._figures.point
            words = self._assets[asset.code] = _words_of(asset, self.language_code, point)
        if words.is_money:
            return {"amount": self.money(amount_minor), "asset": ""}
        major, minor = divmod(amount_minor, words.unit)
        shown = _grouped(major, self._figures) if major >= _GROUPED_FROM else str(major)
        if minor:
            shown = words.with_minor.format(shown, minor)
        return {"amount": shown, "asset": words.only_form or self._form_of(words, amount_minor)}

    def _form_of(self, words: _AssetWords, amount_minor: int) -> str:
        forms, category = words.forms, self._plural(amount_minor, words.asset.decimals)
        return forms.get(category) or forms.get("other") or next(iter(forms.values()))

    def quantity(self, quantity_milli: int) -> str:
        """Write a quantity, thousandths, with as many decimals as it has."""
        whole, milli = divmod(quantity_milli, MILLI)
        written = _grouped(whole, self._figures)
        return f"{written}{self._figures.point}{milli:03d}".rstrip("0") if milli else written

    def counted(self, noun: str, count: int) -> str:
        """Write how many of something, in the plural form that the number asks for.

        Args:
            noun: coupon, prize or entry: the texts `{noun}_one` and so on say it.
            count: 0 or more.
        """
        category = self._plural(count, 0)
        form = category if category in PLURAL_FORMS else "other"
        return self.say(f"{noun}_{form}", count=_grouped(count, self._figures))

    def say_day(self, text_code: str, at_us: int, zone: tzinfo) -> str:
        """Fill a template that names a day: the local one of an instant, UTC microseconds."""
        key = (text_code, at_us, zone)
        found = self._dated.get(key)
        if found is None:
            if len(self._dated) >= DAYS_KEPT_MAX:
                self._dated.clear()
            found = self._dated[key] = self.say(text_code, day=self.day(at_us, zone))
        return found

    def day(self, at_us: int, zone: tzinfo) -> str:
        """Write the local day of an instant, UTC microseconds."""
        moment = datetime.fromtimestamp(floor_div(at_us, 1_000_000), UTC).astimezone(zone)
        return format_date(moment.date(), "medium", locale=self._locale)

    def _plural(self, amount_minor: int, decimals: int) -> str:
        """The CLDR plural category of an amount.

        Amounts that the language's rules cannot tell apart share one entry of a small cache.
        """
        major, minor = divmod(amount_minor, 10**decimals)
        period, above, reads_fraction = self._reach
        if major >= above:
            major = above + (major - above) % period
        if minor and not reads_fraction:
            minor = 1
        return _plural_of(self._locale, major, minor, decimals)


def wording_of(asset: Asset) -> str:
    """In whose words an asset is spoken of: what is counted like points, what is money like it."""
    return "points" if asset.kind in COUNTED_KINDS else "deferred_discount"


@lru_cache(maxsize=256)
def _locale(language_code: str) -> Locale:
    """The locale of a BCP 47 code: of its language, script and territory, whatever else it says."""
    subtags = itertools.takewhile(lambda subtag: len(subtag) > 1, language_code.split("-"))
    known = list(subtags)
    while known:
        try:
            return Locale.parse("-".join(known), sep="-")
        except (UnknownLocaleError, ValueError):
            known.pop()
    return Locale.parse(FALLBACK_LANGUAGE)


@lru_cache(maxsize=1_024)
def _figures(locale: str, currency_code: str) -> _Figures:
    """How a language writes numbers, and money, which stands in a currency's sample for the 0."""
    sample = format_currency(0, currency_code, locale=locale)
    first, last = sample.index("0"), sample.rindex("0")
    symbols = Locale.parse(locale).number_symbols["latn"]
    lowest, higher = Locale.parse(locale).decimal_formats[None].grouping
    decimals = get_currency_precision(currency_code)
    written = _with_minor(symbols["decimal"], decimals) if decimals else "{}"
    return _Figures(
        unit=10**decimals,
        money=sample[:first] + written + sample[last + 1 :],
        group=symbols["group"],
        point=symbols["decimal"],
        lowest_group=lowest,
        higher_group=higher,
    )


def _grouped(major: int, form: _Figures) -> str:
    """Write a whole number in groups: of three everywhere but in India."""
    if form.higher_group == form.lowest_group:
        return f"{major:,}".replace(",", form.group)
    digits = str(major)
    lowest, higher = digits[-form.lowest_group :], digits[: -form.lowest_group]
    step = form.higher_group
    start = len(higher) % step
    parts = [higher[:start], *(higher[n : n + step] for n in range(start, len(higher), step))]
    return form.group.join([*filter(None, parts), lowest])


@lru_cache(maxsize=65_536)
def _plural_of(locale: str, major: int, minor: int, decimals: int) -> str:
    number = Decimal(major * 10**decimals + minor).scaleb(-decimals)
    return Locale.parse(locale).plural_form(number if minor else Decimal(major))


@lru_cache(maxsize=256)
def _plural_reach(locale: str) -> tuple[int, int, bool]:
    """How far the plural rules of a language look.

    Returns:
        The period after which whole numbers repeat, the number from which they do, and whether a
        rule asks for the fraction's digits (operands f and t).
    """
    words = " ".join(Locale.parse(locale).plural_form.rules.values())
    period = math.lcm(1, *(int(found) for found in re.findall(r"mod (\d+)", words)))
    largest = max((int(found) for found in re.findall(r"\d+", words)), default=0)
    above = (floor_div(largest, period) + 1) * period
    return period, above, re.search(r"\b[ft]\b", words) is not None


def _with_minor(point: str, decimals: int) -> str:
    """A format that puts decimals behind a whole number."""
    return f"{{}}{point}{{:0{decimals}d}}"


def _words_of(asset: Asset, language_code: str, point: str) -> _AssetWords:
    with_minor = _with_minor(point, asset.decimals)
    if wording_of(asset) == "deferred_discount":
        return _AssetWords(asset, True, 1, with_minor, {}, "")
    forms = _asset_forms(asset, language_code)
    said = set(forms.values())
    only_form = said.pop() if len(said) == 1 else ""
    return _AssetWords(asset, False, 10**asset.decimals, with_minor, forms, only_form)


@lru_cache(maxsize=1_024)
def _asset_forms(asset: Asset, language_code: str) -> dict[str, str]:
    forms: dict[str, dict[str, str]] = {
        name.language_code: {form.category: form.text for form in name.forms}
        for name in asset.names
    }
    base = language_code.partition("-")[0]
    return (
        forms.get(language_code)
        or forms.get(base)
        or forms.get(FALLBACK_LANGUAGE)
        or next(iter(forms.values()))
    )
