"""Texts to show and print, by language: built-in templates that a program may replace.

Figures follow the language's own way of writing (CLDR, through Babel); what Babel works out slowly
is worked out once for a language and remembered.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_precision

from rewards.program import Asset
from rewards.rounding import floor_div
from rewards.ruleset import CompiledPromotion

FALLBACK_LANGUAGE: Final = "en"
DAYS_KEPT_MAX = 10_000

BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "add_piece": {
        "ru": "Добавьте {quantity} шт. бесплатно: {promotion}",
        "en": "Add {quantity} free: {promotion}",
    },
    "reward_points": {
        "ru": "{promotion}: +{amount} {asset}",
        "en": "{promotion}: +{amount} {asset}",
    },
    "reward_deferred_discount": {
        "ru": "{promotion}: скидка {amount} на следующую покупку",
        "en": "{promotion}: {amount} off your next purchase",
    },
    "slip_saved": {"ru": "Вы сэкономили {amount}", "en": "You saved {amount}"},
    "slip_earned_points": {
        "ru": "Начислено: {amount} {asset}",
        "en": "Earned: {amount} {asset}",
    },
    "slip_earned_deferred_discount": {
        "ru": "Скидка на следующую покупку: {amount}",
        "en": "Off your next purchase: {amount}",
    },
    "slip_active_from": {"ru": "Можно тратить с {day}", "en": "Can be spent from {day}"},
    "slip_expires": {"ru": "Действует по {day}", "en": "Valid until {day}"},
    "slip_balance_points": {
        "ru": "Баланс: {amount} {asset}",
        "en": "Balance: {amount} {asset}",
    },
    "slip_balance_deferred_discount": {
        "ru": "Отложенные скидки: {amount}",
        "en": "Discounts to come: {amount}",
    },
    "slip_voided": {"ru": "Чек аннулирован", "en": "Receipt voided"},
    "slip_taken_back_points": {
        "ru": "Списано: {amount} {asset}",
        "en": "Taken back: {amount} {asset}",
    },
    "slip_taken_back_deferred_discount": {
        "ru": "Отменена отложенная скидка: {amount}",
        "en": "Discount to come cancelled: {amount}",
    },
    "cashier_unknown": {
        "ru": "Клиент не найден: продажа без начисления",
        "en": "Customer not found: nothing will be earned",
    },
    "cashier_blocked": {
        "ru": "Карта заблокирована: продажа без начисления",
        "en": "Card blocked: nothing will be earned",
    },
    "cashier_identified": {"ru": "Клиент: {name}", "en": "Customer: {name}"},
    "cashier_thanks": {
        "ru": "Анкета обновлена, поблагодарите клиента",
        "en": "Profile updated, thank the customer",
    },
}
"""Templates by text code and language."""


def pick(texts: Mapping[str, str], language_code: str) -> str:
    """Choose the text of a language: exact, its base language, English, or any."""
    found = texts.get(language_code) or texts.get(language_code.partition("-")[0])
    return found or texts.get(FALLBACK_LANGUAGE) or next(iter(texts.values()))


class Speaker:
    """Says things in one language for one program."""

    def __init__(
        self, language_code: str, currency_code: str, own_texts: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Pick the templates of the language once.

        Args:
            language_code: BCP 47; an unknown one is spoken as English.
            currency_code: ISO 4217.
            own_texts: the program's templates by text code and language.
        """
        self.language_code = language_code
        self._locale = str(_locale(language_code))
        self._currency = _currency_form(self._locale, currency_code)
        self._names: dict[str, str] = {}
        self._days: dict[tuple[int, tzinfo], str] = {}
        self._templates = {
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

    def say(self, text_code: str, **figures: str) -> str:
        """Fill a template; a figure that it does not name is left out."""
        return self._templates[text_code].format_map(figures)

    def money(self, amount_minor: int) -> str:
        """Write an amount of the program's currency, minor units."""
        prefix, suffix, decimals, group, point = self._currency
        sign = "-" if amount_minor < 0 else ""
        return f"{sign}{prefix}{_number(abs(amount_minor), decimals, group, point)}{suffix}"

    def amount(self, amount_minor: int, asset: Asset) -> str:
        """Write an amount of an asset: money for a discount, else a number."""
        if asset.kind == "deferred_discount":
            return self.money(amount_minor)
        _, _, _, group, point = self._currency
        whole = amount_minor % 10**asset.decimals == 0
        shown = floor_div(amount_minor, 10**asset.decimals) if whole else amount_minor
        return _number(shown, 0 if whole else asset.decimals, group, point)

    def asset(self, amount_minor: int, asset: Asset) -> str:
        """Name an asset in the plural form that its amount asks for; empty for money."""
        if asset.kind == "deferred_discount":
            return ""
        forms = _asset_forms(asset, self.language_code)
        category = _plural(self._locale, abs(amount_minor), asset.decimals)
        return forms.get(category) or forms.get("other") or next(iter(forms.values()))

    def day(self, at_us: int, zone: tzinfo) -> str:
        """Write the local day of an instant, UTC microseconds."""
        key = (at_us, zone)
        found = self._days.get(key)
        if found is None:
            if len(self._days) >= DAYS_KEPT_MAX:
                self._days.clear()
            moment = datetime.fromtimestamp(floor_div(at_us, 1_000_000), UTC).astimezone(zone)
            found = format_date(moment.date(), "medium", locale=self._locale)
            self._days[key] = found
        return found


@lru_cache(maxsize=256)
def _locale(language_code: str) -> Locale:
    try:
        return Locale.parse(language_code, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(FALLBACK_LANGUAGE)


@lru_cache(maxsize=1_024)
def _currency_form(locale: str, currency_code: str) -> tuple[str, str, int, str, str]:
    """How money is written: before, after, decimals, between thousands, before decimals."""
    sample = format_currency(0, currency_code, locale=locale)
    first, last = sample.index("0"), sample.rindex("0")
    symbols = Locale.parse(locale).number_symbols["latn"]
    decimals = get_currency_precision(currency_code)
    return sample[:first], sample[last + 1 :], decimals, symbols["group"], symbols["decimal"]


def _number(amount_minor: int, decimals: int, group: str, point: str) -> str:
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), 10**decimals)
    whole = f"{sign}{major:,}".replace(",", group)
    return f"{whole}{point}{minor:0{decimals}d}" if decimals else whole


def _plural(locale: str, amount_minor: int, decimals: int) -> str:
    """The CLDR plural category of an amount.

    No rule looks further than the last two whole digits, but for whole millions; few languages
    look at which fraction there is. So a small cache holds the answer for nearly every amount.
    """
    major, minor = divmod(amount_minor, 10**decimals)
    if major >= 1_000 and major % 1_000_000:
        major = 1_000 + major % 100
    if minor and not _reads_fraction(locale):
        minor = 1
    return _plural_of(locale, major, minor, decimals)


@lru_cache(maxsize=65_536)
def _plural_of(locale: str, major: int, minor: int, decimals: int) -> str:
    number = Decimal(major * 10**decimals + minor).scaleb(-decimals)
    return Locale.parse(locale).plural_form(number if minor else Decimal(major))


@lru_cache(maxsize=256)
def _reads_fraction(locale: str) -> bool:
    """Whether a plural rule of the language asks for the fraction's digits (operands f and t)."""
    rules = Locale.parse(locale).plural_form.rules.values()
    return any(operand in rule.split() for rule in rules for operand in ("f", "t"))


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
