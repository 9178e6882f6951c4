"""What is wrong at a place of a program, and the questions that many parts of one are asked.

Must not know any type of a program.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

MILLI_TYPO_MAX = 9
"""Up to here an author has more likely counted pieces than thousandths."""


COUNTED_KINDS = ("points", "stamps")
"""Kinds of assets that are counted; the others are money."""


class Problem(Struct, frozen=True):
    """A place in a program that is wrong.

    Attributes:
        path: the key, for example `promotions[2].gives[0].rate_bp`.
        reason: what is wrong there and what is expected.
    """

    path: str
    reason: str


class Scope(Struct, frozen=True):
    """What of a program its parts are checked against.

    Attributes:
        asset_kinds: kind of each asset, by code.
        any_case: coupon codes are compared without regard to capitals.
        has_birth_date: customers can be asked for their date of birth.
        series_codes: the series of coupons.
        balance_max_minor: bound of what a customer owns, by asset; 0 is none.
        one_coupon_counts: of all codes of a receipt one counts.
    """

    language_code: str
    asset_kinds: Mapping[str, str]
    any_case: bool
    has_birth_date: bool
    series_codes: frozenset[str] = frozenset()
    balance_max_minor: Mapping[str, int] = MappingProxyType({})
    one_coupon_counts: bool = False


def check_unique(path: str, key: str, values: Sequence[object]) -> Iterator[Problem]:
    """Refuse the second of two equal values, naming the first.

    Args:
        path: the list.
        key: of each item, the key that holds the value; empty if the items are the values.
        values: hashable.
    """
    if len(frozenset(values)) == len(values):
        return
    seen: dict[object, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            place = f"{path}[{index}].{key}" if key else f"{path}[{index}]"
            yield Problem(place, f"{value!r} is already at {path}[{first}]")


def check_names(path: str, names: Sequence[str]) -> Iterator[Problem]:
    """Refuse names that stand twice, or with blanks around them."""
    yield from check_trimmed(path, names)
    yield from check_unique(path, "", names)


def check_trimmed(path: str, names: Sequence[str]) -> Iterator[Problem]:
    """Refuse names with blanks around them, as spreadsheets leave them: nothing is called so."""
    for index, name in enumerate(names):
        if name != name.strip():
            yield Problem(f"{path}[{index}]", f"{name!r} has blanks around it")


def check_not_blank(path: str, shown: Sequence[str]) -> Iterator[Problem]:
    """Refuse texts of blanks alone, of which nobody sees anything."""
    for index, text in enumerate(shown):
        if not text.strip():
            yield Problem(f"{path}[{index}].text", "is blank")


def check_languages(path: str, languages: Sequence[str], language_code: str) -> Iterator[Problem]:
    """Refuse texts that give a language twice, or not the program's default."""
    yield from check_unique(path, "language_code", languages)
    if language_code not in languages:
        yield Problem(path, f"lacks the program's default language {language_code}")


def check_one_of(path: str, **given: object) -> Iterator[Problem]:
    """Refuse that none, or more than one, of several keys is given."""
    found = [key for key, value in given.items() if value]
    *most, last = given
    names = f"{', '.join(most)} and {last}"
    if not found:
        yield Problem(path, f"needs one of {names}")
    for key in found[1:]:
        yield Problem(f"{path}.{key}", f"stands beside {found[0]}; give one of {names}")


def check_range(path: str, key: str, low: int, high: int) -> Iterator[Problem]:
    """Refuse an upper end, of which 0 is no bound, below the lower one."""
    if high and high < low:
        yield Problem(f"{path}.{key}", f"{high} is below the lower end {low}")


def check_milli(path: str, value: int) -> Iterator[Problem]:
    """Refuse thousandths that were meant as pieces."""
    if 0 < value <= MILLI_TYPO_MAX:
        reason = f"{value} is {value} thousandths of a piece; write {value}000 for {value} pieces"
        yield Problem(path, reason)


def check_asset(
    path: str, asset_code: str, kinds: Sequence[str], scope: Scope
) -> Iterator[Problem]:
    """Refuse an asset that is not there, or that is of another kind.

    Args:
        path: what names the asset by its key `asset_code`.
        asset_code: the asset.
        kinds: what it must be one of; empty if it may be any.
        scope: the assets that there are.
    """
    found = scope.asset_kinds.get(asset_code)
    named = " or ".join(kinds)
    if found is None:
        fitting = [code for code, kind in scope.asset_kinds.items() if not kinds or kind in kinds]
        wanted = f"of kind {named} there are" if kinds else "there are"
        known = ", ".join(sorted(fitting)) or "none"
        reason = f"no asset is named {asset_code!r}; {wanted}: {known}"
        yield Problem(f"{path}.asset_code", reason)
    elif kinds and found not in kinds:
        reason = f"asset {asset_code!r} is of kind {found}, but {named} is needed"
        yield Problem(f"{path}.asset_code", reason)
